"""A narrow layer's backward beside the same code in float64, within a bound of its rounding."""

from typing import Any

import numpy as np

from gradcheck.arrays import Array, is_real, peak
from gradcheck.subject import Subject

TRIALS = 4


def rounding_bounds(
    wide: Subject, dout: Array, truth: dict[str, Array], eps: float
) -> dict[str, Array]:
    """How far each gradient may be off when computed with this eps.

    Rounding moves every number the backward reads by about eps: the float64 backward is run at
    points perturbed by that much, and the spread of its answers is the condition of each entry.
    The sums inside it add rounding of their own, which grows with the logarithm of their length.
    """
    rng = np.random.default_rng(0)
    spread = {about: np.zeros(g.shape) for about, g in truth.items()}
    for _ in range(TRIALS):
        xs = [_jittered(x, rng, eps) for x in wide.xs]
        params = {name: _jittered(value, rng, eps) for name, value in wide.params.items()}
        try:
            twin = wide.moved(xs, params)
            found = twin.gradients(_jittered(dout, rng, eps))
        except Exception:
            continue
        for about, g in found.items():
            if about in spread and g.shape == spread[about].shape:
                spread[about] = np.maximum(spread[about], np.abs(g - truth[about]))
    terms = max([x.size for x in wide.xs if isinstance(x, np.ndarray)] + [dout.size, 1])
    depth = 16.0 + 4.0 * np.log2(terms)
    # Where a gradient is 0 by cancellation, rounding leaves something of the size of the rest.
    rest = max((peak(g) for g in truth.values()), default=0.0)
    return {
        about: 16.0 * np.maximum(value, float(np.mean(value)))
        + depth * eps * max(peak(truth[about]), 0.3 * rest)
        for about, value in spread.items()
    }


def _jittered(x: Any, rng: np.random.Generator, eps: float) -> Any:
    if is_real(x):
        return x * (1 + eps * rng.choice((-1.0, 1.0), x.shape))
    return x
