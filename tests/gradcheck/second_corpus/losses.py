"""Losses on scores and labels or targets; every one a mean over the batch."""

import numpy as np
from scipy.special import expit

from .tools import Fam, at, const, grid, ints, n, u

F = Fam("second: losses")
CLS = at(n(6, 4), ints(6, high=4))


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def loss(slug, name, right, fn, about="dscores", **k):
    F.bad(slug, about, name, right, fn, **k)


@F.right(CLS, kind="loss")
class SoftmaxLoss:
    def forward(self, scores, y):
        self.p, self.y = softmax(scores), y
        self.scores = scores
        return -np.mean(np.log(self.p[np.arange(len(y)), y]))

    def raw(self):
        d = self.p.copy()
        d[np.arange(len(self.y)), self.y] -= 1
        return d

    def backward(self):
        return self.raw() / len(self.y)


F.right_at("softmax loss one sample", SoftmaxLoss, at(n(1, 5), ints(1, high=5)))
F.right_at(
    "softmax loss float32", SoftmaxLoss, at(n(6, 4, dtype=np.float32), ints(6, high=4)), double={}
)
F.right_at("softmax loss large scores", SoftmaxLoss, at(n(6, 4, scale=20), ints(6, high=4)))
loss("batch-mean-missing", "ce_sum", SoftmaxLoss, lambda s: s.raw())
loss("batch-mean-doubled", "ce_over_n2", SoftmaxLoss, lambda s: s.raw() / len(s.y) ** 2)
loss("dimension-scale", "ce_over_nc", SoftmaxLoss, lambda s: s.raw() / s.p.size)
loss("label-term", "ce_no_minus_one", SoftmaxLoss, lambda s: s.p / len(s.y))
loss("sign-flipped", "ce_target_minus_p", SoftmaxLoss, lambda s: -s.raw() / len(s.y))
loss(
    "diagonal-only",
    "ce_label_column_only",
    SoftmaxLoss,
    lambda s: np.where(s.raw() < 0, s.raw(), 0) / len(s.y),
    also=("path-missing",),
)
loss(
    "part-of-batch",
    "ce_first_half",
    SoftmaxLoss,
    lambda s: s.raw() / len(s.y) * (np.arange(len(s.y)) < 3)[:, None],
)
loss(
    "derivative-doubled",
    "ce_softmax_twice",
    SoftmaxLoss,
    lambda s: s.raw() * s.p * (1 - s.p) / len(s.y),
    also=("unexplained",),
)
loss(
    "evaluated-at-input",
    "ce_scores_for_p",
    SoftmaxLoss,
    lambda s: (s.scores - (s.p - s.raw())) / len(s.y),
    also=("wrong-operand",),
)
loss(
    "precision-lost",
    "ce_half",
    SoftmaxLoss,
    lambda s: (s.raw() / len(s.y)).astype(np.float16).astype(float),
)
loss(
    "constant-leak",
    "ce_eps",
    SoftmaxLoss,
    lambda s: s.raw() / len(s.y) + 1e-4,
    also=("unexplained",),
)
loss("shape", "ce_summed", SoftmaxLoss, lambda s: (s.raw() / len(s.y)).sum(0))
loss(
    "dtype",
    "ce_float32",
    SoftmaxLoss,
    lambda s: (s.raw() / len(s.y)).astype(np.float32),
    also=("precision-lost",),
)
loss("dtype", "ce_complex", SoftmaxLoss, lambda s: (s.raw() / len(s.y)).astype(complex))


def minus_in_cache(s):
    s.p[np.arange(len(s.y)), s.y] -= 1
    return s.p / len(s.y)


loss("accumulates", "ce_minus_one_in_cache", SoftmaxLoss, minus_in_cache, also=("stale-cache",))


@F.right(CLS, kind="loss")
class SoftmaxLoopLoss:
    def forward(self, scores, y):
        N, C = scores.shape
        self.d = np.zeros_like(scores)
        total = 0.0
        for i in range(N):
            z = scores[i] - scores[i].max()
            p = np.exp(z) / np.exp(z).sum()
            total -= np.log(p[y[i]])
            for j in range(C):
                self.d[i, j] = (p[j] - self.one(j, y[i])) / self.count(N, C)
        return total / N

    def one(self, j, label):
        return float(j == label)

    def count(self, N, C):
        return N

    def backward(self):
        return self.d.copy()


