"""A chain of layers, which is a layer too."""

from __future__ import annotations

import copy
from collections.abc import Generator
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from layers.base import Array, Gradients
from layers.container import Container, Step, Wiring
from layers.foreign import (
    ERRORS,
    as_written,
    astype,
    built_in,
    checked_backward,
    checked_forward,
    named,
)


class Sequential(Container):
    """Layers one after the other.

    Forward:  y = f_K(… f₂(f₁(x)))
    Backward: dout runs back through f_K, …, f₁; the chain rule
    Caches:   what its children cache
    Errors:   an error in a child names the child

    Children are given in order, named by their kind and number (`linear1`, `relu1`, `linear2`)
    or by keyword: `Sequential(fc1=Linear(4, 3, rng=0), relu1=ReLU())`. A child may be any
    object that keeps the contract. Parameters are named `child.param`.

    >>> from layers import Linear, ReLU
    >>> net = Sequential(Linear(64, 100, rng=0), ReLU(), Linear(100, 10, rng=1))
    >>> {name: value.shape for name, value in net.params.items()}
    {'linear1.W': (64, 100), 'linear1.b': (100,), 'linear2.W': (100, 10), 'linear2.b': (10,)}
    """

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
        self._taken(name, layer)
        self.children[name] = layer

    @property
    def replays(self) -> bool:  # type: ignore[override]
        """A chain of layers that do; nobody knows what somebody else's layer does in Python."""
        chain = (self, *self.children.values())
        return all(map(as_written, chain)) and all(child.replays for child in chain[1:])

    # -- the chain rule ---------------------------------------------------------------

    def forward(self, x: Array) -> Array:
        name = ""
        try:
            for name, child in self.children.items():
                if built_in(child):
                    x = child.forward(x)
                else:
                    self._x_shapes[name] = np.shape(x) if np.asarray(x).dtype.kind == "f" else None
                    x = checked_forward(child, x)
        except ERRORS as error:
            raise named(name, error) from error
        return x

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, grads = self._back(dout, self.children)
        return dout, {name: grads[name] for name in self.params}

    def steps(self, *xs: Array) -> Generator[Step, None, Any]:
        (x,) = xs
        for name in self.children:
            x = yield from self._steps_of(name, (x,))
        return x

    def wiring(self) -> Wiring:
        names = list(self.children)
        reads = zip(names, ["x", *names], strict=False)
        nodes = [(name, (wire,), (name,)) for name, wire in reads]
        return Wiring(("x",), nodes, (names[-1],))

    def parameter_gradients(self, dout: Array) -> Gradients:
        """The gradients of the parameters alone: stops at the first layer that has any."""
        for name, child in self.children.items():
            if getattr(child, "params", None):
                return self._back(dout, self.children, first=name)[1]
        return {}

    def _back(
        self, dout: Array, children: dict[str, Any], first: str | None = None
    ) -> tuple[Any, Gradients]:
        """The chain rule from the last child to the first; of `first` the parameters' alone."""
        grads: Gradients = {}
        name = ""
        try:
            for name in reversed(children):
                child = children[name]
                if not built_in(child):
                    dout, own = checked_backward(child, dout, self._x_shape(name))
                elif name == first:
                    own = child.parameter_gradients(dout)
                else:
                    dout, own = child.backward(dout)
                for key, value in own.items():
                    grads[f"{name}.{key}"] = value
                if name == first:
                    break
        except ERRORS as error:
            raise named(name, error) from error
        return dout, grads

    def _x_shape(self, name: str) -> tuple[int, ...] | None:
        """What dx of a child that somebody else wrote is shaped like; None if x has no gradient."""
        if name not in self._x_shapes:
            raise RuntimeError("backward before forward")
        return self._x_shapes[name]

    def astype(self, dtype: npt.DTypeLike) -> Self:
        twin = copy.copy(self)
        twin._x_shapes = {}
        twin.children = {name: astype(child, dtype) for name, child in self.children.items()}
        return twin
