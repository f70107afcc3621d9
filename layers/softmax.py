"""Scores to probabilities, as a layer."""

from __future__ import annotations

import numpy as np

from layers.base import Array, Gradients, Layer


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

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        if x.ndim == 0 or x.shape[-1] == 0:
            raise ValueError(f"Softmax: x has shape {x.shape}, expected (…, C) with C ≥ 1")
        y = np.empty(x.shape, x.dtype)
        np.subtract(x, np.maximum.reduce(x, axis=-1, keepdims=True), out=y)
        np.exp(y, out=y)
        y /= np.add.reduce(y, axis=-1, keepdims=True)
        return self.keep(self.fresh(y), y)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, y = self.recall(dout)
        dx = self.into("dx", np.multiply, dout, y)
        np.subtract(dout, np.add.reduce(dx, axis=-1, keepdims=True), out=dx)
        dx *= y
        return dx, {}
