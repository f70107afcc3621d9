"""A labelled set of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError
from data.labels import Label, encode_labels
from data.rows import MappedRows


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples, one per row, with their targets.

    Shapes:   x (N, D), any real dtype (images stay uint8);
              y (N,) int64 class indices in 0 … C-1, or (N, K) float targets if labels is None;
              labels: the original label of each of the C classes, or None for regression;
              feature_shape: the shape of one sample, of D numbers, such as (8, 8).
    Errors:   DataError if these do not fit one another.
    """

    x: NDArray[Any] | MappedRows
    y: NDArray[Any]
    labels: tuple[Label, ...] | None
    name: str
    feature_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        x, y, name = self.x, self.y, self.name
        if x.ndim != 2 or x.dtype.kind not in "uif":
            raise DataError(f"{name}: x must be real, (N, D), got {x.dtype} {x.shape}")
        if x.shape[1] != math.prod(self.feature_shape):
            raise DataError(f"{name}: x {x.shape} does not fit images of {self.feature_shape}")
        if len(x) != len(y):
            raise DataError(f"{name}: {len(x)} samples in x, but {len(y)} in y")
        if self.labels is None:
            if y.ndim != 2 or y.dtype.kind != "f":
                raise DataError(f"{name}: targets must be floats, (N, K), got {y.dtype} {y.shape}")
        elif y.ndim != 1 or y.dtype != np.int64:
            raise DataError(f"{name}: y must be int64 (N,), got {y.dtype} {y.shape}")
        elif len(y) and not 0 <= y.min() <= y.max() < len(self.labels):
            bad = int(np.argmax((y < 0) | (y >= len(self.labels))))
            raise DataError(
                f"{name}: class {y[bad]} of sample {bad} is out of range; "
                f"{len(self.labels)} labels admit 0 … {len(self.labels) - 1}"
            )

    def __len__(self) -> int:
        return len(self.y)

    @property
    def n_features(self) -> int:
        return self.x.shape[1]

    @property
    def n_classes(self) -> int:
        """How many classes there are, absent ones included."""
        if self.labels is None:
            raise DataError(f"{self.name}: holds targets to be regressed, not classes")
        return len(self.labels)

    def take(self, rows: NDArray[np.intp]) -> Dataset:
        """Return the set of these rows; rows of a memory-mapped x stay in their file."""
        x: NDArray[Any] | MappedRows
        if isinstance(self.x, MappedRows):
            x = MappedRows(self.x.base, self.x.rows[rows])
        elif is_mapped(self.x):
            x = MappedRows(self.x, np.asarray(rows))
        else:
            x = self.x[rows]
        return Dataset(x, self.y[rows], self.labels, self.name, self.feature_shape)


def is_mapped(x: NDArray[Any]) -> bool:
    """Return whether an array, or the array it is a view of, lies in a mapped file."""
    base: Any = x
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return True
        base = base.base
    return False


def from_arrays(
    x: NDArray[Any],
    y: NDArray[Any] | Sequence[Label],
    name: str = "arrays",
    labels: Sequence[Label] | None = None,
    regression: bool = False,
) -> Dataset:
    """Make a set of samples in x and their labels, or targets, in y.

    Shapes:   x (N, …), flattened to (N, D), its sample shape kept as feature_shape;
              y (N,) integers or strings, or (N,) or (N, K) numbers if regression is true.
    Errors:   DataError for NaN or inf, sizes that do not fit, labels that are not labels.
    """
    rows, feature_shape = as_rows(x, name)
    if len(rows) != len(y):
        raise DataError(f"{name}: {len(rows)} samples in x, but {len(y)} in y")
    if regression:
        return Dataset(rows, _targets(np.asarray(y), name), None, name, feature_shape)
    indices, found = encode_labels(y, labels, where=f"{name}: y")
    return Dataset(rows, indices, found, name, feature_shape)


def as_rows(x: NDArray[Any], name: str) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Check an array of samples and return it as (N, D) together with the shape of a sample."""
    if x.ndim < 2:
        raise DataError(f"{name}: x must be (N, …) with 2 axes or more, got shape {x.shape}")
    if 0 in x.shape:
        raise DataError(f"{name}: x has no samples or no features, shape {x.shape}")
    if x.dtype.kind == "b":
        x = x.view(np.uint8)
    if x.dtype.kind not in "uif":
        raise DataError(f"{name}: x must hold real numbers, got dtype {x.dtype}")
    rows = x if x.ndim == 2 else x.reshape(len(x), -1)
    if is_mapped(x) and not np.may_share_memory(rows, x):  # a copy of the whole file
        raise DataError(
            f"{name}: lies column by column in its file, so that its images cannot be mapped; "
            "save np.ascontiguousarray(x), or read it into memory: mapped = false"
        )
    if not is_mapped(rows):
        rows = np.ascontiguousarray(rows)
        check_finite(rows, f"{name}: x")
    return rows, x.shape[1:]


def check_finite(array: NDArray[Any], where: str) -> None:
    """Raise a DataError that names the first row and column holding NaN or inf, if any does."""
    if array.dtype.kind != "f":
        return
    step = max(1, 2**20 // max(1, array[:1].size))
    for start in range(0, len(array), step):
        finite = np.isfinite(array[start : start + step])
        if not finite.all():
            row, column = (int(i) for i in np.argwhere(~finite)[0])
            value = array[start + row, column]
            raise DataError(
                f"{where}: row {start + row}, column {column} is {value}; "
                "every value must be finite"
            )


def _targets(y: NDArray[Any], name: str) -> NDArray[np.floating[Any]]:
    if y.dtype.kind not in "buif" or y.ndim not in (1, 2) or y.size == 0:
        raise DataError(f"{name}: targets must be numbers (N,) or (N, K), got {y.dtype} {y.shape}")
    targets = y.reshape(len(y), -1).astype(np.float64)
    check_finite(targets, f"{name}: y")
    return targets
