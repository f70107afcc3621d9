"""Minibatches: an epoch's order, its pieces, and their samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blas import aligned
from data.rows import MappedRows


def epoch_order(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the samples 0 … n-1 in random order, each exactly once."""
    return rng.permutation(n)


def batches(order: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Yield successive pieces of an order, as views; the last is smaller if they do not fit.

    Errors:   ValueError unless batch_size is 1 or more.
    """
    if batch_size < 1:
        raise ValueError(f"batches: batch_size must be 1 or more, got {batch_size}")
    return (order[start : start + batch_size] for start in range(0, len(order), batch_size))


def room(x: NDArray[Any] | MappedRows, n: int) -> NDArray[Any]:
    """Where n of the samples can be gathered again and again: an array, not yet filled."""
    return aligned((n, *x.shape[1:]), x.dtype)


def gather(
    x: NDArray[Any] | MappedRows, index: NDArray[np.int64], out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Copy the samples at `index`, converted to the dtype of `out` if that is given.

    Shapes:   x (N, …), index (B,), out (B, …) → (B, …).
    The indices must lie in 0 … N-1: with `out` NumPy is told to skip that check.
    """
    if isinstance(x, MappedRows):
        return gather(x.base, x.rows[index], out)
    if not (x.flags.c_contiguous and x.flags.aligned):
        return _strided(x, index, out)
    if out is None:
        return x.take(index, axis=0)
    if out.dtype == x.dtype:
        return x.take(index, axis=0, out=out, mode="clip")
    np.copyto(out, x.take(index, axis=0, mode="clip"), casting="same_kind")
    return out


def _strided(x: NDArray[Any], index: NDArray[np.int64], out: NDArray[Any] | None) -> NDArray[Any]:
    """The same of an array that does not lie row by row, of which np.take would copy all first."""
    if out is None:
        return np.ascontiguousarray(x[index])
    np.copyto(out, x[index], casting="same_kind")
    return out
