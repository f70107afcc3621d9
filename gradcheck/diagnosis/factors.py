"""The true Jacobian with each output's row, or each entry's column, multiplied by a factor."""

from collections.abc import Callable, Iterator

import numpy as np

from gradcheck.arrays import Array, peak
from gradcheck.diagnosis.likeness import same
from gradcheck.diagnosis.routes import Forward
from gradcheck.evidence import Evidence, TooLargeError

Form = Callable[[Array], Array]


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _logit(y: Array) -> Array:
    return np.asarray(np.log(y / (1 - y)))


# A slope as a form in the output y of the function, and in its input x.
IN_OUTPUT: tuple[tuple[Form, Form, Form], ...] = (
    # the form in y, the function, its inverse
    (lambda y: 1 - y**2, np.tanh, np.arctanh),
    (lambda y: y * (1 - y), _sigmoid, _logit),
    (lambda y: y, np.exp, np.log),
    (lambda y: 2 * np.sqrt(y), np.square, np.sqrt),
    (lambda y: 1 / (2 * y), np.sqrt, np.square),
    (lambda y: 1 - np.exp(-y), lambda x: np.log1p(np.exp(x)), lambda y: np.log(np.expm1(y))),
)
IN_INPUT: tuple[Form, ...] = (
    lambda x: 1 - np.tanh(x) ** 2,
    lambda x: _sigmoid(x) * (1 - _sigmoid(x)),
    np.exp,
    np.cos,
    lambda x: -np.sin(x),
    _sigmoid,
)


def rule(e: Evidence) -> Iterator[str]:
    if e.subject.kind != "layer":
        with np.errstate(all="ignore"):
            yield from _named(e.got / e.expected, [e.value], e)
        return
    jacobian, given = e.main.jacobian(e.about), e.main.given(e.about)
    held = e.main.held()
    y, value = e.main.y, e.value
    sources = [y, *(h for h in held if h.shape == y.shape)]
    factor = _factor(given, jacobian)
    if factor is not None:
        named = list(_named(factor.reshape(y.shape), sources, e))
        yield from named
        if named:
            return
    factor = _factor(given.T, jacobian.T)
    if factor is not None:
        yield from _named(factor.reshape(value.shape), [value], e, in_output=False)


def _factor(given: Array, true: Array) -> Array | None:
    """The r for which given = r[:, None] * true; NaN where the row is 0."""
    top = max(peak(true), peak(given))
    if top == 0 or true.shape[1] < 1:
        return None
    squares = (true**2).sum(axis=1)
    empty = np.abs(true).max(axis=1) < 1e-8 * top
    with np.errstate(all="ignore"):
        factor = np.where(empty, np.nan, (given * true).sum(axis=1) / squares)
    if empty.all() or np.ptp(factor[~empty]) < 1e-5:
        return None
    if same(given[~empty], factor[~empty, None] * true[~empty], close=1e-5):
        return np.asarray(factor)
    return None


def _has(e: Evidence, function: Form) -> bool:
    """Whether forward may hold this function; of exp, whose slope is y itself, it must be seen."""
    return function is not np.exp or any(o.name == "exp" for o in Forward(e).operations)


def _named(
    factor: Array, sources: list[Array], e: Evidence, in_output: bool = True
) -> Iterator[str]:
    known = np.isfinite(factor)
    r = factor[known]
    if r.size < 2:
        return
    for source in sources:
        s = source[known]
        if np.ptp(s) == 0:
            continue
        with np.errstate(all="ignore"):
            slopes = [] if source is e.main.y else [form(s) for form in IN_INPUT]
            slopes += [form(s) for form, f, _ in IN_OUTPUT if in_output and _has(e, f)]
            for slope in slopes:
                if not np.all(np.isfinite(slope)) or np.ptp(slope) < 1e-6:
                    continue
                if same(r * slope, np.ones_like(r), close=1e-5):
                    yield "derivative-missing"
                    return
                if same(r, slope, close=1e-5):
                    yield "derivative-doubled"
                    return
            for form, function, inverse in IN_OUTPUT if in_output else ():
                slope = form(s)
                if not np.all(np.isfinite(slope)):
                    continue
                if same(r * slope, form(function(s)), close=1e-5):
                    yield "evaluated-at-output"
                    return
                if same(r * slope, form(inverse(s)), close=1e-5):
                    yield "evaluated-at-input"
                    return
                if same(r * form(function(s)), slope, close=1e-5):
                    yield "evaluated-at-input"
                    return
    for value in e.main.params.values():
        try:
            wide = np.broadcast_to(value, factor.shape)[known]
        except ValueError:
            continue
        if np.ptp(wide) > 1e-6 and same(r * wide, np.ones_like(r), close=1e-5):
            yield "parameter-missing"
            return


__all__ = ["TooLargeError", "rule"]
