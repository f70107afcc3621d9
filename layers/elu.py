"""The exponential linear unit."""

from __future__ import annotations

import math

import numpy as np

from layers.base import Array, Gradients, Layer


class ELU(Layer):
    """A rectifier that bends smoothly towards −α on the left.

    Forward:  y = x where x > 0,  α (eˣ − 1) elsewhere
    Backward: dx = dout · (1 where x > 0, α eˣ elsewhere)
    Shapes:   any
    Caches:   x
    Errors:   ValueError when α is not above 0
    Source:   Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by
              exponential linear units" (2016)

    Written with min(x, 0), so that nothing overflows: exp(min(x, 0)) is 1 on the right.
    """

    forward_rule = "y = x where x > 0, else α (eˣ − 1)"
    backward_rule = "dx = dout · (1 where x > 0, else α eˣ)"

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        if not 0 < alpha < math.inf:
            raise ValueError(f"ELU: alpha is {alpha!r}, expected a finite number > 0")
        self.alpha = float(alpha)

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        y = np.minimum(x, 0, out=self.buffer("y", x.shape, x.dtype))
        np.expm1(y, out=y)
        y *= self.alpha
        y += np.maximum(x, 0)
        return self.keep(y, x)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, x = self.recall(dout)
        dx = np.minimum(x, 0, out=self.buffer("dx", x.shape, x.dtype))
        np.exp(dx, out=dx)
        if self.alpha != 1:
            dx[x <= 0] *= self.alpha
        dx *= dout
        return dx, {}
