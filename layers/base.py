"""The contract that every layer keeps, and the few helpers its own layers share."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Gradients = dict[str, Array]


class Layer:
    """One operation: `forward` computes it, `backward` applies the chain rule to it.

    A layer of your own need not inherit from this class: any object with `forward(x)`,
    `backward(dout) -> (dx, grads)` and, if it learns, a dictionary `params` will do.

    What a subclass writes is the maths; this class offers
    `as_float` (the input as a float array), `buffer` (where to write a result),
    `keep` / `recall` (hand the cache from `forward` to `backward`, checked).
    """

    params: dict[str, Array]
    state: dict[str, Array]
    training: bool = True
    forward_rule: str = ""
    backward_rule: str = ""

    # The names of the parameters that a penalty applies to: the weights, not the biases.
    weights: tuple[str, ...] = ()

    # None by hand: results are fresh arrays. A dictionary while a Solver drives the layer:
    # results are written into the arrays it holds. See layers/vector.py.
    _buffers: dict[Any, Array] | None = None
    _cached: tuple[Any, ...] | None = None

    def __init__(self) -> None:
        self.params = {}
        self.state = {}

    def forward(self, x: Array) -> Array:
        raise NotImplementedError

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        raise NotImplementedError

    def parameter_gradients(self, dout: Array) -> Gradients:
        """The second half of `backward`, for a first layer whose `dx` nobody reads."""
        return self.backward(dout)[1]

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The type of the parameters; None for a layer without, which keeps that of its input."""
        for value in self.params.values():
            return value.dtype
        return None

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """A copy whose parameters and state are of this float type."""
        twin = copy.deepcopy(self)
        for arrays in (twin.params, twin.state):
            for name, value in arrays.items():
                arrays[name] = value.astype(dtype)
        return twin

    def as_float(self, x: npt.ArrayLike) -> Array:
        """`x` as an array of the parameters' type; without parameters of its own float type.

        Integers (an image's bytes) become float32.
        """
        x = np.asarray(x)
        for value in self.params.values():
            return x if x.dtype == value.dtype else self._cast(x, value.dtype)
        return x if x.dtype.kind == "f" else self._cast(x, np.dtype(np.float32))

    def _cast(self, x: Array, dtype: np.dtype[Any]) -> Array:
        if x.dtype.kind not in "fiub":
            raise TypeError(f"{self.name}: x has dtype {x.dtype}, expected numbers")
        return x.astype(dtype)

    def buffer(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """An array to write the result `name` into: fresh, or reused while a Solver drives."""
        if self._buffers is None:
            return np.empty(shape, dtype)
        array = self._buffers.get((name, shape))
        if array is None or array.dtype != dtype:
            array = self._buffers[name, shape] = np.empty(shape, dtype)
        return array

    def keep(self, y: Array, *cache: Any) -> Array:
        """Cache what `backward` needs; returns `y`."""
        self._cached = (y.shape, y.dtype, *cache)
        return y

    def recall(self, dout: npt.ArrayLike) -> tuple[Any, ...]:
        """`dout`, checked against the shape of `y`, and what `forward` cached."""
        if self._cached is None:
            raise RuntimeError(f"{self.name}: backward before forward")
        shape, dtype, *cache = self._cached
        dout = np.asarray(dout)
        if dout.shape != shape:
            raise ValueError(f"{self.name}: dout has shape {dout.shape}, expected {shape}")
        return (dout if dout.dtype == dtype else dout.astype(dtype), *cache)

    @property
    def name(self) -> str:
        return type(self).__name__

    def __getstate__(self) -> dict[str, Any]:
        """A copy shares no buffer with the original."""
        return {key: value for key, value in self.__dict__.items() if key != "_buffers"}

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {value.shape}" for name, value in self.params.items())
        return f"{self.name}({shapes})"
