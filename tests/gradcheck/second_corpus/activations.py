"""Elementwise layers and soft selections."""

import numpy as np
from scipy.special import erf, expit

from .tools import Fam, at, away, const, grid, n, redrawn, u

F = Fam("second: activations")
X = at(away(5, 4))
BAND = at(u(6, 4, lo=-1.6, hi=1.6))


class Act:
    params = {}

    def forward(self, x):
        self.x = x
        self.y = self.f(x)
        return self.y.copy()

    def backward(self, d):
        return d * self.df(), {}


def plain(fn):
    return lambda s, d: (fn(s, d), {})


@F.right(X)
class Relu(Act):
    def f(self, x):
        return np.maximum(0, x)

    def df(self):
        return self.x > 0


F.right_at("relu at zeros", Relu, at(const([[0.0, 1.0, -1.0], [2.0, 0.0, -3.0]])), kinks=True)
F.right_at("relu float32", Relu, at(away(5, 4, dtype=np.float32)), double={})
F.right_at(
    "relu 4d strided",
    Relu,
    lambda r: (r.normal(size=(2, 3, 8, 4))[:, :, ::2].transpose(0, 2, 1, 3),),
)
F.bad("mask-inverted", "dx", "relu_complement", Relu, plain(lambda s, d: d * (s.x <= 0)))
F.bad(
    "mask-threshold",
    "dx",
    "relu_tenth",
    Relu,
    plain(lambda s, d: d * (s.x > 0.1)),
    inputs=at(u(6, 5, lo=-0.4, hi=0.4)),
)
F.bad("mask-threshold", "dx", "relu_one", Relu, plain(lambda s, d: d * (s.x >= 1)), inputs=BAND)
F.bad(
    "mask-threshold",
    "dx",
    "relu_minus_half",
    Relu,
    plain(lambda s, d: d * (s.x > -0.5)),
    inputs=BAND,
)
F.bad("upstream-nonlinear", "dx", "mask_from_dout", Relu, plain(lambda s, d: d * (d > 0)))
F.bad("upstream-nonlinear", "dx", "guided", Relu, plain(lambda s, d: d * (d > 0) * (s.x > 0)))
F.bad("upstream-ignored", "dx", "just_mask", Relu, plain(lambda s, d: (s.x > 0).astype(float)))
F.bad("derivative-missing", "dx", "straight_through", Relu, plain(lambda s, d: d.copy()))
F.bad("upstream-partial", "dx", "where_one", Relu, plain(lambda s, d: np.where(s.x > 0, d, 0.01)))


def zero_dout(s, d):
    d[s.x < 0] = 0
    return d.copy(), {}


F.bad("upstream-mutated", "contract", "dout_zeroed", Relu, zero_dout)


def inplace_relu(s, x):
    s.x = x.copy()
    x[x < 0] = 0
    return x.copy()


F.bad("input-mutated", "contract", "relu_in_place", Relu, forward=inplace_relu)


@F.right(X, a=0.1)
class Leaky(Act):
    def __init__(self, a=0.01):
        self.alpha = a

    def f(self, x):
        return np.where(x > 0, x, self.alpha * x)

    def backward(self, dout):
        dx = np.array(dout, copy=True)
        dx[self.x < 0] *= self.alpha
        return dx, {}


F.right_at("leaky default", Leaky, at(away(3, 7)), a=0.01)
F.bad("slope-missing", "dx", "leaky_as_relu", Leaky, plain(lambda s, d: d * (s.x > 0)))
F.bad(
    "upstream-partial",
    "dx",
    "alpha_without_dout",
    Leaky,
    plain(lambda s, d: np.where(s.x > 0, d, s.alpha)),
)
F.bad(
    "upstream-partial",
    "dx",
    "one_without_dout",
    Leaky,
    plain(lambda s, d: np.where(s.x > 0, 1.0, s.alpha * d)),
)
F.bad(
    "upstream-ignored",
    "dx",
    "leaky_slope_only",
    Leaky,
    plain(lambda s, d: np.where(s.x > 0, 1.0, s.alpha)),
)
F.bad(
    "mask-threshold",
    "dx",
    "leaky_at_half",
    Leaky,
    plain(lambda s, d: np.where(s.x > 0.5, d, s.alpha * d)),
    inputs=BAND,
)
F.bad(
    "mask-inverted",
    "dx",
    "leaky_swapped",
    Leaky,
    plain(lambda s, d: np.where(s.x > 0, s.alpha * d, d)),
)


