"""The checker on worked layers: what it must see, what it must accept, what it must leave alone."""

import copy
import json

import numpy as np
import pytest

from gradcheck import Finding, Report, assert_right, check_function, check_layer, check_loss
from tests.gradcheck.plain import Chain


def known(*values, reason):
    """A case in which the checker is known to err; it fails once the checker does not."""
    return pytest.param(*values, marks=pytest.mark.xfail(strict=True, reason=reason))


def points(*shape, seed=0):
    """Numbers between 0.3 and 1.7 in magnitude, of either sign."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0.3, 1.7, size=shape) * rng.choice([-1.0, 1.0], size=shape)


class Square:
    """y = x², with backward's factor to choose."""

    def __init__(self, factor=2.0, leak=0.0):
        self.factor, self.leak = factor, leak

    def forward(self, x):
        self.x = x
        return x**2

    def backward(self, dout):
        return self.factor * self.x * dout + self.leak, {}


class Linear:
    """y = xW + b."""

    def __init__(self, D=4, M=3, dtype=np.float64):
        rng = np.random.default_rng(1)
        self.params = {
            "W": rng.standard_normal((D, M)).astype(dtype),
            "b": rng.standard_normal(M).astype(dtype),
        }

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, dout):
        return dout @ self.params["W"].T, {"W": self.x.T @ dout, "b": dout.sum(axis=0)}


class DoubledWeightGradient(Linear):
    def backward(self, dout):
        dx, grads = super().backward(dout)
        return dx, {**grads, "W": 2 * grads["W"]}


class ReLU:
    """y = max(0, x), with the slope at 0 to choose."""

    def __init__(self, at_zero=0.0):
        self.at_zero = at_zero

    def forward(self, x):
        self.slope = np.where(x > 0, 1.0, np.where(x < 0, 0.0, self.at_zero))
        return np.maximum(x, 0.0)

    def backward(self, dout):
        return self.slope * dout, {}


class Maximum:
    """Each row's maximum; among ties the gradient goes to `share`."""

    def __init__(self, share="first"):
        self.share = share

    def forward(self, x):
        top = x == x.max(axis=1, keepdims=True)
        if self.share == "first":
            top &= np.cumsum(top, axis=1) == 1
        self.weights = top / top.sum(axis=1, keepdims=True) if self.share == "equal" else top
        return x.max(axis=1)

    def backward(self, dout):
        return self.weights * dout[:, None], {}


class SquaredError:
    """L = Σ (scores − y)² / N, with backward's factor to choose."""

    def __init__(self, factor=2.0):
        self.factor = factor

    def forward(self, scores, y):
        self.difference = scores - y
        return float((self.difference**2).sum() / len(scores))

    def backward(self):
        return self.factor * self.difference / len(self.difference)


# -- values --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_right_layers_are_right(seed):
    assert check_layer(Square(), points(3, 2, seed=seed), seed=seed).verdict == "right"
    assert check_layer(Linear(), points(5, 4, seed=seed), seed=seed).verdict == "right"


def test_a_factor_of_2_001_is_wrong():
    report = check_layer(Square(2.001), points(3, 2))
    assert report.verdict == "wrong"
    assert report.findings[0].about == "dx"


@pytest.mark.parametrize("error", [1e-4, 1e-6, 1e-8, 1e-10])
def test_a_relative_error_is_seen(error):
    assert check_layer(Square(2.0 * (1 + error)), points(3, 2)).verdict == "wrong"


def test_rounding_is_not_an_error():
    assert check_layer(Square(2.0 * (1 + 2e-16)), points(3, 2)).verdict == "right"


@pytest.mark.parametrize("leak", [1e-3, 1e-9])
def test_a_leak_is_seen_and_named(leak):
    report = check_layer(Square(leak=leak), points(3, 2))
    assert report.verdict == "wrong"
    assert report.findings[0].cause == "constant-leak"


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e12])
def test_verdicts_do_not_depend_on_the_scale(scale):
    x = scale * points(3, 2)
    assert check_layer(Square(), x).verdict == "right"
    assert check_layer(Square(2.0 + 1e-6), x).verdict == "wrong"


def test_finding_holds_the_true_slope_at_its_index():
    scores, y = points(4, 3), points(4, 3, seed=1)
    finding = check_loss(SquaredError(2.5), scores, y).findings[0]
    true = (scores - y)[finding.index] / 4
    assert finding.expected == pytest.approx(2 * true, rel=1e-10)
    assert finding.got == pytest.approx(2.5 * true, rel=1e-10)
    assert finding.error == pytest.approx(abs(finding.got - finding.expected))
    assert finding.bound < 1e-9 * abs(finding.expected)


