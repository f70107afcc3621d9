import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from layers import BatchNorm, Dropout, Flatten, Linear, ReLU, Sequential, Tanh


def two_layers():
    """x (N, 2) → max(0, x W₁ + b₁) W₂, with small whole numbers."""
    net = Sequential(Linear(2, 2, rng=0), ReLU(), Linear(2, 1, rng=0, bias=False))
    net.params["linear1.W"][...] = [[1, -1], [2, 1]]
    net.params["linear1.b"][...] = [0, 1]
    net.params["linear2.W"][...] = [[3], [4]]
    return net


def test_two_layers_by_hand():
    net = two_layers()
    # x W₁ + b₁ = [5, 2] and [1, −1];  h = [5, 2] and [1, 0]
    assert_array_equal(net.forward([[1, 2], [3, -1]]), [[23], [3]])
    dx, grads = net.backward([[1], [10]])
    # dh = [3, 4] and [30, 40], of which the last 40 is stopped
    assert_array_equal(dx, [[3 * 1 + 4 * -1, 3 * 2 + 4 * 1], [30, 60]])
    assert list(grads) == ["linear1.W", "linear1.b", "linear2.W"]
    assert_array_equal(grads["linear1.W"], [[3 + 90, 4], [6 - 30, 8]])
    assert_array_equal(grads["linear1.b"], [33, 4])
    assert_array_equal(grads["linear2.W"], [[5 + 10], [2]])


def test_without_an_activation_it_is_a_linear_map_again():
    """The lecture's W₂ W₁ x."""
    net = Sequential(Linear(3, 4, rng=0, dtype=float), Linear(4, 2, rng=1, dtype=float))
    x = np.random.default_rng(0).standard_normal((5, 3))
    W = net.params["linear1.W"] @ net.params["linear2.W"]
    assert_allclose(net.forward(x), x @ W, rtol=1e-12)


def test_names():
    inner = Sequential(Linear(2, 2, rng=0), out=Linear(2, 2, rng=0, bias=False))
    net = Sequential(Linear(2, 2, rng=0), ReLU(), Linear(2, 2, rng=0), inner, BatchNorm(2))
    assert list(net.children) == ["linear1", "relu1", "linear2", "sequential1", "batchnorm1"]
    assert list(net.params) == [
        "linear1.W",
        "linear1.b",
        "linear2.W",
        "linear2.b",
        "sequential1.linear1.W",
        "sequential1.linear1.b",
        "sequential1.out.W",
        "batchnorm1.gamma",
        "batchnorm1.beta",
    ]
    assert list(net.state) == ["batchnorm1.running_mean", "batchnorm1.running_var"]
    assert net.weights == (
        "linear1.W",
        "linear2.W",
        "sequential1.linear1.W",
        "sequential1.out.W",
    )
    net.forward(np.ones((3, 2)))
    assert list(net.backward(np.ones((3, 2)))[1]) == list(net.params)


def test_named_children_come_after_those_in_order():
    assert list(Sequential(ReLU(), act=Tanh(), relu2=ReLU()).children) == ["relu1", "act", "relu2"]


def test_what_it_cannot_be_made_of():
    with pytest.raises(ValueError, match="no layers, expected at least one"):
        Sequential()
    with pytest.raises(TypeError, match=r"linear1 is .*, expected forward and backward"):
        Sequential(linear1=np.ones(3))
    with pytest.raises(ValueError, match="two children named 'relu1'"):
        Sequential(ReLU(), relu1=ReLU())
    relu = ReLU()
    with pytest.raises(ValueError, match=r"relu1 and sequential1\.relu1 are one object"):
        Sequential(relu, Sequential(relu))


def test_an_error_names_the_child_down_to_the_leaf():
    net = Sequential(Flatten(), head=Sequential(Linear(4, 3, rng=0), ReLU(), Linear(5, 2, rng=0)))
    with pytest.raises(ValueError) as e:
        net.forward(np.ones((2, 4)))
    assert str(e.value) == "head: linear2: Linear: x has shape (2, 3), expected (N, 5)"
    net = Sequential(Linear(4, 3, rng=0), ReLU())
    with pytest.raises(RuntimeError, match=r"^relu1: ReLU: backward before forward$"):
        net.backward(np.ones((2, 3)))
    net.forward(np.ones((2, 4)))
    with pytest.raises(
        ValueError, match=r"^relu1: ReLU: dout has shape \(2, 4\), expected \(2, 3\)$"
    ):
        net.backward(np.ones((2, 4)))


def test_the_first_dx_is_not_computed_when_nobody_reads_it():
    net = Sequential(Flatten(), Linear(4, 3, rng=0), ReLU())
    net.forward(np.ones((2, 2, 2)))
    called = []
    net.children["flatten1"].backward = lambda dout: called.append("flatten1")
    net.children["linear1"].backward = lambda dout: called.append("linear1")
    grads = net.parameter_gradients(np.ones((2, 3)))
    assert called == []
    assert list(grads) == ["linear1.W", "linear1.b"]
    assert Sequential(ReLU()).parameter_gradients(np.ones(3)) == {}


def test_training_reaches_every_child():
    net = Sequential(Dropout(rng=0), Sequential(BatchNorm(3)))
    leaves = [leaf for _, leaf in net.leaves()]
    assert net.training
    net.training = False
    assert not net.training
    assert not any(leaf.training for leaf in leaves)
    net.children["dropout1"].training = True
    with net.evaluating():
        assert not any(leaf.training for leaf in leaves)
    assert [leaf.training for leaf in leaves] == [True, False]


def test_evaluating_puts_back_after_an_error():
    net = Sequential(Dropout(rng=0))
    with pytest.raises(ZeroDivisionError), net.evaluating():
        raise ZeroDivisionError
    assert net.training


def test_a_copy_of_a_gathered_network_is_independent():
    net = two_layers()
    vector = net.gather()
    twin = copy.deepcopy(net)
    x = np.array([[1.0, 2]])
    twin.params["linear1.W"][...] = 0
    twin.gather().theta[...] *= 2
    assert_array_equal(net.forward(x), [[23]])
    assert vector.holds(net.params)
    assert not any(np.shares_memory(value, vector.theta) for value in twin.params.values())
    vector.theta[...] = 0
    assert twin.params["linear2.W"].tolist() == [[6], [8]]


def test_a_copy_made_while_driven_is_by_hand():
    net = two_layers()
    x = np.array([[1.0, 2]])
    with net.gather().driven():
        net.forward(x)
        twin = copy.deepcopy(net)
        assert twin.forward(x) is not twin.forward(x)
        grads = twin.backward(np.ones((1, 1)))[1]
        assert not any(np.shares_memory(v, net.gather().grad) for v in grads.values())


def test_another_type():
    net = two_layers()
    net.gather()
    wide = net.astype(np.float64)
    assert wide.dtype == np.float64
    assert net.dtype == np.float32
    assert wide.forward([[1, 2]]).dtype == np.float64
    assert wide.gather().theta.dtype == np.float64
    assert net.gather().holds(net.params)


def test_repr():
    assert repr(Sequential(Linear(2, 3, rng=0), act=ReLU())) == (
        "Sequential(linear1=Linear(W (2, 3), b (3,)), act=ReLU())"
    )


def test_a_class_is_no_layer():
    with pytest.raises(
        TypeError, match=r"Sequential: ReLU is the class, expected a layer: ReLU\(…\)"
    ):
        Sequential(Linear(2, 2, rng=0), ReLU)