def leaky_mut(s, d):
    d[s.x < 0] *= s.alpha
    return d, {}


F.bad("upstream-mutated", "contract", "leaky_in_place", Leaky, leaky_mut, also=("aliased-result",))


@F.right(X)
class Elu(Act):
    def f(self, x):
        return np.where(x > 0, x, 1.5 * np.expm1(np.minimum(x, 0)))

    def df(self):
        return np.where(self.x > 0, 1.0, self.y + 1.5)


F.bad(
    "evaluated-at-output",
    "dx",
    "elu_exp_y",
    Elu,
    plain(lambda s, d: d * np.where(s.x > 0, 1, 1.5 * np.exp(s.y))),
)
F.bad(
    "evaluated-at-input",
    "dx",
    "elu_x_plus_a",
    Elu,
    plain(lambda s, d: d * np.where(s.x > 0, 1, s.x + 1.5)),
)
F.bad("slope-missing", "dx", "elu_zero_side", Elu, plain(lambda s, d: np.where(s.x > 0, d, 0)))
F.bad(
    "mask-inverted",
    "dx",
    "elu_branches_swapped",
    Elu,
    plain(lambda s, d: d * np.where(s.x <= 0, 1.0, s.y + 1.5)),
    also=("unexplained",),
)


@F.right(at(n(4, 6)))
class Selu(Act):
    L, A = 1.0507009873554805, 1.6732632423543772

    def f(self, x):
        return self.L * np.where(x > 0, x, self.A * (np.exp(x) - 1))

    def df(self):
        return self.L * np.where(self.x > 0, 1, self.A * np.exp(self.x))


F.bad(
    "constant-scale",
    "dx",
    "selu_without_lambda",
    Selu,
    plain(lambda s, d: d * np.where(s.x > 0, 1, s.A * np.exp(s.x))),
)
F.bad("slope-missing", "dx", "selu_positive_only", Selu, plain(lambda s, d: s.L * d * (s.x > 0)))


@F.right(at(n(4, 5)))
class Sigmoid(Act):
    def f(self, x):
        return 1 / (1 + np.exp(-x))

    def df(self):
        return self.y * (1 - self.y)


F.right_at("sigmoid one entry", Sigmoid, at(n(1, 1)))
F.right_at("sigmoid float32", Sigmoid, at(n(3, 4, dtype=np.float32)), double={})
F.right_at("sigmoid vector", Sigmoid, at(n(6)))


def S(slug, name, fn, **k):
    return F.bad(slug, "dx", name, Sigmoid, plain(fn), **k)


S("evaluated-at-input", "sig_x", lambda s, d: d * s.x * (1 - s.x))
S("evaluated-at-output", "sig_of_y", lambda s, d: d * expit(s.y) * (1 - expit(s.y)))
S("derivative-missing", "sig_none", lambda s, d: 1.0 * d)
S("derivative-doubled", "sig_twice", lambda s, d: d * s.df() * s.df())
S("sign-flipped", "sig_minus", lambda s, d: d * s.y * (s.y - 1))
S("constant-scale", "sig_three", lambda s, d: 3 * d * s.df())
S("upstream-ignored", "sig_no_d", lambda s, d: s.df())
S("upstream-nonlinear", "sig_abs", lambda s, d: np.abs(d) * s.df())
S("constant-leak", "sig_tiny", lambda s, d: d * s.df() + 1e-5)
S("precision-lost", "sig_half", lambda s, d: (d * s.df()).astype(np.float16).astype(d.dtype))
S("unexplained", "sig_square", lambda s, d: d * s.y * (1 - s.y**2))


@F.right(at(n(5, 3)))
class Tanh(Act):
    def f(self, x):
        return np.tanh(x)

    def df(self):
        return 1 - self.y * self.y


def T(slug, name, fn, **k):
    return F.bad(slug, "dx", name, Tanh, plain(fn), **k)


