"""Layers whose answers depend on more than x, the parameters and dout, or must not."""

from __future__ import annotations

import numpy as np

from .case import Family
from .points import normal, positive

family = Family("state")


@family.right(normal(3, 4))
class Counted:
    """Counts its calls, which nobody reads."""

    def __init__(self):
        self.params = {"w": np.linspace(0.5, 2.0, 4)}
        self.calls = {"forward": 0, "backward": 0}

    def forward(self, x):
        self.calls["forward"] += 1
        self.x = x
        return x**2 * self.params["w"]

    def backward(self, dout):
        self.calls["backward"] += 1
        return self.dx(dout), {"w": self.dw(dout)}

    def dx(self, dout):
        return dout * 2 * self.x * self.params["w"]

    def dw(self, dout):
        return (dout * self.x**2).sum(axis=0)


def third_call_differs(case, rng):
    layer = case.make()
    dout = rng.normal(size=layer.forward(*case.inputs(rng)).shape)
    first = layer.backward(dout)[0].copy()
    layer.backward(dout)
    return not np.allclose(first, layer.backward(dout)[0])


@family.wrong("accumulates", "dw")
class Accumulates(Counted):
    def dw(self, dout):
        self.total = getattr(self, "total", 0) + super().dw(dout)
        return self.total.copy()


@family.wrong("accumulates", "dx")
class AccumulatesInput(Counted):
    def dx(self, dout):
        if not hasattr(self, "d") or self.d.shape != dout.shape:
            self.d = np.zeros_like(dout)
        self.d = self.d + super().dx(dout)
        return self.d.copy()


@family.wrong(
    "accumulates", "dx", behaviour=third_call_differs, also=("unexplained", "stale-cache")
)
class DecaysWithCalls(Counted):
    """A step size that shrinks with every call is inside the layer."""

    def dx(self, dout):
        return super().dx(dout) / (1 + 0.1 * (self.calls["backward"] - 1))


@family.wrong("accumulates", "dw", also=("stale-cache",))
class MomentumInside(Counted):
    """0.9 of the last gradient is kept."""

    def dw(self, dout):
        self.v = 0.9 * getattr(self, "v", 0.0) + super().dw(dout)
        return self.v.copy()


@family.wrong("stale-cache", "dx")
class CacheOfOneBefore(Counted):
    """self.x is assigned after it was read: backward sees the last batch but one."""

    def forward(self, x):
        self.last, self.x = getattr(self, "x", x), x
        if self.last.shape != x.shape:
            self.last = x
        return x**2 * self.params["w"]

    def dx(self, dout):
        return dout * 2 * self.last * self.params["w"]


class Shared:
    cache = None


@family.wrong("stale-cache", None)
class GlobalCache(Counted):
    """One cache in the module for all instances."""

    def forward(self, x):
        Shared.cache = x
        return x**2 * self.params["w"]

    def dx(self, dout):
        return dout * 2 * Shared.cache * self.params["w"]

    def dw(self, dout):
        return (dout * Shared.cache**2).sum(axis=0)


def cache_in_default(value=None, kept=[]):  # noqa: B006
    """A mutable default argument as a cache."""
    if value is not None:
        kept[:] = [value]
    return kept[0]


@family.wrong("stale-cache", None)
class DefaultArgumentCache(Counted):
    def forward(self, x):
        cache_in_default(x)
        return x**2 * self.params["w"]

    def dx(self, dout):
        return dout * 2 * cache_in_default() * self.params["w"]

    def dw(self, dout):
        return (dout * cache_in_default() ** 2).sum(axis=0)


@family.wrong("input-mutated", "contract")
class SquaresInPlace(Counted):
    def forward(self, x):
        self.x = x.copy()
        x *= x
        return x * self.params["w"]


@family.wrong("input-mutated", "contract", inputs=normal(3, 4), also=())
class ClipsInPlace(Counted):
    """np.clip(x, −0.5, 0.5, out=x) after the answer is computed."""

    def forward(self, x):
        y = x**2 * self.params["w"]
        self.x = x.copy()
        np.clip(x, -0.5, 0.5, out=x)
        return y


