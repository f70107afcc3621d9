"""Layers: each computes `forward` and, by hand, `backward`."""

from layers.base import Layer
from layers.batch_norm import BatchNorm
from layers.dropout import Dropout
from layers.elu import ELU
from layers.flatten import Flatten
from layers.gates import (
    Add,
    Concat,
    Copy,
    Divide,
    Exp,
    Log,
    MatMul,
    Max,
    Mean,
    Multiply,
    Power,
    Reciprocal,
    Reshape,
    Scale,
    Shift,
    SquaredNorm,
    Subtract,
    Sum,
    Transpose,
)
from layers.graph import Graph
from layers.layer_norm import LayerNorm
from layers.linear import Linear
from layers.maxout import Maxout
from layers.relu import LeakyReLU, ReLU
from layers.sequential import Sequential
from layers.sigmoid import Sigmoid
from layers.softmax import Softmax
from layers.standardize import Standardize
from layers.tanh import Tanh
from layers.weighted_sum import WeightedSum
from layers.wire import Wire

__all__ = [
    "ELU",
    "Add",
    "BatchNorm",
    "Concat",
    "Copy",
    "Divide",
    "Dropout",
    "Exp",
    "Flatten",
    "Graph",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "Log",
    "MatMul",
    "Max",
    "Maxout",
    "Mean",
    "Multiply",
    "Power",
    "ReLU",
    "Reciprocal",
    "Reshape",
    "Scale",
    "Sequential",
    "Shift",
    "Sigmoid",
    "Softmax",
    "SquaredNorm",
    "Standardize",
    "Subtract",
    "Sum",
    "Tanh",
    "Transpose",
    "WeightedSum",
    "Wire",
]
