"""What one call writes into that is not its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradcheck.arrays import Array

MOST = 100_000  # numbers that are copied and compared around a call


class Watch:
    """Copies of what a call is given, to be compared afterwards."""

    def __init__(self, given: Sequence[Any], params: Mapping[str, Array]) -> None:
        self.given = given
        self.kept = [x.copy("K") if isinstance(x, np.ndarray) else x for x in given]
        self.params = {name: value.copy() for name, value in params.items()}

    def inputs(self) -> list[int]:
        """The inputs that have been written into."""
        return [
            k
            for k, (x, old) in enumerate(zip(self.given, self.kept, strict=True))
            if isinstance(x, np.ndarray) and not unchanged(x, old)
        ]

    def parameters(self, layer: Any, params: Mapping[str, Array]) -> list[str]:
        """The parameters that have been changed or replaced."""
        held = getattr(layer, "params", None)
        now = held if isinstance(held, Mapping) else params
        return [
            name
            for name, old in self.params.items()
            if not unchanged(np.asarray(now.get(name, params.get(name))), old)
        ]


def unchanged(now: Array, old: Array) -> bool:
    """Whether every number is what it was, NaN included."""
    if now is old:
        return True
    return now.shape == old.shape and bool(
        np.array_equal(now, old, equal_nan=old.dtype.kind in "fc" and now.dtype.kind in "fc")
    )
