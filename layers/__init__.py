"""Layers: each computes `forward` and, by hand, `backward`."""

from layers.base import Layer
from layers.batch_norm import BatchNorm
from layers.dropout import Dropout
from layers.elu import ELU
from layers.flatten import Flatten
from layers.layer_norm import LayerNorm
from layers.linear import Linear
from layers.maxout import Maxout
from layers.relu import LeakyReLU, ReLU
from layers.sequential import Sequential
from layers.sigmoid import Sigmoid
from layers.softmax import Softmax
from layers.standardize import Standardize
from layers.tanh import Tanh

__all__ = [
    "ELU",
    "BatchNorm",
    "Dropout",
    "Flatten",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "Maxout",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Standardize",
    "Tanh",
]
