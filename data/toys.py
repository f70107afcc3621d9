"""Generated two-dimensional sets on which to see what a network can and cannot separate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import DataError, shown

MAX_SAMPLES = 10**7


def spiral(
    samples: int = 900, classes: int = 3, noise: float = 0.2, turn: float = 4.0, seed: int = 0
) -> Dataset:
    """Interleaved spiral arms, one per class, each turning 4 radians while its radius grows to 1.

    `noise` is the standard deviation of the angle. With two classes, arms that `turn` by 6 leave
    a linear classifier near 50 %.
    Source:   the spiral of CS231n, "Putting it together: minimal neural network case study",
              with the arms evenly spaced for any number of classes.
    """
    rng, y = _start("spiral", samples, classes, noise, seed)
    if isinstance(turn, bool) or not isinstance(turn, int | float) or not abs(turn) < 1000:
        raise DataError(f"spiral: turn must be an angle in radians, got {shown(turn)}")
    along = _along(y, classes)
    angle = turn * along + 2 * math.pi / classes * y + rng.normal(0, 1, samples) * noise
    return _dataset("spiral", along * np.sin(angle), along * np.cos(angle), y, classes)


def circle(samples: int = 600, noise: float = 0.1, seed: int = 0) -> Dataset:
    """A circle of radius 1 (class 1) around one of radius 0.4 (class 0), blurred by noise."""
    rng, y = _start("circle", samples, 2, noise, seed)
    angle = rng.uniform(0, 2 * math.pi, samples)
    radius = np.where(y == 1, 1.0, 0.4)
    blur = rng.normal(0, 1, (2, samples)) * noise
    return _dataset(
        "circle", radius * np.cos(angle) + blur[0], radius * np.sin(angle) + blur[1], y, 2
    )


def moons(samples: int = 600, noise: float = 0.1, seed: int = 0) -> Dataset:
    """Two half circles of radius 1, each reaching into the other's hollow, blurred by noise."""
    rng, y = _start("moons", samples, 2, noise, seed)
    angle = math.pi * _along(y, 2)
    blur = rng.normal(0, 1, (2, samples)) * noise
    upper = y == 0
    first = np.where(upper, np.cos(angle), 1 - np.cos(angle)) + blur[0]
    second = np.where(upper, np.sin(angle), 0.5 - np.sin(angle)) + blur[1]
    return _dataset("moons", first, second, y, 2)


def xor(samples: int = 600, noise: float = 0.3, seed: int = 0) -> Dataset:
    """Clouds around (±1, ±1), of standard deviation `noise`; class 1 where the signs differ."""
    rng, y = _start("xor", samples, 2, noise, seed)
    first = rng.choice([-1.0, 1.0], samples)
    second = np.where(y == 1, -first, first)
    blur = rng.normal(0, 1, (2, samples)) * noise
    return _dataset("xor", first + blur[0], second + blur[1], y, 2)


def blobs(samples: int = 600, classes: int = 3, noise: float = 0.3, seed: int = 0) -> Dataset:
    """Gaussian clouds, one per class, centred evenly on a circle of radius 1."""
    rng, y = _start("blobs", samples, classes, noise, seed)
    angle = 2 * math.pi / classes * y
    blur = rng.normal(0, 1, (2, samples)) * noise
    return _dataset("blobs", np.cos(angle) + blur[0], np.sin(angle) + blur[1], y, classes)


def _start(
    name: str, samples: int, classes: int, noise: float, seed: int
) -> tuple[np.random.Generator, NDArray[np.int64]]:
    """Check the options; return the generator, and class indices in blocks as even as can be."""
    for option, value, low in (("samples", samples, 2), ("classes", classes, 2), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise DataError(
                f"{name}: {option} must be an integer of {low} or more, got {shown(value)}"
            )
    if not classes <= samples <= MAX_SAMPLES:
        raise DataError(
            f"{name}: samples must be from {classes}, one per class, to {MAX_SAMPLES}, "
            f"got {samples}"
        )
    if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 <= noise < math.inf:
        raise DataError(f"{name}: noise must be a number of 0 or more, got {shown(noise)}")
    return np.random.default_rng(seed), np.arange(samples, dtype=np.int64) * classes // samples


def _along(y: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Return evenly spaced numbers from 0 to 1 within each class."""
    return np.concatenate([np.linspace(0, 1, n) for n in np.bincount(y, minlength=classes)])


def _dataset(
    name: str, first: NDArray[Any], second: NDArray[Any], y: NDArray[np.int64], classes: int
) -> Dataset:
    x = np.stack([first, second], axis=1).astype(np.float32)
    return Dataset(x, y, tuple(range(classes)), name, (2,))
