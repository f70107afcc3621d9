"""Normalisation layers: every output of a feature depends on every input of it."""

from __future__ import annotations

import numpy as np

from .case import Family
from .points import normal

family = Family("normalisation")


@family.right(normal(6, 3))
class BatchNorm:
    """Three paths to x: directly, through the mean, through the variance."""

    def __init__(self, D=3, eps=1e-5, momentum=0.9, dtype=np.float64, training=True):
        rng = np.random.default_rng(1)
        self.params = {
            "gamma": rng.uniform(0.5, 1.5, size=D).astype(dtype),
            "beta": rng.normal(size=D).astype(dtype),
        }
        self.state = {"mean": np.zeros(D, dtype), "var": np.full(D, 2.0, dtype)}
        self.eps, self.momentum, self.training = eps, momentum, training

    def forward(self, x):
        if self.training:
            mean, var = x.mean(axis=0), x.var(axis=0)
            for name, value in (("mean", mean), ("var", var)):
                old = self.state[name]
                self.state[name] = self.momentum * old + (1 - self.momentum) * value
        else:
            mean, var = self.state["mean"], self.state["var"]
        self.x, self.mean, self.var = x, mean, var
        self.std = np.sqrt(var + self.eps).astype(x.dtype)
        self.xhat = (x - mean) / self.std
        return self.params["gamma"] * self.xhat + self.params["beta"]

    def backward(self, dout):
        return self.dx(dout), {"gamma": self.dgamma(dout), "beta": self.dbeta(dout)}

    def dx(self, dout):
        d = dout * self.params["gamma"]
        if not self.training:
            return d / self.std
        return (d - d.mean(axis=0) - self.xhat * (d * self.xhat).mean(axis=0)) / self.std

    def dgamma(self, dout):
        return (dout * self.xhat).sum(axis=0)

    def dbeta(self, dout):
        return dout.sum(axis=0)


family.right_at("BatchNorm, N = 2", BatchNorm, normal(2, 3))
family.right_at("BatchNorm, N = 1", BatchNorm, normal(1, 3))
family.right_at("BatchNorm, square batch", BatchNorm, normal(3, 3))
family.right_at("BatchNorm, in use", BatchNorm, normal(6, 3), training=False)
family.right_at("BatchNorm, large eps", BatchNorm, normal(6, 3), eps=0.3)
family.right_at("BatchNorm, nearly constant features", BatchNorm, normal(6, 3, scale=1e-3))
family.right_at("BatchNorm, far from 0", BatchNorm, lambda rng: (rng.normal(size=(6, 3)) + 100.0,))
family.right_at(
    "BatchNorm, float32",
    BatchNorm,
    normal(8, 3, dtype=np.float32),
    double={"dtype": np.float64},
    dtype=np.float32,
)


@family.right(normal(6, 3))
class BatchNormSteps(BatchNorm):
    """The same, step by step along the graph of the forward."""

    def dx(self, dout):
        N = len(dout)
        centred = self.x - self.mean
        dxhat = dout * self.params["gamma"]
        dvar = (dxhat * centred).sum(axis=0) * -0.5 / self.std**3
        dmean = (-dxhat / self.std).sum(axis=0) + dvar * (-2 * centred).mean(axis=0)
        return dxhat / self.std + dvar * 2 * centred / N + dmean / N


@family.wrong("path-missing", "dx")
class WithoutVariancePath(BatchNorm):
    def dx(self, dout):
        d = dout * self.params["gamma"]
        return (d - d.mean(axis=0)) / self.std


@family.wrong("path-missing", "dx")
class WithoutMeanPath(BatchNorm):
    def dx(self, dout):
        d = dout * self.params["gamma"]
        return (d - self.xhat * (d * self.xhat).mean(axis=0)) / self.std


@family.wrong("path-missing", "dx", also=("diagonal-only",))
class StatisticsAsConstants(BatchNorm):
    """Neither path: right in use, wrong in training."""

    def dx(self, dout):
        return dout * self.params["gamma"] / self.std


