"""The preprocessing of the inputs as a layer, so that a saved network takes raw data."""

from __future__ import annotations

import copy
from typing import Self

import numpy as np
import numpy.typing as npt

from layers import initialize
from layers.base import Array, Gradients, Layer


class Standardize(Layer):
    """Shift and scale each feature by a fixed mean and standard deviation.

    Forward:  y = (x − mean) / std
    Backward: dx = dout / std
    Shapes:   x (N, D) → y (N, D);  mean, std (D,), kept in `state`, not learned
    Caches:   nothing
    Errors:   ValueError when x is not (N, D) or std is not above 0
    """

    forward_rule = "y = (x − mean) / std"
    backward_rule = "dx = dout / std"
    replays = True

    def __init__(self, mean: Array, std: Array, *, dtype: npt.DTypeLike = np.float32) -> None:
        super().__init__()
        mean, std = np.array(mean, np.float64), np.array(std, np.float64)  # copies
        if mean.ndim != 1 or mean.shape != std.shape:
            raise ValueError(
                f"Standardize: mean {mean.shape} and std {std.shape}, expected both (D,)"
            )
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
            raise ValueError("Standardize: mean and std must be finite, std above 0")
        self.state = {"mean": mean, "std": std}
        self.output_dtype = initialize.float_type(dtype)

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """A copy that gives out this type; mean and std stay float64."""
        twin = copy.deepcopy(self)
        twin.output_dtype, twin._cached = initialize.float_type(dtype), None
        return twin

    def forward(self, x: Array) -> Array:
        mean, std = self.state["mean"], self.state["std"]
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1] != len(mean):
            raise ValueError(f"Standardize: x has shape {x.shape}, expected (N, {len(mean)})")
        if x.dtype.kind not in "fiub":
            raise TypeError(f"Standardize: x has dtype {x.dtype}, expected numbers")
        # Narrow inputs are exact in float32; others lose their digits unless the mean goes first.
        work = np.result_type(x.dtype, self.output_dtype)
        y = self.into("y", self._centred, x, mean.astype(work))
        y = self.into("y", np.divide, y, std.astype(self.output_dtype))
        return self.keep(y)

    def _centred(self, x: Array, mean: Array, out: Array | None = None) -> Array:
        y = np.empty(x.shape, self.output_dtype) if out is None else out
        return np.subtract(x, mean, out=y, casting="same_kind")

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        (dout,) = self.recall(dout)
        std = self.state["std"].astype(dout.dtype)
        return self.into("dx", np.divide, dout, std), {}
