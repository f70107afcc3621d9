"""The logistic function."""

from __future__ import annotations

import math

import numpy as np

from layers.base import Array, Gradients, Layer


class Sigmoid(Layer):
    """The logistic function: squashes a number into (0, 1).

    Forward:  y = 1 / (1 + e⁻ˣ)
    Backward: dx = dout · (1 − y) y
    Shapes:   any
    Caches:   y
    Source:   the lecture, "sigmoid function" and "sigmoid gate"

    −x is held below the logarithm of the largest power that a float has (87 in float32): beyond
    it y would be 0 anyway, and e⁻ˣ would overflow.
    """

    forward_rule = "y = 1 / (1 + e⁻ˣ)"
    backward_rule = "dx = dout · (1 − y) y"
    symbol = "σ"

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        y = np.negative(x, out=self.buffer("y", x.shape, x.dtype))
        np.minimum(y, -math.log(np.finfo(x.dtype).tiny), out=y)
        np.exp(y, out=y)
        y += 1
        np.reciprocal(y, out=y)
        return self.keep(self.fresh(y), y)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, y = self.recall(dout)
        dx = np.subtract(1, y, out=self.buffer("dx", y.shape, y.dtype))
        dx *= y
        dx *= dout
        return dx, {}
