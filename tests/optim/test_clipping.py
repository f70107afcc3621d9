"""Clipping by norm at every size a float can have."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optim import clip_by_norm
from optim.clipping import BLOCK


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_three_four_five(dtype):
    grad = np.array([3, 0, -4], dtype)
    assert clip_by_norm(grad, 10) == 5
    np.testing.assert_array_equal(grad, [3, 0, -4])
    assert clip_by_norm(grad, 5) == 5
    np.testing.assert_array_equal(grad, [3, 0, -4])
    assert clip_by_norm(grad, 2.5) == 5
    np.testing.assert_array_equal(grad, [1.5, 0, -2])
    assert grad.dtype == dtype


@pytest.mark.parametrize(
    ("dtype", "size"),
    [(np.float32, 1e30), (np.float32, 1e-30), (np.float64, 1e200), (np.float64, 1e-200)],
)
def test_nothing_overflows_or_underflows(dtype, size):
    grad = np.array([3 * size, -4 * size], dtype)
    assert clip_by_norm(grad, size) == pytest.approx(5 * size, rel=1e-6)
    np.testing.assert_allclose(grad, np.array([0.6, -0.8]) * size, rtol=1e-6)


def test_zero_and_empty():
    for size in (0, 4):
        grad = np.zeros(size, np.float32)
        assert clip_by_norm(grad, 1.0) == 0
        np.testing.assert_array_equal(grad, np.zeros(size))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", [0, BLOCK + 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_norm_that_is_not_finite_is_returned_and_nothing_changed(bad, where, dtype):
    grad = np.ones(BLOCK + 2, dtype)
    grad[where] = bad
    before = grad.copy()
    assert not math.isfinite(clip_by_norm(grad, 1.0))
    np.testing.assert_array_equal(grad, before)


def test_a_long_float32_vector_keeps_its_digits():
    grad = np.full(4_000_000, 0.1, np.float32)
    # float32 sums of a block lose a digit or so; of the whole vector it would be three
    assert clip_by_norm(grad, 1.0) == pytest.approx(2000 * float(np.float32(0.1)), rel=5e-6)
    assert math.fsum(np.square(grad, dtype=np.float64)) == pytest.approx(1, rel=1e-5)


@given(st.lists(st.floats(-1e6, 1e6), max_size=9), st.floats(1e-3, 1e3))
def test_norm_and_direction(entries, limit):
    grad = np.array(entries, np.float64)
    norm = math.hypot(*entries)
    assert clip_by_norm(grad, limit) == pytest.approx(norm, rel=1e-12)
    assert math.hypot(*grad) <= max(limit * (1 + 1e-12), 0)
    expected = np.array(entries) * min(1, limit / norm if norm else 1)
    np.testing.assert_allclose(grad, expected, rtol=1e-12)


@pytest.mark.parametrize("limit", [0, -1, math.nan])
def test_bad_limit(limit):
    with pytest.raises(ValueError, match="clip_by_norm: limit is"):
        clip_by_norm(np.ones(2), limit)


def test_strided_gradient_is_refused():
    with pytest.raises(ValueError, match="contiguous"):
        clip_by_norm(np.ones(4)[::2], 1.0)
