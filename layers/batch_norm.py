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
        centred = self.buffer("centred", x.shape, x.dtype)
        if self.training:
            N = len(x)
            if N < 2:
                raise ValueError(
                    f"BatchNorm: x has shape {x.shape}, expected N ≥ 2 while training: "
                    "one sample has no variance"
                )
            mean = np.add.reduce(x, axis=0) / N
            np.subtract(x, mean, out=centred)
            var = np.einsum("nd,nd->d", centred, centred) / N
            self._follow("running_mean", mean)
            self._follow("running_var", var * (N / (N - 1)))
        else:
            np.subtract(x, self.state["running_mean"], out=centred)
            var = self.state["running_var"]
        inverse = 1 / np.sqrt(var + self.epsilon)  # 1/σ
        y = np.multiply(centred, gamma * inverse, out=self.buffer("y", x.shape, x.dtype))
        y += self.params["beta"]
        return self.keep(y, centred, inverse, self.training)

    def _follow(self, name: str, value: Array) -> None:
        running = self.state[name]
        running *= 1 - self.momentum
        running += self.momentum * value

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, centred, inverse, trained = self.recall(dout)
        gamma, grads = self.params["gamma"], self.parameter_gradients(dout)
        dx = self.buffer("dx", dout.shape, dout.dtype)
        if trained:
            N = len(dout)
            np.multiply(centred, grads["gamma"] * inverse / -N, out=dx)  # − x̂ dγ/N
            dx += dout
            dx -= grads["beta"] / N
            dx *= gamma * inverse
        else:
            np.multiply(dout, gamma * inverse, out=dx)
        return dx, grads

    def parameter_gradients(self, dout: Array) -> Gradients:
        dout, centred, inverse, _ = self.recall(dout)
        shape, dtype = inverse.shape, inverse.dtype
        dgamma = np.einsum("nd,nd->d", dout, centred, out=self.buffer("dgamma", shape, dtype))
        dgamma *= inverse
        dbeta = np.add.reduce(dout, axis=0, out=self.buffer("dbeta", shape, dtype))
        return {"gamma": dgamma, "beta": dbeta}
