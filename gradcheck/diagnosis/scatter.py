"""Several outputs read one input: contributions lost, doubled, or put elsewhere."""

from collections.abc import Iterator

import numpy as np

from gradcheck.arrays import Array, peak
from gradcheck.diagnosis.likeness import same, wrong_entries
from gradcheck.evidence import Evidence

SHIFTS = (-2, -1, 1, 2)


def rule(e: Evidence) -> Iterator[str]:
    got, expected = e.got, e.expected
    wrong = wrong_entries(got, expected)
    if not wrong.any():
        return
    jacobian = e.main.jacobian(e.about)
    terms = e.main.dout.ravel()[:, None] * jacobian
    readers = (np.abs(jacobian) > 1e-9 * peak(jacobian)).sum(axis=0).reshape(got.shape)
    shared = readers > 1
    whole = any(isinstance(x, np.ndarray) and x.dtype.kind in "iu" for x in e.main.xs)
    if (wrong & ~shared).any() or not shared.any() or (shared.all() and not whole):
        lost = False
    else:
        lost = _one_of(got.ravel(), terms, wrong.ravel())
    if (lost and (~shared).any()) or (lost and whole):
        picked = whole or (_picks(jacobian) and got.ndim < 3)
        first = picked or not e.is_input
        yield "duplicates-lost" if first else "overlap-overwritten"
        yield "overlap-overwritten" if first else "duplicates-lost"
        return


def counts(e: Evidence) -> Iterator[str]:
    """Rows picked by indices several times for one output, and counted fewer times."""
    if not any(isinstance(x, np.ndarray) and x.dtype.kind in "iu" for x in e.main.xs):
        return
    true, given = e.main.jacobian(e.about), e.main.given(e.about)
    whole = [np.abs(a - np.round(a)).max() < 1e-6 for a in (true, given)]
    true, given = np.round(true), np.round(given)
    if not all(whole) or np.any(given > true) or np.any(given < 0) or true.max() < 1:
        return
    lost = (given < true).any(axis=0)
    reads = true.sum(axis=0)
    if lost.any() and np.all(reads[lost] > 1) and np.all(given.sum(axis=0)[lost] >= 1):
        yield "duplicates-lost"


def moved(e: Evidence) -> Iterator[str]:
    """Forward only moves or repeats numbers, all alike, and backward takes them elsewhere."""
    true = e.main.jacobian(e.about)
    if e.is_input and _picks(true) and _evenly(true):
        given = e.main.given(e.about)
        if _picks(given) and _evenly(given):
            yield "axes-permuted"


def shifted(e: Evidence) -> Iterator[str]:
    """The numbers stand a place or two further, or are wrong along the borders alone."""
    got, expected = e.got, e.expected
    wrong = wrong_entries(got, expected)
    if (got.ndim >= 2 and _shifted(got, expected)) or (got.ndim >= 3 and _at_the_edge(wrong)):
        yield "padding-or-stride"


def _evenly(picks: Array) -> bool:
    """Whether each output picks one entry, and each entry is picked as often as the others."""
    one = np.abs(picks - 1) < 1e-6
    times = one.sum(axis=0)
    return bool(np.all(one.sum(axis=1) == 1) and np.ptp(times) == 0)


def _picks(jacobian: Array) -> bool:
    """Whether each output is one entry, picked by an index."""
    ones = np.abs(jacobian - 1) < 1e-6
    rest = np.abs(jacobian) < 1e-6
    return bool(np.all(ones | rest) and np.all(ones.sum(axis=1) <= 1))


def _one_of(got: Array, terms: Array, wrong: Array) -> bool:
    """Whether each wrong entry is one of its own terms, or a sum of some, never all."""
    top = peak(terms)
    for i in np.flatnonzero(wrong):
        own = terms[np.abs(terms[:, i]) > 1e-9 * top, i]
        if own.size > 10:
            own = own[:10]
        sums = [0.0]
        for term in own:
            sums += [s + float(term) for s in sums]
        sums = sums[1:-1] if own.size > 1 else sums
        if not sums or min(abs(float(got[i]) - s) for s in sums) > 1e-6 * top:
            return False
    return True


def _shifted(got: Array, expected: Array) -> bool:
    """Whether the numbers stand a place or two further along the last axes."""
    axes = range(max(got.ndim - 2, 1), got.ndim)
    shifts = [{axis: by} for axis in axes for by in SHIFTS]
    if len(axes) == 2:
        shifts += [{axes[0]: a, axes[1]: b} for a in SHIFTS for b in SHIFTS]
    for shift in shifts:
        inner, outer = [slice(None)] * got.ndim, [slice(None)] * got.ndim
        for axis, by in shift.items():
            n = got.shape[axis]
            inner[axis] = slice(max(by, 0), max(n + min(by, 0), 0))
            outer[axis] = slice(max(-by, 0), max(n + min(-by, 0), 0))
        a, b = got[tuple(inner)], expected[tuple(outer)]
        if a.size and peak(b) > 0 and same(a, b):
            return True
    return False


def _at_the_edge(wrong: Array) -> bool:
    """Wrong along the borders of the last two axes alone."""
    inside = wrong[..., 1:-1, 1:-1]
    return inside.size > 0 and not inside.any()
