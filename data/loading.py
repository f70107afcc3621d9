"""Data by the name of a set or a format, or by a file's ending."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.cifar_file import read_cifar10
from data.csv_file import read_csv, read_csv_features
from data.dataset import Dataset, as_rows
from data.digits import load_digits
from data.errors import DataError, nearest, shown
from data.idx_file import read_idx, read_idx_array
from data.npy_file import read_npy, read_npy_array, read_npz, read_npz_arrays
from data.toys import blobs, circle, moons, spiral, xor

SETS: dict[str, Callable[..., Dataset]] = {
    "digits": load_digits,
    "spiral": spiral,
    "circle": circle,
    "moons": moons,
    "xor": xor,
    "blobs": blobs,
}
"""Sets that need no file."""

FORMATS: dict[str, Callable[..., Dataset]] = {
    "csv": read_csv,
    "npy": read_npy,
    "npz": read_npz,
    "idx": read_idx,
    "cifar10": read_cifar10,
}
"""Formats of files; each needs the option `path`."""

ENDINGS = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".npy": "npy",
    ".npz": "npz",
    "-ubyte": "idx",
    "-ubyte.gz": "idx",
    ".idx": "idx",
    ".idx.gz": "idx",
}


def load(name: str, **options: Any) -> Dataset:
    """Return the set called `name`, or read `path` in the format called `name`.

    A file's path in place of a name is read in the format of its ending.
    Errors:   DataError for an unknown name or option (with those that exist), and as the readers.
    """
    readers = SETS | FORMATS
    if name not in readers:
        if "path" in options or not (kind := format_of(name)):
            raise DataError(
                f"no data called {shown(name)}; there are {', '.join(readers)}, "
                f"and files ending in {', '.join(ENDINGS)}{nearest(name, list(readers))}"
            )
        name, options = kind, {"path": name, **options}
    reader = readers[name]
    parameters = signature(reader).parameters
    for option in options:
        if option not in parameters:
            valid = ", ".join(parameters) or "none"
            raise DataError(
                f"data {name}: no option {shown(option)}; its options are {valid}"
                f"{nearest(option, list(parameters))}"
            )
    for option, parameter in parameters.items():
        if parameter.default is parameter.empty and option not in options:
            raise DataError(f"data {name}: the option {option} is missing")
    for option in ("path", "y_path"):
        if option in options and not isinstance(options[option], str | Path):
            raise DataError(f"data {name}: {option} must be a path, got {shown(options[option])}")
    return reader(**options)


def read_features(
    path: str | Path, format: str | None = None, target: str | None = None, **options: Any
) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Read samples without labels, to be predicted, and the shape of one sample.

    A CSV column named `target` is left out; of an .npz file the array x is read.
    Shapes:   (N, D)
    Errors:   DataError for an ending that names no format, and as the readers.
    """
    kind = format or format_of(str(path))
    if kind == "csv":
        x = read_csv_features(path, target, **options)
    elif kind == "npy":
        x = read_npy_array(path, **options)
    elif kind == "npz":
        x = read_npz_arrays(path, ["x"], **options)["x"]
    elif kind == "idx":
        x = read_idx_array(path, **options)
    else:
        raise DataError(
            f"{path}: a format is needed, csv, npy, npz or idx; "
            f"known by the endings {', '.join(ENDINGS)}"
        )
    return as_rows(np.asarray(x), str(path))


def format_of(path: str) -> str | None:
    """Return the format that a file's ending names, if it names one."""
    matches = [ending for ending in ENDINGS if path.lower().endswith(ending)]
    return ENDINGS[max(matches, key=len)] if matches else None
