"""One layer, from its section of a configuration."""

from __future__ import annotations

import numpy as np

import layers
from experiment import schema

ACTIVATIONS: dict[str, type[layers.Layer]] = {
    "relu": layers.ReLU,
    "leaky_relu": layers.LeakyReLU,
    "elu": layers.ELU,
    "sigmoid": layers.Sigmoid,
    "tanh": layers.Tanh,
}


def build_layer(
    section: schema.AnyLayer, size: int, outputs: int, rng: np.random.Generator, dtype: str
) -> tuple[layers.Layer, int]:
    """One layer for an input of `size` features, and the number of features it gives out."""
    match section:
        case schema.LinearLayer(units, init, bias):
            M = units or outputs
            return layers.Linear(size, M, rng=rng, init=init, bias=bias, dtype=dtype), M
        case schema.MaxoutLayer(units, pieces, init):
            M = units or outputs
            return layers.Maxout(size, M, pieces=pieces, rng=rng, init=init, dtype=dtype), M
        case schema.LeakyReLULayer(slope):
            return layers.LeakyReLU(slope), size
        case schema.ELULayer(alpha):
            return layers.ELU(alpha), size
        case schema.DropoutLayer(drop):
            return layers.Dropout(drop, rng=rng), size
        case schema.BatchNormLayer():
            return layers.BatchNorm(size, dtype=dtype), size
        case schema.LayerNormLayer():
            return layers.LayerNorm(size, dtype=dtype), size
        case schema.SoftmaxLayer():
            return layers.Softmax(), size
        case schema.FlattenLayer():
            return layers.Flatten(), size
        case _:
            return ACTIVATIONS[str(section.__struct_config__.tag)](), size
