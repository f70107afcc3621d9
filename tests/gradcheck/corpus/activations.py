"""Elementwise functions: the derivative at the right place, times dout."""

from __future__ import annotations

import numpy as np

from .case import Family
from .points import away, fixed, normal, positive, zeros_among

family = Family("activations")


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


class Elementwise:
    """y = f(x), dx = dout f'(x); a subclass gives `f` and `slope`."""

    def forward(self, x):
        self.x = x
        self.y = self.f(x)
        return self.y

    def backward(self, dout):
        return dout * self.slope(self.x, self.y), {}


@family.right(away(4, 5))
class ReLU(Elementwise):
    def f(self, x):
        return np.maximum(x, 0)

    def slope(self, x, y):
        return (x > 0).astype(x.dtype)


KINK = fixed([[0.0, -1.0, 2.0], [0.5, 0.0, 0.0]])

family.right_at("ReLU at 0, slope 0", ReLU, KINK, kinks=True)
family.right_at("ReLU near 0", ReLU, normal(4, 5, scale=1e-7))
family.right_at("ReLU, scalar x", ReLU, lambda rng: (np.array(rng.uniform(0.5, 1.0)),))
family.right_at("ReLU, 1-D x", ReLU, away(7))
family.right_at("ReLU, zeros among x", ReLU, zeros_among(3, 4), kinks=True)
family.right_at("ReLU, 1e5 entries", ReLU, away(1000, 100))


@family.right(KINK, kinks=True)
class ReLUSlopeOneAtZero(ReLU):
    def slope(self, x, y):
        return (x >= 0) * 1.0


@family.right(KINK, kinks=True)
class ReLUSlopeHalfAtZero(ReLU):
    def slope(self, x, y):
        return np.heaviside(x, 0.5)


@family.right(away(4, 5))
class ReLUIndexed(ReLU):
    """Copies dout and zeroes it where x is negative."""

    def backward(self, dout):
        dx = dout.copy()
        dx[self.x <= 0] = 0
        return dx, {}


@family.wrong("mask-inverted", "dx")
class ReLUMaskInverted(ReLU):
    def slope(self, x, y):
        return x <= 0


@family.wrong("mask-threshold", "dx", inputs=fixed([[-0.4, 0.05, 2.0], [0.02, 1.0, -1.0]]))
class ReLUThresholdTenth(ReLU):
    def slope(self, x, y):
        return x > 0.1


@family.wrong("mask-threshold", "dx", inputs=away(4, 5), shown_at=normal(9, 9, scale=0.1))
class ReLUThresholdHidden(ReLU):
    """x > 0.15: not one entry of x in the band."""

    def slope(self, x, y):
        return x > 0.15


@family.wrong("mask-threshold", "dx", inputs=away(6, 6, low=0.05, high=1.0))
class ReLUThresholdBelow(ReLU):
    def slope(self, x, y):
        return x > -0.5


@family.wrong("upstream-nonlinear", "dx")
class ReLUGuided(ReLU):
    """Guided backpropagation: dout's own mask as well."""

    def slope(self, x, y):
        return x > 0

    def backward(self, dout):
        return dout * (self.x > 0) * (dout > 0), {}


@family.wrong("upstream-nonlinear", "dx")
class ReLUDeconv(ReLU):
    """The mask taken from dout in place of x."""

    def backward(self, dout):
        return dout * (dout > 0), {}


@family.wrong("derivative-missing", "dx")
class ReLUPassed(ReLU):
    def backward(self, dout):
        return dout.copy(), {}


@family.wrong("upstream-ignored", "dx")
class ReLUMaskOnly(ReLU):
    def backward(self, dout):
        return (self.x > 0).astype(float), {}


@family.wrong("upstream-mutated", "contract")
class ReLUInPlace(ReLU):
    def backward(self, dout):
        dout[self.x <= 0] = 0
        return dout.copy(), {}


@family.wrong("input-mutated", "contract")
class ReLUForwardInPlace(ReLU):
    def forward(self, x):
        self.mask = x > 0
        x[x < 0] = 0
        return x.copy()

    def backward(self, dout):
        return dout * self.mask, {}


