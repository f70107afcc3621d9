"""Arithmetic of several inputs, broadcasting, reductions, matrix products."""

from __future__ import annotations

import numpy as np

from .case import Family
from .points import away, normal, several

family = Family("gates")


@family.right(normal(3, 4, copies=2))
class Add:
    def forward(self, a, b):
        return a + b

    def backward(self, dout):
        return (dout.copy(), dout.copy()), {}


@family.wrong("aliased-result", "contract")
class AddHandsOnUpstream(Add):
    """The same array twice: who changes one changes both, and dout."""

    def backward(self, dout):
        return (dout, dout), {}


@family.wrong("aliased-result", "contract")
class AddOneArrayTwice(Add):
    def backward(self, dout):
        d = dout.copy()
        return (d, d), {}


@family.wrong("sign-flipped", "dx[1]")
class AddAsSubtract(Add):
    def backward(self, dout):
        return (dout.copy(), -dout), {}


@family.right(normal(3, 4, copies=2))
class Multiply:
    def forward(self, a, b):
        self.a, self.b = a, b
        return a * b

    def backward(self, dout):
        return (dout * self.b, dout * self.a), {}


family.right_at(
    "Multiply by zeros", Multiply, lambda rng: (rng.normal(size=(2, 3)), np.zeros((2, 3)))
)


@family.wrong("wrong-operand", "dx[0]", also=())
class MultiplySwapped(Multiply):
    def backward(self, dout):
        return (dout * self.a, dout * self.b), {}


@family.wrong("upstream-ignored", "dx[1]")
class MultiplyIgnoresUpstream(Multiply):
    def backward(self, dout):
        return (dout * self.b, self.a.copy()), {}


@family.wrong("aliased-result", "contract", also=("upstream-ignored",))
class MultiplyReturnsInput(Multiply):
    """dx[1] is the cached input itself."""

    def backward(self, dout):
        return (dout * self.b, self.a), {}


@family.wrong("not-finite", "dx[0]", inputs=lambda rng: (np.array([0.0, 1.0]), rng.normal(size=2)))
class MultiplyByDivision(Multiply):
    """y / a for b."""

    def backward(self, dout):
        with np.errstate(all="ignore"):
            return (dout * (self.a * self.b) / self.a, dout * self.a), {}


@family.wrong("derivative-missing", "dx[0]", also=("parameter-missing",))
class MultiplyPassed(Multiply):
    def backward(self, dout):
        return (dout.copy(), dout * self.a), {}


@family.right(lambda rng: (rng.normal(size=(3, 4)), rng.uniform(0.5, 2.0, size=(3, 4))))
class Divide:
    def forward(self, a, b):
        self.a, self.b = a, b
        return a / b

    def backward(self, dout):
        return (dout / self.b, -dout * self.a / self.b**2), {}


@family.wrong("sign-flipped", "dx[1]")
class DivideSign(Divide):
    def backward(self, dout):
        return (dout / self.b, dout * self.a / self.b**2), {}


@family.wrong("unexplained", "dx[1]")
class DivideWithoutSquare(Divide):
    def backward(self, dout):
        return (dout / self.b, -dout * self.a / self.b), {}


@family.wrong("epsilon", "dx[0]", also=("unexplained",))
class DivideEpsilon(Divide):
    """Guarded in backward alone."""

    def backward(self, dout):
        b = self.b + 1e-6
        return (dout / b, -dout * self.a / self.b**2), {}


@family.right(several((4, 3), (3,)))
class AddBroadcast:
    """A row added to each sample."""

    def forward(self, a, b):
        return a + b

    def backward(self, dout):
        return (dout.copy(), self.db(dout)), {}

    def db(self, dout):
        return dout.sum(axis=0)


@family.wrong("not-summed", "dx[1]")
class BroadcastNotSummed(AddBroadcast):
    def db(self, dout):
        return dout.copy()