T("evaluated-at-output", "tanh_of_y", lambda s, d: d * (1 - np.tanh(s.y) ** 2))
T("evaluated-at-input", "tanh_x", lambda s, d: d * (1 - s.x**2))
T("derivative-doubled", "tanh_twice", lambda s, d: d * s.df() ** 2)
T("derivative-missing", "tanh_none", lambda s, d: d + 0)
T("unexplained", "tanh_no_square", lambda s, d: d * (1 - s.y))
T("upstream-nonlinear", "tanh_dd", lambda s, d: d * d * s.df())
T("factor-of-two", "tanh_two", lambda s, d: 2 * d * s.df())
T("upstream-partial", "tanh_precedence", lambda s, d: d - s.y**2)
T("upstream-partial", "tanh_precedence2", lambda s, d: 1 - d * s.y**2)


def overwritten_cache(s, x):
    s.y = np.tanh(x)
    return s.y


def tanh_scratch(s, d):
    s.y **= 2
    return d * (1 - s.y), {}


F.bad(
    "stale-cache",
    "dx",
    "cache_squared_in_backward",
    Tanh,
    tanh_scratch,
    also=("accumulates",),
    behaviour=redrawn,
)


@F.right(at(n(5, 4)))
class GeluTanh(Act):
    c = np.sqrt(2 / np.pi)

    def f(self, x):
        self.t = np.tanh(self.c * (x + 0.044715 * x**3))
        return 0.5 * x * (1 + self.t)

    def df(self):
        x, t = self.x, self.t
        return 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * self.c * (1 + 3 * 0.044715 * x**2)


F.bad(
    "unexplained",
    "dx",
    "gelu_missing_three",
    GeluTanh,
    plain(
        lambda s, d: (
            d * (0.5 * (1 + s.t) + 0.5 * s.x * (1 - s.t**2) * s.c * (1 + 0.044715 * s.x**2))
        )
    ),
)
F.bad("path-missing", "dx", "gelu_gate_constant", GeluTanh, plain(lambda s, d: d * 0.5 * (1 + s.t)))


@F.right(at(n(5, 4)))
class GeluErf(Act):
    def f(self, x):
        return x * 0.5 * (1 + erf(x / np.sqrt(2)))

    def d_at(self, x):
        return 0.5 * (1 + erf(x / np.sqrt(2))) + x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)

    def df(self):
        return self.d_at(self.x)


F.bad("evaluated-at-output", "dx", "gelu_at_y", GeluErf, plain(lambda s, d: d * s.d_at(s.y)))
F.bad(
    "path-missing",
    "dx",
    "gelu_no_density",
    GeluErf,
    plain(lambda s, d: d * 0.5 * (1 + erf(s.x / np.sqrt(2)))),
)
F.bad("derivative-missing", "dx", "gelu_passes", GeluErf, plain(lambda s, d: d.copy()))


@F.right(at(n(4, 5)), beta=1.3)
class Swish(Act):
    def __init__(self, beta=1.0):
        self.beta = beta

    def f(self, x):
        self.s = expit(self.beta * x)
        return x * self.s

    def df(self):
        return self.s + self.beta * self.x * self.s * (1 - self.s)


F.bad("path-missing", "dx", "swish_gate_only", Swish, plain(lambda s, d: d * s.s))
F.bad(
    "path-missing",
    "dx",
    "swish_x_only",
    Swish,
    plain(lambda s, d: d * s.beta * s.x * s.s * (1 - s.s)),
)
F.bad("derivative-doubled", "dx", "swish_squared", Swish, plain(lambda s, d: d * s.df() ** 2))
F.bad(
    "unexplained",
    "dx",
    "swish_no_beta",
    Swish,
    plain(lambda s, d: d * (s.s + s.x * s.s * (1 - s.s))),
)


@F.right(at(n(4, 5)))
class SwishBeta:
    """Swish whose beta is learned, one number."""

    def __init__(self):
        self.params = {"beta": np.array(0.8)}

    def forward(self, x):
        self.x, self.s = x, expit(self.params["beta"] * x)
        return x * self.s

    def backward(self, d):
        g = d * self.x * self.s * (1 - self.s)
        return d * self.s + g * self.params["beta"], {"beta": np.sum(g * self.x)}


