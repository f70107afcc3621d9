"""The exact laws one by one, each on a backward that breaks it alone."""

import numpy as np
import pytest

from gradcheck import algebra
from gradcheck.algebra import (
    _nearly,
    _not_scaled,
    close,
    differs,
    exact_findings,
    floats,
    history,
    linearity,
    repeats,
    shifted,
)
from gradcheck.arrays import EPS
from gradcheck.subject import Subject

X = np.array([[0.5, -1.5, 1.0], [0.75, 1.25, -0.5]])
DOUT = np.array([[1.0, -0.5, 0.75], [-1.25, 0.5, 1.5]])


class Scale:
    """y = w x."""

    def __init__(self):
        self.params = {"w": np.array([0.5, -1.5, 2.0])}

    def forward(self, x):
        self.x = x.copy()
        return x * self.params["w"]

    def right(self, dout):
        return dout * self.params["w"], {"w": (dout * self.x).sum(0)}

    def backward(self, dout):
        return self.right(dout)


def with_dw(change):
    class Changed(Scale):
        def backward(self, dout):
            dx, grads = self.right(dout)
            return dx, {"w": change(self, dout, grads["w"])}

    return Changed()


def found_by(law, layer, dout=DOUT, base=None, x=X):
    subject = Subject(layer, [x])
    if base is None:
        base = {"dx": dout * layer.params["w"], "dw": (dout * x).sum(0)}
    if law is linearity:
        return list(law(subject, dout))
    return list(law(subject, dout, base))


# -- rounding ------------------------------------------------------------------------------


def test_two_arrays_are_close_within_some_units_of_their_largest_number():
    a = np.array([1.0, 1e-30])
    assert close(a, a)
    assert close(a, a + np.array([200 * EPS, 0.0]))
    assert close(a, a - np.array([0.0, 200 * EPS]))
    assert not close(a, a + np.array([300 * EPS, 0.0]))
    assert not close(a, a - np.array([300 * EPS, 0.0]))
    assert close(a, a + 1e-3, factor=1e-2 / EPS)
    assert close(np.zeros(2), np.zeros(2))
    assert not close(np.zeros(2), np.array([0.0, 1e-300]))


def test_arrays_of_two_shapes_are_not_close():
    assert not close(np.ones(2), np.ones((1, 2)))


def test_what_is_not_finite_must_be_so_in_both():
    a = np.array([1.0, np.nan])
    assert close(a, a)
    assert not close(a, np.ones(2))
    assert not close(np.ones(2), a)
    assert not close(a, np.array([2.0, np.nan]))


def test_nearly_is_to_a_millionth_of_the_larger():
    assert _nearly(np.array([1.0, 0.0]), np.array([1.0, 9e-7]))
    assert not _nearly(np.array([1.0, 0.0]), np.array([1.0, 1.1e-6]))
    assert _nearly(np.zeros(2), np.zeros(2))


def test_absent_gradients_are_left_out_and_the_rest_are_copies():
    g = np.ones(2)
    found = floats({"dx": g, "dw": None})
    assert set(found) == {"dx"}
    assert found["dx"] is not g


def test_a_finding_tells_the_entry_that_differs_most():
    finding = differs("dx", "c", "m", np.array([[1.0, 2.0]]), np.array([[1.5, 1.0]]))
    assert (finding.index, finding.expected, finding.got) == ((0, 1), 2.0, 1.0)
    assert (finding.error, finding.bound) == (1.0, 0.0)
    finding = differs("dx", "c", "m", np.array([1.0, 2.0]), np.array([np.nan, 1.0]))
    assert finding.index == (0,)
    assert differs("dx", "c", "m", np.ones(2), np.ones(3)).index is None
    assert differs("dx", "c", "m", np.ones(0), np.ones(0)).index is None


# -- repeats -------------------------------------------------------------------------------


def test_a_right_layer_breaks_no_law():
    subject = Subject(Scale(), [X])
    assert list(exact_findings(subject, DOUT, subject.gradients(DOUT))) == []