@family.wrong("dtype", "dx", also=("precision-lost",))
class ReLUBooleans(ReLU):
    """The answer as whole numbers (dout was of ones in the exercise)."""

    def backward(self, dout):
        return (dout * (self.x > 0)).astype(int), {}


@family.wrong("constant-leak", "dx")
class ReLUEpsilonMask(ReLU):
    """A 'numerically safe' mask with 1e-8 added to the result."""

    def backward(self, dout):
        return dout * (self.x > 0) + 1e-8, {}


@family.wrong("unexplained", "dx", inputs=away(1000, 100), name="ReLU, one entry of 1e5")
class ReLUOneEntry(ReLU):
    def backward(self, dout):
        dx = dout * (self.x > 0)
        dx[713, 21] = dout[713, 21] * 0.5
        return dx, {}


@family.right(away(4, 5))
class LeakyReLU(Elementwise):
    def __init__(self, slope=0.1):
        self.a = slope

    def f(self, x):
        return np.where(x > 0, x, self.a * x)

    def slope(self, x, y):
        return np.where(x > 0, 1.0, self.a)


family.right_at("LeakyReLU at 0", LeakyReLU, KINK, kinks=True)


@family.wrong("slope-missing", "dx")
class LeakyAsReLU(LeakyReLU):
    def slope(self, x, y):
        return (x > 0) * 1.0


@family.wrong("slope-missing", "dx", args={"slope": 0.01}, also=("derivative-missing",))
class LeakySlopeOfOne(LeakyReLU):
    """dout passed on where x < 0, the slope forgotten."""

    def slope(self, x, y):
        return np.ones_like(x)


@family.wrong("upstream-partial", "dx")
class LeakyConstantBranch(LeakyReLU):
    def backward(self, dout):
        return np.where(self.x > 0, dout, self.a), {}


@family.wrong("mask-inverted", "dx")
class LeakyBranchesSwapped(LeakyReLU):
    def slope(self, x, y):
        return np.where(x < 0, 1.0, self.a)


@family.wrong("upstream-nonlinear", "dx", also=("mask-inverted",))
class LeakyMaskFromUpstream(LeakyReLU):
    def backward(self, dout):
        return np.where(dout > 0, dout, self.a * dout), {}


@family.right(normal(4, 5))
class Sigmoid(Elementwise):
    def f(self, x):
        return sigmoid(x)

    def slope(self, x, y):
        return y * (1 - y)


family.right_at("Sigmoid at ±40", Sigmoid, fixed([[-40.0, 40.0, -30.0], [30.0, 0.0, 1.0]]))
family.right_at("Sigmoid of scale 1e8", Sigmoid, normal(4, 5, scale=1e8))
family.right_at("Sigmoid of scale 1e-8", Sigmoid, normal(4, 5, scale=1e-8))
family.right_at("Sigmoid, N = 1", Sigmoid, normal(1, 1))
family.right_at("Sigmoid, 3-D strided", Sigmoid, lambda rng: (rng.normal(size=(2, 6, 4))[:, ::3],))


@family.wrong("evaluated-at-input", "dx")
class SigmoidOfInput(Sigmoid):
    def slope(self, x, y):
        return x * (1 - x)


@family.wrong("evaluated-at-output", "dx")
class SigmoidTwice(Sigmoid):
    """sigmoid'(y): the cache already holds the sigmoid."""

    def slope(self, x, y):
        return sigmoid(y) * (1 - sigmoid(y))


@family.wrong("derivative-missing", "dx")
class SigmoidPassed(Sigmoid):
    def backward(self, dout):
        return 1.0 * dout, {}


@family.wrong("derivative-doubled", "dx")
class SigmoidSlopeTwice(Sigmoid):
    def backward(self, dout):
        s = self.slope(self.x, self.y)
        return dout * s * s, {}


@family.wrong("sign-flipped", "dx")
class SigmoidSign(Sigmoid):
    """y (y − 1): the brackets the wrong way round."""

    def slope(self, x, y):
        return y * (y - 1)


@family.wrong("unexplained", "dx")
class SigmoidHalfSlope(Sigmoid):
    """y for y (1 − y)."""

    def slope(self, x, y):
        return y


