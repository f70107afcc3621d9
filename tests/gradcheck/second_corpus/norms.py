"""Normalisations and what students forget in them."""

import numpy as np

from .tools import Fam, at, leaks, n, w

F = Fam("second: norms")


@F.right(at(n(7, 4, shift=0.3)))
class BatchNorm:
    def __init__(self, D=4, eps=1e-5, dtype=np.float64):
        self.eps = eps
        self.training = True
        self.params = {
            "gamma": (1.5 + w(D, seed=2)).astype(dtype),
            "beta": w(D, seed=3, dtype=dtype),
        }
        self.state = {"mean": np.zeros(D), "var": np.ones(D)}

    def forward(self, x):
        if not self.training:
            xh = (x - self.state["mean"]) / np.sqrt(self.state["var"] + self.eps)
            return self.params["gamma"] * xh + self.params["beta"]
        self.x, self.mu, self.var = x, x.mean(0), x.var(0)
        self.inv = 1 / np.sqrt(self.var + self.eps)
        self.xh = (x - self.mu) * self.inv
        self.state["mean"] = 0.9 * self.state["mean"] + 0.1 * self.mu
        self.state["var"] = 0.9 * self.state["var"] + 0.1 * self.var
        return self.params["gamma"] * self.xh + self.params["beta"]

    def dx(self, d):
        N = len(d)
        g = d * self.params["gamma"]
        return self.inv / N * (N * g - g.sum(0) - self.xh * (g * self.xh).sum(0))

    def dgamma(self, d):
        return (d * self.xh).sum(0)

    def dbeta(self, d):
        return d.sum(0)

    def backward(self, d):
        return self.dx(d), {"gamma": self.dgamma(d), "beta": self.dbeta(d)}


F.right_at("big eps", BatchNorm, at(n(6, 3)), D=3, eps=0.1)
F.right_at(
    "float32",
    BatchNorm,
    at(n(7, 4, dtype=np.float32)),
    dtype=np.float32,
    double={"dtype": np.float64},
)
F.right_at("two samples", BatchNorm, at(n(2, 5)), D=5, eps=1e-2)


def bn(slug, about, name, args=None, inputs=None, also=(), **methods):
    k = {}
    if args:
        k["args"] = args
    F.bad(slug, about, name, BatchNorm, methods=methods, inputs=inputs, also=also, **k)


def core(s, d, inv=None, N=None, gamma=True, axis=0):
    N = N or len(d)
    g = d * s.params["gamma"] if gamma else d
    inv = s.inv if inv is None else inv
    return inv * (g - g.sum(0) / N - s.xh * (g * s.xh).sum(0) / N)


