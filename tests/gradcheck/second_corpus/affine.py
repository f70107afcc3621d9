"""Affine maps in several styles and their usual mistakes."""

import numpy as np

from .tools import Fam, at, n, w

F = Fam("second: affine")


@F.right(at(n(6, 4)))
class Affine:
    def __init__(self, D=4, M=3, dtype=np.float64):
        self.params = {"W": w(D, M, dtype=dtype), "b": w(M, seed=1, dtype=dtype)}

    def forward(self, x):
        self.x = x
        self.y = x @ self.params["W"] + self.params["b"]
        return self.y.copy()

    def dx(self, d):
        return d @ self.params["W"].T

    def dW(self, d):
        return self.x.T @ d

    def db(self, d):
        return d.sum(axis=0)

    def backward(self, d):
        return self.dx(d), {"W": self.dW(d), "b": self.db(d)}


F.right_at("one sample", Affine, at(n(1, 4)))
F.right_at("square", Affine, at(n(5, 5)), D=5, M=5)
F.right_at("one output", Affine, at(n(6, 4)), D=4, M=1)
F.right_at(
    "float32", Affine, at(n(6, 4, dtype=np.float32)), dtype=np.float32, double={"dtype": np.float64}
)
F.right_at("strided", Affine, lambda r: (r.normal(size=(12, 8))[::2, ::2],))
F.right_at("fortran", Affine, lambda r: (np.asfortranarray(r.normal(size=(6, 4))),))

SQ = {"args": {"D": 5, "M": 5}, "inputs": at(n(7, 5))}
CUBE = {"args": {"D": 5, "M": 5}, "inputs": at(n(5, 5))}


def m(**methods):
    return {"methods": methods}


def bad(slug, about, name, **k):
    return F.bad(slug, about, name, Affine, **k)


