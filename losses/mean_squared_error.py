"""The loss of regression."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from losses.base import Array, Loss


class MSE(Loss):
    """The mean, over all entries of all samples, of the squared difference to the target.

    Forward:  L = 1/(N·D) Σ (s − y)²
    Backward: ∂L/∂s = 2 (s − y) / (N·D)
    Shapes:   scores (N, D) and y (N, D); (N,) stands for (N, 1). Any shape that starts with N.
    Caches:   s − y, in float64, so that large float32 differences do not overflow.
    Errors:   ValueError when y has another shape (nothing is broadcast); TypeError when y is
              not made of numbers.

    The score is R² = 1 − Σ (s − y)² / Σ (y − ȳ)², ȳ the mean of each column of y: 1 is perfect,
    0 is as good as the mean. Where y does not vary, it is 1 if nothing differs, else 0.
    """

    score_name = "R²"

    def check_targets(self, scores: Array, y: Array) -> Array:
        y = np.asarray(y)
        if y.dtype.kind not in "fiu":
            raise TypeError(f"{self.name}: y has dtype {y.dtype}, expected numbers")
        return self.same_shape(y, scores)

    def entry_weights(
        self, scores: Array, y: Array, weights: npt.ArrayLike | None
    ) -> npt.NDArray[np.float64] | None:
        if weights is None:
            return None
        return self.over_entries(self.check_weights(weights, len(scores)), scores)

    def sample_losses(self, scores: Array, y: Array) -> Array:
        self._dtype = scores.dtype
        wide = partial(np.subtract, dtype=np.float64)
        self._difference = self.into("difference", wide, scores, y)
        return self.into("losses", np.square, self._difference)

    def sample_gradients(self, factor: float | Array) -> Array:
        wide = self.into("wide", np.multiply, self._difference, 2)
        wide = self.into("wide", np.multiply, wide, factor)
        return self.into("dscores", narrowed, wide, self._dtype)

    def replays_on(self, y: Array) -> bool:
        return True

    def predict(self, scores: Array) -> Array:
        """The scores themselves."""
        return np.asarray(scores)

    def score(self, scores: Array, y: Array) -> float:
        """R², of the whole data set (it is not a mean over samples)."""
        scores = self.check_scores(scores)
        y = self.check_targets(scores, y).astype(np.float64)
        residual = float(np.sum(np.square(scores - y)))
        spread = float(np.sum(np.square(y - y.mean(axis=0))))
        if spread == 0:
            return 1.0 if residual == 0 else 0.0
        return 1 - residual / spread


def narrowed(array: Array, dtype: np.dtype[Any], out: Array | None = None) -> Array:
    """A copy in the type of the scores."""
    if out is None:
        return array.astype(dtype)
    np.copyto(out, array, casting="same_kind")
    return out