@F.wrong("wrong-operand", "dbeta")
class BetaFromS(SwishBeta):
    def backward(self, d):
        dx, _ = super().backward(d)
        return dx, {"beta": np.sum(d * self.x * self.s * (1 - self.s) * self.s)}


@F.wrong("not-summed", "dbeta")
class BetaKeepsShape(SwishBeta):
    def backward(self, d):
        dx, _ = super().backward(d)
        return dx, {"beta": d * self.x**2 * self.s * (1 - self.s)}


@F.wrong("parameter-missing", "dx", also=("unexplained",))
class BetaMissingInDx(SwishBeta):
    def backward(self, d):
        _, g = super().backward(d)
        return d * (self.s + self.x * self.s * (1 - self.s)), g


@F.right(at(n(4, 4)))
class Mish(Act):
    def f(self, x):
        self.t = np.tanh(np.log1p(np.exp(x)))
        return x * self.t

    def df(self):
        return self.t + self.x * (1 - self.t**2) * expit(self.x)


F.bad("path-missing", "dx", "mish_t_only", Mish, plain(lambda s, d: d * s.t))
F.bad(
    "unexplained", "dx", "mish_no_sigmoid", Mish, plain(lambda s, d: d * (s.t + s.x * (1 - s.t**2)))
)


@F.right(at(n(4, 5)))
class Softplus(Act):
    def f(self, x):
        return np.logaddexp(0, x)

    def df(self):
        return expit(self.x)


F.right_at("softplus far", Softplus, at(n(3, 4, scale=30)))
F.bad("evaluated-at-output", "dx", "softplus_of_y", Softplus, plain(lambda s, d: d * expit(s.y)))
F.bad("derivative-missing", "dx", "softplus_d", Softplus, plain(lambda s, d: d.copy()))
F.bad(
    "derivative-doubled",
    "dx",
    "softplus_sq",
    Softplus,
    plain(lambda s, d: d * expit(s.x) * expit(s.x)),
)
F.bad(
    "unexplained",
    "dx",
    "softplus_sigmoid_prime",
    Softplus,
    plain(lambda s, d: d * expit(s.x) * (1 - expit(s.x))),
)


def overflow(s, d):
    with np.errstate(all="ignore"):
        return d * (np.exp(s.x) / (1 + np.exp(s.x))), {}


F.bad(
    "not-finite",
    "dx",
    "softplus_overflow",
    Softplus,
    overflow,
    inputs=at(const([[1.0, 800.0, -2.0], [0.5, -800.0, 900.0]])),
)


@F.right(X)
class Softsign(Act):
    def f(self, x):
        return x / (1 + np.abs(x))

    def df(self):
        return 1 / (1 + np.abs(self.x)) ** 2


F.bad(
    "evaluated-at-output",
    "dx",
    "softsign_y",
    Softsign,
    plain(lambda s, d: d / (1 + np.abs(s.y)) ** 2),
)
F.bad(
    "unexplained", "dx", "softsign_first_power", Softsign, plain(lambda s, d: d / (1 + np.abs(s.x)))
)


@F.right(BAND)
class HardTanh(Act):
    def f(self, x):
        return np.clip(x, -1, 1)

    def df(self):
        return (self.x > -1) & (self.x < 1)


F.bad(
    "mask-threshold", "dx", "hardtanh_tight", HardTanh, plain(lambda s, d: d * (np.abs(s.x) < 0.6))
)
F.bad(
    "mask-inverted", "dx", "hardtanh_outside", HardTanh, plain(lambda s, d: d * (np.abs(s.x) >= 1))
)
F.bad("upstream-nonlinear", "dx", "clips_dout", HardTanh, plain(lambda s, d: np.clip(d, -1, 1)))
F.bad("derivative-missing", "dx", "hardtanh_open", HardTanh, plain(lambda s, d: d.copy()))


@F.right(at(u(5, 4, lo=-4, hi=4)))
class HardSigmoid(Act):
    def f(self, x):
        return np.clip(x / 6 + 0.5, 0, 1)

    def df(self):
        return np.where(np.abs(self.x) < 3, 1 / 6, 0)