@family.wrong("path-missing", "dx", args={"training": False}, also=("unexplained",))
class TrainingFormulaInUse(BatchNorm):
    """Extra paths: the statistics are constants when not training."""

    def dx(self, dout):
        d = dout * self.params["gamma"]
        return (d - d.mean(axis=0) - self.xhat * (d * self.xhat).mean(axis=0)) / self.std


@family.wrong("epsilon", "dx", args={"eps": 1e-2})
class EpsilonLeftOut(BatchNorm):
    def dx(self, dout):
        d = dout * self.params["gamma"]
        std = np.sqrt(self.var)
        return (d - d.mean(axis=0) - self.xhat * (d * self.xhat).mean(axis=0)) / std


@family.wrong("epsilon", "dx", args={"eps": 1e-2})
class EpsilonOutsideRoot(BatchNorm):
    def dx(self, dout):
        d = dout * self.params["gamma"]
        std = np.sqrt(self.var) + self.eps
        return (d - d.mean(axis=0) - self.xhat * (d * self.xhat).mean(axis=0)) / std


@family.wrong("epsilon", "dx", args={"eps": 1e-5}, name="EpsilonLeftOut, eps 1e-5")
class EpsilonLeftOutSmall(BatchNorm):
    """An error of about 1e-5 of the gradient."""

    def dx(self, dout):
        d = dout * self.params["gamma"]
        xhat = (self.x - self.mean) / np.sqrt(self.var)
        return (d - d.mean(axis=0) - xhat * (d * xhat).mean(axis=0)) / np.sqrt(self.var)


@family.wrong("epsilon", "dgamma", args={"eps": 1e-2})
class EpsilonInGamma(BatchNorm):
    def dgamma(self, dout):
        return (dout * (self.x - self.mean) / np.sqrt(self.var)).sum(axis=0)


@family.wrong("degrees-of-freedom", "dx")
class DivisorLessOne(BatchNorm):
    """1/(N−1) in the path through the variance."""

    def dx(self, dout):
        d = dout * self.params["gamma"]
        share = (d * self.xhat).sum(axis=0) / (len(dout) - 1)
        return (d - d.mean(axis=0) - self.xhat * share) / self.std


@family.wrong("degrees-of-freedom", "dx", inputs=normal(20, 3))
class StdWithDdof(BatchNorm):
    """std(ddof=1) in backward, var() in forward."""

    def dx(self, dout):
        d = dout * self.params["gamma"]
        std = np.sqrt(self.x.var(axis=0, ddof=1) + self.eps)
        return (d - d.mean(axis=0) - self.xhat * (d * self.xhat).mean(axis=0)) / std


@family.wrong("degrees-of-freedom", "dgamma")
class GammaWithDdof(BatchNorm):
    def dgamma(self, dout):
        xhat = (self.x - self.mean) / np.sqrt(self.x.var(axis=0, ddof=1) + self.eps)
        return (dout * xhat).sum(axis=0)


@family.wrong("statistics-axis", "dx", inputs=normal(3, 3), also=("wrong-axis",))
class StatisticsOverFeatures(BatchNorm):
    def dx(self, dout):
        d = dout * self.params["gamma"]
        mean, share = d.mean(axis=1, keepdims=True), (d * self.xhat).mean(axis=1, keepdims=True)
        return (d - mean - self.xhat * share) / self.std


@family.wrong("statistics-axis", "dgamma", inputs=normal(6, 3))
class GammaOfLayerNorm(BatchNorm):
    def dgamma(self, dout):
        mean, var = self.x.mean(axis=1, keepdims=True), self.x.var(axis=1, keepdims=True)
        return (dout * (self.x - mean) / np.sqrt(var + self.eps)).sum(axis=0)


@family.wrong("parameter-missing", "dx")
class GammaForgotten(BatchNorm):
    def dx(self, dout):
        d = dout
        return (d - d.mean(axis=0) - self.xhat * (d * self.xhat).mean(axis=0)) / self.std


@family.wrong("wrong-operand", "dgamma")
class GammaWithX(BatchNorm):
    def dgamma(self, dout):
        return (dout * self.x).sum(axis=0)


@family.wrong("wrong-operand", "dgamma")
class GammaWithCentred(BatchNorm):
    """x − mean for xhat."""

    def dgamma(self, dout):
        return (dout * (self.x - self.mean)).sum(axis=0)


