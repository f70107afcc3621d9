"""Attention: products, a softmax, masks and heads."""

from __future__ import annotations

import numpy as np

from .case import Family
from .points import normal, several

family = Family("attention")


def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def swap(a):
    return np.swapaxes(a, -1, -2)


@family.right(several((2, 3, 6), (2, 5, 6), (2, 5, 6)))
class Attention:
    """softmax(q kᵀ / √d) v."""

    causal = False

    def forward(self, q, k, v):
        self.q, self.k, self.v = q, k, v
        s = q @ swap(k) / np.sqrt(q.shape[-1])
        if self.causal:
            s = np.where(np.tri(*s.shape[-2:], dtype=bool), s, -np.inf)
        self.a = softmax(s)
        return self.a @ v

    def backward(self, dout):
        ds = self.scores(dout @ swap(self.v))
        return (self.dq(ds), self.dk(ds), self.dv(dout)), {}

    def scores(self, da):
        ds = self.a * (da - (da * self.a).sum(axis=-1, keepdims=True))
        return ds / np.sqrt(self.q.shape[-1])

    def dq(self, ds):
        return ds @ self.k

    def dk(self, ds):
        return swap(ds) @ self.q

    def dv(self, dout):
        return swap(self.a) @ dout


ALIKE = normal(2, 4, 4, copies=3)

family.right_at("Attention, all lengths equal", Attention, ALIKE)
family.right_at("Attention, one key", Attention, several((2, 3, 4), (2, 1, 4), (2, 1, 4)))
family.right_at("Attention, large scores", Attention, normal(1, 3, 4, copies=3, scale=8.0))


@family.right(ALIKE)
class CausalAttention(Attention):
    """A mask of −inf above the diagonal."""

    causal = True


@family.wrong("constant-scale", "dx[0]", also=("dimension-scale",))
class RootForgotten(Attention):
    """No 1/√d in the gradient of the scores."""

    def scores(self, da):
        return self.a * (da - (da * self.a).sum(axis=-1, keepdims=True))


@family.wrong("dimension-scale", "dx[1]", also=("constant-scale",))
class DividedByD(Attention):
    """1/d for 1/√d in dk."""

    def dk(self, ds):
        return swap(ds) @ self.q / np.sqrt(self.q.shape[-1])


@family.wrong("diagonal-only", "dx[0]", also=("unexplained",))
class AttentionSoftmaxDiagonal(Attention):
    def scores(self, da):
        return da * self.a * (1 - self.a) / np.sqrt(self.q.shape[-1])


@family.wrong("derivative-missing", "dx[0]", also=("unexplained",))
class AttentionWithoutSoftmax(Attention):
    def scores(self, da):
        return da / np.sqrt(self.q.shape[-1])


@family.wrong("transposed", "dx[2]", inputs=ALIKE)
class ValuesWithoutTranspose(Attention):
    def dv(self, dout):
        return self.a @ dout


@family.wrong("transposed", "dx[1]", inputs=ALIKE)
class KeysWithoutTranspose(Attention):
    def dk(self, ds):
        return ds @ self.q


@family.wrong("wrong-operand", "dx[0]", inputs=ALIKE)
class QueriesWithQueries(Attention):
    def dq(self, ds):
        return ds @ self.q


@family.wrong("wrong-operand", "dx[1]", inputs=ALIKE)
class KeysWithValues(Attention):
    def dk(self, ds):
        return swap(ds) @ self.v


@family.wrong("wrong-axis", "dx[0]", also=("statistics-axis",), inputs=ALIKE)
class AttentionSumOverQueries(Attention):
    def scores(self, da):
        ds = self.a * (da - (da * self.a).sum(axis=-2, keepdims=True))
        return ds / np.sqrt(self.q.shape[-1])


@family.wrong(
    "summed-everything",
    "dx[0]",
    also=(
        "wrong-axis",
        "statistics-axis",
        "unexplained",
    ),
)
class AttentionSumOfAll(Attention):
    def scores(self, da):
        return self.a * (da - (da * self.a).sum()) / np.sqrt(self.q.shape[-1])


@family.wrong("not-finite", "dx[0]", of=CausalAttention, inputs=ALIKE)
class CausalLogarithm(CausalAttention):
    """a log a with a = 0 behind the mask."""

    def scores(self, da):
        with np.errstate(all="ignore"):
            ds = super().scores(da)
            return ds + 0.0 * np.log(self.a)


