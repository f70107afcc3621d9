"""Other points at which a mistake may show that does not show at the given one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcheck.arrays import Array
from gradcheck.subject import Subject


@dataclass(frozen=True)
class Point:
    """Inputs, and perhaps parameters, to try a layer at; `what` says how they differ."""

    what: str
    xs: tuple[Any, ...]
    params: dict[str, Array] | None = None
    ones: bool = False


def other_points(subject: Subject, seed: int) -> Iterator[Point]:
    """Points derived from the given one, the most telling first."""
    rng = np.random.default_rng(seed + 1)
    xs = subject.xs
    real = [i for i, x in enumerate(xs) if _float(x)]
    batch = _batch(xs)
    if subject.params:
        moved = {
            name: np.asarray(value * 1.25 + 0.0625 * rng.standard_normal(value.shape), value.dtype)
            for name, value in subject.params.items()
            if value.dtype.kind == "f"
        }
        yield Point("with other parameters", xs, moved)
    if batch and batch > 1:
        yield Point("with one sample", _rows(xs, slice(0, 1), batch))
        yield Point("with more samples", _grown(xs, batch, rng))
    if subject.kind == "layer" and real:
        yield Point(
            "with all inputs equal",
            _replaced(xs, lambda x: np.full(x.shape, _typical(x), x.dtype)),
            ones=True,
        )
    if real:
        yield Point("with zeros among the inputs", _replaced(xs, lambda x: _with_zeros(x, rng)))
        yield Point("with inputs of the other sign", _replaced(xs, lambda x: -x))
        yield Point("with larger inputs", _replaced(xs, lambda x: (8 * x).astype(x.dtype)))
        yield Point("with smaller inputs", _replaced(xs, lambda x: (x / 8).astype(x.dtype)))
    if any(_whole(x) and x.size > 1 for x in xs):
        yield Point(
            "with repeated indices",
            tuple(np.full_like(x, x.flat[0]) if _whole(x) and x.ndim else x for x in xs),
        )
        yield Point(
            "with indices in another order",
            tuple(np.roll(x, 1) if _whole(x) and x.ndim else x for x in xs),
        )


def _float(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.size > 0


def _whole(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind in "iu"


def _batch(xs: tuple[Any, ...]) -> int | None:
    """The length of the first axis, if all inputs share it."""
    lengths = {x.shape[0] for x in xs if isinstance(x, np.ndarray) and x.ndim}
    return lengths.pop() if len(lengths) == 1 else None


def _rows(xs: tuple[Any, ...], rows: slice, batch: int) -> tuple[Any, ...]:
    return tuple(x[rows].copy() if isinstance(x, np.ndarray) and x.ndim else x for x in xs)


def _grown(xs: tuple[Any, ...], batch: int, rng: np.random.Generator) -> tuple[Any, ...]:
    """Three more samples, mixed from those there are."""
    take = rng.integers(0, batch, batch + 3)
    grown = []
    for x in xs:
        if not (isinstance(x, np.ndarray) and x.ndim):
            grown.append(x)
            continue
        more = x[take]
        if _float(x):
            more = (more * rng.uniform(0.5, 1.5, more.shape)).astype(x.dtype)
        grown.append(more)
    return tuple(grown)


def _replaced(xs: tuple[Any, ...], change: Any) -> tuple[Any, ...]:
    return tuple(change(x) if _float(x) else x for x in xs)


def _typical(x: Array) -> float:
    value = float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))
    return value if np.isfinite(value) and value > 0 else 0.5


def _with_zeros(x: Array, rng: np.random.Generator) -> Array:
    zeros = x.copy()
    zeros[rng.random(x.shape) < 0.4] = 0
    return zeros
