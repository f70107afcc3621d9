"""Layers that somebody else wrote and that inherit from nothing, in a container."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from layers import Layer, Linear, ReLU, Sequential


class Double:
    """No params, no state, no flag: just the two methods."""

    def forward(self, x):
        self.x = x
        return 2 * x

    def backward(self, dout):
        return 2 * dout, {}


class Affine:
    """A student's layer: float64, `self.W` beside `params["W"]`."""

    def __init__(self, D, M):
        rng = np.random.default_rng(0)
        self.W = rng.standard_normal((D, M)).astype(np.float32)
        self.b = np.zeros(M, np.float32)
        self.params = {"W": self.W, "b": self.b}

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        return dout @ self.W.T, {"b": dout.sum(axis=0), "W": self.x.T @ dout}


class Property(Affine):
    """`params` made anew at each look."""

    def __init__(self, D, M):
        rng = np.random.default_rng(0)
        self.W, self.b = rng.standard_normal((D, M)).astype(np.float32), np.zeros(M, np.float32)

    @property
    def params(self):
        return {"W": self.W, "b": self.b}


class PropertyLayer(Property, Layer):
    """The same, that inherits from Layer."""


def like(layer):
    """Our own layer with the same numbers."""
    own = Linear(*layer.W.shape, rng=0)
    own.params["W"][...], own.params["b"][...] = layer.W, layer.b
    return own


X = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)
DOUT = np.random.default_rng(2).standard_normal((4, 2)).astype(np.float32)


@pytest.mark.parametrize("kind", [Affine, Property, PropertyLayer])
@pytest.mark.parametrize("place", ["first", "last", "nested"])
def test_it_gives_what_our_own_gives_by_hand_and_driven(kind, place):
    def build(make):
        one, two = make(kind(3, 5)), make(kind(5, 2))
        if place == "first":
            return Sequential(one=one, relu=ReLU(), two=like(kind(5, 2)))
        if place == "last":
            return Sequential(one=like(kind(3, 5)), relu=ReLU(), two=two)
        return Sequential(one=one, inner=Sequential(relu=ReLU(), two=two))

    net, own = build(lambda layer: layer), build(like)
    assert_array_equal(net.forward(X), own.forward(X))
    (dx, grads), (own_dx, own_grads) = net.backward(DOUT), own.backward(DOUT)
    assert_array_equal(dx, own_dx)
    assert list(grads) == list(own_grads) == list(net.params)
    for name, value in own_grads.items():
        np.testing.assert_allclose(grads[name], value, rtol=1e-6)
    assert net.weights == own.weights

    vector = net.gather()
    assert vector.holds(net.params)
    with vector.driven():
        net.forward(X)
        vector.collect(net.parameter_gradients(DOUT))
    for name, value in own_grads.items():
        np.testing.assert_allclose(vector.grad_views[name], value, rtol=1e-6)

    vector.theta[...] = 0  # reaches self.W, the name that forward reads
    assert not net.forward(X).any()


def test_two_methods_are_enough():
    net = Sequential(Double(), Double())
    assert_array_equal(net.forward(X), 4 * X)
    dx, grads = net.backward(X)
    assert_array_equal(dx, 4 * X)
    assert grads == {} == net.params == net.state
    net.training = False
    with net.evaluating():
        net.forward(X)


def test_copies_and_types():
    net = Sequential(Affine(3, 2))
    net.gather()
    twin, wide = copy.deepcopy(net), net.astype(np.float64)
    child = wide.children["affine1"]
    assert child.W is child.params["W"]
    assert child.W.dtype == np.float64
    twin.params["affine1.W"][...] = 0
    assert not twin.forward(X).any()
    assert net.forward(X).any()


