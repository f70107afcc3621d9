"""Convolutions and pooling, in loops, windows and im2col."""

import numpy as np

from .tools import Fam, at, grid, n, w

F = Fam("second: convs")


@F.right(at(n(2, 2, 5, 5)))
class Conv:
    def __init__(self, C=2, K=3, k=3, stride=1, pad=1):
        self.params = {"W": w(K, C, k, k, seed=1), "b": w(K, seed=2)}
        self.stride, self.pad = stride, pad

    def forward(self, x):
        W, b = self.params["W"], self.params["b"]
        s, p = self.stride, self.pad
        N, _C, H, Wd = x.shape
        K, _, kh, kw = W.shape
        self.x = x
        self.xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        self.oh, self.ow = (H + 2 * p - kh) // s + 1, (Wd + 2 * p - kw) // s + 1
        y = np.zeros((N, K, self.oh, self.ow))
        for i in range(self.oh):
            for j in range(self.ow):
                y[:, :, i, j] = (
                    np.tensordot(
                        self.xp[:, :, i * s : i * s + kh, j * s : j * s + kw],
                        W,
                        ([1, 2, 3], [1, 2, 3]),
                    )
                    + b
                )
        return y

    def scatter(self, dxp, sl, part):
        dxp[sl] += part

    def crop(self, dxp):
        p = self.pad
        H, W = self.x.shape[2:]
        return dxp[:, :, p : p + H, p : p + W].copy()

    def fixW(self, dW):
        return dW

    def db(self, d):
        return d.sum((0, 2, 3))

    step = None

    def backward(self, d):
        W, s = self.params["W"], self.step or self.stride
        kh, kw = W.shape[2:]
        dxp, dW = np.zeros_like(self.xp), np.zeros_like(W)
        for i in range(self.oh):
            for j in range(self.ow):
                sl = (slice(None), slice(None), slice(i * s, i * s + kh), slice(j * s, j * s + kw))
                self.scatter(dxp, sl, np.tensordot(d[:, :, i, j], W, (1, 0)))
                dW += np.tensordot(d[:, :, i, j], self.xp[sl], (0, 0))
        return self.crop(dxp), {"W": self.fixW(dW), "b": self.db(d)}


F.right_at("stride 2", Conv, at(n(2, 2, 5, 5)), stride=2)
F.right_at("remainder", Conv, at(n(1, 2, 6, 5)), stride=2, pad=0, k=3)
F.right_at("one by one", Conv, at(n(2, 2, 3, 4)), k=1, pad=0)
F.right_at("kernel as large as the image", Conv, at(n(2, 1, 3, 3)), C=1, K=2, pad=0)


def cv(slug, about, name, args=None, inputs=None, also=(), **k):
    return F.bad(
        slug,
        about,
        name,
        Conv,
        methods=k,
        inputs=inputs,
        also=also,
        **({"args": args} if args else {}),
    )


def assign(s, dxp, sl, part):
    dxp[sl] = part


