"""Softmax and normalisation within a forward, each a stretch with a derivative of its own.

A mistake in the derivative of such a stretch as a whole (a sum over another axis, its diagonal
alone, another tensor in it) is no mistake in any one of its operations.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcheck.arrays import Array, is_real
from gradcheck.diagnosis.tape import Linear, Operation, replaced

Axes = tuple[int, ...]
Derivative = Callable[[Array], Array]  # from the change of x to that of y
REACH = 12  # operations that one stretch may have
MOST_ENTRIES = 4000


@dataclass
class Stretch:
    """From the operand at `place` of operation `start` to the result of operation `end`."""

    start: int
    place: int
    end: int
    x: Array
    y: Array
    axes: Axes

    def with_derivative(self, derivative: Derivative) -> dict[int, Linear]:
        """The operations that give the stretch this derivative."""
        moved: list[Array] = []

        def begin(operation: Operation, operands: list[Any]) -> Any:
            moved[:] = [np.asarray(operands[self.place]) - self.x]
            return (
                self.finish(moved, derivative)
                if self.start == self.end
                else (operation.run(*operands))
            )

        def end(operation: Operation, operands: list[Any]) -> Any:
            return self.finish(moved, derivative)

        return {self.start: begin} if self.start == self.end else {self.start: begin, self.end: end}

    def finish(self, moved: list[Array], derivative: Derivative) -> Array:
        return np.asarray(self.y + derivative(moved[0]))


def stretches(
    operations: list[Operation], tensors: list[Array]
) -> Iterator[tuple[str, dict[int, Linear]]]:
    """Causes, each with the operations it changes."""
    for kind, derivatives in ((_softmax, _of_softmax), (_standard, _of_standard)):
        for stretch in _found(operations, kind):
            for cause, derivative in derivatives(stretch, tensors):
                yield cause, stretch.with_derivative(derivative)
            if kind is _standard:
                yield from _as_factor(operations, stretch)


def _found(
    operations: list[Operation], kind: Callable[[Array, Array, Axes], bool]
) -> Iterator[Stretch]:
    """The longest stretch of this kind that ends at each operation."""
    for end, operation in enumerate(operations):
        y = operation.result
        if not is_real(y) or y.ndim < 1:
            continue
        if not 1 < y.size <= MOST_ENTRIES:
            continue
        stretch = next(_from(operations, kind, end, y), None)
        if stretch is not None:
            yield stretch


def _from(
    operations: list[Operation], kind: Callable[[Array, Array, Axes], bool], end: int, y: Array
) -> Iterator[Stretch]:
    for start in range(max(0, end - REACH), end + 1):
        for place, x in enumerate(operations[start].operands):
            if is_real(x) and x.shape == y.shape:
                for axes in _subsets(y.ndim):
                    if kind(x, y, axes):
                        yield Stretch(start, place, end, x, y, axes)


def _subsets(ndim: int) -> list[Axes]:
    counts = range(1, ndim + 1)
    return [axes for count in counts for axes in itertools.combinations(range(ndim), count)]


# ---- softmax -----------------------------------------------------------------------------


def _softmax(x: Array, y: Array, axes: Axes) -> bool:
    """Whether y is softmax or log-softmax of x over these axes."""
    if np.prod([y.shape[k] for k in axes]) < 2:
        return False
    p = np.exp(x - x.max(axis=axes, keepdims=True))
    p /= p.sum(axis=axes, keepdims=True)
    return bool(
        np.allclose(p, y, rtol=1e-9, atol=1e-300)
        or np.allclose(p, np.exp(y), rtol=1e-9, atol=1e-300)
    )


def _of_softmax(s: Stretch, tensors: list[Array]) -> Iterator[tuple[str, Derivative]]:
    logarithm = not np.allclose(s.y.sum(axis=s.axes), 1.0)
    p = np.exp(s.y) if logarithm else s.y
    right, axes = _softmax_derivative, s.axes
    for others in _subsets(s.y.ndim):
        if others != axes:
            yield "statistics-axis", right(p, p, others, logarithm)
            yield "wrong-axis", right(p, p, others, logarithm)
    if logarithm:
        yield "diagonal-only", lambda u: u - p * u
    else:
        yield "diagonal-only", lambda u: p * (1 - p) * u
        yield "path-missing", lambda u: p * u
    yield "derivative-missing", lambda u: u
    yield "evaluated-at-input", right(np.exp(s.x), np.exp(s.x), axes, logarithm)
    yield "evaluated-at-input", right(s.x, s.x, axes, logarithm)
    for t in (s.x, s.y, *tensors):
        if t.shape == p.shape and not np.array_equal(t, p):
            yield "wrong-operand", right(t, p, axes, logarithm)
            yield "wrong-operand", right(p, t, axes, logarithm)
            yield "wrong-operand", right(t, t, axes, logarithm)


def _softmax_derivative(p: Array, q: Array, axes: Axes, logarithm: bool) -> Derivative:
    """Softmax: p (u − Σ q u); its logarithm: u − Σ p u."""
    if logarithm:
        return lambda u: np.asarray(u - (p * u).sum(axis=axes, keepdims=True))
    return lambda u: np.asarray(p * (u - (q * u).sum(axis=axes, keepdims=True)))


# ---- standardisation ---------------------------------------------------------------------


@dataclass
class Scaling:
    """y = (x − mean) / √(variance + eps), or without the mean, over axes of a shape.

    dy = v − mean v − y Σ y v / count, where v = dx / √(variance + eps).
    """

    y: Array
    inverse: Array
    mean: bool
    count: float

    def derivative(
        self, shape: tuple[int, ...], axes: Axes, sums: float, means: float, outside: bool = False
    ) -> Derivative:
        """The sums over axes of a finer shape, with other counts; `outside`, the factor
        1/√(variance + eps) of the sum is that of the entry and not of the terms."""
        wide = np.broadcast_to(self.inverse, self.y.shape).reshape(shape)
        normal = self.y.reshape(shape)

        def derive(u: Array) -> Array:
            v = wide * u.reshape(shape)
            if outside:  # the adjoint of y f² Σ x d, where that of the terms is f y Σ y d
                part = normal / wide * (normal * wide * v).sum(axis=axes, keepdims=True) / sums
            else:
                part = normal * (normal * v).sum(axis=axes, keepdims=True) / sums
            centre = v.sum(axis=axes, keepdims=True) / means if self.mean else 0.0
            return np.asarray((v - centre - part).reshape(self.y.shape))

        return derive


def _standard(x: Array, y: Array, axes: Axes) -> bool:
    """Whether y is x, less its mean or not, divided by its own size over these axes."""
    return _scaling(x, y, axes) is not None


def _scaling(x: Array, y: Array, axes: Axes) -> Scaling | None:
    n = int(np.prod([y.shape[k] for k in axes]))
    if n < 3:
        return None
    for mean in (True, False):
        centred = x - x.mean(axis=axes, keepdims=True) if mean else x
        squares = (centred**2).sum(axis=axes, keepdims=True)
        if not np.all(squares > 0):
            continue
        inverse = (y * centred).sum(axis=axes, keepdims=True) / squares
        if np.ptp(inverse) == 0 and inverse.size > 1:
            continue
        if not np.allclose(inverse * centred, y, rtol=1e-9, atol=1e-12):
            continue
        for count in (n, n - 1, 1):
            eps = inverse**-2.0 - squares / count
            level = np.ptp(eps) <= 1e-6 * np.max(squares)
            if level and np.all((eps > -1e-9 * squares / count) & (eps < 0.2 * squares / count)):
                return Scaling(y, inverse, mean, count)
    return None


def _of_standard(s: Stretch, tensors: list[Array]) -> Iterator[tuple[str, Derivative]]:
    scaling = _scaling(s.x, s.y, s.axes)
    assert scaling is not None
    inverse, count = scaling.inverse, scaling.count
    n = int(np.prod([s.y.shape[k] for k in s.axes]))
    yield "path-missing", lambda u: inverse * u
    yield "derivative-missing", lambda u: u
    for sums in (n, n - 1, n + 1):
        for means in (n, n - 1):
            if (sums, means) != (count, n):
                yield "degrees-of-freedom", scaling.derivative(s.y.shape, s.axes, sums, means)
    for cause, spread in _other_spreads(s, scaling, n):
        for y in (s.y, s.y / inverse * spread):
            changed = Scaling(y, spread, scaling.mean, count)
            yield cause, changed.derivative(s.y.shape, s.axes, count, n)
    for shape in _finer(s.y.shape):
        within = _refined(s.y.shape, shape, s.axes)
        for others in _subsets(len(shape)):
            if others == within:
                continue
            size = float(np.prod([shape[k] for k in others]))
            for terms in {1.0 if count == 1 else size + (count - n), count}:
                for outside in (False, True):
                    other = scaling.derivative(shape, others, max(terms, 1.0), size, outside)
                    yield "statistics-axis", other
    centred = s.y / inverse
    for t in (s.x, centred, *tensors):
        if t.shape == s.y.shape and not np.array_equal(t, s.y):
            with_other = Scaling(t, inverse, scaling.mean, count)
            yield "wrong-operand", with_other.derivative(s.y.shape, s.axes, count, n)


def _other_spreads(s: Stretch, scaling: Scaling, n: int) -> Iterator[tuple[str, Array]]:
    """1/√(variance + eps) with another count, without eps, or with eps outside the root."""
    centred = s.y / scaling.inverse
    squares = (centred**2).sum(axis=s.axes, keepdims=True)
    eps = np.maximum(scaling.inverse**-2.0 - squares / scaling.count, 0.0)
    for count in (n, n - 1, n + 1):
        if count != scaling.count:
            yield "degrees-of-freedom", 1 / np.sqrt(squares / count + eps)
    spread = np.sqrt(squares / scaling.count)
    yield "epsilon", 1 / spread
    yield "epsilon", 1 / (spread + eps)


def _as_factor(operations: list[Operation], s: Stretch) -> Iterator[tuple[str, dict[int, Linear]]]:
    """x̂ taken over other axes where a product needs it for its other factor's derivative."""
    scaling = _scaling(s.x, s.y, s.axes)
    assert scaling is not None
    spread = (
        s.x.var(axis=s.axes, keepdims=True)
        if scaling.mean
        else (s.x**2).mean(axis=s.axes, keepdims=True)
    )
    eps = float(np.mean(scaling.inverse**-2.0 - spread))
    for k, operation in enumerate(operations):
        for at, factor in enumerate(operation.operands):
            if len(operation.operands) != 2 or not np.array_equal(factor, s.y):
                continue
            for others in _subsets(s.y.ndim):
                if others != s.axes:
                    mean = s.x.mean(axis=others, keepdims=True) if scaling.mean else 0.0
                    squares = ((s.x - mean) ** 2).mean(axis=others, keepdims=True)
                    other = (s.x - mean) / np.sqrt(squares + max(eps, 0.0))
                    yield "statistics-axis", {k: replaced(1 - at, other)}


def _finer(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shape itself, and with one axis taken apart into two or three."""
    finer = [shape]
    for axis, n in enumerate(shape):
        for parts in _factorings(n):
            finer.append((*shape[:axis], *parts, *shape[axis + 1 :]))
    return finer[:40]


def _factorings(n: int) -> list[tuple[int, ...]]:
    two: list[tuple[int, ...]] = [(a, n // a) for a in range(2, n) if n % a == 0]
    three = [(a, *rest) for a, n_over_a in two for rest in _factorings(n_over_a) if len(rest) == 2]
    return two + three


def _refined(shape: tuple[int, ...], finer: tuple[int, ...], axes: Axes) -> Axes:
    """These axes in the finer shape."""
    found: list[int] = []
    position = 0
    for axis, n in enumerate(shape):
        size, first = 1, position
        while size < n or position == first:
            size *= finer[position]
            position += 1
        if axis in axes:
            found += range(first, position)
    return tuple(found)
