"""Subtle, mixed and awkward ones: float32, strides, tiny errors, ambiguous shapes, containers."""

import numpy as np

from .tools import Fam, at, away, const, ints, n, u, w

F = Fam("second: extra")
F32 = np.float32


@F.right(at(n(5, 4)))
class Linear32:
    """Any dtype, fixed at construction; complains before forward."""

    def __init__(self, D=4, M=3, dtype=np.float64):
        self.params = {"weight": w(D, M, seed=1, dtype=dtype), "bias": w(M, seed=2, dtype=dtype)}
        self._x = None

    def forward(self, x):
        if x.ndim != 2 or x.shape[1] != len(self.params["weight"]):
            raise ValueError(f"Linear32: expected (N, {len(self.params['weight'])}), got {x.shape}")
        self._x = x
        return x @ self.params["weight"] + self.params["bias"]

    def backward(self, dout):
        if self._x is None:
            raise RuntimeError("Linear32: backward before forward")
        dx, dW, db = self.grads(self._x, self.params["weight"], dout)
        return dx, {"weight": dW, "bias": db}

    def grads(self, x, W, d):
        return d @ W.T, x.T @ d, d.sum(0)


F.right_at(
    "linear float32", Linear32, at(n(5, 4, dtype=F32)), dtype=F32, double={"dtype": np.float64}
)
F.right_at("linear two samples", Linear32, at(n(2, 4)))
F.right_at("linear transposed memory", Linear32, lambda r: (r.normal(size=(4, 5)).T,))


def lin(slug, about, name, grads, **k):
    k = k or {"args": {"dtype": F32}, "inputs": at(n(5, 4, dtype=F32))}
    F.bad(slug, about, name, Linear32, methods={"grads": lambda s, x, W, d: grads(x, W, d)}, **k)


