"""Upstream gradients to try."""

import numpy as np

from gradcheck.arrays import Array


def signed(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Random signs, magnitudes between ½ and 1½: nothing cancels and nothing is near zero."""
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice((-1.0, 1.0), shape))
