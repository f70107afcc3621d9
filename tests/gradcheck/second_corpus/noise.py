"""Dropout and everything that remembers too much."""

import numpy as np

from .tools import BEHAVIOUR, Fam, at, away, const, n, stale, w

F = Fam("second: noise")


def hollow(*shape):
    """Values with exact zeros among them, as after a ReLU."""
    return lambda rng: np.maximum(0, rng.normal(size=shape))


@F.right(at(n(6, 5)))
class Dropout:
    def __init__(self, keep=0.7, seed=4):
        self.keep, self.rng = keep, np.random.default_rng(seed)
        self.training, self.params = True, {}

    def forward(self, x):
        if not self.training:
            return x.copy()
        self.mask = (self.rng.random(x.shape) < self.keep) / self.keep
        self.x = x
        self.y = x * self.mask
        return self.y.copy()

    def backward(self, d):
        if not self.training:
            return d.copy(), {}
        return d * self.mask, {}


F.right_at("half", Dropout, at(n(4, 3, 2)), keep=0.5, seed=1)
F.right_at("with zeros", Dropout, at(hollow(6, 5)), keep=0.8, seed=2)


def dr(slug, name, fn, about="dx", **k):
    return F.bad(slug, about, name, Dropout, lambda s, d: (fn(s, d), {}), **k)


dr("keep-probability", "drop_no_scale", lambda s, d: d * (s.mask > 0))
dr("keep-probability", "drop_scaled_twice", lambda s, d: d * s.mask / s.keep)
dr("keep-probability", "drop_times_keep", lambda s, d: d * s.mask * s.keep)
dr(
    "randomness-redrawn",
    "drop_new_mask",
    lambda s, d: d * (s.rng.random(d.shape) < s.keep) / s.keep,
)
dr(
    "mask-from-values",
    "drop_y_nonzero",
    lambda s, d: d * (s.y != 0) / s.keep,
    inputs=at(hollow(6, 5)),
)
dr(
    "mask-from-values",
    "drop_y_positive",
    lambda s, d: d * (s.y > 0) / s.keep,
    inputs=at(hollow(6, 5)),
)
dr("derivative-missing", "drop_identity", lambda s, d: d.copy(), also=("mask-inverted",))
dr("mask-inverted", "drop_complement", lambda s, d: d * (s.mask == 0) / s.keep)
dr(
    "keep-probability",
    "drop_over_p",
    lambda s, d: d * (s.mask > 0) / (1 - s.keep),
    also=("constant-scale",),
)
dr(
    "upstream-mutated",
    "drop_in_place",
    lambda s, d: np.multiply(d, s.mask, out=d).copy(),
    about="contract",
)
dr("upstream-ignored", "drop_mask", lambda s, d: s.mask.copy())


def drop_input(s, x):
    s.mask = (s.rng.random(x.shape) < s.keep) / s.keep
    x *= s.mask
    return x.copy()


F.bad("input-mutated", "contract", "drop_x_in_place", Dropout, forward=drop_input)


@F.right(at(n(5, 6)))
class ClassicDropout:
    """Not inverted: the raw mask while training."""

    def __init__(self, p=0.4):
        self.p, self.rng, self.params, self.training = p, np.random.default_rng(9), {}, True

    def forward(self, x):
        self.kept = self.rng.uniform(size=x.shape) >= self.p
        return np.where(self.kept, x, 0.0)

    def backward(self, dout):
        return np.where(self.kept, dout, 0.0), {}


F.bad(
    "keep-probability",
    "dx",
    "classic_inverted_in_backward",
    ClassicDropout,
    lambda s, d: (np.where(s.kept, d, 0) / (1 - s.p), {}),
)
F.bad(
    "mask-inverted",
    "dx",
    "classic_dropped_get_it",
    ClassicDropout,
    lambda s, d: (np.where(s.kept, 0, d), {}),
)
F.bad(
    "randomness-redrawn",
    "dx",
    "classic_redraw",
    ClassicDropout,
    lambda s, d: (np.where(s.rng.uniform(size=d.shape) >= s.p, d, 0), {}),
)
F.bad(
    "keep-probability",
    "dx",
    "classic_mean_scaled",
    ClassicDropout,
    lambda s, d: (np.where(s.kept, d * (1 - s.p), 0), {}),
)


