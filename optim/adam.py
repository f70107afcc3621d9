"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

import math

import numpy as np

from blas import axpby
from optim.base import Array, Optimizer
from optim.options import number


def adam(
    theta: Array,
    grad: Array,
    mean: Array,
    square: Array,
    decay: float,
    keep: float,
    beta1: float,
    beta2: float,
    rate: float,
    offset: float,
) -> None:
    """The rule of both, entry by entry: g ← g + decay θ, and θ ← keep θ − lr m̂ / (√v̂ + ε)."""
    for i in range(theta.size):
        g = grad[i] + decay * theta[i] if decay else grad[i]
        m = beta1 * mean[i] + g
        v = beta2 * square[i] + g * g
        theta[i] = keep * theta[i] - rate * m / (math.sqrt(v) + offset)
        mean[i], square[i] = m, v


class Adam(Optimizer):
    """A step along the running mean of the gradient divided by its running root mean square.

    Update: m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²
            θ ← θ − lr m̂ / (√v̂ + ε),  m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ),  t = 1, 2, …
    State:  `mean` = m / (1 − β₁) and `square` = v / (1 − β₂), start at 0: kept without the
            factors, two multiplications of the vector less; these and the bias corrections are
            in the numbers of `begin_step`.
    Errors: ValueError for lr ≤ 0, beta1 or beta2 outside [0, 1), or epsilon ≤ 0.
    Source: Kingma and Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1.
    """

    moments = ("mean", "square")
    loop = staticmethod(adam)

    def __init__(
        self, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
    ) -> None:
        super().__init__(lr)
        self.beta1 = number(self, "beta1", beta1, least=0, below=1)
        self.beta2 = number(self, "beta2", beta2, least=0, below=1)
        self.epsilon = number(self, "epsilon", epsilon, above=0)

    def begin_step(self) -> None:
        # lr m̂ / (√v̂ + ε) = rate · mean / (√square + offset), where √v̂ = root · √square
        root = math.sqrt((1 - self.beta2) / (1 - self.beta2**self.steps))
        correction = (1 - self.beta1) / (1 - self.beta1**self.steps)
        self._rate, self._offset = self.lr * correction / root, self.epsilon / root

    def numbers(self, decay: float, decayed: bool) -> tuple[float, ...]:
        return decay, 1.0, self.beta1, self.beta2, self._rate, self._offset

    def update_block(
        self, theta: Array, grad: Array, moments: list[Array], scratch: Array, decayed: int
    ) -> None:
        mean, square = moments
        axpby(1, grad, self.beta1, mean, scratch)
        np.square(grad, out=scratch)
        axpby(1, scratch, self.beta2, square)
        np.sqrt(square, out=scratch)
        np.add(scratch, self._offset, out=scratch)
        np.divide(mean, scratch, out=scratch)
        axpby(-self._rate, scratch, 1, theta, scratch)

    def __repr__(self) -> str:
        return (
            f"{self.name}(lr={self.lr}, beta1={self.beta1}, beta2={self.beta2}, "
            f"epsilon={self.epsilon})"
        )


class AdamW(Adam):
    """Adam that also draws the weights towards 0, apart from the gradient.

    Update: θ ← (1 − lr · weight_decay) θ, of the first `n_decayed` parameters; then as Adam.
    State:  as Adam's.
    Errors: as Adam's; ValueError for weight_decay < 0.
    Source: Loshchilov and Hutter, "Decoupled weight decay regularization" (2019), in PyTorch's
            form (the decay is multiplied by the learning rate).
    """

    loop = staticmethod(adam)

    def __init__(
        self,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(lr, beta1, beta2, epsilon)
        self.weight_decay = number(self, "weight_decay", weight_decay, least=0)

    def _keep(self) -> float:
        """What is left of a weight before the step."""
        return 1 - self.lr * self.weight_decay

    def numbers(self, decay: float, decayed: bool) -> tuple[float, ...]:
        keep = self._keep() if decayed else 1.0
        return decay, keep, self.beta1, self.beta2, self._rate, self._offset

    def update_block(
        self, theta: Array, grad: Array, moments: list[Array], scratch: Array, decayed: int
    ) -> None:
        if decayed > 0 and self.weight_decay != 0:
            np.multiply(theta[:decayed], self._keep(), out=theta[:decayed])
        super().update_block(theta, grad, moments, scratch, decayed)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, weight_decay={self.weight_decay})"
