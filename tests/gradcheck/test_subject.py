"""Somebody's layer: what is read of it, how it is called and moved, what it returns."""

import types

import numpy as np
import pytest

from gradcheck.subject import (
    ContractError,
    Counts,
    FunctionLayer,
    LayerRaisedError,
    Leaf,
    Subject,
    UnusableError,
    _positional,
    as_float,
    as_output,
    build,
    is_layer,
)

X = np.array([[1.0, -2.0], [0.5, 4.0]])


class Scale:
    """y = w x."""

    def __init__(self, dtype=np.float64):
        self.params = {"w": np.array([2.0, -1.0], dtype)}

    def forward(self, x):
        self.x = x
        return x * self.params["w"]

    def backward(self, dout):
        return dout * self.params["w"], {"w": (dout * self.x).sum(0)}


def holding(params, **attributes):
    layer = Scale()
    layer.params = params
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


# -- what there is -------------------------------------------------------------------------


def test_leaves_are_the_inputs_and_parameters_of_floats():
    subject = Subject(holding({"w": np.ones(2), "n": np.array([3])}), [X, np.arange(2), X])
    assert [(leaf.about, leaf.is_input, leaf.key) for leaf in subject.leaves] == [
        ("dx[0]", True, 0),
        ("dx[2]", True, 2),
        ("dw", False, "w"),
    ]
    assert [leaf.noun for leaf in subject.leaves] == ["x[0]", "x[2]", "w"]
    assert subject.sizes() == 4 + 4 + 2
    assert subject.value(subject.leaves[1]) is subject.xs[2]
    assert subject.value(subject.leaves[2]) is subject.params["w"]


def test_one_input_is_dx_and_a_losss_is_dscores():
    assert [leaf.about for leaf in Subject(Scale(), [X]).leaves] == ["dx", "dw"]
    loss = Subject(holding({}), [X, X], "loss")
    assert [leaf.about for leaf in loss.leaves] == ["dscores"]
    assert loss.input_name(1) == "darg[1]"
    assert Subject(Scale(), [X]).input_name(0, several=True) == "dx[0]"


@pytest.mark.parametrize("params", [None, dict, {}])
def test_a_layer_may_have_no_parameters(params):
    assert Subject(holding(params), [X]).params == {}
    bare = types.SimpleNamespace(forward=lambda x: x, backward=lambda dout: dout)
    assert Subject(bare, [X]).params == {}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ([np.ones(2)], "params is a list, not a dict of arrays"),
        ({"w": "two"}, "params['w'] is a str, not an array of floats"),
        ({"w": 2}, "params['w'] is a int, not an array of floats"),
    ],
)
def test_parameters_are_a_dictionary_of_arrays(params, words):
    with pytest.raises(UnusableError) as caught:
        Subject(holding(params), [X])
    assert str(caught.value) == words


def test_parameters_that_cannot_be_moved_are_refused():
    fixed = np.ones(2)
    fixed.flags.writeable = False
    with pytest.raises(UnusableError, match="read-only"):
        Subject(holding({"w": fixed}), [X])

    class Copying(Scale):
        @property
        def params(self):
            return {"w": self.w.copy()}

        @params.setter
        def params(self, value):
            self.w = value["w"]

    with pytest.raises(UnusableError, match="gives copies"):
        Subject(Copying(), [X])


def test_attributes_are_taken_as_parameters_when_named():
    layer = holding(None, w=np.array([3.0, 1.0]), n=2)
    subject = Subject(layer, [X])
    subject.adopt(["w", "n", "v"])
    assert list(subject.params) == ["w"]
    assert subject.params["w"] is layer.w
    assert [leaf.about for leaf in subject.leaves] == ["dx", "dw"]


class Number:
    """y = a x with a plain number, kept twice."""

    def __init__(self, a=2.0):
        self.params = {"a": a}
        self.a = a

    def forward(self, x):
        self.x = x
        return self.params["a"] * x + 0 * self.a

    def backward(self, dout):
        return self.params["a"] * dout, {"a": float(np.sum(dout * self.x))}


def test_a_plain_number_is_moved_where_it_stands():
    layer = Number()
    subject = Subject(layer, [X])
    leaf = subject.leaves[1]
    assert (leaf.about, subject.params["a"]) == ("da", 2.0)
    np.testing.assert_array_equal(subject.at_entry(leaf, 0, 3.0), 3 * X)
    assert (layer.params["a"], layer.a, subject.params["a"]) == (2.0, 2.0, 2.0)
    subject.write(leaf, np.array(5.0))
    assert (layer.params["a"], layer.a, subject.params["a"]) == (5.0, 5.0, 5.0)
    layer.a = 7
    subject.write(leaf, np.array(4.0))
    assert (layer.params["a"], layer.a) == (4.0, 7)