class Wrong(Affine):
    """Affine that answers something else."""

    def __init__(self, answer, forward=None):
        super().__init__(3, 2)
        self.answer, self.wrong_forward = answer, forward

    def forward(self, x):
        y = super().forward(x)
        return y if self.wrong_forward is None else self.wrong_forward(y)

    def backward(self, dout):
        return self.answer(*super().backward(dout))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda dx, grads: None, r"backward returned None, expected \(dx, grads\)"),
        (lambda dx, grads: dx, r"backward returned a ndarray, expected \(dx, grads\)"),
        (
            lambda dx, grads: (dx, grads, 0),
            r"backward returned a tuple of 3, expected",
        ),
        (lambda dx, grads: (None, grads), r"backward returned for dx None, expected an array"),
        (lambda dx, grads: (dx.T, grads), r"dx has shape \(3, 4\), expected \(4, 3\) as x"),
        (lambda dx, grads: (dx, list(grads)), r"returned a list for grads, expected a dictionary"),
        (
            lambda dx, grads: (dx, {"W": grads["W"]}),
            r"gradients of \['W'\], expected those of \['W', 'b'\]",
        ),
        (lambda dx, grads: (dx, None), r"gradients of \[\], expected those of \['W', 'b'\]"),
        (
            lambda dx, grads: (dx, {**grads, "c": 1}),
            r"gradients of \['W', 'b', 'c'\], expected those of \['W', 'b'\]",
        ),
        (
            lambda dx, grads: (dx, {**grads, "W": grads["W"].T}),
            r"dW has shape \(2, 3\), expected \(3, 2\) as W",
        ),
        (
            lambda dx, grads: (dx, {**grads, "b": np.ones((4, 2))}),
            r"db has shape \(4, 2\), expected \(2,\) as b",
        ),
    ],
)
def test_a_wrong_backward_is_told_with_the_childs_name(answer, message):
    net = Sequential(ReLU(), mine=Wrong(answer))
    net.forward(X)
    with pytest.raises(ValueError, match=rf"^mine: .*{message}"):
        net.backward(DOUT)


def test_a_forward_without_return():
    net = Sequential(mine=Wrong(None, forward=lambda y: None), relu=ReLU())
    with pytest.raises(ValueError, match=r"^mine: forward returned None, expected an array$"):
        net.forward(X)


def test_backward_before_forward_names_the_child():
    for call in ("backward", "parameter_gradients"):
        with pytest.raises(RuntimeError, match=r"^affine1: backward before forward$"):
            getattr(Sequential(Affine(3, 2)), call)(DOUT)


def test_a_copy_in_another_type_has_run_no_forward():
    net = Sequential(Affine(3, 2))
    net.forward(X)
    with pytest.raises(RuntimeError, match=r"^affine1: backward before forward$"):
        net.astype(np.float64).backward(DOUT)


def test_an_error_of_its_own_names_the_child_and_keeps_its_kind():
    class Picky(Double):
        def __init__(self, error):
            self.error = error

        def forward(self, x):
            raise self.error

    for error in (ValueError("no"), TypeError("no"), RuntimeError("no")):
        with pytest.raises(type(error), match=r"^picky1: no$"):
            Sequential(Picky(error)).forward(X)
    with pytest.raises(KeyError):
        Sequential(Picky(KeyError("no"))).forward(X)


def test_integers_have_no_gradient():
    class Look:
        """Rows of a table, by whole numbers."""

        def __init__(self):
            self.params = {"table": np.arange(6, dtype=np.float32).reshape(3, 2)}

        def forward(self, x):
            self.x = x
            return self.params["table"][x]

        def backward(self, dout):
            dtable = np.zeros((3, 2), np.float32)
            np.add.at(dtable, self.x, dout)
            return None, {"table": dtable}

    net = Sequential(Look(), Linear(2, 2, rng=0))
    net.forward(np.array([0, 2, 2]))
    dx, grads = net.backward(np.ones((3, 2)))
    assert dx is None
    assert grads["look1.table"].shape == (3, 2)
    assert not grads["look1.table"][1].any()
