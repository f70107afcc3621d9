"""What the losses over classes share: checked labels, class weights, and a quick layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from blas import made_again
from losses.base import Array, Loss

# Up to here a (C, N) copy of the scores pays; beyond, rows are long enough for NumPy as they are.
FEW_CLASSES = 100


class ClassificationLoss(Loss):
    """A loss of scores (N, C) and integer labels y (N,) in 0..C−1.

    `class_weights`, one per class, multiply the weights of the samples: wᵢ ← wᵢ · c[yᵢ].
    """

    def __init__(self, class_weights: Sequence[float] | Array | None = None) -> None:
        self.class_weights = self.check_class_weights(class_weights)

    def check_targets(self, scores: Array, y: Array) -> Array:
        if scores.ndim != 2:
            raise ValueError(f"{self.name}: scores have shape {scores.shape}, expected (N, C)")
        samples, classes = scores.shape
        y = np.asarray(y)
        if y.dtype.kind not in "iu":
            raise TypeError(
                f"{self.name}: y has dtype {y.dtype}, expected integer labels 0..{classes - 1}"
            )
        if y.shape != (samples,):
            raise ValueError(f"{self.name}: y has shape {y.shape}, expected ({samples},)")
        # argmax and argmin are several times quicker than max and min on a small array.
        if y[y.argmax()] >= classes or y[y.argmin()] < 0:
            first = int(((y < 0) | (y >= classes)).argmax())
            raise ValueError(
                f"{self.name}: label {y[first]} at y[{first}] is not in 0..{classes - 1} "
                f"(scores have {classes} classes)"
            )
        return y.astype(np.intp, copy=False)

    def replays_on(self, y: Array) -> bool:
        return self.class_weights is None and y.dtype == np.intp

    def own_class(self, by_class: Array, y: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Where each sample's own class stands in `by_class.ravel("K")`."""
        classes, samples = by_class.shape
        if by_class.flags.c_contiguous:
            position = self.into("own", np.multiply, y, constant(samples, len(y), y.dtype))
            return self.into("own", np.add, position, steps(samples))
        return self.into("own", np.add, y, steps(samples, classes))

    def entry_weights(
        self, scores: Array, y: Array, weights: npt.ArrayLike | None
    ) -> npt.NDArray[np.float64] | None:
        sample_weights = super().entry_weights(scores, y, weights)
        if self.class_weights is None:
            return sample_weights
        if len(self.class_weights) != scores.shape[1]:
            raise ValueError(
                f"{self.name}: {len(self.class_weights)} class_weights, "
                f"but scores have {scores.shape[1]} classes"
            )
        by_label: npt.NDArray[np.float64] = self.class_weights[y]
        return by_label if sample_weights is None else by_label * sample_weights

    def __repr__(self) -> str:
        if self.class_weights is None:
            return f"{self.name}()"
        return f"{self.name}(class_weights={self.class_weights.tolist()})"


def classes_first_again(scores: Array, out: Array) -> Callable[[], Any]:
    return partial(np.copyto, out, scores.T)


@made_again(classes_first_again)
def classes_first(scores: Array, out: Array | None = None) -> Array:
    """A copy of the scores, (C, N): what is done over the classes is done down the first axis.

    NumPy takes the maximum or the sum of ten numbers one row at a time, but of ten rows with
    vector instructions: with few classes the copy is laid out in memory as (C, N) too.
    """
    if out is None:
        return scores.T.copy(order="C" if scores.shape[1] <= FEW_CLASSES else "F")
    np.copyto(out, scores.T)
    return out


def entries_again(by_class: Array, own: Array, out: Array | None) -> Callable[[], Any]:
    return partial(by_class.ravel("K").take, own, None, out, "clip")


@made_again(entries_again)
def entries(by_class: Array, own: npt.NDArray[np.intp], out: Array | None = None) -> Array:
    """The entry of each sample's own class."""
    taken: Array = entries_again(by_class, own, out)()
    return taken


def put(by_class: Array, own: Array, value: Array | float, out: Array | None = None) -> Array:
    """Another value for the entry of each sample's own class, in place."""
    by_class.ravel("K")[own] = value
    return by_class


def less_again(by_class: Array, own: Array, value: Any, out: Array) -> Callable[[], Any]:
    flat = by_class.ravel("K")

    def take() -> None:
        flat[own] -= value

    return take


@made_again(less_again)
def less(by_class: Array, own: Array, value: float | Array, out: Array | None = None) -> Array:
    """`value` taken from the entry of each sample's own class, in place."""
    less_again(by_class, own, value, by_class)()
    return by_class


@lru_cache(maxsize=4)
def constant(value: float, length: int, dtype: np.dtype[Any]) -> Array:
    """An array of one number, with which NumPy is quicker than with the number."""
    array = np.full(length, value, dtype)
    array.flags.writeable = False
    return array


@lru_cache(maxsize=4)
def steps(samples: int, step: int = 1) -> npt.NDArray[np.intp]:
    """0, step, 2 step, …; batches mostly have one size."""
    return np.arange(0, samples * step, step)
