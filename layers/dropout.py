"""Noise that keeps units from relying on each other."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from layers import initialize
from layers.base import Array, Gradients, Layer

STEPS = 2**16  # chances are multiples of 1/65536: a random 64-bit word serves four entries


class Dropout(Layer):
    """Sets each entry to 0 with probability `drop` while training, and scales up the others.

    Forward:  y = x · mask / (1 − drop),  mask = 0 with probability drop, else 1
    Backward: dx = dout · mask / (1 − drop)
    Shapes:   any
    Caches:   mask / (1 − drop)
    Errors:   ValueError when drop is not in [0, 1)
    Source:   Srivastava et al., "Dropout" (2014), in its inverted form: the mean of y is x, so
              in evaluation y = x

    `drop` is the probability of dropping, not of keeping; it is rounded to a multiple of 1/65536.
    Each `forward` in training draws a new mask from `rng`. Given a Generator, the layer spawns
    one of its own from it, so that no two layers share a stream.
    """

    forward_rule = "y = x · mask / (1 − drop)"
    backward_rule = "dx = dout · mask / (1 − drop)"
    replays = True

    def __init__(self, drop: float = 0.5, *, rng: np.random.Generator | int) -> None:
        super().__init__()
        if not 0 <= drop < 1:
            raise ValueError(f"Dropout: drop is {drop!r}, expected a probability in [0, 1)")
        self.drop = min(round(drop * STEPS), STEPS - 1) / STEPS
        given = isinstance(rng, np.random.Generator)
        self.rng = initialize.generator(rng)
        if given:
            self.rng = self.rng.spawn(1)[0]

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        if not self.training or self.drop == 0:
            return self.keep(self.fresh(x), None)
        draws = self.into("draws", whole_numbers, self.rng, x.shape)
        mask = self.into("mask", np.greater_equal, draws, self.drop * STEPS)
        scaled = self.into("scaled", partial(np.multiply, dtype=x.dtype), mask, 1 / (1 - self.drop))
        y = self.into("y", np.multiply, x, scaled, over=x)
        return self.keep(y, scaled)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, scaled = self.recall(dout)
        if scaled is None:
            return self.fresh(dout), {}
        return self.into("dx", np.multiply, dout, scaled, over=dout), {}


def whole_numbers(
    rng: np.random.Generator, shape: tuple[int, ...], out: Array | None = None
) -> Array:
    """One in [0, 65536) for each entry, every one as likely."""
    size = math.prod(shape)
    words = rng.integers(0, 2**64, size=(size + 3) // 4, dtype=np.uint64)
    drawn = words.view(np.uint16)[:size].reshape(shape)
    if out is None:
        return drawn
    np.copyto(out, drawn)
    return out