@family.wrong("wrong-axis", "dx[1]", inputs=several((3, 3), (3,)))
class BroadcastOtherAxis(AddBroadcast):
    def db(self, dout):
        return dout.sum(axis=1)


@family.wrong("batch-mean-doubled", "dx[1]")
class BroadcastAveraged(AddBroadcast):
    def db(self, dout):
        return dout.mean(axis=0)


@family.wrong("summed-everything", "dx[1]")
class BroadcastGrandTotal(AddBroadcast):
    def db(self, dout):
        return np.full(dout.shape[1], dout.sum())


@family.wrong("part-of-batch", "dx[1]")
class BroadcastFirstRow(AddBroadcast):
    def db(self, dout):
        return dout[0].copy()


@family.right(several((4, 3), (4, 1)))
class ScaleRows:
    """Each row times its own number."""

    def forward(self, a, s):
        self.a, self.s = a, s
        return a * s

    def backward(self, dout):
        return (dout * self.s, self.ds(dout)), {}

    def ds(self, dout):
        return (dout * self.a).sum(axis=1, keepdims=True)


@family.wrong("not-summed", "dx[1]")
class ScaleRowsNotSummed(ScaleRows):
    def ds(self, dout):
        return dout * self.a


@family.wrong("summed-everything", "dx[1]")
class ScaleRowsGrandTotal(ScaleRows):
    def ds(self, dout):
        return np.full(self.s.shape, (dout * self.a).sum())


@family.wrong("shape", "dx[1]")
class ScaleRowsFlat(ScaleRows):
    """keepdims forgotten."""

    def ds(self, dout):
        return (dout * self.a).sum(axis=1)


@family.wrong("wrong-axis", "dx[1]", inputs=several((3, 3), (3, 1)))
class ScaleRowsOverRows(ScaleRows):
    def ds(self, dout):
        return (dout * self.a).sum(axis=0)[:, None]


@family.wrong("wrong-operand", "dx[1]")
class ScaleRowsWithScale(ScaleRows):
    def ds(self, dout):
        return (dout * self.s).sum(axis=1, keepdims=True)


@family.right(several((3, 4), (4, 5)))
class MatMul:
    def forward(self, a, b):
        self.a, self.b = a, b
        return a @ b

    def backward(self, dout):
        return (self.da(dout), self.dc(dout)), {}

    def da(self, dout):
        return dout @ self.b.T

    def dc(self, dout):
        return self.a.T @ dout


family.right_at("MatMul, square", MatMul, several((4, 4), (4, 4)))
family.right_at(
    "MatMul, Fortran order",
    MatMul,
    lambda rng: (np.asfortranarray(rng.normal(size=(3, 4))), rng.normal(size=(5, 4)).T),
)


@family.wrong("transposed", "dx[0]", inputs=several((4, 4), (4, 4)))
class MatMulWithoutTranspose(MatMul):
    def da(self, dout):
        return dout @ self.b


@family.wrong("transposed", "dx[1]", inputs=several((4, 4), (4, 4)))
class MatMulResultTransposed(MatMul):
    def dc(self, dout):
        return (self.a.T @ dout).T.copy()


@family.wrong("wrong-operand", "dx[0]", inputs=several((4, 4), (4, 4)))
class MatMulOwnOperand(MatMul):
    def da(self, dout):
        return dout @ self.a.T


@family.wrong("transposed", "dx[1]", inputs=several((4, 4), (4, 4)), also=("unexplained",))
class MatMulOrder(MatMul):
    """dout aᵀ for aᵀ dout."""

    def dc(self, dout):
        return dout @ self.a.T


@family.right(several((2, 3, 4), (2, 4, 5)))
class BatchMatMul:
    def forward(self, a, b):
        self.a, self.b = a, b
        return a @ b

    def backward(self, dout):
        da = dout @ self.b.transpose(0, 2, 1)
        return (da, self.a.transpose(0, 2, 1) @ dout), {}