@F.right(at(n(2, 3, 2, 2)))
class SpatialDropout:
    def __init__(self):
        self.rng, self.params, self.training = np.random.default_rng(3), {}, True

    def forward(self, x):
        self.m = (self.rng.random((*x.shape[:2], 1, 1)) < 0.6) / 0.6
        self.out = x * self.m
        return self.out.copy()

    def backward(self, d):
        return d * self.m, {}


F.bad(
    "keep-probability", "dx", "spatial_unscaled", SpatialDropout, lambda s, d: (d * (s.m > 0), {})
)
F.bad(
    "randomness-redrawn",
    "dx",
    "spatial_again",
    SpatialDropout,
    lambda s, d: (d * (s.rng.random((*d.shape[:2], 1, 1)) < 0.6) / 0.6, {}),
)
F.bad(
    "mask-from-values",
    "dx",
    "spatial_from_output",
    SpatialDropout,
    lambda s, d: (d * (s.out != 0) / 0.6, {}),
    inputs=at(hollow(2, 3, 2, 2)),
)


@F.right(at(n(4, 5)))
class DropConnect:
    def __init__(self):
        self.params = {"W": w(5, 3, seed=17)}
        self.rng, self.training = np.random.default_rng(5), True

    def forward(self, x):
        self.x = x
        self.m = self.rng.binomial(1, 0.75, size=(5, 3)) / 0.75
        return x @ (self.params["W"] * self.m)

    def backward(self, d):
        return d @ (self.params["W"] * self.m).T, {"W": (self.x.T @ d) * self.m}


F.bad(
    "derivative-missing",
    "dW",
    "connect_mask_forgotten",
    DropConnect,
    lambda s, d: (DropConnect.backward(s, d)[0], {"W": s.x.T @ d}),
    also=("path-missing", "parameter-missing", "unexplained"),
)
F.bad(
    "keep-probability",
    "dW",
    "connect_unscaled",
    DropConnect,
    lambda s, d: (DropConnect.backward(s, d)[0], {"W": (s.x.T @ d) * (s.m > 0)}),
)
F.bad(
    "randomness-redrawn",
    "dW",
    "connect_redraw",
    DropConnect,
    lambda s, d: (
        DropConnect.backward(s, d)[0],
        {"W": (s.x.T @ d) * s.rng.binomial(1, 0.75, size=(5, 3)) / 0.75},
    ),
)


@F.right(at(n(5, 4)))
class GaussianNoise:
    """Multiplicative noise 1 + sigma * xi."""

    def __init__(self, sigma=0.5):
        self.sigma, self.rng, self.params, self.training = (
            sigma,
            np.random.default_rng(11),
            {},
            True,
        )

    def forward(self, x):
        self.f = 1 + self.sigma * self.rng.standard_normal(x.shape)
        return x * self.f

    def backward(self, d):
        return d * self.f, {}


F.bad(
    "randomness-redrawn",
    "dx",
    "gauss_redraw",
    GaussianNoise,
    lambda s, d: (d * (1 + s.sigma * s.rng.standard_normal(d.shape)), {}),
)
F.bad("derivative-missing", "dx", "gauss_identity", GaussianNoise, lambda s, d: (d.copy(), {}))


@F.right(at(n(4, 3), n(4, 3, scale=0.4)))
class Reparameterize:
    def __init__(self):
        self.rng, self.params, self.training = np.random.default_rng(6), {}, True

    def forward(self, mu, lv):
        self.e = self.rng.standard_normal(mu.shape)
        self.sd = np.exp(0.5 * lv)
        return mu + self.sd * self.e

    def backward(self, d):
        return (d.copy(), d * self.e * self.sd * 0.5), {}


