"""Which one operation of forward, given another derivative, makes the wrong gradient right?

Forward is run as a sequence of array operations. One of them (or all of one line, as in a loop
over time steps) is linearised wrongly in a known way: held constant, its slope left out or
applied twice, its factor replaced. If the derivative of that forward is the gradient that was
given, along several random directions, the mistake is found.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gradcheck.arrays import Array, is_real, peak
from gradcheck.diagnosis.stretches import stretches
from gradcheck.diagnosis.tape import (
    Change,
    Linear,
    Operation,
    changed,
    plain,
    recorded,
    replaced,
    traced,
)
from gradcheck.evidence import Evidence

Form = Callable[[Array], Array]
DIRECTIONS = 3
CLOSE = 2e-6
MOST_TRIALS = 600
TRIALS_AFTER = 60  # for a second cause
MOST_PAIRS = 100
ROUGHLY = 1e-3
BROADCAST = {"add", "subtract", "multiply"}
PRODUCTS = {"multiply", "matmul", "divide", "dot", "einsum", "true_divide"}


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


# function, its slope in x, its slope as a form in y (None where there is no such habit)
FUNCTIONS: tuple[tuple[Form, Form, Form | None], ...] = (
    (np.tanh, lambda x: 1 - np.tanh(x) ** 2, lambda y: 1 - y**2),
    (_sigmoid, lambda x: _sigmoid(x) * (1 - _sigmoid(x)), lambda y: y * (1 - y)),
    (lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0, None),
    (np.exp, np.exp, lambda y: y),
    (np.sqrt, lambda x: 0.5 / np.sqrt(x), lambda y: 0.5 / y),
    (np.square, lambda x: 2 * x, None),
    (np.log, lambda x: 1 / x, None),
    (lambda x: np.log1p(np.exp(x)), _sigmoid, None),
    (np.sin, np.cos, None),
    (np.cos, lambda x: -np.sin(x), None),
    (lambda x: x * _sigmoid(x), lambda x: _sigmoid(x) * (1 + x * (1 - _sigmoid(x))), None),
)


class Forward:
    """The layer's forward at points near the given one, with operations changed at will."""

    def __init__(self, e: Evidence) -> None:
        self.subject = e.subject.moved()
        self.leaf = next(leaf for leaf in self.subject.leaves if leaf.about == e.about)
        self.dout = e.main.dout
        self.value = np.array(e.value)
        rng = np.random.default_rng(11)
        self.directions = [rng.normal(size=self.value.shape) for _ in range(DIRECTIONS)]
        self.step = 2.0**-10 * max(1e-3, min(1.0, peak(self.value)))
        self.operations = recorded(lambda: self.run(self.value))

    def run(self, value: Array) -> Array:
        subject = self.subject
        subject.snapshot.restore()
        xs = [np.array(x) if isinstance(x, np.ndarray) else x for x in subject.xs]
        if self.leaf.is_input:
            xs[self.leaf.key] = value.copy()
        else:
            subject.write(self.leaf, value)
        wrapped = [traced(x) if is_real(x) else x for x in xs]
        try:
            with _traced_parameters(subject.layer):
                y = subject.layer.forward(*wrapped)
        finally:
            if not self.leaf.is_input:
                subject.write(self.leaf, self.value)
        return np.array(plain(y), np.float64)

    def slopes(self, rules: dict[int, Linear], rough: bool = False) -> Iterator[float]:
        """The derivative of dout·y along each direction, with those operations changed."""

        def change(k: int, operands: list[Any]) -> Any:
            operation = self.operations[k]
            rule = rules.get(k)
            return operation.run(*operands) if rule is None else rule(operation, operands)

        for direction in self.directions:
            yield self.slope(direction, change, rough)

    def fits(self, rules: dict[int, Linear], wanted: list[float], close: float) -> bool:
        """Whether the derivative with those operations changed is the one wanted."""
        return all(
            abs(rough - want) <= max(ROUGHLY * abs(rough), 1e3 * close)
            for rough, want in zip(self.slopes(rules, rough=True), wanted[:1], strict=False)
        ) and all(
            abs(slope - want) <= close
            for slope, want in zip(self.slopes(rules), wanted, strict=True)
        )

    def slope(self, direction: Array, change: Change, rough: bool = False) -> float:
        """By differences of fourth order, or of second."""
        total = 0.0
        for times, weight in ((1, 6.0),) if rough else ((1, 8.0), (2, -1.0)):
            h = times * self.step
            up = changed(lambda h=h: self.run(self.value + h * direction), change)  # type: ignore[misc]
            down = changed(lambda h=h: self.run(self.value - h * direction), change)  # type: ignore[misc]
            total += weight * float(np.sum(self.dout * (up - down)))
        return total / (12 * self.step)


