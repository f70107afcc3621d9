"""The words for arrays used throughout the checker."""

from typing import Any, TypeAlias, TypeGuard

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

EPS = float(np.finfo(np.float64).eps)
CLOSE = 1e-6  # how near two arrays are that a diagnosis takes for the same


def is_real(a: object) -> TypeGuard[Array]:
    """Whether `a` is an array of floats, the only kind that has a gradient."""
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


def peak(a: Array | None) -> float:
    """The largest magnitude in `a`, 0 for an empty or absent array."""
    if a is None or a.size == 0:
        return 0.0
    return float(np.max(np.abs(a)))


def power_of_two(value: float) -> float:
    """The power of two nearest below `value`, so that steps of it are exact."""
    return float(2.0 ** np.floor(np.log2(value))) if value > 0 else 1.0


def length(values: Array) -> float:
    """How far to move an array: its typical magnitude, a power of two, about 1 at most."""
    if values.size == 0:
        return 1.0
    top = peak(values)
    if top == 0 or not np.isfinite(top):
        return 1.0
    normal = values / top
    typical = top * float(np.sqrt(np.mean(normal * normal)))
    return power_of_two(max(min(1.0, typical), typical * 2.0**-20))


def same(a: Array, b: Array, scale: float | None = None, close: float = CLOSE) -> bool:
    """Whether two arrays agree to within what the oracle can tell."""
    if np.shape(a) != np.shape(b):
        return False
    top = max(peak(np.asarray(a)), peak(np.asarray(b))) if scale is None else scale
    if not np.isfinite(top):
        return False
    return bool(np.all(np.abs(a - b) <= close * top))