def test_a_plain_number_set_by_the_layer_is_followed():
    layer = Number()
    subject = Subject(layer, [X])
    layer.params["a"] = 6.0
    subject.forward(restore=False)
    assert subject.params["a"] == 6.0


# -- calling -------------------------------------------------------------------------------


def test_counts_add_up_and_keep_the_first_note():
    counts = Counts(1, 2)
    counts.add(Counts(10, 20))
    assert (counts.forwards, counts.backwards) == (11, 22)
    counts.note("c", "first")
    counts.note("c", "second")
    assert counts.written == {"c": "first"}


def test_calls_are_counted():
    subject = Subject(Scale(), [X])
    subject.forward()
    subject.backward(np.ones((2, 2)))
    subject.gradients(np.ones((2, 2)))
    assert (subject.counts.forwards, subject.counts.backwards) == (2, 2)


class Counter:
    """y = x + the number of calls so far."""

    def __init__(self):
        self.calls = 0
        self.rng = np.random.default_rng(3)

    def forward(self, x):
        self.calls += 1
        return x + self.calls + self.rng.random()

    def backward(self, dout):
        return dout.copy(), {}


def test_every_forward_starts_from_the_same_state_unless_told_otherwise():
    subject = Subject(Counter(), [X])
    one, two = subject.forward(), subject.forward()
    np.testing.assert_array_equal(one, two)
    assert np.all(subject.forward(restore=False) != two)
    np.testing.assert_array_equal(subject.forward(), one)
    leaf = subject.leaves[0]
    np.testing.assert_array_equal(subject.at({}), one)
    np.testing.assert_array_equal(subject.at({}), one)
    moved = subject.at_entry(leaf, 0, 1.0)
    np.testing.assert_array_equal(moved, one)
    assert len(subject.generators()) == 1


def test_forward_is_given_copies_in_the_same_order_of_memory():
    class Keeping(Scale):
        def forward(self, x):
            self.given = x
            return super().forward(x)

    x = np.asfortranarray(X)
    layer = Keeping()
    subject = Subject(layer, [x])
    calls = [
        subject.forward,
        lambda: subject.at_entry(subject.leaves[0], 0, 1.0),
        lambda: subject.at_entry(subject.leaves[1], 0, 1.0),
    ]
    for call in calls:
        call()
        assert layer.given is not x
        assert layer.given.flags.f_contiguous
    subject.at({})
    assert layer.given is not x
    subject.forward([3 * X])
    np.testing.assert_array_equal(layer.given, 3 * X)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (None, "forward returns None; right would be one array"),
        ((X, X), "forward returns a tuple of 2; right would be one array"),
        ({"y": X}, "forward returns a dict; right would be one array"),
        (np.array(["a"]), "forward returns dtype <U1; right would be floats"),
        (np.array([1j]), "forward returns dtype complex128; right would be floats"),
        ([[1.0], [1.0, 2.0]], "forward returns no array"),
    ],
)
def test_an_output_is_an_array_of_floats(y, words):
    with pytest.raises(ContractError) as caught:
        as_output(y)
    assert (caught.value.about, caught.value.cause) == ("forward", "dtype")
    assert str(caught.value) == words


@pytest.mark.parametrize("y", [1.0, 2, True, [1.0, 2.0], np.float32(1.5), np.ones(2, np.float32)])
def test_an_output_is_a_fresh_float64_array(y):
    out = as_output(y)
    assert out.dtype == np.float64
    assert out is not y
    np.testing.assert_array_equal(out, y)


def test_gradients_that_are_not_real_are_not_numbers():
    assert np.isnan(as_float(np.array([1j, 2.0]))).all()
    assert as_float(np.array([1, 2])).dtype == np.float64


@pytest.mark.parametrize(
    ("y", "dtype"),
    [
        (np.ones(2, np.float32), np.float32),
        (np.ones(2), np.float64),
        (1.0, np.float64),
        (np.ones(2, int), np.float64),
        (np.float32(1), np.float32),
    ],
)
def test_dout_is_of_the_type_of_the_output(y, dtype):
    subject = Subject(Scale(), [X])
    subject.last_y = y
    assert subject.output_dtype() == dtype


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_what_a_layer_raises_is_told_in_one_line(where):
    class Raising(Scale):
        def forward(self, x):
            if where == "forward":
                raise ValueError("first line\nsecond line")
            return x

        def backward(self, dout):
            raise KeyError

    subject = Subject(Raising(), [X])
    with pytest.raises(LayerRaisedError) as caught:
        subject.gradients(np.ones((2, 2)))
    assert caught.value.where == where
    words = {"forward": "forward raises ValueError: first line", "backward": "backward raises Key"}
    assert str(caught.value).startswith(words[where])
    assert "second" not in str(caught.value)
    assert (subject.counts.forwards, subject.counts.backwards) == (1, int(where == "backward"))


