"""Probes away from the given point: which are made, what each one says, what it lets pass."""

import numpy as np
import pytest

from gradcheck import elsewhere
from gradcheck.elsewhere import BESIDES, LEAST, PER_ENTRY, Elsewhere
from gradcheck.oracle import Slope
from gradcheck.points import Point
from gradcheck.report import Finding, Report
from gradcheck.subject import Subject

X = np.array([[0.5, -1.5, 1.0], [0.75, 1.25, -0.5], [2.0, 1.0, 0.25], [1.0, 3.0, -1.0]])


class Square:
    """y = w x², with a gradient to be spoilt."""

    def __init__(self, spoil=lambda layer, dx: dx):
        self.params = {"w": np.array([1.0, 2.0, -1.0])}
        self.spoil = spoil

    def forward(self, x):
        self.x = x
        return self.params["w"][: x.shape[-1]] * x**2

    def backward(self, dout):
        dw = np.zeros(3)
        dw[: self.x.shape[-1]] = (dout * self.x**2).reshape(-1, self.x.shape[-1]).sum(0)
        w = self.params["w"][: self.x.shape[-1]]
        return self.spoil(self, 2 * w * self.x * dout), {"w": dw}


def nobody(subject, dout, seed):
    return []


def probes_of(layer, *xs, kind="layer", base=None, blame=nobody):
    subject = Subject(layer, xs or (X,), kind)
    report = Report("layer")
    base = {"dx": np.ones(X.shape), "dw": np.ones(3)} if base is None else base
    return Elsewhere(subject, report, base, np.random.default_rng(0), 0, blame), report


def probed(layer, point, **more):
    """Whether a probe at one point fails, and what it says."""
    probes, report = probes_of(layer, **more)
    wrong = probes._probe(point)
    assert wrong == bool(report.findings)
    return report.findings


TWICE = Point("at twice the input", (2 * X,))
SPECIAL = Point("somewhere special", (2 * X,), special=True)


def far(layer):
    return np.max(np.abs(layer.x)) > 4


def test_a_right_layer_passes_every_probe():
    probes, report = probes_of(Square())
    probes.run()
    assert report.findings == []
    assert probes._probe(TWICE) is False


def test_a_wrong_entry_elsewhere_is_located():
    def spoil(layer, dx):
        dx[1, 2] *= 1.0 + far(layer) * 0.37
        return dx

    (finding,) = probed(Square(spoil), TWICE)
    assert finding.about == "dx"
    assert finding.index == (1, 2)
    assert finding.message.startswith("at twice the input, ")
    assert finding.got == pytest.approx(1.37 * finding.expected, rel=1e-9)


def test_the_first_point_that_fails_is_reported_alone():
    tried = []

    class Listening(Square):
        def backward(self, dout):
            tried.append(self.x.copy())
            return super().backward(dout)

    layer = Listening(lambda layer, dx: dx * (1 + 0.5 * (len(layer.x) == 1)))
    probes, report = probes_of(layer)
    probes.run()
    assert {f.message.split(",")[0] for f in report.findings} == {"with one sample"}
    assert not any(len(x) > 4 for x in tried)


def test_a_child_at_fault_is_blamed_instead():
    told = Finding("fc1.dx", "sign-flipped", "in fc1, it is negative")
    layer = Square(lambda layer, dx: dx * (1.0 + far(layer)))
    (finding,) = probed(layer, TWICE, blame=lambda subject, dout, seed: [told])
    assert finding is told
    assert finding.message == "at twice the input, in fc1, it is negative"


# -- what is said ---------------------------------------------------------------------------


def raising(layer, dx):
    if far(layer):
        raise ValueError("too far")
    return dx


def test_a_backward_that_raises_elsewhere():
    (finding,) = probed(Square(raising), TWICE)
    assert (finding.about, finding.cause) == ("contract", "raises")
    assert finding.message == "at twice the input, backward raises ValueError: too far"
    assert probed(Square(raising), SPECIAL) == []


def test_what_is_no_gradient_elsewhere():
    class Odd(Square):
        def forward(self, a, b):
            self.x = a
            return a + b

        def backward(self, dout):
            return ((dout, dout, dout) if far(self) else (dout, dout)), {}

    probes, report = probes_of(Odd(), X, X)
    assert probes._probe(Point("there", (2 * X, X)))
    (finding,) = report.findings
    assert (finding.about, finding.cause) == ("contract", "shape")
    assert finding.message.startswith("there, backward returns a tuple of 3")


