"""In discussion section, a matrix example: L = ‖max(0, X W₁) W₂‖²."""

import numpy as np

from examples.lecture.show import difference, matrix, script
from layers import Graph

X = np.array([[1.0, 2], [-1, 3]])
W1 = np.array([[1.0, -1, 2], [0, 1, -1]])
W2 = np.array([[1.0, 2], [-1, 1], [3, 0]])


def by_hand():
    """The answer to the slide's two questions."""
    z1 = X @ W1
    h1 = np.maximum(0, z1)
    y_hat = h1 @ W2
    L = np.sum(y_hat**2)
    dy_hat = 2 * y_hat
    dW2 = h1.T @ dy_hat
    dh1 = dy_hat @ W2.T
    dz1 = dh1 * (z1 > 0)
    dW1 = X.T @ dz1
    return {"z1": z1, "h1": h1, "ŷ": y_hat, "L": L, "∂L/∂W₂": dW2, "∂L/∂W₁": dW1}


def values():
    """By hand, and as a graph of gates."""
    graph = Graph()
    x, w1, w2 = graph.inputs("X", "W1", "W2")
    graph.output(((x @ w1).relu() @ w2).squared_norm())
    L = graph.forward(X, W1, W2)
    (_, dW1, dW2), _ = graph.backward(1.0)
    return {"hand": by_hand(), "graph": {"L": L, "∂L/∂W₂": dW2, "∂L/∂W₁": dW1}}


def show():
    v = values()
    hand, graph = v["hand"], v["graph"]
    for name, array in (("X", X), ("W₁", W1), ("W₂", W2)):
        matrix(name, array)
    matrix("z₁ = X W₁", hand["z1"])
    matrix("h₁ = ReLU(z₁)", hand["h1"])
    matrix("ŷ = h₁ W₂", hand["ŷ"])
    print(f"L = ‖ŷ‖² = {hand['L']:g}\n")
    matrix("∂L/∂W₂ = h₁ᵀ 2ŷ", hand["∂L/∂W₂"])
    matrix("∂L/∂W₁ = Xᵀ (2ŷ W₂ᵀ ∘ 1[z₁ > 0])", hand["∂L/∂W₁"])
    off = difference([hand[name] for name in graph], list(graph.values()))
    print(f"the graph of gates differs by {off:g}")


if __name__ == "__main__":
    script(__doc__, show)
