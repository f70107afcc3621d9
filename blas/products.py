"""Matrix products: in halves where they are large, or put off until they are added to something."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from blas.again import made_again
from blas.halves import Cut, Halves, halved
from blas.library import AS_IT_IS, ROW_MAJOR, TRANSPOSED, TYPES, address, function, size, there
from blas.places import aligned

Array = npt.NDArray[Any]


def prepared(A: Array, B: Array, out: Array) -> Callable[[], Any]:
    """The call matmul(A, B, out), to be made again and again."""
    found = cut_of(A, B)
    if found is None or not takes(out, A, B):
        return partial(np.matmul, A, B, out)
    return Halves(A, B, out, found).add


@made_again(prepared)
def matmul(A: Array, B: Array, out: Array | None = None) -> Any:
    """A B as of np.matmul; of large matrices in halves, which warn of no overflow."""
    found = cut_of(A, B)
    if found is None:
        return np.matmul(A, B, out=out)
    if out is None:
        out = aligned((A.shape[0], B.shape[1]), A.dtype)
    elif not takes(out, A, B):
        return np.matmul(A, B, out=out)
    with np.errstate(all="ignore"):
        Halves(A, B, out, found).add()
    return out


def cut_of(A: Any, B: Any) -> Cut | None:
    """How A B is cut in halves; None if it is not."""
    if not type(A) is type(B) is np.ndarray or not A.ndim == B.ndim == 2:
        return None
    fit = A.shape[1] == B.shape[0] and A.dtype == B.dtype
    return halved(A, B) if fit and by_rows(A) and by_rows(B) else None


def by_rows(A: Array) -> bool:
    """Whether A or its transpose lies row by row."""
    return A.flags.c_contiguous or A.flags.f_contiguous


def takes(out: Any, A: Array, B: Array) -> bool:
    """Whether A B can be written into it."""
    fits = type(out) is np.ndarray and out.shape == (A.shape[0], B.shape[1])
    apart = fits and not (np.may_share_memory(out, A) or np.may_share_memory(out, B))
    return apart and out.dtype == A.dtype and out.flags.carray


def rows(A: Array) -> tuple[int, int]:
    """Whether A or its transpose lies row by row, for the BLAS; and how long these rows are."""
    return (AS_IT_IS, A.shape[1]) if A.flags.c_contiguous else (TRANSPOSED, A.shape[0])


class Whole:
    """C ← c C + a A B in one product, made whenever it is asked for."""

    def __init__(self, A: Array, B: Array, C: Array) -> None:
        (D, N), M = A.shape, B.shape[1]
        (A_order, A_row), (B_order, B_row) = rows(A), rows(B)
        _, number = TYPES[A.dtype]
        self._gemm = function("gemm", A.dtype)
        self._held = A, B, C
        self._a, self._c = number(), number()
        self._arguments = (
            *map(ctypes.c_int, (ROW_MAJOR, A_order, B_order)),
            *map(size, (D, M, N)),
            *(self._a, address(A.ctypes.data), size(A_row)),
            *(address(B.ctypes.data), size(B_row), self._c, address(C.ctypes.data), size(M)),
        )

    def add(self, a: float, c: float) -> None:
        self._a.value, self._c.value = a, c
        self._gemm(*self._arguments)


class Product:
    """A matrix product A B that is not made until it is added to something.

    Shapes: A (D, N) and B (N, M), each row by row in memory or column by column. The product is
    the part from entry `start` on of a vector (a weight's gradient in that of all parameters).
    """

    def __init__(self, A: Array, B: Array, start: int) -> None:
        if A.ndim != 2 or B.ndim != 2 or A.shape[1] != B.shape[0]:
            raise ValueError(f"Product: shapes {A.shape} and {B.shape} do not fit")
        if start < 0:
            raise ValueError(f"Product: start is {start}, expected 0 or more")
        if A.dtype != B.dtype or not there(A.dtype):
            raise TypeError(f"Product: the BLAS has none of {A.dtype} and {B.dtype}")
        for X in (A, B):
            if not by_rows(X):
                raise ValueError(
                    f"Product: strides {X.strides}, expected a contiguous array or its transpose"
                )
        self._A, self._B, self._start = A, B, start
        self._vector: Array | None = None
        self._add: Callable[[float, float], None]

    def add_to(self, vector: Array, a: float, c: float) -> None:
        """v ← c v + a A B, where v is its part of a contiguous vector."""
        if vector is not self._vector:
            self._take(vector)
        self._add(a, c)

    def _take(self, vector: Array) -> None:
        A, B = self._A, self._B
        shape = A.shape[0], B.shape[1]
        part = slice(self._start, self._start + shape[0] * shape[1])
        fits = vector.dtype == A.dtype and vector.ndim == 1 and vector.flags.carray
        if not fits or vector.size < part.stop:
            raise ValueError(
                f"Product: {vector.dtype} {vector.shape}, strides {vector.strides}, has no room "
                f"for {part.stop - part.start} entries of {A.dtype} from {part.start} on"
            )
        C, found = vector[part].reshape(shape), halved(A, B)
        self._add = (Whole(A, B, C) if found is None else Halves(A, B, C, found)).add
        self._vector = vector