def test_what_forward_and_backward_write_into_is_noted():
    class Writing(Scale):
        def forward(self, x):
            self.x = x
            return x * self.params["w"]

        def backward(self, dout):
            self.x += 1
            dout += 1
            self.params["w"] += 1
            return dout.copy(), {"w": np.ones(2)}

    subject = Subject(Writing(), [X])
    subject.forward()
    assert subject.counts.written == {}
    subject.backward(np.ones((2, 2)))
    assert subject.counts.written == {
        "upstream-mutated": "backward writes into dout, which is not its own",
        "input-mutated": "backward writes into x, which is not its own",
        "parameters-mutated": "backward changes the parameter w; only an optimizer may",
    }


def test_large_layers_are_not_copied_around_each_call(monkeypatch):
    subject = Subject(Scale(), [X])
    for most, watched in ((6, True), (5, False)):  # four inputs and two parameters
        monkeypatch.setattr("gradcheck.subject.MOST", most)
        assert (subject._watch([X]) is not None) == watched


# -- sorting out ---------------------------------------------------------------------------

G, H = np.ones((2, 2)), np.zeros((2, 2))
W = np.ones(2)


def sorted_out(raw, n=1, kind="layer", xs=None, **attributes):
    layer = Scale()
    for name, value in attributes.items():
        setattr(layer, name, value)
    return Subject(layer, xs or [X] * n, kind).sorted_out(raw)


@pytest.mark.parametrize(
    ("raw", "n"),
    [((G, {}), 1), (G, 1), ((G,), 1), (((G,), {}), 1), ([G, {}], 1)],
)
def test_a_gradient_of_one_input_in_any_wrapping(raw, n):
    found = sorted_out(raw, n)
    assert list(found) == ["dx"]
    assert found["dx"] is G


def test_gradients_of_several_inputs_in_any_wrapping():
    for raw in (((G, H), {}), (G, H), [G, H], ([G, H], {})):
        found = sorted_out(raw, 2)
        assert list(found) == ["dx[0]", "dx[1]"]
        assert found["dx[0]"] is G
        assert found["dx[1]"] is H


def test_one_gradient_is_the_real_inputs_whatever_others_there_are():
    found = sorted_out((G, {}), xs=[np.arange(2), X])
    assert list(found) == ["dx[1]"]
    assert found["dx[1]"] is G
    assert list(sorted_out(((None, G), {}), xs=[np.arange(2), X])) == ["dx[1]"]
    assert list(sorted_out(((W, G), {}), xs=[np.arange(2), X])) == ["dx[0]", "dx[1]"]


@pytest.mark.parametrize("raw", [(G, {}), G, ((G, G, G), {}), ((G,), {}), None])
def test_a_gradient_of_no_known_input_is_an_error(raw):
    with pytest.raises(ContractError) as caught:
        sorted_out(raw, 2)
    assert (caught.value.about, caught.value.cause) == ("contract", "shape")
    assert "for 2 inputs; right would be ((dx1, …, dx2), grads)" in str(caught.value)


def test_gradients_kept_on_the_layer():
    found = sorted_out(G, grads={"w": W})
    assert list(found) == ["dx", "dw"]
    assert list(sorted_out((G, {}), grads={"w": W})) == ["dx"]
    assert list(sorted_out(G, grads=[W])) == ["dx"]


def test_a_key_that_sounds_like_an_inputs():
    found = sorted_out((G, {"x": W, "w": W}))
    assert list(found) == ["dx", "grads['x']", "dw"]


def test_a_losss_gradient_may_come_with_others():
    for raw in (G, (G, {}), [G, None], (G, W)):
        found = sorted_out(raw, 2, "loss")
        assert list(found) == ["dscores"]
        assert found["dscores"] is G
    assert list(sorted_out((G, {"w": W}), 2, "loss")) == ["dscores", "dw"]
    assert list(sorted_out(G, 2, "loss", grads={"w": W})) == ["dscores"]


def test_lists_become_arrays():
    assert sorted_out(([[1.0, 2.0]], {}))["dx"].shape == (1, 2)
    assert sorted_out(([[1.0], [1.0, 2.0]], {}))["dx"].dtype == object