F.bad(
    "factor-of-two",
    "dx[1]",
    "repar_no_half",
    Reparameterize,
    lambda s, d: ((d.copy(), d * s.e * s.sd), {}),
)
F.bad(
    "randomness-redrawn",
    "dx[1]",
    "repar_new_noise",
    Reparameterize,
    lambda s, d: ((d.copy(), d * s.rng.standard_normal(d.shape) * s.sd * 0.5), {}),
)
F.bad(
    "aliased-result",
    "contract",
    "repar_dout",
    Reparameterize,
    lambda s, d: ((d, d * s.e * s.sd * 0.5), {}),
)
F.bad(
    "wrong-operand",
    "dx[1]",
    "repar_no_eps",
    Reparameterize,
    lambda s, d: ((d.copy(), d * s.sd * 0.5), {}),
    also=("parameter-missing", "unexplained", "path-missing", "derivative-missing"),
)


# ---- caches and memory --------------------------------------------------------------------------


@F.right(at(n(4, 3)))
class Cubic:
    """a x³ + c, one cache tuple."""

    def __init__(self, dtype=np.float64):
        self.params = {
            "a": np.array([1.0, -0.5, 2.0], dtype),
            "c": np.array([0.3, 0.1, 0.2], dtype),
        }

    def forward(self, x):
        self.remember(x)
        return self.params["a"] * x**3 + self.params["c"]

    def remember(self, x):
        self.cache = (x,)

    def recall(self):
        return self.cache[0]

    def backward(self, d):
        x = self.recall()
        return 3 * self.params["a"] * x**2 * d, {"a": (d * x**3).sum(0), "c": d.sum(0)}


F.right_at(
    "cubic float32",
    Cubic,
    at(n(4, 3, dtype=np.float32)),
    dtype=np.float32,
    double={"dtype": np.float64},
)

SHARED = {}


def to_class(s, x):
    SHARED["x"] = x


F.bad(
    "stale-cache",
    "dx",
    "module_level_cache",
    Cubic,
    methods={"remember": to_class, "recall": lambda s: SHARED["x"]},
)


@F.wrong("stale-cache", "dx", behaviour=stale)
class ClassLevelList(Cubic):
    seen = []

    def remember(self, x):
        type(self).seen.append(x)

    def recall(self):
        return self.seen[-1]


def first_item(s, x):
    s.__dict__.setdefault("stack", []).append(x)


F.bad(
    "stale-cache",
    "dx",
    "stack_read_from_front",
    Cubic,
    methods={"remember": first_item, "recall": lambda s: s.stack[0]},
)


def popped(s, x):
    s.stack = [x]


F.bad(
    "raises",
    "contract",
    "cache_popped_twice",
    Cubic,
    methods={"remember": popped, "recall": lambda s: s.stack.pop(1)},
)


@F.right(at(n(4, 3)))
class WithBuffers:
    """Scale by a learned row; gradients kept as attributes, copied out."""

    def __init__(self):
        self.g = np.array([1.5, -2.0, 0.5])
        self.params = {"g": self.g}
        self.dg = np.zeros(3)

    def forward(self, x):
        self.x = x
        return x * self.g

    def backward(self, d):
        self.dg[:] = (d * self.x).sum(0)
        return d * self.g, {"g": self.dg.copy()}


def acc(s, d):
    s.dg += (d * s.x).sum(0)
    return d * s.g, {"g": s.dg.copy()}


def acc_dx(s, d):
    s.dx = getattr(s, "dx", 0) + d * s.g
    return s.dx.copy(), {"g": (d * s.x).sum(0)}


def shared_result(s, d):
    s.dg[:] = (d * s.x).sum(0)
    return d * s.g, {"g": s.dg}


