"""The 2-layer network, f = W₂ max(0, W₁ x)."""

import numpy as np

from examples.lecture.on_digits import digits, learn, show_scores
from examples.lecture.show import script
from layers import Linear, ReLU, Sequential


def values():
    """Weights learned on the digits; the scores of one image by the formula and by the layers."""
    net = Sequential(Linear(64, 100, rng=0), ReLU(), Linear(100, 10, rng=1)).astype(np.float64)
    accuracy = learn(net)
    x, y = (part[0] for part in digits()[1])
    W1, b1 = net.params["linear1.W"].T, net.params["linear1.b"]
    W2, b2 = net.params["linear2.W"].T, net.params["linear2.b"]
    f = W2 @ np.maximum(0, W1 @ x + b1) + b2
    return {"W1": W1, "W2": W2, "x": x, "y": y, "f": f,
            "net": net.forward(x[None])[0], "accuracy": accuracy}  # fmt: skip


def show():
    v = values()
    print(
        "f = W₂ max(0, W₁ x)      x ∈ ℝ^D, W₁ ∈ ℝ^{H×D}, W₂ ∈ ℝ^{C×H}      (in practice + b₁, b₂)"
    )
    print(f"                         x {v['x'].shape}, W₁ {v['W1'].shape}, W₂ {v['W2'].shape}")
    show_scores("f", v["f"], v["y"], v["net"], v["accuracy"])


if __name__ == "__main__":
    script(__doc__, show)
