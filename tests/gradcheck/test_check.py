"""What a user calls: what goes in, in which order findings come out, what is left alone."""

import warnings

import numpy as np
import pytest

from gradcheck import Finding, assert_right, check_function, check_layer, check_loss
from gradcheck.check import _as_input, in_order

X = np.array([[0.5, -1.5, 1.0], [0.75, 1.25, -0.5]])


class Square:
    """y = x²."""

    def __init__(self, factor=2.0):
        self.factor = factor

    def forward(self, x):
        self.x = x
        return x**2

    def backward(self, dout):
        return self.factor * self.x * dout, {}


def findings(*pairs):
    return [Finding(about, cause, f"{i}") for i, (about, cause) in enumerate(pairs)]


def ordered(*pairs):
    return [(f.about, f.cause) for f in in_order(findings(*pairs))]


def test_what_stops_everything_comes_first_and_consequences_last():
    causes = [
        "unexplained",
        "gradient-extra",
        "aliased-result",
        "ties",
        "sign-flipped",
        "batch-mean-missing",
        "accumulates",
        "not-finite",
        "shape",
        "gradient-missing",
        "input-mutated",
        "raises",
    ]
    assert [cause for _, cause in ordered(*(("dx", c) for c in causes))] == [
        "raises",
        "input-mutated",
        "gradient-missing",
        "shape",
        "not-finite",
        "accumulates",
        "sign-flipped",
        "batch-mean-missing",
        "ties",
        "unexplained",
        "gradient-extra",
        "aliased-result",
    ]


def test_findings_of_like_rank_keep_their_order():
    assert ordered(("db", "sign-flipped"), ("dW", "factor-of-two")) == [
        ("db", "sign-flipped"),
        ("dW", "factor-of-two"),
    ]


def test_one_finding_for_each_gradient_and_cause_the_first():
    kept = in_order(findings(("dx", "ties"), ("dx", "ties"), ("dW", "ties"), ("dx", "shape")))
    assert [f.message for f in kept] == ["3", "0", "2"]


@pytest.mark.parametrize("x", [[1.0, 2.0], (1.0, 2.0), 1.5, [[1.0], [2.0]]])
def test_lists_and_floats_become_arrays(x):
    assert isinstance(_as_input(x), np.ndarray)
    assert check_layer(Square(), x).verdict == "right"


def test_anything_else_is_passed_on():
    assert _as_input(3) == 3
    assert type(_as_input(3)) is int
    assert _as_input("mode") == "mode"
    assert _as_input(X) is X


def test_a_report_counts_and_is_timed():
    report = check_layer(Square(), X)
    assert report.name == "Square"
    assert report.forwards > 6 * 8
    assert report.backwards > 5
    assert 0 < report.seconds < 60
    assert report.findings == []
    assert report.reason == ""


def test_what_cannot_be_checked_is_inconclusive_with_the_reason():
    layer = Square()
    layer.params = [1.0]
    report = check_layer(layer, X)
    assert report.verdict == "inconclusive"
    assert report.reason == "params is a list, not a dict of arrays"


def test_the_checkers_own_failures_are_inconclusive(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("gradcheck.examination.exact_findings", broken)
    report = check_layer(Square(), X)
    assert report.verdict == "inconclusive"
    assert report.reason == "the checker's own probing failed: ZeroDivisionError: oh"
    report = check_layer(Square(3.0), X)
    assert report.verdict == "wrong"  # what was found before counts
    assert report.reason == ""


def test_writing_into_the_input_is_a_finding_about_the_contract():
    class Writing(Square):
        def forward(self, x):
            y = super().forward(x.copy())
            x += 1
            return y

    report = check_layer(Writing(), X.copy())
    assert report.verdict == "wrong"
    assert (report.findings[0].about, report.findings[0].cause) == ("contract", "input-mutated")


def test_a_loss_may_have_several_targets():
    class Weighted:
        def forward(self, scores, y, weights):
            self.d, self.weights = scores - y, weights
            return float((weights * self.d**2).sum())

        def backward(self):
            return 2 * self.weights * self.d

    assert check_loss(Weighted(), X, 0 * X, np.abs(X)).verdict == "right"
    assert check_loss(Weighted, X, 0 * X, np.abs(X)).name == "Weighted"


def test_a_function_gives_its_name():
    def cube(x):
        return x**3

    report = check_function(cube, lambda x: 3 * x**2, X)
    assert (report.name, report.verdict) == ("cube", "right")
    assert check_function(cube, lambda x: 2 * x**2, X).verdict == "wrong"
    partial = type("Odd", (), {"__call__": lambda self, x: x**3})()
    assert check_function(partial, lambda x: 3 * x**2, X).name == "function"
    times = check_function(lambda a, b: a * b, lambda a, b: (b, a), X, 2 * X)
    assert times.verdict == "right"
    assert [row.about for row in times.rows] == ["dx[0]", "dx[1]"]


def test_the_seed_is_that_of_the_points():
    seen = {0: [], 1: []}
    for seed, points in seen.items():

        class Listening(Square):
            def backward(self, dout, points=points):
                points.append(dout.copy())
                return super().backward(dout)

        assert check_layer(Listening, X, seed=seed).verdict == "right"
        assert check_function(lambda x: x, lambda x: 1 + 0 * x, X, seed=seed).verdict == "right"
    assert np.any(seen[0][0] != seen[1][0])


@pytest.mark.parametrize("call", [check_layer, check_function, assert_right, check_loss])
def test_without_a_seed_it_is_0(call):
    class Error:
        def forward(self, scores):
            self.scores = scores
            points.append(scores)
            return float((scores**3).sum())

        def backward(self):
            return 3 * self.scores**2

    def cube(x):
        points.append(x)
        return x**3

    seen = []
    for seed in ({}, {"seed": 0}, {"seed": 1}):
        points: list = []
        if call is check_function:
            call(cube, lambda x: 3 * x**2, X, **seed)
        elif call is check_loss:
            call(Error(), X, **seed)
        else:
            call(type("Heard", (Square,), {"forward": listen, "points": points}), X, **seed)
        seen.append([p.tobytes() for p in points])
    assert seen[0] == seen[1] != seen[2]


def listen(layer, x):
    type(layer).points.append(x)
    layer.x = x
    return x**2


def test_assert_right_passes_the_seed_and_prints_the_report():
    assert_right(Square(), X, seed=3)
    with pytest.raises(AssertionError, match=r"(?s)\nSquare: wrong.*dx"):
        assert_right(Square(3.0), X)


def test_warnings_at_the_checkers_points_are_nobodys_concern():
    class Loud(Square):
        def forward(self, x):
            warnings.warn("loud", stacklevel=1)
            np.array([1.0]) / np.array([0.0])
            return super().forward(x)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_layer(Loud(), X).verdict == "right"


def test_the_global_generator_is_put_back():
    class Drawing(Square):
        def forward(self, x):
            np.random.rand()  # noqa: NPY002
            return super().forward(x)

    np.random.seed(5)  # noqa: NPY002
    before = np.random.rand()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    assert check_layer(Drawing(), X).verdict == "right"
    assert np.random.rand() == before  # noqa: NPY002
