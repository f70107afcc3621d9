"""Losses: forward(scores, y) is a mean over the batch, backward() its gradient."""

from __future__ import annotations

import numpy as np

from .case import Family
from .points import binary, normal, scored

family = Family("losses")


def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@family.right(scored(5, 4), kind="loss")
class CrossEntropy:
    """Softmax and cross-entropy: (p − onehot)/N."""

    def forward(self, scores, y):
        self.p, self.y = softmax(scores), y
        s = scores - scores.max(axis=1, keepdims=True)
        logs = np.log(np.exp(s).sum(axis=1)) - s[np.arange(len(y)), y]
        return float(logs.mean())

    def backward(self):
        d = self.p.copy()
        d[np.arange(len(d)), self.y] -= 1
        return d / len(d)


family.right_at("CrossEntropy, N = 1", CrossEntropy, scored(1, 4))
family.right_at("CrossEntropy, square", CrossEntropy, scored(4, 4))
family.right_at("CrossEntropy, two classes", CrossEntropy, scored(5, 2))
family.right_at("CrossEntropy, scores of 1e3", CrossEntropy, scored(5, 4, scale=1e3))
family.right_at("CrossEntropy, scores of 1e-8", CrossEntropy, scored(5, 4, scale=1e-8))
family.right_at("CrossEntropy, float32", CrossEntropy, scored(5, 4, dtype=np.float32), double={})
family.right_at("CrossEntropy, 1e4 scores", CrossEntropy, scored(1000, 10))


@family.wrong("batch-mean-missing", "dscores")
class NotAveraged(CrossEntropy):
    def backward(self):
        return super().backward() * len(self.p)


@family.wrong("batch-mean-doubled", "dscores")
class AveragedTwice(CrossEntropy):
    def backward(self):
        return super().backward() / len(self.p)


@family.wrong("dimension-scale", "dscores")
class OverClassesToo(CrossEntropy):
    def backward(self):
        return super().backward() / self.p.shape[1]


@family.wrong(
    "dimension-scale",
    "dscores",
    inputs=scored(4, 4),
    shown_at=scored(6, 4),
    also=("batch-mean-missing",),
)
class OverClassesForBatch(CrossEntropy):
    """shape[1] for shape[0]: nothing to see at N = C."""

    def backward(self):
        return super().backward() * len(self.p) / self.p.shape[1]


@family.wrong("sign-flipped", "dscores")
class TargetMinusOutput(CrossEntropy):
    def backward(self):
        return -super().backward()


@family.wrong("label-term", "dscores")
class WithoutMinusOne(CrossEntropy):
    def backward(self):
        return self.p / len(self.p)


@family.wrong("label-term", "dscores")
class MinusOneAfterMean(CrossEntropy):
    """The 1 taken off after the division by N."""

    def backward(self):
        d = self.p / len(self.p)
        d[np.arange(len(d)), self.y] -= 1
        return d


@family.wrong("label-term", "dscores")
class PlusOne(CrossEntropy):
    def backward(self):
        d = self.p.copy()
        d[np.arange(len(d)), self.y] += 1
        return d / len(d)


@family.wrong("label-term", "dscores", also=("diagonal-only", "path-missing"))
class LabelColumnAlone(CrossEntropy):
    """Only the true class's entry, the others 0."""

    def backward(self):
        full = super().backward()
        d = np.zeros_like(full)
        rows = np.arange(len(d))
        d[rows, self.y] = full[rows, self.y]
        return d


@family.wrong("unexplained", "dscores", also=("label-term",))
class MinusOneEverywhere(CrossEntropy):
    """`d[:, y] -= 1`: every row loses every label of the batch."""

    def backward(self):
        d = self.p.copy()
        d[:, self.y] -= 1
        return d / len(d)


@family.wrong("part-of-batch", "dscores")
class LossFirstSample(CrossEntropy):
    def backward(self):
        d = np.zeros_like(self.p)
        d[0] = super().backward()[0]
        return d


@family.wrong("precision-lost", "dscores", also=("dtype",))
class LossSingle(CrossEntropy):
    def backward(self):
        return super().backward().astype(np.float32)


@family.wrong(
    "accumulates",
    "dscores",
    also=(
        "aliased-result",
        "stale-cache",
    ),
)
class DividesInPlace(CrossEntropy):
    """p itself is changed: the second backward starts from the first one's answer."""

    def backward(self):
        d = self.p
        d[np.arange(len(d)), self.y] -= 1
        d /= len(d)
        return d