@pytest.mark.parametrize("wrong", [0, 54_321, 99_999])
def test_one_wrong_entry_of_many_is_located(wrong):
    class OneWrong(Square):
        def backward(self, dout):
            dx, _ = super().backward(dout)
            dx.flat[wrong] *= 1.5
            return dx, {}

    report = check_layer(OneWrong(), points(100, 1000))
    assert report.verdict == "wrong"
    assert report.findings[0].about == "dx"
    assert report.findings[0].index == (wrong // 1000, wrong % 1000)


def test_many_right_entries_take_few_forwards():
    report = check_layer(Square(), points(100, 1000))
    assert report.verdict == "right"
    assert report.forwards < 2000


def test_two_wrong_gradients_are_two_findings():
    class Negated(Linear):
        def backward(self, dout):
            dx, grads = super().backward(dout)
            return -dx, {"W": -grads["W"], "b": grads["b"]}

    report = check_layer(Negated(), points(5, 4))
    assert {f.about for f in report.findings} == {"dx", "dW"}
    assert {f.cause for f in report.findings} == {"sign-flipped"}
    assert {r.about: r.verdict for r in report.rows} == {
        "dx": "wrong",
        "dW": "wrong",
        "db": "right",
    }


# -- kinks and ties ------------------------------------------------------------------------


@pytest.mark.parametrize("at_zero", [0.0, 0.5, 1.0])
def test_any_slope_between_is_right_at_a_kink(at_zero):
    assert check_layer(ReLU(at_zero), np.array([[0.0, 1.0, -1.0, 0.0]])).verdict == "right"


@pytest.mark.parametrize("at_zero", [1.5, -0.5, 1.001, -0.001])
def test_a_slope_beyond_is_wrong_at_a_kink(at_zero):
    report = check_layer(ReLU(at_zero), np.array([[0.0, 1.0, -1.0, 0.5]]))
    assert report.verdict == "wrong"
    assert report.findings[0].index == (0, 0)


@pytest.mark.parametrize("distance", [1e-3, 1e-6, 1e-9, 1e-12])
def test_a_kink_nearby_is_no_kink_here(distance):
    x = np.array([[distance, 1.0, -distance]])
    assert check_layer(ReLU(), x).verdict == "right"


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-6, 1e-9, 1e-12])
def test_a_wrong_slope_beside_a_kink_is_seen(distance):
    class Late(ReLU):
        def forward(self, x):
            y = super().forward(x)
            self.slope = (x > 2 * distance).astype(float)
            return y

    assert check_layer(Late(), np.array([[distance, 1.0, -1.0]])).verdict == "wrong"


@pytest.mark.parametrize("share", ["first", "equal"])
def test_ties_may_go_to_one_or_be_shared(share):
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [1.0, 2.0, 3.0]])
    assert check_layer(Maximum(share), x).verdict == "right"


def test_ties_may_not_all_get_everything():
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [1.0, 2.0, 3.0]])
    report = check_layer(Maximum("all"), x)
    assert report.verdict == "wrong"
    assert report.findings[0].cause == "ties"


# -- single precision ----------------------------------------------------------------------


def test_right_single_precision_is_right():
    layer = Linear(dtype=np.float32)
    assert check_layer(layer, points(5, 4).astype(np.float32)).verdict == "right"


def test_half_precision_within_is_wrong():
    class Rounded(Linear):
        def backward(self, dout):
            rough = self.x.astype(np.float16).astype(self.x.dtype)
            dx, grads = super().backward(dout)
            return dx, {**grads, "W": rough.T @ dout}

    report = check_layer(Rounded(dtype=np.float32), points(5, 4).astype(np.float32))
    assert report.verdict == "wrong"
    assert report.findings[0].about == "dW"


def test_mistake_in_single_precision_is_named():
    x = points(5, 4).astype(np.float32)
    report = check_layer(DoubledWeightGradient(dtype=np.float32), x)
    assert (report.findings[0].about, report.findings[0].cause) == ("dW", "factor-of-two")


# -- randomness ----------------------------------------------------------------------------


class Dropout:
    """Keeps each entry with probability 0.5; the mask from `self.rng`."""

    def __init__(self):
        self.rng = np.random.default_rng(3)

    def forward(self, x):
        self.mask = (self.rng.random(x.shape) < 0.5) / 0.5
        return x * self.mask

    def backward(self, dout):
        return dout * self.mask, {}


def test_random_layer_with_rng_is_right():
    assert check_layer(Dropout(), points(6, 5)).verdict == "right"


def test_random_layer_without_rng_is_inconclusive():
    class Unseeded(Dropout):
        def forward(self, x):
            self.mask = (np.random.default_rng().random(x.shape) < 0.5) / 0.5
            return x * self.mask

    report = check_layer(Unseeded(), points(6, 5))
    assert report.verdict == "inconclusive"
    assert "rng" in report.reason
    assert not report


