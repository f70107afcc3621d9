"""The summary table of a network."""

from __future__ import annotations

from typing import Any

import numpy as np

from layers.base import Array
from layers.foreign import astype, naming, parameters

HEADER = ("layer", "output shape", "parameters", "forward", "backward", "bytes cached")


def summary(net: Any, input_shape: tuple[int, ...], batch_size: int = 1) -> str:
    """A table with a row per layer, made by running a batch of zeros through a copy.

    input_shape: the shape of one sample, without the batch axis.
    """
    net = astype(net, net.dtype or np.float32)
    x: Array = np.zeros((batch_size, *input_shape), net.dtype or np.float32)
    rows: list[tuple[str, ...]] = []
    for name, layer in _chain(net):
        before = _arrays(layer)
        x = naming(name, layer.forward, x)
        own = {id(value) for value in parameters(layer).values()}
        cached = sum(
            array.nbytes
            for key, array in _arrays(layer).items()
            if key not in before and key not in own
        )
        rows.append(
            (
                f"{name} ({type(layer).__name__})",
                str(x.shape),
                f"{sum(value.size for value in parameters(layer).values()):,}",
                getattr(layer, "forward_rule", "") or "your own",
                getattr(layer, "backward_rule", "") or "your own",
                f"{cached:,}",
            )
        )
    total = sum(value.size for value in net.params.values())
    return f"{_table(rows)}\n{total:,} parameters, {net.dtype or x.dtype}, batch of {batch_size}"


def _chain(net: Any, prefix: str = "") -> Any:
    for name, child in net.children.items():
        if hasattr(child, "children"):
            yield from _chain(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child


def _arrays(thing: Any, depth: int = 3) -> dict[int, Array]:
    """The arrays that an object holds, through lists, tuples and dictionaries."""
    if isinstance(thing, np.ndarray):
        return {id(thing): thing}
    if depth == 0 or isinstance(thing, np.random.Generator | str | bytes | int | float):
        return {}
    if isinstance(thing, dict):
        inside = list(thing.values())
    elif isinstance(thing, list | tuple):
        inside = list(thing)
    else:
        inside = list(getattr(thing, "__dict__", {}).values())
    return {key: array for value in inside for key, array in _arrays(value, depth - 1).items()}


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
    numeric = (2, 5)
    lines = []
    for row in (HEADER, tuple("─" * width for width in widths), *rows):
        cells = (
            cell.rjust(width) if i in numeric else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
