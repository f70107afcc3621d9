"""Opening data files that may be missing, broken or hostile."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError

MAX_BYTES = 2**30
"""The default limit on what one file may occupy in memory: 1 GiB."""

CHUNK = 2**20

FREE_BYTES = 2**22
MAX_RATIO = 100
"""Compressed bytes may unpack to FREE_BYTES, or to so many times as many: no bomb does harm."""


def file_size(path: str | Path) -> int:
    """Return the size of a regular file that holds something.

    Errors:   DataError if it is missing, a directory, another kind of thing, or empty.
    """
    with readable(path):
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise DataError(f"{path}: is a directory; a file is needed")
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path}: is not a regular file")
        if status.st_size == 0:
            raise DataError(f"{path}: is empty")
        return status.st_size


def unpacked_bound(n_bytes: int) -> int:
    """Return how many bytes so many compressed ones may unpack to.

    Deflate can do 1032 times as many at most.
    """
    return min(1032 * n_bytes, max(FREE_BYTES, MAX_RATIO * n_bytes))


def check_unpacked(where: str | Path, n_bytes: int, bound: int) -> None:
    """Raise a DataError if compressed data unpacks, or claims to, to more bytes than it may."""
    if n_bytes > bound:
        raise DataError(
            f"{where}: unpacks to {n_bytes:,} bytes or more, far more than its compressed bytes "
            f"may ({bound:,}); store it uncompressed if it is to be trusted"
        )


def check_memory(path: str | Path, n_bytes: int, max_bytes: int, hint: str = "") -> None:
    """Raise a DataError if a file would occupy more bytes in memory than it may."""
    if n_bytes > max_bytes:
        raise DataError(
            f"{path}: needs {n_bytes:,} bytes in memory, the limit is {max_bytes:,}; "
            f"raise max_bytes if the file is to be trusted{hint}"
        )


@contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Turn what goes wrong while a file is opened, read or decompressed into a DataError."""
    import gzip
    import zlib

    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: the compressed data is truncated or damaged: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        if "null" in str(error):
            raise DataError(f"{path}: a file name cannot hold a null character") from None
        raise


@contextmanager
def open_maybe_gz(path: str | Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file, gzip-compressed or not; yield it and the most bytes it may hold unpacked."""
    size = file_size(path)
    with readable(path), open(path, "rb") as file:
        if file.peek(2)[:2] != b"\x1f\x8b":
            yield file, size
            return
        import gzip

        with gzip.GzipFile(fileobj=file) as unpacked:
            yield unpacked, unpacked_bound(size)  # type: ignore[misc]  # reads like a BinaryIO


def read_bytes(file: BinaryIO, n_bytes: int, path: str | Path) -> NDArray[np.uint8]:
    """Read exactly so many bytes, which must also be the last."""
    buffer = np.empty(n_bytes, np.uint8)
    view = buffer.data
    filled = 0
    while filled < n_bytes:
        count = file.readinto(view[filled : filled + CHUNK])  # type: ignore[attr-defined]
        if not count:
            raise DataError(
                f"{path}: is truncated: its header promises {n_bytes:,} bytes of data, "
                f"but {filled:,} follow"
            )
        filled += count
    if file.read(1):
        raise DataError(f"{path}: more bytes follow than the {n_bytes:,} that its header promises")
    return buffer