@family.wrong(
    "axes-permuted",
    "dx[0]",
    inputs=several((2, 3, 4), (2, 4, 5)),
    also=(
        "transposed",
        "unexplained",
    ),
)
class BatchMatMulReshaped(BatchMatMul):
    """b reshaped to the transpose's shape."""

    def backward(self, dout):
        N, D, M = self.b.shape
        da = dout @ self.b.reshape(N, M, D)
        return (da, self.a.transpose(0, 2, 1) @ dout), {}


@family.right(normal(4, 3))
class Mean:
    """The mean over the batch."""

    def forward(self, x):
        self.shape = x.shape
        return x.mean(axis=0)

    def backward(self, dout):
        return np.ones(self.shape) * dout / self.shape[0], {}


@family.wrong("batch-mean-missing", "dx")
class MeanAsSum(Mean):
    def backward(self, dout):
        return np.ones(self.shape) * dout, {}


@family.wrong("dimension-scale", "dx", inputs=normal(4, 6))
class MeanOverAll(Mean):
    def backward(self, dout):
        return np.ones(self.shape) * dout / np.prod(self.shape), {}


@family.wrong("batch-mean-doubled", "dx")
class MeanTwice(Mean):
    def backward(self, dout):
        return np.ones(self.shape) * dout / self.shape[0] ** 2, {}


@family.wrong("shape", "dx")
class MeanNotSpread(Mean):
    def backward(self, dout):
        return dout / self.shape[0], {}


@family.right(normal(4, 3))
class SumOfSquares:
    """One number: Σ x²."""

    def forward(self, x):
        self.x = x
        return (x * x).sum()

    def backward(self, dout):
        return 2 * self.x * dout, {}


@family.wrong("factor-of-two", "dx")
class SumOfSquaresHalf(SumOfSquares):
    def backward(self, dout):
        return self.x * dout, {}


@family.wrong("upstream-ignored", "dx")
class SumOfSquaresIgnoresUpstream(SumOfSquares):
    """As if it were the last node."""

    def backward(self, dout):
        return 2 * self.x, {}


@family.right(normal(5, 3))
class Variance:
    """The variance of each feature, with N − 1."""

    def forward(self, x):
        self.x = x
        return x.var(axis=0, ddof=1)

    def backward(self, dout):
        return 2 * (self.x - self.x.mean(axis=0)) * dout / self.divisor(), {}

    def divisor(self):
        return len(self.x) - 1


@family.wrong("degrees-of-freedom", "dx", also=())
class VarianceWithN(Variance):
    def divisor(self):
        return len(self.x)


@family.wrong("path-missing", "dx", also=("wrong-operand",))
class VarianceNotCentred(Variance):
    """2x/(N−1): the mean forgotten."""

    def backward(self, dout):
        return 2 * self.x * dout / self.divisor(), {}


@family.wrong("factor-of-two", "dx")
class VarianceWithoutTwo(Variance):
    def backward(self, dout):
        return (self.x - self.x.mean(axis=0)) * dout / self.divisor(), {}


@family.right(several((3, 2), (3, 4)))
class Concatenate:
    """Its results are views of dout, each of its own part."""

    def forward(self, a, b):
        self.D = a.shape[1]
        return np.concatenate([a, b], axis=1)

    def backward(self, dout):
        return (dout[:, : self.D], dout[:, self.D :]), {}


@family.wrong(
    "axes-permuted", "dx[0]", inputs=several((3, 3), (3, 3)), also=("wrong-operand", "unexplained")
)
class ConcatenateExchanged(Concatenate):
    def backward(self, dout):
        return (dout[:, self.D :].copy(), dout[:, : self.D].copy()), {}


@family.wrong("shape", "dx[1]")
class ConcatenateOffByOne(Concatenate):
    def backward(self, dout):
        return (dout[:, : self.D].copy(), dout[:, self.D + 1 :].copy()), {}