@family.wrong("batch-mean-doubled", "dgamma")
class GammaAveraged(BatchNorm):
    def dgamma(self, dout):
        return (dout * self.xhat).mean(axis=0)


@family.wrong("not-summed", "dbeta")
class BetaNotSummed(BatchNorm):
    def dbeta(self, dout):
        return dout.copy()


@family.wrong("wrong-axis", "dbeta", inputs=normal(3, 3))
class BetaOverFeatures(BatchNorm):
    def dbeta(self, dout):
        return dout.sum(axis=1)


@family.wrong("summed-everything", "dbeta")
class BetaGrandTotal(BatchNorm):
    def dbeta(self, dout):
        return np.full(3, np.sum(dout))


@family.wrong("unexplained", "dx")
class SumForMean(BatchNorm):
    """The two means written as sums: one of the N's lost."""

    def dx(self, dout):
        d = dout * self.params["gamma"]
        return (d - d.sum(axis=0) - self.xhat * (d * self.xhat).sum(axis=0)) / self.std


@family.wrong("unexplained", "dx")
class VariancePathSign(BatchNorm):
    def dx(self, dout):
        d = dout * self.params["gamma"]
        return (d - d.mean(axis=0) + self.xhat * (d * self.xhat).mean(axis=0)) / self.std


@family.wrong("batch-mean-missing", "dx", also=("dimension-scale",))
class TimesBatch(BatchNorm):
    """N d − Σ d − …, and the 1/N in front forgotten."""

    def dx(self, dout):
        N, d = len(dout), dout * self.params["gamma"]
        return (N * d - d.sum(axis=0) - self.xhat * (d * self.xhat).sum(axis=0)) / self.std


@family.wrong(
    "stale-cache",
    "dx",
    also=(
        "wrong-operand",
        "unexplained",
    ),
)
class RunningStatisticsInBackward(BatchNorm):
    """Divides by the running deviation, which depends on all earlier batches."""

    def dx(self, dout):
        d = dout * self.params["gamma"]
        std = np.sqrt(self.state["var"] + self.eps)
        return (d - d.mean(axis=0) - self.xhat * (d * self.xhat).mean(axis=0)) / std


@family.wrong("input-mutated", "contract")
class CentresInPlace(BatchNorm):
    def forward(self, x):
        y = super().forward(x.copy())
        x -= x.mean(axis=0)
        return y


@family.wrong("not-finite", "dx", inputs=lambda rng: (np.ones((4, 3)) * rng.normal(size=3),))
class ConstantFeatureDivides(BatchNorm):
    """The std recomputed without eps: 0/0 for a constant feature."""

    def dx(self, dout):
        d = dout * self.params["gamma"]
        with np.errstate(all="ignore"):
            xhat = (self.x - self.x[0]) / np.sqrt(((self.x - self.x[0]) ** 2).mean(axis=0))
            return (d - d.mean(axis=0) - xhat * (d * xhat).mean(axis=0)) / self.std


@family.wrong("gradient-extra", None)
class RunningStatisticsAmongGradients(BatchNorm):
    """What is kept but not learned has no gradient."""

    def backward(self, dout):
        dx, grads = super().backward(dout)
        return dx, {**grads, "mean": np.zeros(3), "var": np.zeros(3)}


family.wrong(
    "path-missing",
    "dx",
    args={"dtype": np.float32},
    inputs=normal(8, 3, dtype=np.float32),
    name="WithoutVariancePath, float32",
)(WithoutVariancePath)


@family.right(normal(4, 3, 2, 2))
class BatchNorm2d(BatchNorm):
    """Statistics over N, H, W for each channel."""

    def forward(self, x):
        y = super().forward(x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1]))
        return self.image(y, x.shape)

    def image(self, rows, shape):
        N, C, H, W = shape
        return rows.reshape(N, H, W, C).transpose(0, 3, 1, 2)

    def backward(self, dout):
        rows = dout.transpose(0, 2, 3, 1).reshape(-1, dout.shape[1])
        dx, grads = super().backward(rows)
        return self.image(dx, dout.shape), grads


