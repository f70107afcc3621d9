"""The matrix product, and what reduces an array to fewer numbers."""

from __future__ import annotations

import numpy as np

from layers.base import Array, Gradients
from layers.gates.broadcasting import Gate, unbroadcast

Axis = int | tuple[int, ...] | None


class MatMul(Gate):
    """The matrix product of two inputs.

    Forward:  y = x w
    Backward: dx = dout wᵀ,  dw = xᵀ dout
    Shapes:   x (…, N, D), w (…, D, M) → y (…, N, M); axes before the last two broadcast;
              a vector (D,) stands for a row on the left, for a column on the right
    Caches:   x, w
    Errors:   ValueError when the shapes do not fit
    Source:   the lecture, "backprop with matrices"
    """

    forward_rule = "y = x w"
    backward_rule = "dx = dout wᵀ, dw = xᵀ dout"
    symbol = "@"

    def forward(self, x: Array, w: Array) -> Array:  # type: ignore[override]
        x, w = self.floats((x, w))
        rows, columns = _as_matrices(x, w)
        if 0 in (x.ndim, w.ndim) or rows.shape[-1] != columns.shape[-2]:
            raise ValueError(
                f"MatMul: inputs have shapes {x.shape} and {w.shape}, expected (…, N, D), (…, D, M)"
            )
        try:
            before = np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2])
        except ValueError:
            raise ValueError(
                f"MatMul: inputs have shapes {x.shape} and {w.shape}, expected axes before the "
                "last two that broadcast"
            ) from None
        shape = (*before, *rows.shape[-2:-1] * (x.ndim > 1), *columns.shape[-1:] * (w.ndim > 1))
        whole = (*before, rows.shape[-2], columns.shape[-1])
        y = np.empty(shape, x.dtype)
        np.matmul(rows, columns, out=y.reshape(whole))
        return self.keep(y, x, w, whole)

    def backward(self, dout: Array) -> tuple[tuple[Array, Array], Gradients]:  # type: ignore[override]
        dout, x, w, whole = self.recall(dout)
        dout = dout.reshape(whole)
        rows, columns = _as_matrices(x, w)
        before = whole[:-2]
        dx = np.empty((*before, *rows.shape[-2:]), x.dtype)
        dw = np.empty((*before, *columns.shape[-2:]), w.dtype)
        np.matmul(dout, columns.swapaxes(-1, -2), out=dx)
        np.matmul(rows.swapaxes(-1, -2), dout, out=dw)
        return (
            unbroadcast(dx, rows.shape).reshape(x.shape),
            unbroadcast(dw, columns.shape).reshape(w.shape),
        ), {}


def _as_matrices(x: Array, w: Array) -> tuple[Array, Array]:
    """A vector on the left as a row, on the right as a column; a number as neither."""
    return (
        x if x.ndim > 1 else x.reshape(1, x.size),
        w if w.ndim > 1 else w.reshape(w.size, 1),
    )


class Sum(Gate):
    """The sum along an axis, along several, or of everything.

    Forward:  y = Σ x
    Backward: dx = dout, copied along the axes
    Shapes:   x any → y without the axes, or with 1 in their place (`keepdims`)
    Caches:   the shape of x
    Errors:   ValueError when x has no such axis
    """

    forward_rule = "y = Σ x"
    backward_rule = "dx = dout along the axes"
    symbol = "Σ"

    def __init__(self, axis: Axis = None, *, keepdims: bool = False) -> None:
        super().__init__()
        self.axis, self.keepdims = _checked_axis(self.name, axis), keepdims

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        axes = _axes(self.name, self.axis, x.shape)
        kept = tuple([1 if i in axes else n for i, n in enumerate(x.shape)])
        shape = (
            kept if self.keepdims else tuple([n for i, n in enumerate(x.shape) if i not in axes])
        )
        y = np.empty(shape, x.dtype)
        np.add.reduce(x, axis=axes, keepdims=self.keepdims, out=y)
        share = self._share(x.size, y.size)
        if share != 1:
            y *= share
        return self.keep(y, x.shape, kept, share)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, shape, kept, share = self.recall(dout)
        dx = np.empty(shape, dout.dtype)
        return np.multiply(dout.reshape(kept), share, out=dx), {}

    def _share(self, before: int, after: int) -> float:
        """The weight of an entry in the result."""
        return 1.0


class Mean(Sum):
    """The mean along an axis, along several, or of everything.

    Forward:  y = Σ x / n,  n how many are summed
    Backward: dx = dout / n, copied along the axes
    Shapes:   x any → y without the axes, or with 1 in their place (`keepdims`)
    Caches:   the shape of x
    Errors:   ValueError when x has no such axis
    """

    forward_rule = "y = Σ x / n"
    backward_rule = "dx = dout / n along the axes"
    symbol = "mean"

    def _share(self, before: int, after: int) -> float:
        return after / before if before else 1.0


class SquaredNorm(Gate):
    """The sum of the squares of all entries.

    Forward:  y = ‖x‖² = Σ x²
    Backward: dx = 2x · dout
    Shapes:   x any → y ()
    Caches:   x
    Source:   the lecture, f = ‖W x‖²
    """

    forward_rule = "y = ‖x‖²"
    backward_rule = "dx = 2x · dout"
    symbol = "‖·‖²"

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        y = np.empty((), x.dtype)
        flat = x.reshape(-1)
        y[...] = flat @ flat
        return self.keep(y, x)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, x = self.recall(dout)
        return self.into("dx", np.multiply, x, 2 * dout), {}


def _checked_axis(layer: str, axis: Axis) -> Axis:
    given = axis if isinstance(axis, tuple) else () if axis is None else (axis,)
    for one in given:
        if isinstance(one, bool) or not isinstance(one, int):
            raise TypeError(f"{layer}: axis is {axis!r}, expected a whole number, several or None")
    return axis


def _axes(layer: str, axis: Axis, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes meant, counted from the front."""
    if axis is None:
        return tuple(range(len(shape)))
    axes = axis if isinstance(axis, tuple) else (axis,)
    if any(not -len(shape) <= one < len(shape) for one in axes):
        raise ValueError(f"{layer}: x has shape {shape}, expected one with axis {axis}")
    counted = tuple([one % len(shape) for one in axes])
    if len(set(counted)) < len(counted):
        raise ValueError(f"{layer}: axis {axis} names one axis of {shape} twice")
    return counted