loss(
    "label-term",
    "loop_label_doubled",
    SoftmaxLoopLoss,
    None,
    methods={"one": lambda s, j, l: 2.0 * (j == l)},
)
loss(
    "label-term",
    "loop_label_plus",
    SoftmaxLoopLoss,
    None,
    methods={"one": lambda s, j, l: -1.0 * (j == l)},
)
loss(
    "batch-mean-missing",
    "loop_no_count",
    SoftmaxLoopLoss,
    None,
    methods={"count": lambda s, N, C: 1},
)
loss(
    "dimension-scale",
    "loop_count_C_too",
    SoftmaxLoopLoss,
    None,
    methods={"count": lambda s, N, C: N * C},
)


@F.right(at(n(6, 4, scale=2), ints(6, high=4)), kind="loss")
class Hinge:
    def __init__(self, delta=1.0):
        self.delta = delta

    def forward(self, scores, y):
        r = np.arange(len(y))
        self.m = np.maximum(0, scores - scores[r, y][:, None] + self.delta)
        self.m[r, y] = 0
        self.raw_m = scores - scores[r, y][:, None] + self.delta
        self.r, self.y = r, y
        return self.m.sum() / len(y)

    def mask(self):
        return (self.m > 0).astype(self.m.dtype)

    def label(self, d):
        return -d.sum(1)

    def scale(self):
        return len(self.y)

    def backward(self):
        d = self.mask()
        d[self.r, self.y] = self.label(d)
        return d / self.scale()


F.right_at("hinge small delta", Hinge, at(n(5, 3), ints(5, high=3)), delta=0.2)


def H(slug, name, **k):
    return F.bad(slug, "dscores", name, Hinge, methods=k)


H("label-term", "hinge_minus_one", label=lambda s, d: -1.0)
H("label-term", "hinge_no_label", label=lambda s, d: 0.0)
H("label-term", "hinge_plus_count", label=lambda s, d: d.sum(1))
H("batch-mean-missing", "hinge_sum", scale=lambda s: 1)
H("batch-mean-doubled", "hinge_twice", scale=lambda s: len(s.y) ** 2)
H("dimension-scale", "hinge_classes", scale=lambda s: len(s.y) * s.m.shape[1])
H("mask-threshold", "hinge_margin_over_one", mask=lambda s: (s.m > 1).astype(float))
H("sign-flipped", "hinge_negative", scale=lambda s: -len(s.y))
H(
    "mask-inverted",
    "hinge_satisfied",
    mask=lambda s: ((s.m <= 0) & (np.arange(4) != s.y[:, None])).astype(float),
)


def weston(s):
    d = 2 * s.m
    d[s.r, s.y] = -d.sum(1)
    return d / len(s.y)


F.bad("unexplained", "dscores", "hinge_squared_gradient", Hinge, weston)


@F.right(at(n(6, 4, scale=2), ints(6, high=4)), kind="loss")
class SquaredHinge(Hinge):
    def forward(self, scores, y):
        Hinge.forward(self, scores, y)
        return (self.m**2).sum() / len(y)

    def mask(self):
        return 2 * self.m


F.bad(
    "factor-of-two",
    "dscores",
    "sqhinge_no_two",
    SquaredHinge,
    methods={"mask": lambda s: s.m.copy()},
)
F.bad(
    "label-term",
    "dscores",
    "sqhinge_label_minus_one",
    SquaredHinge,
    methods={"label": lambda s, d: -1.0},
)
F.bad(
    "unexplained",
    "dscores",
    "sqhinge_plain_mask",
    SquaredHinge,
    methods={"mask": lambda s: 2.0 * (s.m > 0)},
)


@F.right(at(n(5, 3), n(5, 3)), kind="loss")
class Mse:
    def forward(self, pred, target):
        self.diff = pred - target
        return np.mean(np.sum(self.diff**2, axis=1))

    def backward(self):
        return 2 * self.diff / len(self.diff)


