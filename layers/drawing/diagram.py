"""What a picture shows: boxes, the wires between them, and what is written on the wires."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from layers.base import Array
from layers.foreign import astype
from layers.summary import blank

BATCH = 7  # samples in the dry run that finds the shapes: that length is written as N
SHOWN = 4  # an array of up to so many numbers is written out, a larger one as its shape


@dataclass
class Box:
    """A node of the picture.

    kind: "input", "gate" (a circle), "layer" (a box) or "output"
    """

    kind: str
    text: str


@dataclass
class Diagram:
    """Boxes by name in topological order; edges (from, to, wire); what each wire carries."""

    boxes: dict[str, Box] = field(default_factory=dict)
    edges: list[tuple[str, str, str]] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    grads: dict[str, str] = field(default_factory=dict)
    shapes: bool = False  # whether the values are shapes


def diagram(net: Any, input_shape: tuple[Any, ...] | None = None) -> Diagram:
    """The picture of a container, those inside it taken apart.

    On the wires: the shapes for a batch of N samples of `input_shape`, if that is given; else
    the values and gradients of the last pass, of a graph; else nothing.
    """
    made = Diagram(shapes=input_shape is not None)
    wires: dict[str, str] = {}  # a wire: the box it comes from
    inputs = list(net.wiring().inputs)
    for name in inputs:
        made.boxes[name] = Box("input", name)
        wires[name] = name
    carried = _Carried(net, input_shape, inputs)
    for number, wire in enumerate(_place(made, wires, carried, net, "", inputs)):
        end = f"output {number + 1}"
        made.boxes[end] = Box("output", "")
        made.edges.append((wires[wire], end, wire))
    made.values |= carried.values
    made.grads |= carried.grads
    return made


class _Carried:
    """What is written on the wires."""

    def __init__(self, net: Any, input_shape: tuple[Any, ...] | None, inputs: list[str]) -> None:
        self.values: dict[str, str] = {}
        self.grads: dict[str, str] = {}
        self.dry = input_shape is not None
        if input_shape is None:
            return
        net = astype(net, net.dtype or np.float32)
        net.training = False
        xs = blank(input_shape, BATCH, net.dtype or np.float32)
        for name, x in zip(inputs, xs, strict=True):
            self.values[name] = _shape(x)
        for step in net.steps(*xs):
            if isinstance(step.y, tuple):
                for i, y in enumerate(step.y):
                    self.values[f"{step.name}.{i}"] = _shape(y)
            else:
                self.values[step.name] = _shape(step.y)

    def take(self, net: Any, prefix: str, renamed: dict[str, str]) -> None:
        """From a graph what flowed in its last pass."""
        for kind, texts in (("values", self.values), ("grads", self.grads)):
            for wire, array in ({} if self.dry else getattr(net, kind, {})).items():
                texts.setdefault(renamed.get(wire, f"{prefix}{wire}"), _value(array))


def _place(
    made: Diagram, wires: dict[str, str], carried: _Carried, net: Any, prefix: str, read: list[str]
) -> list[str]:
    """Add the boxes of a container that reads these wires; returns those that leave it."""
    wiring = net.wiring()
    renamed = dict(zip(wiring.inputs, read, strict=True))
    for name, inputs, outputs in wiring.nodes:
        child, full = net.children[name], f"{prefix}{name}"
        reads = [renamed[wire] for wire in inputs]
        if hasattr(child, "wiring"):
            inside = _place(made, wires, carried, child, f"{full}.", reads)
            renamed |= dict(zip(outputs, inside, strict=True))
            continue
        made.boxes[full] = _box(full, child)
        made.edges += [(wires[wire], full, wire) for wire in reads]
        for wire in outputs:
            renamed[wire] = f"{prefix}{wire}"
            wires[renamed[wire]] = full
    carried.take(net, prefix, renamed)
    return [renamed[wire] for wire in wiring.outputs]


def _box(name: str, layer: Any) -> Box:
    symbol = getattr(layer, "symbol", "")
    if symbol:
        return Box("gate", str(symbol))
    kind = type(layer).__name__
    sizes = [value.shape for key, value in (getattr(layer, "params", None) or {}).items()]
    text = f"{kind} {' × '.join(map(str, sizes[0]))}" if sizes and len(sizes[0]) > 1 else kind
    default = kind.lower()
    own = name.rpartition(".")[2]
    return Box("layer", text if own.rstrip("0123456789") == default else f"{own}\n{text}")


def _shape(array: Array) -> str:
    lengths = ["N" if i == 0 and n == BATCH else str(n) for i, n in enumerate(array.shape)]
    return f"({', '.join(lengths)}{',' * (len(lengths) == 1)})"


def _value(array: Any) -> str:
    """A few numbers as they are, to two places as on the slides; more as their shape."""
    if array is None:
        return ""
    if array.size > SHOWN or array.dtype.kind not in "fiub":
        return str(array.shape)
    return _numbers(array.tolist())


def _numbers(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_numbers, value))}]"
    text = f"{value:.2f}" if value == 0 or 0.01 <= abs(value) < 1e5 else f"{value:.2g}"
    return text.replace("-", "−")
