"""Backward's Jacobian beside the true one: pairs of output and entry lost, shifted or exchanged."""

from collections.abc import Iterator

import numpy as np

from gradcheck.arrays import Array, is_real, peak
from gradcheck.diagnosis.likeness import CLOSE
from gradcheck.evidence import Evidence


def overwritten(e: Evidence) -> Iterator[str]:
    """Each entry keeps some of its readers and loses others, and none loses all."""
    true, given = e.main.jacobian(e.about), e.main.given(e.about)
    small = CLOSE * peak(true)
    reads = np.abs(true) > small
    kept = np.abs(given - true) <= small
    lost = reads & ~kept
    if not lost.any() or np.any(lost & (np.abs(given) > small)) or np.any(~reads & ~kept):
        return
    last = np.where(reads.any(axis=0), len(reads) - 1 - np.argmax(reads[::-1], axis=0), -1)
    left = reads & kept
    several = reads.sum(axis=0) > 1
    only_last = (left.sum(axis=0) <= 1) & left[last, np.arange(len(last))]
    if several.any() and e.is_input and e.got.ndim >= 3 and np.all(only_last[several]):
        yield "overlap-overwritten"
        return
    if np.any(lost.all(axis=0)) or np.any((lost == reads).all(axis=0) & reads.any(axis=0)):
        return
    rows = [(lost[k] == reads[k]).all() or not lost[k].any() for k in range(len(lost))]
    if all(rows) or (reads.sum(axis=0)[lost.any(axis=0)] < 2).any():
        return
    if e.is_input and e.got.ndim >= 3:
        yield "overlap-overwritten"


def shifted(e: Evidence) -> Iterator[str]:
    """Each output reads a window of the image; backward's window lies elsewhere."""
    image = next(
        (x for x in e.main.xs if is_real(x) and x.ndim >= 3),
        None,
    )
    if image is None or e.main.y.ndim != image.ndim:
        return
    true, given = e.main.jacobian(e.about), e.main.given(e.about)
    if e.is_input:
        if _all_moved(true, given, e.value.shape) or _all_moved(true.T, given.T, e.main.y.shape):
            yield "padding-or-stride"
    elif e.value.ndim == image.ndim:
        reach = e.value.shape[-2:]
        widths = [(0, 0)] * (image.ndim - 2) + [(n, n) for n in reach]
        padded = np.pad(image, widths)
        views = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(-2, -1))
        table = views.reshape(-1, int(np.prod(reach)))
        pieces = given.reshape(-1, int(np.prod(reach)))
        wrong = np.abs(pieces - true.reshape(pieces.shape)).max(axis=1) > CLOSE * peak(true)
        pieces = pieces[wrong]
        if not np.abs(pieces).max(axis=1, initial=0).any():
            return
        if not len(pieces):
            return
        for piece in pieces[:: max(1, len(pieces) // 40)]:
            if np.abs(table - piece).max(axis=1).min() > CLOSE * peak(image):
                return
        yield "padding-or-stride"


def _all_moved(true: Array, given: Array, shape: tuple[int, ...]) -> bool:
    """Whether each wrong row, in this shape, is the true one moved."""
    wrong, small = 0, CLOSE * peak(true)
    for row, other in zip(true, given, strict=True):
        t, g = row.reshape(shape), other.reshape(shape)
        if np.abs(t - g).max() > small:
            wrong += bool(g.any())
            same_numbers = np.abs(np.sort(row) - np.sort(other)).max() <= small
            if not same_numbers and not _moved(t, g, small):
                return False
    return wrong > 0


def _moved(true: Array, given: Array, small: float) -> bool:
    """Whether what is given is the true window moved, as far as it can be seen."""
    height, width = true.shape[-2:]
    for a in range(-height + 1, height):
        for b in range(-width + 1, width):
            there = (..., slice(max(a, 0), height + min(a, 0)), slice(max(b, 0), width + min(b, 0)))
            here = (
                ...,
                slice(max(-a, 0), height - max(a, 0)),
                slice(max(-b, 0), width - max(b, 0)),
            )
            moved = true[here]
            if moved.any() and np.abs(given[there] - moved).max() <= small:
                return True
    return not given.any()


def inverted(e: Evidence) -> Iterator[str]:
    """Every pair of output and entry that is given is one that is not in the truth."""
    true, given = e.main.jacobian(e.about), e.main.given(e.about)
    if not _disjoint(true, given) or not given.any():
        return
    if np.any((np.abs(true).max(axis=0) == 0) & (np.abs(given).max(axis=0) == 0)):
        return  # the complement leaves nothing out
    masks = [x for x in (*e.main.xs, *e.main.held()) if isinstance(x, np.ndarray) and _two(x)]
    turned = e.at(e.inputs(np.negative))
    if turned is not None:
        there, small = turned.jacobian(e.about), CLOSE * peak(true)
        if np.any((np.abs(there) > small) != (np.abs(true) > small)):
            if _disjoint(there, turned.given(e.about)):
                yield "mask-inverted"
            return
    if masks:
        yield "mask-inverted"


def _disjoint(a: Array, b: Array) -> bool:
    return not np.any((np.abs(a) > CLOSE * peak(a)) & (np.abs(b) > CLOSE * peak(b)))


def _two(x: Array) -> bool:
    return x.size > 1 and set(np.unique(x).tolist()) == {0.0, 1.0}