cv("overlap-overwritten", "dx", "conv_assign", scatter=assign)
cv("overlap-overwritten", "dx", "conv_assign_stride2", args={"stride": 2}, scatter=assign)
cv("flipped", "dW", "conv_rot180", fixW=lambda s, dW: dW[:, :, ::-1, ::-1].copy())
cv("flipped", "dW", "conv_flip_rows", fixW=lambda s, dW: dW[:, :, ::-1].copy())
cv("transposed", "dW", "conv_kernel_T", fixW=lambda s, dW: np.ascontiguousarray(dW.swapaxes(2, 3)))
cv(
    "axes-permuted",
    "dW",
    "conv_channels_swapped",
    args={"C": 3, "K": 3},
    inputs=at(n(2, 3, 4, 4)),
    also=("transposed",),
    fixW=lambda s, dW: np.ascontiguousarray(dW.swapaxes(0, 1)),
)
cv("padding-or-stride", "dx", "conv_no_crop_offset", crop=lambda s, g: g[:, :, :5, :5].copy())
cv("padding-or-stride", "dx", "conv_crop_end", crop=lambda s, g: g[:, :, 2:, 2:].copy())
cv("padding-or-stride", "dx", "conv_padded_dx", also=("shape",), crop=lambda s, g: g)
cv("padding-or-stride", "dx", "conv_stride_ignored", args={"stride": 2}, step=1)
cv(
    "wrong-axis",
    "db",
    "conv_db_axes",
    args={"C": 2, "K": 4},
    inputs=at(n(2, 2, 4, 4)),
    db=lambda s, d: d.sum((0, 1, 2)),
)
cv("not-summed", "db", "conv_db_batch", db=lambda s, d: d.sum((2, 3)))
cv(
    "batch-mean-doubled",
    "dW",
    "conv_dW_mean",
    inputs=at(n(3, 2, 4, 4)),
    fixW=lambda s, dW: dW / len(s.x),
)
cv("dimension-scale", "db", "conv_db_spatial_mean", db=lambda s, d: d.mean((2, 3)).sum(0))
cv("part-of-batch", "db", "conv_db_first", db=lambda s, d: d[0].sum((1, 2)))
cv("summed-everything", "db", "conv_db_all", db=lambda s, d: np.full(3, d.sum()))
cv(
    "bias-penalized",
    "db",
    "conv_db_decay",
    db=lambda s, d: d.sum((0, 2, 3)) + 2 * 0.05 * s.params["b"],
)
cv("penalty-extra", "dW", "conv_wd", fixW=lambda s, dW: dW + 5e-3 * s.params["W"])
cv("precision-lost", "dW", "conv_half", fixW=lambda s, dW: dW.astype(np.float16).astype(float))
cv("shape", "dW", "conv_flat_dW", fixW=lambda s, dW: dW.reshape(len(dW), -1))
cv(
    "accumulates",
    "dW",
    "conv_sum_over_calls",
    fixW=lambda s, dW: s.__dict__.update(t=s.__dict__.get("t", 0) + dW) or s.t.copy(),
)


@F.right(at(n(2, 3, 7)))
class Conv1d:
    """sliding_window_view and einsum; valid, any stride."""

    def __init__(self, stride=1, k=3, C=3, K=2):
        self.kernel = w(k, C, K, seed=5)
        self.params = {"kernel": self.kernel}
        self.s = stride

    def forward(self, x):
        k = len(self.kernel)
        self.shape = x.shape
        self.win = np.lib.stride_tricks.sliding_window_view(x, k, axis=2)[:, :, :: self.s]
        return np.einsum("nctk,kco->not", self.win, self.kernel)

    def dkernel(self, d):
        return np.einsum("not,nctk->kco", d, self.win)

    def dx(self, d):
        dx = np.zeros(self.shape)
        k = len(self.kernel)
        for t in range(d.shape[2]):
            self.put(dx, t * self.s, k, np.einsum("no,kco->nck", d[:, :, t], self.kernel))
        return dx

    def put(self, dx, a, k, part):
        dx[:, :, a : a + k] += part

    def backward(self, d):
        return self.dx(d), {"kernel": self.dkernel(d)}


F.right_at("conv1d stride 2", Conv1d, at(n(2, 3, 8)), stride=2)


def put_eq(s, dx, a, k, part):
    dx[:, :, a : a + k] = part


def put_rev(s, dx, a, k, part):
    dx[:, :, a : a + k] += part[:, :, ::-1]


def put_unit(s, dx, a, k, part):
    a //= s.s
    dx[:, :, a : a + k] += part


def c1(slug, about, name, args=None, inputs=None, also=(), **k):
    return F.bad(
        slug,
        about,
        name,
        Conv1d,
        methods=k,
        inputs=inputs,
        also=also,
        **({"args": args} if args else {}),
    )


