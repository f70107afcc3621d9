"""Gates that only move numbers about; backwards they move them back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from layers.base import Array, Gradients
from layers.gates.broadcasting import Gate


class Concat(Gate):
    """Its inputs side by side along an axis.

    Forward:  y = [x₁, x₂, …]
    Backward: dxᵢ = the part of dout that came from xᵢ
    Shapes:   alike but for that axis, whose lengths add
    Caches:   where the parts begin
    Errors:   ValueError when the other axes differ
    """

    forward_rule = "y = [x₁, x₂]"
    backward_rule = "dxᵢ = its part of dout"
    symbol = "concat"

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise TypeError(f"Concat: axis is {axis!r}, expected a whole number")
        self.axis = axis

    def forward(self, *xs: Array) -> Array:
        xs = tuple(self.floats(xs))
        shapes = [x.shape for x in xs]
        first, axis = list(shapes[0]), self.axis
        fits = -len(first) <= axis < len(first) and all(len(s) == len(first) for s in shapes)
        if fits:
            length = sum(shape[axis] for shape in shapes)
            axis %= len(first)
            fits = all(s[:axis] + s[axis + 1 :] == shapes[0][:axis] + shapes[0][axis + 1 :]
                       for s in shapes)  # fmt: skip
        if not fits:
            raise ValueError(
                f"Concat: inputs have shapes {' and '.join(map(str, shapes))}, expected shapes "
                f"that are alike but for axis {self.axis}"
            )
        first[axis] = length
        y = np.empty(tuple(first), xs[0].dtype)
        np.concatenate(xs, axis=axis, out=y)
        return self.keep(y, axis, [shape[axis] for shape in shapes])

    def backward(self, dout: Array) -> tuple[tuple[Array, ...], Gradients]:  # type: ignore[override]
        dout, axis, lengths = self.recall(dout)
        parts, start = [], 0
        for length in lengths:
            part = dout[(slice(None),) * axis + (slice(start, start + length),)]
            parts.append(self.fresh(part))
            start += length
        return tuple(parts), {}


class Reshape(Gate):
    """The same numbers in another shape.

    Forward:  y = x in the shape `shape`, in which one length may be −1: what is left
    Backward: dx = dout in the shape of x
    Caches:   the shape of x
    Errors:   ValueError when there are not as many entries
    """

    forward_rule = "y = x in another shape"
    backward_rule = "dx = dout in the shape of x"
    symbol = "reshape"

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        if any(isinstance(n, bool) or not isinstance(n, int) or n < -1 for n in self.shape) or (
            self.shape.count(-1) > 1
        ):
            raise ValueError(
                f"Reshape: shape is {shape!r}, expected lengths of which one may be -1"
            )

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        known = math.prod(n for n in self.shape if n != -1)
        fits = x.size == known if -1 not in self.shape else known > 0 and x.size % known == 0
        if not fits:
            raise ValueError(f"Reshape: x has shape {x.shape}, expected entries for {self.shape}")
        y = x.reshape(self.shape)
        return self.keep(self.fresh(y), x.shape)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, shape = self.recall(dout)
        return self.fresh(dout.reshape(shape)), {}


class Transpose(Gate):
    """The same numbers with the axes in another order; by default the reverse.

    Forward:  y = xᵀ
    Backward: dx = doutᵀ
    Caches:   the order
    Errors:   ValueError when `axes` are not the axes of x
    """

    forward_rule = "y = xᵀ"
    backward_rule = "dx = doutᵀ"
    symbol = "ᵀ"

    def __init__(self, axes: Sequence[int] | None = None) -> None:
        super().__init__()
        self.axes = None if axes is None else tuple(axes)

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        axes = tuple(range(x.ndim))[::-1] if self.axes is None else self.axes
        if sorted(axes) != list(range(x.ndim)):
            raise ValueError(
                f"Transpose: x has shape {x.shape}, expected {len(axes)} axes for {axes}"
            )
        return self.keep(self.fresh(x.transpose(axes)), axes)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, axes = self.recall(dout)
        return self.fresh(dout.transpose(tuple(np.argsort(axes)))), {}
