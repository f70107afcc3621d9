"""The function that training minimises: a network, a loss and penalties made one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Recorded(NamedTuple):
    """A step that was written down, and what it was a step of."""

    x: Array
    y: Array
    scale: float
    put_off: bool
    tape: Any
    factor: Array  # by which the tape multiplies the gradient by the scores

    def is_of(self, x: Array, y: Array, scale: float, put_off: bool) -> bool:
        same = self.x is x and self.y is y and self.put_off == put_off
        return same and (self.scale == 1) == (scale == 1)


class Objective:
    """The total loss as a function of all parameters θ of a network.

    Forward:  L(θ) = data loss(scores, y) + Σ penalties(W)
    Backward: ∂L/∂θ, one vector: the chain rule back through the network, plus the penalties'
    Shapes:   x (N, …), y (N, …);  theta and the gradient (P,)

    After a call `data_loss` and `penalty` hold the two parts. Penalties apply to the weights
    alone, which are `theta[:n_weights]`. `theta` is the network: writing into it changes the
    layers' parameters.
    """

    def __init__(self, net: Any, loss: Any, penalties: Sequence[Any] = ()) -> None:
        if not hasattr(net, "gather"):
            raise TypeError(
                f"Objective: net is a {type(net).__name__}, expected a container: Sequential(net)"
            )
        self.net = net
        self.loss = loss
        self.penalties = tuple(penalties)
        self._vector = net.gather()
        self.theta: Array = self._vector.theta
        self.n_weights: int = self._vector.n_weights
        self._W = self.theta[: self.n_weights]
        self._dW = self._vector.grad[: self.n_weights]
        # Somebody else's layer may add to its gradient what does not grow with dout.
        self.is_linear = self._vector.built_in
        self._driven = False
        self._recorded: Recorded | None = None
        # Of the last step, if its weights' gradients were put off: for each of the weights a call
        # with c, which makes W ← c W − (the gradient of W, times the scale).
        self.products: Sequence[Callable[[float], None]] = ()
        self.data_loss = float("nan")
        self.penalty = float("nan")

    def value(self, x: Array, y: Array, weights: Array | None = None) -> float:
        """The total loss; its two parts are left in `data_loss` and `penalty`."""
        data_loss = self._data_loss(x, y, weights)
        self.penalty = self.penalty_value()
        return data_loss + self.penalty

    def _data_loss(self, x: Array, y: Array, weights: Array | None) -> float:
        given = () if weights is None else (weights,)
        self.data_loss = self.loss.forward(self.net.forward(x), y, *given)
        return self.data_loss

    def penalty_value(self) -> float:
        """The penalties at the present weights."""
        total = 0.0
        for penalty in self.penalties:
            total += penalty.value(self._W)
        return total

    def value_and_grad(
        self, x: Array, y: Array, weights: Array | None = None
    ) -> tuple[float, Array]:
        """The total loss and its gradient by θ: a fresh vector, or, `driven`, always the same."""
        data_loss, grad = self.data_loss_and_grad(x, y, weights)
        self.penalty = self.penalty_value()
        dW = self._dW if self._driven else grad[: self.n_weights]
        for penalty in self.penalties:
            penalty.add_gradient(self._W, dW)
        return data_loss + self.penalty, grad

    def data_loss_and_grad(
        self,
        x: Array,
        y: Array,
        weights: Array | None = None,
        scale: float = 1.0,
        put_off: bool = False,
    ) -> tuple[float, Array]:
        """The same without the penalties, for an update that adds theirs.

        The gradient is multiplied with `scale`: the one by the scores is, and the chain rule
        hands it on. Driven, on the same two arrays as the call before, the step is replayed if it
        can be (layers/tape.py). Then `put_off` may leave out the weights' gradients: `products`
        are, if any, what is to be done to the weights instead.
        """
        step = self._recorded
        if step is not None and weights is None and step.is_of(x, y, scale, put_off):
            step.factor[...] = scale
            step.tape.play()
            self.data_loss = self.loss.mean()
        elif self._driven and weights is None and self._can_replay(x, y):
            self._record(x, y, scale, put_off)
        else:
            self._recorded, self.products = None, ()
            self._by_layers(x, y, weights, scale)
        grad: Array = self._vector.grad
        return self.data_loss, grad if self._driven else grad.copy()

    def _by_layers(self, x: Array, y: Array, weights: Array | None, scale: float) -> None:
        if not self._driven:
            self._still_one()
        self._data_loss(x, y, weights)
        dscores = self.loss.backward()
        if scale != 1:
            dscores = _times(dscores, scale)
        self._vector.collect(self.net.parameter_gradients(dscores))

    def _still_one(self) -> None:
        """Raise if a layer's parameter is no longer a view of theta."""
        if not self._vector.holds(self.net.params):
            raise RuntimeError(
                "Objective: a parameter of the net was replaced, by `params[...] = array` or by "
                "another Objective over the same layer; write into it: params[...][...] = array"
            )

    def beside(self, vector: Array) -> dict[str, tuple[Array, Array]]:
        """Each parameter by name with its part of a vector that is laid out like theta."""
        parts: dict[str, tuple[Array, Array]] = {}
        start = 0
        for name, view in self._vector.views.items():
            parts[name] = view, vector[start : start + view.size].reshape(view.shape)
            start += view.size
        return parts

    def _can_replay(self, x: Array, y: Array) -> bool:
        ours = type(self.loss).__module__.partition(".")[0] == __name__.partition(".")[0]
        return ours and self.loss.replays_on(y) and self.net.replays and type(x) is np.ndarray

    def _record(self, x: Array, y: Array, scale: float, put_off: bool) -> None:
        """A step by the layers, which write down the calls that it is made of."""
        tape = self._vector.write_tape(put_off)
        room = tape.room()
        step = Recorded(x, y, scale, put_off, tape, np.full((), scale, self.theta.dtype))
        self.loss._room = tape.room()
        try:
            self._data_loss(x, y, None)
            dscores = self.loss.backward()
            if scale != 1:
                dscores = room.into("dscores", times, dscores, step.factor)
            self.net.parameter_gradients(dscores)
        finally:
            self.loss._room = None
            self._vector.write_no_tape()
        self._recorded, self.products = step, tape.products

    @contextmanager
    def driven(self) -> Iterator[None]:
        """While inside, layers reuse their buffers: for a loop that reads each result at once."""
        self._still_one()
        with self._vector.driven():
            self._driven = True
            try:
                yield
            finally:
                self._driven, self._recorded, self.products = False, None, ()


def times(dscores: Array, factor: Array | float, out: Array | None = None) -> Array:
    """The product, row by row in memory, which the BLAS is quickest with."""
    product: Array = np.multiply(dscores, factor, out=out, order="C")
    return product


def _times(gradient: Any, scale: float) -> Any:
    """The gradient by the scores, or by each of several outputs, times a number."""
    if isinstance(gradient, tuple):
        return tuple(_times(part, scale) for part in gradient)
    return gradient if gradient is None else times(gradient, float(scale))