loss("factor-of-two", "mse_no_two", Mse, lambda s: s.diff / len(s.diff))
loss("sign-flipped", "mse_target_minus", Mse, lambda s: -2 * s.diff / len(s.diff))
loss("batch-mean-missing", "mse_sum", Mse, lambda s: 2 * s.diff)
loss("batch-mean-doubled", "mse_twice", Mse, lambda s: 2 * s.diff / len(s.diff) ** 2)
loss("dimension-scale", "mse_size", Mse, lambda s: 2 * s.diff / s.diff.size)
loss(
    "summed-everything",
    "mse_one_number",
    Mse,
    lambda s: np.full_like(s.diff, (2 * s.diff / len(s.diff)).sum()),
)
loss("part-of-batch", "mse_last_only", Mse, lambda s: 2 * s.diff / 5 * (np.arange(5) == 4)[:, None])
loss(
    "aliased-result",
    "mse_returns_cache",
    Mse,
    lambda s: s.grad_buffer(),
    methods={
        "grad_buffer": lambda s: np.divide(
            2 * s.diff, len(s.diff), out=s.__dict__.setdefault("buf", np.empty_like(s.diff))
        )
    },
)
loss("raises", "mse_typo", Mse, lambda s: 2 * s.dif / len(s.diff), about="contract")


def mse_mut(s, pred, target):
    pred -= target
    s.diff = pred.copy()
    return np.mean(np.sum(pred**2, axis=1))


F.bad("input-mutated", "contract", "mse_in_place", Mse, forward=mse_mut)


def mse_first(s, pred, target):
    if getattr(s, "diff", None) is None:
        s.diff = pred - target
    return np.mean(np.sum((pred - target) ** 2, axis=1))


F.bad("stale-cache", "dscores", "mse_cached_once", Mse, forward=mse_first)


@F.right(at(n(4, 5), n(4, 5)), kind="loss")
class MseAll:
    def forward(self, a, b):
        self.a, self.b = a, b
        return ((a - b) ** 2).mean()

    def backward(self):
        return 2 / self.a.size * (self.a - self.b)


F.bad("dimension-scale", "dscores", "mseall_only_N", MseAll, lambda s: 2 / len(s.a) * (s.a - s.b))
F.bad(
    "batch-mean-missing",
    "dscores",
    "mseall_only_D",
    MseAll,
    lambda s: 2 / s.a.shape[1] * (s.a - s.b),
)
F.bad("sign-flipped", "dscores", "mseall_b_minus_a", MseAll, lambda s: 2 / s.a.size * (s.b - s.a))


@F.right(at(n(6, 2, scale=1.5), n(6, 2)), kind="loss")
class Huber:
    def forward(self, p, t):
        r = p - t
        self.r = r
        a = np.abs(r)
        return np.where(a <= 1, 0.5 * r**2, a - 0.5).sum() / len(p)

    def backward(self):
        return np.clip(self.r, -1, 1) / len(self.r)


loss(
    "mask-threshold",
    "huber_delta_half",
    Huber,
    lambda s: np.where(np.abs(s.r) <= 0.5, s.r, np.sign(s.r)) / 6,
    inputs=at(lambda r: r.uniform(0.55, 0.95, (6, 2)) * np.array([1, -3]), const(np.zeros((6, 2)))),
)
loss("factor-of-two", "huber_two", Huber, lambda s: 2 * np.clip(s.r, -1, 1) / 6)
loss("batch-mean-missing", "huber_sum", Huber, lambda s: np.clip(s.r, -1, 1))
loss(
    "unexplained", "huber_unsigned_tail", Huber, lambda s: np.where(np.abs(s.r) <= 1, s.r, 1.0) / 6
)
loss(
    "mask-inverted",
    "huber_branches",
    Huber,
    lambda s: np.where(np.abs(s.r) > 1, s.r, np.sign(s.r)) / 6,
    also=("unexplained",),
)


def targets(*shape):
    return lambda rng: rng.dirichlet(np.ones(shape[1]), size=shape[0])


@F.right(at(n(5, 4), targets(5, 4)), kind="loss")
class KLFromScores:
    def forward(self, scores, q):
        self.q, self.p = q, softmax(scores)
        return np.sum(q * (np.log(q) - np.log(self.p))) / len(q)

    def backward(self):
        return (self.p - self.q) / len(self.q)


loss("sign-flipped", "kl_reversed", KLFromScores, lambda s: (s.q - s.p) / len(s.q))
loss("diagonal-only", "kl_diag", KLFromScores, lambda s: -s.q * (1 - s.p) / len(s.q))
loss("label-term", "kl_without_q", KLFromScores, lambda s: s.p / len(s.q))
loss("batch-mean-missing", "kl_total", KLFromScores, lambda s: s.p - s.q)


