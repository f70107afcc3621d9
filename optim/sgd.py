"""Stochastic gradient descent, plain and with momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from blas import axpby, axpy
from optim.base import Array, Optimizer, add_penalties, decays
from optim.options import number

# 1 − decay is then right to 0.4 % of the decay.
LEAST_DECAY = {kind: 64 * float(np.finfo(kind).eps) for kind in "fd"}


def momentum(
    theta: Array,
    grad: Array,
    velocity: Array,
    decay: float,
    mu: float,
    lr: float,
    nesterov: float,
) -> None:
    """The rule with momentum, entry by entry, and g ← g + decay θ."""
    for i in range(theta.size):
        g = grad[i] + decay * theta[i] if decay else grad[i]
        v = mu * velocity[i] + g
        theta[i] -= lr * (g + mu * v if nesterov else v)
        velocity[i] = v


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

    loop = staticmethod(momentum)
    loop_from = 1_000_000  # in place of two vector operations it wins a tenth of what Adam's does

    def __init__(self, lr: float, momentum: float = 0.0, nesterov: bool = False) -> None:
        super().__init__(lr)
        self.momentum = number(self, "momentum", momentum, least=0, below=1)
        self.nesterov = bool(nesterov)
        if self.nesterov and self.momentum == 0:
            raise ValueError("SGD: nesterov needs momentum > 0")
        if self.momentum > 0:
            self.moments = ("velocity",)
        self._shrink = 1.0

    def _as_written(self) -> bool:
        """Whether the rule is the one below, nothing of a subclass's or an object's own."""
        kind = type(self)
        written = kind.update_block is UPDATE_BLOCK and kind.update is UPDATE
        return written and self.__dict__.keys().isdisjoint(METHODS)

    def absorb(self, penalties: Sequence[Any], dtype: np.dtype[Any]) -> Sequence[Any]:
        """Plain, λ Σ W² is weight decay: θ − lr (g + 2 λ θ) = (1 − 2 λ lr) θ − lr g.

        Not where 1 − 2 λ lr, rounded to the type of θ, would be another λ.
        """
        self._shrink = 1.0
        if self.moments or not self._as_written():
            return penalties
        return self._absorbed(penalties, dtype)

    def _absorbed(self, penalties: Sequence[Any], dtype: np.dtype[Any]) -> Sequence[Any]:
        decay, others = decays(penalties, float(self.lr), LEAST_DECAY.get(dtype.char, np.inf))
        self._shrink = 1 - decay
        return others

    def ready_for_products(self, penalties: Sequence[Any], dtype: np.dtype[Any]) -> bool:
        """Plain, W ← W − lr g; with momentum, v ← μ v + g: of either g may be a product."""
        if self.nesterov or not self._as_written():
            return False
        return bool(self.moments) or not self._absorbed(penalties, dtype)

    def add_products(
        self, products: Sequence[Any], theta: Array, n_decayed: int, penalties: Sequence[Any]
    ) -> None:
        if not self.moments:
            for product in products:
                product.add_to(theta, -self.lr, self._shrink)
            return
        velocity = self.state["velocity"]
        for product in products:
            product.add_to(velocity, 1.0, self.momentum)
        W, v = theta[:n_decayed], velocity[:n_decayed]
        decay, others = decays(penalties)
        if decay:
            axpy(decay, W, v)
        for block in self._blocks(0, n_decayed) if others else ():
            part = block.moments[0][: block.decayed]
            add_penalties(block, part, others, out=part)
        axpy(-self.lr, v, W)

    def numbers(self, decay: float, decayed: bool) -> tuple[float, ...]:
        return decay, self.momentum, self.lr, self.nesterov

    def update_block(
        self, theta: Array, grad: Array, moments: list[Array], scratch: Array, decayed: int
    ) -> None:
        if not moments:
            if self._shrink != 1 and decayed > 0:
                axpby(-self.lr, grad[:decayed], self._shrink, theta[:decayed], scratch[:decayed])
                theta, grad, scratch = theta[decayed:], grad[decayed:], scratch[decayed:]
            axpy(-self.lr, grad, theta, scratch)
            return
        (velocity,) = moments
        axpby(1, grad, self.momentum, velocity, scratch)
        if self.nesterov:
            axpby(-self.lr, grad, 1, theta, scratch)
            axpby(-self.lr * self.momentum, velocity, 1, theta, scratch)
        else:
            axpby(-self.lr, velocity, 1, theta, scratch)

    def __repr__(self) -> str:
        options: dict[str, Any] = {"lr": self.lr}
        if self.momentum:
            options |= {"momentum": self.momentum, "nesterov": self.nesterov}
        return f"SGD({', '.join(f'{key}={value}' for key, value in options.items())})"


UPDATE, UPDATE_BLOCK = Optimizer.update, SGD.update_block
METHODS = ("update", "update_block", "begin_step", "absorb", "add_products")
