"""A training step written down as the calls it is made of, so that they can be made again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from blas import Product, again, at_line, matmul
from layers.base import Array

# NumPy 2.4 warns of an `out` that is not named.
BY_NAME_ALONE = (np.maximum, np.minimum)

Call = Callable[[], Any]


class Tape:
    """The calls of one step, in order, on arrays that stay.

    A step at one shape of batch makes the same calls on the same arrays each time; only what
    the arrays hold is another. The layers make the first, with their checks, and each call of
    `Layer.into` is written down; `play` makes the next.

    put_off: the products x.T @ dout that are gradients of weights are not made, but kept in
    `products`, to be added to what an update rule adds them to.
    """

    def __init__(self, put_off: bool = False) -> None:
        self.put_off = put_off
        self.calls: list[Call] = []
        self.products: list[Product] = []
        self.results: dict[int, Array] = {}  # by id: what the next layer may write over

    def room(self) -> Room:
        """A room for one whose results have no place yet."""
        return Room({}, self)

    def play(self) -> None:
        for call in self.calls:
            call()


class Room:
    """Where a layer or a loss writes while it is driven.

    places: the arrays that its results of these names are written into: its gradients' parts of
    the network's one vector. With a tape every result gets a place.
    starts: the entries of that vector at which the gradients of weights begin.
    """

    def __init__(
        self,
        places: dict[str, Array],
        tape: Tape | None = None,
        starts: dict[str, int] | None = None,
    ) -> None:
        self.places, self.tape, self.starts = places, tape, starts or {}

    def into(
        self,
        name: str,
        operation: Callable[..., Any],
        *operands: Any,
        over: Array | None = None,
    ) -> Any:
        """operation(*operands), in the place of that name if there is one.

        over: an array to write over, if it is a result on the tape that no layer still uses.
        """
        tape = self.tape
        if tape is not None and id(over) in tape.results:
            self.places[name] = tape.results[id(over)]
        out = self.places.get(name)
        if out is not None:
            operation(*operands, out=out)
        else:
            out = operation(*operands)
            if tape is not None:
                in_place = any(out is operand for operand in operands)
                out = self.places[name] = out if in_place else at_line(np.asarray(out))
        if tape is not None:
            tape.results[id(out)] = out
            tape.calls.append(call(operation, operands, out))
        return out

    def product(self, name: str, A: Array, B: Array) -> Any:
        """The gradient A B of a weight in its place; put off, it is not made."""
        if self.tape is None or not self.tape.put_off:
            return self.into(name, matmul, A, B)
        self.tape.products.append(Product(A, B, self.starts[name]))
        return self.places[name]

    def in_use(self, array: Array) -> Array:
        """The array, which its layer goes on using though it is a result."""
        if self.tape is not None:
            self.tape.results.pop(id(array), None)
        return array


def call(operation: Any, operands: tuple[Any, ...], out: Array) -> Call:
    """The call to be made again, in the form that costs Python least."""
    by = again(operation)
    if by is not None:
        return by(*operands, out)
    if isinstance(operation, np.ufunc) and operation not in BY_NAME_ALONE:
        return partial(operation, *operands, out)
    if len(operands) == 1:
        (a,) = operands
        return lambda: operation(a, out=out)
    if len(operands) == 2:
        a, b = operands
        return lambda: operation(a, b, out=out)
    return partial(operation, *operands, out=out)