@contextmanager
def _traced_parameters(layer: Any) -> Iterator[None]:
    """The layer's parameters seen for one forward, in `params` and where else it holds them."""
    held = getattr(layer, "params", None)
    if type(held) is not dict:
        yield
        return
    arrays = [p for p in held.values() if isinstance(p, np.ndarray)]
    kept = []
    for place in (held, getattr(layer, "__dict__", {})):
        mine = {k: v for k, v in place.items() if any(v is p for p in arrays)}
        kept.append((place, mine))
        place.update({k: traced(v) for k, v in mine.items()})
    try:
        yield
    finally:
        for place, mine in kept:
            place.update(mine)


def rule(e: Evidence) -> Iterator[str]:
    forward = Forward(e)
    if not forward.operations:
        return
    wanted = [float(np.sum(e.got * d)) for d in forward.directions]
    right = [float(np.sum(e.expected * d)) for d in forward.directions]
    size = float(np.sqrt(np.sum(e.got**2) + np.sum(e.expected**2)))
    if any(abs(a - b) > CLOSE * size for a, b in zip(forward.slopes({}), right, strict=True)):
        return  # the recorded forward is not the layer's
    shifts: dict[int, Linear] = {
        k: _held(0) for k, o in enumerate(forward.operations) if o.name.startswith("maximum.reduce")
    }
    if shifts and any(
        abs(a - b) > CLOSE * size for a, b in zip(forward.slopes(shifts), right, strict=True)
    ):
        shifts = {}  # a maximum that is no mere shift against overflow
    found: list[str] = []
    left = MOST_TRIALS
    for cause, rules in _hypotheses(forward, e):
        if cause in found:
            continue
        left -= 1
        if left < 0:
            return
        try:
            fits = forward.fits({**shifts, **rules}, wanted, CLOSE * size)
        except Exception:
            continue
        if fits:
            found.append(cause)
            yield cause
            if len(found) == 2:
                return
            left = min(left, TRIALS_AFTER)


def _hypotheses(forward: Forward, e: Evidence) -> Iterator[tuple[str, dict[int, Linear]]]:
    """Each cause with the operations it changes: first single ones, then those of a line."""
    operations = forward.operations
    single = list(_changes(operations, e))
    lines: dict[Any, dict[int, Linear]] = {}
    for cause, k, label, linear in single:
        key = (cause, operations[k].line, operations[k].name, label)
        lines.setdefault(key, {})[k] = linear
    whole = [(cause, rules) for (cause, *_), rules in lines.items() if len(rules) > 1]
    for (cause, *_), rules in lines.items():
        if cause == "path-missing" and len(rules) > 2:
            first, last = min(rules), max(rules)
            whole += [
                ("overlap-overwritten", {k: f for k, f in rules.items() if k != kept})
                for kept in (first, last)
            ]
    parts: list[tuple[str, dict[int, Linear]]] = [(c, {k: f}) for c, k, _, f in single]
    yield from sorted(whole + parts, key=lambda one: _rank(one[0]))
    axes: dict[Any, dict[int, Linear]] = {}
    for cause, k, label, linear in single:
        if cause == "statistics-axis":
            axes.setdefault((operations[k].name, label), {})[k] = linear
    for rules in axes.values():
        if len(rules) > 1:
            yield "statistics-axis", rules
    yield from stretches(operations, [tensor for tensor, _ in _tensors(operations, e)])
    for rules in _exchanges(operations):
        yield "wrong-operand", rules


def _exchanges(operations: list[Operation]) -> Iterator[dict[int, Linear]]:
    """Two products with each other's factors."""
    products = [k for k, o in enumerate(operations) if o.name in PRODUCTS and len(o.operands) == 2]
    for k, n in itertools.islice(itertools.combinations(products, 2), MOST_PAIRS):
        for place in (0, 1):
            one, other = operations[k].operands[1 - place], operations[n].operands[1 - place]
            if np.ndim(one) and np.shape(one) == np.shape(other) and not np.array_equal(one, other):
                yield {k: replaced(place, other), n: replaced(place, one)}


def _rank(cause: str) -> int:
    """What is left out is tried first, what is exchanged last."""
    return {"path-missing": 0, "wrong-operand": 2}.get(cause, 1)


