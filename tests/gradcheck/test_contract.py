"""What one forward and one backward return and touch, looked at from outside."""

import numpy as np
import pytest

from gradcheck.contract import _as_it_stands, _one_type, _share, _summed_to, call_once
from gradcheck.subject import Subject

X = np.array([[0.5, -1.5, 1.0], [0.75, 1.25, -0.5]])
DOUT = np.array([[1.0, -0.5, 0.75], [-1.25, 0.5, 1.5]])


class Affine:
    """y = w x + b, with a backward to be changed."""

    def __init__(self, change=None, dtype=np.float64):
        self.params = {"w": np.array([0.5, -1.5, 2.0], dtype), "b": np.ones(3, dtype)}
        self.change = change or (lambda dx, grads: (dx, grads))

    def forward(self, x):
        self.x = x
        return x * self.params["w"] + self.params["b"]

    def backward(self, dout):
        self.dout = dout
        grads = {"w": (dout * self.x).sum(0), "b": dout.sum(0)}
        return self.change(dout * self.params["w"], grads)


def told(layer, *xs, dout=DOUT):
    subject = Subject(layer, xs or (X,))
    findings, got = call_once(subject, dout)
    return findings, got, subject


def one(layer, *xs, dout=DOUT):
    findings, got, _ = told(layer, *xs, dout=dout)
    assert len(findings) == 1, findings
    return findings[0], got


def test_a_right_layer_gives_its_gradients_and_no_finding():
    findings, got, subject = told(Affine())
    assert findings == []
    np.testing.assert_array_equal(got["dx"], DOUT * [0.5, -1.5, 2.0])
    np.testing.assert_array_equal(got["dw"], (DOUT * X).sum(0))
    np.testing.assert_array_equal(got["db"], DOUT.sum(0))
    assert subject.counts.written == {}
    assert (subject.counts.forwards, subject.counts.backwards) == (1, 1)


# -- exceptions and writing ----------------------------------------------------------------


def test_a_backward_that_raises_gives_nothing_to_compare():
    class Raising(Affine):
        def backward(self, dout):
            raise KeyError("w")

    finding, got = one(Raising())
    assert (finding.about, finding.cause) == ("contract", "raises")
    assert finding.message.startswith("backward raises KeyError")
    assert got is None


def test_what_is_no_gradient_at_all_gives_nothing_to_compare():
    class Sum(Affine):
        def forward(self, a, b):
            return a + b

        def backward(self, dout):
            return (dout.copy(), dout.copy(), dout.copy()), {}

    finding, got = one(Sum(), X, X.copy())
    assert (finding.about, finding.cause) == ("contract", "shape")
    assert "a tuple of 3 for 2 inputs" in finding.message
    assert got is None


@pytest.mark.parametrize(
    ("who", "cause"),
    [
        ("dout", "upstream-mutated"),
        ("x", "input-mutated"),
        ("w", "parameters-mutated"),
        ("forward x", "input-mutated"),
        ("forward w", "parameters-mutated"),
    ],
)
def test_writing_into_what_is_not_its_own_is_noted(who, cause):
    class Writing(Affine):
        def forward(self, x):
            y = super().forward(x).copy()
            if who == "forward x":
                x += 1
            if who == "forward w":
                self.params["w"] += 1
            return y

        def backward(self, dout):
            found = super().backward(dout)
            if who == "dout":
                dout[0, 0] += 1
            if who == "x":
                self.x += 1
            if who == "w":
                self.params["w"] += 1
            return found

    written = told(Writing())[2].counts.written
    assert list(written) == [cause]
    where = "forward" if "forward" in who else "backward"
    assert written[cause].startswith(where)


# -- keys ----------------------------------------------------------------------------------


def test_a_missing_gradient_says_what_there_is():
    finding, got = one(Affine(lambda dx, grads: (dx, {"b": grads["b"]})))
    assert (finding.about, finding.cause) == ("dw", "gradient-missing")
    text = "there is no gradient of the parameter w (backward gives: db, dx)"
    assert finding.message == text
    assert set(got) == {"dx", "db"}


def test_no_gradient_of_the_input():
    finding, _ = one(Affine(lambda dx, grads: (None, grads)))
    assert (finding.about, finding.cause) == ("dx", "gradient-missing")
    assert finding.message == "there is no gradient of the input x (backward gives: db, dw)"


def test_no_gradient_at_all():
    findings, got, _ = told(Affine(lambda dx, grads: (None, {})))
    assert {f.about for f in findings} == {"dx", "dw", "db"}
    assert all("(backward gives: none)" in f.message for f in findings)
    assert got == {}


