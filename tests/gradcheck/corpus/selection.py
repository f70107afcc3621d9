"""Layers that pick, move, sort or add up entries, and embeddings."""

from __future__ import annotations

import numpy as np

from .case import Family
from .points import distinct, indices, normal, tied

family = Family("selection")


@family.right(indices(2, 5, below=6))
class Embedding:
    """Rows of E by index; the gradient of an index is None."""

    def __init__(self, V=6, D=3, dtype=np.float64):
        self.params = {"E": np.random.default_rng(1).normal(size=(V, D)).astype(dtype)}

    def forward(self, i):
        self.i = i
        return self.params["E"][i]

    def backward(self, dout):
        return None, {"E": self.dE(dout)}

    def dE(self, dout):
        dE = np.zeros_like(self.params["E"])
        np.add.at(dE, self.i, dout)
        return dE


family.right_at("Embedding, no repeats", Embedding, indices(5, below=6, repeats=False))
family.right_at("Embedding, all the same", Embedding, lambda rng: (np.full(7, 2),))
family.right_at("Embedding, 1e5 entries", Embedding, indices(40, below=2000), V=2000, D=50)


@family.right(indices(2, 5, below=6))
class EmbeddingOneHot(Embedding):
    def dE(self, dout):
        one_hot = np.eye(len(self.params["E"]))[self.i.ravel()]
        return one_hot.T @ dout.reshape(-1, dout.shape[-1])


@family.wrong("duplicates-lost", "dE")
class EmbeddingFancyIndex(Embedding):
    def dE(self, dout):
        dE = np.zeros_like(self.params["E"])
        dE[self.i] += dout
        return dE


@family.wrong("duplicates-lost", "dE")
class EmbeddingAssigned(Embedding):
    def dE(self, dout):
        dE = np.zeros_like(self.params["E"])
        dE[self.i] = dout
        return dE


@family.wrong("duplicates-lost", "dE", inputs=indices(7, below=6))
class EmbeddingLoopAssigns(Embedding):
    def dE(self, dout):
        dE = np.zeros_like(self.params["E"])
        for i, d in zip(self.i, dout, strict=True):
            dE[i] = d
        return dE


@family.wrong(
    "duplicates-lost",
    "dE",
    inputs=indices(5, below=6, repeats=False),
    shown_at=indices(9, below=6),
    name="EmbeddingFancyIndex, no repeats in the first input",
)
class EmbeddingRepeatsHidden(Embedding):
    def dE(self, dout):
        dE = np.zeros_like(self.params["E"])
        dE[self.i] += dout
        return dE


@family.wrong("unexplained", "dE")
class EmbeddingCountAveraged(Embedding):
    """Divided by how often the word occurs."""

    def dE(self, dout):
        counts = np.bincount(self.i.ravel(), minlength=len(self.params["E"]))
        return super().dE(dout) / np.maximum(counts, 1)[:, None]


@family.wrong(
    "unexplained", "dE", inputs=lambda rng: (np.array([0, 3, 0, 5]),), also=("path-missing",)
)
class EmbeddingPaddingRow(Embedding):
    """Row 0 is held at 0 as padding, though forward reads it like any other."""

    def dE(self, dout):
        dE = super().dE(dout)
        dE[0] = 0
        return dE


@family.wrong("upstream-ignored", "dE")
class EmbeddingCounts(Embedding):
    def dE(self, dout):
        return super().dE(np.ones_like(dout))


@family.wrong("gradient-missing", "dE")
class EmbeddingNothing(Embedding):
    def backward(self, dout):
        return None, {}


@family.wrong("batch-mean-doubled", "dE")
class EmbeddingAveraged(Embedding):
    def dE(self, dout):
        return super().dE(dout) / len(dout)


@family.wrong("precision-lost", "dE", also=("dtype",))
class EmbeddingHalf(Embedding):
    def dE(self, dout):
        return super().dE(dout).astype(np.float32)


@family.wrong("unexplained", "dE", inputs=indices(40, below=2000), args={"V": 2000, "D": 50})
class EmbeddingStrayEntry(Embedding):
    """One entry among 1e5 of a row that was not read."""

    def dE(self, dout):
        dE = super().dE(dout)
        row = int(np.setdiff1d(np.arange(2000), self.i)[7])
        dE[row, 11] = 1e-3 * dout.flat[0]
        return dE


