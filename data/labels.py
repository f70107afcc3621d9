"""Labels as they stand in a file, and the class indices 0 … C-1 a network learns."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError, nearest, shown

Label = int | str

MAX_LABEL = 1000
MAX_CLASSES = 2**15
"""Each class costs a score a sample; no data set of labels has as many classes."""


def encode_labels(
    values: NDArray[Any] | Sequence[Label],
    labels: Sequence[Label] | None = None,
    where: str = "y",
) -> tuple[NDArray[np.int64], tuple[Label, ...]]:
    """Turn N labels, integers or strings, into class indices and the label of each index.

    Without `labels` the classes are the distinct values, sorted; with `labels` (those of a
    training set, say) a value that is not among them is an error.
    Shapes:   values (N,) → y (N,) int64 in 0 … C-1, and C labels.
    Errors:   DataError for real-valued labels, other kinds, fewer than two classes, very many
              classes, very long labels, strings that are no text.
    """
    found: list[Label]
    if isinstance(values, list) and values and all(type(value) is str for value in values):
        # An array would give every sample the room of the longest label.
        found = sorted(set(values))
        place = {label: index for index, label in enumerate(found)}
        y = np.fromiter((place[value] for value in values), np.int64, len(values))
    else:
        array = _as_labels(np.asarray(values), where)
        distinct, y = np.unique(array, return_inverse=True)
        found = distinct[: MAX_CLASSES + 1].tolist()
        y = y.reshape(array.shape).astype(np.int64, copy=False)
    _check_text(found, where)
    if len(found) > MAX_CLASSES:
        raise DataError(
            f"{where}: more than {MAX_CLASSES:,} different labels; "
            "for targets to be regressed say regression = true"
        )
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
    if array.dtype.kind == "U":
        if array.dtype.itemsize > 4 * MAX_LABEL:
            raise DataError(f"{where}: labels of more than {MAX_LABEL} characters")
        codes = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).view(np.uint32)
        if codes.size and codes.max() > sys.maxunicode:
            raise DataError(f"{where}: labels hold code points that do not exist; a damaged file?")
    return array


def _check_text(labels: list[Label], where: str) -> None:
    """Raise a DataError at a label that is longer than any, or cannot be written to a file."""
    for label in labels:
        if not isinstance(label, str):
            continue
        if len(label) > MAX_LABEL:
            raise DataError(
                f"{where}: a label is longer than {MAX_LABEL} characters: {shown(label)}"
            )
        try:
            label.encode()
        except UnicodeEncodeError:
            raise DataError(f"{where}: the label {shown(label)} is no text") from None


def _listed(labels: Iterable[Label], limit: int = 12) -> str:
    names = [shown(label, 20) for label in labels]
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "")
