"""The stages of a check: what ends it, what is said, and whose fault it is."""

import numpy as np
import pytest

from gradcheck import check_layer, check_loss
from gradcheck.elsewhere import Elsewhere
from gradcheck.examination import Examination, blame_children, children_writing
from gradcheck.report import Report
from gradcheck.subject import Subject
from tests.gradcheck.plain import Chain, Function

X = np.array([[0.5, -1.5, 1.0], [0.75, 1.25, -0.5]])
DOUT = np.array([[1.0, -0.5, 0.75], [-1.25, 0.5, 1.5]])


class Scale:
    """y = w x, with a backward to be changed."""

    def __init__(self, change=lambda dx, dw: (dx, {"w": dw}), dtype=np.float64):
        self.params = {"w": np.array([0.5, -1.5, 2.0], dtype)}
        self.change = change

    def forward(self, x):
        self.x = x
        return x * self.params["w"]

    def backward(self, dout):
        return self.change(dout * self.params["w"], (dout * self.x).sum(0))


def told(report):
    return [(f.about, f.cause) for f in report.findings]


# -- what ends a check ---------------------------------------------------------------------


def ending(layer, *xs):
    report = check_layer(layer, *(xs or (X,)))
    return report.verdict, report.reason


def test_no_entry_is_inconclusive():
    layer = Function(lambda x: x, np.ones_like)
    assert ending(layer, np.zeros((0, 3))) == ("inconclusive", "there is not one entry to check")


def test_nothing_with_a_gradient_is_inconclusive():
    class Whole:
        def forward(self, i):
            return i * 2.0

        def backward(self, dout):
            return None, {}

    assert ending(Whole(), np.arange(3)) == ("inconclusive", "nothing here has a gradient")


def test_a_forward_that_is_not_finite_is_inconclusive():
    layer = Function(lambda x: x / 0.0, np.ones_like)
    reason = "forward gives NaN or inf at this point"
    assert ending(layer) == ("inconclusive", reason)


def test_a_forward_that_raises_or_gives_no_array_is_wrong():
    def raising(x):
        raise ValueError("no")

    report = check_layer(Function(raising, np.ones_like), X)
    assert told(report) == [("forward", "raises")]
    assert report.findings[0].message == "forward raises ValueError: no"
    assert told(check_layer(Function(lambda x: None, np.ones_like), X)) == [("forward", "dtype")]


def test_a_loss_is_one_number():
    class Rows:
        def forward(self, scores, y):
            self.d = scores - y
            return (self.d**2).sum(axis=1)

        def backward(self):
            return 2 * self.d

    report = check_loss(Rows(), X, 0 * X)
    assert told(report) == [("forward", "shape")]
    assert report.findings[0].message == "forward returns shape (2,), expected one number"
    assert report.backwards == 0


def test_a_loss_in_an_array_of_one_number_is_one():
    class One:
        def forward(self, scores, y):
            self.d = scores - y
            return (self.d**2).sum(keepdims=True)

        def backward(self):
            return 2 * self.d

    assert check_loss(One(), X, 0 * X).verdict == "right"


class Unseeded(Scale):
    def forward(self, x):
        return super().forward(x) + np.random.default_rng().random()


def test_randomness_without_rng_is_inconclusive_unless_the_contract_is_broken():
    assert ending(Unseeded()) == (
        "inconclusive",
        "two forwards at one point differ: its randomness is not in layer.rng",
    )
    report = check_layer(Unseeded(lambda dx, dw: (dx, {})), X)
    assert told(report) == [("dw", "gradient-missing")]

    class Raising(Unseeded):
        def forward(self, x):
            self.calls = getattr(type(self), "calls", 0) + 1
            type(self).calls = self.calls
            if self.calls > 2:
                raise ValueError("enough")
            return super().forward(x)

    assert ending(Raising())[0] == "inconclusive"


def test_an_output_of_another_shape_each_time_is_random():
    class Growing(Scale):
        sizes = iter(range(2, 100))

        def forward(self, x):
            return np.ones(next(self.sizes))

        def backward(self, dout):
            return np.zeros(X.shape), {"w": np.zeros(3)}

    assert ending(Growing())[0] == "inconclusive"


