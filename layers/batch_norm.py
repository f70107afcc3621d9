"""Normalisation of each feature over the batch."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from layers import initialize
from layers.base import Array, Gradients, Layer


class BatchNorm(Layer):
    """Each feature to mean 0 and variance 1 over the batch, then scaled and shifted.

    Forward:  y = γ x̂ + β,  x̂ = (x − μ) / σ,  σ = √(var + ε);  μ, var of the batch
    Backward: dγ = Σₙ dout ∘ x̂,  dβ = Σₙ dout,  dx = γ/σ (dout − dβ/N − x̂ dγ/N)
    Shapes:   x (N, D) → y (N, D);  γ, β (D,), called gamma and beta
    Caches:   x − μ, 1/σ
    Errors:   ValueError when x is not (N, D), or N = 1 while training
    Source:   Ioffe and Szegedy, "Batch normalization" (2015)

    In evaluation μ and var are the constants `running_mean` and `running_var` of `state`, and
    dx = γ/σ dout. Each `forward` in training moves them by `momentum` towards those of the batch.
    As in PyTorch, x̂ is made with the biased variance (divided by N) and `running_var` keeps the
    unbiased one (divided by N − 1).
    """

    forward_rule = "y = γ x̂ + β, x̂ = (x − μ) / √(var + ε)"
    backward_rule = "dx = γ/σ (dout − dβ/N − x̂ dγ/N), dγ = Σₙ dout ∘ x̂, dβ = Σₙ dout"
    replays = True

    def __init__(
        self,
        D: int,
        *,
        momentum: float = 0.1,
        epsilon: float = 1e-5,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        initialize.check_sizes("BatchNorm", D=D)
        if not 0 <= momentum <= 1:
            raise ValueError(f"BatchNorm: momentum is {momentum!r}, expected a number in [0, 1]")
        if not 0 < epsilon < math.inf:
            raise ValueError(f"BatchNorm: epsilon is {epsilon!r}, expected a finite number > 0")
        self.momentum, self.epsilon = float(momentum), float(epsilon)
        dtype = initialize.float_type(dtype)
        self.params = {"gamma": np.ones(D, dtype), "beta": np.zeros(D, dtype)}
        self.state = {"running_mean": np.zeros(D, dtype), "running_var": np.ones(D, dtype)}

    def forward(self, x: Array) -> Array:
        x, gamma = self.as_float(x), self.params["gamma"]
        if x.ndim != 2 or x.shape[1] != gamma.size:
            raise ValueError(f"BatchNorm: x has shape {x.shape}, expected (N, {gamma.size})")
        if self.training:
            N = len(x)
            if N < 2:
                raise ValueError(
                    f"BatchNorm: x has shape {x.shape}, expected N ≥ 2 while training: "
                    "one sample has no variance"
                )
            sum_ = self.into("mean", np.add.reduce, x)
            mean = self.into("mean", np.divide, sum_, N)
            centred = self.into("centred", np.subtract, x, mean)
            squares = self.into("var", np.einsum, "nd,nd->d", centred, centred)
            var = self.into("var", np.divide, squares, N)
            unbiased = self.into("unbiased", np.multiply, var, N / (N - 1))
            self.into("running_mean", follow, self.state["running_mean"], mean, self.momentum)
            self.into("running_var", follow, self.state["running_var"], unbiased, self.momentum)
        else:
            centred = self.into("centred", np.subtract, x, self.state["running_mean"])
            var = self.state["running_var"]
        inverse = self.into("inverse", one_over_sigma, var, self.epsilon)
        scale = self.into("scale", np.multiply, gamma, inverse)
        y = self.into("y", np.multiply, centred, scale)
        y = self.into("y", np.add, y, self.params["beta"])
        return self.keep(y, centred, inverse, self.training)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, centred, inverse, trained = self.recall(dout)
        grads = self.parameter_gradients(dout)
        scale = self.into("scale", np.multiply, self.params["gamma"], inverse)
        if not trained:
            return self.into("dx", np.multiply, dout, scale), grads
        N = len(dout)
        along = self.into("along", np.multiply, grads["gamma"], inverse)
        along = self.into("along", np.divide, along, N)
        dx = self.into("dx", np.multiply, centred, along)  # x̂ dγ/N
        dx = self.into("dx", np.subtract, dout, dx)
        dx = self.into("dx", np.subtract, dx, self.into("mean dout", np.divide, grads["beta"], N))
        return self.into("dx", np.multiply, dx, scale), grads

    def parameter_gradients(self, dout: Array) -> Gradients:
        dout, centred, inverse, _ = self.recall(dout)
        dgamma = self.into("dgamma", np.einsum, "nd,nd->d", dout, centred)
        dgamma = self.into("dgamma", np.multiply, dgamma, inverse)
        dbeta = self.into("dbeta", np.add.reduce, dout)
        return {"gamma": dgamma, "beta": dbeta}


def follow(running: Array, value: Array, momentum: float, out: Array | None = None) -> Array:
    """running ← (1 − momentum) running + momentum value, in place."""
    running *= 1 - momentum
    running += momentum * value
    return running


def one_over_sigma(var: Array, epsilon: float, out: Array | None = None) -> Array:
    """1 / √(var + ε)"""
    sigma = np.sqrt(np.add(var, epsilon, out=out), out=out)
    return np.divide(1, sigma, out=out)
