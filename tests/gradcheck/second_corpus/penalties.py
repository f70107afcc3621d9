"""Losses with penalties, as layers over (x, y) and as scalar functions."""

import numpy as np
from scipy.special import expit

from .tools import Fam, at, function_shape, ints, n, w

F = Fam("second: penalties")


@F.right(at(n(6, 4), ints(6, high=3)))
class SoftmaxClassifier:
    """Data loss plus reg * sum(W²), W of (D, C), returned as one number."""

    def __init__(self, reg=0.3):
        self.reg = reg
        self.params = {"W": w(4, 3, seed=1), "b": w(3, seed=2)}

    def forward(self, x, y):
        W, b = self.params["W"], self.params["b"]
        self.x, self.y = x, y
        z = x @ W + b
        e = np.exp(z - z.max(1, keepdims=True))
        self.p = e / e.sum(1, keepdims=True)
        return -np.log(self.p[np.arange(len(y)), y]).mean() + self.reg * np.sum(W * W)

    def penalty(self):
        return 2 * self.reg * self.params["W"]

    def dscores(self):
        d = self.p.copy()
        d[np.arange(len(d)), self.y] -= 1
        return d / len(d)

    def db(self, d):
        return d.sum(0)

    def backward(self, dout):
        d = self.dscores() * dout
        return (d @ self.params["W"].T, None), {
            "W": self.x.T @ d + dout * self.penalty(),
            "b": self.db(d),
        }


def sc(slug, about, name, also=(), **k):
    return F.bad(slug, about, name, SoftmaxClassifier, also=also, methods=k)


sc("penalty-missing", "dW", "sc_no_penalty", penalty=lambda s: 0)
sc("penalty-factor", "dW", "sc_no_two", penalty=lambda s: s.reg * s.params["W"])
sc("penalty-factor", "dW", "sc_over_N", penalty=lambda s: 2 * s.reg * s.params["W"] / 6)
sc("penalty-factor", "dW", "sc_minus", penalty=lambda s: -2 * s.reg * s.params["W"])
sc("bias-penalized", "db", "sc_bias", db=lambda s, d: d.sum(0) + 2 * s.reg * s.params["b"])
sc("label-term", "dW", "sc_label", dscores=lambda s: s.p / len(s.p))
sc("batch-mean-missing", "dx[0]", "sc_sum", dscores=lambda s: SoftmaxClassifier.dscores(s) * 6)
F.bad(
    "penalty-missing",
    "dW",
    "sc_penalty_without_dout",
    SoftmaxClassifier,
    lambda s, d: (
        SoftmaxClassifier.backward(s, d)[0],
        {**SoftmaxClassifier.backward(s, d)[1], "W": s.x.T @ (s.dscores() * d)},
    ),
    args={"reg": 0.05},
)
F.bad(
    "upstream-partial",
    "dW",
    "sc_penalty_misses_dout",
    SoftmaxClassifier,
    lambda s, d: (
        SoftmaxClassifier.backward(s, d)[0],
        {**SoftmaxClassifier.backward(s, d)[1], "W": s.x.T @ (s.dscores() * d) + s.penalty()},
    ),
    also=("penalty-factor", "penalty-extra"),
)


@F.right(at(n(5, 3), n(5, 2)))
class Ridge:
    def __init__(self, alpha=0.5):
        self.coef, self.intercept, self.alpha = w(3, 2, seed=5), w(2, seed=6), alpha
        self.params = {"coef": self.coef, "intercept": self.intercept}

    def forward(self, X, T):
        self.X = X
        self.r = X @ self.coef + self.intercept - T
        return 0.5 * np.sum(self.r**2) / len(X) + 0.5 * self.alpha * np.sum(self.coef**2)

    def backward(self, dout=1.0):
        g = dout * self.r / len(self.X)
        return (g @ self.coef.T, -g), {
            "coef": self.X.T @ g + dout * self.alpha * self.coef,
            "intercept": g.sum(0),
        }


def ridge(dc=None, di=None):
    def backward(s, d=1.0):
        dx, g = Ridge.backward(s, d)
        raw = s.X.T @ (d * s.r / len(s.X))
        if dc:
            g["coef"] = dc(s, d, raw)
        if di:
            g["intercept"] = di(s, d, g["intercept"])
        return dx, g

    return backward


F.bad("penalty-missing", "dcoef", "ridge_plain", Ridge, ridge(lambda s, d, g: g))
F.bad(
    "penalty-factor",
    "dcoef",
    "ridge_two",
    Ridge,
    ridge(lambda s, d, g: g + 2 * d * s.alpha * s.coef),
)
F.bad(
    "penalty-factor",
    "dcoef",
    "ridge_batch",
    Ridge,
    ridge(lambda s, d, g: g + d * s.alpha * s.coef / 5),
)
F.bad(
    "bias-penalized",
    "dintercept",
    "ridge_intercept",
    Ridge,
    ridge(di=lambda s, d, g: g + d * s.alpha * s.intercept),
)
F.bad(
    "unexplained",
    "dcoef",
    "ridge_l1_gradient",
    Ridge,
    ridge(lambda s, d, g: g + d * s.alpha * np.sign(s.coef)),
)


