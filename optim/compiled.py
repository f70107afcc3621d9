"""Update rules as loops over the entries, compiled by Numba where it is installed.

A rule made of vector operations passes over its vectors several times; one compiled loop reads and
writes each entry once. Numba is the extra `compiled`: without it nothing is missing but the speed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

import blas
from optim.in_parts import InParts

Array = npt.NDArray[Any]
Loop = Callable[..., None]

LEAST_PART = 100_000  # entries of a thread: with fewer it has hardly begun


class Compiled:
    """A loop as machine code for whatever float type it is called with.

    It should read all it needs of an entry before it writes: it is then as quick for vectors that
    do not begin at a cache line. It does not hear `np.errstate`. A loop of this project's runs on
    all threads of the BLAS; nobody knows whether somebody else's can be cut in parts.
    """

    def __init__(self, machine_code: Loop, ours: bool) -> None:
        self._machine_code, self._ours = machine_code, ours
        self._in_parts: dict[tuple[np.dtype[Any], int, int], InParts] = {}

    def __call__(self, vectors: Sequence[Array], numbers: Sequence[float]) -> None:
        """The loop over vectors of one length."""
        threads = min(blas.threads(), vectors[0].size // LEAST_PART) if self._ours else 1
        if threads > 1:
            key = vectors[0].dtype, len(vectors), len(numbers)
            if key not in self._in_parts:
                self._in_parts[key] = InParts(self._machine_code, *key)
            if self._in_parts[key].works:
                self._in_parts[key].run(vectors, numbers, threads)
                return
        self._machine_code(*vectors, *numbers)


@lru_cache
def compiled(loop: Loop) -> Compiled | None:
    """The loop, compiled; None without Numba."""
    try:
        from numba import config, njit
    except Exception as error:
        if not (isinstance(error, ModuleNotFoundError) and error.name == "numba"):
            warnings.warn(f"Numba cannot be used: {error}", RuntimeWarning, stacklevel=2)
        return None
    if getattr(config, "DISABLE_JIT", False):
        return None
    ours = (loop.__module__ or "").partition(".")[0] == __name__.partition(".")[0]
    return Compiled(njit(error_model="numpy", fastmath={"contract"})(loop), ours)