@family.wrong("input-mutated", "contract")
class ShiftsScoresInPlace(CrossEntropy):
    def forward(self, scores, y):
        scores -= scores.max(axis=1, keepdims=True)
        return super().forward(scores, y)


@family.wrong("not-finite", "dscores", inputs=scored(4, 3), shown_at=scored(6, 4, scale=1e3))
class SoftmaxOverflows(CrossEntropy):
    """exp without the shift, in backward alone."""

    def forward(self, scores, y):
        self.scores = scores
        return super().forward(scores, y)

    def backward(self):
        with np.errstate(all="ignore"):
            e = np.exp(self.scores)
            d = e / e.sum(axis=1, keepdims=True)
        d[np.arange(len(d)), self.y] -= 1
        return d / len(d)


@family.wrong("shape", "dscores")
class FlatScores(CrossEntropy):
    def backward(self):
        return super().backward().ravel()


@family.wrong("raises", None, inputs=scored(4, 4), shown_at=scored(6, 4))
class RangeOverClasses(CrossEntropy):
    """arange(C) where arange(N) is meant."""

    def backward(self):
        d = self.p.copy()
        d[np.arange(d.shape[1]), self.y] -= 1
        return d / len(d)


@family.wrong("stale-cache", "dscores")
class LabelsOfFirstBatch(CrossEntropy):
    def forward(self, scores, y):
        kept = getattr(self, "y", y)
        value = super().forward(scores, y)
        self.y = kept if len(kept) == len(y) else y
        return value


@family.wrong("constant-leak", "dscores", also=("unexplained",))
class LossEpsilonAdded(CrossEntropy):
    """1e-7 'against log 0' in the probabilities of backward."""

    def backward(self):
        return super().backward() + 1e-7


@family.right(scored(5, 4), kind="loss")
class WeightedCrossEntropy(CrossEntropy):
    """Each class has a weight; the mean is over the weights present."""

    def __init__(self, weights=(0.5, 1.0, 2.0, 4.0)):
        self.w = np.array(weights)

    def forward(self, scores, y):
        self.p, self.y = softmax(scores), y
        logs = -np.log(self.p[np.arange(len(y)), y])
        return float((self.w[y] * logs).sum() / self.w[y].sum())

    def backward(self):
        d = self.p.copy()
        d[np.arange(len(d)), self.y] -= 1
        return self.w[self.y][:, None] * d / self.w[self.y].sum()


@family.wrong("unexplained", "dscores")
class WeightsForgotten(WeightedCrossEntropy):
    def backward(self):
        return CrossEntropy.backward(self)


@family.wrong(
    "unexplained", "dscores", also=("constant-scale", "dimension-scale", "batch-mean-missing")
)
class WeightsOverCount(WeightedCrossEntropy):
    """Divided by N where forward divides by the sum of the weights."""

    def backward(self):
        return super().backward() * self.w[self.y].sum() / len(self.y)


@family.right(scored(5, 4), kind="loss")
class SmoothedCrossEntropy:
    """Label smoothing."""

    a = 0.1

    def forward(self, scores, y):
        self.p = softmax(scores)
        C = scores.shape[1]
        self.t = np.full_like(scores, self.a / C)
        self.t[np.arange(len(y)), y] += 1 - self.a
        return float(-(self.t * np.log(self.p)).sum(axis=1).mean())

    def backward(self):
        return (self.p - self.t) / len(self.p)


@family.wrong("label-term", "dscores")
class SmoothingInLabelForgotten(SmoothedCrossEntropy):
    """1 for 1 − a + a/C."""

    def backward(self):
        t = np.where(self.t > 0.5, 1.0, self.t)
        return (self.p - t) / len(self.p)


@family.right(scored(5, 4), kind="loss")
class Hinge:
    """Multiclass hinge with margin 1."""

    margin = 1.0

    def forward(self, scores, y):
        rows = np.arange(len(y))
        m = np.maximum(0, scores - scores[rows, y][:, None] + self.margin)
        m[rows, y] = 0
        self.m, self.y = m, y
        return float(m.sum() / len(y))

    def backward(self):
        d = (self.m > 0).astype(float)
        d[np.arange(len(d)), self.y] = -self.count(d)
        return d / len(d)

    def count(self, d):
        return d.sum(axis=1)


