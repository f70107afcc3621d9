"""NumPy's broadcasting, forwards and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from layers.base import Array, Layer

Shape = tuple[int, ...]


def unbroadcast(dout: Array, shape: Shape) -> Array:
    """The gradient of an array of this shape that was broadcast to the shape of `dout`.

    Broadcasting copies an entry along an axis, and copying forwards is adding backwards:
    the copies' gradients are summed. May return `dout` itself.
    """
    if dout.shape == shape:
        return dout
    added = dout.ndim - len(shape)
    axes = [*range(added)]
    axes += [added + i for i, n in enumerate(shape) if n == 1 and dout.shape[added + i] != 1]
    summed: Array = np.add.reduce(dout, axis=tuple(axes), keepdims=True)
    return summed.reshape(shape)


class Gate(Layer):
    """A layer without parameters that may take several inputs, of any shapes that broadcast.

    With several inputs `forward(*xs)` and `backward(dout) -> ((dx, dy, …), {})`; inputs of
    different float types are computed in the wider one.
    """

    def floats(self, xs: Sequence[npt.ArrayLike], expected: int | None = None) -> list[Array]:
        """The inputs as arrays of one float type; their number is checked."""
        if len(xs) != expected and (expected is not None or not xs):
            raise TypeError(f"{self.name}: {len(xs)} inputs, expected {expected or 'at least one'}")
        arrays = [self.as_float(x) for x in xs]
        dtype = arrays[0].dtype
        for array in arrays:
            if array.dtype != dtype:
                dtype = np.result_type(*arrays)
                return [array.astype(dtype, copy=False) for array in arrays]
        return arrays

    def common_shape(self, arrays: Sequence[Array]) -> Shape:
        """The shape that all broadcast to."""
        shape = arrays[0].shape
        for array in arrays:
            if array.shape != shape:
                try:
                    return np.broadcast_shapes(*(array.shape for array in arrays))
                except ValueError:
                    shapes = " and ".join(str(array.shape) for array in arrays)
                    raise ValueError(
                        f"{self.name}: inputs have shapes {shapes}, expected shapes that broadcast"
                    ) from None
        return shape

    def given_back(self, dout: Array, shape: Shape) -> Array:
        """`dout` as the gradient of an input of this shape: the caller's to write into."""
        dx = unbroadcast(dout, shape)
        return self.fresh(dx) if dx is dout else dx


def numbers(layer: str, **values: Any) -> list[float]:
    """Settings that must be finite numbers."""
    for name, value in values.items():
        kind = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not kind or not np.isfinite(value):
            raise ValueError(f"{layer}: {name} is {value!r}, expected a finite number")
    return [float(value) for value in values.values()]