def test_a_second_backward_that_adds():
    class Adding(Scale):
        total = 0.0

        def forward(self, x):
            self.total = 0.0
            return super().forward(x)

        def backward(self, dout):
            dx, grads = self.right(dout)
            self.total = self.total + grads["w"]
            return dx, {"w": self.total}

    (finding,) = found_by(repeats, Adding())
    assert (finding.about, finding.cause) == ("dw", "accumulates")
    assert "adds to the last" in finding.message
    np.testing.assert_allclose(finding.got, 2 * finding.expected)


def test_a_second_backward_that_is_another():
    class Halved(Scale):
        def backward(self, dout):
            dx, grads = self.right(dout)
            self.x = self.x / 2
            return dx, grads

    (finding,) = found_by(repeats, Halved())
    assert (finding.about, finding.cause) == ("dw", "accumulates")
    assert "another gradient" in finding.message


@pytest.mark.parametrize("source", ["own", "global"])
def test_a_second_backward_that_draws_again(source):
    class Drawing(Scale):
        def __init__(self):
            super().__init__()
            if source == "own":
                self.rng = np.random.default_rng(0)

        def backward(self, dout):
            dx, grads = self.right(dout)
            draw = self.rng.random() if source == "own" else np.random.rand()  # noqa: NPY002
            return dx, {"w": grads["w"] * draw}

    layer = Drawing()
    subject = Subject(layer, [X])
    (finding,) = repeats(subject, DOUT, subject.gradients(DOUT))
    assert (finding.about, finding.cause) == ("dw", "randomness-redrawn")


@pytest.mark.parametrize("seeded", [True, False])
def test_a_second_backward_that_draws_nothing_is_no_draw(seeded):
    class Halved(Scale):
        def __init__(self):
            super().__init__()
            if seeded:
                self.rng = np.random.default_rng(0)

        def backward(self, dout):
            dx, grads = self.right(dout)
            self.x = self.x / 2
            return dx, grads

    (finding,) = found_by(repeats, Halved())
    assert (finding.about, finding.cause) == ("dw", "accumulates")


def test_a_second_backward_that_raises():
    class Once(Scale):
        def forward(self, x):
            self.done = False
            return super().forward(x)

        def backward(self, dout):
            if self.done:
                raise RuntimeError("only once")
            self.done = True
            return self.right(dout)

    (finding,) = found_by(repeats, Once())
    assert (finding.about, finding.cause) == ("contract", "raises")
    assert "a second backward after one forward" in finding.message
    assert "only once" in finding.message


def test_the_same_pass_once_more_must_give_what_it_gave():
    base = {"dx": DOUT * Scale().params["w"], "dw": np.zeros(3)}
    (finding,) = found_by(repeats, Scale(), base=base)
    assert (finding.about, finding.cause) == ("dw", "accumulates")
    assert "once more" in finding.message


class Buffered(Scale):
    """Gradients of w in one buffer: kept by backward, or only until the next forward."""

    def __init__(self, fresh_each_forward):
        super().__init__()
        self.fresh = fresh_each_forward
        self.buffers = [np.zeros(3), np.zeros(3)]
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x)

    def backward(self, dout):
        dx, grads = self.right(dout)
        if self.fresh and getattr(self, "at", None) == self.calls:
            return dx, grads
        self.at = self.calls
        self.buffers[0][...] = grads["w"]
        return dx, {"w": self.buffers[0]}


@pytest.mark.parametrize(
    ("fresh", "call"), [(False, "a later backward"), (True, "a later forward and backward")]
)
def test_a_later_call_must_not_overwrite_a_result(fresh, call):
    (finding,) = found_by(repeats, Buffered(fresh))
    assert (finding.about, finding.cause) == ("dw", "aliased-result")
    assert finding.message == f"{call} overwrites the gradient given before"


