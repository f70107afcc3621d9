"""The hyperbolic tangent."""

from __future__ import annotations

import numpy as np

from layers.base import Array, Gradients, Layer


class Tanh(Layer):
    """The hyperbolic tangent: squashes a number into (−1, 1).

    Forward:  y = tanh x
    Backward: dx = dout · (1 − y²)
    Shapes:   any
    Caches:   y
    Source:   the lecture, "activation functions"
    """

    forward_rule = "y = tanh x"
    backward_rule = "dx = dout · (1 − y²)"
    replays = True

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        y = self.into("y", np.tanh, x)
        return self.keep(self.fresh(y), y)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, y = self.recall(dout)
        dx = self.into("dx", np.multiply, y, y)
        dx = self.into("dx", np.subtract, 1, dx)
        return self.into("dx", np.multiply, dx, dout), {}