@family.right(normal(6, 3))
class BagOfRows:
    """Rows of x added into segments: scatter forward, gather backward."""

    segments = np.array([0, 2, 0, 1, 2, 2])

    def forward(self, x):
        y = np.zeros((3, x.shape[1]))
        np.add.at(y, self.segments, x)
        return y

    def backward(self, dout):
        return dout[self.segments], {}


@family.wrong("axes-permuted", "dx", also=("unexplained",))
class BagOfRowsOrder(BagOfRows):
    """The segments in sorted order."""

    def backward(self, dout):
        return dout[np.sort(self.segments)], {}


@family.wrong(
    "duplicates-lost",
    "dx",
    also=(
        "part-of-batch",
        "unexplained",
    ),
)
class BagOfRowsLast(BagOfRows):
    """Only the last row of a segment is thought to have reached it."""

    def backward(self, dout):
        dx = np.zeros((6, dout.shape[1]))
        dx[[2, 3, 5]] = dout
        return dx, {}


@family.right(normal(5, 3))
class Gather:
    """x[index] with repeated rows."""

    index = np.array([4, 0, 0, 2, 4, 4, 1])

    def forward(self, x):
        self.shape = x.shape
        return x[self.index]

    def backward(self, dout):
        dx = np.zeros(self.shape)
        np.add.at(dx, self.index, dout)
        return dx, {}


@family.wrong("duplicates-lost", "dx")
class GatherFancyIndex(Gather):
    def backward(self, dout):
        dx = np.zeros(self.shape)
        dx[self.index] += dout
        return dx, {}


@family.right(distinct(4, 5))
class RowMax:
    """Maximum of each row, dout to the first one."""

    def forward(self, x):
        self.x = x
        return x.max(axis=1)

    def backward(self, dout):
        return self.winner() * dout[:, None], {}

    def winner(self):
        return np.arange(self.x.shape[1]) == self.x.argmax(axis=1)[:, None]


family.right_at("RowMax, ties, the first wins", RowMax, tied(4, 5), kinks=True)


@family.right(tied(4, 5), kinks=True)
class RowMaxEvenSplit(RowMax):
    def winner(self):
        mask = self.x == self.x.max(axis=1, keepdims=True)
        return mask / mask.sum(axis=1, keepdims=True)


@family.wrong("ties", "dx", inputs=tied(4, 5), of=RowMaxEvenSplit)
class RowMaxEveryTie(RowMax):
    def winner(self):
        return self.x == self.x.max(axis=1, keepdims=True)


@family.wrong("ties", "dx", inputs=distinct(4, 5), shown_at=tied(4, 5), of=RowMax)
class RowMaxEveryTieHidden(RowMax):
    def winner(self):
        return self.x >= self.x.max(axis=1, keepdims=True)


@family.wrong("ties", "dx", inputs=tied(4, 5), of=RowMaxEvenSplit)
class RowMaxNoTie(RowMax):
    """A winner must be greater than all the others."""

    def winner(self):
        rank = (self.x[:, None, :] >= self.x[:, :, None]).sum(axis=2)
        return rank == 1


@family.wrong("flipped", "dx", also=("unexplained", "axes-permuted"))
class RowMaxFromRight(RowMax):
    def winner(self):
        return super().winner()[:, ::-1]


@family.wrong("sign-flipped", "dx")
class RowMaxSign(RowMax):
    def winner(self):
        return -1.0 * super().winner()


@family.right(normal(4, 3, copies=2))
class Maximum:
    """The greater of two inputs."""

    def forward(self, a, b):
        self.a, self.b = a, b
        return np.maximum(a, b)

    def backward(self, dout):
        return (dout * (self.a >= self.b), dout * (self.a < self.b)), {}


family.right_at(
    "Maximum, equal inputs", Maximum, lambda rng: (np.ones((2, 3)), np.ones((2, 3))), kinks=True
)


def equal_pair(rng):
    a = rng.normal(size=(3, 4))
    return a, a.copy()


