"""The unit that learns its own activation function."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from layers import initialize
from layers.base import Array, Gradients, Layer


class Maxout(Layer):
    """The largest of k affine maps, for each output on its own.

    Forward:  y = maxₚ zₚ,  zₚ = x Wₚ + bₚ,  p = 1 … k
    Backward: dzₚ = dout where zₚ won, else 0;
              dx = Σₚ dzₚ Wₚᵀ,  dWₚ = xᵀ dzₚ,  dbₚ = Σₙ dzₚ
    Shapes:   x (N, D) → y (N, M);  W (k, D, M);  b (k, M)
    Caches:   x, and k masks of who won, one byte an entry; of equals the first wins
    Errors:   ValueError when x is not (N, D) or dout not (N, M)
    Source:   Goodfellow et al., "Maxout networks" (2013); the lecture has k = 2
    """

    forward_rule = "y = maxₚ (x Wₚ + bₚ)"
    backward_rule = "dzₚ = dout where p won; dx = Σₚ dzₚ Wₚᵀ, dWₚ = xᵀ dzₚ, dbₚ = Σₙ dzₚ"
    weights = ("W",)
    replays = True

    def __init__(
        self,
        D: int,
        M: int,
        pieces: int = 2,
        *,
        rng: np.random.Generator | int,
        init: str | float = "he",
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        initialize.check_sizes("Maxout", D=D, M=M, pieces=pieces)
        self.params["W"] = initialize.weights((pieces, D, M), init, rng, dtype)
        self.params["b"] = np.zeros((pieces, M), dtype)

    def forward(self, x: Array) -> Array:
        x, W = self.as_float(x), self.params["W"]
        D = W.shape[1]
        if x.ndim != 2 or x.shape[1] != D:
            raise ValueError(f"Maxout: x has shape {x.shape}, expected (N, {D})")
        z = self.into("z", np.matmul, x, W)
        z = self.into("z", np.add, z, self.params["b"][:, np.newaxis])
        y = self.into("y", np.maximum.reduce, z)
        return self.keep(y, x, self.into("won", first_equal, z, y))

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, x, won = self.recall(dout)
        W, dz = self.params["W"], self._pieces(dout, won)
        dx = self.into("dx", np.matmul, dz[0], W[0].T)
        for p in range(1, len(W)):
            piece = self.into("dx of a piece", np.matmul, dz[p], W[p].T)
            dx = self.into("dx", np.add, dx, piece)
        return dx, self._gradients(x, dz)

    def parameter_gradients(self, dout: Array) -> Gradients:
        dout, x, won = self.recall(dout)
        return self._gradients(x, self._pieces(dout, won))

    def _pieces(self, dout: Array, won: Array) -> Array:
        """dz (k, N, M): each entry of `dout` goes to the piece that won it."""
        return self.into("dz", np.multiply, dout, won)

    def _gradients(self, x: Array, dz: Array) -> Gradients:
        dW = self.into("dW", np.matmul, x.T, dz)
        db = self.into("db", partial(np.add.reduce, axis=1), dz)
        return {"W": dW, "b": db}


def first_equal(z: Array, y: Array, out: Array | None = None) -> Array:
    """Of each entry of y the first zₚ that equals it."""
    won = np.equal(z, y, out=out)
    for p in range(1, len(z)):
        won[p] &= ~won[:p].any(axis=0)
    return won
