"""Softmax and cross-entropy in one, computed from scores so that nothing over- or underflows."""

from __future__ import annotations

import math

import numpy as np

from losses.base import Array
from losses.classes import ClassificationLoss, classes_first, own_class, samples_first


class SoftmaxCrossEntropy(ClassificationLoss):
    """The negative logarithm of the probability that softmax gives to the right class.

    Forward:  Lᵢ = log Σⱼ exp(sⱼ − max s) − (s_y − max s)
    Backward: ∂Lᵢ/∂sⱼ = pⱼ − [j = y],  pⱼ = exp(sⱼ) / Σₖ exp(sₖ)
    Shapes:   scores (N, C), y (N,) integers in 0..C−1 → one float
    Caches:   exp(sⱼ − max s) and its sum over the classes.
    Errors:   TypeError for labels that are not integers; ValueError for a wrong shape, or for a
              label out of range, naming the first.
    Source:   the lecture's softmax loss; the shift by the maximum as in Blanchard, Higham and
              Higham, "Accurately computing the log-sum-exp and softmax functions" (2021).
    """

    def sample_losses(self, scores: Array, y: Array) -> Array:
        exp = classes_first(scores)
        self._own = own_class(exp, y)
        exp -= np.maximum.reduce(exp)  # over the classes, which are the first axis
        own_score = exp.ravel("K").take(self._own)
        np.exp(exp, out=exp)
        self._exp, self._sum = exp, np.add.reduce(exp)
        losses: Array = np.log(self._sum) - own_score
        return losses

    def sample_gradients(self, factor: float | Array) -> Array:
        dscores = self._exp * (factor / self._sum)
        dscores.ravel("K")[self._own] -= factor
        return samples_first(dscores)

    def expected_first_loss(self, classes: int) -> float:
        """All classes equally likely: log C."""
        return math.log(classes)
