"""Penalties on vectors larger than a block, their types, and their errors."""

import math

import numpy as np
import pytest

from losses import L1, L2
from losses.penalties import BLOCK


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17])
@pytest.mark.parametrize("penalty", [L1(0.25), L2(0.25)])
def test_blocks_make_no_difference(penalty, size, dtype):
    rng = np.random.default_rng(size)
    W = rng.integers(-3, 4, size).astype(dtype)  # small integers: every sum is exact
    W_before = W.copy()
    dW = np.ones(size, dtype)
    exact = {L1: np.abs(W).sum(dtype=np.float64), L2: np.square(W).sum(dtype=np.float64)}
    slope = {L1: np.sign(W), L2: 2 * W}
    assert penalty.value(W) == 0.25 * exact[type(penalty)]
    penalty.add_gradient(W, dW)
    np.testing.assert_array_equal(dW, 1 + dtype(0.25) * slope[type(penalty)])
    assert dW.dtype == dtype
    np.testing.assert_array_equal(W, W_before)


def test_one_penalty_serves_vectors_of_several_sizes_and_types():
    penalty = L2(0.5)
    for size, dtype in ((3, np.float32), (BLOCK + 3, np.float32), (5, np.float64), (2, np.float32)):
        dW = np.zeros(size, dtype)
        penalty.add_gradient(np.full(size, 2, dtype), dW)
        np.testing.assert_array_equal(dW, np.full(size, 2.0))


def test_large_float32_vector_is_summed_without_drift():
    W = np.full(4_000_000, 0.1, np.float32)
    exact = 4_000_000 * float(np.float32(0.1)) ** 2
    assert L2(1.0).value(W) == pytest.approx(exact, rel=1e-5)
    assert L1(1.0).value(W) == pytest.approx(4_000_000 * float(np.float32(0.1)), rel=1e-12)


def test_strength_of_zero_is_allowed_and_adds_nothing():
    dW = np.array([1.0, 2])
    L2(0).add_gradient(np.ones(2), dW)
    np.testing.assert_array_equal(dW, [1, 2])
    assert L1(0).value(np.ones(2)) == 0


@pytest.mark.parametrize("strength", [-1e-9, math.nan, math.inf])
@pytest.mark.parametrize("penalty", [L1, L2])
def test_bad_strength(penalty, strength):
    with pytest.raises(ValueError, match=f"{penalty.__name__}: strength is .* ≥ 0"):
        penalty(strength)


def test_arrays_that_do_not_fit():
    with pytest.raises(ValueError, match=r"L2: dW is float64 \(3,\), expected .* float64 \(2,\)"):
        L2(1).add_gradient(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="L2: dW is float32"):
        L2(1).add_gradient(np.ones(2), np.ones(2, np.float32))
    with pytest.raises(ValueError, match=r"L1: W has strides .* contiguous"):
        L1(1).value(np.ones(6)[::2])
    with pytest.raises(ValueError, match=r"L2: dW has strides .* contiguous"):
        L2(1).add_gradient(np.ones(3), np.ones(6)[::2])


def test_repr_says_the_strength():
    assert repr(L2(1e-3)) == "L2(0.001)"
