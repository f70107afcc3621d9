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
    replays = True
    symbol = "σ"

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        y = self.into("y", np.negative, x)
        y = self.into("y", np.minimum, y, -math.log(np.finfo(x.dtype).tiny))
        y = self.into("y", np.exp, y)
        y = self.into("y", np.add, y, 1)
        y = self.into("y", np.reciprocal, y)
        return self.keep(self.fresh(y), y)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, y = self.recall(dout)
        dx = self.into("dx", np.subtract, 1, y)
        dx = self.into("dx", np.multiply, dx, y)
        return self.into("dx", np.multiply, dx, dout), {}
