"""When two arrays of numbers count as the same, or as multiples of each other."""

import numpy as np

from gradcheck.arrays import Array, peak

CLOSE = 1e-6


def same(a: Array, b: Array, scale: float | None = None, close: float = CLOSE) -> bool:
    """Whether two arrays agree to within what the oracle can tell."""
    if np.shape(a) != np.shape(b):
        return False
    top = max(peak(np.asarray(a)), peak(np.asarray(b))) if scale is None else scale
    if not np.isfinite(top):
        return False
    return bool(np.all(np.abs(a - b) <= close * top))


def multiple(a: Array, b: Array, close: float = CLOSE) -> float | None:
    """The c for which a = c b; None if there is none, or b is zero."""
    if a.shape != b.shape or peak(b) == 0 or peak(a) == 0:
        return None
    unit = b / peak(b)
    c = float(np.vdot(a, unit) / np.vdot(unit, unit)) / peak(b)
    return c if c != 0 and same(a, c * b, close=close) else None


def wrong_entries(got: Array, expected: Array) -> Array:
    """Where the two differ by more than the oracle's rounding."""
    return np.asarray(np.abs(got - expected) > CLOSE * max(peak(got), peak(expected)))