@family.wrong("precision-lost", "dx")
class SigmoidHalfPrecision(Sigmoid):
    def slope(self, x, y):
        y = y.astype(np.float16)
        return (y * (1 - y)).astype(np.float64)


@family.wrong("not-finite", "dx", inputs=fixed([[-800.0, 1.0], [0.5, -1.0]]))
class SigmoidOverflows(Sigmoid):
    """The derivative from exp(−x): inf/inf far on the left."""

    def slope(self, x, y):
        with np.errstate(all="ignore"):
            e = np.exp(-x)
            return e / (1 + e) ** 2


@family.wrong("not-finite", "dx", inputs=normal(3, 4), shown_at=normal(6, 6, scale=2000.0))
class SigmoidOverflowsFarOut(Sigmoid):
    def slope(self, x, y):
        with np.errstate(all="ignore"):
            e = np.exp(x)
            return e / (1 + e) ** 2


@family.wrong("unexplained", "dx", inputs=normal(4, 5), shown_at=normal(9, 9, scale=5.0))
class SigmoidClipped(Sigmoid):
    """y clipped to [0.01, 0.99] in backward alone: wrong far out only."""

    def slope(self, x, y):
        y = np.clip(y, 0.01, 0.99)
        return y * (1 - y)


@family.right(normal(4, 5))
class Tanh(Elementwise):
    def f(self, x):
        return np.tanh(x)

    def slope(self, x, y):
        return 1 - y**2


family.right_at("Tanh at ±20", Tanh, fixed([[-20.0, 20.0], [5.0, -5.0], [0.0, 1e-9]]))
family.right_at("Tanh, float32", Tanh, normal(4, 5, dtype=np.float32), double={})


@family.wrong("evaluated-at-output", "dx")
class TanhOfTanh(Tanh):
    def slope(self, x, y):
        return 1 - np.tanh(y) ** 2


@family.wrong("evaluated-at-input", "dx")
class TanhOfInput(Tanh):
    def slope(self, x, y):
        return 1 - x**2


@family.wrong("derivative-doubled", "dx")
class TanhSlopeTwice(Tanh):
    def slope(self, x, y):
        return (1 - y**2) ** 2


@family.wrong("unexplained", "dx")
class TanhWithoutSquare(Tanh):
    def slope(self, x, y):
        return 1 - y


@family.wrong("constant-scale", "dx")
class TanhOneInBillion(Tanh):
    def slope(self, x, y):
        return (1 - y**2) * (1 - 2e-9)


@family.wrong("aliased-result", "dx")
class TanhBuffer(Tanh):
    """The result is written into an array of the layer's, used again at the next call."""

    def backward(self, dout):
        if not hasattr(self, "out") or self.out.shape != dout.shape:
            self.out = np.empty_like(dout)
        np.multiply(dout, 1 - self.y**2, out=self.out)
        return self.out, {}


@family.wrong("accumulates", "dx")
class TanhAccumulates(Tanh):
    def __init__(self):
        self.dx = 0.0

    def backward(self, dout):
        self.dx = self.dx + dout * (1 - self.y**2)
        return self.dx.copy(), {}


@family.wrong("stale-cache", "dx")
class TanhClassCache(Tanh):
    def forward(self, x):
        TanhClassCache.y = np.tanh(x)
        return TanhClassCache.y.copy()

    def backward(self, dout):
        return dout * (1 - self.y**2), {}


@family.wrong("stale-cache", "dx")
class TanhListCache(Tanh):
    """A list of all caches, of which backward reads the first."""

    def __init__(self):
        self.ys = []

    def forward(self, x):
        self.ys.append(np.tanh(x))
        return self.ys[-1].copy()

    def backward(self, dout):
        y = next(y for y in self.ys if y.shape == dout.shape)
        return dout * (1 - y**2), {}


@family.wrong("stale-cache", "dx", also=("aliased-result",))
class TanhOutputHandedOut(Tanh):
    """A static buffer holds y for every instance."""

    buffer = np.empty((4, 5))

    def forward(self, x):
        if x.shape == self.buffer.shape:
            np.tanh(x, out=self.buffer)
            self.y = self.buffer
        else:
            self.y = np.tanh(x)
        return self.y.copy()

    def backward(self, dout):
        return dout * (1 - self.y**2), {}