D64 = {"args": {}, "inputs": at(n(5, 4))}
TWO = {"args": {}, "inputs": at(n(2, 4))}
EVEN = {"args": {"D": 4, "M": 4}, "inputs": at(n(4, 4))}
lin("sign-flipped", "dx", "minus32", lambda x, W, d: (-(d @ W.T), x.T @ d, d.sum(0)))
lin("factor-of-two", "dweight", "two32", lambda x, W, d: (d @ W.T, x.T @ d * F32(2), d.sum(0)))
lin("batch-mean-doubled", "dbias", "mean32", lambda x, W, d: (d @ W.T, x.T @ d, d.mean(0)))
lin(
    "batch-mean-doubled",
    "dbias",
    "mean_of_two",
    lambda x, W, d: (d @ W.T, x.T @ d, d.mean(0)),
    **TWO,
)
lin(
    "batch-mean-doubled",
    "dweight",
    "weight_mean_of_two",
    lambda x, W, d: (d @ W.T, x.T @ d / len(x), d.sum(0)),
    **TWO,
)
lin(
    "factor-of-two", "dbias", "half_of_two", lambda x, W, d: (d @ W.T, x.T @ d, d.sum(0) / 2), **TWO
)
lin("not-summed", "dbias", "not_summed32", lambda x, W, d: (d @ W.T, x.T @ d, d.copy()))
lin("upstream-ignored", "dbias", "count32", lambda x, W, d: (d @ W.T, x.T @ d, np.full(3, 5, F32)))
lin(
    "constant-scale",
    "dweight",
    "off_by_a_thousandth",
    lambda x, W, d: (d @ W.T, 1.001 * (x.T @ d), d.sum(0)),
    **D64,
)
lin(
    "constant-scale",
    "dx",
    "off_by_1e-5",
    lambda x, W, d: (d @ W.T * (1 + 1e-5), x.T @ d, d.sum(0)),
    **D64,
)
lin(
    "unexplained",
    "dweight",
    "one_entry",
    lambda x, W, d: (
        d @ W.T,
        x.T @ d + d[0, 0] * np.eye(4, 3)[:, ::-1] * np.arange(4)[:, None],
        d.sum(0),
    ),
    **D64,
)
lin(
    "unexplained",
    "dbias",
    "one_bias_entry",
    lambda x, W, d: (d @ W.T, x.T @ d, d.sum(0) * np.array([1, 1, 1.01])),
    **D64,
)
lin("constant-leak", "dx", "nano", lambda x, W, d: (d @ W.T + 1e-4, x.T @ d, d.sum(0)), **D64)
lin("transposed", "dx", "all_square_dx", lambda x, W, d: (d @ W, x.T @ d, d.sum(0)), **EVEN)
lin("transposed", "dweight", "all_square_dW", lambda x, W, d: (d @ W.T, d.T @ x, d.sum(0)), **EVEN)
lin("transposed", "dweight", "all_square_no_T", lambda x, W, d: (d @ W.T, x @ d, d.sum(0)), **EVEN)
lin("wrong-axis", "dbias", "all_square_db", lambda x, W, d: (d @ W.T, x.T @ d, d.sum(1)), **EVEN)
lin(
    "axes-permuted",
    "dx",
    "reshape_for_T",
    lambda x, W, d: ((W @ d.T).reshape(x.shape), x.T @ d, d.sum(0)),
    **D64,
)
lin(
    "axes-permuted",
    "dweight",
    "dW_reshaped",
    lambda x, W, d: (d @ W.T, (d.T @ x).reshape(W.shape), d.sum(0)),
    **D64,
)
lin(
    "wrong-operand", "dweight", "weight_for_x", lambda x, W, d: (d @ W.T, W.T @ d, d.sum(0)), **EVEN
)
lin(
    "precision-lost",
    "dweight",
    "half32",
    lambda x, W, d: (d @ W.T, (x.T @ d).astype(np.float16).astype(F32), d.sum(0)),
)
lin(
    "precision-lost",
    "dx",
    "rounded_operand",
    lambda x, W, d: (d @ W.T.astype(np.float16).astype(float), x.T @ d, d.sum(0)),
    **D64,
)
lin("dtype", "dx", "int_dx", lambda x, W, d: ((d @ W.T).astype(int), x.T @ d, d.sum(0)), **D64)
lin("dtype", "dbias", "db_double", lambda x, W, d: (d @ W.T, x.T @ d, d.sum(0, dtype=np.float64)))
lin(
    "penalty-extra",
    "dweight",
    "decay32",
    lambda x, W, d: (d @ W.T, x.T @ d + F32(1e-2) * W, d.sum(0)),
)
lin(
    "upstream-nonlinear",
    "dx",
    "normalized_dout",
    lambda x, W, d: (d / np.linalg.norm(d) @ W.T, x.T @ d, d.sum(0)),
    **D64,
)
lin(
    "upstream-nonlinear",
    "dbias",
    "signs",
    lambda x, W, d: (d @ W.T, x.T @ d, np.sign(d).sum(0)),
    **D64,
)
lin(
    "part-of-batch", "dbias", "skips_first", lambda x, W, d: (d @ W.T, x.T @ d, d[1:].sum(0)), **D64
)
lin(
    "part-of-batch",
    "dweight",
    "every_second",
    lambda x, W, d: (d @ W.T, x[::2].T @ d[::2], d.sum(0)),
    **D64,
)
lin(
    "part-of-batch",
    "dx",
    "last_row_zero",
    lambda x, W, d: (np.vstack([d[:-1] @ W.T, np.zeros((1, 4))]), x.T @ d, d.sum(0)),
    **D64,
)


@F.right(lambda r: (away(6, 8)(r)[::2, ::2],))
class LeakyStrided:
    params: dict = {}
    slope = 0.2

    def forward(self, x):
        self.neg = x < 0
        self.x = x
        out = np.array(x)
        out[self.neg] *= self.slope
        return out

    def backward(self, dout):
        dx = dout.copy()
        dx[self.neg] *= self.slope
        return dx, {}


F.right_at(
    "leaky float32 strided", LeakyStrided, lambda r: (away(6, 8, dtype=F32)(r)[:, 1::2],), double={}
)


def el(fn):
    return lambda s, d: (fn(s, d), {})