def test_nothing_is_computed_after_the_input_was_written_into():
    class Writing(Scale):
        def forward(self, x):
            y = super().forward(x.copy())
            x += 1
            return y

    report = check_layer(Writing(lambda dx, dw: (2 * dx, {"w": dw})), X.copy())
    assert told(report) == [("contract", "input-mutated")]
    assert report.rows == []


def test_after_dout_was_written_into_values_are_still_compared():
    class Writing(Scale):
        def backward(self, dout):
            found = super().backward(dout.copy())
            dout += 1
            return found

    report = check_layer(Writing(lambda dx, dw: (1.7 * dx, {"w": dw})), X)
    assert set(told(report)) == {("contract", "upstream-mutated"), ("dx", "constant-scale")}


# -- float32 -------------------------------------------------------------------------------

NARROW = X.astype(np.float32)


def test_a_narrow_layer_that_is_right():
    report = check_layer(Scale(dtype=np.float32), NARROW)
    assert report.verdict == "right"
    assert [row.about for row in report.rows] == ["dx", "dw"]


def test_a_narrow_gradient_further_off_than_rounding():
    def rough(dx, dw):
        if dw.dtype == np.float32:
            dw[1] *= np.float32(1.01)
        return dx, {"w": dw}

    report = check_layer(Scale(rough, np.float32), NARROW)
    (finding,) = report.findings
    assert (finding.about, finding.cause, finding.index) == ("dw", "precision-lost", (1,))
    assert finding.message.startswith("in float32 it is further from its float64 value")
    assert finding.got == pytest.approx(1.01 * finding.expected, rel=1e-5)
    assert finding.error == pytest.approx(0.01 * abs(finding.expected), rel=1e-3)
    assert 0 < finding.bound < 1e-4


def test_a_gradient_told_of_in_float32_is_not_told_of_again():
    def rough(dx, dw):
        if dw.dtype == np.float32:
            dw[1] *= np.float32(1.01)
        return dx, {"w": dw * dw.dtype.type(1.7)}

    report = check_layer(Scale(rough, np.float32), NARROW)
    assert told(report) == [("dw", "precision-lost")]
    assert [(row.about, row.verdict) for row in report.rows] == [("dx", "right"), ("dw", "wrong")]


def test_parameters_may_be_narrower_than_the_input():
    def rough(dx, dw):
        dw[1] *= 1.01 if narrow[0] else 1.0
        return dx, {"w": dw.astype(np.float32) if narrow[0] else dw}

    class Mixed(Scale):
        def backward(self, dout):
            narrow[0] = self.params["w"].dtype == np.float32
            return super().backward(dout)

    narrow = [True]
    findings = check_layer(Mixed(rough, np.float32), X).findings
    messages = {f.message for f in findings if f.cause == "precision-lost"}
    assert any(m.startswith("in float32 it is further") for m in messages)


def test_a_narrow_gradient_that_is_not_finite():
    def rough(dx, dw):
        if dw.dtype == np.float32:
            dw[1] = np.inf
        return dx, {"w": dw}

    report = check_layer(Scale(rough, np.float32), NARROW)
    finding = report.findings[0]
    assert (finding.about, finding.cause, finding.index) == ("dw", "not-finite", (1,))
    assert np.isfinite(finding.expected)
    assert len([f for f in report.findings if f.about == "dw"]) == 1


def test_a_gradient_of_the_wrong_form_does_not_hide_another():
    layer = Scale(lambda dx, dw: (np.float32(1.7) * dx, {"w": dw[:2]}), np.float32)
    report = check_layer(layer, NARROW)
    assert ("dw", "shape") in told(report)
    assert "dx" in {f.about for f in report.findings}
    assert [(row.about, row.verdict) for row in report.rows] == [("dx", "wrong")]


def test_a_gradient_of_another_form_in_float64_is_left_out():
    layer = Scale(lambda dx, dw: (dx if dx.dtype == np.float32 else dx[:1], {"w": dw}), np.float32)
    report = check_layer(layer, NARROW)
    assert [(row.about, row.verdict) for row in report.rows] == [("dw", "right")]


