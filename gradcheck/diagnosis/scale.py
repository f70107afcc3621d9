"""got / expected is one number: which one, and what does it follow?"""

import itertools
from collections.abc import Iterator
from functools import partial

import numpy as np

from gradcheck.arrays import Array, peak
from gradcheck.diagnosis import path
from gradcheck.diagnosis.likeness import multiple, same
from gradcheck.evidence import Evidence, batch_length

SMALL = 3e-6


def rule(e: Evidence) -> Iterator[str]:
    r = multiple(e.got, e.expected)
    if r is None:
        return
    if abs(r - 1) < 1e-6:
        return
    if abs(r + 1) < 1e-6:
        yield "sign-flipped"
        return
    batch = batch_length(e.main.xs)
    others = _ratios(e, batch)
    varies = [(n, rn) for n, rn in others if abs(rn - r) > 1e-5 * abs(r)]
    if batch and varies:
        n, rn = varies[0]
        for power, cause in ((1, "batch-mean-missing"), (-1, "batch-mean-doubled")):
            if abs(rn / r - (n / batch) ** power) < 1e-4:
                if not _twofold(r) or _twofold(r / float(batch) ** power, 1.0):
                    yield cause
                else:
                    yield "factor-of-two"  # where forward or backward has this batch's N built in
                    yield cause
                return
        for root in (0.5, 1, 1.5, -0.5, -1, -1.5):
            if batch > 1 and all(
                abs(ratio / ((m - 1) / m) ** root - 1) < 1e-4 for m, ratio in ((batch, r), (n, rn))
            ):
                yield "degrees-of-freedom"
                return
        if abs(rn / r - np.sqrt(n / batch)) < 1e-4:
            yield "batch-mean-missing"
            return
        if e.got.size > 1:
            yield "constant-scale"
        return
    if e.got.size == 1 and not _persists(e, r):
        return
    known = bool(others)
    if r > 0 and e.subject.snapshot.random() and _keeps(e, r):
        yield "keep-probability"
        return
    dimension = _dimension(e, abs(r), batch)
    if not known and batch and batch > 1:
        if abs(r - batch) < 1e-5 * batch:
            yield "batch-mean-missing"
        if abs(r * batch - 1) < 1e-5:
            yield "batch-mean-doubled"
    two = _twofold(r)
    if two and dimension and _follows(e, r):
        yield "dimension-scale"
        yield "factor-of-two"
    elif two:
        yield "factor-of-two"
        if dimension:
            yield "dimension-scale"
    elif dimension:
        fixed = _follows(e, r) is False
        yield "constant-scale" if fixed else "dimension-scale"
        yield "dimension-scale" if fixed else "constant-scale"
    else:
        yield "constant-scale"
    if known and batch and batch > 1:  # N itself, though it does not follow N: built in
        if abs(r - batch) < 1e-5 * batch:
            yield "batch-mean-missing"
        if abs(r * batch - 1) < 1e-5:
            yield "batch-mean-doubled"


def _twofold(r: float, *more: float) -> bool:
    """Whether it is 2 or ½ (or another number that is named)."""
    return any(abs(r - value) < 1e-6 for value in (2.0, 0.5, *more))


def _persists(e: Evidence, r: float) -> bool:
    """Whether a single number's ratio is the same at other inputs."""
    trial = e.at(e.inputs(lambda x: x * 0.7 + 0.1))
    if trial is None:
        return True
    there = multiple(trial.got[e.about], trial.expected(e.about))
    return there is not None and abs(there - r) <= 1e-4 * abs(r)


def _ratios(e: Evidence, batch: int | None) -> list[tuple[int, float]]:
    """The ratio with other numbers of samples, where the layer takes them."""
    found = []
    if batch:
        for n in (batch + 3, 2 * batch, max(2, batch - 1)):
            trial = e.batch(n) if n != batch else None
            if trial is not None:
                r = multiple(trial.got[e.about], trial.expected(e.about), 1e-5)
                if r is not None:
                    found.append((n, r))
    return found


def _keeps(e: Evidence, r: float) -> bool:
    """Whether the ratio is a probability of keeping or its inverse: measured on the mask."""
    numbers = [
        float(value)
        for value in vars(e.subject.layer).values()
        if isinstance(value, float | np.floating) and 0 < value < 1
    ]
    for mask in e.main.held():
        values = np.unique(mask)
        if values.size == 2 and values[0] == 0 and values[1] > 1:
            numbers.append(float(1 / values[1]))
    for p in numbers:
        for keep in (p, 1 - p):
            for power in (1, -1, 2, -2):
                if keep and abs(r / keep**power - 1) < 1e-5:
                    return True
    if numbers or r == 1:
        return False
    dropped = e.main.y == 0
    if not dropped.any() or dropped.all():
        return False
    x = next((x for x in e.main.xs if np.shape(x) == e.main.y.shape), None)
    if x is None:
        return True
    ratios = e.main.y[~dropped] / x[~dropped]
    return bool(np.ptp(ratios) > 1e-9 or any(abs(r / ratios[0] ** k - 1) < 1e-5 for k in (-1, 1)))