@family.right(away(4, 5))
class ELU(Elementwise):
    a = 1.5

    def f(self, x):
        return np.where(x > 0, x, self.a * np.expm1(np.minimum(x, 0)))

    def slope(self, x, y):
        return np.where(x > 0, 1.0, y + self.a)


@family.wrong("slope-missing", "dx")
class ELUAsReLU(ELU):
    def slope(self, x, y):
        return np.where(x > 0, 1.0, 0.0)


@family.wrong("unexplained", "dx")
class ELUWithoutOffset(ELU):
    """y for y + a on the negative side."""

    def slope(self, x, y):
        return np.where(x > 0, 1.0, y)


@family.wrong("evaluated-at-output", "dx")
class ELUAtOutput(ELU):
    def slope(self, x, y):
        return np.where(x > 0, 1.0, self.a * np.exp(y))


@family.wrong("upstream-partial", "dx")
class ELUNegativeSideAlone(ELU):
    def backward(self, dout):
        return np.where(self.x > 0, dout, self.y + self.a), {}


@family.right(normal(4, 5))
class Softplus(Elementwise):
    def f(self, x):
        return np.logaddexp(0, x)

    def slope(self, x, y):
        return sigmoid(x)


family.right_at("Softplus at ±300", Softplus, fixed([[-300.0, 300.0, -30.0, 30.0]]))


@family.wrong("evaluated-at-output", "dx")
class SoftplusAtOutput(Softplus):
    def slope(self, x, y):
        return sigmoid(y)


@family.wrong("derivative-doubled", "dx", also=())
class SoftplusSlopeTwice(Softplus):
    def slope(self, x, y):
        return sigmoid(x) * sigmoid(x)


@family.wrong("not-finite", "dx", inputs=fixed([[800.0, -1.0], [0.5, 2.0]]))
class SoftplusOverflows(Softplus):
    def slope(self, x, y):
        with np.errstate(all="ignore"):
            return np.exp(x) / (1 + np.exp(x))


@family.right(normal(4, 5))
class GELU(Elementwise):
    """The tanh form."""

    c = np.sqrt(2 / np.pi)

    def f(self, x):
        return 0.5 * x * (1 + np.tanh(self.c * (x + 0.044715 * x**3)))

    def slope(self, x, y):
        t = np.tanh(self.c * (x + 0.044715 * x**3))
        return 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * self.c * (1 + 3 * 0.044715 * x**2)


@family.wrong("path-missing", "dx")
class GELUFirstTerm(GELU):
    """The product rule's second half forgotten."""

    def slope(self, x, y):
        return 0.5 * (1 + np.tanh(self.c * (x + 0.044715 * x**3)))


@family.wrong("evaluated-at-output", "dx")
class GELUAtOutput(GELU):
    def slope(self, x, y):
        return super().slope(y, y)


@family.wrong("unexplained", "dx")
class GELUSigmoidForm(GELU):
    """The derivative of x σ(1.702 x), another approximation of the same function."""

    def slope(self, x, y):
        s = sigmoid(1.702 * x)
        return s + 1.702 * x * s * (1 - s)


@family.wrong("unexplained", "dx")
class GELUWithoutThree(GELU):
    """The 3 of d(x³) left out."""

    def slope(self, x, y):
        t = np.tanh(self.c * (x + 0.044715 * x**3))
        return 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * self.c * (1 + 0.044715 * x**2)


@family.right(normal(4, 5))
class SiLU(Elementwise):
    def f(self, x):
        return x * sigmoid(x)

    def slope(self, x, y):
        s = sigmoid(x)
        return s + x * s * (1 - s)


family.right_at("SiLU of scale 50", SiLU, normal(4, 5, scale=50.0))


@family.wrong("path-missing", "dx")
class SiLUGateAlone(SiLU):
    def slope(self, x, y):
        return sigmoid(x)


@family.wrong("path-missing", "dx")
class SiLUWithoutGate(SiLU):
    def slope(self, x, y):
        s = sigmoid(x)
        return x * s * (1 - s)


@family.wrong("derivative-missing", "dx")
class SiLUPassed(SiLU):
    def backward(self, dout):
        return dout + 0.0, {}


