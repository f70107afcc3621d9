"""What NumPy does not offer of the BLAS under it: sums in place, work for its threads, and arrays
that begin where it is quickest.

NumPy multiplies matrices with a BLAS of its own, whose product can be added to what stands in the
result's place, and which adds a multiple of a vector to another in one pass, on all its threads. It
is found by name in NumPy's wheels; where NumPy stands on another BLAS, `there` is False.
"""

from __future__ import annotations

import ctypes
import math
import re
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# What the functions are called in NumPy's wheels; the 64 says that they take 64-bit sizes.
NAMES = ("scipy_{}64_", "{}64_")
TYPES = {np.dtype(np.float32): ("s", ctypes.c_float), np.dtype(np.float64): ("d", ctypes.c_double)}
ROW_MAJOR, AS_IT_IS, TRANSPOSED = 101, 111, 112

FEW = 20_000  # entries up to which NumPy's own operations are as quick as a call from here
LINE, PAGE = 64, 4096  # bytes of a cache line, and of a page of memory
LARGE = 2**20  # above it `scal` takes all threads, and half the time that `gemm` takes for it

size, address = ctypes.c_int64, ctypes.c_void_p
ONE = size(1)


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """An array, not yet filled, that begins at a cache line: with such a product is 2 to 5 %
    quicker than with NumPy's, of which each line that the processor moves may lie across two."""
    dtype = np.dtype(dtype)
    if dtype.hasobject or dtype.itemsize == 0:
        return np.empty(shape, dtype)
    return room(math.prod(shape) * dtype.itemsize, 0, LINE).view(dtype).reshape(shape)


def beside(vector: Array) -> Array:
    """A vector like it, not yet filled, that begins at the same place of a page: one pass over both
    is up to 1.6 times quicker than from places a line apart."""
    return room(vector.nbytes, vector.ctypes.data, PAGE).view(vector.dtype)


def room(count: int, place: int, step: int) -> Array:
    """So many bytes, the first of them a multiple of `step` away from `place` in memory."""
    more = np.empty(count + step, np.uint8)
    start = (place - more.ctypes.data) % step
    return more[start : start + count]


def begin_alike(x: Array, y: Array) -> bool:
    """Whether two arrays are contiguous vectors that begin at the same place of a page."""
    alike = x.shape == y.shape and x.flags.c_contiguous and y.flags.c_contiguous
    return alike and (x.ctypes.data - y.ctypes.data) % PAGE == 0


def at_line(array: Array) -> Array:
    """The array, or, if it lies row by row but does not begin at a cache line, a copy that does."""
    if array.ctypes.data % LINE == 0 or not array.flags.c_contiguous:
        return array
    copy = aligned(array.shape, array.dtype)
    copy[...] = array
    return copy


@lru_cache(maxsize=16)
def function(name: str, dtype: np.dtype[Any]) -> Any:
    """`gemm`, `axpy`, … for a float type; None if it is not to be found."""
    return named(f"cblas_{TYPES[dtype][0]}{name}") if dtype in TYPES else None


def named(name: str, result: Any = None, patterns: tuple[str, ...] = NAMES) -> Any:
    """A function of the BLAS under NumPy, and the type of its result; None if there is none."""
    linked = getattr(getattr(np.linalg, "_umath_linalg", None), "__file__", None)
    if linked is None:
        return None
    library = ctypes.CDLL(linked)  # names of what this file is linked with are found in it, too
    for pattern in patterns:
        found = getattr(library, pattern.format(name), None)
        if found is not None:
            found.restype = result
            return found
    return None


def there(dtype: np.dtype[Any]) -> bool:
    """Whether the BLAS's functions were found for this type."""
    return all(function(name, dtype) is not None for name in ("gemm", "scal", "axpy", "axpby"))


def axpy(a: float, x: Array, y: Array, spare: Array | None = None) -> None:
    """y ← y + a x, in place, of vectors, on all threads.

    spare: room for a vector as long, for NumPy where the BLAS is not there or not worth a call.
    """
    call = function("axpy", y.dtype) if y.size > FEW and plain(x, y) else None
    if call is None:
        np.add(y, np.multiply(x, a, out=spare), out=y)
    else:
        call(size(y.size), TYPES[y.dtype][1](a), *vector(x), *vector(y))


def axpby(a: float, x: Array, b: float, y: Array, spare: Array | None = None) -> None:
    """y ← a x + b y, the same on one thread: for passes over vectors that stay in its cache."""
    call = function("axpby", y.dtype) if y.size > FEW and plain(x, y) else None
    if call is None:
        if b != 1:
            np.multiply(y, b, out=y)
        np.add(y, x if a == 1 else np.multiply(x, a, out=spare), out=y)
    else:
        number = TYPES[y.dtype][1]
        call(size(y.size), number(a), *vector(x), number(b), *vector(y))


