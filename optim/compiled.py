"""Update rules as loops over the entries, compiled by Numba where it is installed.

A rule made of vector operations passes over its vectors several times; one compiled loop reads and
writes each entry once. Numba is the extra `compiled`: without it nothing is missing but the speed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

Loop = Callable[..., None]

# Parameters from which on a loop is compiled: importing Numba and compiling take half a second,
# won back after some thousand steps of so many parameters, or some hundred of ten times as many.
LEAST = 100_000


@lru_cache
def compiled(loop: Loop) -> Any:
    """The loop as machine code for whatever float type it is called with; None without Numba.

    A loop should read all it needs of an entry before it writes: it is then as quick for vectors
    that do not begin at a cache line.
    """
    try:
        from numba import njit
    except ImportError:
        return None
    return njit(error_model="numpy", fastmath={"contract"})(loop)
