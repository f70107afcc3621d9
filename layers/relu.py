"""The rectifier and its leaky kin."""

from __future__ import annotations

import numpy as np

from layers.base import Array, Gradients, Layer, constant


class ReLU(Layer):
    """Rectified linear unit; the lecture's "good default choice for most problems".

    Forward:  y = max(0, x)
    Backward: dx = dout · 1[x > 0]
    Shapes:   any
    Caches:   the mask x > 0, one byte an entry

    >>> layer = ReLU()
    >>> layer.forward([1, -2, 3, -1])
    array([1., 0., 3., 0.], dtype=float32)
    >>> dx, _ = layer.backward([4, -1, 5, 9])
    >>> bool((dx == [4, 0, 5, 0]).all())
    True
    """

    forward_rule = "y = max(0, x)"
    backward_rule = "dx = dout · 1[x > 0]"
    replays = True

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        zeros = constant(0, x.shape, x.dtype)
        y = self.into("y", np.maximum, x, zeros, over=x)
        return self.keep(y, self.into("mask", np.greater, y, zeros))

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, mask = self.recall(dout)
        return self.into("dx", np.multiply, dout, mask, over=dout), {}


class LeakyReLU(Layer):
    """A rectifier that lets a little through on the left, so that no unit dies.

    Forward:  y = max(slope · x, x),  0 ≤ slope < 1
    Backward: dx = dout · (1 where x > 0, slope elsewhere)
    Shapes:   any
    Caches:   the mask x > 0, one byte an entry
    Errors:   ValueError when slope is not in [0, 1)
    Source:   Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic
              models" (2013); slope 0.1 as in the lecture
    """

    forward_rule = "y = max(slope · x, x)"
    backward_rule = "dx = dout · (1 where x > 0, else slope)"
    replays = True

    def __init__(self, slope: float = 0.1) -> None:
        super().__init__()
        if not 0 <= slope < 1:
            raise ValueError(f"LeakyReLU: slope is {slope!r}, expected a number in [0, 1)")
        self.slope = float(slope)

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        y = self.into("y", np.multiply, x, self.slope)
        y = self.into("y", np.maximum, x, y)
        return self.keep(y, self.into("mask", np.greater, x, 0))

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, mask = self.recall(dout)
        slope = constant(self.slope, mask.shape, dout.dtype)
        slopes = self.into("slopes", np.maximum, mask, slope)  # the mask is 1 or 0
        return self.into("dx", np.multiply, slopes, dout), {}
