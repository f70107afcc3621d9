"""A loss with a penalty λ Σ W² in one layer: forward(x, y) -> one number."""

from __future__ import annotations

import numpy as np

from .case import Family
from .points import normal

family = Family("penalties")


def labelled(N, D, C):
    return lambda rng: (rng.normal(size=(N, D)), rng.integers(0, C, size=N))


@family.right(labelled(5, 4, 3))
class SoftmaxRegression:
    """Cross-entropy of x W + b plus λ Σ W²; the bias is free."""

    def __init__(self, D=4, C=3, lam=0.1):
        rng = np.random.default_rng(1)
        self.params = {"W": rng.normal(size=(D, C)), "b": rng.normal(size=C)}
        self.lam = lam

    def forward(self, x, y):
        s = x @ self.params["W"] + self.params["b"]
        e = np.exp(s - s.max(axis=1, keepdims=True))
        self.x, self.y, self.p = x, y, e / e.sum(axis=1, keepdims=True)
        data = -np.log(self.p[np.arange(len(y)), y]).mean()
        return data + self.lam * (self.params["W"] ** 2).sum()

    def backward(self, dout):
        d = self.p.copy()
        d[np.arange(len(d)), self.y] -= 1
        d /= len(d)
        W, b = self.params["W"], self.params["b"]
        dW = dout * (self.x.T @ d + self.penalty(W))
        return (dout * (d @ W.T), None), {"W": dW, "b": dout * (d.sum(axis=0) + self.bias(b))}

    def penalty(self, W):
        return 2 * self.lam * W

    def bias(self, b):
        return 0.0


family.right_at("SoftmaxRegression, no penalty", SoftmaxRegression, labelled(5, 4, 3), lam=0.0)
family.right_at("SoftmaxRegression, large λ", SoftmaxRegression, labelled(5, 4, 3), lam=100.0)
family.right_at("SoftmaxRegression, N = 1", SoftmaxRegression, labelled(1, 4, 3))


@family.wrong("penalty-missing", "dW")
class SoftmaxPenaltyMissing(SoftmaxRegression):
    def penalty(self, W):
        return 0.0


@family.wrong("penalty-missing", "dW", args={"lam": 1e-5}, name="SoftmaxPenaltyMissing, λ = 1e-5")
class SoftmaxSmallPenaltyMissing(SoftmaxRegression):
    def penalty(self, W):
        return np.zeros_like(W)


@family.wrong("penalty-factor", "dW")
class SoftmaxPenaltyWithoutTwo(SoftmaxRegression):
    def penalty(self, W):
        return self.lam * W


@family.wrong("penalty-factor", "dW")
class SoftmaxPenaltyOverBatch(SoftmaxRegression):
    """The penalty's gradient divided by N, the penalty not."""

    def penalty(self, W):
        return 2 * self.lam * W / len(self.x)


@family.wrong("penalty-factor", "dW", also=("sign-flipped",))
class SoftmaxPenaltySign(SoftmaxRegression):
    def penalty(self, W):
        return -2 * self.lam * W


@family.wrong("bias-penalized", "db", also=("penalty-extra",))
class SoftmaxBiasPenalized(SoftmaxRegression):
    def bias(self, b):
        return 2 * self.lam * b


@family.wrong("bias-penalized", "db", args={"lam": 1e-4}, also=("penalty-extra",))
class SoftmaxBiasSlightlyPenalized(SoftmaxRegression):
    def bias(self, b):
        return self.lam * b


@family.wrong("penalty-extra", "dW", args={"lam": 0.0})
class SoftmaxDecayWithoutPenalty(SoftmaxRegression):
    """Weight decay belongs to the optimizer."""

    def penalty(self, W):
        return 5e-4 * W


@family.wrong(
    "upstream-partial",
    "dW",
    also=(
        "penalty-extra",
        "penalty-factor",
    ),
)
class SoftmaxPenaltyWithoutUpstream(SoftmaxRegression):
    """The penalty's part is not multiplied by dout."""

    def backward(self, dout):
        dxs, grads = super().backward(dout)
        W = self.params["W"]
        grads["W"] = grads["W"] - dout * self.penalty(W) + self.penalty(W)
        return dxs, grads


@family.wrong("upstream-ignored", "dW")
class SoftmaxRegressionIgnoresUpstream(SoftmaxRegression):
    """As if it were the last node of the graph."""

    def backward(self, dout):
        dxs, _ = super().backward(dout)
        return dxs, super().backward(1.0)[1]


@family.wrong("unexplained", "dW", also=("penalty-factor",))
class SoftmaxPenaltyAbsolute(SoftmaxRegression):
    """λ sign(W) for 2λW."""

    def penalty(self, W):
        return self.lam * np.sign(W)


@family.wrong("label-term", "dW", also=("unexplained",))
class SoftmaxRegressionLabel(SoftmaxRegression):
    """The labels' −1 is missing for W alone."""

    def backward(self, dout):
        dxs, grads = super().backward(dout)
        grads["W"] = dout * (self.x.T @ self.p / len(self.p) + self.penalty(self.params["W"]))
        return dxs, grads


@family.wrong("gradient-extra", None)
class SoftmaxPenaltyStrength(SoftmaxRegression):
    """A gradient for λ, which is no parameter."""

    def backward(self, dout):
        dxs, grads = super().backward(dout)
        return dxs, {**grads, "lam": dout * (self.params["W"] ** 2).sum()}