F.bad("constant-scale", "dx", "hs_no_sixth", HardSigmoid, plain(lambda s, d: d * (np.abs(s.x) < 3)))
F.bad(
    "mask-threshold", "dx", "hs_at_two", HardSigmoid, plain(lambda s, d: d / 6 * (np.abs(s.x) < 2))
)


@F.right(at(away(5, 4)))
class PRelu:
    """One slope for each channel (the last axis)."""

    def __init__(self):
        self.params = {"a": np.array([0.25, 0.1, -0.2, 0.4])}

    def forward(self, x):
        self.x = x
        return np.maximum(x, 0) + self.params["a"] * np.minimum(x, 0)

    def backward(self, dout):
        neg = self.x < 0
        dx = dout * np.where(neg, self.params["a"], 1)
        return dx, {"a": (dout * self.x * neg).reshape(-1, 4).sum(0)}


def PR(slug, about, name, dx=None, da=None, **k):
    return F.bad(
        slug,
        about,
        name,
        PRelu,
        lambda s, d: (
            PRelu.backward(s, d)[0] if dx is None else dx(s, d),
            PRelu.backward(s, d)[1] if da is None else {"a": da(s, d)},
        ),
        **k,
    )


PR("slope-missing", "dx", "prelu_relu", dx=lambda s, d: d * (s.x > 0))
PR(
    "summed-everything",
    "da",
    "prelu_one_number",
    da=lambda s, d: np.full(4, (d * s.x * (s.x < 0)).sum()),
)
PR(
    "wrong-axis",
    "da",
    "prelu_axis1",
    da=lambda s, d: (d * s.x * (s.x < 0)).sum(1),
    inputs=at(away(4, 4)),
)
PR("mask-inverted", "da", "prelu_positive_a", da=lambda s, d: (d * s.x * (s.x > 0)).sum(0))
PR("not-summed", "da", "prelu_all", da=lambda s, d: d * s.x * (s.x < 0))
PR("batch-mean-doubled", "da", "prelu_mean", da=lambda s, d: (d * s.x * (s.x < 0)).mean(0))
PR("upstream-ignored", "da", "prelu_no_d", da=lambda s, d: (s.x * (s.x < 0)).sum(0))


@F.right(at(n(4, 3, scale=0.7)))
class Exp(Act):
    def f(self, x):
        return np.exp(x)

    def df(self):
        return self.y


F.bad("evaluated-at-output", "dx", "exp_exp", Exp, plain(lambda s, d: d * np.exp(s.y)))
F.bad("evaluated-at-input", "dx", "exp_x", Exp, plain(lambda s, d: d * s.x))


def alias_forward(s, x):
    s.x = x
    s.buf = getattr(s, "buf", np.empty_like(x))
    np.exp(x, out=s.buf)
    s.y = s.buf
    return s.buf


F.bad("aliased-result", "contract", "exp_reuses_output", Exp, forward=alias_forward)


@F.right(at(n(5, 3)))
class Square(Act):
    def f(self, x):
        return x * x

    def df(self):
        return 2 * self.x


F.bad("factor-of-two", "dx", "square_no_two", Square, plain(lambda s, d: d * s.x))
F.bad("evaluated-at-output", "dx", "square_two_y", Square, plain(lambda s, d: 2 * d * s.y))
F.bad("sign-flipped", "dx", "square_minus", Square, plain(lambda s, d: -2 * d * s.x))


@F.right(at(u(4, 3, lo=0.3, hi=3)))
class Sqrt(Act):
    def f(self, x):
        return np.sqrt(x)

    def df(self):
        return 0.5 / self.y


F.bad("evaluated-at-input", "dx", "sqrt_over_x", Sqrt, plain(lambda s, d: d * 0.5 / s.x))
F.bad("factor-of-two", "dx", "sqrt_no_half", Sqrt, plain(lambda s, d: d / s.y))


@F.right(at(u(4, 3, lo=0.3, hi=3)))
class Log(Act):
    def f(self, x):
        return np.log(x)

    def df(self):
        return 1 / self.x


