"""A network that is a graph: `net.nodes`, checked and built."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import layers
from experiment import schema
from experiment.errors import ConfigError, choices, inert
from experiment.layer import build_layer

INPUT = "x"  # the name by which nodes read the network's input
SHOWN = 8  # nodes of a cycle in a message


def check_nodes(nodes: Sequence[schema.AnyNode], output: str | None) -> None:
    """Raise ConfigError unless the nodes make a graph: names, inputs, no cycle, nothing unused."""
    if not nodes:
        raise ConfigError("net.nodes: is empty, expected at least one node")
    place: dict[str, int] = {}
    for i, node in enumerate(nodes):
        name = node.name
        if not name or "." in name or not name.isprintable():
            raise ConfigError(f"net.nodes[{i}].name: is {name!r}, expected a word without dots")
        if name == INPUT:
            raise ConfigError(f"net.nodes[{i}].name: {INPUT!r} is the network's input")
        if name in place:
            raise ConfigError(
                f"net.nodes[{i}].name: {name!r} is the name of net.nodes[{place[name]}] already"
            )
        place[name] = i
    for i, node in enumerate(nodes):
        _check_inputs(nodes, place, i, node)
    if output is not None and output not in place:
        raise ConfigError(f"net.output: unknown node {inert(output)!r}{choices(output, place)}")
    last = output or nodes[-1].name
    read = {name for node in nodes for name in reads(node)}
    for i, node in enumerate(nodes):
        if node.name not in read and node.name != last:
            raise ConfigError(
                f"net.nodes[{i}]: {node.name!r} is unused: no node reads it, "
                f"and the output is {last!r}"
            )
    if INPUT not in read:
        raise ConfigError(f"net.nodes: no node reads {INPUT!r}, the network's input")


def reads(node: schema.AnyNode) -> list[str]:
    """The names of what a node reads."""
    return [node.input] if node.input is not None else list(node.inputs or ())


def _check_inputs(
    nodes: Sequence[schema.AnyNode], place: dict[str, int], i: int, node: schema.AnyNode
) -> None:
    joins, where = isinstance(node, schema.Joining), f"net.nodes[{i}] {node.name!r}"
    kind = str(node.__struct_config__.tag)
    names = reads(node)
    if node.input is not None and node.inputs is not None:
        raise ConfigError(f"{where}: has input and inputs, expected one of them")
    if not names:
        example = 'inputs = ["fc1", "fc2"]' if joins else f'input = "{INPUT}"'
        raise ConfigError(f"{where}: reads nothing, expected e.g. {example}")
    if not joins and len(names) > 1:
        raise ConfigError(f"{where}: {kind} takes one input, got {len(names)}")
    if isinstance(node, schema.SubtractNode | schema.MultiplyNode) and len(names) != 2:
        raise ConfigError(f"{where}: {kind} takes two inputs, got {len(names)}")
    for name in names:
        if name != INPUT and name not in place:
            raise ConfigError(
                f"{where}: reads unknown node {inert(name)!r}{choices(name, [INPUT, *place])}"
            )
        if name != INPUT and place[name] >= i:
            cycle = _way(nodes, place, name, str(node.name))
            if cycle:
                shown = cycle if len(cycle) <= SHOWN else [*cycle[: SHOWN // 2], "…"]
                raise ConfigError(f"net.nodes: a cycle: {' → '.join([*shown, cycle[0]])}")
            raise ConfigError(
                f"{where}: reads {name!r}, which stands below it; expected nodes in the order "
                "in which they are computed"
            )


def _way(
    nodes: Sequence[schema.AnyNode], place: dict[str, int], start: str, goal: str
) -> list[str]:
    """From `goal` along the wires to `start`: the nodes on the way; nothing if there is none."""
    came: dict[str, str] = {start: ""}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name == goal:
            way = [name]
            while came[way[-1]]:
                way.append(came[way[-1]])
            return way
        for other in reads(nodes[place[name]]):
            if other in place and other not in came:
                came[other] = name
                waiting.append(other)
    return []


def build_graph(net: schema.Net, D: int, outputs: int, seed: int) -> layers.Graph:
    """The graph of `net.nodes` from D features to so many scores.

    Errors: ConfigError at inputs whose numbers of features do not fit.
    """
    nodes = net.nodes or []
    check_nodes(nodes, net.output)
    graph = layers.Graph()
    graph.input(INPUT)
    sizes = {INPUT: D}
    seeds = np.random.SeedSequence(seed).spawn(len(nodes))
    for i, (node, child) in enumerate(zip(nodes, seeds, strict=True)):
        names, name = reads(node), str(node.name)
        widths = [sizes[other] for other in names]
        layer: layers.Layer
        if isinstance(node, schema.Joining):
            layer, size = _joining(node, widths, net.dtype), widths[0]
            if isinstance(node, schema.ConcatNode):
                size = sum(widths)
            elif len(set(widths)) > 1:
                features = ", ".join(f"{n!r} {sizes[n]}" for n in names)
                raise ConfigError(
                    f"net.nodes[{i}] {name!r}: inputs of different numbers of features "
                    f"({features}), expected the same"
                )
        elif isinstance(node, schema.ScaleNode):
            layer, size = layers.Scale(node.a), widths[0]
        else:
            rng = np.random.default_rng(child)
            layer, size = build_layer(node, widths[0], outputs, rng, net.dtype)
        graph.add(layer, *names, name=name)
        sizes[name] = size
    last = net.output or str(nodes[-1].name)
    if sizes[last] != outputs:
        raise ConfigError(
            f"net.output: {last!r} has {sizes[last]} scores, expected {outputs}; "
            "a linear node without units has as many as are needed"
        )
    graph.output(last)
    return graph


def _joining(node: schema.Joining, widths: list[int], dtype: str) -> layers.Layer:
    match node:
        case schema.AddNode():
            return layers.Add()
        case schema.SubtractNode():
            return layers.Subtract()
        case schema.MultiplyNode():
            return layers.Multiply()
        case schema.MaxNode():
            return layers.Max()
        case schema.ConcatNode():
            return layers.Concat()
        case schema.WeightedSumNode():
            return layers.WeightedSum(len(widths), dtype=dtype)