bn("parameter-missing", "dx", "bn_no_gamma", dx=lambda s, d: core(s, d, gamma=False))
bn(
    "path-missing",
    "dx",
    "bn_no_variance",
    dx=lambda s, d: s.inv * (d * s.params["gamma"] - (d * s.params["gamma"]).mean(0)),
)
bn(
    "path-missing",
    "dx",
    "bn_no_mean",
    dx=lambda s, d: s.inv * s.params["gamma"] * (d - s.xh * (d * s.xh).mean(0)),
)
bn(
    "path-missing",
    "dx",
    "bn_only_inv",
    dx=lambda s, d: s.params["gamma"] * s.inv * d,
    also=("diagonal-only",),
)
bn("wrong-operand", "dgamma", "bn_gamma_x", dgamma=lambda s, d: (d * s.x).sum(0))
bn(
    "wrong-operand",
    "dgamma",
    "bn_gamma_centered",
    dgamma=lambda s, d: (d * (s.x - s.mu)).sum(0),
    also=("unexplained",),
)
bn(
    "wrong-operand",
    "dgamma",
    "bn_gamma_y",
    dgamma=lambda s, d: (d * (s.params["gamma"] * s.xh + s.params["beta"])).sum(0),
)
bn("batch-mean-doubled", "dbeta", "bn_beta_mean", dbeta=lambda s, d: d.mean(0))
bn(
    "epsilon",
    "dx",
    "bn_no_eps",
    args={"eps": 0.05},
    inputs=at(n(7, 4)),
    dx=lambda s, d: core(s, d, 1 / np.sqrt(s.var)),
)
bn(
    "epsilon",
    "dx",
    "bn_eps_outside",
    args={"eps": 0.05},
    inputs=at(n(7, 4)),
    dx=lambda s, d: core(s, d, 1 / (np.sqrt(s.var) + s.eps)),
)
bn(
    "epsilon",
    "dx",
    "bn_xhat_no_eps",
    args={"eps": 0.1},
    inputs=at(n(7, 4)),
    dx=lambda s, d: (lambda g, xh: s.inv * (g - g.mean(0) - xh * (g * xh).mean(0)))(
        d * s.params["gamma"], (s.x - s.mu) / np.sqrt(s.var)
    ),
)
bn(
    "degrees-of-freedom",
    "dx",
    "bn_n_minus_one",
    dx=lambda s, d: (lambda g: s.inv * (g - g.mean(0) - s.xh * (g * s.xh).sum(0) / (len(d) - 1)))(
        d * s.params["gamma"]
    ),
)
bn(
    "degrees-of-freedom",
    "dx",
    "bn_ddof_std",
    dx=lambda s, d: core(s, d, 1 / np.sqrt(s.x.var(0, ddof=1) + s.eps)),
)
bn(
    "statistics-axis",
    "dx",
    "bn_axis1",
    dx=lambda s, d: (
        lambda g: s.inv * (g - g.mean(1, keepdims=True) - s.xh * (g * s.xh).mean(1, keepdims=True))
    )(d * s.params["gamma"]),
)
bn("batch-mean-missing", "dx", "bn_n_forgotten", dx=lambda s, d: core(s, d) * len(d))
bn("not-summed", "dgamma", "bn_gamma_not_summed", dgamma=lambda s, d: d * s.xh)
bn(
    "wrong-axis",
    "dbeta",
    "bn_beta_axis1",
    args={"D": 5},
    inputs=at(n(5, 5)),
    dbeta=lambda s, d: d.sum(1),
)
bn(
    "summed-everything",
    "dgamma",
    "bn_gamma_total",
    dgamma=lambda s, d: np.full(d.shape[1], (d * s.xh).sum()),
)
bn(
    "gradient-missing",
    "dbeta",
    "bn_no_beta",
    backward=lambda s, d: (s.dx(d), {"gamma": s.dgamma(d)}),
)
bn(
    "gradient-extra",
    "contract",
    "bn_running_grad",
    backward=lambda s, d: (s.dx(d), {"gamma": s.dgamma(d), "beta": s.dbeta(d), "mean": d.mean(0)}),
)
bn(
    "parameters-mutated",
    "contract",
    "bn_gamma_normalized",
    backward=lambda s, d: (s.params["gamma"].__imul__(0.999), BatchNorm.backward(s, d))[1],
)
bn("shape", "dgamma", "bn_keepdims", dgamma=lambda s, d: (d * s.xh).sum(0, keepdims=True))


def bn_cached(s, x):
    y = BatchNorm.forward(s, x)
    if not hasattr(s, "first"):
        s.first = s.xh
    s.xh = s.first
    return y


bn("stale-cache", "dgamma", "bn_old_xhat", forward=bn_cached)


def bn_mutate(s, x):
    x -= x.mean(0)
    return BatchNorm.forward(s, x)


bn("input-mutated", "contract", "bn_center_in_place", forward=bn_mutate)