def test_a_result_that_backward_reads_again_is_not_given_away():
    class Kept(Scale):
        def forward(self, x):
            self.slope = np.broadcast_to(self.params["w"], x.shape).copy()
            self.kept = None
            return super().forward(x)

        def backward(self, dout):
            if self.kept is None or not np.array_equal(self.dout, dout):
                self.kept = dout * self.slope
                self.dout = dout.copy()
            return self.kept, self.right(dout)[1]

    (finding,) = found_by(repeats, Kept())
    assert (finding.about, finding.cause) == ("dx", "aliased-result")
    assert "spoils the next backward" in finding.message


# -- linear in dout ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "causes", "words"),
    [
        (lambda s, d, g: (s.x**2).sum(0), ["upstream-ignored"], "whatever dout is"),
        (lambda s, d, g: g + 1e-5, ["constant-leak", "upstream-partial"], "a constant is added"),
        (lambda s, d, g: g + 0.2 * s.params["w"], ["penalty-extra"], "0.2 times the parameter"),
        (lambda s, d, g: g - 0.2 * np.sign(s.params["w"]), ["penalty-extra"], "-0.2 times its si"),
        (lambda s, d, g: g + s.x.sum(0), ["upstream-partial", "constant-leak"], "up to 1.25"),
        (
            lambda s, d, g: g + 1e-4 * s.x.sum(0),
            ["constant-leak", "upstream-partial"],
            "up to 0.000125",
        ),
        (
            lambda s, d, g: g * np.abs(g) + s.x.sum(0),
            ["upstream-nonlinear", "upstream-partial"],
            "not linear in dout either",
        ),
    ],
)
def test_what_zero_leaves_over_is_named(change, causes, words):
    (finding,) = found_by(linearity, with_dw(change))
    assert finding.about == "dw"
    assert finding.cause == causes[0]
    assert finding.causes == causes
    assert words in finding.message
    assert finding.expected == 0.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d**2, "backward(256 dout)"),
        (np.abs, "backward(-2.33333 dout)"),
        (lambda d: np.clip(d, -(2.0**10), 2.0**10), "backward(1.04858e+06 dout)"),
        (lambda d: np.where(np.abs(d) < 1e-4, 0, d), "backward(9.53674e-07 dout)"),
        (lambda d: d**3 / max(np.sum(d**2), 1e-300), "above and below zero"),
        (
            lambda d: d * np.hypot.reduce(d, axis=None) / max(np.abs(d).sum(), 1e-300),
            "above and below zero",
        ),
        (
            lambda d: (
                (np.linalg.norm(np.maximum(d, 0)) - np.linalg.norm(np.minimum(d, 0)))
                * np.ones(d.shape)
            ),
            "2 d1 - 3 d2",
        ),
    ],
)
def test_how_dout_enters_is_told_by_the_law_it_breaks(change, words):
    (finding,) = found_by(linearity, with_dw(lambda s, d, g: (change(d) * s.x).sum(0)))
    assert (finding.about, finding.cause) == ("dw", "upstream-nonlinear")
    assert words in finding.message


def rounded(g, bits):
    """Each number to so many binary digits."""
    digits, powers = np.frexp(g)
    return np.ldexp(np.round(digits * 2.0**bits) / 2.0**bits, powers)


@pytest.mark.parametrize("bits", [11, 24])  # those of half and of single precision
def test_a_backward_that_rounds_loses_precision(bits):
    (finding,) = found_by(linearity, with_dw(lambda s, d, g: rounded(g, bits)))
    assert finding.causes == ["precision-lost", "upstream-nonlinear"]
    assert finding.cause == "precision-lost"
    assert finding.message.endswith("it is rounded to a narrower type")


def test_a_backward_that_raises_for_some_dout():
    class Fussy(Scale):
        def backward(self, dout):
            if np.any(np.abs(dout) > 100):
                raise OverflowError("too large")
            return self.right(dout)

    (finding,) = found_by(linearity, Fussy())
    assert (finding.about, finding.cause) == ("contract", "raises")
    assert "with another dout" in finding.message


G = np.array([1.0, -2.0])


