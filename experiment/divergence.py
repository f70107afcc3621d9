"""When training blows up: which layer and which tensor went first, and what the numbers say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from optim import Optimizer
from optim.clipping import euclidean_norm

Array = npt.NDArray[Any]
Samples = Sequence[int] | npt.NDArray[np.int64]

SHOWN = 3  # samples of a batch in a message
FEW = 8  # samples whose outputs are looked at after an epoch
GROWTH = 10.0  # times that the parameters' norm grew within an epoch: too large a learning rate
LONG = 8_000_000  # parameters from which the look at all of a gradient would cost too much a step
SWELLING = 1e3  # times that an output exceeds the input: too large weights at the start


class Diverged(ArithmeticError):
    """Something is NaN or infinite; the message names the first layer and tensor that is.

    epoch, step   where it was noticed, counted from 1
    samples       the indices of that step's batch in the training data
    """

    def __init__(self, message: str, epoch: int = 0, step: int = 0, samples: Samples = ()) -> None:
        super().__init__(message)
        self.epoch, self.step = epoch, step
        self.samples = [int(sample) for sample in samples]


class Examiner:
    """Looks at a training run for what is not finite, and raises Diverged where it finds it.

    The loss and the gradient of every step are looked at before they change a weight. What costs
    more is looked at after each epoch and before each checkpoint: the parameters, the optimizer's
    moments, and the outputs of all layers, where a ReLU may hide an infinity from the loss.
    """

    def __init__(self, objective: Any, optimizer: Any) -> None:
        self.objective, self.optimizer = objective, optimizer
        self._epoch, self._norm, self._first = 0, 0.0, True
        n, weights = objective.theta.size, objective.n_weights
        # Of a long gradient the biases: what is not finite in a dout is there too.
        self.watched = slice(weights if n >= LONG and weights < n else 0, None)

    def begin(self, epoch: int) -> None:
        """An epoch begins: what its growth is measured by."""
        self._epoch, self._norm = epoch, euclidean_norm(self.objective.theta)
        self._first = int(getattr(self.optimizer, "steps", 1)) == 0

    def step(self, loss: float, grad: Array, x: Array, samples: Samples, step: int) -> None:
        """Raise if the loss or the gradient is not finite, unless its square alone is."""
        if not math.isfinite(loss):
            what = f"loss is {loss}"
            where = first_not_finite(self.objective.net, x)
        else:
            what = "loss is finite, its gradient is not,"
            where = first_bad("gradient of", self._named(grad), backwards=True)
        if where:
            raise self._diverged(what, where, x, samples, step)

    def epoch(self, x: Array, samples: Samples, steps: int) -> None:
        """Raise if parameters, moments or the outputs on a few samples are not finite."""
        where = self._in_parameters()
        if not where:
            net, few = self.objective.net, x[:FEW]
            with net.evaluating():
                where = any_not_finite(net, few)
        if where:
            raise self._diverged("not finite", where, x, samples, steps - 1)

    def parameters(self, epoch: int, step: int) -> None:
        """Raise if parameters or moments are not finite: no checkpoint may hold such."""
        if where := self._in_parameters():
            raise Diverged(f"not finite in epoch {epoch + 1}, before step {step + 1}: {where}")

    def validation(self, loss: float, x: Any, epoch: int) -> Diverged:
        with self.objective.net.evaluating():
            where = first_not_finite(self.objective.net, np.asarray(x[: len(x)]))
        return Diverged(f"validation loss is {loss} in epoch {epoch}: {where}", epoch)

    def whole_set(self, what: str, x: Array) -> Diverged:
        return Diverged(f"{what}: {first_not_finite(self.objective.net, x)}")

    def _in_parameters(self) -> str:
        if not finite(self.objective.theta):
            return first_bad("parameter", self._named(self.objective.theta))
        moments = self.optimizer.state if isinstance(self.optimizer, Optimizer) else {}
        for name, vector in moments.items():
            if not finite(vector):
                return first_bad(
                    f"{type(self.optimizer).__name__}'s {name} of", self._named(vector)
                )
        return ""

    def _named(self, vector: Array) -> dict[str, Array]:
        """The parts of a vector that is laid out like theta, in the order of the layers."""
        parts = self.objective.beside(vector)
        return {name: parts[name][1] for name in self.objective.net.params}

    def _diverged(self, what: str, where: str, x: Array, samples: Samples, step: int) -> Diverged:
        text = f"{what} in epoch {self._epoch + 1}, step {step + 1}: {where} ({batch_of(samples)})"
        first = self._first and step == 0
        with np.errstate(all="ignore"):
            help = advice(self.objective.net, x, self.optimizer.lr, self._norm, first)
        return Diverged(f"{text}; {help}" if help else text, self._epoch + 1, step + 1, samples)


def finite(vector: Array) -> bool:
    """Whether every entry of a contiguous vector is: one pass, at the speed of the BLAS.

    A sum of squares that is finite has only finite terms; the other way round only the long way
    tells, since large entries overflow it.
    """
    return math.isfinite(np.dot(vector, vector)) or bool(np.isfinite(vector).all())


def first_not_finite(net: Any, x: Array) -> str:
    """`linear1: W holds nan`: the first tensor that is not finite, in the order of `forward`.

    Looks at the input, then at each layer's parameters and output on the batch `x`.
    """
    return any_not_finite(net, x) or "the loss, from finite scores"


def any_not_finite(net: Any, x: Array) -> str:
    """The same, or nothing if all are finite."""
    if bad := _bad(x):
        row = int(np.argmin(np.isfinite(x).reshape(len(x), -1).all(axis=1)))
        return f"the input x holds {bad} in row {row + 1} of the batch"
    with np.errstate(all="ignore"):
        for name, layer, _, y in net.steps(x):
            for key, value in (getattr(layer, "params", None) or {}).items():
                if bad := _bad(value):
                    return f"{name}: parameter {key} holds {bad}"
            for output in y if isinstance(y, tuple) else (y,):
                if bad := _bad(output):
                    return f"{name}: output holds {bad}"
    return ""


def first_bad(what: str, arrays: Mapping[str, Array], backwards: bool = False) -> str:
    """`linear2: gradient of W holds inf`, of arrays named `linear2.W`; nothing if all are finite.

    backwards: the last layer comes first, as in `backward`.
    """
    for name in reversed(list(arrays)) if backwards else arrays:
        if bad := _bad(arrays[name]):
            layer, _, key = name.rpartition(".")
            return f"{layer}: {what} {key} holds {bad}"
    return ""


def batch_of(samples: Samples) -> str:
    """`a batch of 64: samples 17, 3, 512, …`"""
    shown = ", ".join(str(int(i)) for i in samples[:SHOWN])
    return f"a batch of {len(samples)}: samples {shown}{', …' if len(samples) > SHOWN else ''}"


def advice(net: Any, x: Array, rate: float, before: float, first: bool) -> str:
    """What usually helps, if the numbers say so; else nothing.

    rate     the learning rate
    before   the parameters' norm when the epoch began
    first    no step was made yet: the weights are those that the run began with
    """
    now = _norm(value for _, layer, *_ in net.steps(x) for value in _params(layer))
    if before > 0 and not now <= GROWTH * before:
        return (
            f"the parameters' norm went from {before:.3g} to {now:.3g} in this epoch: "
            f"a learning rate below {rate:.3g} usually helps"
        )
    if not first or not np.isfinite(x).all():
        return ""
    size = _root_mean_square(x)
    for name, _, _, y in net.steps(x):
        grown = max(_root_mean_square(part) for part in (y if isinstance(y, tuple) else (y,)))
        if grown > SWELLING * max(size, 1e-30):
            return (
                f"the input's size is {size:.3g}, that of {name}'s output {grown:.3g}: "
                "smaller initial weights usually help"
            )
    return ""


def _params(layer: Any) -> list[Array]:
    return list((getattr(layer, "params", None) or {}).values())


def _norm(arrays: Any) -> float:
    return math.sqrt(sum(float(np.square(a, dtype=np.float64).sum()) for a in arrays))


def _root_mean_square(array: Array) -> float:
    return math.sqrt(float(np.mean(np.square(array, dtype=np.float64)))) if array.size else 0.0


def _bad(array: Array) -> str:
    good = np.isfinite(array)
    return "" if good.all() else str(array[~good][0])