bad("transposed", "dx", "dx_without_T", **m(dx=lambda s, d: d @ s.params["W"]), **SQ)
bad("transposed", "dW", "dW_transposed", **m(dW=lambda s, d: d.T @ s.x), **SQ)
bad("not-summed", "db", "db_is_d", **m(db=lambda s, d: d.copy()))
bad("wrong-axis", "db", "db_sum1", **m(db=lambda s, d: d.sum(1)), **CUBE)
bad(
    "summed-everything", "db", "db_total", **m(db=lambda s, d: np.full_like(s.params["b"], d.sum()))
)
bad("part-of-batch", "db", "db_first", **m(db=lambda s, d: d[0].copy()))
bad("part-of-batch", "dW", "dW_last", **m(dW=lambda s, d: np.outer(s.x[-1], d[-1])))
bad("part-of-batch", "dW", "dW_allbutlast", **m(dW=lambda s, d: s.x[:-1].T @ d[:-1]))
bad("batch-mean-doubled", "db", "db_mean", **m(db=lambda s, d: d.mean(0)))
bad("batch-mean-doubled", "dW", "dW_over_N", **m(dW=lambda s, d: s.x.T @ d / len(d)))
bad("dimension-scale", "dx", "dx_over_M", **m(dx=lambda s, d: d @ s.params["W"].T / d.shape[1]))
bad(
    "penalty-extra",
    "dW",
    "weight_decay_inside",
    **m(dW=lambda s, d: s.x.T @ d + 0.01 * s.params["W"]),
)
bad(
    "penalty-extra", "dW", "two_lambda_W", **m(dW=lambda s, d: s.x.T @ d + 2 * 1e-3 * s.params["W"])
)
bad("bias-penalized", "db", "bias_decay", **m(db=lambda s, d: d.sum(0) + 0.1 * s.params["b"]))
bad("constant-leak", "db", "db_plus", **m(db=lambda s, d: d.sum(0) + 1e-3))
bad("constant-leak", "dW", "dW_jitter", **m(dW=lambda s, d: s.x.T @ d + 1e-4))
bad("sign-flipped", "dx", "dx_negative", **m(dx=lambda s, d: -d @ s.params["W"].T))
bad("sign-flipped", "db", "db_minus", **m(db=lambda s, d: -np.ones(len(d)) @ d))
bad("wrong-operand", "dW", "dW_from_y", **m(dW=lambda s, d: s.y.T @ d), **SQ)
bad(
    "precision-lost",
    "dW",
    "half_dW",
    **m(dW=lambda s, d: (s.x.astype(np.float16).T @ d.astype(np.float16)).astype(float)),
)
bad("upstream-ignored", "db", "db_counts", **m(db=lambda s, d: np.full(d.shape[1], float(len(d)))))
bad("upstream-ignored", "dx", "dx_ones", **m(dx=lambda s, d: np.ones_like(d) @ s.params["W"].T))
bad("upstream-nonlinear", "dW", "clipped", **m(dW=lambda s, d: s.x.T @ np.clip(d, -0.5, 0.5)))
bad("upstream-nonlinear", "db", "abs_db", **m(db=lambda s, d: np.abs(d).sum(0)))
bad(
    "derivative-missing",
    "dx",
    "dx_is_d",
    also=("parameter-missing",),
    **m(dx=lambda s, d: d.copy()),
    **SQ,
)
bad("gradient-missing", "db", "no_b", backward=lambda s, d: (s.dx(d), {"W": s.dW(d)}))
bad("gradient-missing", "dW", "W_none", backward=lambda s, d: (s.dx(d), {"W": None, "b": s.db(d)}))
bad(
    "gradient-extra",
    "contract",
    "x_in_grads",
    backward=lambda s, d: (s.dx(d), {"W": s.dW(d), "b": s.db(d), "x": s.dx(d)}),
)
bad(
    "gradient-extra",
    "contract",
    "cache_in_grads",
    backward=lambda s, d: (s.dx(d), {"W": s.dW(d), "b": s.db(d), "dout": d.copy()}),
)
bad("shape", "db", "keepdims", **m(db=lambda s, d: d.sum(0, keepdims=True)))
bad("shape", "dW", "raveled", **m(dW=lambda s, d: (s.x.T @ d).ravel()))
bad("shape", "dW", "dW_T_rect", also=("transposed",), **m(dW=lambda s, d: d.T @ s.x))
bad(
    "raises",
    "contract",
    "forgot_T",
    **m(dW=lambda s, d: s.x @ d),
    args={"D": 4, "M": 3},
    inputs=at(n(6, 4)),
)
bad("raises", "contract", "no_such_attribute", **m(dx=lambda s, d: d @ s.weights.T))
bad("raises", "contract", "wrong_key", **m(db=lambda s, d: d.sum(0) + 0 * s.params["bias"]))
bad(
    "dtype",
    "dW",
    "dW_float64",
    **m(dW=lambda s, d: s.x.T.astype(float) @ d),
    args={"dtype": np.float32},
    inputs=at(n(6, 4, dtype=np.float32)),
)
bad("dtype", "db", "db_object", **m(db=lambda s, d: d.sum(0).astype(object)))


def two_calls(s, d):
    if not hasattr(s, "gW"):
        s.gW, s.gb = np.zeros_like(s.params["W"]), np.zeros_like(s.params["b"])
    s.gW += s.x.T @ d
    s.gb += d.sum(0)
    return s.dx(d), {"W": s.gW.copy(), "b": s.gb.copy()}


bad("accumulates", "dW", "grads_never_zeroed", backward=two_calls)


def step(s, d):
    g = {"W": s.dW(d), "b": s.db(d)}
    out = s.dx(d)
    for k in g:
        s.params[k] -= 0.01 * g[k]
    return out, g


bad("parameters-mutated", "contract", "sgd_in_backward", backward=step)


def decay_forward(s, x):
    s.params["W"] *= 0.99
    return Affine.forward(s, x)


bad("parameters-mutated", "contract", "decay_in_forward", forward=decay_forward)


def first_only(s, x):
    if not hasattr(s, "x"):
        s.x = x
    return x @ s.params["W"] + s.params["b"]


bad("stale-cache", "dW", "cache_first_batch", forward=first_only)


def buffers(s, d):
    if not hasattr(s, "buf"):
        s.buf = np.empty((len(d), s.params["W"].shape[0]))
    np.matmul(d, s.params["W"].T, out=s.buf)
    return s.buf, {"W": s.dW(d), "b": s.db(d)}


bad("aliased-result", "contract", "reused_buffer", backward=buffers)


