"""Normalisation of each sample over its features."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from layers import initialize
from layers.base import Array, Gradients, Layer, row_sums
from layers.batch_norm import one_over_sigma


class LayerNorm(Layer):
    """Each sample to mean 0 and variance 1 over its features, then scaled and shifted.

    Forward:  y = γ x̂ + β,  x̂ = (x − μ) / σ,  σ = √(var + ε);  μ, var over the last axis
    Backward: dγ = Σₙ dout ∘ x̂,  dβ = Σₙ dout,
              dx = 1/σ (g − mean g − x̂ · mean(g ∘ x̂)),  g = γ dout
    Shapes:   x (…, D) → y (…, D);  γ, β (D,), called gamma and beta
    Caches:   x̂, 1/σ
    Errors:   ValueError when the last axis of x is not D long
    Source:   Ba, Kiros and Hinton, "Layer normalization" (2016)

    The same in training and evaluation, and for a batch of one.
    """

    forward_rule = "y = γ x̂ + β, x̂ = (x − μ) / √(var + ε)"
    backward_rule = "dx = 1/σ (g − mean g − x̂ · mean(g ∘ x̂)), g = γ dout"
    replays = True

    def __init__(self, D: int, *, epsilon: float = 1e-5, dtype: npt.DTypeLike = np.float32) -> None:
        super().__init__()
        initialize.check_sizes("LayerNorm", D=D)
        if not 0 < epsilon < math.inf:
            raise ValueError(f"LayerNorm: epsilon is {epsilon!r}, expected a finite number > 0")
        self.epsilon = float(epsilon)
        dtype = initialize.float_type(dtype)
        self.params = {"gamma": np.ones(D, dtype), "beta": np.zeros(D, dtype)}

    def forward(self, x: Array) -> Array:
        x, gamma = self.as_float(x), self.params["gamma"]
        D = gamma.size
        if x.ndim == 0 or x.shape[-1] != D:
            raise ValueError(f"LayerNorm: x has shape {x.shape}, expected (…, {D})")
        mean = self.into("mean", np.divide, self.into("mean", row_sums, x), D)
        normed = self.into("normed", np.subtract, x, mean)
        var = self.into("var", np.divide, self.into("var", inner, normed, normed), D)
        inverse = self.into("inverse", one_over_sigma, var, self.epsilon)
        normed = self.into("normed", np.multiply, normed, inverse)
        y = self.into("y", np.multiply, normed, gamma)
        y = self.into("y", np.add, y, self.params["beta"])
        return self.keep(y, normed, inverse)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, normed, inverse = self.recall(dout)
        gamma = self.params["gamma"]
        D = gamma.size
        g = self.into("g", np.multiply, dout, gamma)
        along = self.into("along", np.divide, self.into("along", inner, g, normed), D)
        mean = self.into("mean g", np.divide, self.into("mean g", row_sums, g), D)
        g = self.into("g", np.subtract, g, mean)
        dx = self.into("dx", np.multiply, normed, along)
        dx = self.into("dx", np.subtract, g, dx)
        return self.into("dx", np.multiply, dx, inverse), self.parameter_gradients(dout)

    def parameter_gradients(self, dout: Array) -> Gradients:
        dout, normed, _ = self.recall(dout)
        shape = normed.size // normed.shape[-1], normed.shape[-1]
        douts = self.reshaped("douts", dout, shape)
        rows = self.reshaped("rows", normed, shape)
        dgamma = self.into("dgamma", np.einsum, "nd,nd->d", douts, rows)
        dbeta = self.into("dbeta", np.add.reduce, douts)
        return {"gamma": dgamma, "beta": dbeta}


def inner(a: Array, b: Array, out: Array | None = None) -> Array:
    """The products a · b over the last axis, which stays, with length 1."""
    if out is None:
        return np.asarray(np.einsum("...d,...d->...", a, b))[..., np.newaxis]
    np.einsum("...d,...d->...", a, b, out=out[..., 0])
    return out
