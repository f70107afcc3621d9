"""Linear layers: y = x W + b and its relatives."""

from __future__ import annotations

import numpy as np

from .behaviour import stale_after_update
from .case import Family
from .points import normal, several

family = Family("linear")


@family.right(normal(5, 4))
class Linear:
    """dx = dout Wᵀ, dW = xᵀ dout, db = Σ dout."""

    def __init__(self, D=4, M=3, bias=True, dtype=np.float64, scale=1.0):
        rng = np.random.default_rng(1)
        self.params = {"W": (scale * rng.normal(size=(D, M))).astype(dtype)}
        if bias:
            self.params["b"] = rng.normal(size=M).astype(dtype)

    def forward(self, x):
        self.x = x
        y = x @ self.params["W"]
        if "b" in self.params:
            y = y + self.params["b"]
        return y

    def backward(self, dout):
        grads = {"W": self.dW(dout)}
        if "b" in self.params:
            grads["b"] = self.db(dout)
        return self.dx(dout), grads

    def dx(self, dout):
        return dout @ self.params["W"].T

    def dW(self, dout):
        return self.x.T @ dout

    def db(self, dout):
        return dout.sum(axis=0)


SQUARE = {"D": 4, "M": 4}

family.right_at("square W", Linear, normal(5, 4), **SQUARE)
family.right_at("N = D = M", Linear, normal(4, 4), **SQUARE)
family.right_at("N = 1", Linear, normal(1, 4))
family.right_at("N = D", Linear, normal(4, 4))
family.right_at("one feature, one output", Linear, normal(3, 1), D=1, M=1)
family.right_at("without bias", Linear, normal(5, 4), bias=False)
family.right_at("x of scale 1e-8", Linear, normal(5, 4, scale=1e-8))
family.right_at("x of scale 1e8", Linear, normal(5, 4, scale=1e8))
family.right_at("W of scale 1e-20", Linear, normal(5, 4), scale=1e-20, bias=False)
family.right_at("W of scale 1e20", Linear, normal(5, 4), scale=1e20)
family.right_at("x = 0", Linear, lambda rng: (np.zeros((5, 4)),))
family.right_at("1e5 weights", Linear, normal(3, 400), D=400, M=250)
family.right_at("1e5 inputs", Linear, normal(1000, 100), D=100, M=2)
family.right_at("Fortran order", Linear, lambda rng: (np.asfortranarray(rng.normal(size=(5, 4))),))
family.right_at("strided x", Linear, lambda rng: (rng.normal(size=(10, 8))[::2, ::2],))
family.right_at("reversed x", Linear, lambda rng: (rng.normal(size=(5, 4))[::-1, ::-1],))
family.right_at(
    "float32",
    Linear,
    normal(5, 4, dtype=np.float32),
    double={"dtype": np.float64},
    dtype=np.float32,
)
family.right_at(
    "float32, a sum of 3000",
    Linear,
    normal(2, 3000, dtype=np.float32),
    double={"dtype": np.float64},
    D=3000,
    M=2,
    dtype=np.float32,
)


@family.wrong("batch-mean-doubled", "dW")
class WeightsAveraged(Linear):
    def dW(self, dout):
        return self.x.T @ dout / len(self.x)


@family.wrong("batch-mean-doubled", "db")
class BiasAveraged(Linear):
    def db(self, dout):
        return dout.mean(axis=0)


@family.wrong("batch-mean-doubled", "dx")
class InputAveraged(Linear):
    def dx(self, dout):
        return dout @ self.params["W"].T / dout.shape[0]


@family.wrong("transposed", "dx", args=SQUARE)
class InputTimesW(Linear):
    def dx(self, dout):
        return dout @ self.params["W"]


@family.wrong("transposed", "dW", args=SQUARE)
class WeightsTransposed(Linear):
    def dW(self, dout):
        return dout.T @ self.x


@family.wrong("transposed", "dW", inputs=normal(4, 4), args=SQUARE)
class WeightsWithoutTranspose(Linear):
    """x dout for xᵀ dout: only a batch as large as D lets it pass."""

    def dW(self, dout):
        return self.x @ dout


