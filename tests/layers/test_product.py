"""Large products left to the update: the same gradient, the same training, only later."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import layers.product
import layers.vector
from layers import BatchNorm, Dropout, Graph, Linear, ReLU, Sequential
from layers.product import Product
from losses import L1, L2, SoftmaxCrossEntropy
from losses.objective import Objective
from optim import SGD, Adam, RMSProp
from solver import Diverged, Solver

X = np.random.default_rng(0).standard_normal((40, 6))
Y = np.arange(40) % 3


@pytest.fixture
def small(monkeypatch):
    """Every product is a large one, every piece a few rows."""
    monkeypatch.setattr(layers.vector, "LARGE", 1)
    monkeypatch.setattr(layers.product, "PIECE_BYTES", 200)


def chain():
    net = Sequential(
        Linear(6, 8, rng=0), BatchNorm(8), ReLU(), Linear(8, 7, rng=1), ReLU(), Linear(7, 3, rng=2)
    )
    return net.astype(np.float64)


def nested():
    inner = Sequential(Linear(8, 7, rng=1), ReLU(), Dropout(0.2, rng=3))
    net = Sequential(Linear(6, 8, rng=0), ReLU(), inner, Linear(7, 3, rng=2))
    return net.astype(np.float64)


def skipping():
    graph = Graph()
    x = graph.input("x")
    h = graph.add(Linear(6, 6, rng=0, dtype=np.float64), x)
    graph.add(Linear(6, 3, rng=1, dtype=np.float64), h.relu() + x + h)
    return graph


@given(
    D=st.integers(1, 40),
    N=st.integers(1, 5),
    M=st.integers(1, 40),
    piece=st.integers(1, 4000),
    seed=st.integers(0, 99),
)
def test_pieces_are_the_rows_of_the_product_in_order(D, N, M, piece, seed):
    rng = np.random.default_rng(seed)
    x, dout = rng.normal(size=(N, D)), rng.normal(size=(N, M))
    before, layers.product.PIECE_BYTES = layers.product.PIECE_BYTES, piece
    try:
        product = Product()
        product.factors(x.T, dout)
        got = np.concatenate([part.copy() for part in product.pieces()])
    finally:
        layers.product.PIECE_BYTES = before
    expected = np.einsum("nd,nm->dm", x, dout)
    assert_allclose(got.reshape(D, M), expected, rtol=1e-12, atol=1e-12)
    whole = np.empty((D, M))
    product.multiply_out(whole)
    assert_allclose(whole, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", [chain, skipping])
def test_the_pieces_make_up_the_gradient(make, small):
    objective = Objective(make(), SoftmaxCrossEntropy())
    _, expected = Objective(make(), SoftmaxCrossEntropy()).data_loss_and_grad(X, Y)
    with objective.driven(by_pieces=True) as in_pieces:
        assert in_pieces
        _, rest = objective.data_loss_and_grad(X, Y)
        assert not np.allclose(rest, expected)  # the products are not in it yet
        got, end = np.full(expected.size, np.nan), 0
        for start, piece in objective.pieces():
            assert start == end
            end = start + piece.size
            got[start:end] = piece
        assert end == expected.size
        assert_allclose(got, expected, rtol=1e-12, atol=1e-14)
        objective.multiply_out()
        assert_allclose(rest, expected, rtol=1e-12, atol=1e-14)
        assert_allclose(objective.value_and_grad(X, Y)[1], expected, rtol=1e-12, atol=1e-14)
    assert_allclose(objective.data_loss_and_grad(X, Y)[1], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("net", [chain, nested, skipping])
@pytest.mark.parametrize(
    "rule",
    [lambda: SGD(0.1), lambda: SGD(0.1, momentum=0.9), lambda: Adam(0.01), lambda: RMSProp(0.01)],
    ids=["plain", "momentum", "adam", "rmsprop"],
)
def test_training_is_the_same_but_for_rounding(net, rule, monkeypatch):
    def trained(large):
        monkeypatch.setattr(layers.vector, "LARGE", large)
        monkeypatch.setattr(layers.product, "PIECE_BYTES", 200)
        objective = Objective(net(), SoftmaxCrossEntropy(), [L2(0.01), L1(0.001)])
        Solver(objective, rule(), epochs=4, batch_size=7, quiet=True).train((X, Y))
        return objective.theta

    assert_allclose(trained(1), trained(2**40), rtol=1e-9, atol=1e-12)


def test_the_same_bits_each_time(small):
    def trained():
        objective = Objective(chain(), SoftmaxCrossEntropy(), [L2(0.01)])
        Solver(objective, SGD(0.1), epochs=2, batch_size=7, quiet=True).train((X, Y))
        return objective.theta

    assert_array_equal(trained(), trained())


class Doubling:
    """Somebody else's layer, which writes into what it was given."""

    def forward(self, x):
        return 2 * x

    def backward(self, dout):
        dout *= 2
        return dout, {}


def shared():
    graph, layer = Graph(), Linear(6, 6, rng=0)
    twice = graph.add(layer, graph.add(layer, graph.input("x"), name="one"), name="two")
    graph.add(Linear(6, 3, rng=1), twice, name="last")
    return graph


@pytest.mark.parametrize(
    ("net", "left"),
    [
        (lambda: Sequential(Linear(6, 3, rng=0)), ["linear1.W"]),
        (lambda: Sequential(Linear(6, 4, rng=0, bias=False), Linear(4, 3, rng=0)), ["linear2.W"]),
        (lambda: Sequential(Linear(6, 4, rng=0), Doubling(), Linear(4, 3, rng=0)), []),
        (shared, ["last.W"]),
    ],
    ids=["plain", "no bias", "somebody else's", "shared"],
)
def test_which_products_are_left(net, left, small):
    vector = net().gather()
    with vector.driven(by_pieces=True):
        assert list(vector.products) == left
    assert not vector.products
    with vector.driven():
        assert not vector.products


@pytest.mark.parametrize("large", [1, 2**40])
def test_a_gradient_that_is_not_finite_is_found_in_both_ways(large, monkeypatch):
    """The last dout is infinite: so is the last layer's gradient, and it is named."""

    class Bad(SoftmaxCrossEntropy):
        def backward(self):
            dscores = super().backward()
            dscores[0, 0] = np.inf
            return dscores

    monkeypatch.setattr(layers.vector, "LARGE", large)
    objective = Objective(chain(), Bad())
    before = objective.theta.copy()
    with pytest.raises(Diverged, match=r"linear3: gradient of b holds inf"):
        Solver(objective, SGD(0.1), quiet=True).train((X, Y))
    assert_array_equal(objective.theta, before)
