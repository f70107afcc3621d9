"""ELU, Sigmoid and Tanh at numbers known by hand."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from layers import ELU, Sigmoid, Tanh


def test_the_lectures_sigmoid_neuron():
    """s = 1: f = 0.73, and the gate's own gradient (1 − f) f = 0.1966."""
    layer = Sigmoid()
    assert_allclose(layer.forward(np.array([1.0])), 0.7310585786, atol=1e-10)
    assert_allclose(layer.backward(np.array([1.0]))[0], 0.1966119332, atol=1e-10)


def test_sigmoid_by_hand():
    """σ(log 3) = 3/4, with the gradient 3/16; σ(0) = ½, with ¼; σ(−log 3) = ¼."""
    layer = Sigmoid()
    assert_allclose(layer.forward(np.log([3, 1, 1 / 3])), [0.75, 0.5, 0.25], rtol=1e-15)
    assert_allclose(layer.backward(np.full(3, 16.0))[0], [3, 4, 3], rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_far_out(dtype):
    layer = Sigmoid()
    y = layer.forward(np.array([-np.inf, -1e30, -1e4, 1e4, 1e30, np.inf], dtype))
    assert_allclose(y, [0, 0, 0, 1, 1, 1], atol=1e-37)
    assert_allclose(layer.backward(np.ones(6, dtype))[0], 0, atol=1e-37)


def test_sigmoid_keeps_the_digits_of_small_probabilities():
    y = Sigmoid().forward(np.array([-20, -80], np.float32))
    assert_allclose(y, [math.exp(-20), math.exp(-80)], rtol=1e-5)


def test_tanh_by_hand():
    """tanh(½ log 3) = ½, with the gradient ¾."""
    layer = Tanh()
    x = np.array([math.log(3) / 2, 0, -math.log(3) / 2])
    assert_allclose(layer.forward(x), [0.5, 0, -0.5], rtol=1e-15)
    assert_allclose(layer.backward(np.array([4.0, 1, 4]))[0], [3, 1, 3], rtol=1e-14)


@pytest.mark.parametrize("alpha", [1.0, 0.5, 3.0])
def test_elu_by_hand(alpha):
    """At −log 2: α (½ − 1), with the gradient α/2. At 0 the left side's gradient, α."""
    layer = ELU(alpha)
    x = np.array([-math.log(2), 0, 2, -1e4])
    assert_allclose(layer.forward(x), [-alpha / 2, 0, 2, -alpha], rtol=1e-15)
    assert_allclose(layer.backward(np.array([2.0, 1, 5, 7]))[0], [alpha, alpha, 5, 0], rtol=1e-15)


def test_elu_keeps_the_digits_of_small_numbers():
    """eˣ − 1 computed as such would give 0 here."""
    x = np.array([-1e-12], np.float32)
    assert_array_equal(ELU().forward(x), x)


@pytest.mark.parametrize("alpha", [0, -1, np.inf, np.nan])
def test_elu_alpha(alpha):
    with pytest.raises(ValueError, match=r"^ELU: alpha is .*, expected a finite number > 0"):
        ELU(alpha)
