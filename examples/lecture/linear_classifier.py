"""The linear score function, f = W x."""

import numpy as np

from examples.lecture.on_digits import digits, learn, show_scores
from examples.lecture.show import script
from layers import Linear, Sequential


def values():
    """W learned on the digits; the scores of one image by the slide's formula and by the layer."""
    net = Sequential(Linear(64, 10, rng=0)).astype(np.float64)
    accuracy = learn(net)
    x, y = (part[0] for part in digits()[1])
    W, b = net.params["linear1.W"].T, net.params["linear1.b"]  # the layer holds Wᵀ: y = x W + b
    f = W @ x + b
    return {"W": W, "x": x, "y": y, "f": f, "net": net.forward(x[None])[0], "accuracy": accuracy}


def show():
    v = values()
    print("f = W x      x ∈ ℝ^D, W ∈ ℝ^{C×D}      (in practice + b)")
    print(f"             x {v['x'].shape}, W {v['W'].shape}: D = 64 pixels, C = 10 digits")
    show_scores("f", v["f"], v["y"], v["net"], v["accuracy"])


if __name__ == "__main__":
    script(__doc__, show)