# -- moving --------------------------------------------------------------------------------


def test_an_entry_is_moved_and_put_back():
    layer = Scale()
    subject = Subject(layer, [X])
    dx, dw = subject.leaves
    moved = X.copy()
    moved[1, 0] = 9.0
    np.testing.assert_array_equal(subject.at_entry(dx, 2, 9.0), moved * [2, -1])
    np.testing.assert_array_equal(subject.at_entry(dw, 1, 5.0), X * [2, 5])
    np.testing.assert_array_equal(layer.params["w"], [2.0, -1.0])
    assert subject.xs[0] is X
    np.testing.assert_array_equal(X, [[1.0, -2.0], [0.5, 4.0]])


def test_an_entry_is_put_back_when_forward_raises():
    class Positive(Scale):
        def forward(self, x):
            if self.params["w"][0] < 0:
                raise ValueError("negative")
            return super().forward(x)

    layer = Positive()
    subject = Subject(layer, [X])
    with pytest.raises(LayerRaisedError):
        subject.at_entry(subject.leaves[1], 0, -1.0)
    assert layer.params["w"][0] == 2.0
    with pytest.raises(LayerRaisedError):
        subject.at({"dw": np.array([-1.0, 0.0])})
    np.testing.assert_array_equal(layer.params["w"], [2.0, -1.0])


def test_whole_arrays_are_replaced_and_put_back():
    layer = Scale()
    subject = Subject(layer, [X])
    y = subject.at({"dx": 2 * X, "dw": np.array([1.0, 3.0])})
    np.testing.assert_array_equal(y, 2 * X * [1, 3])
    np.testing.assert_array_equal(layer.params["w"], [2.0, -1.0])
    np.testing.assert_array_equal(subject.at({"dw": np.array([1.0, 3.0])}), X * [1, 3])


def test_a_layer_elsewhere_is_another_instance():
    layer = Scale()
    subject = Subject(layer, [X])
    twin = subject.moved([3 * X], {"w": np.array([1.0, 1.0])})
    assert twin.layer is not layer
    np.testing.assert_array_equal(twin.forward(), 3 * X)
    np.testing.assert_array_equal(twin.forward(), 3 * X)  # its own snapshot is of there
    np.testing.assert_array_equal(layer.params["w"], [2.0, -1.0])
    assert twin.counts is subject.counts
    assert subject.moved().xs == subject.xs
    loss = Subject(layer, [X, X], "loss").moved(params={"w": np.ones(2)})
    assert loss.kind == "loss"


def test_adopted_attributes_are_moved_elsewhere_too():
    layer = holding(None, w=np.array([3.0, 1.0]))
    layer.forward = types.MethodType(lambda self, x: x * self.w, layer)
    subject = Subject(layer, [X])
    subject.adopt(["w"])
    twin = subject.moved(params={"w": np.array([5.0, 5.0])})
    assert twin.param_names == ("w",)
    np.testing.assert_array_equal(twin.params["w"], [5.0, 5.0])
    np.testing.assert_array_equal(layer.w, [3.0, 1.0])


# -- float64 -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "x", "narrow"),
    [
        (Scale(), X, False),
        (Scale(np.float32), X, True),
        (Scale(), X.astype(np.float32), True),
        (holding({"n": np.ones(2, np.int32)}), X, False),
    ],
)
def test_a_layer_is_narrow_if_any_of_its_floats_is(layer, x, narrow):
    assert Subject(layer, [x]).narrow() is narrow


def test_a_wide_copy_is_of_floats_of_64_bits():
    layer = Scale(np.float32)
    subject = Subject(layer, [X.astype(np.float32), np.arange(2)])
    wide = subject.widened()
    assert wide.layer is not layer
    assert wide.params["w"].dtype == wide.xs[0].dtype == np.float64
    assert wide.xs[1] is subject.xs[1]
    assert layer.params["w"].dtype == np.float32
    assert not wide.narrow()
    assert wide.counts is subject.counts


@pytest.mark.parametrize("kind", ["good", "none", "itself", "raises"])
def test_a_layers_own_astype_is_used_if_it_gives_another_layer(kind):
    class Own(Scale):
        def astype(self, dtype):
            if kind == "raises":
                raise TypeError("no")
            if kind == "none":
                return None
            if kind == "itself":
                self.params["w"] *= 2
                return self
            made = Scale(dtype)
            made.by_astype = True
            return made

    layer = Own(np.float32)
    wide = Subject(layer, [X.astype(np.float32)]).widened()
    assert hasattr(wide.layer, "by_astype") == (kind == "good")
    assert wide.layer is not layer
    np.testing.assert_array_equal(layer.params["w"], [2.0, -1.0])
    np.testing.assert_array_equal(wide.params["w"], [2.0, -1.0])
    assert wide.params["w"].dtype == np.float64


