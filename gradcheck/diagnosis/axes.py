"""The sums in the backward of a normalisation or a softmax, taken over other axes or counts."""

import itertools
from collections.abc import Iterator

import numpy as np

from gradcheck.arrays import Array
from gradcheck.diagnosis.likeness import multiple, same
from gradcheck.diagnosis.routes import Forward
from gradcheck.evidence import Evidence

Axes = tuple[int, ...]


def softmax(e: Evidence) -> Iterator[str]:
    """The residual is a multiple of the difference of softmax over two choices of axes."""
    x, residual = e.value, e.got - e.expected
    if not e.is_input or (e.subject.kind == "layer" and e.main.y.ndim) or x.ndim < 2:
        return
    choices = [
        _probabilities(x, axes)
        for count in range(1, x.ndim + 1)
        for axes in itertools.combinations(range(x.ndim), count)
    ]
    for p, q in itertools.combinations(choices, 2):
        if multiple(residual, p - q) is not None:
            yield "statistics-axis"
            yield "wrong-axis"
            return


def _probabilities(x: Array, axes: Axes) -> Array:
    p = np.exp(x - x.max(axis=axes, keepdims=True))
    return np.asarray(p / p.sum(axis=axes, keepdims=True))


def rule(e: Evidence) -> Iterator[str]:
    """got is the formula of which the truth is a case, with another axis or N − 1 for N."""
    x, dout = e.value, e.main.dout
    if not e.is_input or x.shape != dout.shape or x.ndim < 1:
        return
    results = [np.asarray(o.result, float) for o in Forward(e).operations]
    outputs = [e.main.y, *(r for r in results if r.shape == x.shape)]
    upstreams = [dout]
    for p in e.main.params.values():
        if p.ndim <= dout.ndim and p.size > 1:
            try:
                upstreams.append(dout * p)
            except ValueError:
                continue
    every = [
        axes
        for count in range(1, x.ndim + 1)
        for axes in itertools.combinations(range(x.ndim), count)
    ]
    for y in outputs:
        for d in upstreams:
            for family in (_softmax, _log_softmax, _length, _root_mean_square, _standard):
                for axes in every:
                    if not same(family(x, y, d, axes, axes, 0), e.expected):
                        continue
                    for others in every:
                        if same(family(x, y, d, axes, others, 0), e.got):
                            yield "statistics-axis"
                            yield "wrong-axis"
                            return
                    for less in (1, -1):
                        if same(family(x, y, d, axes, axes, less), e.got):
                            yield "degrees-of-freedom"
                            return
                    return


def _softmax(x: Array, y: Array, d: Array, axes: Axes, others: Axes, less: int) -> Array:
    return np.asarray(y * (d - (d * y).sum(axis=others, keepdims=True)))


def _log_softmax(x: Array, y: Array, d: Array, axes: Axes, others: Axes, less: int) -> Array:
    return np.asarray(d - np.exp(y) * d.sum(axis=others, keepdims=True))


def _length(x: Array, y: Array, d: Array, axes: Axes, others: Axes, less: int) -> Array:
    length = np.sqrt((x**2).sum(axis=axes, keepdims=True))
    return np.asarray((d - y * (d * y).sum(axis=others, keepdims=True)) / length)


def _root_mean_square(x: Array, y: Array, d: Array, axes: Axes, others: Axes, less: int) -> Array:
    return np.asarray((d - y * _mean(d * y, others, less)) * y / x)


def _standard(x: Array, y: Array, d: Array, axes: Axes, others: Axes, less: int) -> Array:
    inverse = y / (x - x.mean(axis=axes, keepdims=True))
    centred = d - d.mean(axis=others, keepdims=True)
    return np.asarray((centred - y * _mean(d * y, others, less)) * inverse)


def _mean(a: Array, axes: Axes, less: int) -> Array:
    count = int(np.prod([a.shape[k] for k in axes]))
    return np.asarray(a.sum(axis=axes, keepdims=True) / max(count - less, 1))
