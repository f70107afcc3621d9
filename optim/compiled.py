"""Update rules as loops over the entries, compiled by Numba where it is installed.

A rule made of vector operations passes over its vectors several times; one compiled loop reads and
writes each entry once. Numba is the extra `compiled`: without it nothing is missing but the speed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

Loop = Callable[..., None]


@lru_cache
def compiled(loop: Loop) -> Any:
    """The loop as machine code for whatever float type it is called with; None without Numba.

    A loop should read all it needs of an entry before it writes: it is then as quick for vectors
    that do not begin at a cache line.
    """
    try:
        from numba import config, njit
    except ImportError:
        return None
    except Exception as error:  # it is there, but not what it is made of
        warnings.warn(f"Numba cannot be used: {error}", RuntimeWarning, stacklevel=2)
        return None
    if getattr(config, "DISABLE_JIT", False):
        return None
    return njit(error_model="numpy", fastmath={"contract"})(loop)
