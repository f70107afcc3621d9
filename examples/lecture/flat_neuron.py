"""“Flat” backprop: the sigmoid neuron."""

import numpy as np

from examples.lecture.show import script
from layers import Graph


def f(w0, x0, w1, x1, w2):
    """The slide's lines."""
    # forward pass: compute output
    s0 = w0 * x0
    s1 = w1 * x1
    s2 = s0 + s1
    s3 = s2 + w2
    L = 1 / (1 + np.exp(-s3))
    # backward pass: compute grads
    grad_L = 1.0
    grad_s3 = grad_L * (1 - L) * L  # sigmoid
    grad_w2 = grad_s3  # add gate
    grad_s2 = grad_s3
    grad_s0 = grad_s2  # add gate
    grad_s1 = grad_s2
    grad_w1 = grad_s1 * x1  # multiply gate
    grad_x1 = grad_s1 * w1
    grad_w0 = grad_s0 * x0  # multiply gate
    grad_x0 = grad_s0 * w0
    return L, (grad_w0, grad_x0, grad_w1, grad_x1, grad_w2)


def modular(*at):
    """The same as a graph of gates."""
    graph = Graph()
    w0, x0, w1, x1, w2 = graph.inputs("w0", "x0", "w1", "x1", "w2")
    graph.output((w0 * x0 + w1 * x1 + w2).sigmoid())
    return graph.forward(*at), graph.backward(1.0)[0]


def values(at=(2.0, -1.0, -3.0, -2.0, -3.0)):
    (L, grads), (y, dxs) = f(*at), modular(*at)
    return {"flat": (float(L), *map(float, grads)), "modular": (float(y), *map(float, dxs))}


def show():
    v = values()
    print("              flat         modular     difference")
    for name, flat, modular in zip(
        ("L", "grad_w0", "grad_x0", "grad_w1", "grad_x1", "grad_w2"), *v.values(), strict=True
    ):
        print(f"{name:8}{flat:14.10f}  {modular:14.10f}  {abs(flat - modular):9.1g}")


if __name__ == "__main__":
    script(__doc__, show)
