"""Wires of a graph, with which one is written like a formula."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from layers.gates import (
    Add,
    Divide,
    Exp,
    Log,
    MatMul,
    Max,
    Mean,
    Multiply,
    Power,
    Reciprocal,
    Reshape,
    Scale,
    Shift,
    SquaredNorm,
    Subtract,
    Sum,
    Transpose,
)
from layers.relu import ReLU
from layers.sigmoid import Sigmoid
from layers.tanh import Tanh

Number = int | float


class Wire:
    """What comes out of a node, or goes into the graph; `(x + y) * z` adds the nodes.

    Operators: + − * / with wires and numbers, ** with a number, @ with a wire.
    Of a node with several outputs `wire[0]`, `wire[1]`, … are the wires; it unpacks into them.
    """

    __slots__ = ("graph", "name")
    __array_ufunc__ = None  # an array on the left of an operator is refused, not spread out

    def __init__(self, graph: Any, name: str) -> None:
        self.graph = graph
        self.name = name

    def _gate(self, gate: Any, *others: Wire) -> Wire:
        made: Wire = self.graph.add(gate, self, *others)
        return made

    # -- operators ---------------------------------------------------------------------

    def __add__(self, other: Wire | Number) -> Wire:
        if isinstance(other, Wire):
            return self._gate(Add(), other)
        return self._gate(Shift(other)) if _is_number(other) else NotImplemented

    def __radd__(self, other: Number) -> Wire:
        return self + other

    def __sub__(self, other: Wire | Number) -> Wire:
        if isinstance(other, Wire):
            return self._gate(Subtract(), other)
        return self._gate(Shift(-other)) if _is_number(other) else NotImplemented

    def __rsub__(self, other: Number) -> Wire:
        return -self + other if _is_number(other) else NotImplemented

    def __mul__(self, other: Wire | Number) -> Wire:
        if isinstance(other, Wire):
            return self._gate(Multiply(), other)
        return self._gate(Scale(other)) if _is_number(other) else NotImplemented

    def __rmul__(self, other: Number) -> Wire:
        return self * other

    def __truediv__(self, other: Wire | Number) -> Wire:
        if isinstance(other, Wire):
            return self._gate(Divide(), other)
        if not _is_number(other):
            return NotImplemented
        if other == 0:
            raise ZeroDivisionError(f"{self.name} / 0")
        return self._gate(Scale(1 / other))

    def __rtruediv__(self, other: Number) -> Wire:
        if not _is_number(other):
            return NotImplemented
        one = self.reciprocal()
        return one if other == 1 else one * other

    def __pow__(self, p: Number) -> Wire:
        return self._gate(Power(p)) if _is_number(p) else NotImplemented

    def __matmul__(self, other: Wire) -> Wire:
        if not isinstance(other, Wire):
            return NotImplemented
        return self._gate(MatMul(), other)

    def __neg__(self) -> Wire:
        return self._gate(Scale(-1))

    # -- functions ---------------------------------------------------------------------

    def exp(self) -> Wire:
        return self._gate(Exp())

    def log(self) -> Wire:
        return self._gate(Log())

    def reciprocal(self) -> Wire:
        return self._gate(Reciprocal())

    def sigmoid(self) -> Wire:
        return self._gate(Sigmoid())

    def tanh(self) -> Wire:
        return self._gate(Tanh())

    def relu(self) -> Wire:
        return self._gate(ReLU())

    def maximum(self, *others: Wire) -> Wire:
        return self._gate(Max(), *others)

    def sum(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Wire:
        return self._gate(Sum(axis, keepdims=keepdims))

    def mean(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Wire:
        return self._gate(Mean(axis, keepdims=keepdims))

    def squared_norm(self) -> Wire:
        return self._gate(SquaredNorm())

    def reshape(self, shape: Sequence[int]) -> Wire:
        return self._gate(Reshape(shape))

    def transpose(self, axes: Sequence[int] | None = None) -> Wire:
        return self._gate(Transpose(axes))

    # -- several outputs ---------------------------------------------------------------

    def __getitem__(self, i: int) -> Wire:
        outputs = self.graph.outputs_of(self.name)
        if not outputs:
            raise TypeError(f"{self.name} is one wire, which has no parts")
        return Wire(self.graph, outputs[i])

    def __iter__(self) -> Iterator[Wire]:
        outputs = self.graph.outputs_of(self.name)
        if not outputs:
            raise TypeError(f"{self.name} is one wire, which has no parts")
        return iter([Wire(self.graph, name) for name in outputs])

    def __repr__(self) -> str:
        return f"Wire({self.name})"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
