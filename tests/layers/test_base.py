"""The contract's helpers, by a layer of one's own that inherits from Layer."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from layers import Layer, Linear, Sequential


class Scale(Layer):
    """y = k x, with an attribute that names the parameter."""

    def __init__(self, k):
        super().__init__()
        self.k = self.params["k"] = np.array([k], np.float32)
        self.state["calls"] = np.zeros(1, int)

    def forward(self, x):
        x = self.as_float(x)
        self.state["calls"] += 1
        return self.keep(self.k * x, x)

    def backward(self, dout):
        dout, x = self.recall(dout)
        return self.k * dout, {"k": np.array([(x * dout).sum()])}


def test_a_layer_of_ones_own():
    layer = Scale(3)
    assert_array_equal(layer.forward([1, 2]), [3, 6])
    dx, grads = layer.backward([10, 20])
    assert_array_equal(dx, [30, 60])
    assert_array_equal(grads["k"], [50])
    assert_array_equal(layer.parameter_gradients([10, 20])["k"], [50])
    assert repr(layer) == "Scale(k (1,))"


def test_in_another_type_attributes_follow_and_counters_stay():
    layer = Scale(3)
    layer.forward([1])
    twin = layer.astype(np.float64)
    assert twin.k is twin.params["k"]
    assert twin.k.dtype == np.float64
    assert twin.state["calls"].dtype == int
    assert layer.k.dtype == np.float32
    with pytest.raises(RuntimeError, match=r"^Scale: backward before forward"):
        twin.backward([1])


def test_a_copys_attributes_name_its_own_parameters():
    twin = copy.deepcopy(Scale(3))
    twin.params["k"][:] = 5
    assert_array_equal(twin.forward([1]), [5])


def test_gathered_attributes_follow_too():
    layer = Scale(3)
    net = Sequential(layer)
    net.gather().theta[:] = 7
    assert_array_equal(net.forward([1]), [7])


def test_forward_and_backward_are_to_be_written():
    with pytest.raises(NotImplementedError):
        Layer().forward([1])
    with pytest.raises(NotImplementedError):
        Layer().backward([1])


def test_driven_the_type_is_that_of_the_parameters():
    layer = Linear(3, 2, rng=0)
    net = Sequential(layer)
    with net.gather().driven():
        assert net.forward(np.ones((2, 3), np.float64)).dtype == np.float32
