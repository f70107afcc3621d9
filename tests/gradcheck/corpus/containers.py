"""Layers made of layers, as a student writes them: the fault is one child's or the container's."""

from __future__ import annotations

import numpy as np

from .case import Family
from .points import normal, scored

family = Family("containers")


class Affine:
    def __init__(self, D, M, seed):
        rng = np.random.default_rng(seed)
        self.params = {"W": rng.normal(size=(D, M)), "b": rng.normal(size=M)}

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, dout):
        return self.dx(dout), {"W": self.x.T @ dout, "b": self.db(dout)}

    def dx(self, dout):
        return dout @ self.params["W"].T

    def db(self, dout):
        return dout.sum(axis=0)


class Tanh:
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dout):
        return dout * self.slope(), {}

    def slope(self):
        return 1 - self.y**2


class Scale:
    def __init__(self, D):
        self.params = {"g": np.linspace(0.5, 1.5, D)}

    def forward(self, x):
        self.x = x
        return x * self.params["g"]

    def backward(self, dout):
        return dout * self.params["g"], {"g": self.dg(dout)}

    def dg(self, dout):
        return (dout * self.x).sum(axis=0)


class Chain:
    """Children one after the other; params are theirs, named child.param."""

    def __init__(self, **children):
        self.children = children

    @property
    def params(self):
        return {
            f"{name}.{key}": value
            for name, child in self.children.items()
            for key, value in getattr(child, "params", {}).items()
        }

    def forward(self, x):
        for child in self.children.values():
            x = child.forward(x)
        return x

    def order(self):
        return reversed(self.children.items())

    def backward(self, dout):
        grads = {}
        for name, child in self.order():
            dout, own = child.backward(dout)
            grads.update({f"{name}.{key}": g for key, g in own.items()})
        return dout, grads


@family.right(normal(3, 4))
class Network(Chain):
    def __init__(self, fc1=Affine, act=Tanh, scale=Scale, fc2=Affine):
        super().__init__(
            fc1=fc1(4, 5, 1), act1=act(), scale=scale(5), fc2=fc2(5, 3, 2), act2=Tanh()
        )


family.right_at("Network, N = 1", Network, normal(1, 4))


class AffineTransposed(Affine):
    def dx(self, dout):
        return dout @ self.params["W"].reshape(self.params["W"].shape[::-1])


class AffineAveraged(Affine):
    def db(self, dout):
        return dout.mean(axis=0)


class AffineKeepsBatch(Affine):
    def db(self, dout):
        return dout.copy()


class TanhPassed(Tanh):
    def slope(self):
        return 1.0


class TanhOutput(Tanh):
    def slope(self):
        return 1 - np.tanh(self.y) ** 2


class TanhInPlace(Tanh):
    def backward(self, dout):
        dout *= self.slope()
        return dout.copy(), {}


class ScaleWrongOperand(Scale):
    def dg(self, dout):
        return (dout * self.params["g"]).sum(axis=0)


class ScaleGainMissing(Scale):
    def backward(self, dout):
        return 1.0 * dout, {"g": self.dg(dout)}


@family.wrong(
    "axes-permuted",
    None,
    child="fc2",
    also=(
        "transposed",
        "unexplained",
    ),
)
class ChildReshaped(Network):
    def __init__(self):
        super().__init__(fc2=AffineTransposed)


@family.wrong("batch-mean-doubled", "dfc2.b", child="fc2")
class ChildBiasAveraged(Network):
    def __init__(self):
        super().__init__(fc2=AffineAveraged)


@family.wrong("batch-mean-doubled", "dfc1.b", child="fc1")
class FirstChildBiasAveraged(Network):
    def __init__(self):
        super().__init__(fc1=AffineAveraged)


@family.wrong("not-summed", "dfc1.b", child="fc1")
class ChildBiasKeepsBatch(Network):
    def __init__(self):
        super().__init__(fc1=AffineKeepsBatch)


@family.wrong("derivative-missing", None, child="act1")
class ChildPasses(Network):
    def __init__(self):
        super().__init__(act=TanhPassed)


@family.wrong("evaluated-at-output", None, child="act1")
class ChildAtOutput(Network):
    def __init__(self):
        super().__init__(act=TanhOutput)


