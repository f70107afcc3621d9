"""A product of large matrices made as two at once, each on a thread of its own.

The BLAS's threads share one product: what one of them has packed, the other reads, and waits for.
Two products share nothing but what they multiply. A weight W is cut between its rows, W = [W₁; W₂],
in all three of its products:

    x W = x₁ W₁ + x₂ W₂        x = [x₁, x₂]
    dout Wᵀ = [dout W₁ᵀ, dout W₂ᵀ]
    xᵀ dout = [x₁ᵀ dout; x₂ᵀ dout]

so that each core works on its own half, which it has in its cache from step to step. Where samples
are more than what is summed over, features or units, each core takes half of the samples instead.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from blas.library import AS_IT_IS, ROW_MAJOR, TRANSPOSED, TYPES, address, function, size, version
from blas.parts import threads
from blas.places import aligned

Array = npt.NDArray[Any]

# Multiplications of a half. Up to 10⁶ OpenBLAS has another way, which crashes until 0.3.31 at least
# (its pull request 5980).
LEAST = 2**21
TRIED_FROM = 29  # OpenBLAS 0.3.…; 0.3.27 does not have it


class Cut(NamedTuple):
    """Two products of (D, N) and (N, M) matrices, as the BLAS wants them told."""

    arguments: tuple[Any, ...]  # orders and sizes
    lengths: tuple[Any, Any, Any]  # of the rows of A, B, C
    second: tuple[int, int, int]  # the entries at which the second's A, B, C begin
    summed: bool  # the product is the sum of the two


@lru_cache(maxsize=256)
def cut(D: int, N: int, M: int, A_by_row: bool, B_by_row: bool) -> Cut | None:
    """How they are cut; None if a half is not large enough, or it is a matrix and a vector.

    A_by_row: whether A lies row by row; if not, its transpose does.
    """
    i = j = k = 0
    if not A_by_row or D > N:
        i = D // 2
    elif not B_by_row:
        j = M // 2
    else:
        k = N // 2
    Ds, Ns, Ms = (i or D, D - i), (k or N, N - k), (j or M, M - j)
    if D == 1 or M == 1 or Ds[0] * Ns[0] * Ms[0] <= LEAST:
        return None
    A_row, B_row = N if A_by_row else D, M if B_by_row else N
    second = (
        i * A_row + k if A_by_row else i + k * A_row,
        k * B_row + j if B_by_row else k + j * B_row,
        i * M + j,
    )
    orders = [two(ctypes.c_int, *2 * [AS_IT_IS if by_row else TRANSPOSED])
              for by_row in (A_by_row, B_by_row)]  # fmt: skip
    sizes = [two(size, *pair) for pair in (Ds, Ms, Ns)]
    lengths = two(size, A_row, A_row), two(size, B_row, B_row), two(size, M, M)
    return Cut((ctypes.c_int(ROW_MAJOR), *orders, *sizes), lengths, second, k > 0)


def two(kind: Any, first: Any, second: Any) -> Any:
    return (kind * 2)(first, second)


def halved(A: Array, B: Array) -> Cut | None:
    """How the product of two matrices, each by rows or by columns, is cut; None if it is not.

    With two threads it is; more were never measured.
    """
    found = cut(*A.shape, B.shape[1], A.flags.c_contiguous, B.flags.c_contiguous)
    return found if found is not None and threads() == 2 and works(A.dtype) else None


@lru_cache(maxsize=4)
def works(dtype: np.dtype[Any]) -> bool:
    """Whether the BLAS makes two products at once, and right: tried once."""
    if version() < TRIED_FROM or function("gemm_batch", dtype) is None:
        return False
    n = 164  # more than LEAST
    left = np.resize(np.arange(-6, 7, dtype=dtype), (n, n))
    right = np.resize(np.arange(-8, 9, dtype=dtype), (n, n))
    for A, B in ((left, right), (left, right.T), (left.T, right)):
        C, found = np.ones((n, n), dtype), cut(n, n, n, A.flags.c_contiguous, B.flags.c_contiguous)
        if found is None:
            return False
        Halves(A, B, C, found).add(-1, 2)
        if not np.array_equal(C, 2 - np.matmul(A, B)):
            return False
    return True


class Halves:
    """C ← c C + a A B in halves, made whenever it is asked for."""

    def __init__(self, A: Array, B: Array, C: Array, found: Cut) -> None:
        number = TYPES[A.dtype][1]
        self._batch = function("gemm_batch", A.dtype)
        self._held = A, B, C
        self._spare = aligned(C.shape, C.dtype) if found.summed else None
        self._a, self._c = two(number, 1, 1), two(number, 0, 0)
        starts = [array.ctypes.data for array in (A, B, C)]
        after = [s + C.itemsize * n for s, n in zip(starts, found.second, strict=True)]
        if self._spare is not None:
            after[2] = self._spare.ctypes.data
        A_at, B_at, C_at = (two(address, *pair) for pair in zip(starts, after, strict=True))
        A_rows, B_rows, C_rows = found.lengths
        self._arguments = (
            *found.arguments,
            *(self._a, A_at, A_rows, B_at, B_rows, self._c, C_at, C_rows),
            *(size(2), two(size, 1, 1)),
        )

    def add(self, a: float = 1, c: float = 0) -> None:
        spare = self._spare
        self._a[0] = self._a[1] = a
        self._c[0] = c
        self._c[1] = c if spare is None else 0
        self._batch(*self._arguments)
        if spare is not None:
            C = self._held[2]
            np.add(C, spare, out=C)
