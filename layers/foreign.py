"""How a container treats a layer that somebody else wrote and that may inherit from nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from layers.base import Array, Gradients, converted


def is_layer(thing: Any) -> bool:
    return callable(getattr(thing, "forward", None)) and callable(getattr(thing, "backward", None))


def built_in(layer: Any) -> bool:
    """Whether this is one of this package's own classes, whose answers need no checking."""
    return _of_this_package(type(layer))  # type: ignore[arg-type]  # a type is hashable


def as_written(layer: Any) -> bool:
    """Whether it is one of these classes' and nobody has put a method into the object."""
    return built_in(layer) and not any(map(callable, vars(layer).values()))


@lru_cache(maxsize=256)
def _of_this_package(kind: Any) -> bool:
    return str(kind.__module__).partition(".")[0] == "layers"


def parameters(layer: Any) -> dict[str, Array]:
    return getattr(layer, "params", None) or {}


def weights_of(layer: Any) -> tuple[str, ...]:
    """The parameters a penalty applies to: what `weights` names; else all with two axes or more."""
    named = getattr(layer, "weights", None)
    if named is not None:
        return tuple(named)
    return tuple(name for name, value in parameters(layer).items() if np.ndim(value) >= 2)


def checked_forward(layer: Any, *xs: Array) -> Any:
    """The layer's `forward`, whose answer must be an array; a tuple of `n_outputs` if several."""
    y = layer.forward(*xs)
    n = getattr(layer, "n_outputs", 1)
    if n == 1:
        return _array("forward returned", y)
    if not isinstance(y, tuple) or len(y) != n:
        raise ValueError(f"forward returned {_kind(y)}, expected a tuple of {n} arrays")
    return tuple(_array(f"forward returned as output {i}", part) for i, part in enumerate(y))


def checked_backward(
    layer: Any, dout: Any, *x_shapes: tuple[int, ...] | None
) -> tuple[Any, Gradients]:
    """The layer's `backward`, whose answer is held to the contract.

    x_shapes: what each gradient of an input must be shaped like; None where nobody reads it.
    """
    answer = layer.backward(dout)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise ValueError(f"backward returned {_kind(answer)}, expected (dx, grads)")
    dx, grads = answer
    if len(x_shapes) > 1 or isinstance(dx, tuple):
        if len(x_shapes) > 0 and (not isinstance(dx, tuple) or len(dx) != len(x_shapes)):
            raise ValueError(
                f"backward returned {_kind(dx)} for dx, expected a tuple of {len(x_shapes)} arrays"
            )
        dx = tuple(map(_checked_dx, dx, x_shapes))
    else:
        dx = _checked_dx(dx, *x_shapes)
    params = parameters(layer)
    grads = {} if grads is None else grads
    if not isinstance(grads, dict):
        raise ValueError(f"backward returned {_kind(grads)} for grads, expected a dictionary")
    if grads.keys() != params.keys():
        raise ValueError(
            f"backward returned gradients of {sorted(grads)}, expected those of {sorted(params)}"
        )
    for name, value in grads.items():
        if np.shape(value) != params[name].shape:
            raise ValueError(
                f"d{name} has shape {np.shape(value)}, expected {params[name].shape} as {name}"
            )
    return dx, grads


def _checked_dx(dx: Any, x_shape: tuple[int, ...] | None = None) -> Any:
    if x_shape is None:
        return dx
    dx = _array("backward returned for dx", dx)
    if dx.shape != x_shape:
        raise ValueError(f"dx has shape {dx.shape}, expected {x_shape} as x")
    return dx


def _array(what: str, value: Any) -> Array:
    """The value, which must be an array; a NumPy number is one without axes."""
    if isinstance(value, np.generic):
        return np.asarray(value)
    if not isinstance(value, np.ndarray):
        raise ValueError(f"{what} {_kind(value)}, expected an array")
    return value


def _kind(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"a {type(value).__name__}" if value is not None else "None"


def astype(layer: Any, dtype: npt.DTypeLike) -> Any:
    """A copy of any layer in another float type.

    A layer without `astype` of its own is copied, and the float arrays in its `params` and
    `state` are converted; an attribute that names the same array follows.
    """
    return layer.astype(dtype) if hasattr(layer, "astype") else converted(layer, dtype)


ERRORS = (ValueError, TypeError, RuntimeError)


def named(name: str, error: Exception) -> Exception:
    """An error of a layer, to be raised again with the name of the child it came from."""
    return type(error)(f"{name}: {error}") if type(error) in ERRORS else error


def naming(name: str, call: Callable[..., Any], *args: Any) -> Any:
    """`call(*args)`; an error it raises names the child it came from."""
    try:
        return call(*args)
    except ERRORS as error:
        raise named(name, error) from error