def hinge_kink(rng):
    """Whole scores: many margins exactly 0."""
    return rng.integers(-1, 2, size=(4, 3)).astype(float), rng.integers(0, 3, size=4)


def hinge_active(rng):
    """Every margin is positive."""
    return rng.uniform(0, 0.5, size=(5, 4)), rng.integers(0, 4, size=5)


family.right_at("Hinge, all margins active", Hinge, hinge_active)
family.right_at("Hinge at kinks", Hinge, hinge_kink, kinks=True)


@family.wrong("label-term", "dscores", inputs=hinge_active)
class HingeMinusOne(Hinge):
    """−1 for −count."""

    def count(self, d):
        return 1.0


@family.wrong("label-term", "dscores", inputs=hinge_active)
class HingeLabelZero(Hinge):
    def count(self, d):
        return 0.0


@family.wrong("label-term", "dscores", inputs=hinge_active)
class HingeLabelSign(Hinge):
    def count(self, d):
        return -d.sum(axis=1)


@family.wrong("batch-mean-missing", "dscores", inputs=hinge_active)
class HingeNotAveraged(Hinge):
    def backward(self):
        return super().backward() * len(self.y)


@family.wrong("mask-inverted", "dscores")
class HingeInactiveMargins(Hinge):
    def backward(self):
        d = (self.m == 0).astype(float)
        rows = np.arange(len(d))
        d[rows, self.y] = 0.0
        d[rows, self.y] = -d.sum(axis=1)
        return d / len(d)


@family.wrong(
    "derivative-missing",
    "dscores",
    inputs=scored(6, 4, scale=3.0),
    also=(
        "unexplained",
        "mask-threshold",
    ),
)
class HingeEveryMargin(Hinge):
    """No mask: every other class counts."""

    def backward(self):
        d = np.ones_like(self.m)
        rows = np.arange(len(d))
        d[rows, self.y] = 1.0 - d.shape[1]
        return d / len(d)


@family.wrong("unexplained", "dscores", inputs=hinge_active)
class HingeValueForMask(Hinge):
    """The margin itself for its indicator."""

    def backward(self):
        d = self.m.copy()
        d[np.arange(len(d)), self.y] = -d.sum(axis=1)
        return d / len(d)


@family.wrong("mask-threshold", "dscores", inputs=hinge_active)
class HingeThresholdAtMargin(Hinge):
    """m > 1 for m > 0: the margin subtracted twice."""

    def backward(self):
        d = (self.m > 1).astype(float)
        d[np.arange(len(d)), self.y] = -d.sum(axis=1)
        return d / len(d)


@family.right(binary(4, 3), kind="loss")
class BinaryCrossEntropy:
    """With scores: mean of log(1 + eˢ) − y s over all entries."""

    def forward(self, scores, y):
        self.s, self.y = scores, y
        return float((np.logaddexp(0, scores) - y * scores).mean())

    def backward(self):
        p = np.exp(-np.logaddexp(0, -self.s))
        return (p - self.y) / self.s.size


family.right_at("BinaryCrossEntropy, scores of 100", BinaryCrossEntropy, binary(4, 3, scale=100.0))
family.right_at("BinaryCrossEntropy, 1-D", BinaryCrossEntropy, binary(6))


@family.wrong("label-term", "dscores", also=("unexplained",))
class BinaryLabelForgotten(BinaryCrossEntropy):
    def backward(self):
        return np.exp(-np.logaddexp(0, -self.s)) / self.s.size


@family.wrong("batch-mean-missing", "dscores", inputs=binary(5))
class BinaryNotAveraged(BinaryCrossEntropy):
    def backward(self):
        return super().backward() * self.s.size


@family.wrong("dimension-scale", "dscores")
class BinaryOverBatchAlone(BinaryCrossEntropy):
    """Divided by N where forward divides by N D."""

    def backward(self):
        return super().backward() * self.s.shape[1]


@family.wrong("derivative-doubled", "dscores")
class BinaryThroughSigmoidTwice(BinaryCrossEntropy):
    """(p − y) is the derivative by the score already; p (1 − p) once more."""

    def backward(self):
        p = np.exp(-np.logaddexp(0, -self.s))
        return super().backward() * p * (1 - p)