@family.wrong("upstream-partial", "dx", also=("unexplained",))
class SiLUSecondTermLoose(SiLU):
    """The second term added after the product with dout: brackets forgotten."""

    def backward(self, dout):
        s = sigmoid(self.x)
        return dout * s + self.x * s * (1 - s), {}


@family.right(normal(3, 5))
class Mish(Elementwise):
    def f(self, x):
        return x * np.tanh(np.logaddexp(0, x))

    def slope(self, x, y):
        t = np.tanh(np.logaddexp(0, x))
        return t + x * (1 - t**2) * sigmoid(x)


@family.right(away(4, 3))
class PReLU:
    """A learned slope for each feature."""

    def __init__(self, D=3):
        self.params = {"a": np.linspace(0.1, 0.4, D)}

    def forward(self, x):
        self.x = x
        return np.where(x > 0, x, self.params["a"] * x)

    def backward(self, dout):
        return self.dx(dout), {"a": self.da(dout)}

    def dx(self, dout):
        return dout * np.where(self.x > 0, 1.0, self.params["a"])

    def da(self, dout):
        return (dout * np.minimum(self.x, 0)).sum(axis=0)


@family.wrong("not-summed", "da")
class PReLUNotSummed(PReLU):
    def da(self, dout):
        return dout * np.minimum(self.x, 0)


@family.wrong("slope-missing", "dx")
class PReLUSlopeMissing(PReLU):
    def dx(self, dout):
        return dout * (self.x > 0)


@family.wrong("summed-everything", "da")
class PReLUGrandTotal(PReLU):
    def da(self, dout):
        return np.full(self.x.shape[1], (dout * np.minimum(self.x, 0)).sum())


@family.wrong("mask-inverted", "da", also=("wrong-operand",))
class PReLUOtherSide(PReLU):
    def da(self, dout):
        return (dout * np.maximum(self.x, 0)).sum(axis=0)


@family.wrong("wrong-operand", "da")
class PReLUWholeInput(PReLU):
    """x for min(x, 0)."""

    def da(self, dout):
        return (dout * self.x).sum(axis=0)


@family.wrong("upstream-ignored", "da")
class PReLUIgnoresUpstream(PReLU):
    def da(self, dout):
        return np.minimum(self.x, 0).sum(axis=0)


@family.right(away(3, 4))
class PReLUShared:
    """One learned slope for all: a 0-d parameter."""

    def __init__(self):
        self.params = {"a": np.array(0.25)}

    def forward(self, x):
        self.x = x
        return np.where(x > 0, x, self.params["a"] * x)

    def backward(self, dout):
        negative = self.x <= 0
        dx = np.where(negative, self.params["a"], 1.0) * dout
        return dx, {"a": np.array((dout * self.x * negative).sum())}


@family.wrong("not-summed", "da")
class PReLUSharedNotSummed(PReLUShared):
    def backward(self, dout):
        dx, _ = super().backward(dout)
        return dx, {"a": (dout * self.x * (self.x <= 0)).sum(axis=0)}


@family.right(away(4, 5))
class Abs(Elementwise):
    def f(self, x):
        return np.abs(x)

    def slope(self, x, y):
        return np.sign(x)


family.right_at("Abs at 0", Abs, KINK, kinks=True)


@family.wrong("derivative-missing", "dx")
class AbsPassed(Abs):
    def backward(self, dout):
        return dout.copy(), {}


@family.wrong("slope-missing", "dx", also=("unexplained",))
class AbsAsReLU(Abs):
    def slope(self, x, y):
        return x > 0


def beyond_one_sided(case, rng):
    """A slope outside [−1, 1]."""
    layer = case.make()
    layer.forward(*case.inputs(rng))
    return bool(np.abs(layer.backward(np.ones((2, 3)))[0]).max() > 1.0)


@family.wrong("unexplained", "dx", inputs=KINK, behaviour=beyond_one_sided)
class AbsBeyondOneSided(Abs):
    """Between −1 and 1 any slope would do at 0; 2 is none."""

    def slope(self, x, y):
        return np.where(x == 0, 2.0, np.sign(x))