def test_a_narrow_layer_that_is_another_in_float64():
    class Other(Scale):
        def forward(self, x):
            return super().forward(x) * (1 if x.dtype == np.float32 else 2)

    reason = "a float64 copy of the layer does not give the same output"
    assert ending(Other(dtype=np.float32), NARROW) == ("inconclusive", reason)


def test_a_narrow_layer_of_another_shape_in_float64():
    class Other(Scale):
        def forward(self, x):
            y = super().forward(x)
            return y if x.dtype == np.float32 else y[:1]

    reason = "a float64 copy of the layer does not give the same output"
    assert ending(Other(dtype=np.float32), NARROW) == ("inconclusive", reason)


def test_small_numbers_of_a_narrow_output_may_differ_by_rounding():
    class Sum(Scale):
        def forward(self, x):
            return super().forward(x) + (np.float32(1e-4) if x.dtype == np.float32 else 0.0)

    assert ending(Sum(dtype=np.float32), NARROW)[0] == "right"


def test_a_narrow_layer_of_which_there_is_no_copy():
    class Single(Scale):
        def __deepcopy__(self, memo):
            raise TypeError("only one")

    verdict, reason = ending(Single(dtype=np.float32), NARROW)
    assert verdict == "inconclusive"
    assert reason == "no float64 copy of the layer could be made (only one)"


def test_a_narrow_layer_whose_backward_fails_in_float64():
    class Fussy(Scale):
        def backward(self, dout):
            if dout.dtype == np.float64:
                raise TypeError("float32 only")
            return super().backward(dout)

    verdict, reason = ending(Fussy(dtype=np.float32), NARROW)
    assert verdict == "inconclusive"
    assert reason == ("the checker's own probing failed: backward raises TypeError: float32 only")


# -- values --------------------------------------------------------------------------------


def test_a_row_for_each_gradient():
    report = check_layer(Scale(lambda dx, dw: (dx, {"w": 3 * dw})), X)
    assert [(r.about, r.verdict, r.entries) for r in report.rows] == [
        ("dx", "right", 6),
        ("dw", "wrong", 3),
    ]
    right, wrong = report.rows
    assert right.error <= right.bound < 1e-9
    assert wrong.error > 0.1


def test_a_gradient_that_is_not_finite_has_a_finding_and_no_row():
    def rough(dx, dw):
        dx[1, 2] = np.nan
        return dx, {"w": dw}

    report = check_layer(Scale(rough), X)
    assert told(report)[0] == ("dx", "not-finite")
    (finding,) = [f for f in report.findings if f.cause == "not-finite"]
    assert (finding.index, finding.message) == ((1, 2), "the gradient holds nan")
    assert [row.about for row in report.rows] == ["dw"]


class Jumps:
    """Each of the first n entries stands at a jump."""

    def forward(self, x):
        self.x = x
        return np.where(x > 1, x + 1, x)

    def backward(self, dout):
        return dout.copy(), {}


@pytest.mark.parametrize(
    ("x", "verdict"),
    [
        ([1.0], "inconclusive"),
        ([1.0, 0.5], "right"),
        ([1.0, 1.0], "inconclusive"),
        ([1.0, 1.0, 0.5, 0.25], "right"),
        ([1.0, 1.0, 1.0, 0.5, 0.25], "inconclusive"),
    ],
)
def test_too_many_entries_that_cannot_be_decided(x, verdict):
    report = check_layer(Jumps(), np.array([x]))
    assert report.verdict == verdict
    assert [row.verdict for row in report.rows] == [verdict]
    reason = "the slope of dx could not be measured well enough"
    assert report.reason == (reason if verdict == "inconclusive" else "")


