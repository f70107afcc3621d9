"""Several outputs read one input: contributions lost, doubled, or put elsewhere."""

from collections.abc import Iterator

import numpy as np

from gradcheck.arrays import Array, peak
from gradcheck.diagnosis.likeness import same, wrong_entries
from gradcheck.evidence import Evidence


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
    if (got.ndim >= 2 and _shifted(got, expected)) or (got.ndim >= 3 and _at_the_edge(wrong)):
        yield "padding-or-stride"


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
        if min(abs(float(got[i]) - s) for s in sums) > 1e-6 * top:
            return False
    return True


def _shifted(got: Array, expected: Array) -> bool:
    for axis in range(max(got.ndim - 2, 1), got.ndim):
        n = got.shape[axis]
        for shift in (-2, -1, 1, 2):
            if n <= abs(shift):
                continue
            inner = slice(max(shift, 0), n + min(shift, 0))
            outer = slice(max(-shift, 0), n + min(-shift, 0))
            a = np.moveaxis(got, axis, -1)[..., inner]
            b = np.moveaxis(expected, axis, -1)[..., outer]
            if peak(b) > 0 and same(a, b):
                return True
    return False


def _at_the_edge(wrong: Array) -> bool:
    """Wrong along the borders of the last two axes alone."""
    inside = wrong[..., 1:-1, 1:-1]
    return inside.size > 0 and not inside.any()
