"""Right numbers in the wrong places: transposed, flipped, permuted."""

import itertools
from collections.abc import Iterator

import numpy as np

from gradcheck.arrays import peak
from gradcheck.diagnosis.likeness import same, wrong_entries
from gradcheck.evidence import Evidence


def exact(e: Evidence) -> Iterator[str]:
    """Every entry of the truth is there, in the place of its mirror image or transpose."""
    got, expected = e.got, e.expected
    if peak(got) == 0 or np.ptp(expected) <= 1e-9 * peak(expected):
        return
    for a, b in itertools.combinations(range(got.ndim), 2):
        if got.shape[a] == got.shape[b] and same(got, np.swapaxes(expected, a, b)):
            yield "transposed"
            return
    for count in range(1, got.ndim + 1):
        for axes in itertools.combinations(range(got.ndim), count):
            flipped = np.flip(expected, axes)
            if same(got, flipped) or same(got, np.roll(flipped, (1,) * count, axes)):
                yield "flipped"
                return


def adjoint(e: Evidence) -> Iterator[str]:
    """The map itself where its transpose is meant: A dout for Aᵀ dout."""
    if not e.is_input or e.value.size != e.main.y.size or e.value.size < 3:
        return
    true = e.main.jacobian(e.about)
    if not same(true, true.T) and same(e.got.ravel(), true @ e.main.dout.ravel()):
        yield "transposed"


def exchanged(e: Evidence) -> Iterator[str]:
    """The right gradient of another input or parameter."""
    others = [leaf.about for leaf in e.main.subject.leaves if leaf.about != e.about]
    if any(e.main.is_gradient(about, e.got) for about in others):
        yield "wrong-operand"
        yield "axes-permuted"


def rule(e: Evidence) -> Iterator[str]:
    """Right for a tensor that is turned, or the right numbers in another order."""
    got, expected = e.got, e.expected
    if peak(got) == 0 or np.ptp(expected) <= 1e-9 * peak(expected):
        return
    if _with_transposed_parameter(e):
        yield "transposed"
        return
    if got.size > 2 and same(np.sort(got, axis=None), np.sort(expected, axis=None)):
        wrong = wrong_entries(got, expected)
        if np.count_nonzero(wrong) >= 2:
            yield "axes-permuted"
            return
    if _with_turned_tensor(e):
        yield "flipped"
        return
    if _with_permuted_upstream(e):
        yield "axes-permuted"


def _with_transposed_parameter(e: Evidence) -> bool:
    """The answer is right for a square parameter transposed."""
    for name, value in e.main.params.items():
        pairs = [
            (a, b)
            for a, b in itertools.combinations(range(value.ndim), 2)
            if value.shape[a] == value.shape[b] and value.shape[a] > 1
        ]
        for a, b in pairs[:3]:
            if f"d{name}" == e.about:
                continue
            trial = e.at(dout=e.main.dout, params={name: np.swapaxes(value, a, b).copy()})
            if trial is not None and trial.is_gradient(e.about, e.got):
                return True
    return False


def _with_turned_tensor(e: Evidence) -> bool:
    """The answer is right for dout, an input or a parameter with spatial axes reversed."""
    axes: tuple[int, ...]
    flips = [e.got, *(np.flip(e.got, a) for a in _spatial(e.got.ndim))]
    for name, value in e.main.params.items():
        for axes in _spatial(value.ndim):
            trial = e.at(dout=e.main.dout, params={name: np.flip(value, axes).copy()})
            if trial is not None and any(trial.is_gradient(e.about, got) for got in flips):
                return True
    for axes in _spatial(e.main.dout.ndim):
        found = e.main.with_upstream(e.about, np.flip(e.main.dout, axes))
        if any(same(got, found) for got in (flips if e.got.ndim > 2 else flips[:1])):
            return True
    return False


def _spatial(ndim: int) -> list[tuple[int, ...]]:
    """The last axis, the one before, and both: what can be a spatial axis reversed."""
    if ndim < 1:
        return []
    return [(ndim - 1,)] if ndim == 1 else [(ndim - 1,), (ndim - 2,), (ndim - 2, ndim - 1)]


def _with_permuted_upstream(e: Evidence) -> bool:
    """The answer is right for dout with its axes in another order, read in the same shape."""
    dout = e.main.dout
    if dout.ndim < 2 or dout.ndim > 4:
        return False
    for order in itertools.permutations(range(dout.ndim)):
        if order == tuple(range(dout.ndim)):
            continue
        moved = np.ascontiguousarray(dout.transpose(order)).reshape(dout.shape)
        if same(e.got, e.main.with_upstream(e.about, moved)):
            return True
    return False
