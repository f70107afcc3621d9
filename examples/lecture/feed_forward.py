"""A feed-forward pass of a 3-layer network with sigmoids, 3 → 4 → 4 → 1."""

import numpy as np

from examples.lecture.show import matrix, script
from layers import Linear, Sequential, Sigmoid


def values():
    """The slide's lines as they stand, and the same network made of layers."""
    rng = np.random.default_rng(0)
    W1, b1 = rng.standard_normal((4, 3)), rng.standard_normal((4, 1))
    W2, b2 = rng.standard_normal((4, 4)), rng.standard_normal((4, 1))
    W3, b3 = rng.standard_normal((1, 4)), rng.standard_normal((1, 1))

    # forward-pass of a 3-layer neural network:
    f = lambda x: 1.0 / (1.0 + np.exp(-x))  # activation function (use sigmoid)  # noqa: E731
    x = rng.standard_normal((3, 1))  # random input vector of three numbers (3x1)
    h1 = f(np.dot(W1, x) + b1)  # calculate first hidden layer activations (4x1)
    h2 = f(np.dot(W2, h1) + b2)  # calculate second hidden layer activations (4x1)
    out = np.dot(W3, h2) + b3  # output neuron (1x1)

    net = Sequential(
        Linear(3, 4, rng=0), Sigmoid(), Linear(4, 4, rng=0), Sigmoid(), Linear(4, 1, rng=0)
    ).astype(np.float64)
    for name, W, b in (("linear1", W1, b1), ("linear2", W2, b2), ("linear3", W3, b3)):
        net.params[f"{name}.W"][...] = W.T  # the layers hold x as a row
        net.params[f"{name}.b"][...] = b[:, 0]
    return {"x": x, "h1": h1, "h2": h2, "out": out, "net": net.forward(x.T)}


def show():
    v = values()
    for name, formula in (
        ("x", "random input vector"),
        ("h1", "f(W1 x + b1)"),
        ("h2", "f(W2 h1 + b2)"),
        ("out", "W3 h2 + b3"),
    ):
        rows, columns = v[name].shape
        print(f"{name} ({rows}x{columns}), {formula}:")
        matrix(" " * 4 + f"{name}ᵀ", v[name].T, ".6f")
    print(f"Sequential(Linear, Sigmoid, …): {v['net'][0, 0]:.6f}, "
          f"differs by {abs(v['net'] - v['out']).max():.1g}")  # fmt: skip


if __name__ == "__main__":
    script(__doc__, show)
