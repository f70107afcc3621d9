"""How a container treats a layer that somebody else wrote and that may inherit from nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from layers.base import Array, Gradients, converted


def is_layer(thing: Any) -> bool:
    return callable(getattr(thing, "forward", None)) and callable(getattr(thing, "backward", None))


def parameters(layer: Any) -> dict[str, Array]:
    return getattr(layer, "params", None) or {}


def weights_of(layer: Any) -> tuple[str, ...]:
    """The parameters a penalty applies to: what `weights` names; else all with two axes or more."""
    named = getattr(layer, "weights", None)
    if named is not None:
        return tuple(named)
    return tuple(name for name, value in parameters(layer).items() if np.ndim(value) >= 2)


def checked_forward(layer: Any, x: Array) -> Array:
    """The layer's `forward`, whose answer must be an array."""
    y = layer.forward(x)
    if not isinstance(y, np.ndarray):
        raise ValueError(f"forward returned {_kind(y)}, expected an array")
    return y


def checked_backward(
    layer: Any, dout: Array, x_shape: tuple[int, ...] | None = None
) -> tuple[Any, Gradients]:
    """The layer's `backward`, whose answer is held to the contract.

    x_shape: what `dx` must be shaped like; None where nobody reads it.
    """
    answer = layer.backward(dout)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise ValueError(f"backward returned {_kind(answer)}, expected (dx, grads)")
    dx, grads = answer
    if x_shape is not None and not isinstance(dx, np.ndarray):
        raise ValueError(f"backward returned {_kind(dx)} for dx, expected an array")
    if x_shape is not None and dx.shape != x_shape:
        raise ValueError(f"dx has shape {dx.shape}, expected {x_shape} as x")
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


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}" if value is not None else "None"


def astype(layer: Any, dtype: npt.DTypeLike) -> Any:
    """A copy of any layer in another float type.

    A layer without `astype` of its own is copied, and the float arrays in its `params` and
    `state` are converted; an attribute that names the same array follows.
    """
    return layer.astype(dtype) if hasattr(layer, "astype") else converted(layer, dtype)


def naming(name: str, call: Callable[..., Any], *args: Any) -> Any:
    """`call(*args)`; an error it raises names the child it came from."""
    try:
        return call(*args)
    except (ValueError, TypeError, RuntimeError) as error:
        if type(error) in (ValueError, TypeError, RuntimeError):
            raise type(error)(f"{name}: {error}") from error
        raise