@F.right(at(n(8, 1), lambda r: r.integers(0, 2, size=(8, 1)).astype(float)), kind="loss")
class BceScores:
    def forward(self, s, t):
        self.s, self.t = s, t
        return np.mean(np.maximum(s, 0) - s * t + np.log1p(np.exp(-np.abs(s))))

    def backward(self):
        return (expit(self.s) - self.t) / self.s.size


loss(
    "derivative-doubled",
    "bce_sigmoid_prime",
    BceScores,
    lambda s: (expit(s.s) - s.t) * expit(s.s) * (1 - expit(s.s)) / 8,
)
loss("label-term", "bce_no_t", BceScores, lambda s: expit(s.s) / 8)
loss(
    "evaluated-at-input",
    "bce_s_minus_t",
    BceScores,
    lambda s: (s.s - s.t) / 8,
    also=("derivative-missing",),
)


def bce_naive(s):
    with np.errstate(all="ignore"):
        p = expit(s.s)
        return (p - s.t) / (p * (1 - p)) * p * (1 - p) / s.s.size


loss(
    "not-finite",
    "bce_naive_chain",
    BceScores,
    bce_naive,
    inputs=at(
        lambda r: (
            np.array([[1.0], [60.0], [-2.0], [-0.3], [80.0], [2.0], [0.1], [50.0]])
            + r.uniform(0, 1, (8, 1))
        ),
        lambda r: np.array([[1.0], [0.0], [0.0], [1.0], [1.0], [0.0], [1.0], [0.0]]),
    ),
)


@F.right(at(u(6, 1, lo=0.1, hi=0.9), const([[1], [0], [0], [1], [1], [0]])), kind="loss")
class BceProb:
    def forward(self, p, t):
        self.p, self.t = p, t
        return -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))

    def backward(self):
        return (self.p - self.t) / (self.p * (1 - self.p)) / len(self.p)


loss("path-missing", "bce_only_t_term", BceProb, lambda s: -s.t / s.p / 6)
loss(
    "unexplained",
    "bce_p_minus_t",
    BceProb,
    lambda s: (s.p - s.t) / 6,
    also=("derivative-missing", "derivative-doubled"),
)


@F.right(CLS, kind="loss")
class Smoothed:
    eps = 0.1

    def forward(self, scores, y):
        C = scores.shape[1]
        self.p = softmax(scores)
        self.t = np.full_like(scores, self.eps / C)
        self.t[np.arange(len(y)), y] += 1 - self.eps
        self.y = y
        return -(self.t * np.log(self.p)).sum() / len(y)

    def backward(self):
        return (self.p - self.t) / len(self.p)


loss(
    "label-term",
    "smooth_label_not_smoothed",
    Smoothed,
    lambda s: (s.p - np.where(np.arange(4) == s.y[:, None], 1.0, s.t)) / 6,
)
loss(
    "label-term",
    "smooth_no_eps_share",
    Smoothed,
    lambda s: (s.p - np.where(np.arange(4) == s.y[:, None], 1 - s.eps, s.t)) / 6,
)
loss("dimension-scale", "smooth_over_C", Smoothed, lambda s: (s.p - s.t) / s.p.size)


@F.right(CLS, kind="loss")
class Focal:
    g = 2.0

    def forward(self, scores, y):
        self.p, self.y = softmax(scores), y
        self.pt = self.p[np.arange(len(y)), y]
        return np.mean(-((1 - self.pt) ** self.g) * np.log(self.pt))

    def dpt(self):
        return (
            self.g * (1 - self.pt) ** (self.g - 1) * np.log(self.pt)
            - (1 - self.pt) ** self.g / self.pt
        )

    def backward(self):
        one = np.eye(self.p.shape[1])[self.y]
        return self.dpt()[:, None] * self.pt[:, None] * (one - self.p) / len(self.y)


F.bad(
    "path-missing",
    "dscores",
    "focal_weight_constant",
    Focal,
    methods={"dpt": lambda s: -((1 - s.pt) ** s.g) / s.pt},
)
F.bad(
    "path-missing",
    "dscores",
    "focal_log_constant",
    Focal,
    methods={"dpt": lambda s: s.g * (1 - s.pt) ** (s.g - 1) * np.log(s.pt)},
)
F.bad(
    "diagonal-only",
    "dscores",
    "focal_label_column",
    Focal,
    lambda s: s.dpt()[:, None] * s.pt[:, None] * (np.eye(4)[s.y] * (1 - s.p)) / len(s.y),
)
F.bad(
    "label-term",
    "dscores",
    "focal_one_missing",
    Focal,
    lambda s: s.dpt()[:, None] * s.pt[:, None] * -s.p / len(s.y),
)


