"""A multiple of a vector added to another, in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from blas.library import ONE, TYPES, address, function, size

Array = npt.NDArray[Any]

FEW = 20_000  # entries up to which NumPy's own operations are as quick as a call from here


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
