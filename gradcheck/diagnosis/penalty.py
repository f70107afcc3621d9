"""The residual is proportional to a parameter: something about a penalty."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from gradcheck.arrays import Array, peak
from gradcheck.diagnosis.likeness import multiple, same
from gradcheck.diagnosis.routes import Forward
from gradcheck.evidence import Evidence
from gradcheck.subject import FunctionLayer


def rule(e: Evidence) -> Iterator[str]:
    if e.is_input and not (isinstance(e.subject.layer, FunctionLayer) and e.value.size > 1):
        return
    residual, value = e.got - e.expected, e.value
    for shape in (value, np.sign(value)):
        if peak(shape) == 0:
            continue
        c = multiple(residual, shape, 1e-5)
        if c is None:
            continue
        if np.ptp(np.abs(value)) <= 1e-9 * peak(value) and not _follows(e, residual):
            if value.size > 1 and np.ptp(residual) <= 1e-6 * peak(residual):
                yield "constant-leak"
            return
        if e.is_input:  # of a function: what is penalized is its argument
            left_out = _left_out(e, c)
            yield "penalty-missing" if left_out else "penalty-factor"
            yield "penalty-factor" if left_out else "penalty-missing"
            yield "path-missing"
            return
        truth, given = _at_nothing(e)
        if c > 0 and added(e):
            yield "bias-penalized"
            yield "penalty-extra"
        elif truth is None:
            yield "penalty-missing" if c < 0 else "penalty-extra"
            yield "penalty-factor"
        elif abs(truth) <= 1e-6 * abs(c):
            yield "penalty-extra"
        elif given is not None and abs(given) <= 1e-5 * abs(truth):
            yield "penalty-missing"
        else:
            yield "penalty-factor"
        return


def _left_out(e: Evidence, c: float) -> bool:
    """Whether nothing of the penalty is given: far out, where it rules, the given share is none."""
    for factor in (1e4, 30.0):
        far = e.at(e.inputs(partial(np.multiply, factor)))
        if far is not None:
            x, given = far.value(e.about), far.got[e.about]
            return abs(float(np.vdot(given, x) / np.vdot(x, x))) < 0.1 * abs(c)
    return True


def _follows(e: Evidence, residual: Array) -> bool:
    """Whether the residual triples with the parameter, and stays with other inputs."""
    name = e.about[1:]
    other = e.at(dout=e.main.dout, params={name: 3 * e.value})
    if other is None:
        return False
    if not same(other.got[e.about] - other.expected(e.about), 3 * residual, close=1e-4):
        return False
    there = e.at(e.inputs(lambda x: 0.7 * x), dout=e.main.dout)
    return there is not None and same(
        there.got[e.about] - there.expected(e.about), residual, close=1e-4
    )


def added(e: Evidence) -> bool:
    """Whether the parameter acts as a bias: forward adds it, and multiplies nothing by it."""
    value = e.value
    if value.ndim > 1 and max(value.shape) < value.size:
        return False
    added = False
    for operation in Forward(e).operations:
        for operand in operation.operands:
            if isinstance(operand, np.ndarray | float) and np.array_equal(
                np.ravel(operand), np.ravel(value)
            ):
                if operation.name not in ("add", "subtract"):
                    return False
                added = True
    return added


def _at_nothing(e: Evidence) -> tuple[float | None, float | None]:
    """The multiples of the parameter in the true and the given gradient where all inputs are 0.

    There the data have no say in most layers, and a penalty is all that is left.
    """
    trial = e.at(e.inputs(np.zeros_like))
    if trial is None:
        return None, None
    value = trial.value(e.about)
    numbers = []
    for gradient in (trial.expected(e.about), trial.got[e.about]):
        if peak(gradient) <= 1e-9:
            numbers.append(0.0)
            continue
        c = multiple(gradient, value, 1e-4)
        c = multiple(gradient, np.sign(value), 1e-4) if c is None else c
        if c is None:
            return None, None
        numbers.append(c)
    return numbers[0], numbers[1]


__all__ = ["rule", "same"]