@F.right(at(n(6, 3)))
class BatchNormGraph:
    """The staged computational graph of the well-known blog post."""

    def __init__(self):
        self.params = {"g": np.array([1.2, 0.7, -0.9]), "b": np.array([0.1, 0.2, 0.3])}
        self.eps = 1e-4

    def forward(self, x):
        N, _D = x.shape
        mu = 1.0 / N * np.sum(x, axis=0)
        xmu = x - mu
        var = 1.0 / N * np.sum(xmu**2, axis=0)
        sqrtvar = np.sqrt(var + self.eps)
        ivar = 1.0 / sqrtvar
        xhat = xmu * ivar
        self.cache = (xhat, xmu, ivar, sqrtvar, var)
        return self.params["g"] * xhat + self.params["b"]

    drop = ()

    def backward(self, dout):
        xhat, xmu, ivar, sqrtvar, var = self.cache
        N, D = dout.shape
        dbeta = np.sum(dout, axis=0)
        dgamma = np.sum(dout * xhat, axis=0)
        dxhat = dout * self.params["g"]
        divar = np.sum(dxhat * xmu, axis=0)
        dxmu1 = dxhat * ivar
        dsqrtvar = -1.0 / (sqrtvar**2) * divar
        dvar = self.half * 1.0 / np.sqrt(var + self.eps) * dsqrtvar
        dsq = 1.0 / N * np.ones((N, D)) * dvar
        dxmu2 = 2 * xmu * dsq
        dx1 = dxmu1 + dxmu2
        dmu = -1 * np.sum(dxmu1 + dxmu2, axis=0)
        dx2 = 1.0 / N * np.ones((N, D)) * dmu
        return self.total(dx1, dx2), {"g": dgamma, "b": dbeta}

    half = 0.5

    def total(self, a, b):
        return a + b


F.bad("path-missing", "dx", "graph_no_dx2", BatchNormGraph, methods={"total": lambda s, a, b: a})
F.bad(
    "path-missing",
    "dx",
    "graph_variance_doubled",
    BatchNormGraph,
    methods={"half": 1.0},
    also=("unexplained",),
)
F.bad(
    "sign-flipped",
    "dx",
    "graph_minus",
    BatchNormGraph,
    methods={"total": lambda s, a, b: -(a + b)},
)


@F.right(at(n(3, 6)))
class LayerNorm:
    def __init__(self, eps=1e-5):
        self.params = {"scale": 1 + w(6, seed=5), "shift": w(6, seed=6)}
        self.eps = eps

    def forward(self, x):
        self.x = x
        c = x - x.mean(-1, keepdims=True)
        self.var = (c**2).mean(-1, keepdims=True)
        self.rstd = (self.var + self.eps) ** -0.5
        self.n = c * self.rstd
        return self.n * self.params["scale"] + self.params["shift"]

    def dx(self, d):
        return self.formula(d * self.params["scale"], self.rstd, -1)

    def formula(self, g, r, ax):
        return r * (g - g.mean(ax, keepdims=True) - self.n * (g * self.n).mean(ax, keepdims=True))

    def dscale(self, d):
        return (d * self.n).reshape(-1, d.shape[-1]).sum(0)

    def dshift(self, d):
        return d.reshape(-1, d.shape[-1]).sum(0)

    def backward(self, d):
        return self.dx(d), {"scale": self.dscale(d), "shift": self.dshift(d)}


F.right_at("layer norm 3d", LayerNorm, at(n(2, 3, 6)))
F.right_at("layer norm one row", LayerNorm, at(n(1, 6)))


def ln(slug, about, name, args=None, inputs=None, also=(), **k):
    return F.bad(
        slug,
        about,
        name,
        LayerNorm,
        methods=k,
        inputs=inputs,
        also=also,
        **({"args": args} if args else {}),
    )


