"""Softmax and cross-entropy in one, computed from scores so that nothing over- or underflows."""

from __future__ import annotations

import math

import numpy as np

from losses.base import Array
from losses.classes import ClassificationLoss, classes_first, constant, entries, less


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
        exp = self.into("exp", classes_first, scores)
        self._own = self.own_class(exp, y)
        highest = self.into("highest", np.maximum.reduce, exp)  # over the classes: the first axis
        exp = self.into("exp", np.subtract, exp, highest)
        own_score = self.into("own score", entries, exp, self._own)
        self._exp = self.into("exp", np.exp, exp)
        ones = constant(1, len(exp), exp.dtype)  # 1ᵀ exp, quicker than NumPy's sum
        self._sum = self.into("sum", np.dot, ones, self._exp)
        losses = self.into("losses", np.log, self._sum)
        return self.into("losses", np.subtract, losses, own_score)

    def sample_gradients(self, factor: float | Array) -> Array:
        if isinstance(factor, float):
            factor = constant(factor, len(self._sum), self._sum.dtype)
        scale = self.into("scale", np.divide, factor, self._sum)
        dscores = self.into("dscores", np.multiply, self._exp, scale)
        return self.into("dscores", less, dscores, self._own, factor).T

    def expected_first_loss(self, classes: int) -> float:
        """All classes equally likely: log C."""
        return math.log(classes)
