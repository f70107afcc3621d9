"""IDX, the format of MNIST, compressed by gzip or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset, from_arrays
from data.errors import DataError
from data.files import MAX_BYTES, check_memory, open_maybe_gz, read_bytes
from data.labels import Label

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(
    path: str | Path,
    y_path: str | Path,
    labels: Sequence[Label] | None = None,
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """Read images and their labels, such as train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz.

    Shapes:   x (N, …) → (N, D), uint8 kept; y (N,)
    Errors:   DataError for any file that is not IDX, whole, and within max_bytes.
    """
    y = read_idx_array(y_path, max_bytes)
    if y.ndim != 1 or y.dtype.kind not in "ui":
        raise DataError(
            f"{y_path}: labels must be integers (N,), this file holds {y.dtype} {y.shape}"
        )
    return from_arrays(read_idx_array(path, max_bytes), y, str(path), labels)


def read_idx_array(path: str | Path, max_bytes: int = MAX_BYTES) -> NDArray[Any]:
    """Read the one array of an IDX file, in the machine's byte order.

    Source:   the format stands at the end of yann.lecun.com/exdb/mnist.
    """
    with open_maybe_gz(path) as (file, bound):
        magic = file.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in DTYPES or magic[3] == 0:
            raise DataError(
                f"{path}: wrong magic number 0x{magic.hex()}; an IDX file starts with "
                "0x00000801 (labels), 0x00000803 (images) or alike"
            )
        n_axes = magic[3]
        sizes = file.read(4 * n_axes)
        if len(sizes) < 4 * n_axes:
            raise DataError(f"{path}: is truncated inside its header of {n_axes} sizes")
        shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
        dtype = np.dtype(DTYPES[magic[2]])
        n_bytes = math.prod(shape) * dtype.itemsize
        if n_bytes == 0 or n_axes > 32:
            raise DataError(f"{path}: holds no samples: its header says shape {shape}")
        if n_bytes > bound:
            raise DataError(
                f"{path}: is truncated: its header promises {n_bytes:,} bytes of data, "
                f"more than the file can hold or may unpack to ({bound:,})"
            )
        check_memory(path, n_bytes, max_bytes)
        array = read_bytes(file, n_bytes, path).view(dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)