@family.wrong("axes-permuted", "dW", also=("transposed",))
class WeightsReshaped(Linear):
    """The shape did not fit, so it was made to fit."""

    def dW(self, dout):
        return (dout.T @ self.x).reshape(self.params["W"].shape)


@family.wrong("not-summed", "db")
class BiasPerSample(Linear):
    def db(self, dout):
        return dout


@family.wrong("not-summed", "db", inputs=normal(1, 4), also=("shape",))
class BiasKeepsBatchAxis(Linear):
    """Right values, (1, M) for (M,): at N = 1 the sum hides it."""

    def db(self, dout):
        return dout.copy()


@family.wrong("shape", "db")
class BiasKeepsDims(Linear):
    def db(self, dout):
        return dout.sum(axis=0, keepdims=True)


@family.wrong("wrong-axis", "db", inputs=normal(3, 4))
class BiasOverOutputs(Linear):
    def db(self, dout):
        return dout.sum(axis=1)


@family.wrong("summed-everything", "db")
class BiasGrandTotal(Linear):
    def db(self, dout):
        return np.full(dout.shape[1], dout.sum())


@family.wrong("summed-everything", "db", args={"D": 4, "M": 6})
class BiasGrandTotalWide(Linear):
    def db(self, dout):
        return np.ones(6) * np.sum(dout)


@family.wrong("part-of-batch", "db")
class BiasFirstSample(Linear):
    def db(self, dout):
        return dout[0].copy()


@family.wrong("part-of-batch", "dW")
class WeightsReturnInsideLoop(Linear):
    def dW(self, dout):
        dW = np.zeros_like(self.params["W"])
        for x, d in zip(self.x, dout, strict=True):
            dW += np.outer(x, d)
            return dW
        return dW


@family.wrong("part-of-batch", "dW")
class WeightsAllButLast(Linear):
    def dW(self, dout):
        dW = np.zeros_like(self.params["W"])
        for n in range(len(dout) - 1):
            dW += np.outer(self.x[n], dout[n])
        return dW


@family.wrong("part-of-batch", "dx", also=())
class InputFirstSampleOnly(Linear):
    def dx(self, dout):
        dx = np.zeros_like(self.x)
        dx[0] = self.params["W"] @ dout[0]
        return dx


@family.wrong("part-of-batch", "dW")
class WeightsLastSample(Linear):
    """`=` for `+=` in the loop over samples."""

    def dW(self, dout):
        for n in range(len(dout)):
            dW = np.outer(self.x[n], dout[n])
        return dW


@family.wrong("upstream-ignored", "dx")
class InputIgnoresUpstream(Linear):
    def dx(self, dout):
        return np.ones_like(dout) @ self.params["W"].T


@family.wrong("upstream-ignored", "dW")
class WeightsIgnoreUpstream(Linear):
    def dW(self, dout):
        return np.repeat(self.x.sum(axis=0)[:, None], dout.shape[1], axis=1)


@family.wrong("upstream-ignored", "db")
class BiasOnes(Linear):
    """db = N: right for dout of ones, the only dout it was tried with."""

    def db(self, dout):
        return np.full(dout.shape[1], float(len(dout)))


@family.wrong("upstream-nonlinear", "dx", shown_by=lambda y, rng: 8.0 * rng.normal(size=y.shape))
class InputClipped(Linear):
    """Gradient clipping inside the layer: wrong only for a large dout."""

    def dx(self, dout):
        return np.clip(dout, -5.0, 5.0) @ self.params["W"].T


@family.wrong("upstream-nonlinear", "dW", shown_by=lambda y, rng: 1e5 * rng.normal(size=y.shape))
class WeightsClippedFar(Linear):
    def dW(self, dout):
        return np.clip(self.x.T @ dout, -1e4, 1e4)


@family.wrong("upstream-nonlinear", "dx")
class InputNormalised(Linear):
    """dx divided by the norm of dout."""

    def dx(self, dout):
        return dout @ self.params["W"].T / (1e-8 + np.sqrt((dout**2).sum()))