ln("statistics-axis", "dx", "ln_axis0", dx=lambda s, d: s.formula(d * s.params["scale"], s.rstd, 0))
ln("parameter-missing", "dx", "ln_no_scale", dx=lambda s, d: s.formula(d, s.rstd, -1))
ln(
    "epsilon",
    "dx",
    "ln_no_eps",
    args={"eps": 0.1},
    dx=lambda s, d: s.formula(d * s.params["scale"], s.var**-0.5, -1),
)
ln(
    "epsilon",
    "dx",
    "ln_eps_outside",
    args={"eps": 0.02},
    dx=lambda s, d: s.formula(d * s.params["scale"], 1 / (np.sqrt(s.var) + s.eps), -1),
)
ln(
    "degrees-of-freedom",
    "dx",
    "ln_d_minus_one",
    dx=lambda s, d: (
        lambda g: (
            s.rstd
            * (
                g
                - g.mean(-1, keepdims=True)
                - s.n * (g * s.n).sum(-1, keepdims=True) / (g.shape[-1] - 1)
            )
        )
    )(d * s.params["scale"]),
)
ln(
    "path-missing",
    "dx",
    "ln_mean_only",
    dx=lambda s, d: (lambda g: s.rstd * (g - g.mean(-1, keepdims=True)))(d * s.params["scale"]),
)
ln(
    "path-missing",
    "dx",
    "ln_rstd_only",
    dx=lambda s, d: d * s.params["scale"] * s.rstd,
    also=("diagonal-only",),
)
ln("wrong-operand", "dscale", "ln_scale_x", dscale=lambda s, d: (d * s.x).sum(0))
ln(
    "not-summed",
    "dshift",
    "ln_shift_not_summed",
    inputs=at(n(2, 3, 6)),
    dshift=lambda s, d: d.sum(0),
)
ln("part-of-batch", "dscale", "ln_first_row", dscale=lambda s, d: d[0] * s.n[0])
ln("wrong-axis", "dshift", "ln_shift_axis1", inputs=at(n(6, 6)), dshift=lambda s, d: d.sum(1))
ln("summed-everything", "dshift", "ln_shift_all", dshift=lambda s, d: np.ones(6) * d.sum())
ln(
    "dimension-scale",
    "dx",
    "ln_times_D",
    dx=lambda s, d: s.formula(d * s.params["scale"], s.rstd, -1) * d.shape[-1],
)


@F.right(at(n(4, 5)))
class RmsNorm:
    def __init__(self, eps=1e-6):
        self.gain = 1 + w(5, seed=9)
        self.params = {"gain": self.gain}
        self.eps = eps

    def forward(self, x):
        self.x = x
        self.r = np.sqrt((x * x).mean(1, keepdims=True) + self.eps)
        return x / self.r * self.gain

    def dx(self, d):
        g = d * self.gain
        return g / self.r - self.x * (g * self.x).mean(1, keepdims=True) / self.r**3

    def dgain(self, d):
        return np.einsum("nd,nd->d", d, self.x / self.r)

    def backward(self, d):
        return self.dx(d), {"gain": self.dgain(d)}


def rms(slug, about, name, args=None, also=(), **k):
    return F.bad(
        slug, about, name, RmsNorm, methods=k, also=also, **({"args": args} if args else {})
    )


rms(
    "path-missing",
    "dx",
    "rms_root_constant",
    dx=lambda s, d: d * s.gain / s.r,
    also=("diagonal-only",),
)
rms(
    "diagonal-only",
    "dx",
    "rms_diagonal",
    dx=lambda s, d: d * s.gain * (1 / s.r - s.x**2 / s.r**3 / 5),
)
rms(
    "parameter-missing",
    "dx",
    "rms_gain_missing",
    dx=lambda s, d: d / s.r - s.x * (d * s.x).mean(1, keepdims=True) / s.r**3,
)
rms(
    "epsilon",
    "dx",
    "rms_eps_gone",
    args={"eps": 0.05},
    dx=lambda s, d: (lambda g, r: g / r - s.x * (g * s.x).mean(1, keepdims=True) / r**3)(
        d * s.gain, np.sqrt((s.x**2).mean(1, keepdims=True))
    ),
)
rms("wrong-operand", "dgain", "rms_raw_x", dgain=lambda s, d: (d * s.x).sum(0))
rms(
    "statistics-axis",
    "dx",
    "rms_axis0",
    dx=lambda s, d: d * s.gain / s.r - s.x * (d * s.gain * s.x).mean(0) / s.r**3,
)