def _changes(operations: list[Operation], e: Evidence) -> Iterator[tuple[str, int, Any, Linear]]:
    tensors = _tensors(operations, e)
    for k in range(len(operations)):
        yield from ((c, k, label, f) for c, label, f in _pointwise(operations, k, tensors))
    for k, operation in enumerate(operations):
        if not isinstance(operation.result, np.ndarray | np.floating):
            continue
        for place, operand in enumerate(operation.operands):
            if is_real(operand):
                yield "path-missing", k, place, _held(place)
        yield from ((c, k, label, f) for c, label, f in _turned(operation))
        if operation.name in PRODUCTS:
            yield from ((c, k, label, f) for c, label, f in _products(operation, e, tensors, k))
        if operation.name == "cumsum":
            for axis in range(np.ndim(operation.result)):
                yield "wrong-axis", k, axis, _cumulated(axis)
        if ".reduce" in operation.name:
            yield from ((c, k, label, f) for c, label, f in _sums(operation))


Tensors = list[tuple[Array, int]]


def _tensors(operations: list[Operation], e: Evidence) -> Tensors:
    """The inputs, parameters and intermediate results, each with its operation's number."""
    found: Tensors = []
    values: list[tuple[Any, int]] = [(o.result, k) for k, o in enumerate(operations)]
    values += [(v, k) for k, o in enumerate(operations) for v in o.operands]
    values += [(x, -1) for x in (*e.main.xs, *e.main.params.values(), e.main.y)]
    for value, k in values:
        array = np.asarray(value)
        if array.dtype.kind != "f" or array.size < 2:
            continue
        if not any(a.shape == array.shape and np.array_equal(a, array) for a, _ in found):
            found.append((np.array(array), k))
    return found


def _turned(operation: Operation) -> Iterator[tuple[str, Any, Linear]]:
    """What comes back to one operand is read from dout transposed, where that is square."""
    shape = np.shape(operation.result)
    if len(shape) < 2 or shape[-1] != shape[-2] or shape[-1] < 2:
        return
    for place, operand in enumerate(operation.operands):
        if is_real(operand):
            broadcast = operand.size < np.size(operation.result) and operation.name in BROADCAST
            if operation.name in ("matmul", "dot") or broadcast:
                yield "wrong-axis" if broadcast else "transposed", place, _transposing(place)


def _transposing(place: int) -> Linear:
    def linear(operation: Operation, operands: list[Any]) -> Any:
        rest = list(operands)
        rest[place] = operation.operands[place]
        alone = list(operation.operands)
        alone[place] = operands[place]
        change = np.asarray(operation.run(*alone)) - operation.result
        return operation.run(*rest) + np.swapaxes(change, -1, -2)

    return linear


def _held(place: int) -> Linear:
    def linear(operation: Operation, operands: list[Any]) -> Any:
        now = list(operands)
        now[place] = operation.operands[place]
        return operation.run(*now)

    return linear


def _pointwise(
    operations: list[Operation], k: int, tensors: "Tensors"
) -> Iterator[tuple[str, Any, Linear]]:
    """The output of operation k as a known function of the operand of one a little before it."""
    y = operations[k].result
    if not is_real(y):
        return
    for i in range(k, max(-1, k - 6), -1):
        for place, x in enumerate(operations[i].operands):
            if not is_real(x) or x.shape != y.shape:
                continue
            for which, (function, slope, in_output) in enumerate(FUNCTIONS):
                if not np.allclose(function(x), y, rtol=1e-9, atol=1e-300):
                    continue
                if i != k and which not in (1, 7, 10):
                    continue
                s = slope(x)
                first = _Entry(i, place, x, y)
                label = (which, place)
                yield "derivative-missing", label, first.times(np.ones_like(s))
                yield "derivative-doubled", label, first.times(s * s)
                yield "evaluated-at-output", label, first.times(slope(y))
                forms = [slope] if in_output is None else [slope, in_output]
                if in_output is not None:
                    yield "evaluated-at-input", label, first.times(in_output(x))
                for form in forms:
                    for t, origin in tensors:
                        if t.shape == y.shape and not any(np.array_equal(t, o) for o in (x, y)):
                            relative = (*label, k - origin if origin >= 0 else origin)
                            yield "wrong-operand", relative, first.times(form(t))
                return


class _Entry:
    """A stretch of operations from an operand x to a result y, replaced by y + slope·(x' − x)."""

    def __init__(self, start: int, place: int, x: Array, y: Array) -> None:
        self.start, self.place, self.x, self.y = start, place, x, y

    def times(self, slope: Array) -> Linear:
        def linear(operation: Operation, operands: list[Any]) -> Any:
            return _through(operation, operands, self, slope)

        return linear


