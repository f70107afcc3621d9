"""The softmax of a loss, taken over other axes."""

import itertools
from collections.abc import Iterator

import numpy as np

from gradcheck.arrays import Array
from gradcheck.diagnosis.likeness import multiple
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
