"""A large dW = xᵀ dout that is multiplied out only where the update reads it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from layers.base import Array

LARGE = 4_000_000  # entries from which dW is out of the cache before the update reads it
PIECE_BYTES = 16 * 1024 * 1024  # smaller ones cost more where two cores share no cache


class Product:
    """dW = xᵀ dout, left as its factors.

    While a Solver drives, nobody reads dW but the update, and that from its first entry to its
    last. So the update multiplies out some rows at a time and uses them up: dW as a whole, as
    large as W, is neither held in memory nor written there and read back.
    """

    def __init__(self) -> None:
        self._room: Array = np.empty((0, 0))

    def factors(self, xT: Array, dout: Array) -> None:
        """Keep them, (D, N) and (N, M); neither may change until the update."""
        self._xT, self._dout = xT, dout

    def pieces(self) -> Iterator[Array]:
        """The rows of dW, flat, some at a time; each piece is gone when the next is asked for."""
        D, M = len(self._xT), self._dout.shape[1]
        rows = min(D, max(1, PIECE_BYTES // (M * self._dout.itemsize)))
        if self._room.shape != (rows, M) or self._room.dtype != self._dout.dtype:
            self._room = np.empty((rows, M), self._dout.dtype)
        for start in range(0, D, rows):
            xT = self._xT[start : start + rows]
            yield np.matmul(xT, self._dout, out=self._room[: len(xT)]).reshape(-1)

    def multiply_out(self, out: Array) -> None:
        np.matmul(self._xT, self._dout, out=out)
