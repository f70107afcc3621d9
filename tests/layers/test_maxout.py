import numpy as np
import pytest
from numpy.testing import assert_array_equal

from layers import Maxout


def layer_by_hand():
    layer = Maxout(2, 1, rng=0)
    layer.params["W"][...] = [[[1], [0]], [[0], [1]]]  # z₁ = x₁, z₂ = x₂ + 1
    layer.params["b"][...] = [[0], [1]]
    return layer


def test_by_hand():
    layer = layer_by_hand()
    assert_array_equal(layer.forward([[5, 2], [1, 3], [7, 0]]), [[5], [4], [7]])
    dx, grads = layer.backward([[1], [10], [100]])
    assert_array_equal(dx, [[1, 0], [0, 10], [100, 0]])
    assert_array_equal(grads["W"], [[[705], [2]], [[10], [30]]])
    assert_array_equal(grads["b"], [[101], [10]])


def test_of_equals_one_wins():
    """The whole gradient goes to the first, once."""
    layer = layer_by_hand()
    assert_array_equal(layer.forward([[3, 2]]), [[3]])
    dx, grads = layer.backward([[10]])
    assert_array_equal(dx, [[10, 0]])
    assert_array_equal(grads["b"], [[10], [0]])


def test_of_three_equals_one_wins():
    layer = Maxout(1, 2, 3, rng=0, init=0)
    layer.forward(np.ones((4, 1)))
    assert_array_equal(layer.backward(np.ones((4, 2)))[1]["b"], [[4, 4], [0, 0], [0, 0]])


def test_relu_and_leaky_relu_are_maxouts():
    """The lecture's remark: w₂ = 0 makes it a ReLU of w₁ᵀx."""
    layer = Maxout(1, 1, rng=0)
    layer.params["W"][...] = [[[1]], [[0]]]
    assert_array_equal(layer.forward([[-2], [3]]), [[0], [3]])


def test_sizes():
    assert Maxout(3, 4, rng=0).params["b"].shape == (2, 4)
    with pytest.raises(ValueError, match=r"^Maxout: pieces is 0, expected a whole number ≥ 1"):
        Maxout(3, 4, 0, rng=0)
