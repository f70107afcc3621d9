"""CIFAR-10, its binary version and its Python version."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import DataError, shown
from data.files import MAX_BYTES, check_memory, file_size, read_bytes, readable

LABELS = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
PIXELS = 3 * 32 * 32
MAX_PICKLE = 2**26
"""No pickled batch of CIFAR-10 is this large: they are 31 MB."""

PARTS = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}


def read_cifar10(path: str | Path, part: str = "train", max_bytes: int = MAX_BYTES) -> Dataset:
    """Read one batch file, or all of a part ("train" or "test") from the unpacked folder.

    Shapes:   x (N, 3072) uint8, feature_shape (3, 32, 32): red, green, blue; y (N,)
    Errors:   DataError for a batch missing, damaged, or holding anything but arrays.
    Source:   Krizhevsky 2009, cs.toronto.edu/~kriz/cifar.html.
    """
    if part not in PARTS:
        raise DataError(f"cifar10: part must be 'train' or 'test', got {shown(part)}")
    files = _batches_of(Path(path), part) if os.path.isdir(path) else [Path(path)]
    check_memory(path, sum(file_size(file) for file in files), max_bytes)
    batches = [read_batch(file) for file in files]
    x = np.concatenate([x for x, _ in batches]) if len(batches) > 1 else batches[0][0]
    y = np.concatenate([y for _, y in batches])
    return Dataset(np.ascontiguousarray(x), y, LABELS, str(path), (3, 32, 32))


def read_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read one file: of the binary version if its name ends in .bin, else of the Python version."""
    size = file_size(path)
    with readable(path), open(path, "rb") as file:
        content = read_bytes(file, size, path)
    x, y = _from_binary(content, path) if path.suffix == ".bin" else _from_pickle(content, path)
    if not 0 <= y.min() <= y.max() < len(LABELS):
        bad = int(np.argmax((y < 0) | (y >= len(LABELS))))
        raise DataError(f"{path}: label {y[bad]} of image {bad} is out of range 0 … 9")
    return x, y


def _batches_of(folder: Path, part: str) -> list[Path]:
    """Return the files of a part, all of the binary version if its first is there."""
    names = PARTS[part]
    ending = ".bin" if (folder / f"{names[0]}.bin").exists() else ""
    if not (folder / f"{names[0]}{ending}").exists():
        raise DataError(
            f"{folder}: no CIFAR-10 here: neither {names[0]}.bin (binary version) nor {names[0]} "
            "(Python version)"
        )
    return [folder / f"{name}{ending}" for name in names]


def _from_binary(content: NDArray[Any], path: Path) -> tuple[NDArray[Any], NDArray[np.int64]]:
    if len(content) % (1 + PIXELS):
        raise DataError(
            f"{path}: {len(content):,} bytes are not a whole number of records of {1 + PIXELS}: "
            "a label and 3 × 32 × 32 pixels"
        )
    records = content.reshape(-1, 1 + PIXELS)
    return records[:, 1:], records[:, 0].astype(np.int64)


def _from_pickle(content: NDArray[Any], path: Path) -> tuple[NDArray[Any], NDArray[np.int64]]:
    from data.array_pickle import read_array_pickle

    check_memory(path, len(content), MAX_PICKLE)
    batch = read_array_pickle(content.tobytes(), str(path))
    if not isinstance(batch, dict):
        raise DataError(f"{path}: a CIFAR-10 batch is a dict of data and labels")
    x = batch.get("data", batch.get(b"data"))
    y = batch.get("labels", batch.get(b"labels"))
    if not isinstance(x, np.ndarray) or x.dtype != np.uint8 or x.ndim != 2 or x.shape[1] != PIXELS:
        raise DataError(f"{path}: its data must be an array (N, {PIXELS}) of uint8")
    if not isinstance(y, list) or not all(type(label) is int for label in y):
        raise DataError(f"{path}: its labels must be a list of integers")
    if len(x) != len(y) or not y:
        raise DataError(f"{path}: {len(x)} images, but {len(y)} labels; as many are needed")
    if not all(0 <= label < len(LABELS) for label in y):
        bad = next(i for i, label in enumerate(y) if not 0 <= label < len(LABELS))
        raise DataError(f"{path}: label {shown(y[bad])} of image {bad} is out of range 0 … 9")
    return x, np.array(y, dtype=np.int64)