def momentum(s, d):
    s.dg = 0.9 * s.dg + (d * s.x).sum(0)
    return d * s.g, {"g": s.dg.copy()}


def update(s, d):
    dg = (d * s.x).sum(0)
    dx = d * s.g
    s.g -= 0.1 * dg
    return dx, {"g": dg}


def normalize(s, x):
    s.g /= np.linalg.norm(s.g)
    s.x = x
    return x * s.g


def clip_params(s, x):
    np.clip(s.g, -1, 1, out=s.g)
    s.x = x
    return x * s.g


F.bad("accumulates", "dg", "attribute_plus_equals", WithBuffers, acc)
F.bad("accumulates", "dx", "dx_plus_equals", WithBuffers, acc_dx)
F.bad("accumulates", "dg", "momentum_inside", WithBuffers, momentum)
F.bad("aliased-result", "contract", "attribute_returned", WithBuffers, shared_result)
F.bad("parameters-mutated", "contract", "update_inside", WithBuffers, update)
F.bad("parameters-mutated", "contract", "clip_in_forward", WithBuffers, forward=clip_params)
F.bad("parameters-mutated", "contract", "normalize_in_forward", WithBuffers, forward=normalize)
F.bad(
    "gradient-extra",
    "contract",
    "grads_with_dx",
    WithBuffers,
    lambda s, d: (d * s.g, {"g": (d * s.x).sum(0), "dx": d * s.g}),
)
F.bad(
    "gradient-extra",
    "contract",
    "prefixed_too",
    WithBuffers,
    lambda s, d: (d * s.g, {"g": (d * s.x).sum(0), "dg": (d * s.x).sum(0)}),
)
F.bad(
    "gradient-missing",
    "dg",
    "prefixed_key",
    WithBuffers,
    lambda s, d: (d * s.g, {"dg": (d * s.x).sum(0)}),
    also=("gradient-extra",),
)
F.bad("gradient-missing", "dg", "empty_grads", WithBuffers, lambda s, d: (d * s.g, {}))


def dout_scaled(s, d):
    d *= s.g
    return d.copy(), {"g": (d / s.g * s.x).sum(0)}


F.bad("upstream-mutated", "contract", "dout_times_equals", WithBuffers, dout_scaled)


def dout_clipped(s, d):
    np.clip(d, -5, 5, out=d)
    d[0] = 0
    return WithBuffers.backward(s, d)


