"""Gradient descent with a step size of its own for every parameter."""

from __future__ import annotations

import math

import numpy as np

from blas import axpby
from optim.base import Array, Optimizer
from optim.options import number


def rmsprop(
    theta: Array,
    grad: Array,
    square: Array,
    decay: float,
    rho: float,
    rate: float,
    offset: float,
) -> None:
    """The rule, entry by entry, and g ← g + decay θ."""
    for i in range(theta.size):
        g = grad[i] + decay * theta[i] if decay else grad[i]
        v = rho * square[i] + g * g
        theta[i] -= rate * g / (math.sqrt(v) + offset)
        square[i] = v


class RMSProp(Optimizer):
    """A step along the gradient divided by its running root mean square.

    Update: v ← ρ v + (1 − ρ) g²,  θ ← θ − lr g / (√v + ε)
    State:  `square` = v / (1 − ρ), starts at 0: kept without the factor, one multiplication of
            the vector less; the factor is in the numbers of `begin_step`.
    Errors: ValueError for lr ≤ 0, decay outside [0, 1) or epsilon ≤ 0.
    Source: Tieleman and Hinton, "Lecture 6.5: rmsprop" (2012), in PyTorch's form (ε outside of
            the root).
    """

    moments = ("square",)
    loop = staticmethod(rmsprop)

    def __init__(self, lr: float = 1e-3, decay: float = 0.99, epsilon: float = 1e-8) -> None:
        super().__init__(lr)
        self.decay = number(self, "decay", decay, least=0, below=1)
        self.epsilon = number(self, "epsilon", epsilon, above=0)

    def begin_step(self) -> None:
        # lr g / (√((1 − ρ) square) + ε) = rate · g / (√square + offset)
        root = math.sqrt(1 - self.decay)
        self._rate, self._offset = self.lr / root, self.epsilon / root

    def numbers(self, decay: float, decayed: bool) -> tuple[float, ...]:
        return decay, self.decay, self._rate, self._offset

    def update_block(
        self, theta: Array, grad: Array, moments: list[Array], scratch: Array, decayed: int
    ) -> None:
        (square,) = moments
        np.square(grad, out=scratch)
        axpby(1, scratch, self.decay, square)
        np.sqrt(square, out=scratch)
        np.add(scratch, self._offset, out=scratch)
        np.divide(grad, scratch, out=scratch)
        axpby(-self._rate, scratch, 1, theta, scratch)

    def __repr__(self) -> str:
        return f"RMSProp(lr={self.lr}, decay={self.decay}, epsilon={self.epsilon})"