@family.right(lambda rng: (rng.normal(size=(6, 3)), rng.normal(size=6)))
class Ridge:
    """Mean squared error of x w + b plus λ ‖w‖²."""

    def __init__(self, D=3, lam=0.05):
        rng = np.random.default_rng(2)
        self.params = {"w": rng.normal(size=D), "b": np.array(0.7)}
        self.lam = lam

    def forward(self, x, y):
        self.x = x
        self.r = x @ self.params["w"] + self.params["b"] - y
        return (self.r**2).mean() + self.lam * (self.params["w"] ** 2).sum()

    def backward(self, dout):
        d = 2 * dout * self.r / len(self.r)
        dw = self.x.T @ d + dout * self.penalty()
        return (np.outer(d, self.params["w"]), -d), {"w": dw, "b": d.sum() + dout * self.bias()}

    def penalty(self):
        return 2 * self.lam * self.params["w"]

    def bias(self):
        return 0.0


@family.wrong("penalty-missing", "dw")
class RidgePenaltyMissing(Ridge):
    def penalty(self):
        return 0.0


@family.wrong("penalty-factor", "dw")
class RidgePenaltyDoubled(Ridge):
    def penalty(self):
        return 4 * self.lam * self.params["w"]


@family.wrong("penalty-factor", "dw")
class RidgePenaltyHalved(Ridge):
    """λw: right for a penalty of λ/2 ‖w‖²."""

    def penalty(self):
        return self.lam * self.params["w"]


@family.wrong("bias-penalized", "db", also=("penalty-extra",))
class RidgeBiasPenalized(Ridge):
    def bias(self):
        return 2 * self.lam * self.params["b"]


@family.wrong("penalty-extra", "dw", args={"lam": 0.0})
class RidgeDecays(Ridge):
    def penalty(self):
        return 1e-3 * self.params["w"]


@family.right(normal(4, 3))
class PenalisedTwoLayers:
    """Mean of tanh(x W) v plus λ (Σ W² + Σ v²)."""

    def __init__(self, D=3, H=4, lam=0.02):
        rng = np.random.default_rng(3)
        self.params = {"W": rng.normal(size=(D, H)), "v": rng.normal(size=H)}
        self.lam = lam

    def forward(self, x):
        self.x, self.h = x, np.tanh(x @ self.params["W"])
        size = sum((p**2).sum() for p in self.params.values())
        return (self.h @ self.params["v"]).mean() + self.lam * size

    def backward(self, dout):
        W, v = self.params["W"], self.params["v"]
        da = np.outer(np.full(len(self.x), dout / len(self.x)), v) * (1 - self.h**2)
        grads = {"W": self.x.T @ da, "v": self.h.mean(axis=0) * dout}
        for name in self.penalised():
            grads[name] = grads[name] + 2 * self.lam * dout * self.params[name]
        return da @ W.T, grads

    def penalised(self):
        return ("W", "v")


@family.wrong("penalty-missing", "dv")
class SecondWeightUnpenalised(PenalisedTwoLayers):
    def penalised(self):
        return ("W",)


@family.wrong("penalty-missing", "dW")
class FirstWeightUnpenalised(PenalisedTwoLayers):
    def penalised(self):
        return ("v",)


@family.right(normal(4, 3))
class LassoLinear:
    """x w summed, plus λ Σ |w|."""

    def __init__(self, lam=0.3):
        self.params = {"w": np.array([0.5, -1.0, 2.0])}
        self.lam = lam

    def forward(self, x):
        self.x = x
        return (x @ self.params["w"]).sum() + self.lam * np.abs(self.params["w"]).sum()

    def backward(self, dout):
        dx = dout * np.tile(self.params["w"], (len(self.x), 1))
        return dx, {"w": dout * (self.x.sum(axis=0) + self.penalty())}

    def penalty(self):
        return self.lam * np.sign(self.params["w"])


@family.wrong("penalty-missing", "dw")
class LassoMissing(LassoLinear):
    def penalty(self):
        return 0.0


@family.wrong("unexplained", "dw", also=("penalty-factor",))
class LassoAsRidge(LassoLinear):
    def penalty(self):
        return 2 * self.lam * self.params["w"]


@family.right(normal(4, 3))
class LinearWithBias:
    """y = x ⊙ w + b: no penalty anywhere."""

    def __init__(self):
        self.params = {"w": np.array([0.5, -1.0, 2.0]), "b": np.array([1.0, -0.5, 0.3])}

    def forward(self, x):
        self.x = x
        return x * self.params["w"] + self.params["b"]

    def backward(self, dout):
        return dout * self.params["w"], {"w": self.dw(dout), "b": self.db(dout)}

    def dw(self, dout):
        return (dout * self.x).sum(axis=0)

    def db(self, dout):
        return dout.sum(axis=0)


@family.wrong("bias-penalized", "db", also=("penalty-extra",))
class LinearBiasDecays(LinearWithBias):
    def db(self, dout):
        return dout.sum(axis=0) + 0.01 * self.params["b"]


@family.wrong("penalty-extra", "dw")
class LinearWeightsDecay(LinearWithBias):
    def dw(self, dout):
        return (dout * self.x).sum(axis=0) + 1e-4 * self.params["w"]


@family.wrong("parameter-missing", "dx", also=("derivative-missing",))
class LinearScaleForgotten(LinearWithBias):
    def backward(self, dout):
        _, grads = super().backward(dout)
        return dout.copy(), grads