@F.right(at(n(3, 2, 5)))
class Dense:
    """PyTorch's layout (M, D), any number of leading axes, einsum."""

    def __init__(self, inp=5, out=4):
        self.weight = w(out, inp, seed=3)
        self.bias = w(out, seed=4)
        self.params = {"weight": self.weight, "bias": self.bias}

    def forward(self, inp):
        self.cache = inp
        return np.einsum("...d,md->...m", inp, self.weight) + self.bias

    def backward(self, grad):
        lead = tuple(range(grad.ndim - 1))
        return np.einsum("...m,md->...d", grad, self.weight), {
            "weight": np.tensordot(grad, self.cache, (lead, lead)),
            "bias": grad.sum(axis=lead),
        }


F.right_at("four leading axes", Dense, at(n(2, 2, 1, 2, 5)))


def dense(**over):
    def backward(s, g):
        dx, grads = Dense.backward(s, g)
        if "dx" in over:
            dx = over["dx"](s, g)
        for k in ("weight", "bias"):
            if k in over:
                grads[k] = over[k](s, g)
        return dx, grads

    return backward


F.bad(
    "part-of-batch",
    "dweight",
    "first_time_step",
    Dense,
    dense(weight=lambda s, g: np.einsum("nm,nd->md", g[:, 0], s.cache[:, 0])),
)
F.bad("not-summed", "dbias", "summed_lead_axis_only", Dense, dense(bias=lambda s, g: g.sum(0)))
F.bad(
    "batch-mean-doubled",
    "dweight",
    "mean_weight",
    Dense,
    dense(weight=lambda s, g: np.einsum("ntm,ntd->md", g, s.cache) / g.shape[0]),
)
F.bad(
    "dimension-scale",
    "dbias",
    "mean_over_T",
    Dense,
    dense(bias=lambda s, g: g.mean(1).sum(0)),
    inputs=at(n(2, 3, 5)),
)
F.bad(
    "transposed",
    "dweight",
    "weight_T",
    Dense,
    dense(weight=lambda s, g: np.einsum("ntm,ntd->dm", g, s.cache)),
    args={"inp": 4, "out": 4},
    inputs=at(n(3, 2, 4)),
)
F.bad(
    "transposed",
    "dx",
    "as_in_forward",
    Dense,
    dense(dx=lambda s, g: g @ s.weight.T),
    args={"inp": 4, "out": 4},
    inputs=at(n(3, 2, 4)),
)
F.bad(
    "axes-permuted",
    "dx",
    "T_reshaped_for_transposed",
    Dense,
    dense(
        dx=lambda s, g: np.ascontiguousarray((g @ s.weight).transpose(1, 0, 2)).reshape(
            s.cache.shape
        )
    ),
)
F.bad(
    "shape",
    "dx",
    "two_d_dx",
    Dense,
    dense(dx=lambda s, g: (g @ s.weight).reshape(-1, s.weight.shape[1])),
)
F.bad(
    "wrong-axis",
    "dbias",
    "sum_features",
    Dense,
    dense(bias=lambda s, g: g.sum((0, 2))),
    inputs=at(n(3, 4, 5)),
)


@F.right(at(n(4, 3)))
class LoopAffine:
    """Three loops, as in a first homework."""

    def __init__(self):
        self.A = w(3, 3, seed=7)
        self.c = w(3, seed=8)
        self.params = {"A": self.A, "c": self.c}

    def forward(self, X):
        self.X = X
        out = np.zeros((len(X), 3))
        for i in range(len(X)):
            for j in range(3):
                out[i, j] = self.c[j] + sum(X[i, k] * self.A[k, j] for k in range(3))
        return out

    def backward(self, dout):
        dX, dA, dc = np.zeros_like(self.X), np.zeros_like(self.A), np.zeros_like(self.c)
        for i in range(len(self.X)):
            for j in range(3):
                dc[j] += dout[i, j]
                for k in range(3):
                    dX[i, k] += dout[i, j] * self.A[k, j]
                    dA[k, j] += dout[i, j] * self.X[i, k]
        return dX, {"A": dA, "c": dc}


@F.wrong("part-of-batch", "dA")
class ReturnInsideLoop(LoopAffine):
    def backward(self, dout):
        dX, dA, dc = np.zeros_like(self.X), np.zeros_like(self.A), np.zeros_like(self.c)
        for i in range(len(self.X)):
            dX[i] = self.A @ dout[i]
            dA += np.outer(self.X[i], dout[i])
            dc += dout[i]
            return dX, {"A": dA, "c": dc}
        return None


