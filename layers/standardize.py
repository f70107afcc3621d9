"""The preprocessing of the inputs as a layer, so that a saved network takes raw data."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

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

    def __init__(self, mean: Array, std: Array, *, dtype: npt.DTypeLike = np.float32) -> None:
        super().__init__()
        mean, std = np.array(mean, dtype), np.array(std, dtype)  # copies
        if mean.ndim != 1 or mean.shape != std.shape:
            raise ValueError(
                f"Standardize: mean {mean.shape} and std {std.shape}, expected both (D,)"
            )
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
            raise ValueError("Standardize: mean and std must be finite, std above 0")
        self.state = {"mean": mean, "std": std}

    def forward(self, x: Array) -> Array:
        mean, std = self.state["mean"], self.state["std"]
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1] != len(mean):
            raise ValueError(f"Standardize: x has shape {x.shape}, expected (N, {len(mean)})")
        x = x if x.dtype == mean.dtype else self._cast("x", x, mean.dtype)
        y = np.subtract(x, mean, out=self.buffer("y", x.shape, mean.dtype))
        y /= std
        return self.keep(y)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        (dout,) = self.recall(dout)
        std = self.state["std"]
        return np.divide(dout, std, out=self.buffer("dx", dout.shape, std.dtype)), {}