@family.wrong("upstream-nonlinear", "db")
class BiasAbsolute(Linear):
    def db(self, dout):
        return np.abs(dout).sum(axis=0)


@family.wrong("constant-leak", "db")
class BiasLeaks(Linear):
    def db(self, dout):
        return dout.sum(axis=0) + 1e-3


@family.wrong("constant-leak", "dx")
class InputLeaksLittle(Linear):
    def dx(self, dout):
        return dout @ self.params["W"].T + 1e-9


@family.wrong("constant-leak", "dW")
class WeightsLeakOneEntry(Linear):
    def dW(self, dout):
        dW = self.x.T @ dout
        dW[1, 2] += 1e-6
        return dW


@family.wrong("precision-lost", "dW")
class WeightsHalf(Linear):
    def dW(self, dout):
        return (self.x.T @ dout).astype(np.float16).astype(np.float64)


@family.wrong("precision-lost", "dx")
class InputSingle(Linear):
    def dx(self, dout):
        dx = dout.astype(np.float32) @ self.params["W"].T.astype(np.float32)
        return dx.astype(np.float64)


@family.wrong("precision-lost", "db", also=("dtype",))
class BiasReturnedSingle(Linear):
    def db(self, dout):
        return dout.sum(axis=0).astype(np.float32)


@family.wrong("penalty-extra", "dW")
class WeightDecayInside(Linear):
    def dW(self, dout):
        return self.x.T @ dout + 0.01 * self.params["W"]


@family.wrong("penalty-extra", "dW")
class LassoInside(Linear):
    def dW(self, dout):
        return self.x.T @ dout + 0.01 * np.sign(self.params["W"])


@family.wrong("bias-penalized", "db", also=("penalty-extra",))
class BiasDecayed(Linear):
    def db(self, dout):
        return dout.sum(axis=0) + 0.02 * self.params["b"]


@family.wrong("sign-flipped", "dW")
class WeightsNegated(Linear):
    """The descent step's minus, already taken."""

    def dW(self, dout):
        return -(self.x.T @ dout)


@family.wrong("sign-flipped", "dx")
class InputNegated(Linear):
    def dx(self, dout):
        return -dout @ self.params["W"].T


@family.wrong("factor-of-two", "dW")
class WeightsDoubled(Linear):
    def dW(self, dout):
        return 2 * self.x.T @ dout


@family.wrong("constant-scale", "dW")
class LearningRateInside(Linear):
    def dW(self, dout):
        return 0.01 * (self.x.T @ dout)


@family.wrong("constant-scale", "dx")
class InputOffByOnePartInBillion(Linear):
    def dx(self, dout):
        return (dout @ self.params["W"].T) * (1 + 1e-9)


@family.wrong("dimension-scale", "dx")
class InputOverOutputs(Linear):
    def dx(self, dout):
        return dout @ self.params["W"].T / dout.shape[1]


@family.wrong(
    "dimension-scale",
    "dW",
    inputs=normal(4, 4),
    shown_at=normal(6, 4),
    also=("batch-mean-missing",),
)
class WeightsOverWrongLength(Linear):
    """N/D: nothing to see while the batch is square."""

    def dW(self, dout):
        return self.x.T @ dout / self.x.shape[1] * self.x.shape[0]


@family.wrong("wrong-operand", "dW", also=("unexplained",))
class WeightsFromOutput(Linear):
    """The input's cache overwritten by a processed copy."""

    def dW(self, dout):
        return np.maximum(self.x, 0.0).T @ dout


@family.wrong("wrong-operand", "dW", args=SQUARE)
class WeightsUseOutput(Linear):
    def forward(self, x):
        y = super().forward(x)
        self.y = y
        return y

    def dW(self, dout):
        return self.y.T @ dout


@family.wrong("unexplained", "dx")
class InputOneColumnShort(Linear):
    """range(D - 1): the last column stays 0."""

    def dx(self, dout):
        dx = dout @ self.params["W"].T
        dx[:, -1] = 0.0
        return dx


@family.wrong("unexplained", "dW", inputs=normal(3, 400), args={"D": 400, "M": 250})
class WeightsOneEntryInMany(Linear):
    """One of 1e5 entries is 1 % off."""

    def dW(self, dout):
        dW = self.x.T @ dout
        dW[217, 133] *= 1.01
        return dW