def test_a_gradient_of_another_shape_elsewhere():
    layer = Square(lambda layer, dx: dx[:, :2] if far(layer) else dx)
    (finding,) = probed(layer, TWICE)
    assert (finding.about, finding.cause) == ("dx", "shape")
    text = "at twice the input, the gradient has shape (4, 2), expected (4, 3)"
    assert finding.message == text


def spoilt_with(value):
    def spoil(layer, dx):
        if far(layer):
            dx[0, 1] = value
        return dx

    return spoil


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_where_the_slope_is(value):
    (finding,) = probed(Square(spoilt_with(value)), TWICE)
    assert (finding.about, finding.cause, finding.index) == ("dx", "not-finite", (0, 1))
    assert finding.message == f"at twice the input, the gradient holds {value}"
    assert abs(finding.expected) > 1
    assert probed(Square(spoilt_with(value)), SPECIAL) == []


class Corner(Square):
    """y = |x|, whose gradient is not a number at 0."""

    def forward(self, x):
        self.x = x
        return np.abs(x)

    def backward(self, dout):
        with np.errstate(all="ignore"):
            return dout * self.x / np.abs(self.x), {"w": np.zeros(3)}


class Step(Corner):
    """y jumps at 0."""

    def forward(self, x):
        self.x = x
        return x + (x > 0)


@pytest.mark.parametrize("make", [Corner, Step])
def test_a_gradient_that_is_not_finite_where_there_is_no_slope(make):
    at_zero = X.copy()
    at_zero[2, 1] = 0.0
    with np.errstate(all="ignore"):
        assert probed(make(), Point("at zero", (at_zero,))) == []


@pytest.mark.parametrize(
    ("slope", "found"),
    [
        (Slope(1.0, 1e-4), 1),
        (Slope(1.0, 1e-2), 0),
        (Slope(100.0, 1e-2), 1),
        (Slope(np.nan, np.inf), 0),
        (Slope(1.0, 1e-4, half=0.5), 0),
        (Slope(1.0, 1e-4, jump=True), 0),
    ],
)
def test_a_slope_must_be_sure_before_a_gradient_is_called_not_finite(slope, found, monkeypatch):
    monkeypatch.setattr("gradcheck.oracle.Oracle.closely", lambda *_: slope)
    assert len(probed(Square(spoilt_with(np.nan)), TWICE)) == found


# -- what is let pass -----------------------------------------------------------------------


def test_an_output_that_is_not_finite_decides_nothing():
    class Log(Square):
        def forward(self, x):
            return super().forward(x) + (np.inf if far_of(x) else 0.0)

    def far_of(x):
        return np.max(np.abs(x)) > 4

    layer = Log(lambda layer, dx: dx * (1.0 + far(layer)))
    assert probed(layer, TWICE) == []


def test_a_gradient_wildly_larger_than_at_the_given_point_decides_nothing():
    layer = Square(lambda layer, dx: dx * (1.0 + far(layer)))
    tiny = {"dx": np.full(X.shape, 1e-9), "dw": np.ones(3)}
    assert probed(layer, TWICE, base=tiny) == []
    assert probed(layer, TWICE, base={"dx": np.full(X.shape, 1e-6)})
    assert probed(layer, TWICE, base={"dx": np.zeros(X.shape)})  # nothing to go by


def test_an_absent_gradient_was_told_of_before():
    layer = Square(lambda layer, dx: None)
    assert probed(layer, TWICE) == []


def test_points_that_the_layer_refuses_are_passed_over():
    class FourRows(Square):
        def forward(self, x):
            if len(x) != 4:
                raise TypeError("four rows")
            return super().forward(x)

    layer = FourRows(lambda layer, dx: dx * (1 + np.any(layer.x == 0)))
    probes, report = probes_of(layer)
    probes.run()
    assert "zeros" in report.findings[0].message


def more(layer, dx):
    return dx * (1.0 + (len(layer.x) == 6))


def test_more_samples_count_only_where_the_output_follows():
    rows = Point("with more samples", (np.concatenate([X, X[:2]]),), rows=6)
    assert probed(Square(more), rows)

    class Whole(Square):
        def forward(self, x):
            return super().forward(x)[:4]

        def backward(self, dout):
            self.x, x = self.x[:4], self.x
            dx, grads = super().backward(dout)
            self.x = x
            return more(self, np.concatenate([dx, 0 * x[4:]])), grads

    assert probed(Whole(), rows) == []


