"""Each output reads one input: the local derivative, and where it was taken."""

from collections.abc import Iterator

import numpy as np

from gradcheck.arrays import Array, peak
from gradcheck.diagnosis.likeness import multiple, same, wrong_entries
from gradcheck.evidence import Evidence, Trial


def missing(e: Evidence) -> Iterator[str]:
    """got is dout itself, or a multiple of it."""
    if not e.is_input or e.got.shape != e.main.dout.shape:
        return
    if same(e.got, e.main.dout):
        yield "derivative-missing"


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
    samples: list[tuple[Array, Array]] = []
    for shift in range(4):
        x = (grid + shift * 2 * reach / max(value.size, 1) / 4).reshape(value.shape)
        xs = list(e.main.xs)
        xs[leaf.key] = x
        trial = e.at(tuple(xs), dout=e.main.dout)
        if trial is not None:
            samples.append((x, wrong_entries(trial.got[e.about], trial.expected(e.about))))
    samples.append((value, wrong_entries(e.got, e.expected)))
    x = np.concatenate([a.ravel() for a, _ in samples])
    wrong = np.concatenate([w.ravel() for _, w in samples])
    if not wrong.any() or wrong.all():
        return
    order = np.argsort(x)
    x, wrong = x[order], wrong[order]
    low, high = x[wrong].min(), x[wrong].max()
    inside = wrong[(x >= low) & (x <= high)]
    if inside.mean() < 0.9 or not _straight(e):
        return
    if low <= x.min() + 1e-9 and high < 0.2 * reach:
        yield "slope-missing"
        yield "mask-threshold"
    else:
        yield "mask-threshold"


def _straight(e: Evidence) -> bool:
    """Whether the given or the true slope is one number where it is wrong: a piece of a line."""
    wrong = wrong_entries(e.got, e.expected)
    if not wrong.any():
        return True
    dout = e.main.dout[wrong]
    return any(np.ptp(g[wrong] / dout) < 1e-6 for g in (e.got, e.expected))
