"""“Flat” backprop: the two-layer net with softmax."""

import numpy as np

from examples.lecture.show import script
from layers import Linear, ReLU, Sequential
from losses import SoftmaxCrossEntropy


def two_layers(W1, W2, b1, b2, X, y):
    """W₁ (D, H), W₂ (H, C), X (N, D), y (N,): the loss, and the gradients of W₁, b₁, W₂, b₂."""
    N = len(X)
    # forward pass:
    h1 = np.maximum(0, X @ W1 + b1)
    scores = h1 @ W2 + b2
    shifted = scores - np.max(scores, axis=1, keepdims=True)  # so that nothing overflows
    exp = np.exp(shifted)
    total = np.sum(exp, axis=1)
    loss = np.sum(np.log(total) - shifted[np.arange(N), y]) / N
    # backward pass:
    dscores = exp / (total[:, None] * N)
    dscores[np.arange(N), y] -= 1 / N
    dh1, dW2, db2 = dscores @ W2.T, h1.T @ dscores, np.sum(dscores, axis=0)
    dz1 = dh1 * (h1 > 0)
    dW1, db1 = X.T @ dz1, np.sum(dz1, axis=0)
    return loss, {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}


def modular(W1, W2, b1, b2, X, y):
    """The same made of layers and a loss."""
    net = Sequential(Linear(*W1.shape, rng=0), ReLU(), Linear(*W2.shape, rng=0)).astype(np.float64)
    for i, W, b in ((1, W1, b1), (2, W2, b2)):
        net.params[f"linear{i}.W"][...], net.params[f"linear{i}.b"][...] = W, b
    softmax = SoftmaxCrossEntropy()
    loss = softmax.forward(net.forward(X), y)
    _, grads = net.backward(softmax.backward())
    return loss, {f"d{name}{i}": grads[f"linear{i}.{name}"] for i in (1, 2) for name in ("W", "b")}


def values(N=200, D=30, H=50, C=10):
    rng = np.random.default_rng(0)
    W1, W2 = 0.2 * rng.standard_normal((D, H)), 0.2 * rng.standard_normal((H, C))
    b1, b2 = rng.standard_normal(H), rng.standard_normal(C)
    X, y = rng.standard_normal((N, D)), rng.integers(C, size=N)
    both = [way(W1, W2, b1, b2, X, y) for way in (two_layers, modular)]
    return dict(zip(("flat", "modular"), both, strict=True))


def show():
    (loss, flat), (loss2, modular) = values().values()
    print("200 samples of 30 numbers, 50 hidden neurons, 10 classes")
    print("                       flat             modular    largest difference")
    print(f"loss         {loss:.12f}      {loss2:.12f}    {abs(loss - loss2):.1g}")
    for name, grad in flat.items():
        length, other = np.linalg.norm(grad), np.linalg.norm(modular[name])
        off = abs(grad - modular[name]).max()
        print(f"‖{name}‖        {length:.12f}      {other:.12f}    {off:.1g}")


if __name__ == "__main__":
    script(__doc__, show)