@family.wrong("input-mutated", "contract", inputs=positive(3, 4), shown_at=normal(4, 4))
class WritesNegativesOnly(Counted):
    """The branch that writes into x is taken for negative entries alone."""

    def forward(self, x):
        y = x**2 * self.params["w"]
        self.x = x.copy()
        if (x < 0).any():
            x[x < 0] = 0.0
        return y


@family.wrong("upstream-mutated", "contract")
class ScalesUpstream(Counted):
    def dx(self, dout):
        d = 2 * dout * self.x * self.params["w"]
        dout *= 0
        return d

    def dw(self, dout):
        return super().dw(dout)

    def backward(self, dout):
        grads = {"w": self.dw(dout)}
        return self.dx(dout), grads


def large(y, rng):
    return 100 * rng.normal(size=y.shape)


@family.wrong("upstream-mutated", "contract", shown_by=large)
class ClipsUpstreamInPlace(Counted):
    """Writes only when dout is large (the answer is computed before)."""

    def backward(self, dout):
        answer = super().backward(dout)
        np.clip(dout, -10, 10, out=dout)
        return answer


@family.wrong("parameters-mutated", "contract")
class NormalisesItsWeights(Counted):
    """forward rescales w to unit length before use."""

    def forward(self, x):
        self.params["w"] /= np.linalg.norm(self.params["w"])
        return super().forward(x)


@family.wrong("parameters-mutated", "contract")
class StepsInBackward(Counted):
    def backward(self, dout):
        answer = super().backward(dout)
        self.params["w"] -= 0.01 * answer[1]["w"]
        return answer


@family.wrong("parameters-mutated", "contract")
class ReplacesItsWeights(Counted):
    """A new array in params, not a write into the old."""

    def backward(self, dout):
        answer = super().backward(dout)
        self.params["w"] = self.params["w"] - 0.01 * answer[1]["w"]
        return answer


@family.wrong("parameters-mutated", "contract", inputs=positive(3, 4), shown_at=normal(4, 4))
class ClampsItsWeights(Counted):
    """Changes w only when x has negative entries."""

    def forward(self, x):
        y = super().forward(x)
        if (x < 0).any():
            self.params["w"] *= 0.5
        return y


@family.wrong("aliased-result", "dw")
class ReturnsItsParameter(Counted):
    """grads holds the layer's own accumulator."""

    def dw(self, dout):
        if not hasattr(self, "g"):
            self.g = np.zeros(4)
        self.g[...] = super().dw(dout)
        return self.g


@family.right(normal(3, 4))
class FixedBatch:
    """Buffers for one batch size, given in the constructor; results are fresh."""

    def __init__(self, N=3, D=4):
        self.shape = (N, D)
        self.x = np.empty(self.shape)

    def forward(self, x):
        if x.shape != self.shape:
            raise ValueError(f"FixedBatch: expected {self.shape}, got {x.shape}")
        self.x[...] = x
        return np.exp(self.x / 2)

    def backward(self, dout):
        return dout * np.exp(self.x / 2) / 2, {}


@family.wrong("batch-mean-doubled", "dx", also=("constant-scale", "dimension-scale"))
class FixedBatchAveraged(FixedBatch):
    def backward(self, dout):
        dx, grads = super().backward(dout)
        return dx / self.shape[0], grads


@family.wrong("precision-lost", "dx")
class SingleBuffer(FixedBatch):
    """The cache is float32."""

    def __init__(self, N=3, D=4):
        super().__init__(N, D)
        self.kept = np.empty((N, D), np.float32)

    def forward(self, x):
        self.kept[...] = x
        return super().forward(x)

    def backward(self, dout):
        return dout * np.exp(self.kept.astype(float) / 2) / 2, {}