F.bad(
    "upstream-mutated",
    "contract",
    "dout_first_zeroed",
    WithBuffers,
    dout_clipped,
    also=("part-of-batch",),
)
F.bad(
    "dtype",
    "dx",
    "complex_dx",
    WithBuffers,
    lambda s, d: ((d * s.g).astype(complex), {"g": (d * s.x).sum(0)}),
)
F.bad(
    "dtype",
    "dx",
    "object_dx",
    WithBuffers,
    lambda s, d: ((d * s.g).astype(object), {"g": (d * s.x).sum(0)}),
)
F.bad(
    "dtype",
    "dx",
    "list_like_float32_up",
    Cubic,
    lambda s, d: (lambda r: (r[0].astype(np.float64), r[1]))(Cubic.backward(s, d)),
    args={"dtype": np.float32},
    inputs=at(n(4, 3, dtype=np.float32)),
)
F.bad(
    "precision-lost",
    "dx",
    "float32_back",
    Cubic,
    lambda s, d: (lambda r: (r[0].astype(np.float16).astype(np.float64), r[1]))(
        Cubic.backward(s, d)
    ),
)
F.bad(
    "precision-lost",
    "dx",
    "half_returned",
    Cubic,
    lambda s, d: (lambda r: (r[0].astype(np.float16), r[1]))(Cubic.backward(s, d)),
    also=("dtype",),
)
F.bad(
    "precision-lost",
    "da",
    "half_accumulator",
    Cubic,
    lambda s, d: (
        Cubic.backward(s, d)[0],
        {"a": (d * s.recall() ** 3).sum(0, dtype=np.float16).astype(float), "c": d.sum(0)},
    ),
)
F.bad("raises", "contract", "cache_unpack", Cubic, lambda s, d: (lambda x, y: None)(*s.cache))
F.bad(
    "raises",
    "contract",
    "not_implemented",
    Cubic,
    lambda s, d: (_ for _ in ()).throw(NotImplementedError("todo: backward of Cubic")),
)
F.bad(
    "shape",
    "dx",
    "scalar_dx",
    Cubic,
    lambda s, d: (Cubic.backward(s, d)[0].sum(), Cubic.backward(s, d)[1]),
    also=("summed-everything",),
)
F.bad(
    "bias-penalized",
    "dc",
    "cubic_decays_c",
    Cubic,
    lambda s, d: (
        Cubic.backward(s, d)[0],
        {"a": (d * s.recall() ** 3).sum(0), "c": d.sum(0) + 0.2 * s.params["c"]},
    ),
)
F.bad(
    "gradient-extra",
    "contract",
    "cubic_none_key",
    Cubic,
    lambda s, d: (lambda r: (r[0], {**r[1], "d": None}))(Cubic.backward(s, d)),
    behaviour=BEHAVIOUR["gradient-extra"],
)
F.bad(
    "constant-leak",
    "dc",
    "cubic_one_more",
    Cubic,
    lambda s, d: (
        Cubic.backward(s, d)[0],
        {"a": (d * s.recall() ** 3).sum(0), "c": d.sum(0) + 1.0},
    ),
)
F.bad(
    "constant-leak",
    "dx",
    "cubic_bias_in_dx",
    Cubic,
    lambda s, d: (Cubic.backward(s, d)[0] + 0.01, Cubic.backward(s, d)[1]),
)


@F.right(lambda r: (np.concatenate([r.normal(size=5), [0.0, 0.0]]).reshape(7, 1),))
class SinOverX:
    """sinc, with the limit at zero."""

    params = {}

    def forward(self, x):
        self.x = x
        return np.sinc(x)

    def backward(self, d):
        z = np.where(self.x == 0, 1.0, self.x)
        g = (np.cos(np.pi * z) - np.sinc(z)) / z
        return d * np.where(self.x == 0, 0.0, g), {}


def sinc_nan(s, d):
    with np.errstate(all="ignore"):
        return d * (np.cos(np.pi * s.x) / s.x - np.sin(np.pi * s.x) / (np.pi * s.x**2)), {}


F.bad("not-finite", "dx", "sinc_zero_over_zero", SinOverX, sinc_nan)


@F.right(lambda r: (np.maximum(0, r.normal(size=(5, 3))),))
class Power32:
    """x ** 3 for x >= 0, zeros included."""

    params = {}

    def forward(self, x):
        self.x, self.y = x, x**3
        return self.y.copy()

    def backward(self, d):
        return 3 * self.x**2 * d, {}


def power_nan(s, d):
    with np.errstate(all="ignore"):
        return d * 3 * s.y / s.x, {}


F.bad("not-finite", "dx", "power_y_over_x", Power32, power_nan)


@F.right(at(away(3, 4)))
class TwoWay:
    """x with relu on the left half, identity on the right; drops nothing."""

    params = {}

    def forward(self, x):
        self.on = x[:, :2] > 0
        self.y = np.hstack([x[:, :2] * self.on, x[:, 2:]])
        return self.y.copy()

    def backward(self, d):
        return np.hstack([d[:, :2] * self.on, d[:, 2:]]), {}


F.bad(
    "mask-from-values",
    "dx",
    "twoway_zero_inferred",
    TwoWay,
    lambda s, d: (d * (s.y != 0), {}),
    inputs=at(const([[1.0, -1.0, 0.0, 2.0], [-0.5, 2.0, 1.0, 0.0], [0.3, 0.4, 0.0, 0.0]])),
)
