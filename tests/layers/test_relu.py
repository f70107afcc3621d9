import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from layers import LeakyReLU, ReLU


def test_the_lectures_numbers():
    layer = ReLU()
    assert_array_equal(layer.forward(np.array([1.0, -2, 3, -1])), [1, 0, 3, 0])
    assert_array_equal(layer.backward(np.array([4.0, -1, 5, 9]))[0], [4, 0, 5, 0])


def test_at_zero_nothing_passes():
    layer = ReLU()
    assert layer.forward(np.zeros(1)) == 0
    assert layer.backward(np.ones(1))[0] == 0


def test_leaky():
    layer = LeakyReLU()
    assert_allclose(layer.forward(np.array([1.0, -2, 3, -1])), [1, -0.2, 3, -0.1])
    assert_allclose(layer.backward(np.array([4.0, -1, 5, 9]))[0], [4, -0.1, 5, 0.9])


def test_leaky_is_exactly_the_identity_on_the_right():
    layer = LeakyReLU(0.3)
    x = np.random.default_rng(0).uniform(0, 1e30, 100).astype(np.float32)
    assert_array_equal(layer.forward(x), x)
    assert_array_equal(layer.backward(x)[0], x)


def test_leaky_with_slope_zero_is_relu():
    x = np.linspace(-2, 2, 9)
    leaky, relu = LeakyReLU(0), ReLU()
    assert_array_equal(leaky.forward(x), relu.forward(x))
    assert_array_equal(leaky.backward(x)[0], relu.backward(x)[0])


@pytest.mark.parametrize("slope", [-0.1, 1, np.nan])
def test_leaky_slope(slope):
    with pytest.raises(ValueError, match=r"^LeakyReLU: slope is .*, expected a number in \[0, 1\)"):
        LeakyReLU(slope)


def test_not_a_number_is_not_hidden():
    assert np.isnan(ReLU().forward(np.array([np.nan])))
    assert np.isnan(LeakyReLU().forward(np.array([np.nan])))
