"""The residual is proportional to a parameter: something about a penalty."""

from collections.abc import Iterator

import numpy as np

from gradcheck.arrays import peak
from gradcheck.diagnosis.likeness import multiple, same
from gradcheck.evidence import Evidence


def rule(e: Evidence) -> Iterator[str]:
    if e.is_input:
        return
    residual, value = e.got - e.expected, e.value
    for shape in (value, np.sign(value)):
        if peak(shape) == 0 or value.size < 2:
            continue
        c = multiple(residual, shape, 1e-5)
        if c is None:
            continue
        truth, given = _at_nothing(e)
        if value.ndim < 2 and (truth is None or abs(truth) < 1e-6 * abs(c)):
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


def _at_nothing(e: Evidence) -> tuple[float | None, float | None]:
    """The multiples of the parameter in the true and the given gradient where all inputs are 0.

    There the data have no say in most layers, and a penalty is all that is left.
    """
    xs = tuple(
        np.zeros_like(x) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x
        for x in e.main.xs
    )
    trial = e.at(xs)
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
            residual = multiple(trial.got[e.about] - trial.expected(e.about), value, 1e-4)
            return (None, None) if residual is None else (None, None)
        numbers.append(c)
    return numbers[0], numbers[1]


__all__ = ["rule", "same"]
