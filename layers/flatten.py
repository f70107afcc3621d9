"""From images to rows of numbers."""

from __future__ import annotations

import math

from layers.base import Array, Gradients, Layer


class Flatten(Layer):
    """Every axis after the first becomes one.

    Forward:  y = x with its features in one row per sample, the last axis quickest
    Backward: dx = dout in the shape of x
    Shapes:   x (N, …) → y (N, D), D the product of the others
    Caches:   the shape of x
    Errors:   ValueError when x has no axis
    """

    forward_rule = "y = x as (N, D)"
    backward_rule = "dx = dout in the shape of x"
    replays = True

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        if x.ndim == 0:
            raise ValueError(f"Flatten: x has shape {x.shape}, expected (N, …)")
        y = self._returned("y", x, (len(x), math.prod(x.shape[1:])))
        return self.keep(y, x.shape)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, shape = self.recall(dout)
        return self._returned("dx", dout, shape), {}

    def _returned(self, name: str, array: Array, shape: tuple[int, ...]) -> Array:
        result = self.reshaped(name, array, shape)
        return self.fresh(result) if array.flags.c_contiguous else result
