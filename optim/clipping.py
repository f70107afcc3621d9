"""Clipping of the gradient by its norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BLOCK = 32_768  # entries summed in the array's own precision before float64 takes over


def clip_by_norm(grad: Array, limit: float) -> float:
    """Scale `grad` down, in place, to the Euclidean norm `limit` if it is longer.

    Returns the norm before. A norm that is not finite is returned, and `grad` left as it is: the
    caller can see it there. Nothing overflows on the way: float32 entries of 1e30 are fine.
    Errors: ValueError for limit ≤ 0 or NaN, or for an array that is not contiguous.
    Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural
            networks" (2013), algorithm 1.
    """
    if not limit > 0:
        raise ValueError(f"clip_by_norm: limit is {limit}, expected a number > 0")
    if not grad.flags.c_contiguous:
        raise ValueError(f"clip_by_norm: grad has strides {grad.strides}, expected contiguous")
    vector = grad.reshape(-1)
    norm = euclidean_norm(vector)
    if norm > limit and math.isfinite(norm):
        np.multiply(vector, limit / norm, out=vector)
    return norm


def euclidean_norm(vector: Array) -> float:
    """√Σ vᵢ² of a contiguous vector."""
    with np.errstate(over="ignore"):
        squares = sum_of_squares(vector, 1.0)
    # A sum this near the ends of the range has lost entries to overflow or underflow.
    if 1e-20 < squares < math.inf:
        return math.sqrt(squares)
    largest = max(float(np.max(vector, initial=0)), -float(np.min(vector, initial=0)))
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * math.sqrt(sum_of_squares(vector, largest))


def sum_of_squares(vector: Array, unit: float) -> float:
    """Σ (vᵢ / unit)²."""
    total = 0.0
    for start in range(0, vector.size, BLOCK):
        block = vector[start : start + BLOCK]
        if unit != 1:
            block = block.astype(np.float64) / unit
        total += float(np.dot(block, block))
    return total