def test_mask_drawn_again_in_backward_is_wrong():
    class Redrawn(Dropout):
        def backward(self, dout):
            return dout * (self.rng.random(dout.shape) < 0.5) / 0.5, {}

    report = check_layer(Redrawn(), points(6, 5))
    assert report.verdict == "wrong"
    assert report.findings[0].cause == "randomness-redrawn"


# -- the contract --------------------------------------------------------------------------


def changed(**methods):
    """A Square with other methods."""
    return type("Changed", (Square,), methods)()


def raising(*_):
    raise RuntimeError("no way\nsecond line")


@pytest.mark.parametrize(("where", "about"), [("forward", "forward"), ("backward", "contract")])
def test_an_exception_is_a_finding(where, about):
    report = check_layer(changed(**{where: raising}), points(3, 2))
    assert report.verdict == "wrong"
    assert (report.findings[0].about, report.findings[0].cause) == (about, "raises")
    assert "RuntimeError: no way" in report.findings[0].message
    assert "second line" not in report.findings[0].message


@pytest.mark.parametrize(
    ("backward", "cause"),
    [
        (lambda self, dout: (np.full(dout.shape, np.nan), {}), "not-finite"),
        (lambda self, dout: ((2 * self.x * dout)[:1], {}), "shape"),
        (lambda self, dout: ((2 * self.x * dout).astype(int), {}), "dtype"),
        (lambda self, dout: ((2 * self.x * dout).astype(object), {}), "dtype"),
        (lambda self, dout: (2 * self.x * dout, {"W": np.ones(2)}), "gradient-extra"),
        (lambda self, dout: (None, {}), "gradient-missing"),
        (lambda self, dout: (2 * self.x * np.sign(dout), {}), "upstream-nonlinear"),
        (lambda self, dout: (2 * self.x, {}), "upstream-ignored"),
    ],
)
def test_what_backward_returns_is_held_to_the_contract(backward, cause):
    report = check_layer(changed(backward=backward), points(3, 2))
    assert report.verdict == "wrong"
    assert report.findings[0].cause == cause


def test_missing_parameter_gradient():
    class Forgets(Linear):
        def backward(self, dout):
            dx, grads = super().backward(dout)
            return dx, {"W": grads["W"]}

    report = check_layer(Forgets(), points(5, 4))
    assert (report.findings[0].about, report.findings[0].cause) == ("db", "gradient-missing")


def test_mutated_upstream():
    def backward(self, dout):
        dout *= 2 * self.x
        return dout.copy(), {}

    report = check_layer(changed(backward=backward), points(3, 2))
    assert "upstream-mutated" in {f.cause for f in report.findings}


def test_mutated_input():
    def forward(self, x):
        self.x = x.copy()
        x *= x
        return x.copy()

    report = check_layer(changed(forward=forward), points(3, 2))
    assert "input-mutated" in {f.cause for f in report.findings}


def test_accumulated_gradient():
    class Accumulates(Linear):
        def __init__(self):
            super().__init__()
            self.dW = np.zeros((4, 3))

        def backward(self, dout):
            dx, grads = super().backward(dout)
            self.dW = self.dW + grads["W"]
            return dx, {**grads, "W": self.dW}

    report = check_layer(Accumulates(), points(5, 4))
    assert (report.findings[0].about, report.findings[0].cause) == ("dW", "accumulates")


def test_cache_on_the_class_is_stale():
    class Shared(Square):
        cache = None

        def forward(self, x):
            Shared.cache = x
            return x**2

        def backward(self, dout):
            return 2 * Shared.cache * dout, {}

    report = check_layer(Shared(), points(3, 2))
    assert report.verdict == "wrong"
    assert report.findings[0].cause == "stale-cache"


def test_forward_that_is_not_finite_is_inconclusive():
    def forward(self, x):
        self.x = x
        return x * np.nan

    assert check_layer(changed(forward=forward), points(3, 2)).verdict == "inconclusive"


def test_nothing_to_check_is_not_right():
    report = check_layer(changed(), np.arange(6).reshape(3, 2))
    assert report.verdict != "right"


@pytest.mark.parametrize("thing", [object(), 3, lambda: None, np.ones(3)])
def test_what_has_no_passes_is_refused(thing):
    with pytest.raises(TypeError, match="forward"):
        check_layer(thing, points(3, 2))


# -- containers ----------------------------------------------------------------------------


def test_right_container_is_right():
    net = Chain(fc1=Linear(4, 3), square=Square(), fc2=Linear(3, 2))
    report = check_layer(net, points(5, 4))
    assert report.verdict == "right"
    assert {r.about for r in report.rows} == {"dx", "dfc1.W", "dfc1.b", "dfc2.W", "dfc2.b"}