def child_writes(case, rng):
    """The child at fault writes into its own dout."""
    layer = case.make()
    layer.forward(*case.inputs(rng))
    child = layer.children[case.child]
    dout = rng.normal(size=child.y.shape)
    before = dout.copy()
    child.backward(dout)
    return not np.array_equal(before, dout)


@family.wrong("upstream-mutated", "contract", child="act1", behaviour=child_writes)
class ChildWritesUpstream(Network):
    def __init__(self):
        super().__init__(act=TanhInPlace)


@family.wrong("wrong-operand", "dscale.g", child="scale")
class ChildWrongOperand(Network):
    def __init__(self):
        super().__init__(scale=ScaleWrongOperand)


@family.wrong("parameter-missing", None, child="scale", also=("derivative-missing",))
class ChildGainMissing(Network):
    def __init__(self):
        super().__init__(scale=ScaleGainMissing)


@family.wrong("gradient-missing", "dfc1.W")
class LastChildsGradients(Network):
    """grads = own, not grads.update(own)."""

    def backward(self, dout):
        for name, child in self.order():
            dout, own = child.backward(dout)
            grads = {f"{name}.{key}": g for key, g in own.items()}
        return dout, grads


@family.wrong("gradient-extra", None, also=("gradient-missing",))
class NamesWithoutChild(Network):
    """'W' for 'fc1.W': the second overwrites the first."""

    def backward(self, dout):
        grads = {}
        for _, child in self.order():
            dout, own = child.backward(dout)
            grads.update(own)
        return dout, grads


@family.wrong("gradient-extra", None)
class InnerGradients(Network):
    """The gradients of what flows between the children are listed too."""

    def backward(self, dout):
        grads = {}
        for name, child in self.order():
            dout, own = child.backward(dout)
            grads.update({f"{name}.{key}": g for key, g in own.items()})
            grads[f"{name}.x"] = dout.copy()
        return dout, grads


@family.right(normal(4, 4))
class SquareNetwork(Chain):
    def __init__(self):
        super().__init__(fc1=Affine(4, 4, 1), act=Tanh(), fc2=Affine(4, 4, 2))


@family.wrong("unexplained", None, also=("wrong-operand",))
class ForwardOrder(SquareNetwork):
    """backward visits the children in forward's order."""

    def order(self):
        return self.children.items()


@family.wrong("wrong-operand", "dfc1.W", also=("unexplained",))
class GradientsExchanged(SquareNetwork):
    def backward(self, dout):
        dx, g = super().backward(dout)
        g["fc1.W"], g["fc2.W"] = g["fc2.W"], g["fc1.W"]
        return dx, g


@family.wrong("derivative-missing", None, also=("path-missing",))
class ChildSkipped(SquareNetwork):
    """The activation is left out on the way back."""

    def order(self):
        return [(n, c) for n, c in reversed(self.children.items()) if n != "act"]


@family.right(normal(3, 4))
class Residual(Chain):
    """x + f(x)."""

    def __init__(self):
        super().__init__(fc1=Affine(4, 5, 3), act=Tanh(), fc2=Affine(5, 4, 4))

    def forward(self, x):
        return x + super().forward(x)

    def backward(self, dout):
        dx, grads = super().backward(dout)
        return self.join(dx, dout), grads

    def join(self, dx, dout):
        return dx + dout


@family.wrong("path-missing", "dx")
class SkipForgotten(Residual):
    def join(self, dx, dout):
        return dx


@family.wrong("path-missing", "dx", also=("derivative-missing",))
class BranchForgotten(Residual):
    def join(self, dx, dout):
        return dout.copy()


@family.wrong("upstream-mutated", "contract")
class SkipAddedInPlace(Residual):
    """dout += dx."""

    def join(self, dx, dout):
        dout += dx
        return dout.copy()


@family.wrong("upstream-mutated", "contract", also=("aliased-result",))
class SkipAddedAndReturned(Residual):
    """`dout += dx; return dout`."""

    def join(self, dx, dout):
        dout += dx
        return dout


@family.wrong("batch-mean-missing", "dx", of=Residual, also=("dimension-scale",))
class BranchTimesBatch(Residual):
    def backward(self, dout):
        dx, grads = super().backward(dout)
        return dx * len(dout), grads