@family.right(positive(3, 4))
class Sqrt(Elementwise):
    def f(self, x):
        return np.sqrt(x)

    def slope(self, x, y):
        return 0.5 / y


family.right_at("Sqrt near 0", Sqrt, positive(3, 4, low=1e-10, high=1e-8))
family.right_at("Sqrt of 1e-20", Sqrt, positive(2, 3, low=1e-20, high=2e-20))


@family.wrong("factor-of-two", "dx")
class SqrtWithoutHalf(Sqrt):
    def slope(self, x, y):
        return 1 / y


@family.wrong("evaluated-at-output", "dx")
class SqrtAtOutput(Sqrt):
    def slope(self, x, y):
        return 0.5 / np.sqrt(y)


@family.wrong("epsilon", "dx", inputs=positive(3, 4, low=1e-3, high=1e-2), also=("unexplained",))
class SqrtPlusEpsilon(Sqrt):
    """eps in backward alone."""

    def slope(self, x, y):
        return 0.5 / np.sqrt(x + 1e-5)


@family.right(away(3, 4))
class Power(Elementwise):
    p = 3

    def f(self, x):
        return x**self.p

    def slope(self, x, y):
        return self.p * x ** (self.p - 1)


family.right_at("Power of scale 1e6", Power, away(3, 4, low=1e6, high=2e6))


@family.wrong("constant-scale", "dx")
class PowerWithoutExponent(Power):
    def slope(self, x, y):
        return x**2


@family.wrong("unexplained", "dx")
class PowerExponentKept(Power):
    """p xᵖ for p xᵖ⁻¹."""

    def slope(self, x, y):
        return self.p * x**self.p


@family.wrong("unexplained", "dx", inputs=positive(3, 4), shown_at=away(3, 4))
class PowerOddOnPositive(Power):
    """|x| x: right for positive x only."""

    def slope(self, x, y):
        return self.p * np.abs(x) * x


@family.right(normal(3, 4))
class Square(Elementwise):
    def f(self, x):
        return x * x

    def slope(self, x, y):
        return 2 * x


@family.wrong("factor-of-two", "dx")
class SquareWithoutTwo(Square):
    def slope(self, x, y):
        return x


@family.wrong("evaluated-at-output", "dx")
class SquareAtOutput(Square):
    def slope(self, x, y):
        return 2 * y


@family.right(normal(3, 4))
class Exp(Elementwise):
    def f(self, x):
        return np.exp(x)

    def slope(self, x, y):
        return y


family.right_at("Exp at −45", Exp, lambda rng: (rng.normal(size=(2, 3)) - 45.0,))
family.right_at("Exp at 45", Exp, lambda rng: (rng.normal(size=(2, 3)) + 45.0,))


@family.wrong("evaluated-at-output", "dx")
class ExpOfOutput(Exp):
    def slope(self, x, y):
        return np.exp(y)


@family.wrong("evaluated-at-input", "dx", also=("unexplained",))
class ExpOfInput(Exp):
    """x where the cache of y was meant."""

    def slope(self, x, y):
        return x


@family.right(positive(3, 4))
class Log(Elementwise):
    def f(self, x):
        return np.log(x)

    def slope(self, x, y):
        return 1 / x


@family.wrong("evaluated-at-output", "dx")
class LogAtOutput(Log):
    def slope(self, x, y):
        return 1 / y


@family.wrong("epsilon", "dx", also=("unexplained",))
class LogPlusEpsilon(Log):
    def slope(self, x, y):
        return 1 / (x + 1e-4)


@family.right(away(4, 5, low=0.3, high=2.0))
class HardTanh(Elementwise):
    def f(self, x):
        return np.clip(x, -1, 1)

    def slope(self, x, y):
        return (np.abs(x) < 1) * 1.0


family.right_at("HardTanh at 1", HardTanh, fixed([[1.0, -0.4, 0.3], [2.0, 0.0, 1.0]]), kinks=True)
family.right_at(
    "HardTanh at −1", HardTanh, fixed([[-1.0, -1.0, 0.3], [-2.0, 0.0, 0.9]]), kinks=True
)


@family.wrong("mask-threshold", "dx")
class HardTanhOneSide(HardTanh):
    """x < 1, the lower bound forgotten."""

    def slope(self, x, y):
        return x < 1


