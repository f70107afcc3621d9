"""The rectifier and its leaky kin."""

from __future__ import annotations

import numpy as np

from layers.base import BOOL, Array, Gradients, Layer, constant


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

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        zeros = constant(0, x.shape, x.dtype)
        y = np.maximum(x, zeros, out=self.buffer("y", x.shape, x.dtype))
        return self.keep(y, np.greater(x, zeros, out=self.buffer("mask", x.shape, BOOL)))

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, mask = self.recall(dout)
        return np.multiply(dout, mask, out=self.buffer("dx", dout.shape, dout.dtype)), {}


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

    def __init__(self, slope: float = 0.1) -> None:
        super().__init__()
        if not 0 <= slope < 1:
            raise ValueError(f"LeakyReLU: slope is {slope!r}, expected a number in [0, 1)")
        self.slope = float(slope)

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        y = np.multiply(x, self.slope, out=self.buffer("y", x.shape, x.dtype))
        np.maximum(x, y, out=y)
        return self.keep(y, np.greater(x, 0, out=self.buffer("mask", x.shape, BOOL)))

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, mask = self.recall(dout)
        dx = self.buffer("dx", dout.shape, dout.dtype)
        np.maximum(mask, self.slope, out=dx, dtype=dx.dtype)  # the mask is 1 or 0
        dx *= dout
        return dx, {}
