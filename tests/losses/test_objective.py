"""The objective: its parts, its gradient in both ways."""

import copy

import numpy as np
import pytest

import blas
from layers import BatchNorm, Graph, Linear, ReLU, Sequential
from losses import L1, L2, MulticlassHinge, SoftmaxCrossEntropy
from losses.objective import Objective

X = np.random.default_rng(0).standard_normal((12, 5))
Y = np.arange(12) % 3


class Doubling:
    """A layer of one's own, by the plain contract alone."""

    def __init__(self):
        self.params = {"a": np.array([2.0, 1.0, -1.0])}

    def forward(self, x):
        self.x = x
        return x * self.params["a"]

    def backward(self, dout):
        return dout * self.params["a"], {"a": (dout * self.x).sum(axis=0)}


def linear(D, M, seed):
    return Linear(D, M, rng=seed, dtype=np.float64)


def chain():
    net = Sequential(linear(5, 6, 0), BatchNorm(6).astype(np.float64), ReLU(), linear(6, 3, 1))
    net.training = True
    return net


def with_ones_own():
    return Sequential(linear(5, 3, 0), Doubling(), linear(3, 3, 1))


def graph():
    net = Graph()
    x = net.input("x")
    h = net.add(linear(5, 5, 0), x)
    net.add(linear(5, 3, 1), h.relu() + x)
    return net


@pytest.mark.parametrize("net", [chain, with_ones_own, graph])
@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy, MulticlassHinge])
def test_the_gradient_is_the_same_by_hand_and_driven(net, loss):
    objective = Objective(net(), loss())
    value, expected = objective.data_loss_and_grad(X, Y)
    with objective.driven():
        for _ in range(3):  # written down, if it can be, and played again
            again, driven = objective.data_loss_and_grad(X, Y)
            assert again == pytest.approx(value, rel=1e-12)
            np.testing.assert_allclose(driven, expected, rtol=1e-12, atol=1e-15)


def test_the_total_adds_the_penalties_of_the_weights_alone():
    objective = Objective(chain(), SoftmaxCrossEntropy(), [L2(0.1), L1(0.02)])
    data_loss, data_grad = objective.data_loss_and_grad(X, Y)
    total, grad = objective.value_and_grad(X, Y)
    W = np.concatenate([objective.net.params[f"linear{i}.W"].ravel() for i in (1, 2)])
    n = objective.n_weights
    np.testing.assert_array_equal(objective.theta[:n], W)
    assert total - data_loss == pytest.approx(0.1 * (W**2).sum() + 0.02 * np.abs(W).sum())
    np.testing.assert_allclose(grad[:n], data_grad[:n] + 0.2 * W + 0.02 * np.sign(W), rtol=1e-12)
    np.testing.assert_array_equal(grad[n:], data_grad[n:])


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy, MulticlassHinge])
@pytest.mark.parametrize("classes", [3, 130])  # laid out with the classes first in memory, or not
def test_replayed_on_other_numbers(loss, classes):
    """The same arrays, other samples: what the layers' calls give, bit for bit."""
    net = Sequential(linear(5, 6, 0), BatchNorm(6).astype(np.float64), linear(6, classes, 1))
    net.training = True
    objective, by_hand = Objective(net, loss()), Objective(copy.deepcopy(net), loss())
    rng, x, y = np.random.default_rng(1), X.copy(), Y.copy()
    with objective.driven():
        for _ in range(4):
            x[...], y[...] = rng.standard_normal(x.shape), rng.integers(0, classes, len(y))
            value, grad = objective.data_loss_and_grad(x, y)
            expected, by_hand_grad = by_hand.data_loss_and_grad(x, y)
            assert value == expected
            assert objective.data_loss == expected
            np.testing.assert_array_equal(grad, by_hand_grad)
        assert (
            objective.data_loss_and_grad(x[:7], y[:7])[0]
            == by_hand.data_loss_and_grad(x[:7], y[:7])[0]
        )  # another batch


def test_what_is_replayed_is_what_can_be():
    class OwnLoss(SoftmaxCrossEntropy):
        """Which may do anything in Python."""

    def replayed(net, loss, y=Y):
        objective = Objective(net, loss)
        with objective.driven():
            objective.data_loss_and_grad(X, y)
            return objective._recorded is not None

    assert replayed(chain(), SoftmaxCrossEntropy())
    assert not replayed(chain(), OwnLoss())
    assert not replayed(chain(), SoftmaxCrossEntropy(class_weights=[1, 2, 3]))
    assert not replayed(chain(), SoftmaxCrossEntropy(), Y.astype(np.uint8))
    assert not replayed(with_ones_own(), SoftmaxCrossEntropy())
    assert not replayed(graph(), SoftmaxCrossEntropy())


@pytest.mark.parametrize("put_off", [False, True])
def test_products_are_the_weights_gradients(put_off):
    objective = Objective(chain(), SoftmaxCrossEntropy())
    n = objective.n_weights
    _, expected = objective.data_loss_and_grad(X, Y)
    assert list(objective.products) == []
    with objective.driven():
        for _ in range(2):
            _, grad = objective.data_loss_and_grad(X, Y, put_off=put_off)
            grad = grad.copy()
            assert len(objective.products) == 2 * (put_off and blas.there(grad.dtype))
            if objective.products:
                grad[:n] = 3
                for product in objective.products:
                    product.add_to(grad, 0.5, 2)
                grad[:n] = 2 * (grad[:n] - 6)
            np.testing.assert_allclose(grad, expected, rtol=1e-11, atol=1e-14)
    assert list(objective.products) == []