c1("overlap-overwritten", "dx", "c1_assign", put=put_eq)
c1(
    "flipped",
    "dkernel",
    "c1_kernel_reversed",
    dkernel=lambda s, d: Conv1d.dkernel(s, d)[::-1].copy(),
)
c1("flipped", "dx", "c1_dx_time_reversed", dx=lambda s, d: Conv1d.dx(s, d)[:, :, ::-1].copy())
c1(
    "padding-or-stride",
    "dx",
    "c1_stride_one",
    args={"stride": 2},
    inputs=at(n(2, 3, 8)),
    put=put_unit,
)
c1(
    "part-of-batch",
    "dkernel",
    "c1_first_sample",
    dkernel=lambda s, d: np.einsum("ot,ctk->kco", d[0], s.win[0]),
)
c1(
    "axes-permuted",
    "dx",
    "c1_reshape",
    dx=lambda s, d: np.ascontiguousarray(Conv1d.dx(s, d).transpose(0, 2, 1)).reshape(s.shape),
)
c1("flipped", "dx", "c1_kernel_flipped_in_dx", put=put_rev, also=("unexplained",))
c1(
    "axes-permuted",
    "dkernel",
    "c1_kernel_layout",
    args={"C": 3, "K": 3},
    also=("transposed",),
    dkernel=lambda s, d: np.ascontiguousarray(Conv1d.dkernel(s, d).transpose(0, 2, 1)),
)


@F.right(at(n(2, 3, 4, 4)))
class Depthwise:
    def __init__(self):
        self.params = {"w": w(3, 2, 2, seed=9)}

    def forward(self, x):
        self.x = x
        k = self.params["w"]
        H, W = x.shape[2] - 1, x.shape[3] - 1
        return sum(
            x[:, :, i : i + H, j : j + W] * k[:, i, j][:, None, None]
            for i in range(2)
            for j in range(2)
        )

    def backward(self, d):
        dx, dw = np.zeros_like(self.x), np.zeros_like(self.params["w"])
        H, W = d.shape[2:]
        for i in range(2):
            for j in range(2):
                dx[:, :, i : i + H, j : j + W] += d * self.params["w"][:, i, j][:, None, None]
                dw[:, i, j] = (d * self.x[:, :, i : i + H, j : j + W]).sum((0, 2, 3))
        return dx, {"w": dw}


@F.wrong("flipped", "dx", also=("unexplained",))
class DepthwiseKernelFlip(Depthwise):
    def backward(self, d):
        good = Depthwise.backward(self, d)[1]
        dx = np.zeros_like(self.x)
        for i in range(2):
            for j in range(2):
                dx[:, :, i : i + 3, j : j + 3] += (
                    d * self.params["w"][:, 1 - i, 1 - j][:, None, None]
                )
        return dx, good


@F.wrong("overlap-overwritten", "dx")
class DepthwiseAssign(Depthwise):
    def backward(self, d):
        good = Depthwise.backward(self, d)[1]
        dx = np.zeros_like(self.x)
        for i in range(2):
            for j in range(2):
                dx[:, :, i : i + 3, j : j + 3] = d * self.params["w"][:, i, j][:, None, None]
        return dx, good


@F.wrong("not-summed", "dw")
class DepthwiseBatchKept(Depthwise):
    def backward(self, d):
        dx, _ = Depthwise.backward(self, d)
        return dx, {
            "w": np.stack(
                [
                    np.stack(
                        [(d * self.x[:, :, i : i + 3, j : j + 3]).sum((2, 3)) for j in range(2)], -1
                    )
                    for i in range(2)
                ],
                -2,
            )
        }


