"""NumPy's own files, .npy and .npz, without pickled objects."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset, from_arrays
from data.errors import DataError, nearest, shown
from data.files import (
    MAX_BYTES,
    check_memory,
    check_unpacked,
    file_size,
    read_bytes,
    readable,
    unpacked_bound,
)
from data.labels import Label

MAX_HEADER = 10_000
MAX_MEMBERS = 1_000
MAX_DIRECTORY = 2**22


class SparingReads(FileIO):
    """A file of which only so much is read at once as the directory of a data set needs.

    zipfile reads the directory whole, whatever size the archive says that it has.
    """

    def read(self, size: int | None = -1) -> bytes:
        wanted = file_size(self.name) - self.tell() if size is None or size < 0 else size
        if wanted > MAX_DIRECTORY:
            raise DataError(f"{self.name}: its directory claims {wanted:,} bytes")
        return super().read(size)


class Header(NamedTuple):
    """What stands before the numbers of a .npy file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool
    offset: int

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy(
    path: str | Path,
    y_path: str | Path,
    mapped: bool = False,
    labels: Sequence[Label] | None = None,
    regression: bool = False,
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """Read samples from one .npy file and their labels, or targets, from another.

    Mapped samples stay in their file until they are in a batch: such a file may be of any size,
    and NaN in it is found only when it is standardised.
    Shapes:   x (N, …) → (N, D), its dtype kept; y (N,)
    Errors:   DataError for any file that is not .npy, whole, of numbers, and within max_bytes.
    """
    y = read_npy_array(y_path, max_bytes=max_bytes)
    x = read_npy_array(path, mapped, max_bytes)
    return from_arrays(x, y, str(path), labels, regression)


def read_npz(
    path: str | Path,
    x_key: str = "x",
    y_key: str = "y",
    labels: Sequence[Label] | None = None,
    regression: bool = False,
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """Read samples and labels, or targets, from the arrays x and y of one .npz file.

    Shapes:   x (N, …) → (N, D), its dtype kept; y (N,)
    Errors:   DataError for any file that is not .npz, whole, of numbers, and within max_bytes.
    """
    arrays = read_npz_arrays(path, (x_key, y_key), max_bytes)
    return from_arrays(arrays[x_key], arrays[y_key], str(path), labels, regression)


def read_npy_array(
    path: str | Path, mapped: bool = False, max_bytes: int = MAX_BYTES
) -> NDArray[Any]:
    """Read a .npy file into memory, or map it, read-only."""
    size = file_size(path)
    with readable(path), open(path, "rb") as file:
        header = _read_header(file, path)
        if header.offset + header.n_bytes != size:
            wrong = "is truncated" if header.offset + header.n_bytes > size else "is too long"
            raise DataError(
                f"{path}: {wrong}: its header promises {header.n_bytes:,} bytes of data, "
                f"but {size - header.offset:,} follow"
            )
        if mapped:
            order: Any = "F" if header.fortran_order else "C"
            shape = header.shape or (1,)
            return np.asarray(np.memmap(path, header.dtype, "r", header.offset, shape, order))
        check_memory(path, header.n_bytes, max_bytes, ", or map it: mapped = true")
        return _array(read_bytes(file, header.n_bytes, path), header)


def read_npz_arrays(
    path: str | Path, keys: Sequence[str], max_bytes: int = MAX_BYTES
) -> dict[str, NDArray[Any]]:
    """Read the named arrays of a .npz file; sizes are checked before anything is unpacked."""
    import struct
    import zipfile

    size = file_size(path)
    arrays: dict[str, NDArray[Any]] = {}
    with readable(path):
        try:
            with SparingReads(path) as file, zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                if len(members) > MAX_MEMBERS:
                    raise DataError(f"{path}: holds {len(members)} arrays, more than any data set")
                by_key = {info.filename.removesuffix(".npy"): info for info in members}
                for key in keys:
                    if key not in by_key:
                        found = ", ".join(shown(k, 20) for k in list(by_key)[:12]) or "none"
                        raise DataError(
                            f"{path}: holds no array {shown(key)}; its arrays are {found}"
                            f"{nearest(key, list(by_key))}"
                        )
                total = sum(by_key[key].file_size for key in keys)
                check_memory(path, total, max_bytes)
                for key in keys:
                    arrays[key] = _read_member(archive, by_key[key], f"{path}[{key}]", size)
        except (
            *(zipfile.BadZipFile, NotImplementedError, RuntimeError, LookupError),
            *(UnicodeError, struct.error),
        ) as error:
            raise DataError(f"{path}: not a whole .npz (zip) file: {error}") from None
    return arrays


def _read_member(archive: Any, info: Any, where: str, size: int) -> NDArray[Any]:
    if info.compress_type not in (0, 8):
        raise DataError(f"{where}: compressed in an unknown way; np.savez_compressed deflates")
    check_unpacked(where, info.file_size, unpacked_bound(min(info.compress_size, size)))
    with archive.open(info) as file:
        header = _read_header(file, where)
        if header.offset + header.n_bytes != info.file_size:
            raise DataError(
                f"{where}: its header promises {header.n_bytes:,} bytes of data, "
                f"but {info.file_size - header.offset:,} follow"
            )
        return _array(read_bytes(file, header.n_bytes, where), header)


def _array(buffer: NDArray[np.uint8], header: Header) -> NDArray[Any]:
    order: Any = "F" if header.fortran_order else "C"
    array = buffer.view(header.dtype).reshape(header.shape, order=order)
    return array.astype(header.dtype.newbyteorder("="), copy=False)


def _read_header(file: BinaryIO, path: str | Path) -> Header:
    """Read magic number, version and description; nothing in it is evaluated.

    Source:   numpy.lib.format.
    """
    start = file.read(8)
    if start[:6] != b"\x93NUMPY" or len(start) < 8:
        raise DataError(f"{path}: wrong magic number; a .npy file starts with \\x93NUMPY")
    if start[6] not in (1, 2):
        raise DataError(f"{path}: .npy version {start[6]} is not read here; 1 and 2 are")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    if length > MAX_HEADER:
        raise DataError(f"{path}: its header claims {length:,} bytes; up to {MAX_HEADER:,} do")
    text = file.read(length).decode("latin-1")
    if len(text) < length:
        raise DataError(f"{path}: is truncated inside its header")
    descr = re.search(r"'descr': *'([^']*)'", text)
    fortran = re.search(r"'fortran_order': *(True|False)", text)
    shape = re.search(r"'shape': *\(((?:\d{1,19}L?(?:, *|(?=\))))*)\)", text)
    if not fortran or not shape:
        raise DataError(f"{path}: its header is damaged: {shown(text)}")
    if not descr or not re.fullmatch(r"[<>|=](?:[iuf]\d{1,2}|b1|U\d{1,6}|O\d?)", descr[1]):
        held = shown(descr[1]) if descr else "records"
        raise DataError(f"{path}: holds {held}; save plain numbers, or strings for labels")
    if "O" in descr[1]:
        raise DataError(
            f"{path}: holds pickled Python objects, which are never read; "
            "save the array with a numeric or string dtype"
        )
    try:
        dtype = np.dtype(descr[1])
    except TypeError:
        raise DataError(f"{path}: unknown dtype {shown(descr[1])} in its header") from None
    sizes = tuple(int(size) for size in re.findall(r"\d+", shape[1]))
    if len(sizes) > 32 or math.prod(sizes) == 0 or dtype.itemsize == 0:
        raise DataError(f"{path}: holds no samples: its header says shape {sizes}")
    return Header(dtype, sizes, fortran[1] == "True", 8 + width + length)
