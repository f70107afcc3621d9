"""Two layers as students hand them in, each with one mistake: see what gradcheck says of them.

python -m gradcheck examples/wrong_layers.py
"""

import numpy as np


class Linear:
    """y = x W + b; the batch's mean is taken where its sum belongs."""

    def __init__(self, D, M):
        rng = np.random.default_rng(0)
        self.params = {"W": rng.standard_normal((D, M)), "b": np.zeros(M)}

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, dout):
        dx = dout @ self.params["W"].T
        dW = self.x.T @ dout / len(dout)
        db = dout.sum(axis=0)
        return dx, {"W": dW, "b": db}


class BatchNorm:
    """y = γ x̂ + β; the path through the variance is forgotten."""

    def __init__(self, D):
        self.params = {"gamma": np.ones(D), "beta": np.zeros(D)}

    def forward(self, x):
        self.std = np.sqrt(x.var(axis=0) + 1e-5)
        self.xhat = (x - x.mean(axis=0)) / self.std
        return self.params["gamma"] * self.xhat + self.params["beta"]

    def backward(self, dout):
        dxhat = dout * self.params["gamma"]
        dx = (dxhat - dxhat.mean(axis=0)) / self.std
        return dx, {"gamma": (dout * self.xhat).sum(axis=0), "beta": dout.sum(axis=0)}


rng = np.random.default_rng(1)
gradcheck_cases = {
    "Linear": (Linear(5, 3), rng.standard_normal((4, 5))),
    "BatchNorm": (BatchNorm(3), rng.standard_normal((6, 3))),
}