F.bad("slope-missing", "dx", "leaky_dead", LeakyStrided, el(lambda s, d: np.where(s.neg, 0, d)))
F.bad(
    "derivative-missing",
    "dx",
    "leaky_identity",
    LeakyStrided,
    el(lambda s, d: d.copy()),
    also=("slope-missing",),
)
F.bad(
    "slope-missing",
    "dx",
    "leaky_max_zero",
    LeakyStrided,
    el(lambda s, d: np.maximum(np.sign(s.x), 0) * d),
    inputs=at(away(4, 3, dtype=np.float64)),
)
F.bad(
    "derivative-doubled",
    "dx",
    "leaky_slope_squared",
    LeakyStrided,
    el(lambda s, d: np.where(s.neg, s.slope**2 * d, d)),
)
F.bad(
    "sign-flipped",
    "dx",
    "leaky_neg",
    LeakyStrided,
    el(lambda s, d: np.where(s.neg, -s.slope * d, -d)),
)
F.bad(
    "mask-threshold",
    "dx",
    "leaky_low",
    LeakyStrided,
    el(lambda s, d: np.where(s.x < -0.7, s.slope * d, d)),
    inputs=at(u(6, 4, lo=-1.5, hi=1.5)),
)


def leaky_x(s, x):
    x[x < 0] *= s.slope
    s.x, s.neg = x.copy(), x < 0
    return x.copy()


F.bad("input-mutated", "contract", "leaky_writes_x", LeakyStrided, forward=leaky_x)


@F.right(at(n(6, 4, scale=3), lambda r: r.integers(0, 4, 6).astype(np.int32)), kind="loss")
class StableLoss:
    def forward(self, scores, y):
        self.scores, self.y = scores, y
        m = scores.max(1)
        return float(
            np.mean(m + np.log(np.exp(scores - m[:, None]).sum(1)) - scores[np.arange(len(y)), y])
        )

    def backward(self):
        z = self.scores - self.scores.max(1, keepdims=True)
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        p[np.arange(len(p)), self.y] -= 1
        return p / len(p)


BIG = at(lambda r: 400 * r.normal(size=(5, 3)) + np.array([1000.0, 0, 0]), ints(5, high=3))


def unstable(s):
    with np.errstate(all="ignore"):
        e = np.exp(s.scores)
        p = e / e.sum(1, keepdims=True)
        p[np.arange(len(p)), s.y] -= 1
        return p / len(p)


F.bad("not-finite", "dscores", "no_shift_in_backward", StableLoss, unstable, inputs=BIG)
F.bad(
    "label-term",
    "dscores",
    "label_set_not_subtracted",
    StableLoss,
    lambda s: (lambda g, i: (g.__setitem__(i, -1 / len(g)), g)[1])(
        StableLoss.backward(s), (np.arange(len(s.y)), s.y)
    ),
)
F.bad(
    "part-of-batch",
    "dscores",
    "last_sample_only",
    StableLoss,
    lambda s: StableLoss.backward(s) * (np.arange(6) == 5)[:, None],
)
F.bad(
    "statistics-axis",
    "dscores",
    "softmax_over_batch",
    StableLoss,
    lambda s: (np.exp(s.scores) / np.exp(s.scores).sum(0) - np.eye(4)[s.y]) / 6,
    also=("wrong-axis",),
)


def duplicates(s):
    z = s.scores - s.scores.max(1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    p[:, s.y] -= 1
    return p / len(p)


F.bad("label-term", "dscores", "colon_for_arange", StableLoss, duplicates, also=("unexplained",))


# ---- containers -----------------------------------------------------------------------------------


class _Fc:
    def __init__(self, D, M, seed):
        self.params = {"W": w(D, M, seed=seed), "b": w(M, seed=seed + 1)}

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, d):
        return d @ self.params["W"].T, {"W": self.x.T @ d, "b": d.sum(0)}


class _Softsquare:
    params: dict = {}

    def forward(self, x):
        self.x = x
        return x * np.tanh(x)

    def backward(self, d):
        t = np.tanh(self.x)
        return d * (t + self.x * (1 - t * t)), {}


class _HalfAct(_Softsquare):
    def backward(self, d):
        return d * np.tanh(self.x), {}


class _BadFc(_Fc):
    def backward(self, d):
        return d @ self.params["W"], {"W": self.x.T @ d, "b": d.sum(0)}