@F.right(at(n(2, 2, 3, 3)))
class TransposedConv:
    """Stride 2, kernel 3, crop 1."""

    def __init__(self):
        self.params = {"W": w(2, 3, 3, 3, seed=13)}

    def forward(self, x):
        N, _C, H, W = x.shape
        self.x = x
        full = np.zeros((N, 3, 2 * H + 1, 2 * W + 1))
        for i in range(H):
            for j in range(W):
                full[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += np.einsum(
                    "nc,ckab->nkab", x[:, :, i, j], self.params["W"]
                )
        return full[:, :, 1:-1, 1:-1].copy()

    def uncrop(self, d):
        return np.pad(d, ((0, 0), (0, 0), (1, 1), (1, 1)))

    def post(self, dx, dW):
        return dx, {"W": dW}

    step = 2

    def backward(self, d):
        g = self.uncrop(d)
        k = self.step
        dx, dW = np.zeros_like(self.x), np.zeros_like(self.params["W"])
        for i in range(self.x.shape[2]):
            for j in range(self.x.shape[3]):
                win = g[:, :, k * i : k * i + 3, k * j : k * j + 3]
                dx[:, :, i, j] = np.einsum("nkab,ckab->nc", win, self.params["W"])
                dW += np.einsum("nc,nkab->ckab", self.x[:, :, i, j], win)
        return self.post(dx, dW)


F.bad(
    "padding-or-stride",
    "dx",
    "tconv_pad_at_end",
    TransposedConv,
    methods={"uncrop": lambda s, d: np.pad(d, ((0, 0), (0, 0), (0, 2), (0, 2)))},
)
F.bad("padding-or-stride", "dx", "tconv_step_one", TransposedConv, methods={"step": 1})
F.bad(
    "flipped",
    "dW",
    "tconv_dW_flip",
    TransposedConv,
    methods={"post": lambda s, dx, dW: (dx, {"W": dW[..., ::-1, ::-1].copy()})},
)
F.bad(
    "transposed",
    "dx",
    "tconv_dx_spatial_T",
    TransposedConv,
    methods={"post": lambda s, dx, dW: (np.ascontiguousarray(dx.swapaxes(2, 3)), {"W": dW})},
)


@F.right(at(grid(2, 2, 4, 4)))
class MaxPool:
    def __init__(self, k=2, s=2):
        self.k, self.s = k, s
        self.params = {}

    def windows(self, shape):
        for i in range((shape[2] - self.k) // self.s + 1):
            for j in range((shape[3] - self.k) // self.s + 1):
                yield (
                    i,
                    j,
                    slice(i * self.s, i * self.s + self.k),
                    slice(j * self.s, j * self.s + self.k),
                )

    def forward(self, x):
        self.x = x
        oh, ow = (x.shape[2] - self.k) // self.s + 1, (x.shape[3] - self.k) // self.s + 1
        y = np.empty((*x.shape[:2], oh, ow), x.dtype)
        for i, j, a, b in self.windows(x.shape):
            y[:, :, i, j] = x[:, :, a, b].max((2, 3))
        return y

    def share(self, win):
        """One maximum for each window: the first."""
        flat = win.reshape(*win.shape[:2], -1)
        return (np.arange(flat.shape[-1]) == flat.argmax(-1)[..., None]).reshape(win.shape)

    def add(self, dx, a, b, part):
        dx[:, :, a, b] += part

    def backward(self, d):
        dx = np.zeros_like(self.x)
        for i, j, a, b in self.windows(self.x.shape):
            self.add(dx, a, b, self.share(self.x[:, :, a, b]) * d[:, :, i, j][:, :, None, None])
        return dx, {}


TIES = at(lambda r: r.integers(0, 3, size=(2, 2, 4, 4)).astype(float))
F.right_at("max pool tied", MaxPool, TIES, kinks=True)
F.right_at("max pool overlapping", MaxPool, at(grid(1, 2, 5, 5)), k=3, s=1)
F.right_at("max pool remainder", MaxPool, at(grid(2, 1, 5, 5)))


def mp(slug, name, args=None, inputs=None, kinks=False, also=(), **k):
    return F.bad(
        slug,
        "dx",
        name,
        MaxPool,
        methods=k,
        inputs=inputs,
        kinks=kinks,
        also=also,
        **({"args": args} if args else {}),
    )


def mp_assign(s, dx, a, b, part):
    dx[:, :, a, b] = part


mp(
    "overlap-overwritten",
    "mp_assign",
    args={"k": 3, "s": 1},
    inputs=at(grid(1, 2, 5, 5)),
    add=mp_assign,
)
mp(
    "ties",
    "mp_all_tied",
    inputs=TIES,
    kinks=True,
    share=lambda s, v: v == v.max((2, 3), keepdims=True),
)
mp(
    "ties",
    "mp_none_if_tied",
    inputs=TIES,
    kinks=True,
    share=lambda s, v: (
        (v == v.max((2, 3), keepdims=True))
        & ((v == v.max((2, 3), keepdims=True)).sum((2, 3), keepdims=True) == 1)
    ),
)
mp("mask-inverted", "mp_losers", share=lambda s, v: v != v.max((2, 3), keepdims=True))
mp(
    "constant-scale",
    "mp_divided",
    share=lambda s, v: (v == v.max((2, 3), keepdims=True)) / 4,
    also=("dimension-scale",),
)
mp(
    "wrong-operand",
    "mp_minimum",
    share=lambda s, v: v == v.min((2, 3), keepdims=True),
    also=("unexplained",),
)
mp(
    "shape",
    "mp_remainder_lost",
    inputs=at(grid(2, 1, 5, 5)),
    also=("padding-or-stride",),
    backward=lambda s, d: (MaxPool.backward(s, d)[0][:, :, :4, :4].copy(), {}),
)
mp("upstream-ignored", "mp_mask_only", backward=lambda s, d: MaxPool.backward(s, np.ones_like(d)))


def mp_wrong_max(s, d):
    y = np.repeat(np.repeat(MaxPool.forward(s, s.x), 2, 2), 2, 3)
    return (s.x == y) * np.tile(d, (1, 1, 2, 2)), {}


mp("axes-permuted", "mp_tile_for_repeat", backward=mp_wrong_max, also=("unexplained",))


@F.right(at(n(2, 2, 4, 6)))
class AvgPool:
    params = {}
    k = 2

    def forward(self, x):
        N, C, H, W = x.shape
        self.shape = x.shape
        return x.reshape(N, C, H // 2, 2, W // 2, 2).mean((3, 5))

    def backward(self, d):
        return np.kron(d, np.ones((2, 2))) / 4, {}


F.bad(
    "constant-scale",
    "dx",
    "avg_no_quarter",
    AvgPool,
    lambda s, d: (np.kron(d, np.ones((2, 2))), {}),
    also=("dimension-scale",),
)
F.bad(
    "factor-of-two",
    "dx",
    "avg_half",
    AvgPool,
    lambda s, d: (np.kron(d, np.ones((2, 2))) / 2, {}),
    also=("dimension-scale",),
)
F.bad("axes-permuted", "dx", "avg_tiled", AvgPool, lambda s, d: (np.tile(d, (1, 1, 2, 2)) / 4, {}))
F.bad(
    "padding-or-stride",
    "dx",
    "avg_corner_only",
    AvgPool,
    lambda s, d: (np.kron(d, np.array([[1.0, 0], [0, 0]])) / 4, {}),
    also=("path-missing",),
)
F.bad("summed-everything", "dx", "avg_total", AvgPool, lambda s, d: (np.full(s.shape, d.sum()), {}))


@F.right(at(n(1, 2, 5)))
class AvgPool1d:
    """Window 3, stride 1: overlapping."""

    params = {}

    def forward(self, x):
        self.shape = x.shape
        return (x[..., :-2] + x[..., 1:-1] + x[..., 2:]) / 3

    def backward(self, d):
        dx = np.zeros(self.shape)
        for k in range(3):
            dx[..., k : k + d.shape[-1]] += d / 3
        return dx, {}


@F.wrong("overlap-overwritten", "dx")
class Avg1dAssign(AvgPool1d):
    def backward(self, d):
        dx = np.zeros(self.shape)
        for t in range(d.shape[-1]):
            dx[..., t : t + 3] = d[..., t : t + 1] / 3
        return dx, {}


@F.wrong("padding-or-stride", "dx")
class Avg1dShifted(AvgPool1d):
    def backward(self, d):
        dx = np.zeros((*self.shape[:2], self.shape[2] + 1))
        for k in range(3):
            dx[..., k + 1 : k + 1 + d.shape[-1]] += d / 3
        return dx[..., :-1].copy(), {}


@F.right(at(n(3, 2, 2, 4)))
class GlobalAvg:
    params = {}

    def forward(self, x):
        self.shape = x.shape
        return x.mean(axis=(2, 3))

    def backward(self, d):
        _N, _C, H, W = self.shape
        return np.ones(self.shape) * d[:, :, None, None] / (H * W), {}


F.bad(
    "dimension-scale",
    "dx",
    "gap_no_hw",
    GlobalAvg,
    lambda s, d: (np.ones(s.shape) * d[:, :, None, None], {}),
)
F.bad(
    "dimension-scale",
    "dx",
    "gap_only_h",
    GlobalAvg,
    lambda s, d: (np.ones(s.shape) * d[:, :, None, None] / 2, {}),
)
F.bad(
    "part-of-batch",
    "dx",
    "gap_first_sample_only",
    GlobalAvg,
    lambda s, d: (np.ones(s.shape) * (d * (np.arange(3) == 0)[:, None])[:, :, None, None] / 8, {}),
)
F.bad(
    "upstream-ignored", "dx", "gap_constant", GlobalAvg, lambda s, d: (np.full(s.shape, 1 / 8), {})
)


@F.right(at(n(2, 3, 2, 2)))
class Flatten:
    params = {}

    def forward(self, x):
        self.shape = x.shape
        return x.reshape(len(x), -1).copy()

    def backward(self, d):
        return d.reshape(self.shape).copy(), {}


F.bad(
    "axes-permuted",
    "dx",
    "flatten_channels_last",
    Flatten,
    lambda s, d: (np.ascontiguousarray(d.reshape(2, 2, 2, 3).transpose(0, 3, 1, 2)), {}),
)
F.bad("shape", "dx", "flatten_not_restored", Flatten, lambda s, d: (d.copy(), {}))
F.bad(
    "axes-permuted",
    "dx",
    "flatten_fortran",
    Flatten,
    lambda s, d: (np.ascontiguousarray(d.reshape(s.shape, order="F")), {}),
)


@F.right(at(n(2, 3, 4)))
class ToHeads:
    params = {}

    def forward(self, x):
        return np.ascontiguousarray(x.reshape(2, 3, 2, 2).transpose(0, 2, 1, 3))

    def backward(self, d):
        return d.transpose(0, 2, 1, 3).reshape(2, 3, 4), {}


F.bad(
    "axes-permuted",
    "dx",
    "heads_reshape_only",
    ToHeads,
    lambda s, d: (d.reshape(2, 3, 4).copy(), {}),
)
F.bad(
    "axes-permuted",
    "dx",
    "heads_wrong_transpose",
    ToHeads,
    lambda s, d: (d.transpose(0, 2, 3, 1).reshape(2, 3, 4), {}),
)


@F.right(at(n(2, 3, 4)))
class Reverse:
    params = {}

    def forward(self, x):
        return x[:, ::-1].copy()

    def backward(self, d):
        return d[:, ::-1].copy(), {}


F.bad(
    "flipped",
    "dx",
    "reverse_not_undone",
    Reverse,
    lambda s, d: (d.copy(), {}),
    also=("derivative-missing",),
)


@F.right(at(n(2, 1, 3, 3)))
class ZeroPad:
    params = {}

    def forward(self, x):
        return np.pad(x, ((0, 0), (0, 0), (2, 1), (1, 2)))

    def backward(self, d):
        return d[:, :, 2:-1, 1:-2].copy(), {}


F.bad(
    "padding-or-stride",
    "dx",
    "pad_sides_swapped",
    ZeroPad,
    lambda s, d: (d[:, :, 1:-2, 2:-1].copy(), {}),
)
F.bad(
    "padding-or-stride",
    "dx",
    "pad_not_cropped",
    ZeroPad,
    lambda s, d: (d.copy(), {}),
    also=("shape",),
)


@F.right(at(n(1, 2, 3, 3)))
class Upsample:
    params = {}

    def forward(self, x):
        return x.repeat(2, 2).repeat(2, 3)

    def backward(self, d):
        N, C, H, W = d.shape
        return d.reshape(N, C, H // 2, 2, W // 2, 2).sum((3, 5)), {}


F.bad(
    "overlap-overwritten",
    "dx",
    "upsample_one_of_four",
    Upsample,
    lambda s, d: (d[:, :, 1::2, 1::2].copy(), {}),
    also=("path-missing", "padding-or-stride"),
)
F.bad(
    "constant-scale",
    "dx",
    "upsample_mean",
    Upsample,
    lambda s, d: (d.reshape(1, 2, 3, 2, 3, 2).mean((3, 5)), {}),
    also=("dimension-scale",),
)
