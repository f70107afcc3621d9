"""Layers written out by hand, right and wrong by the smallest of margins."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradcheck import assert_right, check_function, check_layer, check_loss

X = np.random.default_rng(1).normal(size=(4, 5))


class Formula:
    """A layer without parameters from two formulas."""

    def __init__(self, f: Callable[..., Any], b: Callable[..., Any]) -> None:
        self.f, self.b = f, b

    def forward(self, x: Any) -> Any:
        self.x = x
        return self.f(x)

    def backward(self, dout: Any) -> Any:
        return self.b(dout, self.x), {}


class Affine:
    """y = x W + b, with one entry of dW off by a factor if asked."""

    def __init__(self, D: int, M: int, dtype: type = np.float64, off: Any = None) -> None:
        rng = np.random.default_rng(2)
        self.W = rng.normal(size=(D, M)).astype(dtype)
        self.b = np.zeros(M, dtype)
        self.params = {"W": self.W, "b": self.b}
        self.off = off
        self.half = False

    def forward(self, x: Any) -> Any:
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout: Any) -> Any:
        dW = self.x.T @ dout
        if self.half:
            dW = dW.astype(np.float16).astype(dW.dtype)
        if self.off is not None:
            dW[self.off] *= 1.001
        return dout @ self.W.T, {"W": dW, "b": dout.sum(0)}


def relu(slope_at_zero: float) -> Formula:
    return Formula(
        lambda x: np.maximum(x, 0),
        lambda d, x: d * np.where(x == 0, slope_at_zero, (x > 0).astype(float)),
    )


def maximum(share: Callable[[Any], Any]) -> Formula:
    """The largest of each row; `share` splits the gradient among the tied ones."""
    return Formula(
        lambda x: x.max(1),
        lambda d, x: share(x == x.max(1, keepdims=True)) * d[:, None],
    )


def first(tied: Any) -> Any:
    return tied & (np.cumsum(tied, axis=1) == 1)


def test_2_001_for_2_is_wrong() -> None:
    assert check_function(lambda x: (x**2).sum(), lambda x: 2.0 * x, X).verdict == "right"
    report = check_function(lambda x: (x**2).sum(), lambda x: 2.001 * x, X)
    assert report.verdict == "wrong"
    assert report.findings[0].about == "dx"


def test_a_factor_off_by_a_billionth_is_wrong() -> None:
    report = check_function(np.tanh, lambda x: (1 - np.tanh(x) ** 2) * (1 + 1e-9), X)
    assert report.verdict == "wrong"


def test_a_constant_of_a_billionth_is_wrong() -> None:
    layer = Formula(np.tanh, lambda d, x: d * (1 - np.tanh(x) ** 2) + 1e-9)
    report = check_layer(layer, X)
    assert report.verdict == "wrong"
    assert any("constant-leak" in f.causes for f in report.findings)


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_any_slope_between_the_two_is_right_at_a_kink(slope: float) -> None:
    assert_right(relu(slope), np.zeros((3, 4)))


@pytest.mark.parametrize("slope", [-1.0, 2.0])
def test_a_slope_outside_the_two_is_wrong_at_a_kink(slope: float) -> None:
    assert check_layer(relu(slope), np.zeros((3, 4))).verdict == "wrong"


def test_a_kink_nearby_is_no_fault() -> None:
    x = np.array([1e-9, -1e-9, 1e-4, -1e-6, 0.0, 1.0])
    assert_right(Formula(np.abs, lambda d, x: d * np.sign(x)), x)


TIED = np.array([[1.0, 1.0, 0.0], [2.0, 0.0, 2.0], [3.0, 3.0, 3.0]])


@pytest.mark.parametrize("share", [first, lambda t: t / t.sum(1, keepdims=True)])
def test_any_split_among_ties_is_right(share: Callable[[Any], Any]) -> None:
    assert_right(maximum(share), TIED)


@pytest.mark.parametrize("share", [lambda t: t * 1.0, lambda t: t * (t.sum(1, keepdims=True) == 1)])
def test_the_whole_to_each_tie_or_nothing_to_any_is_wrong(share: Callable[[Any], Any]) -> None:
    report = check_layer(maximum(share), TIED)
    assert report.verdict == "wrong"
    assert report.findings[0].cause == "ties"


def test_ties_are_looked_for_at_an_x_that_has_none() -> None:
    assert check_layer(maximum(lambda t: t * 1.0), X).verdict == "wrong"


def test_float32_is_no_fault_and_float16_in_it_is() -> None:
    layer = Affine(5, 3, np.float32)
    x = X.astype(np.float32)
    assert_right(layer, x)
    layer.half = True
    report = check_layer(layer, x)
    assert report.verdict == "wrong"
    assert report.findings[0].cause == "precision-lost"


def test_one_wrong_entry_of_100_000_is_found() -> None:
    x = np.random.default_rng(3).normal(size=(4, 400))
    assert_right(Affine(400, 250), x)
    report = check_layer(Affine(400, 250, off=(17, 99)), x)
    assert report.verdict == "wrong"
    assert report.findings[0].about == "dW"
    assert report.findings[0].index == (17, 99)


class Unseeded:
    """Random, and not through an rng of its own."""

    def forward(self, x: Any) -> Any:
        self.mask = np.random.rand(*x.shape) > 0.5  # noqa: NPY002
        return x * self.mask

    def backward(self, dout: Any) -> Any:
        return dout * self.mask, {}


def test_a_layer_that_is_random_without_rng_is_not_judged() -> None:
    report = check_layer(Unseeded(), X)
    assert report.verdict == "inconclusive"
    assert report.reason


class CrossEntropy:
    """The mean of -log softmax(scores)[y], its gradient times a factor."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def forward(self, scores: Any, y: Any) -> float:
        z = scores - scores.max(1, keepdims=True)
        total = np.log(np.exp(z).sum(1))
        rows = np.arange(len(y))
        self.g = np.exp(z - total[:, None])
        self.g[rows, y] -= 1
        return float(np.mean(total - z[rows, y]))

    def backward(self) -> Any:
        return self.g * (self.factor / len(self.g))


