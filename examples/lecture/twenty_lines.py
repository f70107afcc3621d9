"""Training a 2-layer network in 20 lines of NumPy: complete, with the real gradient."""

import numpy as np

from examples.lecture.on_digits import digits
from examples.lecture.show import difference, script
from layers import Linear, Sequential, Sigmoid
from losses import SoftmaxCrossEntropy
from losses.objective import Objective
from optim import SGD

INPUT_DIM, HIDDEN_DIM, OUTPUT_DIM, N, RATE = 64, 100, 10, 50, 0.5


def train(X, Y, steps):
    """The slide's loop, with what it omits: labels, the backward pass and the update."""
    rng = np.random.default_rng(0)
    W1 = 0.1 * rng.standard_normal((INPUT_DIM, HIDDEN_DIM))
    W2 = 0.1 * rng.standard_normal((HIDDEN_DIM, OUTPUT_DIM))
    b1, b2 = np.zeros(HIDDEN_DIM), np.zeros(OUTPUT_DIM)
    for _ in range(steps):
        rows = rng.integers(len(X), size=N)  # a random minibatch
        x, y = X[rows], np.eye(OUTPUT_DIM)[Y[rows]]
        z1 = np.dot(x, W1) + b1  # forward pass
        a1 = 1 / (1 + np.exp(-z1))
        z2 = np.dot(a1, W2) + b2
        a2 = np.exp(z2) / np.exp(z2).sum(axis=1, keepdims=True)
        loss = -np.sum(y * np.log(a2)) / N
        dz2 = (a2 - y) / N  # backward pass
        dW2, db2 = np.dot(a1.T, dz2), dz2.sum(axis=0)
        dz1 = np.dot(dz2, W2.T) * (1 - a1) * a1
        dW1, db1 = np.dot(x.T, dz1), dz1.sum(axis=0)
        W1, b1 = W1 - RATE * dW1, b1 - RATE * db1  # update
        W2, b2 = W2 - RATE * dW2, b2 - RATE * db2
    return W1, b1, W2, b2, loss


def train_layers(X, Y, steps):
    """The same, from the same weights and on the same minibatches, with layers."""
    rng = np.random.default_rng(0)
    net = Sequential(Linear(INPUT_DIM, HIDDEN_DIM, rng=0), Sigmoid(),
                     Linear(HIDDEN_DIM, OUTPUT_DIM, rng=0)).astype(np.float64)  # fmt: skip
    for name in ("linear1.W", "linear2.W"):
        net.params[name][...] = 0.1 * rng.standard_normal(net.params[name].shape)
    objective, optimizer = Objective(net, SoftmaxCrossEntropy()), SGD(RATE)
    for _ in range(steps):
        rows = rng.integers(len(X), size=N)
        loss, grad = objective.value_and_grad(X[rows], Y[rows])
        optimizer.update(objective.theta, grad, objective.n_weights)
    return *(net.params[f"linear{i}.{name}"] for i in (1, 2) for name in ("W", "b")), loss


def values(steps=2000):
    train_set, (X, Y) = digits()
    flat, layers = train(*train_set, steps), train_layers(*train_set, steps)
    W1, b1, W2, b2, loss = flat
    scores = (1 / (1 + np.exp(-(X @ W1 + b1)))) @ W2 + b2
    return {"loss": loss, "accuracy": np.mean(scores.argmax(axis=1) == Y),
            "difference": difference(flat, layers)}  # fmt: skip


def show():
    v = values()
    print(f"INPUT_DIM = {INPUT_DIM}, HIDDEN_DIM = {HIDDEN_DIM}, OUTPUT_DIM = {OUTPUT_DIM}; "
          f"2000 steps on {N} handwritten digits each")  # fmt: skip
    print(f"loss of the last step      {v['loss']:.4f}  (at first about log 10 = {np.log(10):.4f})")
    print(f"accuracy on other images   {100 * v['accuracy']:.1f} %")
    print("the same made of layers    "
          f"weights differ by {v['difference']:.0e} after 2000 steps")  # fmt: skip


if __name__ == "__main__":
    script(__doc__, show)
