"""The BLAS: how many threads it may use; and what decides the last bits of a result."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def blas_threads(threads: int | None, scipy_too: bool = False) -> Iterator[None]:
    """Limit the BLAS to so many threads; None leaves it as it is.

    SciPy has a BLAS of its own, which must have been loaded to be limited.
    """
    if threads is None:
        yield
        return
    if scipy_too:
        import scipy.optimize  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads):
        yield


def numerics() -> dict[str, str]:
    """What the last bits of a result depend on: NumPy, its BLAS, the processor, the threads, Numba.

    Of Numba, which may compile an update rule, whether it is installed and not told to be off.
    """
    from importlib.metadata import PackageNotFoundError, version

    import numpy as np
    from threadpoolctl import threadpool_info

    known = {"numpy": np.__version__}
    for library in threadpool_info():
        if library.get("user_api") == "blas" and "numpy" in str(library.get("filepath")):
            for key in ("internal_api", "version", "architecture", "num_threads"):
                if library.get(key) is not None:
                    known[f"BLAS {key}".replace("_", " ")] = str(library[key])
            break
    with suppress(PackageNotFoundError):
        known["numba"] = version("numba")
        if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
            known["numba"] += ", off"
    return known
