"""Backprop with matrices: y = x w, dL/dx = (dL/dy) wᵀ, dL/dw = xᵀ (dL/dy)."""

import numpy as np

from examples.lecture.show import matrix, script
from layers import MatMul

X = np.array([[2, 1, -3], [-3, 4, 2]])
W = np.array([[3, 2, 1, -1], [2, 1, 3, 2], [3, 2, 1, -2]])
DY = np.array([[2, 3, -3, 9], [-8, 1, 4, 6]])


def values():
    """y and both gradients by the gate, and dL/dx₀₁ by the slide's sum over a row of y."""
    gate = MatMul()
    y = gate.forward(X, W)
    (dx, dw), _ = gate.backward(DY)
    one = sum(DY[0, m] * W[1, m] for m in range(4))  # x₀₁ affects y₀ₘ, by w₁ₘ
    return {"x": X, "w": W, "y": y, "dy": DY, "dx": dx, "dw": dw, "dx01": one}


def show():
    v = values()
    print("y_{n,m} = Σ_d x_{n,d} w_{d,m}      N = 2, D = 3, M = 4")
    for name in ("x", "w", "y"):
        matrix(name, v[name])
    print("(the y on the slide, [13 9 −2 −6] [5 2 17 1], is a misprint)\n")
    matrix("dL/dy", v["dy"])
    matrix("dL/dx = (dL/dy) wᵀ", v["dx"])
    matrix("dL/dw = xᵀ (dL/dy)", v["dw"])
    print("\nx₀₁ affects the row y₀, each y₀ₘ by w₁ₘ:")
    terms = " + ".join(f"({d})({w})" for d, w in zip(DY[0], W[1], strict=True))
    print(f"dL/dx₀₁ = Σₘ dL/dy₀ₘ w₁ₘ = {terms} = {v['dx01']}")


if __name__ == "__main__":
    script(__doc__, show)
