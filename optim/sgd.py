"""Stochastic gradient descent, plain and with momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from optim.base import Array, Optimizer
from optim.options import number

# 1 − decay is then right to 0.4 % of the decay.
LEAST_DECAY = {kind: 64 * float(np.finfo(kind).eps) for kind in "fd"}


class SGD(Optimizer):
    """A step against the gradient, or, with momentum, along a decaying sum of past gradients.

    Plain:    θ ← θ − lr g
    Momentum: v ← μ v + g,  θ ← θ − lr v
    Nesterov: v ← μ v + g,  θ ← θ − lr (g + μ v)
    State:    `velocity` (v, starts at 0) if momentum > 0.
    Errors:   ValueError for lr ≤ 0, momentum outside [0, 1), or Nesterov without momentum.
    Source:   Sutskever et al., "On the importance of initialization and momentum in deep
              learning" (2013), in PyTorch's form (the learning rate outside of v).
    """

    def __init__(self, lr: float, momentum: float = 0.0, nesterov: bool = False) -> None:
        super().__init__(lr)
        self.momentum = number(self, "momentum", momentum, least=0, below=1)
        self.nesterov = bool(nesterov)
        if self.nesterov and self.momentum == 0:
            raise ValueError("SGD: nesterov needs momentum > 0")
        if self.momentum > 0:
            self.moments = ("velocity",)
        # Whether a step is the plain one below: no momentum, nothing of a subclass's own.
        own = type(self).update, type(self).update_block
        self._plain = not self.moments and own == (Optimizer.update, SGD.update_block)

    def gradient_scale(self, penalties: Sequence[Any], dtype: np.dtype[Any]) -> float:
        """Plain, lr, so that nothing is left to do but the subtraction; it may not overflow."""
        if self.lr > 1 or not self._plain or self.absorb(penalties, dtype):
            return 1.0
        return float(self.lr)

    def absorb(self, penalties: Sequence[Any], dtype: np.dtype[Any]) -> Sequence[Any]:
        """Plain, λ Σ W² is weight decay: θ − lr (g + 2 λ θ) = (1 − 2 λ lr) θ − lr g.

        Not where 1 − 2 λ lr, rounded to the type of θ, would be another λ.
        """
        self._shrink = 1.0
        if not self._plain:
            return penalties
        others = []
        for penalty in penalties:
            decay = float(self.lr) * getattr(penalty, "decay", 0.0)
            if decay > LEAST_DECAY.get(dtype.char, np.inf):
                self._shrink -= decay
            else:
                others.append(penalty)
        return others

    def update_block(
        self, theta: Array, grad: Array, moments: list[Array], scratch: Array, decayed: int
    ) -> None:
        if not moments:
            if self._shrink != 1 and decayed > 0:
                W = theta[:decayed]
                np.multiply(W, self._shrink, out=W)
            if self._scale == self.lr:
                scratch = grad
            else:
                np.multiply(grad, self.lr, out=scratch)
        else:
            (velocity,) = moments
            np.multiply(velocity, self.momentum, out=velocity)
            np.add(velocity, grad, out=velocity)
            if self.nesterov:
                np.multiply(velocity, self.momentum, out=scratch)
                np.add(scratch, grad, out=scratch)
                np.multiply(scratch, self.lr, out=scratch)
            else:
                np.multiply(velocity, self.lr, out=scratch)
        np.subtract(theta, scratch, out=theta)

    def __repr__(self) -> str:
        options: dict[str, Any] = {"lr": self.lr}
        if self.momentum:
            options |= {"momentum": self.momentum, "nesterov": self.nesterov}
        return f"SGD({', '.join(f'{key}={value}' for key, value in options.items())})"
