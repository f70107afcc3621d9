"""Update rules, learning-rate schedules and clipping, on plain contiguous vectors."""

from optim.adam import Adam, AdamW
from optim.base import Optimizer
from optim.clipping import clip_by_norm
from optim.lbfgs import LBFGS, LBFGSResult
from optim.rmsprop import RMSProp
from optim.schedules import (
    Constant,
    CosineDecay,
    ExponentialDecay,
    PlateauDecay,
    Schedule,
    StepDecay,
)
from optim.sgd import SGD

__all__ = [
    "LBFGS",
    "SGD",
    "Adam",
    "AdamW",
    "Constant",
    "CosineDecay",
    "ExponentialDecay",
    "LBFGSResult",
    "Optimizer",
    "PlateauDecay",
    "RMSProp",
    "Schedule",
    "StepDecay",
    "clip_by_norm",
]