@family.wrong("ties", "dx[1]", inputs=equal_pair)
class MaximumBothAtTies(Maximum):
    def backward(self, dout):
        return (dout * (self.a >= self.b), dout * (self.b >= self.a)), {}


@family.wrong("mask-inverted", "dx[0]")
class MaximumSwapped(Maximum):
    def backward(self, dout):
        return (dout * (self.a < self.b), dout * (self.a >= self.b)), {}


@family.right(distinct(3, 4, 2))
class Maxout:
    """The largest of k affine pieces, already computed: x (N, M, k) → (N, M)."""

    def forward(self, x):
        self.k, self.best = x.shape[2], x.argmax(axis=2)
        return x.max(axis=2)

    def backward(self, dout):
        return dout[..., None] * (np.arange(self.k) == self.best[..., None]), {}


@family.wrong("derivative-missing", "dx", also=("unexplained", "mask-inverted"))
class MaxoutToAll(Maxout):
    def backward(self, dout):
        return np.repeat(dout[..., None], self.k, axis=2), {}


@family.right(distinct(3, 5))
class Sort:
    """Each row in ascending order."""

    def forward(self, x):
        self.order = x.argsort(axis=1)
        return np.take_along_axis(x, self.order, axis=1)

    def backward(self, dout):
        dx = np.empty_like(dout)
        np.put_along_axis(dx, self.order, dout, axis=1)
        return dx, {}


@family.wrong("axes-permuted", "dx")
class SortTwice(Sort):
    """take for put: the permutation in place of its inverse."""

    def backward(self, dout):
        return np.take_along_axis(dout, self.order, axis=1), {}


@family.wrong("derivative-missing", "dx", also=("axes-permuted",))
class SortPassed(Sort):
    def backward(self, dout):
        return dout.copy(), {}


@family.right(distinct(3, 6))
class TopK:
    """The two largest of each row, the largest first."""

    def forward(self, x):
        self.shape, self.top = x.shape, x.argsort(axis=1)[:, :-3:-1]
        return np.take_along_axis(x, self.top, axis=1)

    def backward(self, dout):
        dx = np.zeros(self.shape)
        np.put_along_axis(dx, self.top, dout, axis=1)
        return dx, {}


@family.wrong("flipped", "dx", also=("unexplained", "axes-permuted"))
class TopKReversed(TopK):
    """The smallest of the best first."""

    def backward(self, dout):
        return super().backward(dout[:, ::-1])


@family.right(normal(3, 5))
class CumulativeSum:
    def forward(self, x):
        return np.cumsum(x, axis=1)

    def backward(self, dout):
        return np.cumsum(dout[:, ::-1], axis=1)[:, ::-1], {}


@family.wrong(
    "unexplained",
    "dx",
    also=(
        "flipped",
        "transposed",
        "wrong-axis",
    ),
)
class CumulativeSumForwards(CumulativeSum):
    """Summed from the left in backward too."""

    def backward(self, dout):
        return np.cumsum(dout, axis=1), {}


@family.wrong("diagonal-only", "dx", also=("derivative-missing", "path-missing"))
class CumulativeSumDiagonal(CumulativeSum):
    def backward(self, dout):
        return dout.copy(), {}


@family.wrong("flipped", "dx")
class CumulativeSumLeftReversed(CumulativeSum):
    """The last reversal forgotten."""

    def backward(self, dout):
        return np.cumsum(dout[:, ::-1], axis=1), {}


@family.wrong("wrong-axis", "dx")
class CumulativeSumOverBatch(CumulativeSum):
    def backward(self, dout):
        return np.cumsum(dout[::-1], axis=0)[::-1].copy(), {}


@family.right(normal(2, 3, 4))
class Flatten:
    """Its result is a view of dout in another shape."""

    def forward(self, x):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dout):
        return dout.reshape(self.shape), {}


@family.right(normal(2, 3, 4))
class SwapAxes:
    """(N, T, D) → (N, D, T): views both ways."""

    def forward(self, x):
        return x.transpose(0, 2, 1)

    def backward(self, dout):
        return dout.transpose(0, 2, 1), {}


