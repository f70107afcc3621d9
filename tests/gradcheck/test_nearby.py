"""Gradients at kinks of layers that have several of them at one point."""

import numpy as np
import pytest

from gradcheck import check_layer


class Median:
    """The middle value of each row; at ties the first of them stands for all."""

    def forward(self, x):
        self.pick = np.argsort(x, axis=1, kind="stable")[:, x.shape[1] // 2]
        self.shape = x.shape
        return x[np.arange(len(x)), self.pick]

    def backward(self, dout):
        dx = np.zeros(self.shape)
        dx[np.arange(len(dx)), self.pick] = dout
        return dx, {}


class TwoLayers:
    """relu(xW + b) V as one class: at x = 0 every unit is at its kink."""

    def __init__(self, at_zero=0.0):
        rng = np.random.default_rng(2)
        self.at_zero = at_zero
        self.params = {
            "W": rng.normal(size=(4, 6)),
            "b": np.zeros(6),
            "V": rng.normal(size=(6, 2)),
        }

    def forward(self, x):
        self.x = x
        self.a = x @ self.params["W"] + self.params["b"]
        self.h = np.maximum(self.a, 0)
        return self.h @ self.params["V"]

    def backward(self, dout):
        da = dout @ self.params["V"].T * np.where(self.a == 0, self.at_zero, self.a > 0)
        grads = {"W": self.x.T @ da, "b": da.sum(0), "V": self.h.T @ dout}
        return da @ self.params["W"].T, grads


@pytest.mark.parametrize("seed", range(6))
def test_a_choice_among_ties_is_right_though_no_slope_shows_it(seed):
    x = np.random.default_rng(seed).integers(0, 3, (4, 5)).astype(float)
    assert check_layer(Median, x, seed=seed).verdict == "right"


@pytest.mark.parametrize("at_zero", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_many_kinks_at_one_point(at_zero, seed):
    x = np.random.default_rng(seed).normal(size=(4, 4)) * np.array([[1.0], [0.0], [1.0], [0.0]])
    assert check_layer(TwoLayers(at_zero), x, seed=seed).verdict == "right"


def test_a_wrong_gradient_is_not_excused_by_kinks():
    class Wrong(TwoLayers):
        def backward(self, dout):
            dx, grads = super().backward(dout)
            return 1.01 * dx, grads

    x = np.random.default_rng(0).normal(size=(4, 4)) * np.array([[1.0], [0.0], [1.0], [0.0]])
    report = check_layer(Wrong(), x)
    assert [f.about for f in report.findings] == ["dx"]


def test_strict_masks_on_both_sides_of_a_smooth_point_are_wrong():
    class ELU:
        def forward(self, x):
            self.x = x
            return np.where(x > 0, x, np.expm1(x))

        def backward(self, dout):
            return dout * ((self.x > 0) + (self.x < 0) * np.exp(self.x)), {}

    x = np.array([[0.0, 1.0, -1.0, 0.5]])
    report = check_layer(ELU(), x)
    assert report.verdict == "wrong"
    assert report.findings[0].index == (0, 0)