@F.right(at(grid(5, 6, step=0.13), ints(5, high=6)), kind="loss")
class LogisticMargin:
    """log(1 + sum_j exp(s_j - s_y)), one more dress of the softmax loss, with a per-class weight."""

    weight = np.array([1.0, 2.0, 0.5, 1.5, 0.7, 1.2])

    def forward(self, s, y):
        e = np.exp(s - s[np.arange(len(y)), y][:, None])
        self.q = e / e.sum(1, keepdims=True)
        self.y = y
        return np.mean(self.weight[y] * np.log(e.sum(1)))

    def backward(self):
        g = self.q - np.eye(6)[self.y]
        return g * self.weight[self.y][:, None] / len(self.y)


F.bad(
    "wrong-operand",
    "dscores",
    "weight_by_column",
    LogisticMargin,
    lambda s: (s.q - np.eye(6)[s.y]) * s.weight / len(s.y),
    also=("wrong-axis", "unexplained"),
)
F.bad(
    "batch-mean-missing",
    "dscores",
    "margin_sum",
    LogisticMargin,
    lambda s: (s.q - np.eye(6)[s.y]) * s.weight[s.y][:, None],
)


# ---- losses as layers with several inputs, scalar output ---------------------------------------

G = Fam("second, pair losses")


@G.right(at(n(5, 3), n(5, 3), n(5, 3)))
class Triplet:
    params = {}

    def forward(self, a, p, q):
        self.ap, self.aq = a - p, a - q
        self.on = ((self.ap**2).sum(1) - (self.aq**2).sum(1) + 1 > 0)[:, None]
        return np.maximum(0, (self.ap**2).sum(1) - (self.aq**2).sum(1) + 1).mean()

    def backward(self, dout):
        k = 2 * dout * self.on / len(self.on)
        return (k * (self.ap - self.aq), -k * self.ap, k * self.aq), {}


def trip(**over):
    def backward(s, d):
        out = list(Triplet.backward(s, d)[0])
        k = 2 * d * s.on / len(s.on)
        for i, fn in over.items():
            out[int(i[1])] = fn(s, d, k)
        return tuple(out), {}

    return backward


G.bad("path-missing", "dx[0]", "anchor_only_positive", Triplet, trip(i0=lambda s, d, k: k * s.ap))
G.bad("sign-flipped", "dx[1]", "positive_pulled_away", Triplet, trip(i1=lambda s, d, k: k * s.ap))
G.bad("factor-of-two", "dx[2]", "negative_no_two", Triplet, trip(i2=lambda s, d, k: k * s.aq / 2))
G.bad(
    "batch-mean-missing",
    "dx[1]",
    "positive_sum",
    Triplet,
    trip(i1=lambda s, d, k: -k * s.ap * len(s.on)),
)
G.bad(
    "mask-inverted",
    "dx[0]",
    "hinge_off",
    Triplet,
    trip(i0=lambda s, d, k: 2 * d * ~s.on / 5 * (s.ap - s.aq)),
    inputs=at(n(5, 3), n(5, 3), n(5, 3, scale=1.5)),
)
G.bad(
    "wrong-operand", "dx[2]", "negative_uses_positive", Triplet, trip(i2=lambda s, d, k: k * s.ap)
)
G.bad(
    "upstream-ignored",
    "dx[1]",
    "no_dout_positive",
    Triplet,
    trip(i1=lambda s, d, k: -2 * s.on / 5 * s.ap),
)


@G.right(at(n(6, 3), n(6, 3), ints(6, high=2)))
class Contrastive:
    params = {}

    def forward(self, a, b, same):
        self.diff, self.same = a - b, same[:, None]
        self.dist = np.sqrt((self.diff**2).sum(1, keepdims=True))
        self.gap = np.maximum(0, 2.5 - self.dist)
        return np.sum(self.same * self.dist**2 + (1 - self.same) * self.gap**2) / len(a)

    def backward(self, dout):
        g = 2 * self.same * self.diff - 2 * (1 - self.same) * self.gap * self.diff / self.dist
        g = dout * g / len(g)
        return (g, -g, None), {}