@F.wrong("part-of-batch", "dA")
class AssignInsideLoop(LoopAffine):
    def backward(self, dout):
        dX, right = LoopAffine.backward(self, dout)
        for i in range(len(self.X)):
            dA = np.outer(self.X[i], dout[i])
        return dX, {"A": dA, "c": right["c"]}


@F.wrong("transposed", "dx")
class LoopIndicesSwapped(LoopAffine):
    def backward(self, dout):
        dX, grads = LoopAffine.backward(self, dout)
        dX = np.zeros_like(self.X)
        for i in range(len(self.X)):
            for j in range(3):
                for k in range(3):
                    dX[i, k] += dout[i, j] * self.A[j, k]
        return dX, grads


@F.right(at(n(5, 4), n(5, 3)))
class Bilinear:
    """y_k = x1' T_k x2."""

    def __init__(self, a=4, b=3):
        self.params = {"T": w(2, a, b, seed=11)}

    def forward(self, p, q):
        self.p, self.q = p, q
        return np.einsum("ni,kij,nj->nk", p, self.params["T"], q)

    def dp(self, d):
        return np.einsum("nk,kij,nj->ni", d, self.params["T"], self.q)

    def dq(self, d):
        return np.einsum("nk,kij,ni->nj", d, self.params["T"], self.p)

    def dT(self, d):
        return np.einsum("nk,ni,nj->kij", d, self.p, self.q)

    def backward(self, d):
        return (self.dp(d), self.dq(d)), {"T": self.dT(d)}


BS = {"args": {"a": 4, "b": 4}, "inputs": at(n(5, 4), n(5, 4))}
F.bad(
    "wrong-operand",
    "dx[1]",
    "dq_uses_q",
    Bilinear,
    **m(dq=lambda s, d: np.einsum("nk,kij,ni->nj", d, s.params["T"], s.q)),
    **BS,
)
F.bad(
    "transposed",
    "dx[0]",
    "dp_T_transposed",
    Bilinear,
    **m(dp=lambda s, d: np.einsum("nk,kji,nj->ni", d, s.params["T"], s.q)),
    **BS,
)
F.bad(
    "transposed",
    "dT",
    "outer_reversed",
    Bilinear,
    **m(dT=lambda s, d: np.einsum("nk,ni,nj->kij", d, s.q, s.p)),
    **BS,
)
F.bad(
    "wrong-operand",
    "dT",
    "outer_pp",
    Bilinear,
    **m(dT=lambda s, d: np.einsum("nk,ni,nj->kij", d, s.p, s.p)),
    **BS,
)
F.bad(
    "parameter-missing",
    "dx[0]",
    "no_T",
    Bilinear,
    **m(dp=lambda s, d: np.einsum("nk,nj->nj", d, s.q)),
    **BS,
    also=("unexplained", "path-missing", "wrong-operand"),
)
F.bad("path-missing", "dx[0]", "dp_zero", Bilinear, **m(dp=lambda s, d: np.zeros_like(s.p)))


@F.right(at(n(4, 3), n(4, 5)))
class TwoInputs:
    """Concatenate, then affine; the parameters live in a list-like dict of attributes."""

    def __init__(self):
        self.Wc, self.bc = w(8, 2, seed=21), w(2, seed=22)

    @property
    def params(self):
        return {"Wc": self.Wc, "bc": self.bc}

    def forward(self, a, b):
        self.k = a.shape[1]
        self.z = np.hstack([a, b])
        return self.z @ self.Wc + self.bc

    def backward(self, dout):
        dz = dout.dot(self.Wc.T)
        return (dz[:, : self.k].copy(), dz[:, self.k :].copy()), {
            "Wc": self.z.T.dot(dout),
            "bc": np.sum(dout, 0),
        }


@F.wrong("path-missing", "dx[1]")
class SecondPartDropped(TwoInputs):
    def backward(self, dout):
        (da, db), g = super().backward(dout)
        return (da, np.zeros_like(db)), g


@F.wrong("shape", "dx[0]")
class PartsSwapped(TwoInputs):
    def backward(self, dout):
        (da, db), g = super().backward(dout)
        return (db, da), g