def test_what_is_excused_nearby_is_right_in_the_table_too():
    class Median:
        def forward(self, x):
            self.pick, self.shape = np.argsort(x, axis=1, kind="stable")[:, 2], x.shape
            return np.sort(x, axis=1)[:, 2]

        def backward(self, dout):
            dx = np.zeros(self.shape)
            dx[np.arange(len(dx)), self.pick] = dout
            return dx, {}

    x = np.random.default_rng(0).integers(0, 3, (4, 5)).astype(float)
    report = check_layer(Median, x)
    assert report.verdict == "right"
    assert [row.verdict for row in report.rows] == ["right"]
    assert report.rows[0].error > 0.5  # beyond its slopes


class Larger:
    """y = max(a, b), with the shares at a tie to choose."""

    def __init__(self, first, second):
        self.shares = first, second

    def forward(self, a, b):
        self.a, self.b = a, b
        return np.maximum(a, b)

    def backward(self, dout):
        tie = self.a == self.b
        da = np.where(tie, self.shares[0], self.a > self.b)
        db = np.where(tie, self.shares[1], self.b > self.a)
        return (da * dout, db * dout), {}


@pytest.mark.parametrize(
    ("first", "second", "right"),
    [(1.0, 0.0, True), (0.5, 0.5, True), (0.25, 0.75, True), (1.0, 1.0, False), (0.0, 0.0, False)],
)
def test_ties_across_inputs(first, second, right):
    report = check_layer(Larger(first, second), np.ones((2, 2)), np.ones((2, 2)))
    assert report.verdict == ("right" if right else "wrong")
    assert right or told(report) == [("dx[0]", "ties")]


def test_what_a_law_tells_takes_the_place_of_values():
    report = check_layer(Scale(lambda dx, dw: (dx, {"w": dw + 0.1})), X)
    assert told(report) == [("dw", "constant-leak")]


@pytest.mark.parametrize(
    ("change", "probed"),
    [
        (lambda dx, dw: (dx, {"w": dw}), True),
        (lambda dx, dw: (dx, {"w": dw, "v": dw}), True),  # harmless
        (lambda dx, dw: (1.7 * dx, {"w": dw}), False),
    ],
)
def test_what_is_serious_ends_the_probes_elsewhere(change, probed, monkeypatch):
    class Listening(Elsewhere):
        runs, modes = 0, 0

        def run(self):
            Listening.runs += 1

        def in_the_other_mode(self):
            Listening.modes += 1

    monkeypatch.setattr("gradcheck.examination.Elsewhere", Listening)
    report = check_layer(Scale(change), X)
    assert Listening.runs == probed
    assert Listening.modes == (report.verdict == "right")


def test_what_cannot_be_decided_is_not_tried_in_the_other_mode(monkeypatch):
    modes = []
    method = "gradcheck.examination.Elsewhere.in_the_other_mode"
    monkeypatch.setattr(method, lambda self: modes.append(self))
    assert check_layer(Jumps(), np.array([[1.0]])).verdict == "inconclusive"
    assert modes == []
    assert check_layer(Jumps(), np.array([[0.5]])).verdict == "right"
    assert len(modes) == 1


# -- children ------------------------------------------------------------------------------


def tripled(dx, dw):
    return dx, {"w": 3 * dw}


def test_the_child_at_fault_and_no_gradient_upstream():
    chain = Chain(one=Scale(), two=Scale(lambda dx, dw: (1.7 * dx, {"w": dw})), three=Scale())
    report = check_layer(chain, X)
    assert told(report) == [("two.dx", "constant-scale")]
    assert report.findings[0].message.startswith("in two, ")
    wrong = {row.about for row in report.rows if row.verdict == "wrong"}
    assert wrong == {"dx", "done.w"}


def test_two_children_at_fault():
    report = check_layer(Chain(one=Scale(tripled), two=Scale(), three=Scale(tripled)), X)
    assert {f.about for f in report.findings} == {"done.w", "dthree.w"}


def test_a_child_that_raises_is_named():
    class Raising(Scale):
        def backward(self, dout):
            raise ValueError("no")

    findings = blame_children(Subject(Chain(one=Scale(), two=Raising()), [X]), DOUT, 0)
    assert [(f.about, f.cause) for f in findings] == [("contract", "raises")]
    assert findings[0].message == "in two, backward raises ValueError: no"