def test_adopted_attributes_are_widened_too():
    layer = holding(None, w=np.array([3.0, 1.0], np.float32))
    subject = Subject(layer, [X])
    subject.adopt(["w"])
    assert subject.widened().params["w"].dtype == np.float64


# -- functions -----------------------------------------------------------------------------


def df_and_dout(x, dout):
    return 3 * x * dout


@pytest.mark.parametrize(
    ("f", "n"),
    [
        (lambda x: x, 1),
        (lambda x, dout: x, 2),
        (lambda x, dout=None: x, 1),
        (lambda x, *rest: x, 1),
        (lambda x, *, dout: x, 1),
        (df_and_dout, 2),
        (np.cos, 1),
    ],
)
def test_arguments_that_must_be_given(f, n):
    assert _positional(f) == n


def test_a_derivative_may_take_dout():
    layer = FunctionLayer(lambda x: 1.5 * x**2, df_and_dout, 1)
    np.testing.assert_array_equal(layer.forward(X), 1.5 * X**2)
    dx, grads = layer.backward(np.full((2, 2), 2.0))
    np.testing.assert_array_equal(dx, 6 * X)
    assert grads == {}


def test_a_derivative_without_dout_is_multiplied_by_it():
    layer = FunctionLayer(lambda x: x**2, lambda x: 2 * x, 1)
    layer.forward(X)
    np.testing.assert_array_equal(layer.backward(np.full((2, 2), 3.0))[0], 6 * X)


def test_a_jacobian_is_contracted_with_dout():
    A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    layer = FunctionLayer(lambda x: A @ x, lambda x: A, 1)
    layer.forward(np.ones(3))
    np.testing.assert_array_equal(layer.backward(np.array([1.0, -1.0]))[0], [-3, -3, -3])


def test_a_gradient_of_one_number_is_scaled():
    layer = FunctionLayer(lambda x: float(np.sum(x**2)), lambda x: 2 * x, 1)
    layer.forward(X)
    np.testing.assert_array_equal(layer.backward(np.array(3.0))[0], 6 * X)


def test_a_derivative_of_several_arguments():
    layer = FunctionLayer(lambda a, b: a * b, lambda a, b: (b, a), 2)
    layer.forward(X, 2 * X)
    (da, db), grads = layer.backward(np.full((2, 2), 3.0))
    np.testing.assert_array_equal(da, 6 * X)
    np.testing.assert_array_equal(db, 3 * X)
    assert grads == {}


def test_a_derivative_may_answer_as_a_layer_does():
    layer = FunctionLayer(lambda x: x, lambda x, dout: (dout, {"w": W}), 1)
    layer.forward(X)
    assert layer.backward(G) == (G, {"w": W})


# -- building ------------------------------------------------------------------------------


def test_a_layer_has_both_passes_and_is_no_class():
    assert is_layer(Scale())
    assert not is_layer(Scale)
    assert not is_layer(types.SimpleNamespace(forward=len))
    assert not is_layer(types.SimpleNamespace(backward=len))
    assert not is_layer(types.SimpleNamespace(forward=1, backward=len))


def test_a_layer_is_built_from_a_class_a_function_or_itself():
    layer = Scale()
    assert isinstance(build(Scale), Scale)
    assert build(lambda: layer) is layer
    copied = build(layer)
    assert copied is not layer
    assert copied.params["w"] is not layer.params["w"]


def test_a_layer_that_is_callable_is_not_called():
    class Callable(Scale):
        def __call__(self):
            raise AssertionError("called")

    assert isinstance(build(Callable()), Callable)


def test_a_layer_that_cannot_be_copied_is_taken_as_it_is():
    class Single(Scale):
        def __deepcopy__(self, memo):
            raise TypeError("only one")

    layer = Single()
    assert build(layer) is layer


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (types.SimpleNamespace(forward=len), "SimpleNamespace has no backward; right"),
        (types.SimpleNamespace(backward=len), "SimpleNamespace has no forward; right"),
        (3, "int has no forward and no backward; right"),
        (lambda: 3, "int has no forward and no backward; right"),
    ],
)
def test_what_is_no_layer_is_refused_in_words(thing, words):
    with pytest.raises(TypeError) as caught:
        build(thing)
    assert str(caught.value).startswith(words)


def test_a_leaf_knows_its_noun():
    assert Leaf("dfc1.W", False, "fc1.W").noun == "fc1.W"