def test_a_loss_is_checked_without_dout() -> None:
    y = np.array([0, 2, 1, 4])
    assert check_loss(CrossEntropy(), X, y).verdict == "right"
    report = check_loss(CrossEntropy(4.0), X, y)
    assert report.verdict == "wrong"
    assert report.findings[0].about == "dscores"


def test_the_layer_and_x_are_left_as_they_were() -> None:
    layer, x = Affine(5, 3), X.copy()
    W = layer.W.copy()
    check_layer(layer, x)
    assert np.array_equal(layer.W, W)
    assert np.array_equal(x, X)
    assert layer.W is layer.params["W"]
    assert not hasattr(layer, "x")


def test_assert_right_prints_the_report() -> None:
    with pytest.raises(AssertionError, match="dW"):
        assert_right(Affine(5, 3, off=(0, 0)), X)


class Attributes:
    """Parameters and gradients as attributes, `factor` times too large."""

    def __init__(self, factor=1.0):
        self.W, self.factor = np.random.default_rng(0).normal(size=(4, 3)), factor

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dout):
        self.dW = self.factor * self.x.T @ dout
        self.dx = dout @ self.W.T  # x is no parameter: forward replaces it
        return self.dx.copy()


def test_gradients_kept_as_attributes_are_checked():
    x = np.random.default_rng(1).normal(size=(5, 4))
    assert check_layer(Attributes(), x).verdict == "right"
    report = check_layer(Attributes(7.0), x)
    assert [(f.about, f.cause) for f in report.findings] == [("dW", "constant-scale")]


def test_an_array_without_a_gradient_is_said():
    class Silent(Attributes):
        def backward(self, dout):
            return dout @ self.W.T

    report = check_layer(Silent(), np.random.default_rng(1).normal(size=(5, 4)))
    assert report.notes == ["not checked, as there is no gradient of it: W"]


@pytest.mark.parametrize("x", [3, np.arange(4), [1, 2]])
def test_a_function_at_whole_numbers(x):
    assert check_function(lambda x: (x**2).sum(), lambda x: 2 * x, x).verdict == "right"
    assert check_function(lambda x: (x**2).sum(), lambda x: 3 * x, x).verdict == "wrong"