@family.wrong("mask-inverted", "dx")
class HardTanhInverted(HardTanh):
    def slope(self, x, y):
        return np.abs(x) >= 1


@family.wrong("derivative-missing", "dx")
class ClipPassed(HardTanh):
    """The straight-through estimator."""

    def backward(self, dout):
        return 1.0 * dout, {}


@family.right(away(4, 4, low=0.1, high=4.0))
class HardSwish(Elementwise):
    def f(self, x):
        return x * np.clip(x + 3, 0, 6) / 6

    def slope(self, x, y):
        return np.where(x <= -3, 0.0, np.where(x >= 3, 1.0, (2 * x + 3) / 6))


@family.right(normal(3, 4))
class Arctan(Elementwise):
    def f(self, x):
        return np.arctan(x)

    def slope(self, x, y):
        return 1 / (1 + x**2)


@family.wrong("evaluated-at-output", "dx")
class ArctanAtOutput(Arctan):
    def slope(self, x, y):
        return 1 / (1 + y**2)


@family.wrong("derivative-doubled", "dx")
class ArctanSlopeTwice(Arctan):
    def slope(self, x, y):
        return 1 / (1 + x**2) ** 2


@family.right(normal(3, 4, scale=0.4))
class ScaledTanh(Elementwise):
    """1.7159 tanh(2x/3)."""

    def f(self, x):
        return 1.7159 * np.tanh(2 * x / 3)

    def slope(self, x, y):
        return 2 / 3 * (1.7159 - y**2 / 1.7159)


@family.wrong("evaluated-at-input", "dx")
class ScaledTanhOfInput(ScaledTanh):
    def slope(self, x, y):
        return 2 / 3 * (1.7159 - x**2 / 1.7159)


@family.wrong("constant-scale", "dx")
class ScaledTanhInnerForgotten(ScaledTanh):
    """The inner derivative 2/3 left out."""

    def slope(self, x, y):
        return 1.7159 - y**2 / 1.7159


@family.right(normal(3, 4))
class Sine(Elementwise):
    """Keeps a list of all it has seen, and prints."""

    def __init__(self):
        self.calls = []

    def f(self, x):
        self.calls.append(x.shape)
        print("forward", x.shape)
        return np.sin(x)

    def slope(self, x, y):
        return np.cos(x)


@family.wrong("sign-flipped", "dx")
class SineNegated(Sine):
    def slope(self, x, y):
        return -np.cos(x)


@family.wrong("wrong-operand", "dx", also=("evaluated-at-output",))
class SineAtOutput(Sine):
    def slope(self, x, y):
        return np.cos(y)


@family.right(normal(2, 3), kind="function")
class LogSumSquares:
    """A function, not a layer: f(x) = log(1 + Σ x²)."""

    def f(self, x):
        return float(np.log1p((x**2).sum()))

    def df(self, x):
        return 2 * x / (1 + (x**2).sum())


@family.right(normal(5), kind="function")
class Rosenbrock:
    def f(self, x):
        return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())

    def df(self, x):
        g = np.zeros_like(x)
        inner = x[1:] - x[:-1] ** 2
        g[:-1] = -400 * x[:-1] * inner - 2 * (1 - x[:-1])
        g[1:] += 200 * inner
        return g


@family.wrong("factor-of-two", "dx")
class LogSumSquaresWithoutTwo(LogSumSquares):
    def df(self, x):
        return x / (1 + (x**2).sum())


@family.wrong("path-missing", "dx", also=("unexplained", "overlap-overwritten"))
class RosenbrockSecondTerm(Rosenbrock):
    """`=` for `+=`: what x[i] gets as the other one's neighbour overwrites its own."""

    def df(self, x):
        g = np.zeros_like(x)
        inner = x[1:] - x[:-1] ** 2
        g[:-1] = -400 * x[:-1] * inner - 2 * (1 - x[:-1])
        g[1:] = 200 * inner
        return g


@family.wrong("input-mutated", "contract")
class RosenbrockShiftsX(Rosenbrock):
    def df(self, x):
        g = super().df(x)
        x -= 1e-3 * g
        return g