@family.wrong("axes-permuted", "dx")
class ImageReshaped(BatchNorm2d):
    """Back with reshape where transpose was meant."""

    def backward(self, dout):
        rows = dout.transpose(0, 2, 3, 1).reshape(-1, dout.shape[1])
        dx, grads = BatchNorm.backward(self, rows)
        return dx.reshape(dout.shape), grads


@family.wrong("statistics-axis", "dx", also=("wrong-axis",))
class BatchAxisAlone(BatchNorm2d):
    """The means over N alone, not over N, H, W."""

    def backward(self, dout):
        _, grads = super().backward(dout)
        xhat = self.image(self.xhat, dout.shape)
        d = dout * self.params["gamma"][:, None, None]
        std = self.std[:, None, None]
        return (d - d.mean(axis=0) - xhat * (d * xhat).mean(axis=0)) / std, grads


@family.wrong("not-summed", "dbeta")
class BetaKeepsImage(BatchNorm2d):
    def backward(self, dout):
        dx, grads = super().backward(dout)
        return dx, {**grads, "beta": dout.sum(axis=0)}


@family.right(normal(4, 5))
class LayerNorm:
    def __init__(self, D=5, eps=1e-5, dtype=np.float64):
        rng = np.random.default_rng(2)
        self.params = {
            "gamma": rng.uniform(0.5, 1.5, size=D).astype(dtype),
            "beta": rng.normal(size=D).astype(dtype),
        }
        self.eps = eps

    def forward(self, x):
        self.x = x
        self.mean = x.mean(axis=-1, keepdims=True)
        self.std = np.sqrt(x.var(axis=-1, keepdims=True) + x.dtype.type(self.eps))
        self.xhat = (x - self.mean) / self.std
        return self.params["gamma"] * self.xhat + self.params["beta"]

    def backward(self, dout):
        axes = tuple(range(dout.ndim - 1))
        return self.dx(dout), {"gamma": self.dgamma(dout, axes), "beta": dout.sum(axis=axes)}

    def dx(self, dout):
        d = dout * self.params["gamma"]
        share = (d * self.xhat).mean(axis=-1, keepdims=True)
        return (d - d.mean(axis=-1, keepdims=True) - self.xhat * share) / self.std

    def dgamma(self, dout, axes):
        return (dout * self.xhat).sum(axis=axes)


family.right_at("LayerNorm, sequences", LayerNorm, normal(2, 3, 5))
family.right_at("LayerNorm, one vector", LayerNorm, normal(5))
family.right_at("LayerNorm, square", LayerNorm, normal(5, 5))
family.right_at(
    "LayerNorm, float32",
    LayerNorm,
    normal(4, 5, dtype=np.float32),
    double={"dtype": np.float64},
    dtype=np.float32,
)


@family.wrong("path-missing", "dx")
class LayerNormWithoutVariance(LayerNorm):
    def dx(self, dout):
        d = dout * self.params["gamma"]
        return (d - d.mean(axis=-1, keepdims=True)) / self.std


@family.wrong("statistics-axis", "dx", also=("wrong-axis",))
class LayerNormOverBatch(LayerNorm):
    def dx(self, dout):
        d = dout * self.params["gamma"]
        return (d - d.mean(axis=0) - self.xhat * (d * self.xhat).mean(axis=0)) / self.std


@family.wrong("parameter-missing", "dx", also=("unexplained",))
class LayerNormGammaForgotten(LayerNorm):
    def dx(self, dout):
        share = (dout * self.xhat).mean(axis=-1, keepdims=True)
        return (dout - dout.mean(axis=-1, keepdims=True) - self.xhat * share) / self.std


@family.wrong("wrong-operand", "dgamma")
class LayerNormGammaWithX(LayerNorm):
    def dgamma(self, dout, axes):
        return (dout * self.x).sum(axis=axes)


@family.wrong("degrees-of-freedom", "dx")
class LayerNormDdof(LayerNorm):
    def dx(self, dout):
        d = dout * self.params["gamma"]
        share = (d * self.xhat).sum(axis=-1, keepdims=True) / (d.shape[-1] - 1)
        return (d - d.mean(axis=-1, keepdims=True) - self.xhat * share) / self.std