@F.right(at(n(5, 3)))
class TwoLayerNet:
    def __init__(self, act=_Softsquare, second=_Fc):
        self.children = {"fc1": _Fc(3, 4, 1), "act": act(), "fc2": second(4, 4, 3)}
        self.params = {f"{c}.{k}": v for c, l in self.children.items() for k, v in l.params.items()}
        self.training = True

    def forward(self, x):
        for layer in self.children.values():
            x = layer.forward(x)
        return x

    def backward(self, d):
        grads = {}
        for name, layer in reversed(self.children.items()):
            d, g = layer.backward(d)
            grads.update({f"{name}.{k}": v for k, v in g.items()})
        return d, grads


class NetHalfAct(TwoLayerNet):
    def __init__(self):
        super().__init__(act=_HalfAct)


class NetBadFc(TwoLayerNet):
    def __init__(self):
        super().__init__(second=_BadFc)


F.wrong("path-missing", "dx", child="act", also=("unexplained",))(NetHalfAct)
F.wrong("transposed", "dx", child="fc2", also=("unexplained",))(NetBadFc)


@F.wrong("derivative-missing", "dx", also=("path-missing", "unexplained"))
class NetSkipsActivation(TwoLayerNet):
    def backward(self, d):
        d2, g2 = self.children["fc2"].backward(d)
        d1, g1 = self.children["fc1"].backward(d2)
        return d1, {
            **{f"fc1.{k}": v for k, v in g1.items()},
            **{f"fc2.{k}": v for k, v in g2.items()},
        }


@F.wrong("penalty-extra", "dfc2.W")
class NetDecaysSecond(TwoLayerNet):
    def backward(self, d):
        dx, g = super().backward(d)
        g["fc2.W"] = g["fc2.W"] + 0.05 * self.params["fc2.W"]
        return dx, g


# ---- a learned table used twice, and a scatter ---------------------------------------------------------


@F.right(at(const([[0, 1], [1, 1], [2, 0]])))
class BagOfWords:
    """Sum of the word vectors of each sentence."""

    def __init__(self):
        self.table = w(4, 3, seed=30)
        self.params = {"table": self.table}

    def forward(self, idx):
        self.idx = idx
        return self.table[idx].sum(axis=1)

    def backward(self, d):
        g = np.zeros_like(self.table)
        for row, grad in zip(self.idx, d, strict=False):
            for i in row:
                g[i] += grad
        return None, {"table": g}


@F.wrong("duplicates-lost", "dtable")
class BagFancy(BagOfWords):
    def backward(self, d):
        g = np.zeros_like(self.table)
        for row, grad in zip(self.idx, d, strict=False):
            g[row] += grad
        return None, {"table": g}


@F.wrong("duplicates-lost", "dtable")
class BagAllFancy(BagOfWords):
    def backward(self, d):
        g = np.zeros_like(self.table)
        g[self.idx] += d[:, None]
        return None, {"table": g}


@F.wrong("dimension-scale", "dtable", also=("constant-scale", "factor-of-two"))
class BagMean(BagOfWords):
    def backward(self, d):
        _, g = super().backward(d)
        return None, {"table": g["table"] / self.idx.shape[1]}


@F.right(at(n(2, 6), const([0, 2, 2, 1, 0, 2])))
class SegmentSum:
    """Columns summed by segment: y[:, s] = sum of x[:, j] with seg[j] = s."""

    params: dict = {}

    def forward(self, x, seg):
        self.seg, self.shape = seg, x.shape
        y = np.zeros((len(x), 3))
        np.add.at(y.T, seg, x.T)
        return y

    def backward(self, d):
        return (d[:, self.seg].copy(), None), {}


F.bad(
    "overlap-overwritten",
    "dx[0]",
    "segment_last_column_only",
    SegmentSum,
    lambda s, d: (
        (
            np.where(
                [j == max(np.flatnonzero(s.seg == s.seg[j])) for j in range(6)], d[:, s.seg], 0
            ),
            None,
        ),
        {},
    ),
    also=("duplicates-lost", "path-missing", "unexplained"),
)
F.bad(
    "axes-permuted",
    "dx[0]",
    "segment_sorted",
    SegmentSum,
    lambda s, d: ((d[:, np.sort(s.seg)].copy(), None), {}),
)
F.bad(
    "constant-scale",
    "dx[0]",
    "segment_halved",
    SegmentSum,
    lambda s, d: ((d[:, s.seg] / 3, None), {}),
    also=("dimension-scale",),
)
