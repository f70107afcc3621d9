"""A computational graph of layers, which is a layer too."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from layers.base import Array, Gradients
from layers.container import Step
from layers.foreign import checked_backward, checked_forward
from layers.nodes import Nodes

TOLD = (ValueError, TypeError, RuntimeError)  # errors that a node's name is put before


class Graph(Nodes):
    """Layers as the nodes of a graph: each reads what others gave.

    Forward:  the nodes in the order they were added, each on the values of its wires
    Backward: the nodes in reverse; a wire read several times gets the sum of the gradients
    Shapes:   those of its inputs and outputs; with several inputs `forward(*xs)` and a tuple of
              dx, with several outputs a tuple of y and of dout (None for a gradient of zero)
    Caches:   what its children cache; `values`, by wire, and after `backward` `grads`
    Errors:   ValueError at an unknown wire, a name used twice, an input or a node that nothing
              reads; an error in a node names it
    Source:   the lecture, "computational graphs" and its modular API

    A node may only read what exists already, so the order of adding is a topological order:

        graph = Graph()
        x, y, z = graph.inputs("x", "y", "z")
        f = (x + y) * z                               # gates are added by the operators
        h = graph.add(Linear(3, 4, rng=0), f, name="fc")    # and any layer by hand
        graph.output(h)                               # or: the one node that nothing reads

    A layer added twice stands at two nodes with one set of parameters, whose gradients add.
    Parameters are named `node.param`. `values` and `grads` are those of the last pass, not
    copies: who writes into what `forward` returned writes into `values`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Any] = {}
        self.grads: dict[str, Any] = {}
        self._ran = False

    # -- forward -----------------------------------------------------------------------

    def forward(self, *xs: Any) -> Any:
        self._plan()
        values = self._start(xs)
        children = self.children
        for name, inputs, wires, _, trusted in self._nodes.values():
            child = children[name]
            args = [values[wire] for wire in inputs]
            try:
                y = child.forward(*args) if trusted else checked_forward(child, *args)
            except TOLD as error:
                if type(error) not in TOLD:
                    raise
                raise _naming(name, error, args, trusted) from error
            if len(wires) == 1:
                values[name] = y
            else:
                values.update(zip(wires, y, strict=True))
        return self._end()

    def steps(self, *xs: Array) -> Generator[Step, None, Any]:
        self._plan()
        values = self._start(xs)
        for name, inputs, wires, _, _ in self._nodes.values():
            y = yield from self._steps_of(name, tuple(values[wire] for wire in inputs), inputs)
            values.update(zip(wires, y if len(wires) > 1 else (y,), strict=True))
        return self._end()

    def _start(self, xs: tuple[Any, ...]) -> dict[str, Any]:
        if len(xs) != len(self._inputs):
            names = ", ".join(self._inputs)
            raise TypeError(f"Graph: {len(xs)} inputs, expected {len(self._inputs)}: {names}")
        self._ran = False
        self.grads = {}
        self.values = dict(zip(self._inputs, map(_array, xs), strict=True))
        return self.values

    def _end(self) -> Any:
        self._ran = True
        outputs, again = self._plan()
        ys = tuple([self.values[wire] for wire in outputs])
        if again:  # the caller may write into y: not into what is still needed
            ys = tuple([y.copy() for y in ys])
        return ys if len(ys) > 1 else ys[0]

    # -- backward ----------------------------------------------------------------------

    def backward(self, dout: Any) -> tuple[Any, Gradients]:
        grads = self._back(dout, None)
        dxs = tuple([self._input_gradient(name) for name in self._inputs])
        return dxs if len(dxs) > 1 else dxs[0], grads

    def parameter_gradients(self, dout: Any) -> Gradients:
        """The gradients of the parameters alone: goes back only to where there are any."""
        live: set[str] = set()
        for node in self._nodes.values():
            if getattr(self.children[node.name], "params", None) or not live.isdisjoint(
                node.inputs
            ):
                live.update(node.outputs)
        return self._back(dout, live)

    def _back(self, dout: Any, live: set[str] | None) -> Gradients:
        """Run back through the nodes, of `live` wires only if given; fills `self.grads`."""
        flowing = self._output_gradients(dout)
        grads: Gradients = {}
        own: set[str] = set()  # wires whose sum of gradients is an array of ours
        children, values = self.children, self.values
        for name, inputs, wires, owner, trusted in reversed(self._nodes.values()):
            if live is not None and wires[0] not in live:
                continue
            child = children[name]
            if len(wires) == 1:
                upstream = flowing.get(name)
                if upstream is None:
                    continue
            else:
                upstream = self._several(wires, flowing)
                if upstream is None:
                    continue
            wanted = live is None or not live.isdisjoint(inputs)
            try:
                if trusted:
                    if wanted:
                        dx, own_grads = child.backward(upstream)
                    else:
                        dx, own_grads = None, child.parameter_gradients(upstream)
                else:
                    shapes = [_shape(values[wire]) for wire in inputs] if wanted else []
                    dx, own_grads = checked_backward(child, upstream, *shapes)
            except TOLD as error:
                if type(error) not in TOLD:
                    raise
                args = [values[wire] for wire in inputs]
                raise _naming(name, error, args, trusted) from error
            if wanted:
                dxs = dx if isinstance(dx, tuple) else (dx,)
                if len(dxs) != len(inputs):
                    raise ValueError(
                        f"{name}: backward returned {len(dxs)} gradients, expected {len(inputs)}"
                    )
                for wire, dx in zip(inputs, dxs, strict=True):
                    if dx is None:
                        continue
                    have = flowing.get(wire)
                    if have is None:
                        flowing[wire] = dx
                    elif wire in own:
                        have += dx
                    else:
                        flowing[wire] = np.add(have, dx, out=np.empty(have.shape, have.dtype))
                        own.add(wire)
            for key, value in own_grads.items():
                full = f"{owner}.{key}"
                before = grads.get(full)
                if before is None:
                    grads[full] = value
                else:  # another node of the same layer; while driven the owner's is the vector's
                    out = value if trusted else np.empty_like(value)
                    grads[full] = np.add(before, value, out=out)
        self.grads = flowing
        return {
            name: grads[name] if name in grads else np.zeros_like(value)
            for name, value in self.params.items()
        }

    def _output_gradients(self, dout: Any) -> dict[str, Array]:
        """`dout`, checked against the outputs, by wire."""
        if not self._ran:
            raise RuntimeError("Graph: backward before forward")
        outputs, _ = self._plan()
        parts = dout if len(outputs) > 1 else (dout,)
        if not isinstance(parts, tuple | list) or len(parts) != len(outputs):
            got = len(parts) if isinstance(parts, tuple | list) else f"a {type(parts).__name__}"
            raise ValueError(f"Graph: dout is {got}, expected a tuple of {len(outputs)} gradients")
        flowing: dict[str, Array] = {}
        for wire, part in zip(outputs, parts, strict=True):
            if part is None and len(outputs) > 1:
                continue
            y, part = self.values[wire], np.asarray(part)
            if part.shape != y.shape:
                raise ValueError(
                    f"Graph: dout has shape {part.shape}, expected {y.shape} as {wire!r}"
                )
            part = part if part.dtype == y.dtype else self._cast("dout", part, y.dtype)
            flowing[wire] = flowing[wire] + part if wire in flowing else part
        return flowing

    def _several(self, wires: tuple[str, ...], flowing: dict[str, Array]) -> Any:
        """The gradients of a node's outputs, zeros where nothing came; None if nothing at all."""
        if not any(wire in flowing for wire in wires):
            return None
        parts = [flowing.get(wire) for wire in wires]
        return tuple(
            [
                np.zeros_like(self.values[wire]) if part is None else part
                for wire, part in zip(wires, parts, strict=True)
            ]
        )

    def _input_gradient(self, name: str) -> Array | None:
        dx: Array | None = self.grads.get(name)
        x = self.values[name]
        if dx is None and x.dtype.kind == "f":
            dx = np.zeros_like(x)
        return dx

    def astype(self, dtype: npt.DTypeLike) -> Self:
        made = super().astype(dtype)
        made._ran, made.values, made.grads = False, {}, {}
        return made


def _array(x: Any) -> Any:
    """An input as an array; a number of Python's is a float64."""
    if isinstance(x, int | float) and not isinstance(x, np.generic):
        return np.asarray(x, np.float64)
    return np.asarray(x)


def _shape(x: Any) -> tuple[int, ...] | None:
    """What the gradient of x is shaped like; None if there is none."""
    return x.shape if x.dtype.kind == "f" else None


def _naming(name: str, error: Exception, args: list[Any], trusted: bool) -> Exception:
    """The error, naming the node, and the shapes if the layer is somebody else's."""
    shapes = "" if trusted else f" (inputs {', '.join(str(np.shape(arg)) for arg in args)})"
    return type(error)(f"{name}: {error}{shapes}")