@family.wrong("epsilon", "dx", args={"eps": 1e-3})
class LayerNormEpsilon(LayerNorm):
    def dx(self, dout):
        return super().dx(dout) * self.std / np.sqrt(self.x.var(axis=-1, keepdims=True))


@family.wrong("dtype", "dx", args={"dtype": np.float32}, inputs=normal(4, 5, dtype=np.float32))
class LayerNormReturnsDouble(LayerNorm):
    """float32 in, float64 out."""

    def dx(self, dout):
        return super().dx(dout).astype(np.float64)


@family.right(normal(4, 5))
class RMSNorm:
    def __init__(self, D=5, eps=1e-6):
        self.params = {"g": np.linspace(0.5, 1.5, D)}
        self.eps = eps

    def forward(self, x):
        self.x = x
        self.rms = np.sqrt((x**2).mean(axis=-1, keepdims=True) + self.eps)
        return self.params["g"] * x / self.rms

    def backward(self, dout):
        return self.dx(dout), {"g": self.dg(dout)}

    def dx(self, dout):
        d = dout * self.params["g"]
        share = (d * self.x).mean(axis=-1, keepdims=True)
        return d / self.rms - self.x * share / self.rms**3

    def dg(self, dout):
        return (dout * self.x / self.rms).sum(axis=0)


@family.wrong("path-missing", "dx", also=("diagonal-only",))
class RMSAsConstant(RMSNorm):
    def dx(self, dout):
        return dout * self.params["g"] / self.rms


@family.wrong("wrong-operand", "dg")
class RMSGainWithX(RMSNorm):
    def dg(self, dout):
        return (dout * self.x).sum(axis=0)


@family.wrong("unexplained", "dx")
class RMSPowerTwo(RMSNorm):
    """rms² for rms³ in the second term."""

    def dx(self, dout):
        d = dout * self.params["g"]
        return d / self.rms - self.x * (d * self.x).mean(axis=-1, keepdims=True) / self.rms**2


@family.wrong("parameter-missing", "dx", also=("unexplained",))
class RMSGainForgotten(RMSNorm):
    def dx(self, dout):
        share = (dout * self.x).mean(axis=-1, keepdims=True)
        return dout / self.rms - self.x * share / self.rms**3


@family.wrong("diagonal-only", "dx")
class RMSDiagonal(RMSNorm):
    """Only ∂yᵢ/∂xᵢ, with its own share of the root."""

    def dx(self, dout):
        d = dout * self.params["g"]
        return d / self.rms - self.x * (d * self.x) / self.x.shape[-1] / self.rms**3


@family.right(normal(3, 4, 2, 2))
class GroupNorm:
    """Statistics over the channels of a group and the image, for each sample."""

    def __init__(self, C=4, groups=2, eps=1e-5):
        self.params = {"gamma": np.linspace(0.5, 1.5, C), "beta": np.linspace(-1.0, 1.0, C)}
        self.groups, self.eps = groups, eps

    def forward(self, x):
        g = x.reshape(len(x), self.groups, -1)
        self.std = np.sqrt(g.var(axis=2, keepdims=True) + self.eps)
        self.xhat = ((g - g.mean(axis=2, keepdims=True)) / self.std).reshape(x.shape)
        return self.params["gamma"][:, None, None] * self.xhat + self.params["beta"][:, None, None]

    def backward(self, dout):
        grads = {"gamma": (dout * self.xhat).sum(axis=(0, 2, 3)), "beta": dout.sum(axis=(0, 2, 3))}
        d = dout * self.params["gamma"][:, None, None]
        return self.dx(d), grads

    def dx(self, d):
        g = d.reshape(len(d), self.groups, -1)
        xhat = self.xhat.reshape(g.shape)
        share = (g * xhat).mean(axis=2, keepdims=True)
        return ((g - g.mean(axis=2, keepdims=True) - xhat * share) / self.std).reshape(d.shape)


family.right_at("InstanceNorm: a group for each channel", GroupNorm, normal(2, 4, 3, 2), groups=4)
family.right_at("GroupNorm, one group", GroupNorm, normal(2, 4, 2, 2), groups=1)