@family.wrong("not-finite", "dscores", inputs=binary(4, 3), shown_at=binary(6, 4, scale=1e3))
class BinaryThroughProbabilities(BinaryCrossEntropy):
    """(p − y)/(p (1 − p)) · p (1 − p): 0/0 in saturation."""

    def backward(self):
        with np.errstate(all="ignore"):
            p = np.exp(-np.logaddexp(0, -self.s))
            return (p - self.y) / (p * (1 - p)) * (p * (1 - p)) / self.s.size


@family.right(normal(5, 3, copies=2), kind="loss")
class MeanSquaredError:
    """Mean over all entries."""

    def forward(self, scores, y):
        self.r = scores - y
        return float((self.r**2).mean())

    def backward(self):
        return 2 * self.r / self.r.size


family.right_at("MeanSquaredError, 1-D", MeanSquaredError, normal(6, copies=2))
family.right_at("MeanSquaredError, 1e-20", MeanSquaredError, normal(3, 2, copies=2, scale=1e-10))
family.right_at("MeanSquaredError, at 0", MeanSquaredError, lambda rng: (np.ones(4), np.ones(4)))


@family.wrong("factor-of-two", "dscores")
class SquaredWithoutTwo(MeanSquaredError):
    def backward(self):
        return self.r / self.r.size


@family.wrong("batch-mean-missing", "dscores", inputs=normal(6, copies=2))
class SquaredNotAveraged(MeanSquaredError):
    def backward(self):
        return 2 * self.r


@family.wrong("sign-flipped", "dscores")
class SquaredSign(MeanSquaredError):
    def backward(self):
        return -2 * self.r / self.r.size


@family.wrong("dimension-scale", "dscores")
class SquaredOverBatch(MeanSquaredError):
    def backward(self):
        return 2 * self.r / len(self.r)


@family.wrong("batch-mean-doubled", "dscores")
class SquaredOverBatchTwice(MeanSquaredError):
    def backward(self):
        return 2 * self.r / self.r.size / len(self.r)


@family.wrong("unexplained", "dscores", also=("derivative-missing",))
class SquaredSignOnly(MeanSquaredError):
    """The derivative of |r|."""

    def backward(self):
        return np.sign(self.r) / self.r.size


@family.wrong("constant-scale", "dscores")
class SquaredThrice(MeanSquaredError):
    def backward(self):
        return 3 * self.r / self.r.size


@family.wrong("aliased-result", "dscores")
class SquaredCacheReturned(MeanSquaredError):
    """backward returns the cache itself."""

    def backward(self):
        if not hasattr(self, "g") or self.g.shape != self.r.shape:
            self.g = np.empty_like(self.r)
        np.multiply(self.r, 2 / self.r.size, out=self.g)
        return self.g


@family.right(normal(5, 3, copies=2, scale=2.0), kind="loss")
class Huber:
    def __init__(self, delta=1.0):
        self.delta = delta

    def forward(self, scores, y):
        self.r = r = scores - y
        a = np.abs(r)
        losses = np.where(a <= self.delta, 0.5 * r**2, self.delta * (a - 0.5 * self.delta))
        return float(losses.sum() / len(r))

    def backward(self):
        return np.clip(self.r, -self.delta, self.delta) / len(self.r)


@family.wrong("mask-threshold", "dscores")
class HuberOtherDelta(Huber):
    """The branch changes at 2δ in backward."""

    def backward(self):
        small = np.abs(self.r) <= 2 * self.delta
        return np.where(small, self.r, self.delta * np.sign(self.r)) / len(self.r)


@family.wrong("slope-missing", "dscores", also=("unexplained",))
class HuberNegativeSide(Huber):
    """δ for δ sign(r): wrong for large negative residuals only."""

    def backward(self):
        small = np.abs(self.r) <= self.delta
        return np.where(small, self.r, np.where(self.r > 0, self.delta, 0.0)) / len(self.r)


@family.wrong("constant-scale", "dscores", args={"delta": 3.0}, also=("unexplained",))
class HuberWithoutDelta(Huber):
    """sign(r) for δ sign(r)."""

    def backward(self):
        small = np.abs(self.r) <= self.delta
        return np.where(small, self.r / 3.0, np.sign(self.r)) / len(self.r)


@family.right(normal(5, 3, copies=2), kind="loss")
class MeanAbsoluteError:
    def forward(self, scores, y):
        self.s, self.y = scores, y
        return float(np.abs(scores - y).mean())

    def backward(self):
        return np.sign(self.s - self.y) / self.s.size


family.right_at(
    "MeanAbsoluteError at 0", MeanAbsoluteError, lambda rng: (np.ones(3), np.ones(3)), kinks=True
)


