"""Mistakes that do not show at the given point, and right layers that do not mind other points."""

import numpy as np
import pytest

from gradcheck import check_layer, check_loss

RNG = np.random.default_rng(5)
X = RNG.uniform(0.4, 1.6, (4, 3)) * RNG.choice([-1.0, 1.0], (4, 3))


class Tanh:
    """A right layer whose slope can be spoilt."""

    def forward(self, x):
        self.x, self.y = x, np.tanh(x)
        return self.y.copy()

    def spoil(self, dx):
        return dx

    def backward(self, dout):
        return self.spoil(dout * (1 - self.y**2)), {}


def spoilt(how):
    return type("Spoilt", (Tanh,), {"spoil": how})()


@pytest.mark.parametrize(
    ("how", "where"),
    [
        (lambda s, dx: dx * (2 if len(s.x) == 1 else 1), "with one sample"),
        (lambda s, dx: dx * (2 if len(s.x) > 4 else 1), "with more samples"),
        (lambda s, dx: dx * (s.x != 0), "zeros"),
        (lambda s, dx: dx * (np.abs(s.x) < 2), "inputs"),
        (lambda s, dx: dx * (2 if s.x.shape[-1] > 3 else 1), "last axis"),
    ],
)
def test_a_mistake_that_shows_elsewhere_is_found(how, where):
    report = check_layer(spoilt(how), X)
    assert report.verdict == "wrong"
    assert where in report.findings[0].message


def test_a_backward_that_raises_for_one_sample():
    def squeeze(self, dx):
        return dx if np.squeeze(dx).shape == dx.shape else np.squeeze(dx)[:, None][7]

    finding = check_layer(spoilt(squeeze), X).findings[0]
    assert (finding.about, finding.cause) == ("contract", "raises")


def test_a_parameter_that_matters_only_when_it_is_not_zero():
    class Shift:
        def __init__(self):
            self.params = {"a": np.zeros(3)}

        def forward(self, x):
            self.x = x
            return x * np.exp(self.params["a"] * x)

        def backward(self, dout):
            e = np.exp(self.params["a"] * self.x)
            return dout * e, {"a": (dout * e * self.x**2).sum(0)}

    report = check_layer(Shift(), X)
    assert report.findings[0].about == "dx"
    assert "other parameters" in report.findings[0].message


def test_ties_between_inputs():
    class Larger:
        def forward(self, a, b):
            self.a, self.b = a, b
            return np.maximum(a, b)

        def backward(self, dout):
            return (dout * (self.a >= self.b), dout * (self.b >= self.a)), {}

    a, b = X, X.copy()
    assert check_layer(Larger(), a, b).findings[0].cause == "ties"
    assert check_layer(Larger(), a, 2 * b).findings[0].cause == "ties"


class Domain:
    """log(p / (1 − p)), which raises outside its domain."""

    def forward(self, p):
        if np.any(p <= 0) or np.any(p >= 1):
            raise ValueError("p outside (0, 1)")
        self.p = p
        return np.log(p / (1 - p))

    def backward(self, dout):
        return dout / (self.p * (1 - self.p)), {}


class OneVector:
    """gamma * x for one vector, which broadcasting would take at other lengths too."""

    def __init__(self):
        self.params = {"gamma": np.arange(1.0, 6.0)}

    def forward(self, x):
        self.x = x
        return x * self.params["gamma"]

    def backward(self, dout):
        return dout * self.params["gamma"], {"gamma": dout * self.x}


class FixedRows:
    """A layer told its number of rows when it was made."""

    def __init__(self):
        self.n = 4

    def forward(self, x):
        return x.sum(0, keepdims=True) / self.n

    def backward(self, dout):
        return np.repeat(dout / self.n, self.n, axis=0), {}


class Determinant:
    """Not differentiable by this formula where it is 0."""

    def forward(self, A):
        self.A, self.y = A, np.linalg.det(A)
        return self.y

    def backward(self, dout):
        return dout * self.y * np.linalg.inv(self.A).T, {}


class NaiveSigmoid:
    """Its slope overflows far out, where nobody asked."""

    def forward(self, x):
        self.x = x
        return 1 / (1 + np.exp(-x))

    def backward(self, dout):
        e = np.exp(self.x)
        return dout * e / (1 + e) ** 2, {}


class Standardise:
    """No eps: not defined where a column is constant."""

    def forward(self, x):
        self.sd = x.std(0)
        self.y = (x - x.mean(0)) / self.sd
        return self.y.copy()

    def backward(self, dout):
        return (dout - dout.mean(0) - self.y * (dout * self.y).mean(0)) / self.sd, {}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("make", "x"),
    [
        (Domain, np.random.default_rng(1).uniform(0.05, 0.95, (4, 3))),
        (OneVector, np.arange(1.0, 6.0) / 3),
        (FixedRows, X),
        (Determinant, X[:3] + 2 * np.eye(3)),
        (NaiveSigmoid, X),
        (Standardise, X),
    ],
)
def test_right_layers_with_a_domain_of_their_own(make, x, seed):
    assert check_layer(make, x, seed=seed).verdict == "right"


def test_targets_of_a_loss_are_never_changed():
    class CrossEntropy:
        def forward(self, scores, t):
            e = np.exp(scores - scores.max(1, keepdims=True))
            self.p, self.t = e / e.sum(1, keepdims=True), t
            return float(-(t * np.log(self.p)).sum() / len(t))

        def backward(self):
            return (self.p - self.t) / len(self.t)  # right as long as each row of t sums to 1

    t = np.full((4, 3), 1 / 3)
    assert check_loss(CrossEntropy(), X, t).verdict == "right"


def test_the_other_mode_is_worth_a_note():
    class Halves(Tanh):
        training = True

        def forward(self, x):
            y = super().forward(x)
            return y if self.training else y / 2

    report = check_layer(Halves(), X)
    assert report.verdict == "right"
    assert len(report.notes) == 1
    assert "training = False" in str(report)
    assert check_layer(Tanh(), X).notes == []


def test_a_gradient_that_overflows_far_out_is_worth_a_note():
    report = check_layer(NaiveSigmoid(), X)
    assert report.verdict == "right"
    assert report.notes == [
        "with inputs 1000 times as large, dx holds NaN or inf where forward is finite"
    ]