@family.wrong("statistics-axis", "dx")
class GroupNormAcrossGroups(GroupNorm):
    """The means of backward over all channels, not over the group's."""

    def dx(self, d):
        axes = (1, 2, 3)
        std = np.repeat(self.std, d.shape[1] // self.groups, axis=1)[..., None]
        share = (d * self.xhat).mean(axis=axes, keepdims=True)
        return (d - d.mean(axis=axes, keepdims=True) - self.xhat * share) / std


@family.wrong("not-summed", "dgamma")
class GroupNormGammaPerSample(GroupNorm):
    def backward(self, dout):
        dx, grads = super().backward(dout)
        return dx, {**grads, "gamma": (dout * self.xhat).sum(axis=(2, 3))}


@family.right(normal(4, 3))
class L2Normalise:
    """y = x / ‖x‖ for each row."""

    def forward(self, x):
        self.norm = np.linalg.norm(x, axis=1, keepdims=True)
        self.y = x / self.norm
        return self.y

    def backward(self, dout):
        return (dout - self.y * (dout * self.y).sum(axis=1, keepdims=True)) / self.norm, {}


family.right_at("L2Normalise of scale 1e-8", L2Normalise, normal(4, 3, scale=1e-8))


@family.wrong("path-missing", "dx", also=("diagonal-only",))
class NormAsConstant(L2Normalise):
    def backward(self, dout):
        return dout / self.norm, {}


@family.wrong("diagonal-only", "dx")
class NormDiagonal(L2Normalise):
    """(1 − y²)/‖x‖: each entry by itself."""

    def backward(self, dout):
        return dout * (1 - self.y**2) / self.norm, {}


@family.wrong("wrong-axis", "dx", also=("statistics-axis",))
class NormSumOverBatch(L2Normalise):
    def backward(self, dout):
        return (dout - self.y * (dout * self.y).sum(axis=0)) / self.norm, {}


@family.wrong(
    "summed-everything",
    "dx",
    also=(
        "wrong-axis",
        "statistics-axis",
        "unexplained",
    ),
)
class NormSumOfAll(L2Normalise):
    """sum() without an axis."""

    def backward(self, dout):
        return (dout - self.y * (dout * self.y).sum()) / self.norm, {}


@family.right(normal(5, 3))
class Standardise:
    """Zero mean, unit deviation with N − 1, no parameters."""

    def forward(self, x):
        self.std = x.std(axis=0, ddof=1)
        self.xhat = (x - x.mean(axis=0)) / self.std
        return self.xhat.copy()

    def backward(self, dout):
        share = (dout * self.xhat).sum(axis=0) / self.divisor(dout)
        return (dout - dout.mean(axis=0) - self.xhat * share) / self.std, {}

    def divisor(self, dout):
        return len(dout) - 1


@family.wrong("degrees-of-freedom", "dx")
class StandardiseWithN(Standardise):
    def divisor(self, dout):
        return len(dout)


@family.right(normal(5, 3))
class Centre:
    """x minus its batch mean."""

    def forward(self, x):
        return x - x.mean(axis=0)

    def backward(self, dout):
        return dout - dout.mean(axis=0), {}


@family.wrong("path-missing", "dx", also=("derivative-missing", "diagonal-only"))
class CentreMeanAsConstant(Centre):
    def backward(self, dout):
        return dout.copy(), {}


@family.wrong("diagonal-only", "dx")
class CentreDiagonal(Centre):
    """1 − 1/N of each entry's own dout."""

    def backward(self, dout):
        return dout * (1 - 1 / len(dout)), {}


@family.wrong("statistics-axis", "dx", also=("wrong-axis",), inputs=normal(4, 4))
class CentreOverFeatures(Centre):
    def backward(self, dout):
        return dout - dout.mean(axis=1, keepdims=True), {}


@family.wrong(
    "unexplained",
    "dx",
    inputs=normal(1, 3),
    shown_at=normal(5, 3),
    also=(
        "upstream-ignored",
        "path-missing",
    ),
)
class CentreZero(Centre):
    """dx = 0: tried with one sample only."""

    def backward(self, dout):
        return np.zeros_like(dout), {}