class LogisticFn:
    """f(w) = mean log(1 + exp(-t Xw)) + lam |w|²."""

    lam = 0.1

    def __init__(self):
        r = np.random.default_rng(77)
        self.X, self.t = r.normal(size=(8, 4)), r.choice([-1.0, 1.0], 8)

    def f(self, w):
        return np.mean(np.logaddexp(0, -self.t * (self.X @ w))) + self.lam * w @ w

    def data(self, w):
        return -self.X.T @ (self.t * expit(-self.t * (self.X @ w))) / len(self.t)

    def df(self, w):
        return self.data(w) + 2 * self.lam * w


LogisticFn = F.right(at(n(4)), kind="function")(LogisticFn)


def fn(slug, name, right, df, **k):
    return F.bad(slug, "dx", name, right, methods={"df": df}, **k)


fn("penalty-missing", "logistic_no_lam", LogisticFn, lambda s, w: s.data(w))
fn("penalty-factor", "logistic_lam_once", LogisticFn, lambda s, w: s.data(w) + s.lam * w)
fn("sign-flipped", "logistic_ascent", LogisticFn, lambda s, w: -s.data(w) - 2 * s.lam * w)
fn("penalty-factor", "logistic_minus", LogisticFn, lambda s, w: s.data(w) - 2 * s.lam * w)


class Quadratic:
    A = np.array([[2.0, 1.0, 0.0], [-1.0, 3.0, 0.5], [0.3, 0.0, 1.0]])

    def f(self, x):
        return float(x @ self.A @ x)

    def df(self, x):
        return (self.A + self.A.T) @ x


Quadratic = F.right(at(n(3)), kind="function")(Quadratic)
fn("path-missing", "quad_A_only", Quadratic, lambda s, x: s.A @ x, also=("unexplained",))
fn("unexplained", "quad_2A", Quadratic, lambda s, x: 2 * s.A @ x, also=("transposed",))
fn("factor-of-two", "quad_half", Quadratic, lambda s, x: 0.5 * (s.A + s.A.T) @ x)


class Rosenbrock:
    def f(self, x):
        return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    def df(self, x):
        g = np.zeros_like(x)
        g[:-1] = -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
        g[1:] += 200 * (x[1:] - x[:-1] ** 2)
        return g


Rosenbrock = F.right(at(n(5)), kind="function")(Rosenbrock)


def rosen_assign(s, x):
    g = np.zeros_like(x)
    g[:-1] = -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
    g[1:] = 200 * (x[1:] - x[:-1] ** 2)
    return g


fn("overlap-overwritten", "rosen_equals", Rosenbrock, rosen_assign)


class LogSumExp:
    def f(self, x):
        return np.log(np.exp(x).sum())

    def df(self, x):
        return np.exp(x) / np.exp(x).sum()


LogSumExp = F.right(at(n(3, 4)), kind="function")(LogSumExp)
fn(
    "statistics-axis",
    "lse_rows",
    LogSumExp,
    lambda s, x: np.exp(x) / np.exp(x).sum(1, keepdims=True),
    also=("wrong-axis",),
)
fn("sign-flipped", "lse_minus", LogSumExp, lambda s, x: -np.exp(x) / np.exp(x).sum())
fn(
    "shape",
    "lse_ravel",
    LogSumExp,
    lambda s, x: (np.exp(x) / np.exp(x).sum()).ravel(),
    behaviour=function_shape,
)


@F.right(at(n(4, 3)))
class ActivityPenalty:
    """Identity whose output carries the mean absolute-square of its weights: y = xW, plus lam |W|² / 2 added to each entry."""

    def __init__(self):
        self.lam = 0.2
        self.params = {"W": w(3, 3, seed=9)}

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + 0.5 * self.lam * np.sum(self.params["W"] ** 2)

    def backward(self, d):
        W = self.params["W"]
        return d @ W.T, {"W": self.x.T @ d + self.lam * d.sum() * W}


F.bad(
    "penalty-missing",
    "dW",
    "activity_none",
    ActivityPenalty,
    lambda s, d: (d @ s.params["W"].T, {"W": s.x.T @ d}),
)
F.bad(
    "penalty-factor",
    "dW",
    "activity_two",
    ActivityPenalty,
    lambda s, d: (d @ s.params["W"].T, {"W": s.x.T @ d + 2 * s.lam * d.sum() * s.params["W"]}),
)
F.bad(
    "upstream-partial",
    "dW",
    "activity_no_dout",
    ActivityPenalty,
    lambda s, d: (d @ s.params["W"].T, {"W": s.x.T @ d + s.lam * s.params["W"]}),
    also=("penalty-extra", "penalty-factor", "penalty-missing"),
)
