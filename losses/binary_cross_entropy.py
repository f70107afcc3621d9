"""Sigmoid and cross-entropy in one, for one yes-or-no question or several at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from losses.base import Array, Loss


class BinaryCrossEntropy(Loss):
    """The negative logarithm of the probability that the sigmoid gives to the right answer.

    Forward:  Lᵢ = log(1 + exp(t)) = max(t, 0) + log(1 + exp(−|t|)),  t = −s if y = 1 else s
    Backward: ∂Lᵢ/∂s = σ(s) − y = ±σ(t)
    Shapes:   scores (N,) or (N, 1), y (N,) or (N, 1); or scores (N, K) and y (N, K), K questions
              per sample, the mean over all N·K. y holds the integers 0 and 1.
    Caches:   t and exp(−|t|).
    Errors:   TypeError for labels that are not integers; ValueError for a wrong shape, or for a
              label other than 0 and 1, naming the first.
    Source:   Bishop, "Pattern Recognition and Machine Learning" (2006), 4.3.2.

    `class_weights` are two: for the entries with y = 0 and with y = 1.
    """

    def __init__(self, class_weights: Sequence[float] | Array | None = None) -> None:
        self.class_weights = self.check_class_weights(class_weights)
        if self.class_weights is not None and len(self.class_weights) != 2:
            raise ValueError(
                f"BinaryCrossEntropy: {len(self.class_weights)} class_weights, expected two: "
                "for y = 0 and for y = 1"
            )

    def check_targets(self, scores: Array, y: Array) -> Array:
        if scores.ndim > 2:
            raise ValueError(
                f"{self.name}: scores have shape {scores.shape}, expected (N,), (N, 1) or (N, K)"
            )
        y = np.asarray(y)
        if y.dtype.kind not in "iu":
            raise TypeError(f"{self.name}: y has dtype {y.dtype}, expected integer labels 0 and 1")
        y = self.same_shape(y, scores)
        labels = y.ravel()
        if labels[labels.argmax()] > 1 or labels[labels.argmin()] < 0:
            first = int(((labels < 0) | (labels > 1)).argmax())
            where = ", ".join(str(i) for i in np.unravel_index(first, y.shape))
            raise ValueError(f"{self.name}: label {labels[first]} at y[{where}] is neither 0 nor 1")
        return y

    def entry_weights(
        self, scores: Array, y: Array, weights: npt.ArrayLike | None
    ) -> npt.NDArray[np.float64] | None:
        by_label = None if self.class_weights is None else self.class_weights[y]
        if weights is None:
            return by_label
        by_sample = self.over_entries(self.check_weights(weights, len(scores)), scores)
        return by_sample if by_label is None else by_label * by_sample

    def sample_losses(self, scores: Array, y: Array) -> Array:
        self._sign = self.into("sign", signs, y, scores.dtype)
        self._t = self.into("t", np.multiply, self._sign, scores)
        small = self.into("small", np.abs, self._t)
        small = self.into("small", np.negative, small)
        self._small = self.into("small", np.exp, small)
        losses = self.into("losses", np.maximum, self._t, 0)
        return self.into("losses", np.add, losses, self.into("log", np.log1p, self._small))

    def sample_gradients(self, factor: float | Array) -> Array:
        # σ(t) = 1 / (1 + exp(−|t|)) for t ≥ 0, exp(−|t|) / (1 + exp(−|t|)) for t < 0
        dscores = self.into("dscores", small_below_0, self._t, self._small)
        dscores = self.into("dscores", np.divide, dscores, self.into("sum", np.add, self._small, 1))
        dscores = self.into("dscores", np.multiply, dscores, self._sign)
        return self.into("dscores", np.multiply, dscores, factor)

    def replays_on(self, y: Array) -> bool:
        return self.class_weights is None

    def predict(self, scores: Array) -> Array:
        """1 where the score is above 0, that is the probability above ½; else 0."""
        answers: Array = np.where(np.asarray(scores) > 0, 1, 0)
        return answers

    def expected_first_loss(self, classes: int) -> float:
        """Both answers equally likely: log 2, however many questions."""
        return math.log(2)

    def __repr__(self) -> str:
        if self.class_weights is None:
            return f"{self.name}()"
        return f"{self.name}(class_weights={self.class_weights.tolist()})"


def signs(y: Array, dtype: np.dtype[Any], out: Array | None = None) -> Array:
    """1 where y = 0, −1 where y = 1."""
    out = np.empty(y.shape, dtype) if out is None else out
    return np.subtract(1, 2 * y.astype(np.int8), out=out, casting="unsafe")


def small_below_0(t: Array, small: Array, out: Array | None = None) -> Array:
    """exp(−|t|) where t < 0, 1 elsewhere."""
    out = np.empty_like(small) if out is None else out
    out.fill(1)
    np.copyto(out, small, where=t < 0)
    return out
