"""Chosen rows of an array too large to copy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class MappedRows:
    """Some rows of a memory-mapped array, read from the file only when asked for.

    Shapes: base (M, D), rows (N,) indices into base → behaves as an (N, D) array that can be
    indexed by a slice or an index array, either of which returns a fresh array in memory.
    """

    def __init__(self, base: NDArray[Any], rows: NDArray[np.intp]) -> None:
        self.base = base
        self.rows = rows

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.base.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.base.dtype

    @property
    def ndim(self) -> int:
        return self.base.ndim

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: slice | NDArray[np.intp]) -> NDArray[Any]:
        return np.asarray(self.base[self.rows[index]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("MappedRows lie in a file: an array of them is always a copy")
        return np.asarray(self.base[self.rows], dtype=dtype)
