"""C ← c C − A B in one call: what the BLAS under NumPy can do, and `np.matmul` does not offer."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from layers.base import Array

ROW_MAJOR, AS_IT_IS, TRANSPOSED = 101, 111, 112

# What `gemm` is called where NumPy's own wheels carry it; the 64 says that it takes 64-bit sizes.
NAMES = ("scipy_cblas_{}gemm64_", "cblas_{}gemm64_")
TYPES = {"f": ("s", ctypes.c_float), "d": ("d", ctypes.c_double)}


@lru_cache(maxsize=2)
def gemm(char: str) -> Any:
    """The BLAS's general matrix product for a float type; None where NumPy has another BLAS."""
    linked = getattr(getattr(np.linalg, "_umath_linalg", None), "__file__", None)
    if linked is None:
        return None
    library = ctypes.CDLL(linked)  # names of what this file is linked with are found in it, too
    for name in NAMES:
        function = getattr(library, name.format(TYPES[char][0]), None)
        if function is not None:
            function.restype = None
            return function
    return None


def subtracted(C: Array, A: Array, B: Array) -> Callable[[float], None]:
    """A function of c that makes C ← c C − A B.

    Shapes: C (D, M) and B (N, M), row by row; A (D, N) the transpose of an array (N, D).
    """
    (D, M), N = C.shape, len(B)
    for array in (C, A.T, B):
        if not array.flags.c_contiguous or array.dtype != C.dtype:
            raise ValueError("subtracted: the arrays must be contiguous and of one type")
    if A.shape != (D, N) or B.shape != (N, M):
        raise ValueError(f"subtracted: shapes {C.shape}, {A.shape}, {B.shape} do not fit")
    function, (_, number) = gemm(C.dtype.char), TYPES[C.dtype.char]
    size, address, factor = ctypes.c_int64, ctypes.c_void_p, number()
    arguments = (
        *map(ctypes.c_int, (ROW_MAJOR, TRANSPOSED, AS_IT_IS)),
        *map(size, (D, M, N)),
        *(number(-1), address(A.ctypes.data), size(D), address(B.ctypes.data), size(M)),
        *(factor, address(C.ctypes.data), size(M)),
    )

    def call(c: float, held: Any = (A, B, C)) -> None:
        factor.value = c
        function(*arguments)

    return call
