"""What flows into the children of a container, and back into them."""

import numpy as np
import pytest

from gradcheck.containers import children_of, flows
from gradcheck.subject import Subject

X = np.array([[0.5, -1.5, 1.0]])
DOUT = np.array([[1.0, -0.5, 0.75]])


class Times:
    """y = a x."""

    def __init__(self, a):
        self.a = a

    def forward(self, x):
        self.x = x
        return self.a * x

    def backward(self, dout):
        return self.a * dout, {}


class Chain:
    """Children one after the other."""

    def __init__(self, children, name="children"):
        setattr(self, name, children)
        self.order = list(children.values() if isinstance(children, dict) else children)

    def forward(self, x):
        for child in self.order:
            x = child.forward(x)
        return x

    def backward(self, dout):
        for child in reversed(self.order):
            dout, _ = child.backward(dout)
        return dout, {}


@pytest.mark.parametrize("name", ["children", "layers"])
@pytest.mark.parametrize("kind", [list, tuple])
def test_children_of_a_list_go_by_number(name, kind):
    made = kind([Times(2.0), Times(3.0)])
    assert children_of(Chain(made, name)) == {"0": made[0], "1": made[1]}


def test_children_of_a_dictionary_go_by_name():
    children = {"one": Times(2.0), 2: Times(3.0)}
    assert children_of(Chain(children)) == {"one": children["one"], "2": children[2]}


def test_what_holds_anything_else_has_no_children():
    assert children_of(Times(1.0)) == {}
    assert children_of(Chain([])) == {}
    assert children_of(Chain([Times(1.0), "relu"])) == {}
    assert children_of(Chain([Times])) == {}
    mixed = Chain([Times(1.0)], "layers")
    mixed.children = 3
    assert children_of(mixed) == {"0": mixed.layers[0]}
    mixed.children = ["no layers"]
    assert children_of(mixed) == {"0": mixed.layers[0]}


def test_each_child_sees_what_its_container_gives_it():
    chain = Chain({"a": Times(2.0), "b": Times(-3.0)})
    seen = flows(Subject(chain, [X]), DOUT)
    assert list(seen) == ["a", "b"]
    np.testing.assert_array_equal(seen["a"].xs[0], X)
    np.testing.assert_array_equal(seen["b"].xs[0], 2 * X)
    np.testing.assert_array_equal(seen["b"].dout, DOUT)
    np.testing.assert_array_equal(seen["a"].dout, -3 * DOUT)
    assert seen["a"].written == seen["b"].written == []


def test_children_are_left_as_they_were():
    plain, own = Times(2.0), Times(3.0)
    forward = own.forward
    own.forward = forward
    flows(Subject(Chain([plain, own]), [X]), DOUT)
    assert "forward" not in vars(plain)
    assert "backward" not in vars(plain)
    assert "backward" not in vars(own)
    assert own.forward is forward


def test_a_child_that_is_not_called_has_no_flow():
    chain = Chain([Times(2.0), Times(3.0)])
    chain.order = chain.order[:1]
    assert list(flows(Subject(chain, [X]), DOUT)) == ["0"]


def test_a_container_that_raises_shows_what_flowed_until_then():
    class Raising(Times):
        def backward(self, dout):
            raise ValueError("no way back")

    chain = Chain([Raising(2.0), Times(3.0)])
    seen = flows(Subject(chain, [X]), DOUT)
    assert list(seen) == ["0", "1"]
    np.testing.assert_array_equal(seen["0"].dout, 3 * DOUT)
    assert "backward" not in vars(chain.order[0])


def test_children_that_cannot_be_listened_to_have_no_flows():
    class Fixed(Times):
        __slots__ = ("a", "x")

    class Slotted:
        __slots__ = ()

        def forward(self, x):
            return x.copy()

        def backward(self, dout):
            return dout.copy(), {}

    assert flows(Subject(Chain([Slotted()]), [X]), DOUT) == {}


@pytest.mark.parametrize("method", ["forward", "backward"])
def test_a_child_that_writes_into_what_it_is_given(method):
    class Writing(Times):
        def forward(self, x):
            y = super().forward(x)
            if method == "forward":
                x += 1.0
            return y

        def backward(self, dout):
            dx = self.a * dout
            if method == "backward":
                dout[...] = 0.0
            return dx, {}

    seen = flows(Subject(Chain([Times(2.0), Writing(3.0)]), [X]), DOUT)
    assert seen["0"].written == []
    assert seen["1"].written == [method]
    np.testing.assert_array_equal(seen["1"].xs[0], 2 * X)  # as it was before
    np.testing.assert_array_equal(seen["1"].dout, DOUT)
