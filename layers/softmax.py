"""Scores to probabilities, as a layer."""

from __future__ import annotations

from functools import partial

import numpy as np

from layers.base import Array, Gradients, Layer, row_sums

largest = partial(np.maximum.reduce, axis=-1, keepdims=True)


class Softmax(Layer):
    """Scores along the last axis to probabilities that sum to 1.

    Forward:  y_c = exp(x_c − m) / Σⱼ exp(xⱼ − m),  m = max x
    Backward: dx = y ∘ (dout − Σ dout ∘ y): the whole Jacobian diag(y) − y yᵀ, never formed
    Shapes:   x (…, C) → y (…, C)
    Caches:   y
    Errors:   ValueError when x has no last axis, or one of length 0
    Source:   Bridle, "Probabilistic interpretation of feedforward classification network
              outputs" (1990)

    To train a classifier take the scores and `SoftmaxCrossEntropy`, which is quicker and safer.
    """

    forward_rule = "y = exp(x) / Σ exp(x)"
    backward_rule = "dx = y ∘ (dout − Σ dout ∘ y)"
    replays = True

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        if x.ndim == 0 or x.shape[-1] == 0:
            raise ValueError(f"Softmax: x has shape {x.shape}, expected (…, C) with C ≥ 1")
        y = self.into("y", np.subtract, x, self.into("m", largest, x))
        y = self.into("y", np.exp, y)
        y = self.into("y", np.divide, y, self.into("sum", row_sums, y))
        return self.keep(self.fresh(y), y)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, y = self.recall(dout)
        dx = self.into("dx", np.multiply, dout, y)
        dx = self.into("dx", np.subtract, dout, self.into("along", row_sums, dx))
        return self.into("dx", np.multiply, dx, y), {}
