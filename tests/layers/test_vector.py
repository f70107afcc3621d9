import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from layers import BatchNorm, Linear, Maxout, ReLU, Sequential


def network():
    return Sequential(
        Linear(2, 3, rng=0),
        BatchNorm(3),
        ReLU(),
        Sequential(Maxout(3, 2, rng=1)),
        scores=Linear(2, 1, rng=2),
    )


def test_weights_come_first_and_nothing_is_lost():
    net = network()
    before = {name: value.copy() for name, value in net.params.items()}
    vector = net.gather()
    W = ["linear1.W", "sequential1.maxout1.W", "scores.W"]
    rest = ["linear1.b", "batchnorm1.gamma", "batchnorm1.beta", "sequential1.maxout1.b", "scores.b"]
    assert list(vector.views) == W + rest
    assert vector.n_weights == 6 + 12 + 2
    assert vector.theta.size == vector.grad.size == 20 + 3 + 3 + 3 + 4 + 1
    assert_array_equal(vector.theta, np.concatenate([before[name].ravel() for name in W + rest]))
    assert list(net.params) == list(before)  # the network's own order stays
    for name, value in net.params.items():
        assert value is vector.views[name]
        assert_array_equal(value, before[name])
    assert vector.theta.flags.c_contiguous
    assert vector.theta.dtype == np.float32


def test_theta_is_the_network():
    net = Sequential(Linear(2, 2, rng=0))
    vector = net.gather()
    vector.theta[...] = [1, 2, 3, 4, 10, 20]
    assert_array_equal(net.forward([[1, 1]]), [[14, 26]])
    net.params["linear1.b"][...] = 0
    assert_array_equal(vector.theta, [1, 2, 3, 4, 0, 0])


def test_gathering_again_gives_the_same_unless_somebody_replaced_an_array():
    net = network()
    vector = net.gather()
    assert net.gather() is vector
    net.children["linear1"].params["b"] = np.ones(3, np.float32)
    assert not vector.holds(net.params)
    again = net.gather()
    assert again is not vector
    assert again.holds(net.params)
    assert_array_equal(net.params["linear1.b"], [1, 1, 1])


def test_a_part_gathered_on_its_own_is_noticed():
    inner = Sequential(Linear(2, 2, rng=0))
    net = Sequential(inner)
    vector = net.gather()
    inner.gather()
    assert not vector.holds(net.params)
    assert net.gather().holds(net.params)


def test_collect_takes_gradients_from_anywhere():
    net = Sequential(Linear(2, 2, rng=0))
    vector = net.gather()
    vector.collect({"linear1.W": np.arange(4.0).reshape(2, 2), "linear1.b": np.array([7, 8.0])})
    assert_array_equal(vector.grad, [0, 1, 2, 3, 7, 8])
    vector.collect(dict(vector.grad_views))
    assert_array_equal(vector.grad, [0, 1, 2, 3, 7, 8])


def test_driven_gradients_are_written_in_place():
    net = network()
    vector = net.gather()
    x, dout = np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)
    with vector.driven():
        net.forward(x)
        for name, value in net.parameter_gradients(dout).items():
            assert value is vector.grad_views[name]
    with pytest.raises(RuntimeError, match="backward before forward"):
        net.backward(dout)  # what forward cached was in the buffers


def test_one_type():
    net = Sequential(Linear(2, 2, rng=0), Linear(2, 2, rng=0, dtype=np.float64))
    with pytest.raises(TypeError, match=r"linear1\.W float32, linear2\.W float64.*expected one"):
        net.gather()
    assert net.astype(np.float32).gather().dtype == np.float32


def test_parameters_are_float_arrays():
    class Counter:
        def __init__(self, value):
            self.params = {"n": value}

        def forward(self, x):
            return x

        def backward(self, dout):
            return dout, {"n": np.zeros(1)}

    for value in (np.zeros(1, int), 1.0):
        with pytest.raises(TypeError, match=r"^counter1: parameter n is not a float array"):
            Sequential(Counter(value)).gather()


def test_params_that_cannot_be_replaced():
    class Fixed:
        def forward(self, x):
            return x

        def backward(self, dout):
            return dout, {"W": np.zeros((1, 1))}

        @property
        def params(self):
            return {"W": np.zeros((1, 1))}

    with pytest.raises(TypeError, match=r"^fixed1: parameter W cannot be replaced"):
        Sequential(Fixed()).gather()


def test_nothing_to_learn():
    vector = Sequential(ReLU()).gather()
    assert vector.theta.shape == (0,)
    assert vector.n_weights == 0


@given(st.lists(st.integers(1, 5), min_size=2, max_size=5))
def test_any_sizes(sizes):
    net = Sequential(*(Linear(D, M, rng=0) for D, M in itertools.pairwise(sizes)))
    vector = net.gather()
    products = [D * M for D, M in itertools.pairwise(sizes)]
    assert vector.n_weights == sum(products)
    assert vector.theta.size == sum(products) + sum(sizes[1:])
    vector.theta[:] = np.arange(vector.theta.size)
    numbers = np.sort(np.concatenate([value.ravel() for value in net.params.values()]))
    assert_array_equal(numbers, np.arange(vector.theta.size))