@family.wrong("unexplained", "dW", also=("axes-permuted",))
class WeightsTwoColumnsSwapped(Linear):
    def dW(self, dout):
        dW = self.x.T @ dout
        dW[:, [0, 1]] = dW[:, [1, 0]]
        return dW


@family.wrong("unexplained", "dx", inputs=normal(6, 4), shown_at=normal(1, 4))
class InputWrongForOneSample(Linear):
    """squeeze() at N = 1 loses the batch axis; the patch after it gets the values wrong."""

    def dx(self, dout):
        if len(dout) == 1:
            return np.cumsum(dout @ self.params["W"].T, axis=1)
        return dout @ self.params["W"].T


@family.wrong(
    "summed-everything", "db", inputs=normal(6, 4), shown_at=normal(1, 4), also=("unexplained",)
)
class BiasWrongForOneSample(Linear):
    """np.squeeze(dout).sum(0) of a single row is one number."""

    def db(self, dout):
        return np.zeros(dout.shape[1]) + np.squeeze(dout).sum(axis=0)


@family.wrong("parameter-missing", "dx", args=SQUARE, also=("derivative-missing",))
class InputWithoutW(Linear):
    def dx(self, dout):
        return dout.copy()


@family.wrong("accumulates", "dW")
class WeightsAccumulate(Linear):
    def backward(self, dout):
        self.total = getattr(self, "total", 0.0) + self.x.T @ dout
        return self.dx(dout), {"W": self.total.copy(), "b": self.db(dout)}


@family.wrong("stale-cache", "dW")
class FirstInputKept(Linear):
    """`if not hasattr(self, 'x')`: the first batch for ever."""

    def forward(self, x):
        if not hasattr(self, "x") or self.x.shape != x.shape:
            self.x = x
        return x @ self.params["W"] + self.params["b"]


@family.wrong("stale-cache", None)
class CacheOnTheClass(Linear):
    def forward(self, x):
        CacheOnTheClass.x = x
        return x @ self.params["W"] + self.params["b"]


@family.wrong("stale-cache", "dx", behaviour=stale_after_update)
class TransposeKept(Linear):
    """Wᵀ copied once at the first backward: stale after an update of W."""

    def dx(self, dout):
        if not hasattr(self, "WT"):
            self.WT = self.params["W"].T.copy()
        return dout @ self.WT


@family.wrong("parameters-mutated", None)
class UpdatesItself(Linear):
    """The descent step inside backward."""

    def backward(self, dout):
        dx, grads = super().backward(dout)
        self.params["W"] -= 0.1 * grads["W"]
        return dx, grads


@family.wrong("parameters-mutated", None)
class DecaysInForward(Linear):
    def forward(self, x):
        self.params["W"] *= 0.999
        return super().forward(x)


@family.wrong("aliased-result", "dW")
class WeightsBuffer(Linear):
    """One buffer for every call: a later result overwrites an earlier one."""

    def dW(self, dout):
        if not hasattr(self, "buffer"):
            self.buffer = np.empty_like(self.params["W"])
        return np.matmul(self.x.T, dout, out=self.buffer)


@family.wrong("gradient-missing", "db")
class BiasForgotten(Linear):
    def backward(self, dout):
        return self.dx(dout), {"W": self.dW(dout)}


@family.wrong("gradient-missing", "dW")
class WeightsNone(Linear):
    def dW(self, dout):
        self.x.T @ dout


@family.wrong("gradient-extra", None)
class InputAmongParameters(Linear):
    """dx listed among the parameters' gradients."""

    def backward(self, dout):
        return self.dx(dout), {"W": self.dW(dout), "b": self.db(dout), "x": self.dx(dout)}


@family.wrong("gradient-extra", None, also=("gradient-missing",))
class KeysRenamed(Linear):
    def backward(self, dout):
        return self.dx(dout), {"dW": self.dW(dout), "db": self.db(dout)}