@family.right(normal(3, 6))
class GLU:
    """a σ(b), a and b the halves of x."""

    def forward(self, x):
        self.a, b = np.split(x, 2, axis=1)
        self.s = 1 / (1 + np.exp(-b))
        return self.a * self.s

    def backward(self, dout):
        return np.concatenate([dout * self.s, self.db(dout)], axis=1), {}

    def db(self, dout):
        return dout * self.a * self.s * (1 - self.s)


@family.wrong("derivative-missing", "dx", also=("unexplained",))
class GLUSlopeMissing(GLU):
    """The gate's own derivative left out."""

    def db(self, dout):
        return dout * self.a


@family.wrong("path-missing", "dx")
class GLUGateAsConstant(GLU):
    def db(self, dout):
        return np.zeros_like(dout)


@family.wrong(
    "wrong-operand",
    "dx",
    also=(
        "axes-permuted",
        "unexplained",
    ),
)
class GLUSwapped(GLU):
    """The halves of dx exchanged."""

    def backward(self, dout):
        return np.concatenate([self.db(dout), dout * self.s], axis=1), {}


@family.right(normal(3, 4))
class SwiGLU:
    """(x W) SiLU(x V): two weights, one input."""

    def __init__(self, D=4, M=3):
        rng = np.random.default_rng(1)
        self.params = {"W": rng.normal(size=(D, M)), "V": rng.normal(size=(D, M))}

    def forward(self, x):
        self.x, self.u, self.v = x, x @ self.params["W"], x @ self.params["V"]
        self.s = 1 / (1 + np.exp(-self.v))
        return self.u * self.v * self.s

    def backward(self, dout):
        du = dout * self.v * self.s
        dv = dout * self.u * (self.s + self.v * self.s * (1 - self.s))
        return self.dx(du, dv), {"W": self.x.T @ du, "V": self.x.T @ dv}

    def dx(self, du, dv):
        return du @ self.params["W"].T + dv @ self.params["V"].T


@family.wrong("path-missing", "dx")
class SwiGLUOnePath(SwiGLU):
    def dx(self, du, dv):
        return du @ self.params["W"].T


@family.wrong("wrong-operand", "dx")
class SwiGLUWeightsExchanged(SwiGLU):
    def dx(self, du, dv):
        return du @ self.params["V"].T + dv @ self.params["W"].T


@family.right(away(3, 4))
class SquareOrDouble:
    """Piecewise: x² on the right, 2x on the left."""

    def forward(self, x):
        self.x = x
        return np.where(x > 0, x**2, 2 * x)

    def backward(self, dout):
        return np.where(self.x > 0, 2 * self.x, 2.0) * dout, {}


@family.wrong("upstream-partial", "dx")
class PiecewiseUpstreamOnce(SquareOrDouble):
    def backward(self, dout):
        return np.where(self.x > 0, 2 * self.x * dout, 2.0), {}


@family.wrong(
    "upstream-mutated",
    "contract",
    inputs=lambda rng: (rng.uniform(0.5, 1.5, size=(3, 4)),),
    shown_at=away(4, 4),
)
class PiecewiseMutatesInBranch(SquareOrDouble):
    """Writes into dout only when x has negative entries."""

    def backward(self, dout):
        dx = 2 * self.x * dout
        negative = self.x < 0
        if negative.any():
            dout[negative] *= 2
            dx[negative] = dout[negative]
        return dx, {}


@family.wrong("input-mutated", "contract")
class PiecewiseMutatesX(SquareOrDouble):
    """backward sorts itself out in x."""

    def backward(self, dout):
        self.x[self.x < 0] = 1.0
        return 2 * self.x * dout, {}


@family.wrong("unexplained", "dx", inputs=away(6, 6))
class PiecewiseNegativeBand(SquareOrDouble):
    """1.9 for 2 where x is below −0.5."""

    def backward(self, dout):
        slope = np.where(self.x > 0, 2 * self.x, np.where(self.x < -0.5, 1.9, 2.0))
        return slope * dout, {}


