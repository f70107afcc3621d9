"""How far a gradient may be off in single precision."""

import numpy as np
import pytest

from gradcheck.narrow import TRIALS, _jittered, rounding_bounds
from gradcheck.subject import Subject

EPS = float(np.finfo(np.float32).eps)


class Function:
    def __init__(self, f, df):
        self.f, self.df = f, df
        self.calls = 0

    def forward(self, x):
        self.x = x
        return self.f(x)

    def backward(self, dout):
        return dout * self.df(self.x), {}


def bounds(f, df, x, dout):
    x, dout = np.asarray(x, float), np.asarray(dout, float)
    subject = Subject(Function(f, df), [x])
    return rounding_bounds(subject, dout, {"dx": dout * df(x)}, EPS)["dx"]


def test_without_rounding_inside_the_length_of_the_sums_counts():
    # the gradient is dout itself, jittered by one eps: 16 of them, and 16 + 4 log₂ 4 in sums
    got = bounds(lambda x: x, np.ones_like, [1.0, 1.0, 1.0, 1.0], np.ones(4))
    np.testing.assert_allclose(got, 16 * EPS + (16 + 4 * 2) * EPS, rtol=1e-6)


def test_one_number_is_no_sum():
    got = bounds(lambda x: x, np.ones_like, [1.0], np.ones(1))
    np.testing.assert_allclose(got, (16 + 16) * EPS, rtol=1e-6)


def test_the_longest_array_counts():
    class Mean:
        def forward(self, x):
            return x.mean(keepdims=True)

        def backward(self, dout):
            return np.full(16, dout[0] / 16), {}

    subject = Subject(Mean(), [np.ones(16)])
    got = rounding_bounds(subject, np.ones(1), {"dx": np.full(16, 1 / 16)}, EPS)["dx"]
    np.testing.assert_allclose(got, (16 + 16 + 4 * 4) * EPS / 16, rtol=1e-6)


def test_an_ill_conditioned_entry_may_be_further_off():
    # cos near its zero: 100 (1 + eps) moves it by 100 eps
    x = np.array([0.5, 31.5 * np.pi, 1.0, 0.2])
    got = bounds(np.sin, np.cos, x, np.ones(4))
    assert got[1] > 16 * 31.5 * np.pi * EPS
    assert got[1] < 20 * 31.5 * np.pi * EPS + 60 * EPS
    # the others: at least the mean of all
    assert np.all(got[[0, 2, 3]] > 16 * 31.5 * np.pi * EPS / 4)
    assert np.all(got[[0, 2, 3]] < got[1] / 2)


def test_the_largest_of_the_trials_counts():
    x = np.array([1e3, 1.0])
    got = bounds(lambda x: x**2, lambda x: 2 * x, x, np.ones(2))
    # (1 ± eps)(1 ± eps): 2 eps in some trial out of four, of 2000; and the depth of two numbers
    assert got[0] == pytest.approx(16 * 2 * EPS * 2e3 + 20 * EPS * 2e3, rel=1e-3)
    mean = (2 * EPS * 2e3 + 2 * EPS * 2) / 2
    assert got[1] == pytest.approx(16 * mean + 20 * EPS * 2e3, rel=1e-3)


def test_a_gradient_of_0_by_cancellation_is_allowed_part_of_the_rest():
    class Two:
        def __init__(self):
            self.params = {"w": np.zeros(3)}

        def forward(self, x):
            return x + 0 * self.params["w"]

        def backward(self, dout):
            return 1e3 * dout, {"w": np.zeros(3)}

    subject = Subject(Two(), [np.ones((1, 3))])
    truth = {"dx": np.full((1, 3), 1e3), "dw": np.zeros(3)}
    got = rounding_bounds(subject, np.ones((1, 3)), truth, EPS)
    depth = 16 + 4 * np.log2(3)
    np.testing.assert_allclose(got["dw"], depth * EPS * 300, rtol=1e-9)
    np.testing.assert_allclose(got["dx"], (16 + depth) * EPS * 1e3, rtol=1e-3)


def test_parameters_are_jittered_as_well():
    class Sine:
        def __init__(self):
            self.params = {"w": np.array([31.5 * np.pi])}

        def forward(self, x):
            return np.sin(self.params["w"]) * x

        def backward(self, dout):
            return np.sin(self.params["w"]) * dout, {"w": np.zeros(1)}

    class Cosine(Sine):
        def forward(self, x):
            return np.cos(self.params["w"]) * x

        def backward(self, dout):
            return np.cos(self.params["w"]) * dout, {"w": np.zeros(1)}

    layer = Cosine()
    subject = Subject(layer, [np.ones(1)])
    truth = {"dx": np.cos(layer.params["w"]), "dw": np.zeros(1)}
    got = rounding_bounds(subject, np.ones(1), truth, EPS)
    assert got["dx"][0] == pytest.approx(16 * 31.5 * np.pi * EPS, rel=1e-2)
    assert layer.params["w"][0] == 31.5 * np.pi


def test_trials_that_raise_or_give_another_shape_are_passed_over():
    class Odd(Function):
        def backward(self, dout):
            self.calls += 1
            if np.any(self.x > 1):
                raise ValueError("above one")
            return (dout if self.x[0] == 1 else np.ones(5)), {"extra": np.ones(2)}

    subject = Subject(Odd(lambda x: x, np.ones_like), [np.ones(2)])
    got = rounding_bounds(subject, np.ones(2), {"dx": np.ones(2)}, EPS)
    np.testing.assert_allclose(got["dx"], (16 + 4) * EPS)
    assert subject.counts.forwards == TRIALS


def test_jitter_is_one_eps_up_or_down_and_of_floats_alone():
    rng = np.random.default_rng(0)
    moved = _jittered(np.full(200, 4.0), rng, 2.0**-10)
    assert set(moved) == {4 + 2.0**-8, 4 - 2.0**-8}
    whole = np.arange(3)
    assert _jittered(whole, rng, 0.5) is whole
    assert _jittered("kind", rng, 0.5) == "kind"
    assert _jittered(2.0, rng, 0.5) == 2.0
