"""Losses, and penalties on the weights."""

from losses.base import Loss
from losses.binary_cross_entropy import BinaryCrossEntropy
from losses.mean_squared_error import MSE
from losses.multiclass_hinge import MulticlassHinge
from losses.penalties import L1, L2, Penalty
from losses.softmax_cross_entropy import SoftmaxCrossEntropy

__all__ = [
    "L1",
    "L2",
    "MSE",
    "BinaryCrossEntropy",
    "Loss",
    "MulticlassHinge",
    "Penalty",
    "SoftmaxCrossEntropy",
]
