"""The handwritten digits, which several of the scripts learn to read."""

from functools import cache

from data import load_digits, split
from losses import L2, SoftmaxCrossEntropy
from losses.objective import Objective
from optim import SGD
from solver import Solver


@cache
def digits():
    """(x, y) for training and for testing: x (N, 64) in 0 … 1, y the digit."""
    train, _, test = split(load_digits())
    return (train.x / 16, train.y), (test.x / 16, test.y)


def learn(net, optimizer=None, epochs=15):
    """Train a network on the digits; returns its accuracy on those kept for testing."""
    train, test = digits()
    objective = Objective(net, SoftmaxCrossEntropy(), [L2(1e-4)])
    solver = Solver(objective, optimizer or SGD(0.1, momentum=0.9), epochs=epochs, quiet=True)
    solver.train(train)
    return solver.evaluate(*test)[1]


def show_scores(formula, f, y, net_f, accuracy):
    """Print the ten scores of one image, by the formula and by the layers."""
    print(f"one image of a {y}:")
    print("  class     " + "".join(f"{j:7}" for j in range(10)))
    print(f"  {formula:10}" + "".join(f"{s:7.2f}" for s in f))
    print(f"  highest: {f.argmax()}.  The layers' scores differ by {abs(f - net_f).max():.1g}")
    print(f"accuracy on {len(digits()[1][1])} other images: {100 * accuracy:.1f} %")