@pytest.mark.parametrize(
    ("name", "about", "noun"), [("v", "dv", "v"), ("x", "grads['x']", "grads['x']")]
)
def test_a_gradient_of_no_parameter(name, about, noun):
    finding, got = one(Affine(lambda dx, grads: (dx, {**grads, name: np.ones(3)})))
    assert (finding.about, finding.cause) == (about, "gradient-extra")
    assert finding.message == f"there is a gradient of {noun}, which is no parameter"
    assert set(got) == {"dx", "dw", "db"}


class Rows:
    """y = x[i], with the gradient of i to choose."""

    def __init__(self, di):
        self.di = di

    def forward(self, x, i):
        self.shape, self.i = x.shape, i
        return x[i]

    def backward(self, dout):
        dx = np.zeros(self.shape)
        np.add.at(dx, self.i, dout)
        return (dx, self.di), {}


INDEX = np.array([0, 1])


@pytest.mark.parametrize("di", [None, np.zeros(2), np.zeros(2, int)])
def test_an_index_may_have_no_gradient_or_one_of_zeros(di):
    assert told(Rows(di), X, INDEX)[0] == []


@pytest.mark.parametrize("di", [np.array([0.0, 1.0]), np.array([None, None])])
def test_an_index_has_no_other_gradient(di):
    finding, _ = one(Rows(di), X, INDEX)
    assert (finding.about, finding.cause) == ("dx[1]", "gradient-extra")
    assert finding.message == (
        "there is a gradient of x[1], an input of whole numbers; right would be None"
    )


def test_attributes_stand_in_for_params():
    class Bare:
        def __init__(self):
            self.w, self.name, self.n = np.array([0.5, -1.5, 2.0]), "bare", 3

        def forward(self, x):
            self.x = x
            return x * self.w

        def backward(self, dout):
            return dout * self.w, {"w": (dout * self.x).sum(0)}

    findings, got, subject = told(Bare())
    assert findings == []
    assert set(got) == {"dx", "dw"}
    assert subject.param_names == ("w",)


def test_params_are_not_added_to():
    layer = Affine(lambda dx, grads: (dx, {**grads, "v": np.ones(3)}))
    layer.v = np.ones(3)
    assert one(layer)[0].cause == "gradient-extra"


# -- form ----------------------------------------------------------------------------------


@pytest.mark.parametrize("g", [np.ones(3, int), np.ones(3, complex), np.array(["a", "b", "c"])])
def test_a_gradient_is_of_floats(g):
    finding, got = one(Affine(lambda dx, grads: (dx, {**grads, "b": g})))
    assert (finding.about, finding.cause) == ("db", "dtype")
    assert finding.message == f"the gradient has dtype {g.dtype}, expected float64"
    assert "db" not in got


def test_what_is_no_number_is_told_before_its_shape():
    odd = np.array(["a", "b"])
    assert one(Affine(lambda dx, grads: (dx, {**grads, "b": odd})))[0].cause == "dtype"
    whole = np.ones(4, int)
    assert one(Affine(lambda dx, grads: (dx, {**grads, "b": whole})))[0].cause == "shape"


def test_a_layer_of_one_type_gives_gradients_of_that_type():
    x, dout = X.astype(np.float32), DOUT.astype(np.float32)
    wide = Affine(lambda dx, grads: (dx, {**grads, "b": grads["b"].astype(float)}), np.float32)
    finding, got = one(wide, x, dout=dout)
    assert (finding.about, finding.cause) == ("db", "dtype")
    assert set(got) == {"dx", "dw"}
    narrow = Affine(lambda dx, grads: (dx, {**grads, "b": grads["b"].astype(np.float16)}))
    assert told(narrow)[0] == []


def test_a_layer_of_mixed_types_is_held_to_none():
    mixed = Affine(dtype=np.float32)
    assert told(mixed, X)[0] == []
    subject = Subject(Affine(dtype=np.float32), [X.astype(np.float32)])
    assert _one_type(subject, np.ones(2, np.float32)) == np.float32
    assert _one_type(subject, np.ones(2)) is None
    assert _one_type(subject, 1.0) == np.float32


def test_a_gradient_of_another_shape():
    finding, got = one(Affine(lambda dx, grads: (dx, {**grads, "b": np.ones(4)})))
    assert (finding.about, finding.cause) == ("db", "shape")
    assert finding.message == "the gradient has shape (4,), expected (3,) as b"
    assert "db" not in got


def test_a_gradient_that_is_not_summed():
    finding, _ = one(Affine(lambda dx, grads: (dx, {**grads, "b": DOUT.copy()})))
    assert finding.cause == "not-summed"
    assert finding.causes == ["not-summed", "shape"]
    text = "the gradient is not summed over the broadcast axis 0"
    assert finding.message == f"the gradient has shape (2, 3), expected (3,) as b: {text}"


