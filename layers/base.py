"""The contract that every layer keeps, and the few helpers its own layers share."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import lru_cache, partial
from types import FunctionType, ModuleType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from blas import matmul

Array = npt.NDArray[Any]
Gradients = dict[str, Array]

# The sums over the last axis, which stays, with length 1.
row_sums = partial(np.add.reduce, axis=-1, keepdims=True)

NO_HOLDERS = (np.ndarray, str, bytes, int, float, type, ModuleType, FunctionType)


LARGE = 2**18  # entries from which an array of one number is not worth its memory


def constant(value: float, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array of one number, to be read only: NumPy does with two arrays in vector instructions
    what with an array and a number it does one by one, and a sum over rows is a product with 1."""
    large = len(shape) > 1 and math.prod(shape) > LARGE
    return _constant(value, () if large else shape, dtype)


@lru_cache(maxsize=8)
def _constant(value: float, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    array = np.full(shape, value, dtype)
    array.flags.writeable = False
    return array


def cast(array: Array, dtype: np.dtype[Any], out: Array | None = None) -> Array:
    """A copy in another type."""
    if out is None:
        return array.astype(dtype)
    np.copyto(out, array, casting="unsafe")
    return out


def copied(array: Array, shape: tuple[int, ...], out: Array | None = None) -> Array:
    """A copy in another shape, row by row."""
    if out is None:
        out = np.empty(shape, array.dtype)
    out[...] = array.reshape(shape)
    return out


def converted(layer: Any, dtype: npt.DTypeLike) -> Any:
    """A copy of a layer, its float arrays in `params` and `state` in another float type."""
    twin = copy.deepcopy(layer)
    for arrays in (getattr(twin, "params", None), getattr(twin, "state", None)):
        for old in list((arrays or {}).values()):
            if isinstance(old, np.ndarray) and old.dtype.kind == "f":
                replace(twin, old, old.astype(dtype))
    return twin


def replace(layer: Any, old: Array, new: Array) -> None:
    """Put `new` wherever the layer holds `old`: in `params`, in an attribute like `self.W`, in a
    list or a layer inside it."""
    seen: set[int] = set()
    holders = [layer, getattr(layer, "params", None), getattr(layer, "state", None)]
    while holders:
        holder = holders.pop()
        if id(holder) in seen or isinstance(holder, NO_HOLDERS):
            continue
        seen.add(id(holder))
        if isinstance(holder, dict | list):
            keys: Any = list(holder) if isinstance(holder, dict) else range(len(holder))
            for key in keys:
                if holder[key] is old:
                    holder[key] = new
                else:
                    holders.append(holder[key])
        else:
            for name, value in attributes(holder).items():
                if value is old:
                    setattr(holder, name, new)
                else:
                    holders.append(value)


def attributes(thing: Any) -> dict[str, Any]:
    """What an object holds, in its dictionary and in its slots."""
    held = dict(getattr(thing, "__dict__", {}))
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name[:2] != "__" and hasattr(thing, name):
                held[name] = getattr(thing, name)
    return held


class Layer:
    """One operation: `forward` computes it, `backward` applies the chain rule to it.

    A layer of your own need not inherit from this class: any object with `forward(x)`,
    `backward(dout) -> (dx, grads)` and, if it learns, a dictionary `params` will do.

    What a subclass writes is the maths; this class offers
    `as_float` (the input as a float array), `into` (an operation, and where its result goes),
    `keep` / `recall` (hand the cache from `forward` to `backward`, checked).

    Whose arrays: `y`, `dx` and the gradients belong to the caller, who may write into them; by
    hand a layer caches nothing that it returns, nor returns what it was given (`fresh`). `x`
    is cached as it is, not copied: leave it unchanged until `backward` has run.
    """

    params: dict[str, Array]
    state: dict[str, Array]
    training: bool = True
    forward_rule: str = ""
    backward_rule: str = ""
    symbol: str = ""  # what stands in its circle in a picture; "" for a box with its name

    # The names of the parameters that a penalty applies to: the weights, not the biases.
    # None: those with two axes or more.
    weights: tuple[str, ...] | None = None

    # Whether a pass over a batch of one shape is always the same calls of `into`, on the same
    # arrays: then a Solver's step may be made of these calls alone. See layers/tape.py.
    replays: bool = False

    # None by hand: results are fresh arrays. While a Solver drives the layer: where they go.
    _room: Any = None
    _cached: tuple[tuple[int, ...], np.dtype[Any], tuple[Any, ...]] | None = None

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
        """A copy whose parameters and state are of this float type; it has run no `forward`."""
        twin: Self = converted(self, dtype)
        twin._cached = None
        return twin

    def as_float(self, x: npt.ArrayLike) -> Array:
        """`x` as an array of the parameters' type; without parameters of its own float type.

        Integers (an image's bytes) become float32.
        """
        x = np.asarray(x)
        for value in self.params.values():
            return x if x.dtype is value.dtype else self._cast("x", x, value.dtype)
        if x.dtype.kind != "f":
            return self._cast("x", x, np.dtype(np.float32))
        return x if x.dtype.isnative else self._cast("x", x, x.dtype.newbyteorder("="))

    def _cast(self, what: str, array: Array, dtype: np.dtype[Any]) -> Array:
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{self.name}: {what} has dtype {array.dtype}, expected numbers")
        return self.into(f"{what}, cast", cast, array, dtype)

    def into(
        self,
        name: str,
        operation: Callable[..., Any],
        *operands: Any,
        over: Array | None = None,
    ) -> Array:
        """operation(*operands): a fresh array, or, driven, in the place of that name if it has one.

        The operation takes `out=`, as NumPy's do, or works in place and returns its first operand.
        The same name again: into the same place.
        over: what was given to this layer, and may be written over if it is nobody else's.
        """
        if self._room is None:
            return np.asarray(operation(*operands))
        result: Array = self._room.into(name, operation, *operands, over=over)
        return result

    def product(self, name: str, A: Array, B: Array) -> Array:
        """The gradient A B of a weight. An update may do without the matrix (layers/tape.py)."""
        result: Array = matmul(A, B) if self._room is None else self._room.product(name, A, B)
        return result

    def reshaped(self, name: str, array: Array, shape: tuple[int, ...]) -> Array:
        """The array in another shape: a view, or a copy of one that does not lie row by row."""
        if array.flags.c_contiguous:
            return array.reshape(shape)
        return self.into(name, copied, array, shape)

    def fresh(self, array: Array) -> Array:
        """An array cached or given, to be returned: by hand a copy; driven, marked as in use."""
        return array.copy() if self._room is None else self._room.in_use(array)

    def keep(self, y: Array, *cache: Any) -> Array:
        """Cache what `backward` needs; returns `y`."""
        self._cached = y.shape, y.dtype, cache
        return y

    def recall(self, dout: npt.ArrayLike) -> tuple[Any, ...]:
        """`dout`, checked against the shape of `y`, and what `forward` cached."""
        if self._cached is None:
            raise RuntimeError(f"{self.name}: backward before forward")
        shape, dtype, cache = self._cached
        dout = np.asarray(dout)
        if dout.shape != shape:
            raise ValueError(f"{self.name}: dout has shape {dout.shape}, expected {shape}")
        return (dout if dout.dtype is dtype else self._cast("dout", dout, dtype), *cache)

    @property
    def name(self) -> str:
        return type(self).__name__

    def __getstate__(self) -> dict[str, Any]:
        """A copy is by hand."""
        return {key: value for key, value in self.__dict__.items() if key != "_room"}

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {value.shape}" for name, value in self.params.items())
        return f"{self.name}({shapes})"