def _dimension(e: Evidence, r: float, batch: int | None) -> bool:
    """Whether the ratio is a product of lengths of axes other than the batch, or its inverse."""
    lengths: list[int] = []
    shapes = [x.shape for x in e.main.xs if isinstance(x, np.ndarray)]
    shapes += [e.main.y.shape, *(value.shape for value in e.main.params.values())]
    for shape in shapes:
        lengths += [n for n in shape if n > 1]
    lengths = sorted(set(lengths))
    products = set()
    for shape in shapes:
        axes = [n for n in shape if n > 1]
        for count in range(1, min(len(axes), 4) + 1):
            products |= {int(np.prod(part)) for part in itertools.combinations(axes, count)}
    del lengths, batch
    for product in products:
        for value in (product, 1 / product):
            if abs(r / value - 1) < 1e-5:
                return True
    return False


def _follows(e: Evidence, r: float) -> bool | None:
    """Whether the ratio changes when an axis of the inputs is made shorter; None if none can be."""
    answer: bool | None = None
    most = max((x.ndim for x in e.main.xs if isinstance(x, np.ndarray)), default=0)
    for axis in range(1, most):
        xs = tuple(
            np.delete(x, -1, axis=axis)
            if isinstance(x, np.ndarray) and x.ndim == most and x.shape[axis] > 2
            else x
            for x in e.main.xs
        )
        trial = e.at(xs)
        if trial is None or all(a is b for a, b in zip(xs, e.main.xs, strict=True)):
            continue
        other = multiple(trial.got[e.about], trial.expected(e.about), 1e-5)
        if other is not None and abs(other - r) > 1e-4 * abs(r):
            return True
        answer = False
    return answer


def tiny(e: Evidence) -> Iterator[str]:
    """An error too small for the shape of the numbers to tell anything but these."""
    residual = e.got - e.expected
    top = max(peak(e.expected), 1e-300)
    if peak(residual) > SMALL * top:
        return
    c = float(np.vdot(residual, e.expected) / max(np.vdot(e.expected, e.expected), 1e-300))
    if peak(residual - c * e.expected) < 0.05 * peak(residual):
        yield "constant-scale"
    elif residual.size > 1 and np.ptp(residual) < 0.05 * peak(residual):
        yield "constant-leak"
    else:
        found = list(precision(e)) or list(path.outgrown(e))
        yield from found or ["unexplained"]


def leak(e: Evidence) -> Iterator[str]:
    """One number too much everywhere, in what has no dout to refuse."""
    residual = e.got - e.expected
    constant = residual.size > 1 and np.ptp(residual) <= 1e-6 * peak(residual)
    if constant and e.subject.kind == "loss":
        yield "constant-leak"


def precision(e: Evidence) -> Iterator[str]:
    """Off by what a narrower type rounds, and by nothing else."""
    gap = np.abs(e.got - e.expected)
    top = max(peak(e.expected), 1e-300)
    for dtype in (np.float32, np.float16):
        eps = float(np.finfo(dtype).eps)
        with np.errstate(all="ignore"):
            narrow = np.array_equal(e.got, e.got.astype(dtype).astype(np.float64))
        if narrow and peak(gap) <= 8 * eps * top and not _whole(e.got):
            yield "precision-lost"
            return
    if peak(gap) <= 5e-3 * top and _rough(e):
        yield "precision-lost"


def _whole(a: Array) -> bool:
    return bool(np.array_equal(a, np.round(a)))


def _rough(e: Evidence) -> bool:
    """Whether the error has nothing in common with that at points so near that all else has."""
    if e.got.size < 2:
        return False
    alike = []
    for factor in (1 + 2.0**-6, 1 - 2.0**-6):
        moved = e.inputs(partial(np.multiply, factor))
        params = {name: factor * value for name, value in e.main.params.items()}
        dout = e.main.dout if e.subject.kind == "loss" else e.main.dout * factor
        trial = e.at(moved, dout=dout, params=params)
        if trial is None:
            return False
        here = e.got - e.expected
        there = trial.got[e.about] - trial.expected(e.about)
        size = float(np.linalg.norm(here) * np.linalg.norm(there))
        alike.append(float(np.vdot(here, there)) / size if size else 0.0)
    return max(alike) < 0.9


__all__ = ["precision", "rule", "same"]