@family.right(lambda rng: (rng.normal(size=(4, 3)), softmax(rng.normal(size=(4, 3)))), kind="loss")
class KullbackLeibler:
    """KL(q ‖ softmax(scores)), mean over the batch."""

    def forward(self, scores, y):
        self.p, self.q = softmax(scores), y
        return float((y * (np.log(y) - np.log(self.p))).sum(axis=1).mean())

    def backward(self):
        return (self.p - self.q) / len(self.p)


@family.wrong("diagonal-only", "dscores")
class KullbackDiagonal(KullbackLeibler):
    """−q (1 − p): the softmax's diagonal alone."""

    def backward(self):
        return -self.q * (1 - self.p) / len(self.p)


@family.wrong("path-missing", "dscores", also=("unexplained", "diagonal-only"))
class KullbackNormaliserForgotten(KullbackLeibler):
    """−q: the logarithm of the sum does not depend on the scores."""

    def backward(self):
        return -self.q / len(self.p)


@family.right(normal(4, 3, copies=2), kind="loss")
class CosineDistance:
    """1 − cos(scores, y), mean over the batch."""

    def forward(self, scores, y):
        self.a = np.linalg.norm(scores, axis=1, keepdims=True)
        self.b = np.linalg.norm(y, axis=1, keepdims=True)
        self.s, self.y = scores, y
        self.c = (scores * y).sum(axis=1, keepdims=True) / (self.a * self.b)
        return float((1 - self.c).mean())

    def backward(self):
        return -(self.y / (self.a * self.b) - self.c * self.s / self.a**2) / len(self.s)


@family.wrong("path-missing", "dscores")
class CosineNormAsConstant(CosineDistance):
    def backward(self):
        return -self.y / (self.a * self.b) / len(self.s)


@family.wrong("sign-flipped", "dscores")
class CosineSign(CosineDistance):
    """The similarity's gradient for the distance's."""

    def backward(self):
        return -super().backward()


@family.wrong("batch-mean-missing", "dscores")
class CosineNotAveraged(CosineDistance):
    def backward(self):
        return super().backward() * len(self.s)


@family.right(normal(4, 3, copies=3))
class Triplet:
    """max(0, ‖a − p‖² − ‖a − n‖² + 1), one number for each sample."""

    def forward(self, a, p, n):
        self.a, self.p, self.n = a, p, n
        self.z = ((a - p) ** 2).sum(axis=1) - ((a - n) ** 2).sum(axis=1) + 1.0
        return np.maximum(self.z, 0)

    def backward(self, dout):
        d = 2 * (dout * (self.z > 0))[:, None]
        return (d * self.da(), -d * (self.a - self.p), d * (self.a - self.n)), {}

    def da(self):
        return self.n - self.p


def triplet_active(rng):
    """Every sample's margin is active."""
    a = rng.normal(size=(4, 3))
    return a, a + rng.normal(size=(4, 3)) + 2.0, a + 0.1 * rng.normal(size=(4, 3))


@family.wrong("path-missing", "dx[0]", inputs=triplet_active)
class TripletNegativeForgotten(Triplet):
    def da(self):
        return self.a - self.p


@family.wrong("factor-of-two", "dx[1]", inputs=triplet_active)
class TripletWithoutTwo(Triplet):
    def backward(self, dout):
        (da, dp, dn), grads = super().backward(dout)
        return (da, dp / 2, dn), grads


@family.wrong("sign-flipped", "dx[2]", inputs=triplet_active)
class TripletSign(Triplet):
    def backward(self, dout):
        (da, dp, dn), grads = super().backward(dout)
        return (da, dp, -dn), grads


@family.right(normal(4, 3))
class Softmax:
    """dx = y (dout − Σ dout y)."""

    def forward(self, x):
        self.x, self.y = x, softmax(x)
        return self.y.copy()

    def backward(self, dout):
        return self.y * (dout - (dout * self.y).sum(axis=-1, keepdims=True)), {}


family.right_at("Softmax, scores of 1e3", Softmax, normal(4, 3, scale=1e3))
family.right_at("Softmax, one vector", Softmax, normal(5))
family.right_at("Softmax, square", Softmax, normal(4, 4))
family.right_at("Softmax, float32", Softmax, normal(4, 3, dtype=np.float32), double={})
family.right_at("Softmax, equal scores", Softmax, lambda rng: (np.zeros((2, 3)),))


