import math

import numpy as np
import pytest

from layers import Linear, Maxout
from layers.initialize import generator, scale, weights

D, M = 400, 600


@pytest.mark.parametrize(
    ("init", "std"), [("he", math.sqrt(2 / D)), ("xavier", math.sqrt(2 / (D + M))), (0.01, 0.01)]
)
def test_mean_and_standard_deviation(init, std):
    """Of 240,000 normal draws both are known to 5 standard errors, and so is the share in ±σ."""
    W = Linear(D, M, rng=0, init=init).params["W"].astype(np.float64)
    assert abs(W.mean()) < 5 * std / math.sqrt(W.size)
    assert abs(W.std() - std) < 5 * std / math.sqrt(2 * W.size)
    assert abs((np.abs(W) < std).mean() - math.erf(math.sqrt(0.5))) < 5 * 0.5 / math.sqrt(W.size)


def test_each_piece_of_a_maxout_is_scaled_by_its_own_size():
    W = Maxout(D, M, 3, rng=0).params["W"]
    assert W.shape == (3, D, M)
    np.testing.assert_allclose(W.std(axis=(1, 2)), math.sqrt(2 / D), rtol=0.01)


def test_zero():
    assert not weights((3, 4), 0, 0).any()


def test_one_seed_gives_the_same_weights_in_either_type():
    narrow, wide = weights((3, 4), "he", 5), weights((3, 4), "he", 5, np.float64)
    assert narrow.dtype == np.float32
    np.testing.assert_array_equal(narrow, wide.astype(np.float32))
    assert (narrow != weights((3, 4), "he", 6)).any()


def test_a_generator_goes_on():
    rng = np.random.default_rng(5)
    one, two = (Linear(3, 4, rng=rng).params["W"] for _ in range(2))
    np.testing.assert_array_equal(one, Linear(3, 4, rng=5).params["W"])
    assert (one != two).any()


def test_the_global_random_state_is_not_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    weights((3, 4), "he", 5)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("init", ["hee", -1, math.inf, math.nan, None, True])
def test_another_init_is_refused(init):
    with pytest.raises(ValueError, match="expected 'he', 'xavier' or a standard deviation ≥ 0"):
        scale(init, D, M)


@pytest.mark.parametrize("rng", [None, -1, 0.5, "0", True, np.random])
def test_another_rng_is_refused(rng):
    with pytest.raises(TypeError, match=r"expected a seed .* or a numpy random Generator"):
        generator(rng)


@pytest.mark.parametrize("dtype", [int, bool, complex])
def test_parameters_are_floats(dtype):
    with pytest.raises(TypeError, match=r"expected np\.float32 or np\.float64"):
        Linear(2, 3, rng=0, dtype=dtype)