@family.wrong("unexplained", "dx[0]", also=("mask-threshold", "path-missing"))
class CausalMaskOnceMore(CausalAttention):
    """The mask is strict in backward: each query's own key gets nothing."""

    def scores(self, da):
        return super().scores(da) * np.tri(*da.shape[-2:], k=-1)


@family.wrong("unexplained", "dx[1]", also=("path-missing",))
class CausalRowSumUnmasked(CausalAttention):
    """The softmax's row sum runs over masked keys too, as if a were uniform."""

    def scores(self, da):
        ds = self.a * (da - da.mean(axis=-1, keepdims=True))
        return ds / np.sqrt(self.q.shape[-1])


@family.wrong("aliased-result", "dx[2]", also=())
class AttentionValuesBuffer(Attention):
    def dv(self, dout):
        if not hasattr(self, "buffer") or self.buffer.shape != self.v.shape:
            self.buffer = np.empty_like(self.v)
        return np.matmul(swap(self.a), dout, out=self.buffer)


@family.right(normal(2, 3, 4))
class SelfAttention:
    """q, k, v from one x, several heads."""

    def __init__(self, D=4, heads=2):
        rng = np.random.default_rng(1)
        self.params = {name: rng.normal(size=(D, D)) for name in ("Wq", "Wk", "Wv", "Wo")}
        self.heads = heads

    def split(self, x):
        N, T, D = x.shape
        return x.reshape(N, T, self.heads, D // self.heads).transpose(0, 2, 1, 3)

    def join(self, h):
        N, _, T, _ = h.shape
        return h.transpose(0, 2, 1, 3).reshape(N, T, -1)

    def forward(self, x):
        self.x = x
        self.q, self.k, self.v = (self.split(x @ self.params[n]) for n in ("Wq", "Wk", "Wv"))
        self.scale = 1 / np.sqrt(self.q.shape[-1])
        self.a = softmax(self.q @ swap(self.k) * self.scale)
        self.h = self.join(self.a @ self.v)
        return self.h @ self.params["Wo"]

    def backward(self, dout):
        dh = self.split(dout @ self.params["Wo"].T)
        da = dh @ swap(self.v)
        ds = self.a * (da - (da * self.a).sum(axis=-1, keepdims=True)) * self.scale
        parts = self.parts(ds, dh)
        x2 = self.x.reshape(-1, self.x.shape[-1])
        grads = {n: x2.T @ d.reshape(len(x2), -1) for n, d in parts.items()}
        grads["Wo"] = self.h.reshape(len(x2), -1).T @ dout.reshape(len(x2), -1)
        return self.dx(parts), grads

    def parts(self, ds, dh):
        return {
            "Wq": self.join(ds @ self.k),
            "Wk": self.join(swap(ds) @ self.q),
            "Wv": self.join(swap(self.a) @ dh),
        }

    def dx(self, parts):
        return sum(d @ self.params[n].T for n, d in parts.items())


family.right_at("SelfAttention, one head", SelfAttention, normal(2, 3, 4), heads=1)
family.right_at("SelfAttention, N = T = D", SelfAttention, normal(4, 4, 4))


@family.wrong("path-missing", "dx")
class ValuesAlone(SelfAttention):
    """Only the path through the values reaches x."""

    def dx(self, parts):
        return parts["Wv"] @ self.params["Wv"].T


@family.wrong("path-missing", "dx")
class KeysForgotten(SelfAttention):
    def dx(self, parts):
        return sum(parts[n] @ self.params[n].T for n in ("Wq", "Wv"))


@family.wrong("wrong-operand", "dx", also=("unexplained",))
class KeyWeightsForQueries(SelfAttention):
    def dx(self, parts):
        names = {"Wq": "Wk", "Wk": "Wq", "Wv": "Wv"}
        return sum(d @ self.params[names[n]].T for n, d in parts.items())


@family.wrong("axes-permuted", None, also=("unexplained",))
class HeadsReshaped(SelfAttention):
    """The heads joined by reshape in the gradient of the values."""

    def parts(self, ds, dh):
        N, T, D = self.x.shape
        return {**super().parts(ds, dh), "Wv": (swap(self.a) @ dh).reshape(N, T, D)}


@family.wrong("transposed", "dx")
class ProjectionsWithoutTranspose(SelfAttention):
    def dx(self, parts):
        return sum(d @ self.params[n] for n, d in parts.items())


@family.wrong("part-of-batch", "dWo")
class OutputProjectionFirst(SelfAttention):
    def backward(self, dout):
        dx, grads = super().backward(dout)
        return dx, {**grads, "Wo": self.h[0].T @ dout[0]}
