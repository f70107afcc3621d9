"""When training blows up: which layer and which tensor went first."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Diverged(ArithmeticError):
    """The loss is NaN or infinite; the message names the first layer and tensor that was."""


def first_not_finite(net: Any, x: Array) -> str:
    """`linear1: W holds nan`: the first tensor that is not finite, in the order of `forward`.

    Looks at the input, then at each layer's parameters and output on the batch `x`.
    """
    if bad := _bad(x):
        return f"the input x holds {bad}"
    with np.errstate(all="ignore"):
        for name, layer, _, y in net.steps(x):
            for key, value in (getattr(layer, "params", None) or {}).items():
                if bad := _bad(value):
                    return f"{name}: parameter {key} holds {bad}"
            if bad := _bad(y):
                return f"{name}: output holds {bad}"
    return "the loss, from finite scores"


def _bad(array: Array) -> str:
    finite = np.isfinite(array)
    return "" if finite.all() else str(array[~finite][0])
