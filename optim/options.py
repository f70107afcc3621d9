"""Checks of the options that update rules and schedules take."""

from __future__ import annotations

import math
from numbers import Real


def number(
    owner: object,
    option: str,
    value: float,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    below: float = math.inf,
    most: float = math.inf,
) -> float:
    """`value` as a float, finite and within the bounds: above < value < below, least..most."""
    name = f"{type(owner).__name__}: {option}"
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}, expected a number")
    value = float(value)
    if not (math.isfinite(value) and above < value < below and least <= value <= most):
        bounds = [
            f"{sign} {bound:g}"
            for sign, bound in ((">", above), ("≥", least), ("<", below), ("≤", most))
            if math.isfinite(bound)
        ]
        raise ValueError(f"{name} is {value:g}, expected a finite number {' and '.join(bounds)}")
    return value


def count(owner: object, option: str, value: int, *, least: int) -> int:
    """`value` as an int, at least `least`."""
    name = f"{type(owner).__name__}: {option}"
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} is {value!r}, expected an integer")
    if value < least:
        raise ValueError(f"{name} is {value}, expected an integer ≥ {least}")
    return int(value)
