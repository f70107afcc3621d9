"""Each output reads one input: the local derivative, and where it was taken."""

from collections.abc import Iterator

import numpy as np

from gradcheck.arrays import Array, peak
from gradcheck.diagnosis.likeness import multiple, same, wrong_entries
from gradcheck.evidence import Evidence, Trial

STRAIGHT = 3  # a function of so few slopes is made of straight pieces


def missing(e: Evidence) -> Iterator[str]:
    """got is dout itself, or a multiple of it."""
    if not e.is_input or e.got.shape != e.main.dout.shape:
        return
    if same(e.got, e.main.dout):
        yield "derivative-missing"


def spread(e: Evidence) -> Iterator[str]:
    """got is dout, repeated along an axis of which forward chose one entry."""
    got, dout = e.got, e.main.dout
    if not e.is_input or got.ndim != dout.ndim + 1:
        return
    for axis in range(got.ndim):
        wide = np.expand_dims(dout, axis)
        chosen = (np.abs(e.expected) > 1e-9 * peak(e.expected)).sum(axis=axis)
        if chosen.max() <= 1 < got.shape[axis] and same(got, np.broadcast_to(wide, got.shape)):
            yield "derivative-missing"
            return


def rule(e: Evidence) -> Iterator[str]:
    main = e.main
    if not e.is_input or e.got.shape != main.dout.shape or not _pointwise(main, e.about):
        return
    dout, got, expected = main.dout, e.got, e.expected
    with np.errstate(all="ignore"):
        slope, given = expected / dout, got / dout
    if same(got, expected * slope):
        yield "derivative-doubled"
        return
    if np.unique(np.round(slope, 6)).size > STRAIGHT:
        yield from _elsewhere(e, slope, given)
    total = multiple(got + expected, dout)
    if total is not None and total > 0:
        yield "mask-inverted"
        return
    yield from _region(e)


def _pointwise(trial: Trial, about: str) -> bool:
    jacobian = trial.jacobian(about)
    off = jacobian - np.diag(np.diag(jacobian))
    return jacobian.shape[0] == jacobian.shape[1] and peak(off) <= 1e-7 * max(
        peak(jacobian), 1e-300
    )


def _elsewhere(e: Evidence, slope: Array, given: Array) -> Iterator[str]:
    """f′ taken at y, or the form in y taken at x."""
    leaf = e.main.leaf(e.about)
    xs = list(e.main.xs)
    xs[leaf.key] = np.array(e.main.y)
    at_y = e.at(tuple(xs), dout=e.main.dout)
    if at_y is None:
        return
    with np.errstate(all="ignore"):
        slope_at_y = at_y.expected(e.about) / e.main.dout
        given_at_y = at_y.got[e.about] / e.main.dout
    if same(given, slope_at_y):
        yield "evaluated-at-output"
    elif same(given_at_y, slope):
        yield "evaluated-at-input"


def _region(e: Evidence) -> Iterator[str]:
    """Wrong only for some x: all below a threshold, or a band beside it."""
    leaf = e.main.leaf(e.about)
    value = np.array(e.main.subject.value(leaf), np.float64)
    reach = max(3.0, 2 * peak(value))
    grid = np.linspace(-reach, reach, max(value.size, 1)) + 1e-3
    samples: list[tuple[Array, Array, Array, Array]] = []
    for shift in range(4):
        x = (grid + shift * 2 * reach / max(value.size, 1) / 4).reshape(value.shape)
        xs = list(e.main.xs)
        xs[leaf.key] = x
        trial = e.at(tuple(xs), dout=e.main.dout)
        if trial is not None:
            samples.append(_slopes(trial, e.about, x))
    samples.append(_slopes(e.main, e.about, value))
    x, given, true, wrong = (np.concatenate(parts) for parts in zip(*samples, strict=True))
    if not wrong.any() or wrong.all():
        return
    low, high = x[wrong].min(), x[wrong].max()
    if wrong[(x >= low) & (x <= high)].mean() < 0.9:
        return
    straight = np.ptp(given[wrong]) < 1e-6
    if not straight and np.ptp(true[wrong]) > 1e-6:
        return
    if low <= x.min() and abs(high) < 0.07 * reach:
        yield "slope-missing"
        yield "mask-threshold"
    elif not straight or np.abs(true[~wrong] - given[wrong][0]).min() < 1e-6:
        yield "mask-threshold"


def _slopes(trial: Trial, about: str, x: Array) -> tuple[Array, Array, Array, Array]:
    """Flat: the inputs, the slopes given and true, and where they differ."""
    given, true = trial.got[about], trial.expected(about)
    wrong = wrong_entries(given, true)
    dout = trial.dout
    return x.ravel(), (given / dout).ravel(), (true / dout).ravel(), wrong.ravel()
