"""A chain of layers, which is a layer too."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from layers.base import Array, Gradients, Layer
from layers.foreign import astype, checked_backward, checked_forward, is_layer, naming, weights_of
from layers.summary import summary
from layers.vector import ParameterVector


class Sequential(Layer):
    """Layers one after the other.

    Forward:  y = f_K(… f₂(f₁(x)))
    Backward: dout runs back through f_K, …, f₁; the chain rule
    Caches:   what its children cache
    Errors:   an error in a child names the child

    Children are given in order, named by their kind and number (`linear1`, `relu1`, `linear2`)
    or by keyword: `Sequential(fc1=Linear(4, 3, rng=0), relu1=ReLU())`. A child may be any
    object that keeps the contract. Parameters are named `child.param`.
    """

    _vector: ParameterVector | None = None

    def __init__(self, *layers: Any, **named: Any) -> None:
        self.children: dict[str, Any] = {}
        self._x_shapes: dict[str, tuple[int, ...] | None] = {}
        numbers: dict[str, int] = {}
        for layer in layers:
            kind = type(layer).__name__.lower()
            numbers[kind] = numbers.get(kind, 0) + 1
            self._add(f"{kind}{numbers[kind]}", layer)
        for name, layer in named.items():
            self._add(name, layer)
        if not self.children:
            raise ValueError("Sequential: no layers, expected at least one")
        seen: dict[int, str] = {}
        for name, leaf in self.leaves():
            if id(leaf) in seen:
                raise ValueError(
                    f"Sequential: {seen[id(leaf)]} and {name} are one object, whose cache the "
                    "second would overwrite; expected two"
                )
            seen[id(leaf)] = name

    def _add(self, name: str, layer: Any) -> None:
        if not is_layer(layer):
            raise TypeError(f"Sequential: {name} is {layer!r}, expected forward and backward")
        if name in self.children:
            raise ValueError(f"Sequential: two children named {name!r}")
        self.children[name] = layer

    # -- the chain rule ---------------------------------------------------------------

    def forward(self, x: Array) -> Array:
        for name, child in self.children.items():
            if isinstance(child, Layer):
                x = naming(name, child.forward, x)
            else:
                self._x_shapes[name] = np.shape(x) if np.asarray(x).dtype.kind == "f" else None
                x = naming(name, checked_forward, child, x)
        return x

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, grads = self._back(dout, list(self.children.items()))
        return dout, {name: grads[name] for name in self.params}

    def parameter_gradients(self, dout: Array) -> Gradients:
        """The gradients of the parameters alone: stops at the first layer that has any."""
        children = list(self.children.items())
        while children and not getattr(children[0][1], "params", None):
            del children[0]
        if not children:
            return {}
        (name, first), *rest = children
        dout, grads = self._back(dout, rest)
        if isinstance(first, Layer):
            own = naming(name, first.parameter_gradients, dout)
        else:
            self._x_shape(name)
            own = naming(name, checked_backward, first, dout)[1]
        for key, value in own.items():
            grads[f"{name}.{key}"] = value
        return grads

    def _back(self, dout: Array, children: list[tuple[str, Any]]) -> tuple[Array, Gradients]:
        grads: Gradients = {}
        for name, child in reversed(children):
            if isinstance(child, Layer):
                dout, own = naming(name, child.backward, dout)
            else:
                dout, own = naming(name, checked_backward, child, dout, self._x_shape(name))
            for key, value in own.items():
                grads[f"{name}.{key}"] = value
        return dout, grads

    def _x_shape(self, name: str) -> tuple[int, ...] | None:
        """What dx of a child that somebody else wrote is shaped like; None if x has no gradient."""
        if name not in self._x_shapes:
            raise RuntimeError(f"{name}: backward before forward")
        return self._x_shapes[name]

    # -- the contract, passed on to the children ---------------------------------------

    @property
    def params(self) -> dict[str, Array]:  # type: ignore[override]
        return self._collected("params")

    @property
    def state(self) -> dict[str, Array]:  # type: ignore[override]
        return self._collected("state")

    @property
    def weights(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(
            f"{name}.{key}" for name, child in self.children.items() for key in weights_of(child)
        )

    def _collected(self, kind: str) -> dict[str, Array]:
        return {
            f"{name}.{key}": value
            for name, child in self.children.items()
            for key, value in (getattr(child, kind, None) or {}).items()
        }

    @property
    def training(self) -> bool:
        return any(getattr(child, "training", False) for child in self.children.values())

    @training.setter
    def training(self, value: bool) -> None:
        for child in self.children.values():
            if hasattr(child, "training"):
                child.training = value

    def astype(self, dtype: npt.DTypeLike) -> Self:
        twin = copy.copy(self)
        twin._x_shapes = {}
        twin.children = {name: astype(child, dtype) for name, child in self.children.items()}
        return twin

    # -- a network ---------------------------------------------------------------------

    def leaves(self) -> Iterator[tuple[str, Any]]:
        """Every layer that is not a container, with its full name."""
        for name, child in self.children.items():
            if isinstance(child, Sequential):
                for key, leaf in child.leaves():
                    yield f"{name}.{key}", leaf
            else:
                yield name, child

    def gather(self) -> ParameterVector:
        """Move the parameters into one vector, of which `params` are views from then on."""
        if self._vector is None or not self._vector.holds(self.params):
            self._vector = ParameterVector(self.leaves())
        return self._vector

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """While inside, no layer is training; afterwards each is as it was."""
        layers = [layer for _, layer in self.leaves() if hasattr(layer, "training")]
        before = [layer.training for layer in layers]
        self.training = False
        try:
            yield
        finally:
            for layer, training in zip(layers, before, strict=True):
                layer.training = training

    def __getstate__(self) -> dict[str, Any]:
        """A copy has parameters of its own, in no vector yet."""
        return {**super().__getstate__(), "_vector": None}

    def summary(self, input_shape: tuple[int, ...], batch_size: int = 1) -> str:
        """A table: layer, output shape, parameters, forward and backward rule, bytes cached."""
        return summary(self, input_shape, batch_size)

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={child!r}" for name, child in self.children.items())
        return f"{self.name}({inside})"