@family.wrong("shape", "dx", also=("transposed",))
class InputTransposed(Linear):
    def dx(self, dout):
        return self.params["W"] @ dout.T


@family.wrong("shape", "dW", also=("transposed",))
class WeightsOtherWayUp(Linear):
    def dW(self, dout):
        return dout.T @ self.x


@family.wrong("dtype", "dW")
class WeightsObjects(Linear):
    def dW(self, dout):
        return (self.x.T @ dout).astype(object)


@family.wrong("raises", None, also=("shape",))
class ShapesDoNotFit(Linear):
    def dx(self, dout):
        return dout @ self.params["W"]


@family.wrong("raises", None)
class NameMisspelt(Linear):
    def dW(self, dout):
        return self.X.T @ dout


@family.wrong("raises", None, inputs=normal(3, 4), shown_at=normal(1, 4))
class RaisesForOneSample(Linear):
    def db(self, dout):
        columns = np.squeeze(dout).shape[1]
        return dout.sum(axis=0).reshape(columns)


SINGLE = {
    "args": {"dtype": np.float32},
    "inputs": normal(5, 4, dtype=np.float32),
}

family.wrong("batch-mean-doubled", "dW", name="WeightsAveraged, float32", **SINGLE)(WeightsAveraged)
family.wrong("constant-leak", "db", name="BiasLeaks, float32", **SINGLE)(BiasLeaks)
family.wrong("sign-flipped", "dx", name="InputNegated, float32", **SINGLE)(InputNegated)
family.wrong(
    "wrong-operand", "dW", name="WeightsFromOutput, float32", also=("unexplained",), **SINGLE
)(WeightsFromOutput)


@family.wrong("precision-lost", "dW", **SINGLE)
class WeightsHalfInSingle(Linear):
    """float16 inside a float32 layer."""

    def dW(self, dout):
        return (self.x.T @ dout).astype(np.float16).astype(np.float32)


@family.wrong("dtype", "db", **SINGLE)
class BiasReturnedDouble(Linear):
    def db(self, dout):
        return dout.sum(axis=0, dtype=np.float64)


@family.right(normal(2, 3, 4))
class LinearAnyAxes:
    """x W + b on the last axis of x with any axes before it."""

    def __init__(self, D=4, M=5):
        rng = np.random.default_rng(2)
        self.params = {"W": rng.normal(size=(D, M)), "b": rng.normal(size=M)}

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, dout):
        x2 = self.x.reshape(-1, self.x.shape[-1])
        d2 = dout.reshape(-1, dout.shape[-1])
        return self.dx(dout), {"W": x2.T @ d2, "b": self.db(dout)}

    def dx(self, dout):
        return dout @ self.params["W"].T

    def db(self, dout):
        return dout.reshape(-1, dout.shape[-1]).sum(axis=0)


family.right_at("any axes, 1-D x", LinearAnyAxes, normal(4))
family.right_at("any axes, 4-D x", LinearAnyAxes, normal(2, 1, 3, 4))


@family.wrong("not-summed", "db")
class BiasKeepsTime(LinearAnyAxes):
    def db(self, dout):
        return dout.sum(axis=0)


@family.wrong("axes-permuted", "dx", args={"D": 4, "M": 5})
class InputAxesSwapped(LinearAnyAxes):
    def dx(self, dout):
        N, T, _ = dout.shape
        dx = dout @ self.params["W"].T
        return dx.transpose(1, 0, 2).reshape(N, T, -1)


@family.right(normal(5, 4))
class LinearLoops:
    """The same sums as loops, parameters named otherwise and W stored as (M, D)."""

    def __init__(self, D=4, M=3):
        rng = np.random.default_rng(3)
        self.weight = rng.normal(size=(M, D))
        self.bias = rng.normal(size=M)
        self.params = {"weight": self.weight, "bias": self.bias}

    def forward(self, x):
        self.x = x
        y = np.zeros((len(x), len(self.bias)))
        for n in range(len(x)):
            for m in range(len(self.bias)):
                y[n, m] = self.weight[m] @ x[n] + self.bias[m]
        return y

    def backward(self, dout):
        dx, dw, db = np.zeros_like(self.x), np.zeros_like(self.weight), np.zeros_like(self.bias)
        for n in range(len(dout)):
            for m in range(dout.shape[1]):
                dx[n] += dout[n, m] * self.weight[m]
                dw[m] += dout[n, m] * self.x[n]
                db[m] += dout[n, m]
        return dx, {"weight": dw, "bias": db}


