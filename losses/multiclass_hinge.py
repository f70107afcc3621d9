"""The multiclass support vector machine's loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from losses.base import Array
from losses.classes import ClassificationLoss, classes_first, entries, put


class MulticlassHinge(ClassificationLoss):
    """By how much every wrong class comes closer than `delta` to the right one's score, summed.

    Forward:  Lᵢ = Σ_{j≠y} max(0, sⱼ − s_y + δ)
    Backward: ∂Lᵢ/∂sⱼ = [sⱼ − s_y + δ > 0] for j ≠ y;  ∂Lᵢ/∂s_y = −Σ_{j≠y} [sⱼ − s_y + δ > 0]
    Shapes:   scores (N, C), y (N,) integers in 0..C−1 → one float
    Caches:   the margins max(0, sⱼ − s_y + δ).
    Errors:   TypeError for labels that are not integers; ValueError for delta ≤ 0, for a wrong
              shape, or for a label out of range, naming the first.
    Source:   Weston and Watkins, "Support vector machines for multi-class pattern recognition"
              (1999); the lecture's SVM loss.
    """

    def __init__(
        self, delta: float = 1.0, class_weights: Sequence[float] | Array | None = None
    ) -> None:
        super().__init__(class_weights)
        if not 0 < delta < np.inf:
            raise ValueError(f"MulticlassHinge: delta is {delta}, expected a finite number > 0")
        self.delta = float(delta)

    def sample_losses(self, scores: Array, y: Array) -> Array:
        margins = self.into("margins", classes_first, scores)
        self._own = self.own_class(margins, y)
        own_score = self.into("own score", entries, margins, self._own)
        margins = self.into("margins", np.subtract, margins, own_score)
        margins = self.into("margins", np.add, margins, self.delta)
        margins = self.into("margins", np.maximum, margins, 0)
        self._margins = self.into("margins", put, margins, self._own, 0)
        return self.into("losses", np.add.reduce, self._margins)

    def sample_gradients(self, factor: float | Array) -> Array:
        signs = self.into("signs", np.sign, self._margins)  # 1 where the margin is positive, else 0
        wrong = self.into("wrong", np.add.reduce, signs)
        signs = self.into("signs", put, signs, self._own, self.into("wrong", np.negative, wrong))
        return self.into("dscores", np.multiply, signs, factor).T

    def expected_first_loss(self, classes: int) -> float:
        """Every wrong class misses the margin by all of it: δ (C − 1)."""
        return self.delta * (classes - 1)
