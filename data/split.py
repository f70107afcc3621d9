"""Training, validation and test sets from one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import DataError, shown

PARTS = ("train", "validation", "test")


class Split(NamedTuple):
    """The three sets of one experiment; every sample is in exactly one."""

    train: Dataset
    validation: Dataset
    test: Dataset


def split(
    dataset: Dataset,
    fractions: Sequence[float] = (0.70, 0.15, 0.15),
    seed: int | np.random.Generator = 0,
) -> Split:
    """Deal the samples at random into training, validation and test sets.

    Stratified: of n samples of a class, a part of fraction f gets ⌊n f⌋ or ⌈n f⌉; where that
    would leave a class out of a part, the part gets one. Targets to be regressed are dealt as
    if of one class. A fraction of 0, allowed but for training, gives an empty set. Within a set
    the samples keep their order.
    Errors:   DataError for fractions that do not sum to 1, or a class smaller than the parts.
    """
    shares = _checked(fractions, dataset.name)
    rng = _generator(seed)
    order = rng.permutation(len(dataset))
    if dataset.labels is None:
        members = [order]
    else:
        y = dataset.y[order]
        sizes = np.bincount(y, minlength=len(dataset.labels))
        members = np.split(order[np.argsort(y, kind="stable")], np.cumsum(sizes)[:-1])
    used = int(np.count_nonzero(shares))
    parts: list[list[NDArray[np.intp]]] = [[], [], []]
    owed = np.zeros(len(PARTS))
    for index, rows in enumerate(members):
        if 0 < len(rows) < used or len(dataset) < used:
            raise DataError(_too_small(dataset, index, len(rows), used))
        counts = _deal(len(rows), shares, owed)
        owed += len(rows) * shares - counts
        for part, piece in zip(parts, np.split(rows, np.cumsum(counts)[:-1]), strict=True):
            part.append(piece)
    return Split(*(dataset.take(np.sort(np.concatenate(part))) for part in parts))


def _deal(n: int, shares: NDArray[Any], owed: NDArray[Any]) -> NDArray[np.int64]:
    """Share n samples out: whole parts first, the rest where most is owed from earlier classes."""
    exact = n * shares
    counts: NDArray[np.int64] = np.floor(exact + 1e-9).astype(np.int64)
    fraction = np.maximum(exact - counts, 0.0)
    urgent = (counts == 0) & (shares > 0)
    order = np.lexsort((-(owed + fraction), ~urgent, fraction < 1e-9))
    counts[order[: n - int(counts.sum())]] += 1
    for part in np.flatnonzero((counts == 0) & (shares > 0)):
        if n > 0:
            counts[np.argmax(counts)] -= 1
            counts[part] = 1
    return counts


def _checked(fractions: Sequence[float], name: str) -> NDArray[np.float64]:
    try:
        shares = np.asarray(fractions, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name}: fractions must be numbers, got {shown(fractions)}") from None
    if shares.shape != (3,):
        raise DataError(f"{name}: fractions must be three, {', '.join(PARTS)}, got {fractions}")
    if not (np.isfinite(shares).all() and (shares >= 0).all() and shares[0] > 0):
        raise DataError(f"{name}: fractions must be 0 or more, train's above 0, got {fractions}")
    if abs(shares.sum() - 1) > 1e-6:
        raise DataError(f"{name}: fractions must sum to 1, got {fractions}")
    shares /= shares.sum()
    return shares


def _generator(seed: int | np.random.Generator) -> np.random.Generator:
    if isinstance(seed, np.random.Generator):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise DataError(f"seed must be an integer of 0 or more, got {shown(seed)}")
    return np.random.default_rng(seed)


def _too_small(dataset: Dataset, index: int, size: int, used: int) -> str:
    if dataset.labels is None or len(dataset) < used:
        return f"{dataset.name}: {len(dataset)} samples cannot be split into {used} sets"
    return (
        f"{dataset.name}: class {shown(dataset.labels[index])} has {size} of the {used} samples "
        f"that {used} sets need; add samples, drop the class, or set a fraction to 0"
    )
