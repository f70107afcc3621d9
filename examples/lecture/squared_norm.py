"""A vectorized example: f(x, W) = ‖W · x‖² = Σᵢ (W · x)ᵢ²."""

import numpy as np

from examples.lecture.show import matrix, script
from layers import Graph


def graph():
    """The graph after both passes at the slide's W and x."""
    made = Graph()
    W, x = made.inputs("W", "x")
    made.output((W @ x).squared_norm())
    made.forward(np.array([[0.1, 0.5], [-0.3, 0.8]]), np.array([0.2, 0.4]))
    made.backward(1.0)
    return made


def values():
    """q = W x, f = ‖q‖², ∇_q f, ∇_W f and ∇_x f as they flowed through the graph."""
    passed = graph()
    value, grad = passed.values, passed.grads
    return {"W": value["W"], "x": value["x"], "q": value["matmul1"], "f": value["squarednorm1"],
            "dq": grad["matmul1"], "dW": grad["W"], "dx": grad["x"]}  # fmt: skip


def show():
    v = values()
    matrix("W", v["W"])
    matrix("x", v["x"].reshape(2, 1))
    matrix("q = W·x", v["q"].reshape(2, 1))
    print(f"f = q₁² + q₂² = {v['f']:.10g}\n")
    matrix("∇_q f = 2q", v["dq"].reshape(2, 1))
    matrix("∇_W f = 2q·xᵀ", v["dW"])
    matrix("∇_x f = 2Wᵀ·q", v["dx"].reshape(2, 1))


def draw(folder):
    graph().draw(folder / "squared_norm.png")
    return [folder / "squared_norm.png"]


if __name__ == "__main__":
    script(__doc__, show, draw)
