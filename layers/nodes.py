"""What a graph is made of: its nodes and wires, checked while they are put together."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple, Self

import numpy.typing as npt

from layers.container import Container, Wiring
from layers.foreign import astype, built_in
from layers.nearest import nearest
from layers.sharing import twin
from layers.wire import Wire


class Node(NamedTuple):
    """A layer's place: the wires it reads, those it writes, and whose parameters it has.

    outputs: its own name, or `name.0`, `name.1`, … of a layer with several outputs
    owner:   the first node of the same layer
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    owner: str
    trusted: bool  # made of layers that inherit from Layer alone: no need to check its answers


class Nodes(Container):
    """The structure of a Graph, which adds the passes through it."""

    def __init__(self) -> None:
        # no params and state: they are the children's
        self.children: dict[str, Any] = {}
        self._inputs: list[str] = []
        self._nodes: dict[str, Node] = {}
        self._wires: dict[str, str] = {}  # a wire, and the node it comes from ("" of an input)
        self._chosen: tuple[str, ...] = ()  # the outputs that were asked for
        self._planned: tuple[tuple[str, ...], bool] | None = None  # see `_plan`
        self._placed: dict[int, str] | None = {}  # id of a layer or leaf: the node it stands at
        self._numbers: dict[str, int] = {}

    # -- building ----------------------------------------------------------------------

    def input(self, name: str) -> Wire:
        """A wire into the graph; `forward` takes its inputs in this order."""
        self._check_name("input", name)
        self._inputs.append(name)
        self._wires[name] = ""
        self._planned = None
        return Wire(self, name)

    def inputs(self, *names: str) -> tuple[Wire, ...]:
        """Several wires into the graph: `x, y = graph.inputs("x", "y")`."""
        return tuple([self.input(name) for name in names])

    def add(self, layer: Any, *inputs: Wire | str, name: str | None = None) -> Wire:
        """Put a layer at a node that reads these wires; returns the wire it writes."""
        if name is None:
            kind = type(layer).__name__.lower()
            number = self._numbers.get(kind, 0) + 1
            while f"{kind}{number}" in self._nodes or f"{kind}{number}" in self._wires:
                number += 1
            self._numbers[kind] = number
            name = f"{kind}{number}"
        else:
            self._check_name("node", name)
        self._taken(name, layer)
        if not inputs:
            raise ValueError(f"Graph: node {name!r} reads nothing, expected one input or more")
        read = tuple([self._wire(name, wire) for wire in inputs])
        self._check_number(name, layer, len(read))
        owner = self._place(name, layer)
        n = getattr(layer, "n_outputs", 1)
        outputs = (name,) if n == 1 else tuple(f"{name}.{i}" for i in range(n))
        leaves = layer.leaves() if isinstance(layer, Container) else [(name, layer)]
        trusted = all(built_in(leaf) for _, leaf in leaves)
        self.children[name] = layer if owner == name else twin(self.children[owner])
        self._nodes[name] = Node(name, read, outputs, owner, trusted)
        for wire in outputs:
            self._wires[wire] = name
        self._planned = None
        return Wire(self, name)

    def output(self, *wires: Wire | str) -> None:
        """Say which wires leave the graph; not needed if one node alone is read by no other."""
        if not wires:
            raise ValueError("Graph: output() names no wire, expected one or more")
        self._chosen = tuple([self._wire("the output", wire) for wire in wires])
        self._planned = None

    def outputs_of(self, name: str) -> tuple[str, ...]:
        """The wires of a node with several outputs; nothing for one wire."""
        node = self._nodes.get(name)
        return node.outputs if node is not None and len(node.outputs) > 1 else ()

    def _check_name(self, what: str, name: str) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"Graph: {what} named {name!r}, expected a word without dots")
        if name in self._wires or name in self._nodes:
            is_input = self._wires.get(name) == ""
            raise ValueError(
                f"Graph: {name!r} is the name of {'an input' if is_input else 'a node'} already, "
                f"expected another for the {what}"
            )

    def _wire(self, reader: str, wire: Wire | str) -> str:
        """The name of a wire that exists."""
        if isinstance(wire, Wire):
            if wire.graph is not self:
                raise ValueError(f"Graph: {reader} reads {wire.name!r} of another graph")
            name = wire.name
        else:
            name = wire
        if not isinstance(name, str):
            raise TypeError(f"Graph: {reader} reads {name!r}, expected a wire or its name")
        if name in self._wires:
            return name
        if name in self._nodes:
            outputs = " or ".join(self._nodes[name].outputs)
            raise ValueError(f"Graph: {reader} reads {name!r}, which has parts: expected {outputs}")
        raise ValueError(
            f"Graph: {reader} reads {name!r}, which does not exist (yet)"
            + nearest(name, self._wires)
        )

    def _check_number(self, name: str, layer: Any, n: int) -> None:
        """Raise unless the layer's `forward` takes so many inputs."""
        if "forward" in getattr(layer, "__dict__", {}):  # not that of its class: no telling
            return
        kind: Any = type(layer)
        least, most = _takes(kind)
        if not least <= n <= most:
            expected = f"{least}" if least == most else f"{least} to {most}"
            if most == math.inf:
                expected = f"{least} or more"
            raise ValueError(
                f"Graph: node {name!r} reads {n} wire{'s' * (n > 1)}, "
                f"expected {expected}, as {kind.__name__}.forward takes"
            )

    def _place(self, name: str, layer: Any) -> str:
        """The node that owns the layer's parameters: the first it was put at."""
        if self._placed is None:
            self._placed = {}
            for node in self._nodes.values():
                if node.owner == node.name:
                    for thing in _things(self.children[node.name]):
                        self._placed[id(thing)] = node.name
        owner = self._placed.get(id(layer))
        if owner is not None and self.children[owner] is layer:
            return owner
        things = _things(layer)
        for thing in things:
            if id(thing) in self._placed:
                raise ValueError(
                    f"Graph: {name} and {self._placed[id(thing)]} have one {type(thing).__name__} "
                    "in them; expected the same layer as a whole, or two"
                )
        for thing in things:
            self._placed[id(thing)] = name
        return name

    # -- the whole, checked once -------------------------------------------------------

    def _plan(self) -> tuple[tuple[str, ...], bool]:
        """The wires that leave the graph, and whether they are also read, or leave twice.

        Raises unless every input and every node leads to them.
        """
        if self._planned is not None:
            return self._planned
        if not self._nodes or not self._inputs:
            what = "nodes" if self._inputs else "inputs"
            raise ValueError(f"Graph: no {what}, expected at least one")
        read = {wire for node in self._nodes.values() for wire in node.inputs}
        loose = [node for node in self._nodes.values() if not read.intersection(node.outputs)]
        if not self._chosen and len(loose) > 1:
            names = ", ".join(node.name for node in loose)
            raise ValueError(
                f"Graph: nothing reads {names}; expected one such node, or output(…) to say which"
            )
        outputs = self._chosen or loose[0].outputs
        used = read.union(outputs)
        again = bool(read.union(self._inputs).intersection(outputs)) or len(set(outputs)) < len(
            outputs
        )
        for name in self._inputs:
            if name not in used:
                raise ValueError(f"Graph: input {name!r} is unused, expected a node that reads it")
        for node in loose:
            if not used.intersection(node.outputs):
                raise ValueError(
                    f"Graph: node {node.name!r} is unused, expected it to be read or an output"
                )
        self._planned = outputs, again
        return self._planned

    def wiring(self) -> Wiring:
        nodes = [(node.name, node.inputs, node.outputs) for node in self._nodes.values()]
        return Wiring(tuple(self._inputs), nodes, self._plan()[0])

    @property
    def n_outputs(self) -> int:
        return len(self._plan()[0])

    # -- the contract ------------------------------------------------------------------

    def _owners(self) -> Iterable[tuple[str, Any]]:
        return [
            (node.name, self.children[node.name])
            for node in self._nodes.values()
            if node.owner == node.name
        ]

    def astype(self, dtype: npt.DTypeLike) -> Self:
        made = copy.copy(self)
        made.children, made._placed = {}, None
        for node in self._nodes.values():
            made.children[node.name] = (
                astype(self.children[node.name], dtype)
                if node.owner == node.name
                else twin(made.children[node.owner])
            )
        for name in ("_inputs", "_nodes", "_wires", "_numbers"):
            setattr(made, name, copy.copy(getattr(self, name)))
        return made

    def __getstate__(self) -> dict[str, Any]:
        """A copy's layers are other objects."""
        return {**super().__getstate__(), "_placed": None}

    def __repr__(self) -> str:
        nodes = ", ".join(
            f"{node.name}={self.children[node.name]!r} ← {', '.join(node.inputs)}"
            for node in self._nodes.values()
        )
        return f"{self.name}({', '.join(self._inputs)}: {nodes})"


def _things(layer: Any) -> list[Any]:
    """A layer and what it is made of."""
    if not isinstance(layer, Container):
        return [layer]
    return [layer, *(thing for child in layer.children.values() for thing in _things(child))]


@lru_cache(maxsize=1024)
def _takes(kind: type) -> tuple[int, float]:
    """How many inputs `forward` takes, at least and at most; any number if it does not tell."""
    function = inspect.getattr_static(kind, "forward", None)
    if not inspect.isfunction(function):
        return 0, math.inf
    parameters = inspect.signature(function, follow_wrapped=False).parameters.values()
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    least = sum(p.default is p.empty for p in places) - 1  # without self
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return least, math.inf if variadic else len(places) - 1
