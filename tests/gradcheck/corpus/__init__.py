"""Right and wrong backward passes with their labels: what the gradient checker is judged by."""

from __future__ import annotations

from . import (
    activations,
    attention,
    containers,
    convolution,
    gates,
    linear,
    losses,
    normalisation,
    penalties,
    random_layers,
    recurrent,
    selection,
    state,
)
from .case import SLUGS, Case

__all__ = ["SLUGS", "Case", "cases"]

FAMILIES = (
    linear,
    activations,
    normalisation,
    losses,
    penalties,
    convolution,
    selection,
    random_layers,
    gates,
    recurrent,
    attention,
    containers,
    state,
)


def cases() -> list[Case]:
    """All cases, right and wrong, in the order of the files."""
    return [case for module in FAMILIES for case in module.family.cases]
