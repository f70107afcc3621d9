"""A compiled loop over long vectors at once: to each thread of the BLAS its part of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import addressof, c_void_p
from typing import Any

import numpy as np
import numpy.typing as npt

import blas
from blas.library import TYPES
from blas.parts import STEP

Array = npt.NDArray[Any]

VECTORS, NUMBERS = 4, 8  # a loop may take so many: theta, the gradient, two moments; its numbers
TRIED_ON = 1000  # entries

Addresses = c_void_p * (1 + VECTORS)  # of the numbers, and of the vectors


class InParts:
    """A loop of so many vectors of a float type, and so many numbers, for the BLAS's threads.

    Each entry must depend on no other, and no error be raised. The threads of the BLAS have the
    rounding mode they were begun with, whatever this one's is now.
    `works` is False if it does not do what the loop does by itself.
    """

    def __init__(
        self, loop: Callable[..., None], kind: np.dtype[Any], vectors: int, numbers: int
    ) -> None:
        self._kind = kind
        self.works = vectors <= VECTORS and numbers <= NUMBERS
        if self.works:
            self._part = c_function(loop, kind, vectors, numbers)
            self._address = self._part.address
            self._values = TYPES[kind][1] * NUMBERS
            self.works = self._as_by_itself(loop, vectors, numbers)

    def run(self, vectors: Sequence[Array], numbers: Sequence[Any], threads: int) -> None:
        """The loop over contiguous vectors of one length."""
        values = self._values(*numbers)
        data = Addresses(addressof(values), *[v.__array_interface__["data"][0] for v in vectors])
        blas.in_parts(self._address, vectors[0].size, addressof(data), threads)

    def _as_by_itself(self, loop: Callable[..., None], vectors: int, numbers: int) -> bool:
        """Tried once, on a few entries: nobody has promised how the BLAS cuts work in parts."""
        rng = np.random.default_rng(0)
        parts = [rng.random(TRIED_ON).astype(self._kind) for _ in range(vectors)]
        whole = [vector.copy() for vector in parts]
        values = [*rng.random(numbers).astype(self._kind)]
        self.run(parts, values, blas.threads())
        loop(*whole, *values)
        return all(map(np.array_equal, parts, whole))


def c_function(loop: Callable[..., None], kind: np.dtype[Any], vectors: int, numbers: int) -> Any:
    """What `blas.in_parts` calls; the addresses in `data` are those of the numbers, the vectors."""
    import numba

    untyped: Any = numba
    carray, types = untyped.carray, untyped.types

    def part(
        count: Any, entries: Any, k: Any, alpha: Any, begin: Any, a: Any, b: Any, c: Any,
        data: Any, d: Any, unused: Any,
    ) -> None:  # fmt: skip
        first = begin // STEP
        end = first + count
        if first >= 0 and end <= entries:
            v, w, x, y, n = data[1], data[2], data[3], data[4], data[0]
            views = (
                carray(v, end)[first:], carray(w, end)[first:],
                carray(x, end)[first:], carray(y, end)[first:],
            )  # fmt: skip
            values = (n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7])
            loop(*(views[:vectors] + values[:numbers]))

    integer, address = types.int64, types.intp
    addresses = types.CPointer(types.CPointer(untyped.from_dtype(kind)))
    signature = types.void(
        *(integer, integer, integer, types.float32, address, integer, address, integer),
        *(addresses, integer, address),
    )
    return untyped.cfunc(signature)(part)
