"""Update rules as loops over the entries, compiled by Numba where it is installed.

A rule made of vector operations passes over its vectors several times; one compiled loop reads and
writes each entry once. Numba is the extra `compiled`: without it nothing is missing but the speed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache

Loop = Callable[..., None]


@lru_cache
def compiled(loop: Loop) -> Loop | None:
    """The loop as machine code for whatever float type it is called with; None without Numba.

    A loop should read all it needs of an entry before it writes: it is then as quick for vectors
    that do not begin at a cache line. It does not hear `np.errstate`.
    """
    try:
        from numba import config, njit
    except Exception as error:
        if not (isinstance(error, ModuleNotFoundError) and error.name == "numba"):
            warnings.warn(f"Numba cannot be used: {error}", RuntimeWarning, stacklevel=2)
        return None
    if getattr(config, "DISABLE_JIT", False):
        return None
    machine_code: Loop = njit(error_model="numpy", fastmath={"contract"})(loop)
    return machine_code