def test_the_child_at_fault_is_named():
    net = Chain(fc1=DoubledWeightGradient(4, 3), square=Square(), fc2=Linear(3, 2))
    report = check_layer(net, points(5, 4))
    assert [(f.about, f.cause) for f in report.findings] == [("dfc1.W", "factor-of-two")]
    assert "fc1" in report.findings[0].message


def test_a_child_late_in_the_chain_is_named_alone():
    net = Chain(fc1=Linear(4, 3), square=Square(-2.0), fc2=Linear(3, 2))
    report = check_layer(net, points(5, 4))
    assert [(f.about, f.cause) for f in report.findings] == [("square.dx", "sign-flipped")]


# -- what is left alone --------------------------------------------------------------------


@pytest.mark.parametrize("make", [Square, Linear, Dropout, DoubledWeightGradient])
def test_the_layer_and_the_input_are_left_as_they_were(make):
    layer, x = make(), points(5, 4)
    before, x_before = copy.deepcopy(vars(layer)), x.copy()
    check_layer(layer, x)
    assert np.array_equal(x, x_before)
    assert vars(layer).keys() == before.keys()
    for name, p in getattr(layer, "params", {}).items():
        assert np.array_equal(p, before["params"][name])
    if hasattr(layer, "rng"):
        assert layer.rng.bit_generator.state == before["rng"].bit_generator.state


def test_global_random_state_is_untouched():
    before = copy.deepcopy(np.random.get_state())  # noqa: NPY002
    check_layer(DoubledWeightGradient(), points(5, 4))
    after = np.random.get_state()  # noqa: NPY002
    assert before[0] == after[0]
    assert np.array_equal(before[1], after[1])
    assert before[2:] == after[2:]


def test_global_error_state_is_untouched():
    before = np.geterr()
    check_layer(Square(), points(3, 2))
    assert np.geterr() == before


def test_same_seed_same_report():
    def told(seed):
        report = check_layer(DoubledWeightGradient(), points(5, 4), seed=seed)
        return {**report.as_dict(), "seconds": 0}

    assert told(4) == told(4)


# -- losses, functions, reports ------------------------------------------------------------


def test_check_loss():
    scores, y = points(4, 3), points(4, 3, seed=1)
    assert check_loss(SquaredError(), scores, y).verdict == "right"
    report = check_loss(SquaredError(1.0), scores, y)
    assert report.verdict == "wrong"
    assert (report.findings[0].about, report.findings[0].cause) == ("dscores", "factor-of-two")


def test_check_function():
    x = points(4)
    assert check_function(lambda x: float(np.sin(x).sum()), np.cos, x).verdict == "right"
    assert check_function(np.sin, np.cos, x).verdict == "right"
    assert check_function(np.sin, lambda x, dout: np.cos(x) * dout, x).verdict == "right"
    assert check_function(np.sin, lambda x: -np.cos(x), x).findings[0].cause == "sign-flipped"


def test_assert_right():
    assert_right(Square(), points(3, 2))
    assert_right(Square, points(3, 2))
    with pytest.raises(AssertionError, match="factor-of-two"):
        assert_right(Square(1.0), points(3, 2))


def test_several_inputs():
    class Product:
        def __init__(self, sign=1.0):
            self.sign = sign

        def forward(self, a, b):
            self.a, self.b = a, b
            return a * b

        def backward(self, dout):
            return (dout * self.b, self.sign * dout * self.a), {}

    a, b = points(3, 2), points(3, 2, seed=1)
    assert check_layer(Product(), a, b).verdict == "right"
    report = check_layer(Product(-1.0), a, b)
    assert [(f.about, f.cause) for f in report.findings] == [("dx[1]", "sign-flipped")]


def test_report_prints_a_table_and_the_findings():
    report = check_layer(DoubledWeightGradient(), points(5, 4))
    text = str(report)
    assert "DoubledWeightGradient: wrong" in text
    assert all(name in text for name in ("dx", "dW", "db", "[factor-of-two]"))
    assert json.loads(report.to_json())["findings"][0]["about"] == "dW"
    assert report.forwards > 0
    assert report.backwards > 0
    assert report.seconds > 0


def test_report_is_true_when_right():
    assert check_layer(Square(), points(3, 2))
    assert not check_layer(Square(1.0), points(3, 2))


def test_report_in_json_has_no_number_that_is_not_finite():
    report = Report("a", findings=[Finding("dx", "not-finite", "m", got=float("nan"))])
    found = json.loads(report.to_json(), parse_constant=pytest.fail)["findings"][0]
    assert (found["got"], found["causes"]) == ("nan", ["not-finite"])
