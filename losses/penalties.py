"""Penalties on the size of the weights, added to the data loss.

They work on contiguous vectors (all weights of a network at once), walked in blocks, so that
neither the value nor the gradient needs a temporary of the vector's size.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BLOCK = 32_768  # entries: a block of W, of dW and the scratch fit the second-level cache


class Penalty:
    """A penalty λ R(W): its value, and its gradient added to that of the data loss.

    `strength` is λ ≥ 0. `value(W)` is a float; `add_gradient(W, dW)` adds to dW in place.
    A subclass writes `block_sum` and `block_gradient`.
    """

    def __init__(self, strength: float) -> None:
        if not 0 <= strength < math.inf:
            raise ValueError(f"{self.name}: strength is {strength}, expected a finite number ≥ 0")
        self.strength = float(strength)
        self._scratch: Array = np.empty(0, np.float32)

    def value(self, W: Array) -> float:
        """λ R(W); the blocks are summed in float64."""
        W = self.flat("W", W)
        total = 0.0
        for start in range(0, W.size, BLOCK):
            total += self.block_sum(W[start : start + BLOCK])
        return self.strength * total

    def add_gradient(self, W: Array, dW: Array) -> None:
        """dW += λ ∂R/∂W, in place; W and dW are contiguous and of one shape and dtype."""
        if W.shape != dW.shape or W.dtype != dW.dtype:
            raise ValueError(
                f"{self.name}: dW is {dW.dtype} {dW.shape}, expected that of W, {W.dtype} {W.shape}"
            )
        if self.strength == 0:
            return
        W, dW = self.flat("W", W), self.flat("dW", dW)
        if self._scratch.dtype != W.dtype or self._scratch.size < min(W.size, BLOCK):
            self._scratch = np.empty(min(W.size, BLOCK), W.dtype)
        for start in range(0, W.size, BLOCK):
            block, dblock = W[start : start + BLOCK], dW[start : start + BLOCK]
            np.add(dblock, self.block_gradient(block, self._scratch[: block.size]), out=dblock)

    def block_sum(self, W: Array) -> float:
        """R of a few thousand weights."""
        raise NotImplementedError

    def block_gradient(self, W: Array, out: Array) -> Array:
        """λ ∂R/∂W of a few thousand weights, written into `out`."""
        raise NotImplementedError

    def flat(self, what: str, array: Array) -> Array:
        """A view as a vector; only a contiguous array has one."""
        if array.ndim == 1 and array.flags.c_contiguous:
            return array
        if not array.flags.c_contiguous:
            raise ValueError(
                f"{self.name}: {what} has strides {array.strides}, expected a contiguous array"
            )
        return array.reshape(-1)

    @property
    def name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{self.name}({self.strength:g})"


class L2(Penalty):
    """The sum of squares: draws every weight towards 0 in proportion to it.

    Forward:  λ Σ W²
    Backward: dW += 2 λ W
    Shapes:   W of any shape, contiguous → one float
    Source:   the lecture's R(W) = Σ W² (no ½, and not divided by the batch).
    """

    @property
    def as_weight_decay(self) -> float:
        """The gradient over W: what an update may apply as weight decay instead of adding it.

        0 for a class or an object that may have another gradient.
        """
        if type(self) is not L2 or "block_gradient" in self.__dict__:
            return 0.0
        return 2 * self.strength

    def block_sum(self, W: Array) -> float:
        return float(np.dot(W, W))

    def block_gradient(self, W: Array, out: Array) -> Array:
        return np.multiply(W, 2 * self.strength, out=out)


class L1(Penalty):
    """The sum of absolute values: draws every weight towards 0 alike, which leaves few.

    Forward:  λ Σ |W|
    Backward: dW += λ sign(W),  with sign(0) = 0
    Shapes:   W of any shape, contiguous → one float
    Source:   Tibshirani, "Regression shrinkage and selection via the lasso" (1996).
    """

    def block_sum(self, W: Array) -> float:
        return float(np.add.reduce(np.abs(W), dtype=np.float64))

    def block_gradient(self, W: Array, out: Array) -> Array:
        np.sign(W, out=out)
        out *= self.strength
        return out