@pytest.mark.parametrize(
    ("s", "off", "natural", "cause"),
    [
        (2.0**8, 60 * EPS, 0.0, None),  # 64 units of the largest, 2
        (2.0**8, 140 * EPS, 0.0, "upstream-nonlinear"),
        (2.0**8, 140 * EPS, 1.0, "upstream-nonlinear"),  # exact laws know no other noise
        (-1.0, 140 * EPS, 0.0, "upstream-nonlinear"),
        (3.0, 1.9e-9, 0.0, None),
        (3.0, 2.1e-9, 0.0, "precision-lost"),
        (3.0, 2.1e-9, 1e-9, None),
        (3.0, 3.1e-9, 1e-9, "precision-lost"),
        (3.0, 1.9 * 2.0**-8, 0.0, "precision-lost"),
        (3.0, 2.1 * 2.0**-8, 0.0, "upstream-nonlinear"),
        (2.0**8, 1.9 * 2.0**-8, 0.0, "upstream-nonlinear"),
    ],
)
def test_a_scaled_dout_scales_the_gradient(s, off, natural, cause):
    finding = _not_scaled("dx", s, G, s * (G + np.array([off, 0.0])), natural)
    assert (finding and finding.cause) == cause


def test_scaling_tells_nothing_of_numbers_out_of_range():
    assert _not_scaled("dx", 3.0, G, np.array([np.inf, 0.0]), 0.0) is None
    assert _not_scaled("dx", 2.0**-20, 1e-275 * G, 0 * G, 0.0) is None
    assert _not_scaled("dx", 2.0**20, 1e-285 * G, 0 * G, 0.0) is None
    assert _not_scaled("dx", 2.0**20, 1e-275 * G, 0 * G, 0.0) is not None
    assert _not_scaled("dx", 2.0**20, 0 * G, G, 0.0) is not None


def test_a_penalty_on_what_is_merely_added_is_one_on_the_bias():
    class Shift(Scale):
        def forward(self, x):
            return x + self.params["w"]

        def backward(self, dout):
            return dout.copy(), {"w": dout.sum(0) + 0.2 * self.params["w"]}

    (finding,) = found_by(linearity, Shift())
    assert finding.causes == ["bias-penalized", "penalty-extra"]


def test_a_gradient_of_zeros_scales():
    assert _not_scaled("dx", 2.0**8, 0 * G, 0 * G, 0.0) is None
    assert _not_scaled("dx", 3.0, 0 * G, 0 * G, 0.0) is None


def test_a_gradient_told_of_once_is_not_told_of_again():
    layer = with_dw(lambda s, d, g: (d**2 * s.x).sum(0))
    subject = Subject(layer, [X])
    found = list(exact_findings(subject, DOUT, subject.gradients(DOUT)))
    assert [f.about for f in found] == ["dw"]


def test_after_a_broken_repeat_linearity_is_tried_on_fresh_forwards():
    class Adding(Scale):
        total = 0.0

        def forward(self, x):
            self.total = 0.0
            return super().forward(x)

        def backward(self, dout):
            dx, grads = self.right(dout)
            self.total = self.total + grads["w"]
            return dx**2, {"w": self.total}

    subject = Subject(Adding(), [X])
    found = list(exact_findings(subject, DOUT, subject.gradients(DOUT)))
    assert [(f.about, f.cause) for f in found] == [
        ("dw", "accumulates"),
        ("dx", "upstream-nonlinear"),
    ]


# -- history -------------------------------------------------------------------------------


class FirstInput(Scale):
    """Keeps the first input that it ever saw."""

    def forward(self, x):
        if not hasattr(self, "x"):
            self.x = x.copy()
        return x * self.params["w"]


class Shared(Scale):
    """Keeps its input on the class."""

    def forward(self, x):
        type(self).seen = x.copy()
        return x * self.params["w"]

    def backward(self, dout):
        self.x = self.seen
        return self.right(dout)


class OldWeights(Scale):
    """Copies its weights at the first backward."""

    def backward(self, dout):
        if not hasattr(self, "old"):
            self.old = self.params["w"].copy()
        return dout * self.old, self.right(dout)[1]


