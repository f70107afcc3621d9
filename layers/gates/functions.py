"""Gates that apply a function of one variable to every entry."""

from __future__ import annotations

import numpy as np

from layers.base import Array, Gradients
from layers.gates.broadcasting import Gate, numbers


class Exp(Gate):
    """The exponential.

    Forward:  y = eˣ
    Backward: dx = dout · y
    Shapes:   any
    Caches:   y
    Source:   the lecture, the gate `exp` of the sigmoid neuron
    """

    forward_rule = "y = eˣ"
    backward_rule = "dx = dout · y"
    symbol = "exp"

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        y = self.into("y", np.exp, x)
        return self.keep(self.fresh(y), y)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, y = self.recall(dout)
        return self.into("dx", np.multiply, dout, y), {}


class Log(Gate):
    """The natural logarithm, of what is above 0.

    Forward:  y = log x
    Backward: dx = dout / x
    Shapes:   any
    Caches:   x
    """

    forward_rule = "y = log x"
    backward_rule = "dx = dout / x"
    symbol = "log"

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        return self.keep(self.into("y", np.log, x), x)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, x = self.recall(dout)
        return self.into("dx", np.divide, dout, x), {}


class Reciprocal(Gate):
    """One over the input.

    Forward:  y = 1 / x
    Backward: dx = −dout · y²
    Shapes:   any
    Caches:   y
    Source:   the lecture, the gate `1/x` of the sigmoid neuron
    """

    forward_rule = "y = 1 / x"
    backward_rule = "dx = −dout / x²"
    symbol = "1/x"

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        y = self.into("y", np.reciprocal, x)
        return self.keep(self.fresh(y), y)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, y = self.recall(dout)
        dx = self.into("dx", np.multiply, y, y)
        dx *= dout
        return np.negative(dx, out=dx), {}


class Power(Gate):
    """The input to a constant power.

    Forward:  y = xᵖ
    Backward: dx = dout · p xᵖ⁻¹
    Shapes:   any
    Caches:   x
    Errors:   ValueError when p is not a finite number

    A negative x has no power but a whole one: NumPy warns and gives nan. For p = 0, dx = 0.
    """

    forward_rule = "y = xᵖ"
    backward_rule = "dx = dout · p xᵖ⁻¹"

    def __init__(self, p: float) -> None:
        super().__init__()
        (self.p,) = numbers("Power", p=p)

    @property
    def symbol(self) -> str:  # type: ignore[override]
        return f"^{self.p:g}".replace("-", "−")

    def forward(self, x: Array) -> Array:
        x = self.as_float(x)
        return self.keep(self.into("y", np.power, x, self.p), x)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, x = self.recall(dout)
        dx = np.empty(x.shape, x.dtype)
        if self.p == 0:
            dx.fill(0)
            return dx, {}
        np.power(x, self.p - 1, out=dx)
        dx *= self.p
        dx *= dout
        return dx, {}
