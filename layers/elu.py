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
    replays = True

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        if not 0 < alpha < math.inf:
            raise ValueError(f"ELU: alpha is {alpha!r}, expected a finite number > 0")
        self.alpha = float(alpha)

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        y = self.into("y", np.minimum, x, 0)
        y = self.into("y", np.expm1, y)
        y = self.into("y", np.multiply, y, self.alpha)
        y = self.into("y", np.add, y, self.into("right", np.maximum, x, 0))
        return self.keep(y, x)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, x = self.recall(dout)
        dx = self.into("dx", np.minimum, x, 0)
        dx = self.into("dx", np.exp, dx)
        if self.alpha != 1:
            dx = self.into("dx", on_the_left, dx, x, self.alpha)
        return self.into("dx", np.multiply, dx, dout), {}


def on_the_left(dx: Array, x: Array, alpha: float, out: Array | None = None) -> Array:
    """α dx where x ≤ 0, in place."""
    dx[x <= 0] *= alpha
    return dx
