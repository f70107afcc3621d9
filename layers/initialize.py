"""Initial weights: He, Xavier, or an explicit standard deviation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt


def generator(rng: np.random.Generator | int) -> np.random.Generator:
    """A random generator: the one given, or one made from a seed."""
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer) or rng < 0:
        raise TypeError(f"rng is {rng!r}, expected a seed (0, 1, …) or a numpy random Generator")
    return np.random.default_rng(rng)


def scale(init: str | float, D: int, M: int) -> float:
    """The standard deviation of the weights of a map from D to M features.

    "he":     √(2/D), which keeps the variance through a ReLU (He et al. 2015)
    "xavier": √(2/(D + M)), for tanh and sigmoid (Glorot and Bengio 2010)
    a number: that standard deviation
    """
    if init == "he":
        return math.sqrt(2 / D)
    if init == "xavier":
        return math.sqrt(2 / (D + M))
    if isinstance(init, int | float) and not isinstance(init, bool) and 0 <= init < math.inf:
        return float(init)
    raise ValueError(f"init is {init!r}, expected 'he', 'xavier' or a standard deviation ≥ 0")


def weights(
    shape: tuple[int, ...],
    init: str | float,
    rng: np.random.Generator | int,
    dtype: npt.DTypeLike = np.float32,
) -> npt.NDArray[Any]:
    """Normal weights of shape (…, D, M) with the standard deviation of `scale`."""
    D, M = shape[-2:]
    W: npt.NDArray[Any] = generator(rng).standard_normal(shape)
    W *= scale(init, D, M)
    return W.astype(float_type(dtype), copy=False)


def float_type(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """The type of a layer's parameters, which must be a float's."""
    checked = np.dtype(dtype)
    if checked.kind != "f":
        raise TypeError(f"dtype is {checked}, expected np.float32 or np.float64")
    return checked


def check_sizes(layer: str, **sizes: int) -> None:
    """Raise unless every size is a whole number ≥ 1."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"{layer}: {name} is {size!r}, expected a whole number ≥ 1")