def test_a_gradient_that_is_not_summed_over_two_axes():
    finding, _ = one(Affine(lambda dx, grads: (dx, {**grads, "b": np.ones((2, 4, 3))})))
    assert finding.message.endswith("over the broadcast axes 0, 1")


@pytest.mark.parametrize(
    ("given", "wanted", "axes"),
    [
        ((2, 3), (3,), (0,)),
        ((2, 3), (2,), (1,)),
        ((2, 3), (1, 3), (0,)),
        ((2, 3), (2, 1), (1,)),
        ((2, 3), (), (0, 1)),
        ((2, 3), (1, 1), (0, 1)),
        ((4, 2, 3), (2,), (0, 2)),
        ((1, 3), (3,), None),  # a spare axis is no sum
        ((2, 3), (4,), None),
        ((2, 3), (3, 2), None),
        ((3,), (3, 1), None),
    ],
)
def test_the_axes_over_which_a_sum_is_missing(given, wanted, axes):
    assert _summed_to(np.ones(given), wanted) == axes


# -- whose memory --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "about", "words"),
    [
        (lambda s, dx, g: (s.dout, g), "contract", "dx is dout itself, not an array of its own"),
        (lambda s, dx, g: (s.dout[:], g), "contract", "dx is dout itself"),
        (lambda s, dx, g: (s.x, g), "contract", "dx is the memory of x"),
        (lambda s, dx, g: (s.x[::-1], g), "contract", "dx is the memory of x"),
        (
            lambda s, dx, g: (dx, {**g, "b": s.params["w"]}),
            "db",
            "db is the parameter w itself",
        ),
        (
            lambda s, dx, g: (dx, {**g, "b": g["w"]}),
            "contract",
            "db is the same array as dw",
        ),
    ],
)
def test_a_gradient_that_is_somebody_elses(change, about, words):
    layer = Affine()
    layer.change = lambda dx, grads: change(layer, dx, grads)
    finding, _ = one(layer)
    assert (finding.about, finding.cause) == (about, "aliased-result")
    assert finding.message.startswith(words)


class Turned:
    """y = xᵀ, or x itself."""

    def __init__(self, turn):
        self.turn = turn

    def forward(self, x):
        return self.turn(x)

    def backward(self, dout):
        return self.turn(dout), {}


def test_a_view_of_dout_is_right_where_numbers_only_move():
    assert told(Turned(lambda a: a.T), X, dout=DOUT.T.copy())[0] == []
    assert told(Turned(lambda a: a[:]), X)[0] == []
    assert one(Turned(lambda a: a), X)[0].cause == "aliased-result"


def test_one_array_is_the_same_memory_in_the_same_order():
    a = np.ones((3, 3))
    assert _as_it_stands(a, a[:])
    assert not _as_it_stands(a, a.copy())
    assert not _as_it_stands(a, a.T)
    assert not _as_it_stands(a, a.reshape(9))
    assert not _as_it_stands(a[1:], a[:2])
    whole = np.ones(3, int)
    assert not _as_it_stands(whole, whole[:])


def test_memory_is_shared_by_arrays_that_have_some():
    a = np.ones(4)
    assert _share(a, a[2:])
    assert not _share(a[:2], a[2:])
    assert not _share(a, a.copy())
    assert _share(a[:1], a[:1])
    assert not _share(a[:0], a)
    assert not _share(a, a[:0])
    assert not _share(a, 1.0)
    assert not _share(None, a)


def test_a_loss_may_hand_out_what_it_likes():
    class Error:
        def forward(self, scores, y):
            self.d = scores - y
            return float((self.d**2).sum() / 2)

        def backward(self):
            return self.d

    subject = Subject(Error(), [X, np.zeros((2, 3))], "loss")
    findings, got = call_once(subject, np.ones(()))
    assert findings == []
    np.testing.assert_array_equal(got["dscores"], X)


def test_one_number_is_somebody_elses_too():
    class Negative:
        def forward(self, x):
            return -x

        def backward(self, dout):
            np.negative(dout, out=dout)
            return dout, {}

    findings = told(Negative(), X[:1, :1], dout=np.ones((1, 1)))[0]
    assert [f.cause for f in findings] == ["aliased-result"]
    assert told(Negative(), X[:0], dout=np.ones((0, 3)))[0] == []


def test_nothing_may_be_said_of_the_inputs_by_name():
    class Sum:
        def forward(self, a, b):
            return a + b

        def backward(self, dout):
            return (dout.copy(), dout.copy()), {"x": None}

    assert told(Sum(), X, X.copy())[0] == []