@family.wrong("unexplained", "dx", also=("path-missing",))
class LoopMissesLastOutput(LinearLoops):
    """range(M - 1): one output's share is missing in dx."""

    def backward(self, dout):
        dx, grads = super().backward(dout)
        return dx - np.outer(dout[:, -1], self.weight[-1]), grads


@family.wrong("transposed", "dweight", args={"D": 3, "M": 3}, inputs=normal(5, 3))
class LoopIndicesSwapped(LinearLoops):
    def backward(self, dout):
        dx, grads = super().backward(dout)
        return dx, {"weight": grads["weight"].T.copy(), "bias": grads["bias"]}


@family.right(several((3, 4), (3, 5)))
class Bilinear:
    """y_m = uᵀ W_m v, written with einsum."""

    def __init__(self, D=4, E=5, M=2):
        self.params = {"W": np.random.default_rng(4).normal(size=(M, D, E))}

    def forward(self, u, v):
        self.u, self.v = u, v
        return np.einsum("nd,mde,ne->nm", u, self.params["W"], v)

    def backward(self, dout):
        return (self.du(dout), self.dv(dout)), {"W": self.dW(dout)}

    def du(self, dout):
        return np.einsum("nm,mde,ne->nd", dout, self.params["W"], self.v)

    def dv(self, dout):
        return np.einsum("nm,mde,nd->ne", dout, self.params["W"], self.u)

    def dW(self, dout):
        return np.einsum("nm,nd,ne->mde", dout, self.u, self.v)


@family.wrong("transposed", "dx[1]", args={"D": 4, "E": 4, "M": 2}, inputs=several((3, 4), (3, 4)))
class BilinearTransposed(Bilinear):
    def dv(self, dout):
        return np.einsum("nm,med,nd->ne", dout, self.params["W"], self.u)


@family.wrong(
    "wrong-operand", "dx[0]", args={"D": 4, "E": 4, "M": 2}, inputs=several((3, 4), (3, 4))
)
class BilinearOwnOperand(Bilinear):
    def du(self, dout):
        return np.einsum("nm,mde,ne->nd", dout, self.params["W"], self.u)


@family.wrong("upstream-partial", "dW", also=("unexplained",))
class BilinearHalfUpstream(Bilinear):
    """One of the outputs enters without dout."""

    def dW(self, dout):
        half = dout.copy()
        half[:, 0] = 1.0
        return np.einsum("nm,nd,ne->mde", half, self.u, self.v)


@family.right(normal(4, 6))
class MeanLinear:
    """The batch mean of x W: one row of scores for the batch."""

    def __init__(self, D=6, M=3):
        self.params = {"W": np.random.default_rng(5).normal(size=(D, M))}

    def forward(self, x):
        self.x = x
        return (x @ self.params["W"]).mean(axis=0)

    def backward(self, dout):
        return self.dx(dout), {"W": self.dW(dout)}

    def dx(self, dout):
        row = dout @ self.params["W"].T / len(self.x)
        return np.tile(row, (len(self.x), 1))

    def dW(self, dout):
        return np.outer(self.x.mean(axis=0), dout)


@family.wrong("batch-mean-missing", "dW")
class MeanForgottenInWeights(MeanLinear):
    def dW(self, dout):
        return np.outer(self.x.sum(axis=0), dout)


@family.wrong("batch-mean-missing", "dx")
class MeanForgottenInInput(MeanLinear):
    def dx(self, dout):
        return np.tile(dout @ self.params["W"].T, (len(self.x), 1))


@family.wrong("part-of-batch", "dx")
class MeanToFirstSample(MeanLinear):
    def dx(self, dout):
        dx = np.zeros_like(self.x)
        dx[0] = dout @ self.params["W"].T / len(self.x)
        return dx