@family.wrong("axes-permuted", "dx", also=("transposed",))
class SwapAxesReshaped(SwapAxes):
    def backward(self, dout):
        return dout.reshape(len(dout), dout.shape[2], dout.shape[1]).copy(), {}


@family.wrong("shape", "dx", also=("derivative-missing",))
class FlattenForgotten(Flatten):
    def backward(self, dout):
        return dout.copy(), {}


@family.wrong("axes-permuted", "dx")
class FlattenFortran(Flatten):
    """Unrolled in the other order."""

    def backward(self, dout):
        return dout.reshape(self.shape, order="F").copy(), {}


@family.right(normal(2, 3, 4))
class Roll:
    def forward(self, x):
        return np.roll(x, 1, axis=2)

    def backward(self, dout):
        return np.roll(dout, -1, axis=2), {}


@family.wrong("axes-permuted", "dx", also=("unexplained",))
class RollSameWay(Roll):
    def backward(self, dout):
        return np.roll(dout, 1, axis=2), {}


@family.right(normal(3, 4))
class Flip:
    def forward(self, x):
        return x[:, ::-1].copy()

    def backward(self, dout):
        return dout[:, ::-1].copy(), {}


@family.wrong("flipped", "dx", also=("derivative-missing",))
class FlipForgotten(Flip):
    def backward(self, dout):
        return dout.copy(), {}


@family.wrong("flipped", "dx")
class FlipOtherAxis(Flip):
    def backward(self, dout):
        return dout[::-1].copy(), {}


@family.right(normal(3, 6))
class FirstHalf:
    """Slices: the first three columns."""

    def forward(self, x):
        self.shape = x.shape
        return x[:, :3].copy()

    def backward(self, dout):
        dx = np.zeros(self.shape)
        dx[:, :3] = dout
        return dx, {}


@family.wrong("shape", "dx")
class FirstHalfShort(FirstHalf):
    def backward(self, dout):
        return dout.copy(), {}


@family.wrong("axes-permuted", "dx", also=("unexplained",))
class FirstHalfSecond(FirstHalf):
    def backward(self, dout):
        dx = np.zeros(self.shape)
        dx[:, 3:] = dout
        return dx, {}


@family.right(normal(4, 3))
class PairwiseDifferences:
    """y_ij = x_i − x_j over the samples: (N, D) → (N, N, D)."""

    def forward(self, x):
        return x[:, None] - x[None]

    def backward(self, dout):
        return dout.sum(axis=1) - dout.sum(axis=0), {}


@family.wrong("path-missing", "dx")
class PairwiseFirstRole(PairwiseDifferences):
    """Each sample in its first role alone."""

    def backward(self, dout):
        return dout.sum(axis=1), {}


@family.wrong("wrong-axis", "dx", also=("sign-flipped",))
class PairwiseAxesExchanged(PairwiseDifferences):
    def backward(self, dout):
        return dout.sum(axis=0) - dout.sum(axis=1), {}


@family.right(normal(3, 8))
class Spectrum:
    """|FFT|² of each row: complex inside, real outside."""

    def forward(self, x):
        self.z, self.T = np.fft.rfft(x, axis=1), x.shape[1]
        return np.abs(self.z) ** 2

    def backward(self, dout):
        z = np.zeros((len(dout), self.T), complex)
        z[:, : dout.shape[1]] = dout * np.conj(self.z)
        return 2 * np.fft.fft(z, axis=1).real, {}


@family.wrong("factor-of-two", "dx")
class SpectrumWithoutTwo(Spectrum):
    def backward(self, dout):
        dx, grads = super().backward(dout)
        return dx / 2, grads


@family.wrong("unexplained", "dx", also=("flipped",))
class SpectrumConjugateForgotten(Spectrum):
    def backward(self, dout):
        z = np.zeros((len(dout), self.T), complex)
        z[:, : dout.shape[1]] = dout * self.z
        return 2 * np.fft.fft(z, axis=1).real, {}


@family.wrong("dtype", "dx")
class SpectrumComplex(Spectrum):
    """.real forgotten."""

    def backward(self, dout):
        z = np.zeros((len(dout), self.T), complex)
        z[:, : dout.shape[1]] = dout * np.conj(self.z)
        return 2 * np.fft.fft(z, axis=1), {}
