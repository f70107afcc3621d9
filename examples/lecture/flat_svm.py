"""“Flat” backprop: the SVM."""

import numpy as np

from examples.lecture.show import script
from layers import Linear, Sequential
from losses import L2, MulticlassHinge
from losses.objective import Objective

LAMBDA = 0.1


def svm(W, X, y):
    """W (D, C), X (N, D), y (N,): the loss and dW."""
    N = len(X)
    # forward pass
    scores = X @ W
    correct = scores[np.arange(N), y][:, None]
    margins = np.maximum(0, scores - correct + 1)
    margins[np.arange(N), y] = 0
    data_loss = np.sum(margins) / N
    reg_loss = LAMBDA * np.sum(W * W)
    loss = data_loss + reg_loss
    # backward pass
    dmargins = np.full(margins.shape, 1 / N)
    dscores = dmargins * (margins > 0)
    dscores[np.arange(N), y] = -np.sum(dscores, axis=1)
    dW = X.T @ dscores + 2 * LAMBDA * W
    return loss, dW


def modular(W, X, y):
    """The same made of a layer, a loss and a penalty."""
    net = Sequential(Linear(*W.shape, rng=0, bias=False)).astype(np.float64)
    net.params["linear1.W"][...] = W
    loss, grad = Objective(net, MulticlassHinge(), [L2(LAMBDA)]).value_and_grad(X, y)
    return loss, grad.reshape(W.shape)


def values(N=200, D=30, C=10):
    rng = np.random.default_rng(0)
    W, X = rng.standard_normal((D, C)), rng.standard_normal((N, D))
    y = rng.integers(C, size=N)
    return {"flat": svm(W, X, y), "modular": modular(W, X, y)}


def show():
    (loss, dW), (loss2, dW2) = values().values()
    print("200 samples of 30 numbers, 10 classes")
    print("                     flat              modular     largest difference")
    print(f"loss       {loss:16.12f}     {loss2:16.12f}     {abs(loss - loss2):.1g}")
    for i, j in ((0, 0), (29, 9)):
        print(f"dW[{i},{j}]".ljust(11) + f"{dW[i, j]:16.12f}     {dW2[i, j]:16.12f}")
    print(f"all of dW {dW.shape}{'':34}{abs(dW - dW2).max():.1g}")


if __name__ == "__main__":
    script(__doc__, show)
