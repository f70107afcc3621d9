"""One single neuron: `neuron_tick` returns its firing rate."""

import math

import numpy as np

from examples.lecture.show import script
from layers import Linear, Sequential, Sigmoid


class Neuron:
    """The slide's class, with what it leaves out: the constructor and `self`."""

    def __init__(self, weights, bias):
        self.weights = weights
        self.bias = bias

    def neuron_tick(self, inputs):
        """assume inputs and weights are 1-D numpy arrays and bias is a number"""
        cell_body_sum = np.sum(inputs * self.weights) + self.bias
        firing_rate = 1.0 / (1.0 + math.exp(-cell_body_sum))  # sigmoid activation function
        return firing_rate  # noqa: RET504, the slide's lines


def values():
    """The neuron of the sigmoid circuit, w = (2, −3), b = −3, and a layer of one such neuron."""
    weights, bias, inputs = np.array([2.0, -3.0]), -3.0, np.array([-1.0, -2.0])
    layer = Sequential(Linear(2, 1, rng=0), Sigmoid()).astype(np.float64)
    layer.params["linear1.W"][:, 0] = weights
    layer.params["linear1.b"][...] = bias
    return {
        "weights": weights,
        "bias": bias,
        "inputs": inputs,
        "firing_rate": Neuron(weights, bias).neuron_tick(inputs),
        "layer": float(layer.forward(inputs[None])[0, 0]),
    }


def show():
    v = values()
    print(f"weights {v['weights']}, bias {v['bias']}, inputs {v['inputs']}")
    print("cell_body_sum = Σ inputs · weights + bias, firing_rate = 1 / (1 + e^−cell_body_sum)")
    print(f"firing_rate             {v['firing_rate']:.10f}")
    print(f"Linear(2, 1), Sigmoid   {v['layer']:.10f}")


if __name__ == "__main__":
    script(__doc__, show)
