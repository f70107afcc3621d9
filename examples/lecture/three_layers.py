"""The 3-layer network, f = W₃ max(0, W₂ max(0, W₁ x))."""

import numpy as np

from examples.lecture.on_digits import digits, learn, show_scores
from examples.lecture.show import script
from layers import Linear, ReLU, Sequential


def values():
    """Weights learned on the digits; the scores of one image by the formula and by the layers."""
    net = Sequential(
        Linear(64, 100, rng=0), ReLU(), Linear(100, 50, rng=1), ReLU(), Linear(50, 10, rng=2)
    ).astype(np.float64)
    accuracy = learn(net)
    x, y = (part[0] for part in digits()[1])
    W1, W2, W3 = (net.params[f"linear{i}.W"].T for i in (1, 2, 3))
    b1, b2, b3 = (net.params[f"linear{i}.b"] for i in (1, 2, 3))
    f = W3 @ np.maximum(0, W2 @ np.maximum(0, W1 @ x + b1) + b2) + b3
    return {"W1": W1, "W2": W2, "W3": W3, "x": x, "y": y, "f": f,
            "net": net.forward(x[None])[0], "accuracy": accuracy}  # fmt: skip


def show():
    v = values()
    print("f = W₃ max(0, W₂ max(0, W₁ x))      W₁ ∈ ℝ^{H₁×D}, W₂ ∈ ℝ^{H₂×H₁}, W₃ ∈ ℝ^{C×H₂}")
    shapes = ", ".join(f"{name} {v[key].shape}"
                       for name, key in (("W₁", "W1"), ("W₂", "W2"), ("W₃", "W3")))  # fmt: skip
    print(f"                                    {shapes}")
    show_scores("f", v["f"], v["y"], v["net"], v["accuracy"])


if __name__ == "__main__":
    script(__doc__, show)
