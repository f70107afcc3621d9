"""Layers: each computes `forward` and, by hand, `backward`."""

from layers.base import Layer
from layers.linear import Linear
from layers.relu import ReLU
from layers.sequential import Sequential

__all__ = ["Layer", "Linear", "ReLU", "Sequential"]
