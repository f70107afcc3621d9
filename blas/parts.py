"""Work for the threads of the BLAS."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

from blas.library import ONE, address, named, size, version

# OpenBLAS cuts the vectors of its own operations in parts, one for each of its threads, with a
# function of this name. It is not part of its interface; what it takes has not changed since 2010.
SPLIT = "blas_level1_thread"
READ_FROM = 23  # OpenBLAS 0.3.…, the oldest it was read and tried in
SINGLE, STEP = 2, 4  # a part is told by where it begins in a vector of float32: 4 bytes an entry


@lru_cache(maxsize=1)
def splitter() -> tuple[Any, Any] | None:
    """The function that cuts work in parts, and the one that tells how many threads there may be.

    None where NumPy stands on another BLAS.
    """
    split, count = named(SPLIT, patterns=("{}",)), named("openblas_get_num_threads", ctypes.c_int)
    return (split, count) if split and count and version() >= READ_FROM else None


def threads() -> int:
    """How many threads of the BLAS may be given work (`in_parts`) now: 1 if none but this one."""
    found = splitter()
    return found[1]() if found else 1


def in_parts(part: int, entries: int, data: int, threads: int) -> None:
    """Give each of so many threads (at most those there are) a part of 0 … entries; wait for all.

    The BLAS's threads are awake for a while after a product: it takes no longer than one of its
    sums, where threads of one's own would spin against them. As during a product, the process
    must not be forked meanwhile.

    part: the address of a C function, which is called without Python's lock, as
          part(count, entries, 0, 0.0f, STEP · begin, 1, 0, 0, data, 0, unused)
          for the entries begin … begin + count. (Integers are of 64 bits, addresses among them.)
    data: the address of what it needs.
    """
    found = splitter()
    if found is None:
        raise RuntimeError("in_parts: the BLAS under NumPy cannot be given work")
    split, count = found
    nothing, nowhere, n = size(0), address(0), size(entries)
    split(
        *(SINGLE, n, n, nothing, ctypes.byref(ctypes.c_float(0))),
        *(nowhere, ONE, nowhere, nothing, address(data), nothing),
        *(address(part), min(max(threads, 1), count())),
    )
