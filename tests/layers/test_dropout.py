import copy
import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from layers import Dropout, Linear, Sequential


@pytest.mark.parametrize("drop", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_share_dropped_and_the_scale(drop, dtype):
    """Of 90,000 entries, `drop` are 0 to 5 standard errors; the others are 1 / (1 − drop)."""
    y = Dropout(drop, rng=0).forward(np.ones((300, 300), dtype))
    error = math.sqrt(drop * (1 - drop) / y.size)
    assert abs((y == 0).mean() - drop) < 5 * error
    np.testing.assert_allclose(y[y != 0], 1 / (1 - drop), rtol=1e-4)
    # by rows and by columns alike: no pattern from drawing four entries at a time
    for axis in (0, 1):
        assert np.abs((y == 0).mean(axis) - drop).max() < 5 * error * math.sqrt(300)
    for lag in (1, 2, 3, 4):
        pairs = ((y.ravel()[lag:] == 0) & (y.ravel()[:-lag] == 0)).mean()
        assert abs(pairs - drop**2) < 5 * math.sqrt(drop**2 * (1 - drop**2) / y.size) * 1.5


def test_backward_uses_the_mask_of_forward():
    layer = Dropout(0.5, rng=0)
    x = np.random.default_rng(1).standard_normal((7, 5))
    y = layer.forward(x)
    dropped = y == 0
    assert 0 < dropped.sum() < y.size
    dx, grads = layer.backward(np.ones((7, 5)))
    assert_array_equal(dx, np.where(dropped, 0, 2))
    assert grads == {}


def test_every_forward_draws_anew_from_its_own_generator():
    layer, twin, other = Dropout(rng=3), Dropout(rng=3), Dropout(rng=4)
    x = np.ones((8, 9))
    one, two = layer.forward(x), layer.forward(x)
    assert (one != two).any()
    assert_array_equal(twin.forward(x), one)
    assert_array_equal(twin.forward(x), two)
    assert (other.forward(x) != one).any()


def test_evaluation_is_the_identity_and_draws_nothing():
    layer = Dropout(0.5, rng=0)
    before = layer.rng.bit_generator.state
    layer.training = False
    x = np.arange(6.0)
    assert_array_equal(layer.forward(x), x)
    assert_array_equal(layer.backward(x)[0], x)
    assert layer.rng.bit_generator.state == before


def test_backward_goes_by_the_mode_of_forward():
    layer = Dropout(0.5, rng=0)
    y = layer.forward(np.ones(50))
    layer.training = False
    assert_array_equal(layer.backward(np.ones(50))[0], y)


def test_a_float64_copy_draws_the_same_mask():
    layer = Dropout(0.5, rng=0)
    twin = layer.astype(np.float64)
    x = np.ones((9, 9))
    assert_array_equal(layer.forward(x.astype(np.float32)), twin.forward(x))


def test_layers_given_one_generator_do_not_share_a_stream():
    """A copy of the network, layer by layer, draws what the network draws."""
    rng = np.random.default_rng(0)
    net = Sequential(Dropout(rng=rng), Linear(20, 20, rng=rng), Dropout(rng=rng))
    one, two = net.children["dropout1"], net.children["dropout2"]
    x = np.ones((5, 20), np.float32)
    assert (copy.deepcopy(one).forward(x) != copy.deepcopy(two).forward(x)).any()
    twin = net.astype(np.float32)
    for _ in range(2):
        assert_array_equal(twin.forward(x), net.forward(x))


@pytest.mark.parametrize("drop", [-0.1, 1, 2, np.nan])
def test_drop_is_a_probability(drop):
    with pytest.raises(ValueError, match=r"^Dropout: drop is .*, expected a probability in \[0, 1"):
        Dropout(drop, rng=0)


def test_almost_all_may_be_dropped():
    y = Dropout(1 - 1e-9, rng=0).forward(np.ones(10))
    assert np.isfinite(y).all()
