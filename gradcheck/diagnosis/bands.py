"""Wrong only where something that forward computes lies between two numbers: a threshold moved."""

from collections.abc import Iterator

import numpy as np

from gradcheck.arrays import Array
from gradcheck.diagnosis.likeness import wrong_entries
from gradcheck.diagnosis.path import own_column
from gradcheck.diagnosis.routes import Forward
from gradcheck.evidence import Evidence

POINTS = 6
FEWEST = 3  # entries in the band, and on each side of it

PIECEWISE = {"maximum", "minimum", "clip", "where", "absolute", "sign", "fmax", "fmin"} | {
    "greater",
    "greater_equal",
    "less",
    "less_equal",
}


def rule(e: Evidence) -> Iterator[str]:
    """The wrong entries lie in a band of one intermediate result, the right ones on both sides."""
    if not e.is_input or e.value.size < 2 or not _piecewise(e):
        return
    seen = [_results(e)]
    rng = np.random.default_rng(5)
    for _ in range(POINTS):
        trial = e.at(
            e.inputs(lambda x: x * rng.uniform(0.25, 2.5, x.shape) * rng.choice((-1, 1), x.shape))
        )
        if trial is not None:
            there = Evidence(trial.subject, trial.dout, e.about, e.seed)
            seen.append(_results(there))
    seen = [one for one in seen if len(one[0]) == len(seen[0][0])]
    wrong = np.concatenate([w for _, w in seen])
    if wrong.sum() < FEWEST or (~wrong).sum() < 2 * FEWEST:
        return
    for k in range(len(seen[0][0])):
        values = np.concatenate([results[k] for results, _ in seen])
        if _banded(values, wrong) or _banded(np.abs(values), wrong):
            yield "mask-threshold"
            return


def _piecewise(e: Evidence) -> bool:
    """Whether forward compares, clips or takes a maximum of what it is given."""
    return any(o.name.split(".")[0] in PIECEWISE for o in Forward(e).operations)


def _results(e: Evidence) -> tuple[list[Array], Array]:
    """The numbers that belong to each entry, one array for each operation, and what is wrong."""
    shape = e.value.shape
    counted = ~own_column(e)
    results = [e.value] + [np.asarray(o.result, float) for o in Forward(e).operations]
    kept = [r[counted] for r in results if r.shape == shape]
    return kept, wrong_entries(e.got, e.expected)[counted]


def _banded(values: Array, wrong: Array) -> bool:
    low, high = values[wrong].min(), values[wrong].max()
    right = values[~wrong]
    if np.unique(values[wrong]).size < FEWEST:
        return False
    return bool(
        not np.any((right > low) & (right < high))
        and np.sum(right <= low) >= FEWEST
        and np.sum(right >= high) >= FEWEST
    )