@F.right(at(n(4, 3)))
class L2Normalize:
    params = {}

    def forward(self, v):
        self.norm = np.sqrt((v**2).sum(1, keepdims=True) + 1e-12)
        self.u = v / self.norm
        return self.u

    def backward(self, d):
        return (d - self.u * (d * self.u).sum(1, keepdims=True)) / self.norm, {}


def p(fn):
    return lambda s, d: (fn(s, d), {})


F.bad(
    "path-missing",
    "dx",
    "l2_norm_constant",
    L2Normalize,
    p(lambda s, d: d / s.norm),
    also=("diagonal-only",),
)
F.bad("diagonal-only", "dx", "l2_diagonal", L2Normalize, p(lambda s, d: d * (1 - s.u**2) / s.norm))
F.bad(
    "statistics-axis",
    "dx",
    "l2_axis0",
    L2Normalize,
    p(lambda s, d: (d - s.u * (d * s.u).sum(0, keepdims=True)) / s.norm),
    also=("wrong-axis",),
)
F.bad(
    "upstream-partial",
    "dx",
    "l2_d_lost_in_sum",
    L2Normalize,
    p(lambda s, d: (d - s.u * s.u.sum(1, keepdims=True)) / s.norm),
)


def l2_nan(s, d):
    with np.errstate(all="ignore"):
        n0 = np.sqrt((s.v**2).sum(1, keepdims=True))
        return d / n0 - s.v * (d * s.v).sum(1, keepdims=True) / n0**3, {}


@F.right(lambda r: (np.vstack([r.normal(size=(3, 3)), np.zeros((1, 3))]),))
class SafeNorm:
    """v / sqrt(|v|² + 0.1): smooth at zero."""

    params = {}

    def forward(self, v):
        self.v = v
        self.r = np.sqrt((v**2).sum(1, keepdims=True) + 0.1)
        return v / self.r

    def backward(self, d):
        return d / self.r - self.v * (d * self.v).sum(1, keepdims=True) / self.r**3, {}


F.bad("not-finite", "dx", "safe_norm_zero_row", SafeNorm, l2_nan, also=("epsilon",))


@F.right(at(n(2, 4, 3, 2)))
class GroupNorm:
    """(N, C, H, W) in G groups; G = C is instance norm."""

    def __init__(self, G=2, C=4, eps=1e-5):
        self.G, self.eps = G, eps
        self.params = {
            "gamma": (1 + w(C, seed=31)).reshape(1, C, 1, 1),
            "beta": w(C, seed=32).reshape(1, C, 1, 1),
        }

    def forward(self, x):
        N, _C, _H, _W = x.shape
        g = x.reshape(N, self.G, -1)
        self.inv = 1 / np.sqrt(g.var(-1, keepdims=True) + self.eps)
        self.xn = (g - g.mean(-1, keepdims=True)) * self.inv
        self.x = x
        return self.xn.reshape(x.shape) * self.params["gamma"] + self.params["beta"]

    def dx(self, d):
        return self.formula(d * self.params["gamma"])

    def formula(self, g, m=None):
        shape = g.shape
        g = g.reshape(self.xn.shape)
        m = m or g.shape[-1]
        g = self.inv * (
            g - g.sum(-1, keepdims=True) / m - self.xn * (g * self.xn).sum(-1, keepdims=True) / m
        )
        return g.reshape(shape)

    axes = (0, 2, 3)

    def dgamma(self, d):
        return (d * self.xn.reshape(d.shape)).sum(self.axes, keepdims=True)

    def dbeta(self, d):
        return d.sum(self.axes, keepdims=True)

    def backward(self, d):
        return self.dx(d), {"gamma": self.dgamma(d), "beta": self.dbeta(d)}


