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

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        y = np.tanh(x, out=self.buffer("y", x.shape, x.dtype))
        return self.keep(self.fresh(y), y)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, y = self.recall(dout)
        dx = np.multiply(y, y, out=self.buffer("dx", y.shape, y.dtype))
        np.subtract(1, dx, out=dx)
        dx *= dout
        return dx, {}