def contr(fn, both=True):
    def backward(s, d):
        g = d * fn(s) / len(s.diff)
        return (g, -g if both else g.copy(), None), {}

    return backward


PAIRS = at(n(6, 3, scale=0.6), n(6, 3, scale=0.6), lambda r: np.array([0, 1, 0, 1, 1, 0]))
G.right_at("contrastive mixed", Contrastive, PAIRS)


def _g(s):
    return 2 * s.same * s.diff - 2 * (1 - s.same) * s.gap * s.diff / s.dist


G.bad(
    "path-missing",
    "dx[0]",
    "only_similar_pairs",
    Contrastive,
    contr(lambda s: 2 * s.same * s.diff),
    inputs=PAIRS,
)
G.bad(
    "sign-flipped", "dx[1]", "second_not_negated", Contrastive, contr(_g, both=False), inputs=PAIRS
)
G.bad(
    "unexplained",
    "dx[0]",
    "distance_not_divided",
    Contrastive,
    contr(lambda s: 2 * s.same * s.diff - 2 * (1 - s.same) * s.gap * s.diff),
    inputs=PAIRS,
    also=("path-missing",),
)


@G.right(at(n(4, 5), n(4, 5)))
class Cosine:
    params = {}

    def forward(self, u, v):
        self.u, self.v = u, v
        self.nu = np.linalg.norm(u, axis=1, keepdims=True)
        self.nv = np.linalg.norm(v, axis=1, keepdims=True)
        self.c = (u * v).sum(1, keepdims=True) / (self.nu * self.nv)
        return self.c[:, 0].copy()

    def du(self, d):
        return d * (self.v / (self.nu * self.nv) - self.c * self.u / self.nu**2)

    def dv(self, d):
        return d * (self.u / (self.nu * self.nv) - self.c * self.v / self.nv**2)

    def backward(self, d):
        d = d[:, None]
        return (self.du(d), self.dv(d)), {}


G.bad(
    "path-missing",
    "dx[0]",
    "norm_constant",
    Cosine,
    methods={"du": lambda s, d: d * s.v / (s.nu * s.nv)},
)
G.bad(
    "wrong-operand",
    "dx[1]",
    "cosine_dv_u",
    Cosine,
    methods={"dv": lambda s, d: d * (s.v / (s.nu * s.nv) - s.c * s.v / s.nv**2)},
)
G.bad(
    "wrong-operand",
    "dx[0]",
    "cosine_norm_of_v",
    Cosine,
    methods={"du": lambda s, d: d * (s.v / (s.nu * s.nv) - s.c * s.u / s.nv**2)},
    also=("unexplained",),
)


@G.right(at(n(5, 2), n(5, 2, scale=0.5)))
class KlVae:
    """KL(N(mu, exp(lv)) || N(0, 1)), the mean over the batch."""

    params = {}

    def forward(self, mu, lv):
        self.mu, self.lv = mu, lv
        return -0.5 * np.sum(1 + lv - mu**2 - np.exp(lv)) / len(mu)

    def backward(self, dout):
        N = len(self.mu)
        return (dout * self.mu / N, dout * 0.5 * (np.exp(self.lv) - 1) / N), {}


G.bad(
    "factor-of-two",
    "dx[0]",
    "kl_half_mu",
    KlVae,
    lambda s, d: ((d * 0.5 * s.mu / 5, KlVae.backward(s, d)[0][1]), {}),
)
G.bad(
    "path-missing",
    "dx[1]",
    "kl_no_minus_one",
    KlVae,
    lambda s, d: ((KlVae.backward(s, d)[0][0], 0.5 * d * np.exp(s.lv) / 5), {}),
)
G.bad(
    "upstream-ignored",
    "dx[0]",
    "kl_no_dout",
    KlVae,
    lambda s, d: ((s.mu / 5, 0.5 * (np.exp(s.lv) - 1) / 5), {}),
)
G.bad(
    "batch-mean-missing",
    "dx[0]",
    "kl_sum_both",
    KlVae,
    lambda s, d: ((d * s.mu, d * 0.5 * (np.exp(s.lv) - 1)), {}),
)


