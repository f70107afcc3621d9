"""One layer at several places: each with a cache of its own, all with the same parameters."""

from __future__ import annotations

import copy
from typing import Any

from layers.base import Layer


def twin(layer: Any) -> Any:
    """A copy of a layer that shares its parameters, state and generator, and nothing else."""
    shared: dict[int, Any] = {}
    leaves = [leaf for _, leaf in layer.leaves()] if hasattr(layer, "leaves") else [layer]
    for leaf in leaves:
        for name in ("params", "state"):
            arrays = getattr(leaf, name, None)
            if isinstance(arrays, dict):
                shared[id(arrays)] = arrays
                shared |= {id(array): array for array in arrays.values()}
        rng = getattr(leaf, "rng", None)
        if rng is not None:
            shared[id(rng)] = rng
    made = copy.deepcopy(layer, shared)
    for leaf in [leaf for _, leaf in made.leaves()] if hasattr(made, "leaves") else [made]:
        if isinstance(leaf, Layer):
            leaf._cached = None
    return made
