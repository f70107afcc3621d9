"""When two arrays of numbers count as the same, or as multiples of each other."""

import numpy as np

from gradcheck.arrays import CLOSE, Array, peak, same


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


__all__ = ["CLOSE", "multiple", "same", "wrong_entries"]