@G.right(at(n(6, 2), n(6, 2, scale=0.5), n(6, 2)))
class NormalNll:
    """Normal negative log-likelihood with learned log sigma."""

    params = {}

    def forward(self, m, ls, t):
        self.z, self.s = (t - m) / np.exp(ls), np.exp(ls)
        return np.sum(0.5 * self.z**2 + ls) / len(m)

    def backward(self, dout):
        k = dout / len(self.z)
        return (-k * self.z / self.s, k * (1 - self.z**2), k * self.z / self.s), {}


def nll(i, fn):
    def backward(s, d):
        out = list(NormalNll.backward(s, d)[0])
        out[i] = fn(s, d / len(s.z))
        return tuple(out), {}

    return backward


G.bad("path-missing", "dx[1]", "nll_log_term", NormalNll, nll(1, lambda s, k: -k * s.z**2))
G.bad(
    "path-missing",
    "dx[1]",
    "nll_square_term",
    NormalNll,
    nll(1, lambda s, k: k * np.ones_like(s.z)),
)
G.bad("sign-flipped", "dx[0]", "nll_mean_sign", NormalNll, nll(0, lambda s, k: k * s.z / s.s))
G.bad(
    "gradient-missing",
    "dx[2]",
    "nll_target_none",
    NormalNll,
    nll(2, lambda s, k: None),
)


@G.right(at(n(4, 3), n(5, 3)))
class PairwiseSquared:
    params = {}

    def forward(self, a, b):
        self.a, self.b = a, b
        return (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)

    def backward(self, d):
        da = 2 * d.sum(1)[:, None] * self.a - 2 * d @ self.b
        db = 2 * d.sum(0)[:, None] * self.b - 2 * d.T @ self.a
        return (da, db), {}


def pw(i, fn):
    def backward(s, d):
        out = list(PairwiseSquared.backward(s, d)[0])
        out[i] = fn(s, d)
        return tuple(out), {}

    return backward


G.bad("path-missing", "dx[0]", "pair_cross_only", PairwiseSquared, pw(0, lambda s, d: -2 * d @ s.b))
G.bad(
    "path-missing",
    "dx[1]",
    "pair_square_only",
    PairwiseSquared,
    pw(1, lambda s, d: 2 * d.sum(0)[:, None] * s.b),
)
G.bad(
    "factor-of-two",
    "dx[0]",
    "pair_no_two",
    PairwiseSquared,
    pw(0, lambda s, d: d.sum(1)[:, None] * s.a - d @ s.b),
)
G.bad(
    "wrong-axis",
    "dx[1]",
    "pair_row_sums",
    PairwiseSquared,
    pw(1, lambda s, d: 2 * d.sum(1)[:, None] * s.b - 2 * d.T @ s.a),
    inputs=at(n(4, 3), n(4, 3)),
)
G.bad(
    "transposed",
    "dx[1]",
    "pair_d_not_T",
    PairwiseSquared,
    pw(1, lambda s, d: 2 * d.sum(0)[:, None] * s.b - 2 * d @ s.a),
    inputs=at(n(4, 3), n(4, 3)),
)


@G.right(at(n(3, 5)))
class CtcLikeSum:
    """Log of the sum over monotone alignments of two labels, by the forward-backward recursion."""

    params = {}

    def forward(self, s):
        T = s.shape[1]
        self.s = s
        self.cum = np.cumsum(s, 1)
        terms = np.stack(
            [self.cum[:, t] + 0.5 * (self.cum[:, -1] - self.cum[:, t]) for t in range(T)], 1
        )
        m = terms.max(1, keepdims=True)
        e = np.exp(terms - m)
        self.post = e / e.sum(1, keepdims=True)
        return m[:, 0] + np.log(e.sum(1))

    def backward(self, d):
        after = np.cumsum(self.post[:, ::-1], 1)[:, ::-1]  # P(switch at or after t)
        return d[:, None] * (after + 0.5 * (1 - after)), {}


G.bad(
    "path-missing",
    "dx",
    "ctc_second_label",
    CtcLikeSum,
    lambda s, d: (d[:, None] * np.cumsum(s.post[:, ::-1], 1)[:, ::-1], {}),
)
G.bad(
    "flipped",
    "dx",
    "ctc_time_reversed",
    CtcLikeSum,
    lambda s, d: (CtcLikeSum.backward(s, d)[0][:, ::-1].copy(), {}),
)
G.bad(
    "diagonal-only",
    "dx",
    "ctc_posterior_only",
    CtcLikeSum,
    lambda s, d: (d[:, None] * s.post, {}),
    also=("path-missing", "unexplained"),
)