F.right_at("instance norm", GroupNorm, at(n(2, 4, 3, 2)), G=4)
F.right_at("one group", GroupNorm, at(n(2, 4, 2, 2)), G=1)


def gn(slug, about, name, args=None, inputs=None, also=(), **k):
    return F.bad(
        slug,
        about,
        name,
        GroupNorm,
        methods=k,
        inputs=inputs,
        also=also,
        **({"args": args} if args else {}),
    )


gn("parameter-missing", "dx", "gn_gamma", dx=lambda s, d: s.formula(d))
gn(
    "degrees-of-freedom",
    "dx",
    "gn_m_minus_one",
    dx=lambda s, d: s.formula(d * s.params["gamma"], s.xn.shape[-1] - 1),
)
gn(
    "not-summed",
    "dgamma",
    "gn_batch_kept",
    dgamma=lambda s, d: (d * s.xn.reshape(d.shape)).sum((2, 3), keepdims=True),
)
gn("shape", "dbeta", "gn_flat", dbeta=lambda s, d: d.sum((0, 2, 3)))
gn(
    "statistics-axis",
    "dx",
    "gn_channel_stats",
    dx=lambda s, d: (
        lambda g, xn, inv: (
            inv * (g - g.mean((2, 3), keepdims=True) - xn * (g * xn).mean((2, 3), keepdims=True))
        )
    )(
        d * s.params["gamma"],
        s.xn.reshape(d.shape),
        np.repeat(s.inv[..., 0], 2, 1)[:, :, None, None],
    ),
)
gn("summed-everything", "dbeta", "gn_beta_all", dbeta=lambda s, d: np.full((1, 4, 1, 1), d.sum()))
gn(
    "wrong-operand",
    "dgamma",
    "gn_gamma_x",
    dgamma=lambda s, d: (d * s.x).sum((0, 2, 3), keepdims=True),
)
gn(
    "wrong-axis",
    "dbeta",
    "gn_axes_012",
    inputs=at(n(2, 4, 3, 4)),
    dbeta=lambda s, d: d.sum((0, 1, 2)).reshape(1, 4, 1, 1),
)
gn(
    "axes-permuted",
    "dgamma",
    "gn_groups_interleaved",
    dgamma=lambda s, d: np.ascontiguousarray(
        (d * s.xn.reshape(d.shape)).sum((0, 2, 3)).reshape(2, 2).T
    ).reshape(1, 4, 1, 1),
)


@F.right(at(n(5, 4)))
class WeightNorm:
    """W = g v / |v| by columns."""

    def __init__(self):
        self.params = {"v": w(4, 3, seed=41, scale=1.0), "g": np.array([0.5, 1.5, -2.0])}

    def forward(self, x):
        v, g = self.params["v"], self.params["g"]
        self.x = x
        self.norm = np.linalg.norm(v, axis=0)
        self.W = g * v / self.norm
        return x @ self.W

    def dv(self, dW):
        v, g = self.params["v"], self.params["g"]
        return g / self.norm * (dW - v * (dW * v).sum(0) / self.norm**2)

    def dg(self, dW):
        return (dW * self.params["v"]).sum(0) / self.norm

    def backward(self, d):
        dW = self.x.T @ d
        return d @ self.W.T, {"v": self.dv(dW), "g": self.dg(dW)}


F.bad(
    "path-missing",
    "dv",
    "wn_norm_constant",
    WeightNorm,
    methods={"dv": lambda s, dW: s.params["g"] / s.norm * dW},
    also=("diagonal-only",),
)
F.bad(
    "parameter-missing",
    "dv",
    "wn_no_g",
    WeightNorm,
    methods={
        "dv": lambda s, dW: (dW - s.params["v"] * (dW * s.params["v"]).sum(0) / s.norm**2) / s.norm
    },
)
F.bad(
    "wrong-operand",
    "dg",
    "wn_g_from_W",
    WeightNorm,
    methods={"dg": lambda s, dW: (dW * s.W).sum(0)},
    also=("parameter-missing", "unexplained"),
)
F.bad(
    "derivative-missing",
    "dv",
    "wn_dW",
    WeightNorm,
    methods={"dv": lambda s, dW: dW},
    also=("path-missing", "unexplained"),
)


