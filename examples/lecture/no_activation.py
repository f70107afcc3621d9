"""Without an activation function, f = W₂ W₁ x is a linear classifier again."""

import numpy as np

from data import circle
from examples.lecture.show import matrix, script
from layers import Linear, ReLU, Sequential
from losses import SoftmaxCrossEntropy
from losses.objective import Objective
from optim import Adam
from solver import Solver


def values():
    """W₂ (W₁ x) and (W₂ W₁) x, and what training on a circle makes of it."""
    W1 = np.array([[1, -2, 0], [3, 1, -1], [0, 2, 2], [-1, 0, 1]])
    W2 = np.array([[1, 0, 2, -1], [0, -1, 1, 3]])
    x = np.array([1, 2, 3])
    W3 = W2 @ W1
    return {"W1": W1, "W2": W2, "W3": W3, "x": x, "two": W2 @ (W1 @ x), "one": W3 @ x,
            "without": accuracy(Sequential(Linear(2, 20, rng=0), Linear(20, 2, rng=1))),
            "with": accuracy(Sequential(Linear(2, 20, rng=0), ReLU(), Linear(20, 2, rng=1))),
            }  # fmt: skip


def accuracy(net):
    """On a circle around a smaller one, which no line separates."""
    solver = Solver(Objective(net, SoftmaxCrossEntropy()), Adam(0.01), epochs=30, quiet=True)
    train, test = circle(seed=0), circle(seed=1)
    solver.train((train.x, train.y))
    return solver.evaluate(test.x, test.y)[1]


def show():
    v = values()
    print("f = W₂ W₁ x      W₃ = W₂ W₁ ∈ ℝ^{C×D}, f = W₃ x      (the slide prints C×H by mistake)")
    for name, key in (("W₁", "W1"), ("W₂", "W2"), ("W₃", "W3"), ("x ", "x")):
        matrix(name, v[key])
    matrix("W₂ (W₁ x)", v["two"])
    matrix("W₃ x     ", v["one"])
    print("Points on a circle around a smaller one, 20 hidden neurons, accuracy:")
    print(f"  without an activation function  {100 * v['without']:5.1f} %")
    print(f"  with ReLU between W₁ and W₂     {100 * v['with']:5.1f} %")


if __name__ == "__main__":
    script(__doc__, show)