@family.right(normal(3, 4))
class SharedWeights:
    """Encode with W, decode with Wᵀ: two paths to one parameter."""

    def __init__(self):
        self.params = {"W": np.random.default_rng(5).normal(size=(4, 3))}

    def forward(self, x):
        self.x, self.h = x, np.tanh(x @ self.params["W"])
        return self.h @ self.params["W"].T

    def backward(self, dout):
        da = (dout @ self.params["W"]) * (1 - self.h**2)
        return da @ self.params["W"].T, {"W": self.dW(da, dout)}

    def dW(self, da, dout):
        return self.x.T @ da + dout.T @ self.h


@family.wrong("path-missing", "dW")
class EncoderAlone(SharedWeights):
    def dW(self, da, dout):
        return self.x.T @ da


@family.wrong("path-missing", "dW", also=("overlap-overwritten",))
class DecoderAlone(SharedWeights):
    """The second use overwrites the first."""

    def dW(self, da, dout):
        grads = {}
        for path in (self.x.T @ da, dout.T @ self.h):
            grads["W"] = path
        return grads["W"]


@family.right(normal(3, 4))
class Twice(Chain):
    """One and the same child called twice: caches must not collide."""

    def __init__(self):
        super().__init__(fc=Affine(4, 4, 6))

    def forward(self, x):
        fc = self.children["fc"]
        self.x0, self.x1 = x, fc.forward(x)
        return fc.forward(self.x1)

    def backward(self, dout):
        fc = self.children["fc"]
        d1 = fc.dx(dout)
        return fc.dx(d1), {"fc.W": self.dW(dout, d1), "fc.b": (dout + d1).sum(axis=0)}

    def dW(self, dout, d1):
        return self.x1.T @ dout + self.x0.T @ d1


@family.wrong("wrong-operand", "dfc.W", also=("stale-cache",))
class TwiceOneCache(Twice):
    """The child's cache holds the second call's input both times."""

    def dW(self, dout, d1):
        return self.x1.T @ dout + self.x1.T @ d1


@family.wrong("path-missing", "dfc.W")
class TwiceLastCall(Twice):
    def dW(self, dout, d1):
        return self.x1.T @ dout


@family.right(normal(4, 4))
class TwoBranches(Chain):
    """tanh(x W₁ + b₁) ⊙ (x W₂ + b₂)."""

    def __init__(self):
        super().__init__(left=Affine(4, 3, 7), act=Tanh(), right=Affine(4, 3, 8))

    def forward(self, x):
        self.l = self.children["act"].forward(self.children["left"].forward(x))
        self.r = self.children["right"].forward(x)
        return self.l * self.r

    def backward(self, dout):
        c = self.children
        da, _ = c["act"].backward(dout * self.r)
        dxl, left = c["left"].backward(da)
        dxr, right = c["right"].backward(dout * self.l)
        grads = {f"left.{k}": g for k, g in left.items()}
        grads |= {f"right.{k}": g for k, g in right.items()}
        return self.join(dxl, dxr), grads

    def join(self, dxl, dxr):
        return dxl + dxr


@family.wrong("path-missing", "dx")
class LeftBranchAlone(TwoBranches):
    def join(self, dxl, dxr):
        return dxl


@family.wrong("unexplained", "dx")
class BranchesSubtracted(TwoBranches):
    def join(self, dxl, dxr):
        return dxl - dxr


@family.wrong("factor-of-two", "dx")
class BranchesAveraged(TwoBranches):
    def join(self, dxl, dxr):
        return (dxl + dxr) / 2


@family.right(scored(5, 3), kind="loss")
class ScoresThroughNetwork:
    """A loss that standardises its scores first: mean of −log softmax(s/2)."""

    def forward(self, scores, y):
        s = scores / 2
        e = np.exp(s - s.max(axis=1, keepdims=True))
        self.p, self.y = e / e.sum(axis=1, keepdims=True), y
        return float(-np.log(self.p[np.arange(len(y)), y]).mean())

    def backward(self):
        d = self.p.copy()
        d[np.arange(len(d)), self.y] -= 1
        return d / len(d) / 2


@family.wrong("factor-of-two", "dscores")
class TemperatureForgotten(ScoresThroughNetwork):
    def backward(self):
        return super().backward() * 2
