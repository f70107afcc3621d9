"""The gates of arithmetic, and the patterns in how gradients flow through them."""

from __future__ import annotations

import numpy as np

from layers import initialize
from layers.base import Array, Gradients
from layers.gates.broadcasting import Gate, numbers, unbroadcast


class Add(Gate):
    """The sum of its inputs; backwards it distributes: each input gets the whole gradient.

    Forward:  y = x₁ + x₂ + …
    Backward: dxᵢ = dout, summed over the axes along which xᵢ was broadcast
    Shapes:   any that broadcast; any number of inputs
    Caches:   the shapes
    Errors:   ValueError when the shapes do not broadcast
    Source:   the lecture, "add gate: gradient distributor"
    """

    forward_rule = "z = x + y"
    backward_rule = "dx = dout, dy = dout"
    symbol = "+"

    def forward(self, *xs: Array) -> Array:
        xs = tuple(self.floats(xs))
        shape = self.common_shape(xs)
        y = np.empty(shape, xs[0].dtype)
        if len(xs) == 1:
            y[...] = xs[0]
        else:
            np.add(xs[0], xs[1], out=y)
        for x in xs[2:]:
            y += x
        return self.keep(y, [x.shape for x in xs])

    def backward(self, dout: Array) -> tuple[tuple[Array, ...], Gradients]:  # type: ignore[override]
        dout, shapes = self.recall(dout)
        return tuple([self.given_back(dout, shape) for shape in shapes]), {}


class Subtract(Gate):
    """The difference of two inputs.

    Forward:  z = x − y
    Backward: dx = dout,  dy = −dout
    Shapes:   any two that broadcast
    Caches:   the shapes
    Errors:   ValueError when the shapes do not broadcast
    """

    forward_rule = "z = x − y"
    backward_rule = "dx = dout, dy = −dout"
    symbol = "−"

    def forward(self, x: Array, y: Array) -> Array:  # type: ignore[override]
        x, y = self.floats((x, y))
        self.common_shape((x, y))
        z = self.into("z", np.subtract, x, y)
        return self.keep(z, x.shape, y.shape)

    def backward(self, dout: Array) -> tuple[tuple[Array, Array], Gradients]:  # type: ignore[override]
        dout, x_shape, y_shape = self.recall(dout)
        dy = self.into("dy", np.negative, dout)
        return (self.given_back(dout, x_shape), unbroadcast(dy, y_shape)), {}


class Multiply(Gate):
    """The product of two inputs, entry by entry; backwards it swaps: each gets the other's value.

    Forward:  z = x · y
    Backward: dx = dout · y,  dy = dout · x
    Shapes:   any two that broadcast
    Caches:   x, y
    Errors:   ValueError when the shapes do not broadcast
    Source:   the lecture, "mul gate: swap multiplier"
    """

    forward_rule = "z = x · y"
    backward_rule = "dx = dout · y, dy = dout · x"
    symbol = "×"

    def forward(self, x: Array, y: Array) -> Array:  # type: ignore[override]
        x, y = self.floats((x, y))
        self.common_shape((x, y))
        z = self.into("z", np.multiply, x, y)
        return self.keep(z, x, y)

    def backward(self, dout: Array) -> tuple[tuple[Array, Array], Gradients]:  # type: ignore[override]
        dout, x, y = self.recall(dout)
        dx = self.into("dx", np.multiply, dout, y)
        dy = self.into("dy", np.multiply, dout, x)
        return (unbroadcast(dx, x.shape), unbroadcast(dy, y.shape)), {}


class Divide(Gate):
    """The quotient of two inputs, entry by entry.

    Forward:  z = x / y
    Backward: dx = dout / y,  dy = −dout · z / y
    Shapes:   any two that broadcast
    Caches:   y, z and the shape of x
    Errors:   ValueError when the shapes do not broadcast
    """

    forward_rule = "z = x / y"
    backward_rule = "dx = dout / y, dy = −dout · z / y"
    symbol = "÷"

    def forward(self, x: Array, y: Array) -> Array:  # type: ignore[override]
        x, y = self.floats((x, y))
        self.common_shape((x, y))
        z = self.into("z", np.divide, x, y)
        return self.keep(self.fresh(z), z, y, x.shape)

    def backward(self, dout: Array) -> tuple[tuple[Array, Array], Gradients]:  # type: ignore[override]
        dout, z, y, x_shape = self.recall(dout)
        dx = self.into("dx", np.divide, dout, y)
        dy = self.into("dy", np.multiply, dx, z)
        np.negative(dy, out=dy)
        return (unbroadcast(dx, x_shape), unbroadcast(dy, y.shape)), {}


