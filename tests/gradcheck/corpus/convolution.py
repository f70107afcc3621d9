"""Convolution and pooling: windows, strides, padding, overlaps."""

from __future__ import annotations

import numpy as np

from .case import Family
from .points import distinct, normal, tied

family = Family("convolution")


@family.right(normal(2, 2, 5, 5))
class Conv:
    """Loops over the window's places; x (N, C, H, W), W (F, C, k, k)."""

    def __init__(self, C=2, F=3, k=3, stride=1, pad=1, dtype=np.float64):
        rng = np.random.default_rng(1)
        self.params = {
            "W": rng.normal(size=(F, C, k, k)).astype(dtype),
            "b": rng.normal(size=F).astype(dtype),
        }
        self.k, self.stride, self.pad = k, stride, pad

    def padded(self, x):
        p = self.pad
        return np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))

    def windows(self, H, W):
        """Each output's place and its window in the padded image."""
        for i in range((H + 2 * self.pad - self.k) // self.stride + 1):
            for j in range((W + 2 * self.pad - self.k) // self.stride + 1):
                a, b = i * self.stride, j * self.stride
                yield i, j, (slice(None), slice(None), slice(a, a + self.k), slice(b, b + self.k))

    def forward(self, x):
        self.x, self.xp = x, self.padded(x)
        H = (x.shape[2] + 2 * self.pad - self.k) // self.stride + 1
        W = (x.shape[3] + 2 * self.pad - self.k) // self.stride + 1
        y = np.empty((len(x), len(self.params["W"]), H, W), x.dtype)
        for i, j, window in self.windows(*x.shape[2:]):
            y[:, :, i, j] = np.tensordot(self.xp[window], self.params["W"], ([1, 2, 3], [1, 2, 3]))
        return y + self.params["b"][:, None, None]

    def backward(self, dout):
        return self.dx(dout), {"W": self.dW(dout), "b": self.db(dout)}

    def dx(self, dout):
        dxp = np.zeros_like(self.xp)
        for i, j, window in self.windows(*self.x.shape[2:]):
            dxp[window] += np.tensordot(dout[:, :, i, j], self.params["W"], 1)
        return self.crop(dxp)

    def crop(self, dxp):
        H, W = self.x.shape[2:]
        return dxp[:, :, self.pad : self.pad + H, self.pad : self.pad + W]

    def dW(self, dout):
        dW = np.zeros_like(self.params["W"])
        for i, j, window in self.windows(*self.x.shape[2:]):
            dW += np.tensordot(dout[:, :, i, j].T, self.xp[window], 1)
        return dW

    def db(self, dout):
        return dout.sum(axis=(0, 2, 3))


STRIDED = {"stride": 2, "pad": 1}

family.right_at("Conv, stride 2", Conv, normal(2, 2, 5, 5), **STRIDED)
family.right_at("Conv, stride 2, a remainder", Conv, normal(1, 2, 6, 6), stride=2, pad=0)
family.right_at("Conv, no padding", Conv, normal(2, 2, 4, 5), pad=0)
family.right_at("Conv, 1×1", Conv, normal(2, 2, 3, 4), k=1, pad=0)
family.right_at("Conv, one place", Conv, normal(3, 2, 3, 3), pad=0)
family.right_at("Conv, N = 1", Conv, normal(1, 2, 4, 4))
family.right_at(
    "Conv, float32",
    Conv,
    normal(2, 2, 4, 4, dtype=np.float32),
    double={"dtype": np.float64},
    dtype=np.float32,
)


@family.right(normal(2, 2, 5, 4))
class ConvIm2col(Conv):
    """The windows as columns of one matrix, one product."""

    def forward(self, x):
        self.x, self.xp = x, self.padded(x)
        self.cols = np.stack(
            [self.xp[w].reshape(len(x), -1) for _, _, w in self.windows(*x.shape[2:])]
        )
        H = (x.shape[2] + 2 * self.pad - self.k) // self.stride + 1
        rows = self.params["W"].reshape(len(self.params["W"]), -1)
        y = np.einsum("pnk,fk->nfp", self.cols, rows) + self.params["b"][:, None]
        return y.reshape(len(x), len(rows), H, -1)

    def dW(self, dout):
        d = dout.reshape(*dout.shape[:2], -1)
        return np.einsum("nfp,pnk->fk", d, self.cols).reshape(self.params["W"].shape)


@family.wrong("flipped", "dW")
class ConvWeightsRotated(Conv):
    def dW(self, dout):
        return super().dW(dout)[:, :, ::-1, ::-1].copy()


@family.wrong("flipped", "dx")
class ConvKernelRotated(Conv):
    """A true convolution with the kernel where a correlation's transpose is meant."""

    def dx(self, dout):
        dxp = np.zeros_like(self.xp)
        rotated = self.params["W"][:, :, ::-1, ::-1]
        for i, j, window in self.windows(*self.x.shape[2:]):
            dxp[window] += np.tensordot(dout[:, :, i, j], rotated, 1)
        return self.crop(dxp)


@family.wrong("flipped", "dW", args=STRIDED)
class ConvWeightsUpsideDown(Conv):
    """One axis of the kernel reversed."""

    def dW(self, dout):
        return np.flip(super().dW(dout), axis=2).copy()


@family.wrong("axes-permuted", "dW", also=("transposed",))
class ConvKernelAxesSwapped(Conv):
    def dW(self, dout):
        return super().dW(dout).transpose(0, 1, 3, 2).copy()


@family.wrong("axes-permuted", "dx")
class ConvChannelsReshaped(Conv):
    """Channels last, then reshape for transpose."""

    def dx(self, dout):
        dx = super().dx(dout)
        return dx.transpose(0, 2, 3, 1).reshape(dx.shape)


@family.wrong(
    "axes-permuted", "dW", args={"C": 3, "F": 3}, inputs=normal(2, 3, 5, 5), also=("transposed",)
)
class ConvFiltersForChannels(Conv):
    """W's first two axes swapped: possible because C = F."""

    def dW(self, dout):
        return super().dW(dout).transpose(1, 0, 2, 3).copy()


@family.wrong("padding-or-stride", "dx")
class ConvPaddingFromEnd(Conv):
    """The crop begins at 0."""

    def crop(self, dxp):
        H, W = self.x.shape[2:]
        return dxp[:, :, :H, :W].copy()


@family.wrong("padding-or-stride", "dx", also=("shape",))
class ConvPaddingKept(Conv):
    def crop(self, dxp):
        return dxp


@family.wrong("padding-or-stride", "dx", args=STRIDED)
class ConvStrideIgnoredInInput(Conv):
    def dx(self, dout):
        dxp = np.zeros_like(self.xp)
        for i in range(dout.shape[2]):
            for j in range(dout.shape[3]):
                window = (slice(None), slice(None), slice(i, i + self.k), slice(j, j + self.k))
                dxp[window] += np.tensordot(dout[:, :, i, j], self.params["W"], 1)
        return self.crop(dxp)


@family.wrong("padding-or-stride", "dW", args=STRIDED)
class ConvStrideIgnoredInWeights(Conv):
    def dW(self, dout):
        dW = np.zeros_like(self.params["W"])
        for i in range(dout.shape[2]):
            for j in range(dout.shape[3]):
                piece = self.xp[:, :, i : i + self.k, j : j + self.k]
                dW += np.tensordot(dout[:, :, i, j].T, piece, 1)
        return dW


@family.wrong("padding-or-stride", "dW")
class ConvWeightsWithoutPadding(Conv):
    """The windows of dW read x with zeros at the far end instead of around it."""

    def dW(self, dout):
        kept = self.xp
        self.xp = np.zeros_like(kept)
        self.xp[:, :, : self.x.shape[2], : self.x.shape[3]] = self.x
        dW = super().dW(dout)
        self.xp = kept
        return dW


@family.wrong("padding-or-stride", "dx", args={"stride": 2, "pad": 0}, inputs=normal(2, 2, 6, 6))
class ConvRemainderShifted(Conv):
    """The row and the column that no window reads are taken at the front."""

    def crop(self, dxp):
        return np.roll(dxp, 1, axis=(2, 3))


@family.wrong("overlap-overwritten", "dx")
class ConvOverlapOverwritten(Conv):
    def dx(self, dout):
        dxp = np.zeros_like(self.xp)
        for i, j, window in self.windows(*self.x.shape[2:]):
            dxp[window] = np.tensordot(dout[:, :, i, j], self.params["W"], 1)
        return self.crop(dxp)


@family.wrong("overlap-overwritten", "dx", args={"k": 2, "pad": 0}, inputs=normal(2, 2, 4, 3))
class ConvOverlapOverwrittenSmall(Conv):
    def dx(self, dout):
        dxp = np.zeros_like(self.xp)
        for i, j, window in self.windows(*self.x.shape[2:]):
            dxp[window] = np.tensordot(dout[:, :, i, j], self.params["W"], 1)
        return dxp


@family.wrong("overlap-overwritten", "dW", also=("part-of-batch", "unexplained"))
class ConvLastPlace(Conv):
    """`=` for `+=` over the places: the last window's share alone."""

    def dW(self, dout):
        for i, j, window in self.windows(*self.x.shape[2:]):
            dW = np.tensordot(dout[:, :, i, j].T, self.xp[window], 1)
        return dW


@family.wrong("part-of-batch", "dW")
class ConvFirstImage(Conv):
    def dW(self, dout):
        d = np.zeros_like(dout)
        d[0] = dout[0]
        return super().dW(d)


@family.wrong("not-summed", "db")
class ConvBiasKeepsImage(Conv):
    def db(self, dout):
        return dout.sum(axis=0)


@family.wrong("not-summed", "db", inputs=normal(3, 2, 5, 5))
class ConvBiasKeepsBatch(Conv):
    def db(self, dout):
        return dout.sum(axis=(2, 3))


@family.wrong("wrong-axis", "db", inputs=normal(3, 2, 4, 4))
class ConvBiasOverChannels(Conv):
    def db(self, dout):
        return dout.sum(axis=(1, 2, 3))


@family.wrong("dimension-scale", "db")
class ConvBiasImageMean(Conv):
    def db(self, dout):
        return dout.mean(axis=(2, 3)).sum(axis=0)


@family.wrong("batch-mean-doubled", "dW")
class ConvWeightsAveraged(Conv):
    def dW(self, dout):
        return super().dW(dout) / len(dout)


@family.wrong("summed-everything", "db")
class ConvBiasGrandTotal(Conv):
    def db(self, dout):
        return np.full(3, dout.sum())


@family.wrong("wrong-operand", "dW", args={"pad": 0}, also=("unexplained",))
class ConvWeightsFromRectified(Conv):
    """The cache holds the rectified input."""

    def dW(self, dout):
        kept, self.xp = self.xp, np.maximum(self.xp, 0)
        dW = super().dW(dout)
        self.xp = kept
        return dW


@family.wrong(
    "raises", None, inputs=normal(2, 2, 4, 4), shown_at=normal(2, 2, 4, 5), also=("shape",)
)
class ConvHeightForWidth(Conv):
    """H where W is meant: nothing to see while images are square."""

    def dx(self, dout):
        dx = np.zeros(self.x.shape[:3] + self.x.shape[2:3])
        dx += super().dx(dout)
        return dx


@family.wrong("stale-cache", "dW", also=("unexplained",))
class ConvColumnsKept(Conv):
    """The padded input is made once."""

    def forward(self, x):
        kept = getattr(self, "xp", None)
        y = super().forward(x)
        if kept is not None and kept.shape == self.xp.shape:
            self.xp = kept
        return y


family.wrong(
    "flipped",
    "dW",
    args={"dtype": np.float32},
    inputs=normal(2, 2, 4, 4, dtype=np.float32),
    name="ConvWeightsRotated, float32",
)(ConvWeightsRotated)


@family.right(normal(2, 2, 6))
class Conv1d:
    """Sequences: x (N, C, T), one filter for each channel (depthwise), causal padding."""

    def __init__(self, C=2, k=3):
        self.params = {"w": np.random.default_rng(2).normal(size=(C, k))}

    def forward(self, x):
        k = self.params["w"].shape[1]
        self.xp = np.pad(x, ((0, 0), (0, 0), (k - 1, 0)))
        T = x.shape[2]
        return sum(self.params["w"][:, i, None] * self.xp[:, :, i : i + T] for i in range(k))

    def backward(self, dout):
        return self.dx(dout), {"w": self.dw(dout)}

    def dx(self, dout):
        k, T = self.params["w"].shape[1], dout.shape[2]
        dxp = np.zeros_like(self.xp)
        for i in range(k):
            dxp[:, :, i : i + T] += self.params["w"][:, i, None] * dout
        return dxp[:, :, k - 1 :]

    def dw(self, dout):
        k, T = self.params["w"].shape[1], dout.shape[2]
        return np.stack(
            [(dout * self.xp[:, :, i : i + T]).sum(axis=(0, 2)) for i in range(k)], axis=1
        )


@family.wrong("flipped", "dw")
class Conv1dFlipped(Conv1d):
    def dw(self, dout):
        return super().dw(dout)[:, ::-1].copy()


@family.wrong("flipped", "dx")
class Conv1dTimeReversed(Conv1d):
    """The result read backwards in time."""

    def dx(self, dout):
        return super().dx(dout)[:, :, ::-1].copy()


@family.wrong("padding-or-stride", "dx")
class Conv1dCroppedAtEnd(Conv1d):
    def dx(self, dout):
        k, T = self.params["w"].shape[1], dout.shape[2]
        dxp = np.zeros_like(self.xp)
        for i in range(k):
            dxp[:, :, i : i + T] += self.params["w"][:, i, None] * dout
        return dxp[:, :, :T].copy()


@family.wrong("overlap-overwritten", "dx")
class Conv1dOverwritten(Conv1d):
    def dx(self, dout):
        k, T = self.params["w"].shape[1], dout.shape[2]
        dxp = np.zeros_like(self.xp)
        for i in range(k):
            dxp[:, :, i : i + T] = self.params["w"][:, i, None] * dout
        return dxp[:, :, k - 1 :].copy()


@family.right(distinct(2, 2, 4, 4))
class MaxPool:
    """The window's maximum; dout to the first of it."""

    def __init__(self, k=2, stride=2):
        self.k, self.stride = k, stride

    def windows(self, H, W):
        for i in range((H - self.k) // self.stride + 1):
            for j in range((W - self.k) // self.stride + 1):
                a, b = i * self.stride, j * self.stride
                yield i, j, (slice(None), slice(None), slice(a, a + self.k), slice(b, b + self.k))

    def forward(self, x):
        self.x = x
        N, C, H, W = x.shape
        y = np.empty((N, C, (H - self.k) // self.stride + 1, (W - self.k) // self.stride + 1))
        for i, j, window in self.windows(H, W):
            y[:, :, i, j] = x[window].max(axis=(2, 3))
        self.y = y
        return y

    def backward(self, dout):
        dx = np.zeros_like(self.x)
        for i, j, window in self.windows(*self.x.shape[2:]):
            self.share(dx, window, dout[:, :, i, j, None, None])
        return dx, {}

    def share(self, dx, window, d):
        dx[window] += d * self.winner(self.x[window])

    def winner(self, piece):
        flat = piece.reshape(*piece.shape[:2], -1)
        first = np.arange(flat.shape[2]) == flat.argmax(axis=2)[..., None]
        return first.reshape(piece.shape)


OVERLAPPING = {"k": 3, "stride": 1}

family.right_at("MaxPool, overlapping", MaxPool, distinct(2, 2, 4, 5), **OVERLAPPING)
family.right_at("MaxPool, a remainder", MaxPool, distinct(1, 2, 5, 5))
family.right_at("MaxPool, ties, the first wins", MaxPool, tied(2, 2, 4, 4), kinks=True)


@family.right(tied(2, 2, 4, 4), kinks=True)
class MaxPoolLastWins(MaxPool):
    def winner(self, piece):
        flat = piece.reshape(*piece.shape[:2], -1)
        last = flat.shape[2] - 1 - flat[..., ::-1].argmax(axis=2)
        return (np.arange(flat.shape[2]) == last[..., None]).reshape(piece.shape)


@family.right(tied(2, 2, 4, 4), kinks=True)
class MaxPoolEvenSplit(MaxPool):
    def winner(self, piece):
        mask = piece == piece.max(axis=(2, 3), keepdims=True)
        return mask / mask.sum(axis=(2, 3), keepdims=True)


@family.wrong("ties", "dx", inputs=tied(2, 2, 4, 4), of=MaxPoolEvenSplit)
class MaxPoolEveryTie(MaxPool):
    """Each of the tied maxima gets the full gradient."""

    def winner(self, piece):
        return piece == piece.max(axis=(2, 3), keepdims=True)


@family.wrong("ties", "dx", shown_at=tied(2, 2, 4, 4), of=MaxPool)
class MaxPoolEveryTieHidden(MaxPool):
    """The same at a point without a tie."""

    def winner(self, piece):
        return piece == piece.max(axis=(2, 3), keepdims=True)


@family.wrong("ties", "dx", inputs=tied(2, 2, 4, 4), of=MaxPoolEvenSplit)
class MaxPoolNoTie(MaxPool):
    """None of the tied maxima gets anything."""

    def winner(self, piece):
        mask = piece == piece.max(axis=(2, 3), keepdims=True)
        return mask * (mask.sum(axis=(2, 3), keepdims=True) == 1)


@family.wrong("overlap-overwritten", "dx", args=OVERLAPPING, inputs=distinct(2, 2, 4, 4))
class MaxPoolOverwritten(MaxPool):
    def share(self, dx, window, d):
        dx[window] = d * self.winner(self.x[window])


@family.wrong("overlap-overwritten", "dx", args={"k": 2, "stride": 1})
class MaxPoolOverwrittenSmall(MaxPool):
    """Only the winner's place is set: wrong where one maximum serves two windows."""

    def share(self, dx, window, d):
        mask = self.winner(self.x[window])
        dx[window] = np.where(mask, d, dx[window])


@family.wrong("derivative-missing", "dx", also=("unexplained", "mask-inverted"))
class MaxPoolToAll(MaxPool):
    """dout to every entry of the window."""

    def winner(self, piece):
        return np.ones_like(piece)


@family.wrong("mask-inverted", "dx")
class MaxPoolToLosers(MaxPool):
    def winner(self, piece):
        return piece != piece.max(axis=(2, 3), keepdims=True)


@family.wrong("upstream-ignored", "dx")
class MaxPoolMask(MaxPool):
    def share(self, dx, window, d):
        dx[window] += self.winner(self.x[window])


@family.wrong("padding-or-stride", "dx", inputs=distinct(2, 2, 4, 4), args={"k": 2, "stride": 2})
class MaxPoolStrideOne(MaxPool):
    """The windows of backward one apart."""

    def backward(self, dout):
        dx = np.zeros_like(self.x)
        for i in range(dout.shape[2]):
            for j in range(dout.shape[3]):
                window = (slice(None), slice(None), slice(i, i + self.k), slice(j, j + self.k))
                self.share(dx, window, dout[:, :, i, j, None, None])
        return dx, {}


@family.wrong("axes-permuted", "dx", inputs=distinct(2, 2, 4, 4))
class MaxPoolTransposed(MaxPool):
    """dout read with rows and columns exchanged."""

    def backward(self, dout):
        return super().backward(dout.transpose(0, 1, 3, 2))


@family.right(normal(2, 2, 4, 4))
class AveragePool(MaxPool):
    def forward(self, x):
        self.x = x
        N, C, H, W = x.shape
        y = np.empty((N, C, (H - self.k) // self.stride + 1, (W - self.k) // self.stride + 1))
        for i, j, window in self.windows(H, W):
            y[:, :, i, j] = x[window].mean(axis=(2, 3))
        return y

    def winner(self, piece):
        return np.full(piece.shape, 1 / self.k**2)


family.right_at("AveragePool, overlapping", AveragePool, normal(2, 2, 4, 4), **OVERLAPPING)


@family.wrong("constant-scale", "dx", also=("dimension-scale",))
class AveragePoolNotDivided(AveragePool):
    def winner(self, piece):
        return np.ones_like(piece)


@family.wrong("constant-scale", "dx", args={"k": 3, "stride": 1}, also=("dimension-scale",))
class AveragePoolDividedByK(AveragePool):
    """1/k for 1/k²."""

    def winner(self, piece):
        return np.full(piece.shape, 1 / self.k)


@family.wrong("overlap-overwritten", "dx", args=OVERLAPPING)
class AveragePoolOverwritten(AveragePool):
    def share(self, dx, window, d):
        dx[window] = d * self.winner(self.x[window])


@family.right(normal(2, 3, 4, 4))
class GlobalAveragePool:
    def forward(self, x):
        self.shape = x.shape
        return x.mean(axis=(2, 3))

    def backward(self, dout):
        H, W = self.shape[2:]
        return np.tile(dout[:, :, None, None] / self.area(H, W), (1, 1, H, W)), {}

    def area(self, H, W):
        return H * W


@family.wrong("dimension-scale", "dx", shown_at=normal(2, 3, 4, 6))
class GlobalAverageSquare(GlobalAveragePool):
    """H² for H·W: right for square images."""

    def area(self, H, W):
        return H * H


@family.wrong("dimension-scale", "dx")
class GlobalAverageNotDivided(GlobalAveragePool):
    def area(self, H, W):
        return 1


@family.right(normal(2, 3, 2, 3))
class Upsample:
    """Each pixel twice along both axes."""

    def forward(self, x):
        return x.repeat(2, axis=2).repeat(2, axis=3)

    def backward(self, dout):
        N, C, H, W = dout.shape
        return dout.reshape(N, C, H // 2, 2, W // 2, 2).sum(axis=(3, 5)), {}


@family.wrong(
    "path-missing",
    "dx",
    also=(
        "unexplained",
        "overlap-overwritten",
        "part-of-batch",
    ),
)
class UpsampleCorner(Upsample):
    """One of the four copies counts."""

    def backward(self, dout):
        return dout[:, :, ::2, ::2].copy(), {}


@family.wrong("constant-scale", "dx", also=("dimension-scale",))
class UpsampleMean(Upsample):
    def backward(self, dout):
        N, C, H, W = dout.shape
        return dout.reshape(N, C, H // 2, 2, W // 2, 2).mean(axis=(3, 5)), {}


@family.wrong("axes-permuted", "dx", also=("unexplained",))
class UpsampleBlocks(Upsample):
    """reshape(…, 2, H/2, …) for reshape(…, H/2, 2, …)."""

    def backward(self, dout):
        N, C, H, W = dout.shape
        return dout.reshape(N, C, 2, H // 2, 2, W // 2).sum(axis=(2, 4)), {}