def plain(x: Array, y: Array) -> bool:
    """Whether two vectors are alike and lie entry by entry, and the second may be written."""
    alike = x.shape == y.shape and x.dtype == y.dtype and y.ndim == 1
    return alike and x.flags.c_contiguous and y.flags.carray


def vector(x: Array) -> tuple[Any, Any]:
    """Where it begins, and the step from entry to entry."""
    return address(x.ctypes.data), ONE


def rows(A: Array) -> tuple[int, int]:
    """Whether A or its transpose lies row by row, for the BLAS, and how long these rows are."""
    if A.flags.c_contiguous:
        return AS_IT_IS, A.shape[1]
    if A.flags.f_contiguous:
        return TRANSPOSED, A.shape[0]
    raise ValueError(f"Product: strides {A.strides}, expected a contiguous array or its transpose")


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
        (D, N), M = A.shape, B.shape[1]
        (A_order, A_row), (B_order, B_row) = rows(A), rows(B)
        _, number = TYPES[A.dtype]
        self._gemm, self._start = function("gemm", A.dtype), start
        self._scal = function("scal", A.dtype) if D * M > LARGE else None
        self._held, self._entries = (A, B), D * M
        self._vector: Array | None = None
        self._a, self._c, self._at = number(), number(), address()
        self._arguments = (
            *map(ctypes.c_int, (ROW_MAJOR, A_order, B_order)),
            *map(size, (D, M, N)),
            *(self._a, address(A.ctypes.data), size(A_row)),
            *(address(B.ctypes.data), size(B_row), self._c, self._at, size(M)),
        )

    def add_to(self, vector: Array, a: float, c: float) -> None:
        """v ← c v + a A B, where v is its part of a contiguous vector."""
        if vector is not self._vector:
            self._take(vector)
        self._a.value, self._c.value = a, c
        if self._scal is not None and self._c.value not in (0, 1):
            self._scal(size(self._entries), self._c, self._at, ONE)
            self._c.value = 1
        self._gemm(*self._arguments)

    def _take(self, vector: Array) -> None:
        fits = vector.dtype == self._held[0].dtype and vector.flags.carray
        if not fits or vector.size < self._start + self._entries:
            raise ValueError(
                f"Product: {vector.dtype} {vector.shape}, strides {vector.strides}, has no room "
                f"for {self._entries} entries of {self._held[0].dtype} from {self._start} on"
            )
        self._vector = vector
        self._at.value = vector.ctypes.data + self._start * vector.itemsize


# -- work for the threads of the BLAS ------------------------------------------------------

# OpenBLAS cuts the vectors of its own operations in parts, one for each of its threads, with a
# function of this name. It is not part of its interface; what it takes has not changed since 2010.
SPLIT = "blas_level1_thread"
READ_FROM = 23  # OpenBLAS 0.3.…, the oldest it was read and tried in
OWN_THREADS = 1  # not OpenMP's
SINGLE, STEP = 2, 4  # a part is told by where it begins in a vector of float32: 4 bytes an entry


@lru_cache(maxsize=1)
def splitter() -> tuple[Any, Any] | None:
    """The function that cuts work in parts, and the one that tells how many threads there may be.

    None where NumPy stands on another BLAS, or one with other threads.
    """
    split, count = named(SPLIT, patterns=("{}",)), named("openblas_get_num_threads", ctypes.c_int)
    config = named("openblas_get_config", ctypes.c_char_p)
    kind = named("openblas_get_parallel", ctypes.c_int)
    if not (split and count and config and kind) or kind() != OWN_THREADS:
        return None
    version = re.match(rb"OpenBLAS 0\.3\.(\d+)", config())
    return (split, count) if version and int(version[1]) >= READ_FROM else None


def threads() -> int:
    """How many threads of the BLAS may be given work (`in_parts`) now: 1 if none but this one."""
    found = splitter()
    return found[1]() if found else 1


def in_parts(part: int, entries: int, data: int, threads: int) -> None:
    """Give each of so many threads (at most those there are) a part of 0 … entries; wait for all.

    The BLAS's threads are awake for a while after a product: it takes no longer than one of its
    sums, where threads of one's own would spin against them. As during a product, the process
    must not be forked meanwhile.

    part: the address of a C function, which is called without Python's lock, as
          part(count, entries, 0, 0.0f, STEP · begin, 1, 0, 0, data, 0, unused)
          for the entries begin … begin + count. (Integers are of 64 bits, addresses among them.)
    data: the address of what it needs.
    """
    found = splitter()
    if found is None:
        raise RuntimeError("in_parts: the BLAS under NumPy cannot be given work")
    split, count = found
    nothing, nowhere, n = size(0), address(0), size(entries)
    split(
        *(SINGLE, n, n, nothing, ctypes.byref(ctypes.c_float(0))),
        *(nowhere, ONE, nowhere, nothing, address(data), nothing),
        *(address(part), min(max(threads, 1), count())),
    )