def _through(operation: Operation, operands: list[Any], entry: _Entry, slope: Array) -> Any:
    """y + slope·(x' − x), where x' is told by how much the result moved: dy = f′(x) dx."""
    if operation.operands[entry.place : entry.place + 1]:
        x = operation.operands[entry.place]
        if isinstance(x, np.ndarray) and x is entry.x:
            return entry.y + slope * (np.asarray(operands[entry.place]) - entry.x)
    result = np.asarray(operation.run(*operands))
    return entry.y + slope * (_inverse(entry, result) - entry.x)


def _inverse(entry: _Entry, result: Array) -> Array:
    """The x' near x with f(x') = result, by Newton's method."""
    for function, slope, _ in FUNCTIONS:
        if np.allclose(function(entry.x), entry.y, rtol=1e-9, atol=1e-300):
            x = entry.x.copy()
            for _ in range(4):
                x = x - (function(x) - result) / slope(x)
            return np.asarray(x)
    raise ValueError


def _products(
    operation: Operation, e: Evidence, tensors: Tensors, k: int
) -> Iterator[tuple[str, Any, Linear]]:
    """Another tensor in the place of a factor, where the other factor's derivative needs it."""
    for place, at in itertools.permutations(range(len(operation.operands)), 2):
        factor = operation.operands[at]
        if not is_real(factor):
            continue
        if operation.name in ("divide", "true_divide") and place == 1:
            continue
        if factor.ndim >= 2 and factor.shape[-1] == factor.shape[-2]:
            turned = np.swapaxes(factor, -1, -2)
            if not np.array_equal(turned, factor):
                yield "transposed", (place, at), replaced(place, turned, at)
        for tensor, origin in tensors:
            views = [tensor]
            if operation.name in ("matmul", "dot") and tensor.ndim >= 2:
                views.append(tensor.swapaxes(-1, -2))
            for turned_over, other in enumerate(views):
                if other.shape != factor.shape or np.array_equal(other, factor):
                    continue
                label = (place, at, turned_over, k - origin if origin >= 0 else origin)
                yield "wrong-operand", label, replaced(place, other, at)
        parameter = any(
            p.size == factor.size and np.array_equal(p.ravel(), factor.ravel())
            for p in e.main.params.values()
        )
        if operation.name == "multiply" or (operation.name == "divide" and parameter):
            cause = "parameter-missing" if parameter else "derivative-missing"
            yield cause, (place, at), replaced(place, np.ones_like(factor), at)
        if operation.name in ("matmul", "dot") and factor.ndim >= 2:
            square = factor.shape[-1] == factor.shape[-2]
            if square:
                unit = np.broadcast_to(np.eye(factor.shape[-1]), factor.shape)
                if any(
                    np.array_equal(p, factor) or np.array_equal(p.T, factor)
                    for p in e.main.params.values()
                ):
                    yield "parameter-missing", (place, at), replaced(place, unit, at)


def _sums(operation: Operation) -> Iterator[tuple[str, Any, Linear]]:
    """The operand's change summed over another axis, in forward's shape or beside it."""
    x = operation.operands[0]
    if not isinstance(x, np.ndarray) or x.ndim < 2 or not operation.name.startswith("add"):
        return
    result = np.asarray(operation.result)
    kept = result.ndim == x.ndim
    for axis in range(x.ndim):
        for scaled in (False, True):
            linear = _along(axis, kept, scaled)
            try:
                operands = list(operation.operands)
                moved = np.asarray(linear(operation, operands))
            except ValueError:
                continue
            if not kept and moved.shape != result.shape:
                continue
            yield "statistics-axis" if kept else "wrong-axis", (axis, scaled), linear


def _cumulated(axis: int) -> Linear:
    def linear(operation: Operation, operands: list[Any]) -> Any:
        return operation.result + np.cumsum(operands[0] - operation.operands[0], axis=axis)

    return linear


def _along(axis: int, kept: bool, scaled: bool) -> Linear:
    def linear(operation: Operation, operands: list[Any]) -> Any:
        x = operation.operands[0]
        result = np.asarray(operation.result)
        moved = (np.asarray(operands[0]) - x).sum(axis=axis, keepdims=kept)
        if scaled:
            moved = moved * (x.size / result.size) / x.shape[axis]
        return result + moved

    return linear
