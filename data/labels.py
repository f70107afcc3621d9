"""Labels as they stand in a file, and the class indices 0 … C-1 a network learns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError, nearest, shown

Label = int | str


def encode_labels(
    values: NDArray[Any] | Sequence[Label],
    labels: Sequence[Label] | None = None,
    where: str = "y",
) -> tuple[NDArray[np.int64], tuple[Label, ...]]:
    """Turn N labels, integers or strings, into class indices and the label of each index.

    Without `labels` the classes are the distinct values, sorted; with `labels` (those of a
    training set, say) a value that is not among them is an error.
    Shapes:   values (N,) → y (N,) int64 in 0 … C-1, and C labels.
    Errors:   DataError for real-valued labels, other kinds, fewer than two classes.
    """
    array = _as_labels(np.asarray(values), where)
    distinct, y = np.unique(array, return_inverse=True)
    found: list[Label] = distinct.tolist()
    y = y.reshape(array.shape).astype(np.int64, copy=False)
    if labels is None:
        if len(found) < 2:
            only = shown(found[0]) if found else "none"
            raise DataError(f"{where}: labels of at least 2 classes are needed, got only {only}")
        return y, tuple(found)
    known = {label: index for index, label in enumerate(labels)}
    if len(known) != len(labels):
        raise DataError(f"{where}: the given labels name a class twice")
    for index, label in enumerate(found):
        if label not in known:
            sample = int(np.argmax(y == index))
            hint = nearest(str(label), [str(k) for k in known])
            raise DataError(
                f"{where}: label {shown(label)} of sample {sample} is not one of the "
                f"{len(known)} known: {_listed(known)}{hint}"
            )
    index_of = np.array([known[label] for label in found], dtype=np.int64)
    return index_of[y], tuple(labels)


def decode_labels(y: NDArray[np.integer[Any]], labels: Sequence[Label]) -> list[Label]:
    """Return the original label of each class index.

    Shapes:   y (N,) → N labels.
    """
    return [labels[index] for index in y.tolist()]


def _as_labels(array: NDArray[Any], where: str) -> NDArray[Any]:
    if array.ndim != 1:
        raise DataError(f"{where}: labels must be one per sample, shape (N,), got {array.shape}")
    if array.dtype.kind == "f":
        whole = np.isfinite(array) & (array == np.round(array)) & (np.abs(array) < 2**53)
        if not whole.all():
            first = int(np.argmin(whole))
            raise DataError(
                f"{where}: label {array[first]} of sample {first} is not an integer or a string; "
                "for targets to be regressed say regression = true"
            )
        return array.astype(np.int64)
    if array.dtype.kind not in "biuU":
        raise DataError(
            f"{where}: labels must be integers or strings, got dtype {shown(array.dtype)}"
        )
    if array.dtype.kind == "b":
        return array.astype(np.int64)
    return array


def _listed(labels: Iterable[Label], limit: int = 12) -> str:
    names = [shown(label, 20) for label in labels]
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "")
