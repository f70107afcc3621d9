"""Right terms, summed otherwise than they should be."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from gradcheck.arrays import Array, peak
from gradcheck.diagnosis.likeness import multiple, same
from gradcheck.evidence import Evidence, Trial, batch_length, batched


def rule(e: Evidence) -> Iterator[str]:
    got, expected = e.got, e.expected
    if got.size > 1 and peak(got) > 0 and np.ptp(got) <= 1e-9 * peak(got):
        total = float(expected.sum())
        if abs(float(got.flat[0]) - total) <= 1e-6 * max(abs(total), peak(expected)):
            yield "summed-everything"
            return
    if got.ndim and got.size > 1:
        for axes in _axes(got.ndim):
            if len(axes) == got.ndim or not _several(expected, axes):
                continue
            if same(got, np.broadcast_to(expected.sum(axis=axes, keepdims=True), got.shape)):
                yield "summed-everything"
                return
    if e.is_input and _rows_left_out(got, expected):
        yield "part-of-batch" if _same_rows(e) else "path-missing"
        yield "path-missing"
        return
    if _another_axis(e):
        yield "wrong-axis"
        return
    if not e.is_input and _one_place(e):
        yield "overlap-overwritten"
        yield "part-of-batch"
        return
    parts = _shares(e, 0)
    if parts is not None:
        yield "part-of-batch" if _by_place(e, parts) else "path-missing"
    elif e.main.y.ndim > 1:
        for axis in range(1, e.main.y.ndim):
            if _shares(e, axis) is not None:
                yield "path-missing"
                yield "part-of-batch"
                return


def _several(expected: Array, axes: tuple[int, ...]) -> bool:
    """Whether sums over these axes have more than one term."""
    terms = (np.abs(expected) > 1e-9 * peak(expected)).sum(axis=axes)
    return bool(terms.max() > 1)


def _rows_left_out(got: Array, expected: Array) -> bool:
    """Some samples' rows are all 0, the others as they should be, or a multiple of it."""
    if got.ndim < 1 or len(got) < 2:
        return False
    flat, true = got.reshape(len(got), -1), expected.reshape(len(got), -1)
    empty = _empty_rows(got, expected)
    if not empty.any() or empty.all():
        return False
    return multiple(flat[~empty], true[~empty]) is not None


def _same_rows(e: Evidence) -> bool:
    """Whether the same rows are empty that should not be, when the samples have moved on by one."""
    trial = _moved_on(e)
    if trial is None:
        return True
    here, there = (_empty_rows(t.got[e.about], t.expected(e.about)) for t in (e.main, trial))
    true = np.any(e.expected.reshape(len(here), -1), axis=1)
    true &= np.roll(true, 1)  # rows that tell in both
    return np.array_equal(here & true, there & true)


def _empty_rows(got: Array, expected: Array) -> Array:
    flat, true = got.reshape(len(got), -1), expected.reshape(len(got), -1)
    return np.asarray(~np.any(flat, axis=1) & np.any(true, axis=1))


def _moved_on(e: Evidence) -> Trial | None:
    """The batch with its samples moved on by one place."""
    whole = batched(e.main.xs)
    xs = tuple(np.roll(x, 1, axis=0) if any(x is b for b in whole) else x for x in e.main.xs)
    dout = e.main.dout
    return e.at(xs, dout=np.roll(dout, 1, axis=0) if dout.ndim else dout)


def _axes(ndim: int) -> list[tuple[int, ...]]:
    return [
        axes for count in range(1, ndim + 1) for axes in itertools.combinations(range(ndim), count)
    ]


def _shares(e: Evidence, axis: int) -> Array | None:
    """The zeros and ones for which got is a sum of the shares of slices of the output."""
    y = e.main.y
    if y.ndim <= axis or not 2 <= y.shape[axis] <= 64:
        return None
    columns = []
    for k in range(y.shape[axis]):
        mask = np.zeros(y.shape)
        mask[(slice(None),) * axis + (k,)] = 1
        columns.append(e.main.share(e.about, mask).ravel())
    table = np.array(columns).T
    if np.linalg.matrix_rank(table) < table.shape[1]:
        return _first_or_last(e, table)
    weights, *_ = np.linalg.lstsq(table, e.got.ravel(), rcond=None)
    if not same(table @ weights, e.got.ravel()):
        return None
    whole = np.asarray(np.round(weights))
    if (
        np.all(np.abs(weights - whole) < 1e-5)
        and set(whole.tolist()) <= {0.0, 1.0}
        and 0 < whole.sum() < len(whole)
    ):
        return np.asarray(whole)
    return None


def _one_place(e: Evidence) -> bool:
    """Only the first or the last place of several axes of the output has its share."""
    y = e.main.y
    for count in range(2, y.ndim):
        for axes in itertools.combinations(range(y.ndim), count):
            for place in (0, -1):
                mask = np.zeros(y.shape)
                index: list[Any] = [slice(None)] * y.ndim
                for axis in axes:
                    index[axis] = place
                mask[tuple(index)] = 1
                if same(e.got, e.main.share(e.about, mask)):
                    return True
    return False


def _by_place(e: Evidence, parts: Array) -> bool:
    """Whether the same places of the batch are left out when its samples have moved on by one."""
    n = batch_length(e.main.xs)
    if n is None or n != len(e.main.y):
        return True
    trial = _moved_on(e)
    if trial is None:
        return True
    moved = np.roll(parts, 1)
    mask = moved.reshape(-1, *(1,) * (e.main.y.ndim - 1)) * np.ones(e.main.y.shape)
    return not same(trial.got[e.about], trial.share(e.about, mask))


def _first_or_last(e: Evidence, table: Array) -> Array | None:
    n = table.shape[1]
    choices = [np.eye(n)[0], np.eye(n)[-1], 1 - np.eye(n)[0], 1 - np.eye(n)[-1]]
    for choice in choices:
        if peak(table @ choice) > 0 and same(table @ choice, e.got.ravel()):
            return np.asarray(choice)
    return None


def _another_axis(e: Evidence) -> bool:
    """The terms of this sum, one for each output, summed over other axes."""
    got, y = e.got, e.main.y
    if e.is_input and got.shape == y.shape:
        return False
    jacobian = e.main.jacobian(e.about)
    terms = (e.main.dout.ravel()[:, None] * jacobian).sum(axis=1).reshape(y.shape)
    for axes in _axes(y.ndim):
        summed = terms.sum(axis=axes)
        for candidate in (summed, summed[..., None], summed[None]):
            if candidate.shape == got.shape and same(candidate, got):
                return True
            if candidate.size == got.size and same(candidate.ravel(), got.ravel()):
                return True
    return False


__all__ = ["multiple", "rule"]
