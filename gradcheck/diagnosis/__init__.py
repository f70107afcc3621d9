"""Why a gradient is wrong: rules that look at evidence, in the order in which they are telling."""

from collections.abc import Callable, Iterator

import numpy as np

from gradcheck.diagnosis import (
    axes,
    bands,
    factors,
    orientation,
    path,
    penalty,
    pointwise,
    reduction,
    routes,
    scale,
    scatter,
    windows,
)
from gradcheck.diagnosis.likeness import wrong_entries
from gradcheck.evidence import Evidence

RULES: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    scale.precision,
    scale.rule,
    path.zeros,
    path.label,
    scale.leak,
    pointwise.missing,
    pointwise.spread,
    pointwise.rule,
    factors.rule,
    penalty.rule,
    orientation.exact,
    scatter.rule,
    scatter.counts,
    reduction.rule,
    scatter.moved,
    orientation.adjoint,
    scatter.shifted,
    windows.inverted,
    orientation.rule,
    orientation.exchanged,
    bands.rule,
    path.parameter,
    path.diagonal,
    path.displaced,
    path.whole_route,
    axes.softmax,
    routes.rule,
    windows.overwritten,
    windows.shifted,
    path.epsilon,
    path.degrees,
    path.statistics,
    path.operand,
    path.turned_operand,
)


def diagnose(evidence: Evidence) -> list[str]:
    """The causes that the evidence fits, the best first; `unexplained` if it fits none."""
    evidence = evidence.telling()
    wrong = wrong_entries(evidence.got, evidence.expected)
    if wrong.any() and np.all(evidence.main.kinked(evidence.about)[wrong]):
        return ["unexplained"]  # no slope between those on the two sides
    causes: list[str] = list(scale.tiny(evidence))
    for rule in () if causes else RULES:
        try:
            with np.errstate(all="ignore"):
                found = list(rule(evidence))
        except Exception:  # the layer refused a probe, or the rule does not apply to it
            continue
        causes += [cause for cause in found if cause not in causes]
    return causes or ["unexplained"]