@family.right(normal(3, 4))
class TwoDimensionsOnly:
    """Unpacks N and D, as many do; weights as attributes that params alias."""

    def __init__(self, D=4):
        self.W = np.random.default_rng(1).normal(size=(D, D))
        self.params = {"W": self.W}

    def forward(self, x):
        N, D = x.shape
        self.cache = [x, x @ self.W]
        return self.cache[1] * np.ones((N, D))

    def backward(self, dout):
        x, _ = self.cache
        return dout @ self.W.T, {"W": x.T @ dout}


@family.right(normal(3, 4))
class ParamsAsProperty:
    """params is made anew each time it is read (of the same arrays)."""

    def __init__(self):
        self._w = np.linspace(1.0, 2.0, 4)

    @property
    def params(self):
        return {"w": self._w}

    def forward(self, x):
        self._x = x
        return np.sin(x) * self._w

    def backward(self, dout):
        return dout * np.cos(self._x) * self._w, {"w": self.dw(dout)}

    def dw(self, dout):
        return (dout * np.sin(self._x)).sum(axis=0)


@family.wrong("derivative-missing", "dx", also=("unexplained",))
class PropertyCosineMissing(ParamsAsProperty):
    def backward(self, dout):
        return dout * self._w, {"w": self.dw(dout)}


@family.wrong("wrong-operand", "dw")
class PropertyWithX(ParamsAsProperty):
    def dw(self, dout):
        return (dout * self._x).sum(axis=0)


@family.wrong("raises", None)
class AxisOutOfRange(ParamsAsProperty):
    def dw(self, dout):
        return (dout * np.sin(self._x)).sum(axis=2)


@family.wrong("raises", None)
class ReturnsNotImplemented(ParamsAsProperty):
    def backward(self, dout):
        raise NotImplementedError("backward")


@family.right(normal(3, 4))
class CacheDeleted:
    """Frees its cache in forward, not in backward, and keeps lists."""

    def forward(self, x):
        self.cache = [np.cosh(x), x]
        return np.sinh(x)

    def backward(self, dout):
        return dout * self.cache[0], {}


def second_backward_raises(case, rng):
    layer = case.make()
    dout = rng.normal(size=layer.forward(*case.inputs(rng)).shape)
    layer.backward(dout)
    try:
        layer.backward(dout)
    except IndexError:
        return True
    return False


@family.wrong("raises", None, also=("stale-cache",), behaviour=second_backward_raises)
class CachePopped(CacheDeleted):
    """pop(): the second backward finds nothing."""

    def backward(self, dout):
        self.cache.pop()
        return dout * self.cache.pop(), {}


@family.wrong("gradient-missing", "dx")
class NothingReturned(CacheDeleted):
    """dx is None."""

    def backward(self, dout):
        return None, {}


@family.wrong("unexplained", "dx", also=("wrong-operand", "evaluated-at-input"))
class CacheOrder(CacheDeleted):
    """The second entry of the cache for the first."""

    def backward(self, dout):
        return dout * self.cache[1], {}


@family.right(normal(4, 4))
class DoubleInside:
    """float32 in and out, float64 inside: more precise than it must be."""

    def forward(self, x):
        self.x = x.astype(np.float64)
        return np.tanh(self.x @ self.x.T).astype(x.dtype)

    def backward(self, dout):
        d = dout.astype(np.float64) * (1 - np.tanh(self.x @ self.x.T) ** 2)
        return (d @ self.x + d.T @ self.x).astype(dout.dtype), {}


family.right_at(
    "DoubleInside, float32", DoubleInside, normal(4, 4, scale=0.5, dtype=np.float32), double={}
)


@family.wrong("path-missing", "dx")
class GramOneSide(DoubleInside):
    """x xᵀ: x enters twice, backward counts it once."""

    def backward(self, dout):
        d = dout * (1 - np.tanh(self.x @ self.x.T) ** 2)
        return d @ self.x, {}


@family.wrong("dtype", "dx", inputs=normal(4, 4, scale=0.5, dtype=np.float32))
class GramReturnsDouble(DoubleInside):
    def backward(self, dout):
        return super().backward(dout.astype(np.float64))