F.bad("evaluated-at-output", "dx", "log_over_y", Log, plain(lambda s, d: d / s.y))
F.bad("upstream-ignored", "dx", "log_recip", Log, plain(lambda s, d: 1 / s.x))


@F.right(X)
class Abs(Act):
    def f(self, x):
        return np.abs(x)

    def df(self):
        return np.sign(self.x)


F.bad("derivative-missing", "dx", "abs_passes", Abs, plain(lambda s, d: d.copy()))
F.bad("sign-flipped", "dx", "abs_minus", Abs, plain(lambda s, d: np.where(s.x < 0, d, -d)))
F.right_at("abs at zero", Abs, at(const([[0.0, -1.0], [2.0, 0.0]])), kinks=True)


@F.right(at(n(5, 3)))
class Reciprocal(Act):
    def f(self, x):
        return 1 / (2 + x**2)

    def df(self):
        return -2 * self.x * self.y**2


F.bad("sign-flipped", "dx", "recip_plus", Reciprocal, plain(lambda s, d: 2 * d * s.x * s.y**2))
F.bad("unexplained", "dx", "recip_one_power", Reciprocal, plain(lambda s, d: -2 * d * s.x * s.y))


@F.right(at(n(5, 4)))
class Sine(Act):
    def f(self, x):
        return np.sin(x)

    def df(self):
        return np.cos(self.x)


F.bad("evaluated-at-output", "dx", "cos_y", Sine, plain(lambda s, d: d * np.cos(s.y)))
F.bad("unexplained", "dx", "sine_again", Sine, plain(lambda s, d: d * np.sin(s.x)))


# ---- soft selections --------------------------------------------------------------------------


