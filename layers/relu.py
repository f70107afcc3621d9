"""The rectifier and its leaky kin."""

from __future__ import annotations

import numpy as np

from layers.base import Array, Gradients, Layer


class ReLU(Layer):
    """Rectified linear unit; the lecture's "good default choice for most problems".

    Forward:  y = max(0, x)
    Backward: dx = dout · 1[x > 0]
    Shapes:   any
    Caches:   the mask x > 0, one byte an entry
    """

    forward_rule = "y = max(0, x)"
    backward_rule = "dx = dout · 1[x > 0]"

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        y = np.maximum(x, 0, out=self.buffer("y", x.shape, x.dtype))
        return self.keep(y, x > 0)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, mask = self.recall(dout)
        return np.multiply(dout, mask, out=self.buffer("dx", dout.shape, dout.dtype)), {}