@family.wrong("dtype", "dx")
class PiecewiseObjects(SquareOrDouble):
    """A list of Python numbers made an array of objects."""

    def backward(self, dout):
        dx, _ = super().backward(dout)
        return np.array(dx.tolist(), dtype=object), {}


@family.wrong("dtype", "dx", also=("precision-lost",))
class PiecewiseWholeNumbers(SquareOrDouble):
    """zeros_like of an integer array."""

    def backward(self, dout):
        dx = np.zeros(dout.shape, dtype=int)
        dx[...] = super().backward(dout)[0]
        return dx, {}


@family.right(several((3, 4), (3, 4)))
class Distance:
    """Euclidean distance of the rows."""

    def forward(self, a, b):
        self.r = a - b
        self.d = np.sqrt((self.r**2).sum(axis=1))
        return self.d

    def backward(self, dout):
        da = dout[:, None] * self.r / self.d[:, None]
        return (da, -da), {}


@family.wrong("sign-flipped", "dx[1]")
class DistanceSameSign(Distance):
    def backward(self, dout):
        (da, _), grads = super().backward(dout)
        return (da, da.copy()), grads


@family.wrong("upstream-nonlinear", "dx[0]")
class DistanceSignOfUpstream(Distance):
    def backward(self, dout):
        (_, db), grads = super().backward(dout)
        return (np.sign(dout)[:, None] * self.r / self.d[:, None], db), grads


@family.wrong("upstream-nonlinear", "dx[0]", shown_by=lambda y, rng: -1 - rng.random(y.shape))
class DistancePositiveUpstream(Distance):
    """Right as long as no entry of dout is negative."""

    def backward(self, dout):
        (_, db), grads = super().backward(dout)
        return (np.maximum(dout, 0)[:, None] * self.r / self.d[:, None], db), grads


@family.right(lambda rng: (np.float64(rng.normal()),))
class ScalarPolynomial:
    """A scalar x: x³ − 2x."""

    def forward(self, x):
        self.x = x
        return x**3 - 2 * x

    def backward(self, dout):
        return dout * (3 * self.x**2 - 2), {}


@family.wrong("path-missing", "dx", also=("unexplained",))
class ScalarTermForgotten(ScalarPolynomial):
    def backward(self, dout):
        return dout * 3 * self.x**2, {}


@family.wrong("raises", None)
class ScalarIndexed(ScalarPolynomial):
    """Expects at least one axis."""

    def backward(self, dout):
        return dout[0] * (3 * self.x**2 - 2), {}


def masked(rng):
    """x with zeros of its own, and which entries are kept."""
    x = rng.normal(size=(4, 5))
    x[:, 2] = 0.0
    mask = rng.integers(0, 2, size=(4, 5))
    mask[:, 1:3] = 1
    return x, mask


@family.right(masked)
class MaskedMean:
    """The mean of the entries that the mask keeps, for each row; the mask has no gradient."""

    def forward(self, x, mask):
        self.x, self.mask = x, mask
        return (x * mask).sum(axis=1) / mask.sum(axis=1)

    def backward(self, dout):
        return (dout[:, None] * self.kept() / self.mask.sum(axis=1, keepdims=True), None), {}

    def kept(self):
        return self.mask


@family.wrong("mask-from-values", "dx[0]")
class MaskedMeanFromValues(MaskedMean):
    def kept(self):
        return self.x * self.mask != 0


@family.wrong("derivative-missing", "dx[0]", also=("unexplained",))
class MaskedMeanToAll(MaskedMean):
    """dout to the masked entries too."""

    def kept(self):
        return np.ones_like(self.mask)


@family.wrong("mask-inverted", "dx[0]")
class MaskedMeanInverted(MaskedMean):
    def kept(self):
        return 1 - self.mask