def test_calls_of_children_count():
    chain = Chain(one=Scale(tripled), two=Scale())
    subject = Subject(chain, [X])
    findings = blame_children(subject, DOUT, 0)
    assert [f.about for f in findings] == ["done.w"]
    assert subject.counts.forwards > 50
    assert subject.counts.backwards > 10
    assert "forward" not in vars(chain.children["one"])


def test_no_children_no_blame():
    assert blame_children(Subject(Scale(tripled), [X]), DOUT, 0) == []


def test_a_container_wrong_by_itself_is_blamed_itself():
    class Doubling(Chain):
        def backward(self, dout):
            dx, grads = super().backward(dout)
            return 1.7 * dx, grads

    report = check_layer(Doubling(one=Scale(), two=Scale()), X)
    assert told(report) == [("dx", "constant-scale")]


class Relu:
    def forward(self, x):
        self.x = x
        return np.maximum(x, 0)

    def backward(self, dout):
        return dout * (self.x > 0), {}


class Sum(Relu):
    """Each row's entries weighted and added."""

    weights = np.array([1.0, -2.0, 0.5])

    def forward(self, x):
        return x @ self.weights

    def backward(self, dout):
        return dout[:, None] * self.weights, {}


class Spread(Relu):
    """Each row's entries mixed."""

    mix = np.array([[1.0, -1.0, 0.5], [0.5, 1.0, -1.0], [-1.0, 0.5, 1.0]])

    def forward(self, x):
        return x @ self.mix

    def backward(self, dout):
        return dout @ self.mix.T, {}


def test_a_net_of_right_children_is_right_at_its_kinks(monkeypatch):
    excused = "gradcheck.examination.Nearby.excuses"
    monkeypatch.setattr(excused, lambda self, comparison: False)
    x = np.array([[0.0, 0.0, 0.0], [0.5, 0.25, -1.0]])
    for factor, verdict in ((1.0, "right"), (1.5, "wrong")):

        class Last(Sum):
            def backward(self, dout, factor=factor):
                return super().backward(factor * dout)

        report = check_layer(Chain(first=Spread(), relu=Relu(), last=Last()), x)
        assert report.verdict == verdict
        assert [row.verdict for row in report.rows] == [verdict]
        assert report.rows[0].error > 0.1


def test_a_harmless_finding_in_a_child_is_no_fault_of_it():
    chain = Chain(one=Scale(lambda dx, dw: (dx, {"w": dw, "v": dw})), two=Scale(tripled))
    findings = blame_children(Subject(chain, [X]), DOUT, 0)
    assert [f.about for f in findings] == ["dtwo.w"]


@pytest.mark.parametrize("method", ["forward", "backward"])
def test_a_child_that_writes_into_what_flows_is_named(method):
    class Writing(Scale):
        def forward(self, x):
            y = super().forward(x.copy())
            if method == "forward":
                x += 1
            return y

        def backward(self, dout):
            found = super().backward(dout.copy())
            if method == "backward":
                dout += 1
            return found

    findings = children_writing(Subject(Chain(one=Scale(), two=Writing()), [X]), DOUT)
    cause = "input-mutated" if method == "forward" else "upstream-mutated"
    assert [(f.about, f.cause) for f in findings] == [("contract", cause)]
    text = f"in two, {method} writes into what it is given, which is not its own"
    assert findings[0].message == text
    written = {f.message for f in check_layer(Chain(one=Scale(), two=Writing()), X).findings}
    assert text in written


def test_children_that_write_into_nothing():
    assert children_writing(Subject(Chain(one=Scale(), two=Scale()), [X]), DOUT) == []
    assert children_writing(Subject(Scale(), [X]), DOUT) == []


def test_an_examination_of_one_seed_takes_one_dout():
    runs = []
    for seed in (0, 0, 1):
        examination = Examination(Subject(Scale(), [X]), Report("Scale"), seed)
        examination.run()
        runs.append(examination.dout)
        assert np.all((np.abs(examination.dout) >= 0.5) & (np.abs(examination.dout) <= 1.5))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.any(runs[0] != runs[2])