@F.right(at(n(5, 4)))
class Softmax(Act):
    def f(self, x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    def backward(self, dout):
        return self.y * (dout - (dout * self.y).sum(-1, keepdims=True)), {}


F.right_at("softmax 3d", Softmax, at(n(2, 3, 4)))


def M(slug, name, fn, **k):
    return F.bad(slug, "dx", name, Softmax, plain(fn), **k)


M("diagonal-only", "softmax_y1y", lambda s, d: d * s.y * (1 - s.y))
M(
    "statistics-axis",
    "softmax_axis0",
    lambda s, d: s.y * (d - (d * s.y).sum(0, keepdims=True)),
    also=("wrong-axis",),
)
M(
    "statistics-axis",
    "softmax_total",
    lambda s, d: s.y * (d - (d * s.y).sum()),
    also=("summed-everything",),
)
M("path-missing", "softmax_numerator_only", lambda s, d: s.y * d)
M(
    "upstream-partial",
    "softmax_sum_without_d",
    lambda s, d: s.y * (d - (s.y * s.y).sum(-1, keepdims=True)),
)
M("evaluated-at-input", "softmax_with_x", lambda s, d: s.x * (d - (d * s.x).sum(-1, keepdims=True)))
M("sign-flipped", "softmax_reversed", lambda s, d: s.y * ((d * s.y).sum(-1, keepdims=True) - d))


@F.right(at(n(4, 3)))
class SoftmaxJacobian:
    """The Jacobian of every row, in a loop."""

    params: dict = {}

    def forward(self, z):
        p = np.exp(z)
        self.p = p / p.sum(1)[:, None]
        return self.p

    def jac(self, p):
        return np.diag(p) - np.outer(p, p)

    def backward(self, dout):
        dz = np.empty_like(dout)
        for i, (p, g) in enumerate(zip(self.p, dout, strict=False)):
            dz[i] = self.jac(p) @ g
        return dz, {}


F.bad(
    "diagonal-only",
    "dx",
    "jac_diag",
    SoftmaxJacobian,
    methods={"jac": lambda s, p: np.diag(p * (1 - p))},
)
F.bad(
    "path-missing", "dx", "jac_no_outer", SoftmaxJacobian, methods={"jac": lambda s, p: np.diag(p)}
)


@F.right(at(n(5, 4)))
class LogSoftmax(Act):
    def f(self, x):
        m = x.max(1, keepdims=True)
        return x - m - np.log(np.exp(x - m).sum(1, keepdims=True))

    def backward(self, dout):
        return dout - np.exp(self.y) * dout.sum(1, keepdims=True), {}


def L(slug, name, fn, **k):
    return F.bad(slug, "dx", name, LogSoftmax, plain(fn), **k)


L("diagonal-only", "lsm_diag", lambda s, d: d * (1 - np.exp(s.y)))
L("path-missing", "lsm_identity", lambda s, d: d.copy(), also=("derivative-missing",))
L(
    "statistics-axis",
    "lsm_axis0",
    lambda s, d: d - np.exp(s.y) * d.sum(0, keepdims=True),
    also=("wrong-axis",),
)
L("upstream-partial", "lsm_d_minus_p", lambda s, d: d - np.exp(s.y))
L("evaluated-at-input", "lsm_exp_x", lambda s, d: d - np.exp(s.x) * d.sum(1, keepdims=True))


@F.right(at(n(4, 5)))
class Temperature(Act):
    def f(self, x):
        e = np.exp(x / 2.5)
        return e / e.sum(1, keepdims=True)

    def backward(self, g):
        return self.y * (g - np.sum(g * self.y, axis=1, keepdims=True)) / 2.5, {}


F.bad(
    "constant-scale",
    "dx",
    "temperature_forgotten",
    Temperature,
    plain(lambda s, g: s.y * (g - np.sum(g * s.y, axis=1, keepdims=True))),
)
F.bad(
    "constant-scale",
    "dx",
    "temperature_times",
    Temperature,
    plain(lambda s, g: 2.5 * s.y * (g - np.sum(g * s.y, axis=1, keepdims=True))),
)


@F.right(at(n(4, 6)))
class Glu:
    params = {}

    def forward(self, x):
        self.a, b = np.split(x, 2, axis=1)
        self.s = expit(b)
        return self.a * self.s

    def backward(self, d):
        return np.concatenate([d * self.s, d * self.a * self.s * (1 - self.s)], 1), {}


F.bad(
    "path-missing",
    "dx",
    "glu_gate_zero",
    Glu,
    plain(lambda s, d: np.hstack([d * s.s, np.zeros_like(d)])),
)
F.bad(
    "axes-permuted",
    "dx",
    "glu_halves_swapped",
    Glu,
    plain(lambda s, d: np.hstack([d * s.a * s.s * (1 - s.s), d * s.s])),
)


@F.right(at(grid(4, 6)))
class Maxout:
    """Maximum of pieces of two."""

    params = {}

    def forward(self, x):
        self.x = x
        z = x.reshape(len(x), -1, 2)
        self.i = z.argmax(-1)
        return z.max(-1)

    def backward(self, d):
        g = np.zeros((*d.shape, 2), d.dtype)
        np.put_along_axis(g, self.i[..., None], d[..., None], -1)
        return g.reshape(self.x.shape), {}


TIE = at(const([[1.0, 1.0, 2.0, 0.0, 3.0, 3.0], [0.5, 0.5, -1.0, 4.0, 2.0, 2.0]]))
F.right_at("maxout tied", Maxout, TIE, kinks=True)


def maxout_all(s, d):
    z = s.x.reshape(len(d), -1, 2)
    return ((z == z.max(-1, keepdims=True)) * d[..., None]).reshape(s.x.shape), {}


def maxout_none(s, d):
    z = s.x.reshape(len(d), -1, 2)
    return ((z > z[..., ::-1]) * d[..., None]).reshape(s.x.shape), {}


F.bad("ties", "dx", "maxout_full_to_each", Maxout, maxout_all, inputs=TIE, kinks=True)
F.bad("ties", "dx", "maxout_to_none", Maxout, maxout_none, inputs=TIE, kinks=True)
F.bad(
    "mask-inverted",
    "dx",
    "maxout_loser",
    Maxout,
    lambda s, d: (lambda g: (g.reshape(s.x.shape), {}))(
        (np.arange(2) != s.i[..., None]) * d[..., None]
    ),
)
F.bad(
    "axes-permuted",
    "dx",
    "maxout_piece_first",
    Maxout,
    lambda s, d: (
        np.ascontiguousarray(
            Maxout.backward(s, d)[0].reshape(len(d), -1, 2).transpose(0, 2, 1)
        ).reshape(s.x.shape),
        {},
    ),
)
