"""All parameters of a network in one vector, all their gradients in another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import blas
from layers.base import Array, Gradients, Layer, replace
from layers.foreign import parameters, weights_of
from layers.linear import Linear
from layers.tape import Room, Tape


class ParameterVector:
    """The parameters of a network as one contiguous vector `theta`, the gradients as `grad`.

    The layers' `params[...]` become views into `theta`, so an update of `theta` is an update of
    the network, and an optimizer is a few lines. The weights (what a penalty applies to) come
    first: they are `theta[:n_weights]`. Layers that share one dictionary of parameters have one
    part of the vector, under the name of the first.

    views[name], grad_views[name]: the parameter `child.W` and its gradient, shaped.
    """

    def __init__(self, leaves: Iterable[tuple[str, Any]]) -> None:
        self.leaves = list(leaves)
        self._first: dict[int, str] = {}  # id of a dictionary of parameters: who has it first
        sharing: dict[str, list[Any]] = {}  # who has it first: the layers that share it
        named = []
        dictionaries = []  # kept, so that no id is given out twice
        for name, layer in self.leaves:
            params = parameters(layer)
            if params:
                dictionaries.append(params)
                first = self._first.setdefault(id(params), name)
                sharing.setdefault(first, []).append(layer)
                if first == name:
                    named += [(layer, name, key, value) for key, value in params.items()]
        for _, name, key, value in named:
            if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
                raise TypeError(f"{name}: parameter {key} is not a float array")
        self.dtype = self._one_dtype(named)
        named.sort(key=lambda item: item[2] not in weights_of(item[0]))  # stable: weights first
        self.n_weights = sum(v.size for layer, _, k, v in named if k in weights_of(layer))
        size = sum(value.size for *_, value in named)
        self.theta = blas.aligned((size,), self.dtype)
        self.grad = blas.beside(self.theta)
        self.grad[...] = 0
        self.views: dict[str, Array] = {}
        self.grad_views: dict[str, Array] = {}
        self._starts: dict[str, int] = {}  # of the weights
        start = 0
        for layer, name, key, value in named:
            part = slice(start, start + value.size)
            start += value.size
            view = self.theta[part].reshape(value.shape)
            view[...] = value
            for sharer in sharing[name]:
                replace(sharer, value, view)
            if parameters(layer)[key] is not view:
                raise TypeError(
                    f"{name}: parameter {key} cannot be replaced; expected `params` to be a "
                    "dictionary kept by the layer"
                )
            self.views[f"{name}.{key}"] = view
            if part.start < self.n_weights:
                self._starts[f"{name}.{key}"] = part.start
            self.grad_views[f"{name}.{key}"] = self.grad[part].reshape(value.shape)

    @staticmethod
    def _one_dtype(named: list[tuple[Any, str, str, Array]]) -> np.dtype[Any]:
        first: dict[np.dtype[Any], str] = {}
        for _, name, key, value in named:
            first.setdefault(value.dtype, f"{name}.{key}")
        if len(first) > 1:
            types = ", ".join(f"{name} {dtype}" for dtype, name in first.items())
            raise TypeError(
                f"parameters of different types ({types}), expected one: "
                "net = net.astype(np.float32)"
            )
        return next(iter(first), np.dtype(np.float32))

    def holds(self, params: dict[str, Array]) -> bool:
        """Whether these are the very views that this vector gave out."""
        return params.keys() == self.views.keys() and all(
            params[name] is view for name, view in self.views.items()
        )

    def collect(self, grads: Gradients) -> None:
        """Copy into `grad` every gradient that was not written there in the first place."""
        for name, view in self.grad_views.items():
            if grads[name] is not view:
                np.copyto(view, grads[name], casting="same_kind")

    @contextmanager
    def driven(self) -> Iterator[None]:
        """While inside, built-in layers write gradients into `grad`."""
        self.write_no_tape()
        try:
            yield
        finally:
            for _, layer in self.leaves:
                if isinstance(layer, Layer):
                    layer._room = None
                    layer._cached = None  # it may hold a place

    def write_tape(self, put_off: bool = False) -> Tape:
        """A tape on which the layers, driven, write what they do from now on.

        put_off: may the weights' gradients be? They are if the weights are the W of all Linears,
        each with a bias, whose gradient shows what is not finite in dout.
        """
        tape = Tape(put_off and self._can_put_off())
        self._give_rooms(tape)
        return tape

    def write_no_tape(self) -> None:
        self._give_rooms(None)

    def _can_put_off(self) -> bool:
        affine = {name: layer for name, layer in self.leaves if type(layer) is Linear}
        exactly = self._starts.keys() == {f"{name}.W" for name in affine}
        with_bias = all("b" in layer.params for layer in affine.values())
        return bool(affine) and exactly and with_bias and blas.there(self.dtype)

    def _give_rooms(self, tape: Tape | None) -> None:
        for name, layer in self.leaves:
            if isinstance(layer, Layer):
                # Of layers that share parameters the first; the others' gradients are added to it.
                own = self._first.get(id(layer.params), name) == name
                names = {f"d{key}": f"{name}.{key}" for key in layer.params if own}
                places = {key: self.grad_views[full] for key, full in names.items()}
                starts = {
                    k: self._starts[full] for k, full in names.items() if full in self._starts
                }
                layer._room = Room(places, tape, starts)
