"""Points at which the cases stand: functions of a generator that return forward's arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from .case import Inputs


def normal(*shape: int, scale: float = 1.0, dtype: Any = np.float64, copies: int = 1) -> Inputs:
    """`copies` arrays of normal numbers."""

    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        return tuple((scale * rng.normal(size=shape)).astype(dtype) for _ in range(copies))

    return draw


def several(*shapes: tuple[int, ...]) -> Inputs:
    """One array of normal numbers for each shape."""
    return lambda rng: tuple(rng.normal(size=shape) for shape in shapes)


def away(*shape: int, low: float = 0.2, high: float = 1.5) -> Inputs:
    """Numbers at least `low` away from 0; the first is negative, the last positive."""

    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        x = rng.uniform(low, high, size=shape) * rng.choice([-1.0, 1.0], size=shape)
        x.flat[0] = -abs(x.flat[0])
        x.flat[-1] = abs(x.flat[-1])
        return (x,)

    return draw


def positive(*shape: int, low: float = 0.3, high: float = 2.0) -> Inputs:
    return lambda rng: (rng.uniform(low, high, size=shape),)


def distinct(*shape: int) -> Inputs:
    """Numbers well apart from one another, in random order: no ties, no near ties."""

    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        n = int(np.prod(shape))
        x = rng.permutation(n) * 0.3 - 0.15 * n + 0.05 + rng.uniform(0.0, 0.1, size=n)
        return (x.reshape(shape),)

    return draw


def zeros_among(*shape: int) -> Inputs:
    """Normal numbers of which every third is exactly 0, as after a ReLU."""

    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        x = rng.normal(size=shape)
        x.flat[::3] = 0.0
        return (x,)

    return draw


def tied(*shape: int) -> Inputs:
    """Small whole numbers: many ties for the maximum."""
    return lambda rng: (rng.integers(0, 2, size=shape).astype(float),)


def fixed(*arrays: Any) -> Inputs:
    """Always the same arguments (fresh copies)."""
    return lambda rng: tuple(np.array(a) for a in arrays)


def scored(N: int, C: int, scale: float = 1.0, dtype: Any = np.float64) -> Inputs:
    """Scores (N, C) and class labels (N,)."""

    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        return (scale * rng.normal(size=(N, C))).astype(dtype), rng.integers(0, C, size=N)

    return draw


def binary(*shape: int, scale: float = 1.0) -> Inputs:
    """Scores and labels 0 or 1, both present."""

    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        y = rng.integers(0, 2, size=shape).astype(float)
        y.flat[0], y.flat[-1] = 0.0, 1.0
        return scale * rng.normal(size=shape), y

    return draw


def indices(*shape: int, below: int, repeats: bool = True) -> Inputs:
    """Integers below `below`; the first two equal if `repeats`, all different otherwise."""

    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        if not repeats:
            return (rng.permutation(below)[: int(np.prod(shape))].reshape(shape),)
        i = rng.integers(0, below, size=shape)
        i.flat[1] = i.flat[0]
        return (i,)

    return draw
