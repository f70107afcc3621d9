"""Other points at which a mistake may show that does not show at the given one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradcheck.arrays import Array, is_real, peak
from gradcheck.subject import Subject


@dataclass(frozen=True)
class Point:
    """Inputs, and perhaps parameters, to try a layer at; `what` says how they differ.

    `rows` is the number of samples, when that is what differs. At `ties`, entries of one value
    are moved together. A `special` point may be one where the derivative does not exist.
    """

    what: str
    xs: tuple[Any, ...]
    params: dict[str, Array] = field(default_factory=dict)
    rows: int | None = None
    ties: bool = False
    special: bool = False


def other_points(subject: Subject, seed: int) -> Iterator[Point]:
    """Points derived from the given one, the most telling first."""
    rng = np.random.default_rng(seed + 1)
    xs = subject.xs
    free = _free(subject)
    n = batch_size(subject)
    if subject.params:
        yield Point("with other parameters", xs, _other_params(subject, rng))
    if free:
        yield Point("with other inputs", _changed(xs, free, _wide(rng)))
    if n is not None and n > 1:
        alone = _changed(_taken(xs, np.zeros(1, int)), free, _off_kinks(rng))
        yield Point("with one sample", alone, rows=1)
    if free:
        size = typical(xs[free[0]])
        yield Point(
            "where inputs tie", _changed(xs, free, _tied(rng, size)), ties=True, special=True
        )
    if n is not None:
        take = np.concatenate([rng.permutation(n), rng.integers(0, n, 2)])
        grown = _changed(_taken(xs, take), free, _scaled(rng))
        yield Point("with more samples", grown, rows=n + 2)
    if (longer := _longer(subject, 1, 3, rng)) is not None:
        yield Point("with a sequence three times as long", longer)
    if (longer := _longer(subject, -1, 1, rng)) is not None:
        yield Point("with one more place along the last axis", longer)
    if free:
        yield Point("with rows and columns of zeros", _changed(xs, free, _zero_lines), special=True)
        yield Point("with zeros among the inputs", _changed(xs, free, _zeroed(rng)), special=True)
        yield Point("with inputs of the other sign", _changed(xs, free, np.negative))
        yield Point("with larger inputs", _changed(xs, free, lambda x: 8 * x))
        yield Point("with inputs near zero", _changed(xs, free, lambda x: x / 16))
    if any(_indices(x) for x in xs):
        yield Point("with one index everywhere", _reindexed(xs, _constant))
        yield Point("with indices in another order", _reindexed(xs, lambda x: np.roll(x, 1)))
    if free:
        yield Point("with much larger inputs", _changed(xs, free, lambda x: 40 * x))


def batch_size(subject: Subject) -> int | None:
    """The length of the first axis, if the inputs share it and it can be a batch."""
    arrays = [x for x in subject.xs if isinstance(x, np.ndarray) and x.ndim]
    lengths = {x.shape[0] for x in arrays}
    one_vector = all(x.ndim == 1 and is_real(x) for x in arrays) and subject.kind != "loss"
    return int(lengths.pop()) if len(lengths) == 1 and 0 not in lengths and not one_vector else None


def follows(y: Array, changed: Array, n: int, rows: int) -> bool:
    """Whether the output's batch grew with the inputs', so that nothing was silently broadcast."""
    shape = (rows, *y.shape[1:]) if y.shape[:1] == (n,) else ()
    return bool(changed.shape == shape)


def _free(subject: Subject) -> list[int]:
    """The inputs that may take any value: a loss's targets may not."""
    return [leaf.key for leaf in subject.leaves if leaf.is_input and subject.value(leaf).size]


def _changed(xs: tuple[Any, ...], free: list[int], change: Callable[[Array], Any]) -> Any:
    return tuple(np.asarray(change(x), x.dtype) if k in free else x for k, x in enumerate(xs))


def _taken(xs: tuple[Any, ...], rows: Array) -> tuple[Any, ...]:
    return tuple(x[rows].copy() if isinstance(x, np.ndarray) and x.ndim else x for x in xs)


def _other_params(subject: Subject, rng: np.random.Generator) -> dict[str, Array]:
    """Parameters of the same signs and another size; zeros become small numbers."""
    moved = {}
    for name, p in subject.params.items():
        if is_real(p):
            values = np.asarray(p * rng.uniform(0.6, 1.6, p.shape))
            small = 0.25 * rng.standard_normal(p.shape)
            moved[name] = np.asarray(np.where(values == 0, small, values), p.dtype)
    return moved


def _wide(rng: np.random.Generator) -> Callable[[Array], Array]:
    """Other numbers of mixed signs, over a few orders of magnitude around those given."""

    def change(x: Array) -> Array:
        size = typical(x)
        signs = rng.choice((-1.0, 1.0), x.shape) if np.any(x < 0) else 1.0
        powers = rng.permutation(np.linspace(3.2, -4.0, x.size)).reshape(x.shape)
        return np.asarray(size * signs * 2.0**powers)

    return change


def _tied(rng: np.random.Generator, size: float) -> Callable[[Array], Array]:
    """Two values alone, so that maxima are shared."""

    def change(x: Array) -> Array:
        return np.asarray(np.where(rng.random(x.shape) < 0.6, 1.0, 0.5) * size)

    return change


def _scaled(rng: np.random.Generator) -> Callable[[Array], Array]:
    return lambda x: np.asarray(x * rng.uniform(0.5, 1.5, x.shape))


def _off_kinks(rng: np.random.Generator) -> Callable[[Array], Array]:
    """A little smaller each, and none 0: kinks are often at round numbers."""

    def change(x: Array) -> Array:
        return np.asarray(np.where(x == 0, typical(x), x) * rng.uniform(0.7, 1.0, x.shape))

    return change


def _zeroed(rng: np.random.Generator) -> Callable[[Array], Array]:
    return lambda x: np.asarray(np.where(rng.random(x.shape) < 0.4, 0.0, x))


def _zero_lines(x: Array) -> Array:
    """The first sample and every other feature all zero."""
    zeros = x.copy()
    if x.ndim > 1:
        zeros[0] = 0.0
    if x.ndim:
        zeros[..., ::2] = 0.0
    return zeros


def _indices(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind in "iu" and x.ndim > 0 and x.size > 1


def _constant(x: Array) -> Array:
    return np.full_like(x, x.flat[0])


def _reindexed(xs: tuple[Any, ...], change: Callable[[Array], Array]) -> tuple[Any, ...]:
    return tuple(change(x) if _indices(x) else x for x in xs)


def _longer(
    subject: Subject, axis: int, more: int, rng: np.random.Generator
) -> tuple[Any, ...] | None:
    """A longer axis, for a layer whose only input may have any length there: `more` is 1 place
    on the last axis, or so many times the length on another."""
    x = subject.xs[0]
    if len(subject.xs) != 1 or subject.kind != "layer" or not is_real(x):
        return None
    if x.ndim < (2 if axis == -1 else 3) or x.size == 0:
        return None
    length, snapshot = x.shape[axis], subject.snapshot
    if length < 2 or snapshot.mentions(length):
        return None
    added = length * (more - 1) if axis != -1 else more
    take = rng.integers(0, length, added)
    part = np.take(x, take, axis)
    grown = np.concatenate([x, part * rng.uniform(0.5, 1.5, part.shape)], axis=axis)
    return (np.asarray(grown, x.dtype),)


def typical(x: Array) -> float:
    """The root of the mean square, or ½ if there is nothing to go by."""
    top = peak(x)
    if not np.isfinite(top) or top == 0:
        return 0.5
    return top * float(np.sqrt(np.mean((x / top) ** 2)))