class OneOutput(Scale):
    """Gives every output in one buffer."""

    def __init__(self):
        super().__init__()
        self.y = np.zeros(X.shape)

    def forward(self, x):
        self.x = x.copy()
        self.y[...] = x * self.params["w"]
        return self.y


@pytest.mark.parametrize(
    ("make", "about", "cause", "words"),
    [
        (FirstInput, "dw", "stale-cache", "a call with other inputs before it"),
        (Shared, "dw", "stale-cache", "another instance's forward"),
        (OldWeights, "dx", "stale-cache", "after an update"),
        (OneOutput, "forward", "aliased-result", "a later forward overwrites the output"),
    ],
)
def test_what_was_before_must_not_matter(make, about, cause, words):
    (finding,) = found_by(history, make())
    assert (finding.about, finding.cause) == (about, cause)
    assert words in finding.message


def test_a_finding_about_stale_weights_holds_the_new_truth():
    (finding,) = found_by(history, OldWeights())
    new = Scale().params["w"] * 1.25 + 0.0625
    right = DOUT * new
    assert finding.expected == pytest.approx(right[finding.index], rel=1e-14)
    assert finding.got == pytest.approx((DOUT * Scale().params["w"])[finding.index], rel=1e-14)


def test_old_weights_are_found_in_a_random_layer_too():
    class Dropped(OldWeights):
        def __init__(self):
            super().__init__()
            self.rng = np.random.default_rng(0)

        def forward(self, x):
            self.mask = self.rng.uniform(0.5, 1.5, x.shape)
            return super().forward(x * self.mask)

        def backward(self, dout):
            dx, grads = super().backward(dout)
            return dx * self.mask, grads

    subject = Subject(Dropped(), [X])
    (finding,) = history(subject, DOUT, subject.gradients(DOUT))
    assert (finding.about, finding.cause) == ("dx", "stale-cache")
    assert "after an update" in finding.message


def test_what_the_laws_move_is_put_back():
    layer = Scale()
    found_by(history, layer)
    np.testing.assert_array_equal(layer.params["w"], [0.5, -1.5, 2.0])


def test_the_gradient_belongs_to_the_last_draw():
    class FirstMask(Scale):
        def __init__(self):
            super().__init__()
            self.rng = np.random.default_rng(0)
            self.mask = None

        def forward(self, x):
            mask = self.rng.uniform(0.5, 1.5, x.shape)
            self.mask = mask if self.mask is None else self.mask
            self.x = x * mask
            return self.x * self.params["w"]

        def backward(self, dout):
            return dout * self.params["w"] * self.mask, {"w": (dout * self.x).sum(0)}

    layer = FirstMask()
    subject = Subject(layer, [X])
    found = list(history(subject, DOUT, subject.gradients(DOUT)))
    assert [f.about for f in found] == ["dx"]
    assert found[0].causes == ["stale-cache", "randomness-redrawn"]
    assert "its new random numbers" in found[0].message


def test_running_statistics_that_enter_the_output_are_no_stale_cache():
    class Running(Scale):
        def __init__(self):
            super().__init__()
            self.mean = np.zeros(3)

        def forward(self, x):
            self.x = x - self.mean
            self.mean += 0.1 * x.mean(0)
            return self.x * self.params["w"]

    layer = Running()
    subject = Subject(layer, [X])
    base = subject.gradients(DOUT)
    assert list(algebra._earlier_call(subject, DOUT, base)) == []


def test_another_input_of_the_same_kind():
    # ½ flipped + ¼ own + ⅛ sign
    moved = shifted(np.array([1.0, -2.0], np.float32))
    np.testing.assert_array_equal(moved, [-1.0 + 0.25 + 0.125, 0.5 - 0.5 - 0.125])
    assert moved.dtype == np.float32
    np.testing.assert_array_equal(shifted(np.array([[1, 2], [3, 4]])), [[4, 3], [2, 1]])
    assert shifted(3) == 3
    assert shifted("kind") == "kind"
    assert shifted(np.array(7)) == 7
    assert shifted(np.zeros((0, 2))).shape == (0, 2)