@F.right(at(n(5, 4)))
class ScaleShift:
    def __init__(self):
        self.s, self.t = 1 + w(4, seed=51), w(4, seed=52)
        self.params = {"s": self.s, "t": self.t}

    def forward(self, x):
        self.x = x
        return self.s * x + self.t

    def backward(self, d):
        return self.s * d, {"s": np.sum(d * self.x, axis=0), "t": np.sum(d, axis=0)}


def ss(**o):
    def backward(l, d):
        dx, g = ScaleShift.backward(l, d)
        for k in ("s", "t"):
            if k in o:
                g[k] = o[k](l, d)
        return (o["dx"](l, d) if "dx" in o else dx), g

    return backward


F.bad(
    "parameter-missing",
    "dx",
    "ss_dx_d",
    ScaleShift,
    ss(dx=lambda l, d: d.copy()),
    also=("derivative-missing",),
)
F.bad("not-summed", "dt", "ss_t_d", ScaleShift, ss(t=lambda l, d: d.copy()))
F.bad("upstream-ignored", "ds", "ss_no_d", ScaleShift, ss(s=lambda l, d: l.x.sum(0)))
F.bad("wrong-operand", "ds", "ss_s_by_s", ScaleShift, ss(s=lambda l, d: (d * l.s).sum(0)))
F.bad("bias-penalized", "dt", "ss_decay_t", ScaleShift, ss(t=lambda l, d: d.sum(0) + 0.02 * l.t))
F.bad(
    "penalty-extra",
    "ds",
    "ss_decay_s",
    ScaleShift,
    ss(s=lambda l, d: (d * l.x).sum(0) + 1e-3 * l.s),
)
F.bad(
    "constant-leak",
    "dx",
    "ss_leak",
    ScaleShift,
    ss(dx=lambda l, d: l.s * d + 1e-8),
    behaviour=leaks,
)
F.bad(
    "aliased-result",
    "contract",
    "ss_t_view",
    ScaleShift,
    ss(t=lambda l, d: d[0]),
    inputs=at(n(1, 4)),
)


@F.right(at(n(6, 3)))
class Standardize:
    """Unbiased standardisation, no parameters."""

    params = {}

    def forward(self, x):
        self.sd = x.std(0, ddof=1)
        self.z = (x - x.mean(0)) / self.sd
        return self.z

    def backward(self, d):
        N = len(d)
        return (d - d.mean(0) - self.z * (d * self.z).sum(0) / (N - 1)) / self.sd, {}


F.bad(
    "degrees-of-freedom",
    "dx",
    "std_over_n",
    Standardize,
    p(lambda s, d: (d - d.mean(0) - s.z * (d * s.z).mean(0)) / s.sd),
)
F.bad(
    "degrees-of-freedom",
    "dx",
    "std_mean_over_n1",
    Standardize,
    p(lambda s, d: (d - d.sum(0) / (len(d) - 1) - s.z * (d * s.z).sum(0) / (len(d) - 1)) / s.sd),
)
F.bad("path-missing", "dx", "std_sd_constant", Standardize, p(lambda s, d: (d - d.mean(0)) / s.sd))
F.bad(
    "statistics-axis",
    "dx",
    "std_axis1",
    Standardize,
    p(
        lambda s, d: (
            (d - d.mean(1, keepdims=True) - s.z * (d * s.z).sum(1, keepdims=True) / (len(d) - 1))
            / s.sd
        )
    ),
)
