"""Forwards that round more than their outputs show, and steps that would not see it."""

import numpy as np
import pytest

from gradcheck import check_layer
from gradcheck.oracle import Oracle
from gradcheck.subject import Subject
from tests.gradcheck.plain import Function


class Standardise:
    """Far from 0 the mean is rounded in all rows alike."""

    def forward(self, x):
        self.sd = np.sqrt(x.var(0) + 1e-5)
        self.y = (x - x.mean(0)) / self.sd
        return self.y.copy()

    def backward(self, dout):
        return (dout - dout.mean(0) - self.y * (dout * self.y).mean(0)) / self.sd, {}


CANCELLING = {
    "exp(x) - 1 - x": (lambda x: np.exp(x) - 1 - x, np.expm1, 1e-3),
    "a large constant": (lambda x: 1e6 + x, np.ones_like, 1.0),
    "there and back": (lambda x: (1e6 + x) - 1e6, np.ones_like, 1.0),
    "sin 1000 x": (lambda x: np.sin(1e3 * x), lambda x: 1e3 * np.cos(1e3 * x), 1.0),
    "tiny": (lambda x: x**3, lambda x: 3 * x**2, 1e-6),
    "huge": (lambda x: x**3, lambda x: 3 * x**2, 1e6),
    "next to nothing": (lambda x: np.exp(-(x**2)), lambda x: -2 * x * np.exp(-(x**2)), 5.0),
}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", CANCELLING)
def test_rounding_inside_forward_is_no_fault(name, seed):
    f, df, scale = CANCELLING[name]
    x = scale * np.random.default_rng(seed).normal(size=(4, 5))
    assert check_layer(Function(f, df), x, seed=seed).verdict == "right"


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("shift", [1e2, 1e4, 1e6])
def test_statistics_far_from_zero(shift, seed):
    x = shift + np.random.default_rng(seed).normal(size=(6, 4))
    assert check_layer(Standardise, x, seed=seed).verdict == "right"


@pytest.mark.parametrize("seed", range(8))
def test_measured_noise_is_near_the_true_rounding(seed):
    x = 1e4 + np.random.default_rng(seed).normal(size=(6, 4))
    exact = x.astype(np.longdouble)
    sd = np.sqrt(((exact - exact.mean(0)) ** 2).mean(0) + np.longdouble(1e-5))
    true = (exact - exact.mean(0)) / sd
    subject = Subject(Standardise(), [x])
    oracle = Oracle(subject, np.ones(x.shape), seed)
    oracle.measure_noise()
    error = np.abs(subject.forward() - true).max(0).astype(float)
    noise = oracle.noise_y.max(0)
    assert np.all(error < 6 * noise)
    assert np.all(noise < 1e-10)


def test_a_slope_hidden_by_rounding_is_measured_over_longer_steps():
    class Far:
        def __init__(self, factor=1.0):
            self.params = {"W": np.full((3, 2), 1e20), "b": np.zeros(2)}
            self.factor = factor

        def forward(self, x):
            self.x = x
            return x @ self.params["W"] + self.params["b"]

        def backward(self, dout):
            grads = {"W": self.x.T @ dout, "b": self.factor * dout.sum(0)}
            return dout @ self.params["W"].T, grads

    x = np.random.default_rng(0).uniform(0.5, 1.5, (4, 3))
    assert check_layer(Far(), x).verdict == "right"
    assert [f.about for f in check_layer(Far(1.001), x).findings] == ["db"]
