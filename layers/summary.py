"""The summary table of a network."""

from __future__ import annotations

from typing import Any

import numpy as np

from layers.base import Array
from layers.foreign import astype, parameters

HEADER = ("layer", "output shape", "parameters", "forward", "backward", "bytes cached")


def summary(net: Any, input_shape: tuple[Any, ...], batch_size: int = 64) -> str:
    """A table with a row per layer, made by running a batch of zeros through a copy.

    input_shape: the shape of one sample, without the batch axis; of each input if several.
    """
    net = astype(net, net.dtype or np.float32)
    dtype = net.dtype or np.dtype(np.float32)
    before = {name: _arrays(leaf) for name, leaf in net.leaves()}
    rows: list[tuple[str, ...]] = []
    seen: set[int] = set()
    for name, layer, inputs, y in net.steps(*blank(input_shape, batch_size, dtype)):
        params = parameters(layer)
        own = {id(value) for value in params.values()}
        cached = sum(
            array.nbytes
            for key, array in _arrays(layer).items()
            if key not in before[name] and key not in own
        )
        shared = bool(own & seen)
        seen |= own
        shapes = [part.shape for part in y] if isinstance(y, tuple) else [y.shape]
        rows.append(
            (
                f"{name} ({type(layer).__name__})" + f" ← {', '.join(inputs)}" * bool(inputs),
                ", ".join(map(str, shapes)),
                "shared" if shared else f"{sum(value.size for value in params.values()):,}",
                getattr(layer, "forward_rule", "") or "your own",
                getattr(layer, "backward_rule", "") or "your own",
                f"{cached:,}",
            )
        )
    total = sum(value.size for value in net.params.values())
    return f"{_table(rows)}\n{total:,} parameters, {dtype}, batch of {batch_size}"


def blank(input_shape: tuple[Any, ...], batch_size: int, dtype: Any) -> list[Array]:
    """A batch of zeros for each input: `(3,)` is the shape of one, `((3,), (4,))` of two."""
    several = len(input_shape) > 0 and isinstance(input_shape[0], tuple)
    shapes = input_shape if several else (input_shape,)
    return [np.zeros((batch_size, *shape), dtype) for shape in shapes]


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