@family.right(normal(3, 4))
class SoftmaxJacobian(Softmax):
    """The same with the whole Jacobian, row by row."""

    def backward(self, dout):
        dx = np.empty_like(dout)
        for n, (y, d) in enumerate(zip(self.y, dout, strict=True)):
            dx[n] = (np.diag(y) - np.outer(y, y)) @ d
        return dx, {}


@family.wrong("diagonal-only", "dx")
class SoftmaxDiagonal(Softmax):
    def backward(self, dout):
        return dout * self.y * (1 - self.y), {}


@family.wrong("path-missing", "dx", also=("diagonal-only",))
class SoftmaxNormaliserAsConstant(Softmax):
    def backward(self, dout):
        return dout * self.y, {}


@family.wrong("wrong-axis", "dx", also=("statistics-axis",))
class SoftmaxOverBatch(Softmax):
    def backward(self, dout):
        return self.y * (dout - (dout * self.y).sum(axis=0)), {}


@family.wrong(
    "summed-everything",
    "dx",
    also=(
        "wrong-axis",
        "statistics-axis",
        "unexplained",
    ),
)
class SoftmaxSumOfAll(Softmax):
    def backward(self, dout):
        return self.y * (dout - (dout * self.y).sum()), {}


@family.wrong(
    "unexplained",
    "dx",
    also=(
        "derivative-missing",
        "parameter-missing",
    ),
)
class SoftmaxOuterForgotten(Softmax):
    """dout − Σ dout y without the factor y in front."""

    def backward(self, dout):
        return dout - (dout * self.y).sum(axis=-1, keepdims=True), {}


@family.wrong("evaluated-at-output", "dx")
class SoftmaxOfSoftmax(Softmax):
    def backward(self, dout):
        y = softmax(self.y)
        return y * (dout - (dout * y).sum(axis=-1, keepdims=True)), {}


@family.wrong("upstream-ignored", "dx")
class SoftmaxAssumesLabels(Softmax):
    """The gradient of the cross-entropy with label 0, whatever comes from above."""

    def backward(self, dout):
        d = self.y.copy()
        d[:, 0] -= 1
        return d, {}


@family.right(normal(4, 3))
class LogSoftmax:
    def forward(self, x):
        self.x = x
        shifted = x - x.max(axis=-1, keepdims=True)
        self.y = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        return self.y

    def backward(self, dout):
        return dout - np.exp(self.y) * dout.sum(axis=-1, keepdims=True), {}


family.right_at("LogSoftmax, scores of 1e3", LogSoftmax, normal(4, 3, scale=1e3))


@family.wrong("diagonal-only", "dx")
class LogSoftmaxDiagonal(LogSoftmax):
    def backward(self, dout):
        return dout * (1 - np.exp(self.y)), {}


@family.wrong("path-missing", "dx", also=("derivative-missing",))
class LogSoftmaxPassed(LogSoftmax):
    def backward(self, dout):
        return dout.copy(), {}


@family.wrong("upstream-partial", "dx", also=("unexplained",))
class LogSoftmaxAssumesSumOne(LogSoftmax):
    """dout − p: right where dout sums to 1."""

    def backward(self, dout):
        return dout - np.exp(self.y), {}


@family.wrong("wrong-operand", "dx")
class LogSoftmaxLogForProbability(LogSoftmax):
    """log p where p is meant."""

    def backward(self, dout):
        return dout - self.y * dout.sum(axis=-1, keepdims=True), {}


@family.right(normal(4, 3))
class LogSumExp:
    def forward(self, x):
        m = x.max(axis=1, keepdims=True)
        self.p = softmax(x)
        return (m + np.log(np.exp(x - m).sum(axis=1, keepdims=True)))[:, 0]

    def backward(self, dout):
        return dout[:, None] * self.p, {}


family.right_at("LogSumExp, scores of 1e3", LogSumExp, normal(4, 3, scale=1e3))


@family.wrong("upstream-ignored", "dx")
class LogSumExpIgnoresUpstream(LogSumExp):
    def backward(self, dout):
        return self.p.copy(), {}


@family.wrong("unexplained", "dx")
class LogSumExpAsMax(LogSumExp):
    """One-hot at the maximum: the hard maximum's gradient."""

    def backward(self, dout):
        return dout[:, None] * (self.p == self.p.max(axis=1, keepdims=True)), {}