def test_a_layer_that_knows_the_batch_is_not_given_another():
    rows = Point("with more samples", (np.concatenate([X, X[:2]]),), rows=6)
    layer = Square(more)
    layer.samples = 4
    assert probed(layer, rows) == []
    layer.samples = 5
    assert probed(layer, rows)


def test_forwards_are_limited():
    class Slow(Square):
        pass

    layer = Slow(lambda layer, dx: dx * (1.0 + np.any(layer.x == 0)))
    probes, report = probes_of(layer)
    probes.subject.counts.forwards = PER_ENTRY * 15 + BESIDES  # all that is allowed is spent
    probes.run()
    spent = probes.subject.counts.forwards - (PER_ENTRY * 15 + BESIDES)
    assert 7 < spent <= LEAST + 7
    assert report.findings == []


# -- the other mode -------------------------------------------------------------------------


class Moded(Square):
    """In one mode backward is another; forward perhaps too."""

    training = True

    def __init__(self, wrong, training=True):
        super().__init__()
        self.training, self.wrong = training, wrong

    def backward(self, dout):
        dx, grads = super().backward(dout)
        return dx * (1.5 if self.training == self.wrong else 1.0), grads


@pytest.mark.parametrize("training", [True, False])
def test_the_other_mode_gets_a_note(training):
    probes, report = probes_of(Moded(wrong=not training, training=training))
    probes.in_the_other_mode()
    assert report.notes == [
        f"with training = {not training} the gradient is another than that of the forward"
    ]
    assert report.findings == []
    probes, report = probes_of(Moded(wrong=training, training=training))
    probes.in_the_other_mode()
    assert report.notes == []


@pytest.mark.parametrize("mode", [None, 1, "train"])
def test_a_mode_that_is_no_switch_is_left_alone(mode):
    layer = Moded(wrong=False)
    layer.training = mode
    probes, report = probes_of(layer)
    probes.in_the_other_mode()
    assert report.notes == []
    assert probes.subject.counts.forwards == 0


def test_another_mode_that_raises_gets_no_note():
    class Refusing(Moded):
        def forward(self, x):
            if not self.training:
                raise RuntimeError("no")
            return super().forward(x)

    probes, report = probes_of(Refusing(wrong=False))
    probes.in_the_other_mode()
    assert report.notes == []


# -- constants ------------------------------------------------------------------------------


def told_apart(cause, causes, xs):
    probes, _ = probes_of(Square())
    finding = Finding("dx", cause, "m", causes=list(causes))
    return probes._told_apart(finding, Point("there", xs))


def test_a_constant_factor_elsewhere_follows_a_dimension_where_that_differs():
    finding = told_apart("constant-scale", ["constant-scale", "shape"], (X[:1],))
    assert finding.causes == ["dimension-scale", "shape"]
    assert finding.cause == "dimension-scale"
    assert finding.message.startswith("there, ")
    assert not finding.message.endswith("m")


def test_a_constant_factor_at_other_numbers_is_unexplained():
    finding = told_apart("factor-of-two", ["factor-of-two", "sign-flipped", "ties"], (2 * X,))
    assert finding.causes == ["ties", "unexplained"]
    assert finding.cause == "ties"
    finding = told_apart("factor-of-two", ["factor-of-two"], (2 * X,))
    assert finding.causes == ["unexplained"]


def test_any_other_cause_stays():
    finding = told_apart("ties", ["ties", "factor-of-two"], (X[:1],))
    assert finding.causes == ["ties", "factor-of-two"]
    assert finding.message == "there, m"


# -- ties -----------------------------------------------------------------------------------


def test_equal_inputs_moved_together():
    class Both:
        """y = max(a, b), both of which get the whole at a tie."""

        params: dict = {}  # noqa: RUF012

        def forward(self, a, b):
            self.a, self.b = a, b
            return np.maximum(a, b)

        def backward(self, dout):
            return (dout * (self.a >= self.b), dout * (self.b >= self.a)), {}

    ones = np.ones((4, 3))
    probes, report = probes_of(Both(), X, X + 0.25, base={})
    assert probes._probe(Point("at ties", (ones, ones), ties=True, special=True))
    assert report.findings[0].cause == "ties"
    assert report.findings[0].message.startswith("at ties, ")


def test_the_least_and_the_most_of_forwards_are_what_they_say():
    assert (elsewhere.SMALL, PER_ENTRY, BESIDES, LEAST) == (400, 12, 25, 30)
