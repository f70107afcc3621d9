"""The functions of the BLAS under NumPy, by name."""

from __future__ import annotations

import ctypes
import re
from functools import lru_cache
from typing import Any

import numpy as np

# What they are called in NumPy's wheels; the 64 says that they take 64-bit sizes.
NAMES = ("scipy_{}64_", "{}64_")
TYPES = {np.dtype(np.float32): ("s", ctypes.c_float), np.dtype(np.float64): ("d", ctypes.c_double)}

OWN_THREADS = 1  # of OpenBLAS, not OpenMP's
ROW_MAJOR, AS_IT_IS, TRANSPOSED = 101, 111, 112

size, address = ctypes.c_int64, ctypes.c_void_p
ONE = size(1)


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


@lru_cache(maxsize=1)
def version() -> int:
    """The last number of OpenBLAS 0.3.… with threads of its own; 0 for any other BLAS."""
    config = named("openblas_get_config", ctypes.c_char_p)
    kind = named("openblas_get_parallel", ctypes.c_int)
    if not (config and kind) or kind() != OWN_THREADS:
        return 0
    found = re.match(rb"OpenBLAS 0\.3\.(\d+)", config())
    return int(found[1]) if found else 0


def there(dtype: np.dtype[Any]) -> bool:
    """Whether the BLAS's functions were found for this type."""
    return all(function(name, dtype) is not None for name in ("gemm", "axpy", "axpby"))
