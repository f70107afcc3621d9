"""The function that training minimises: a network, a loss and penalties made one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Recorded(NamedTuple):
    """A step that was written down, and what it was a step of."""

    x: Array
    y: Array
    put_off: bool
    tape: Any
    total: Array  # of its losses, which are `size`
    size: int

    def is_of(self, x: Array, y: Array, put_off: bool) -> bool:
        return self.x is x and self.y is y and self.put_off == put_off


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
        self.data_loss = float("nan")
        self.penalty = float("nan")
        self._gather()

    def _gather(self) -> None:
        self._vector = self.net.gather()
        self.theta: Array = self._vector.theta
        self.n_weights: int = self._vector.n_weights
        self._W = self.theta[: self.n_weights]
        self._dW = self._vector.grad[: self.n_weights]
        self._driven = False
        self._recorded: Recorded | None = None
        # Of the last step the weights' gradients, if they were put off (blas.Product).
        self.products: Sequence[Any] = ()

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
        self, x: Array, y: Array, weights: Array | None = None, put_off: bool = False
    ) -> tuple[float, Array]:
        """The same without the penalties, for an update that adds theirs.

        Driven, on the same two arrays as the call before, the step is replayed if it can be
        (layers/tape.py); labels are looked at in the first step only. If `put_off`, the weights'
        gradients may be left out: then `products` are to be added to what they are added to.
        """
        step = self._recorded
        if step is not None and weights is None and step.is_of(x, y, put_off):
            step.tape.play()
            self.data_loss = float(step.total) / step.size
        else:
            self._forget()
            if self._driven and weights is None and self.replays(x, y):
                self._record(x, y, put_off)
            else:
                self._by_layers(x, y, weights)
        grad: Array = self._vector.grad
        return self.data_loss, grad if self._driven else grad.copy()

    def _forget(self) -> None:
        self._recorded, self.products = None, ()

    def _by_layers(self, x: Array, y: Array, weights: Array | None) -> None:
        if not self._driven:
            self._still_one()
        self._data_loss(x, y, weights)
        self._vector.collect(self.net.parameter_gradients(self.loss.backward()))

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

    def replays(self, x: Any, y: Array) -> bool:
        """Whether steps on such samples can be replayed: all is this project's, and as written."""
        loss = self.loss
        ours = type(loss).__module__.partition(".")[0] == __name__.partition(".")[0]
        as_written = ours and not any(map(callable, vars(loss).values()))
        return as_written and loss.replays_on(y) and type(x) is np.ndarray and self.net.replays

    def _record(self, x: Array, y: Array, put_off: bool) -> None:
        """A step by the layers, which write down the calls that it is made of."""
        tape = self._vector.write_tape(put_off and type(self) is Objective)
        self.loss._room = tape.room()
        try:
            self._data_loss(x, y, None)
            self.net.parameter_gradients(self.loss.backward())
        finally:
            self.loss._room = None
            self._vector.write_no_tape()
        total, size = self.loss._total, self.loss._size
        self._recorded = Recorded(x, y, put_off, tape, total, size)
        self.products = tape.products

    def __getstate__(self) -> dict[str, Any]:
        """A copy's vector is that of its network."""
        gathered = ("_vector", "theta", "_W", "_dW", "_recorded", "products")
        return {key: value for key, value in self.__dict__.items() if key not in gathered}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._gather()

    @contextmanager
    def driven(self) -> Iterator[None]:
        """While inside, gradients are written in place, and a step like the one before is replayed:
        for a loop that reads each result at once. What a layer is must not change meanwhile, but
        for its parameters.
        """
        self._still_one()
        self.net.gather()
        with self._vector.driven():
            self._driven = True
            try:
                yield
            finally:
                self._driven = False
                self._forget()