class Max(Gate):
    """The largest of its inputs, entry by entry; backwards it routes: the winner takes all.

    Forward:  y = max(x₁, x₂, …)
    Backward: dxᵢ = dout where xᵢ won, else 0; of equals the first wins
    Shapes:   any that broadcast; any number of inputs
    Caches:   who won: a mask an input, and the shapes
    Errors:   ValueError when the shapes do not broadcast
    Source:   the lecture, "max gate: gradient router"
    """

    forward_rule = "z = max(x, y)"
    backward_rule = "dx = dout where x won, dy = dout where y won"
    symbol = "max"

    def forward(self, *xs: Array) -> Array:
        xs = tuple(self.floats(xs))
        shape = self.common_shape(xs)
        y = np.empty(shape, xs[0].dtype)
        y[...] = xs[0]
        for x in xs[1:]:
            np.maximum(y, x, out=y)
        free = np.ones(shape, np.bool_)  # entries that nobody has won yet
        won = []
        for x in xs:
            mine = np.logical_and(free, x == y, out=np.empty(shape, np.bool_))
            free ^= mine
            won.append(mine)
        return self.keep(y, won, [x.shape for x in xs])

    def backward(self, dout: Array) -> tuple[tuple[Array, ...], Gradients]:  # type: ignore[override]
        dout, won, shapes = self.recall(dout)
        return tuple(
            [
                unbroadcast(self.into(f"dx{i}", np.multiply, dout, mask), shape)
                for i, (mask, shape) in enumerate(zip(won, shapes, strict=True))
            ]
        ), {}


class Copy(Gate):
    """Several outputs, all equal to the input; backwards their gradients add.

    Forward:  y₁ = y₂ = … = x, a tuple of n arrays
    Backward: dx = dout₁ + dout₂ + …; takes a tuple of n arrays, None for a gradient of zero
    Shapes:   any
    Caches:   the shape
    Errors:   ValueError when there are not n gradients, or they are not of the shape of x
    Source:   the lecture, "copy gate: gradient adder"

    In a Graph the outputs of a node `c` are the wires `c.0`, `c.1`, …; a wire read twice does
    the same without a gate.
    """

    forward_rule = "y₁ = y₂ = x"
    backward_rule = "dx = dout₁ + dout₂"
    symbol = "copy"

    def __init__(self, n: int = 2) -> None:
        super().__init__()
        initialize.check_sizes("Copy", n=n)
        self.n_outputs = n

    def forward(self, x: Array) -> tuple[Array, ...]:  # type: ignore[override]
        x = self.as_float(x)
        self.keep(x)
        return tuple([self.fresh(x) for _ in range(self.n_outputs)])

    def backward(self, dout: tuple[Array | None, ...]) -> tuple[Array, Gradients]:  # type: ignore[override]
        if self._cached is None:
            raise RuntimeError("Copy: backward before forward")
        if not isinstance(dout, tuple | list) or len(dout) != self.n_outputs:
            got = f"{len(dout)}" if isinstance(dout, tuple | list) else f"a {type(dout).__name__}"
            raise ValueError(f"Copy: dout is {got}, expected a tuple of {self.n_outputs} gradients")
        shape, dtype = self._cached[:2]
        dx = np.empty(shape, dtype)
        dx.fill(0)
        for part in dout:
            if part is not None:
                dx += self.recall(part)[0]
        return dx, {}


class Scale(Gate):
    """Multiplication by a constant.

    Forward:  y = a x
    Backward: dx = a · dout
    Shapes:   any
    Caches:   nothing
    Errors:   ValueError when a is not a finite number
    Source:   the lecture, the gate `ax` of the sigmoid neuron
    """

    forward_rule = "y = a x"
    backward_rule = "dx = a · dout"

    def __init__(self, a: float) -> None:
        super().__init__()
        (self.a,) = numbers("Scale", a=a)

    @property
    def symbol(self) -> str:  # type: ignore[override]
        return f"×{self.a:g}".replace("-", "−")

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        return self.keep(self.into("y", np.multiply, x, self.a))

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        (dout,) = self.recall(dout)
        return self.into("dx", np.multiply, dout, self.a), {}


class Shift(Gate):
    """Addition of a constant.

    Forward:  y = c + x
    Backward: dx = dout
    Shapes:   any
    Caches:   nothing
    Errors:   ValueError when c is not a finite number
    Source:   the lecture, the gate `c + x` of the sigmoid neuron
    """

    forward_rule = "y = c + x"
    backward_rule = "dx = dout"

    def __init__(self, c: float) -> None:
        super().__init__()
        (self.c,) = numbers("Shift", c=c)

    @property
    def symbol(self) -> str:  # type: ignore[override]
        return f"{self.c:+g}".replace("-", "−")

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        return self.keep(self.into("y", np.add, x, self.c))

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        (dout,) = self.recall(dout)
        return self.fresh(dout), {}
