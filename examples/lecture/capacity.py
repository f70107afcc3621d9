"""Number of neurons as capacity, and λ instead of size as the regularizer."""

from functools import cache

import numpy as np
import scipy.optimize  # noqa: F401  loads SciPy's BLAS, whose threads can then be limited

from data import moons
from examples.lecture.show import script
from layers import Linear, Sequential, Tanh
from losses import L2, SoftmaxCrossEntropy
from losses.objective import Objective
from optim import LBFGS
from solver import Solver

NEURONS = (3, 6, 20)
LAMBDAS = (0.001, 0.01, 0.1)


def points(samples, seed):
    """Two noisy half moons, some 10 wide, as the points of the ConvNetJS page are."""
    moon = moons(samples, noise=0.35, seed=seed)
    return 6 * moon.x, moon.y


def fitted(neurons, penalty, x, y):
    """The best of three networks of one hidden layer, minimised from different weights."""
    objectives = []
    for seed in (0, 1, 2):
        rng = np.random.default_rng(seed)
        net = Sequential(Linear(2, neurons, rng=rng), Tanh(), Linear(neurons, 2, rng=rng))
        objective = Objective(net, SoftmaxCrossEntropy(), [L2(penalty)])
        Solver(objective, LBFGS(300), quiet=True).train((x, y))
        objectives.append(objective)
    return min(objectives, key=lambda objective: objective.value(x, y)).net


def accuracy(net, x, y):
    return float(np.mean(net.forward(x).argmax(axis=1) == y))


@cache
def values():
    """For each λ and number of neurons: the network, its accuracy on 60 points and on 5,000 new."""
    train, new = points(60, seed=2), points(5000, seed=1)
    found = {}
    for penalty in LAMBDAS:
        for neurons in NEURONS:
            net = fitted(neurons, penalty, *train)
            found[penalty, neurons] = net, accuracy(net, *train), accuracy(net, *new)
    return found


def show():
    found = values()
    print("accuracy on the 60 points trained on / on 5,000 new ones, in percent\n")
    print(f"{'':11}" + "".join(f"{neurons:6} neurons" for neurons in NEURONS))
    for penalty in LAMBDAS:
        cells = (found[penalty, neurons] for neurons in NEURONS)
        row = (f"{100 * train:7.0f} / {100 * new:.1f}" for _, train, new in cells)
        print(f"λ = {penalty:<7}" + "".join(row))
    print("\nTo the right: more neurons = more capacity, up to learning the noise (λ = 0.001).")
    print("Downwards: stronger regularization. Do not use size as a regularizer; use λ.")


def draw(folder):
    from matplotlib.figure import Figure

    found = values()
    x, y = points(60, seed=2)
    low, high = x.min(axis=0) - 1.5, x.max(axis=0) + 1.5
    first, second = np.meshgrid(*(np.linspace(low[i], high[i], 200) for i in (0, 1)))
    everywhere = np.stack([first.ravel(), second.ravel()], axis=1)
    figure = Figure(figsize=(10, 8.6), layout="constrained")
    panels = figure.subplots(len(LAMBDAS), len(NEURONS), sharex=True, sharey=True)
    for axes, ((penalty, neurons), (net, train, new)) in zip(
        panels.flat, found.items(), strict=True
    ):
        s = net.forward(everywhere)
        margin = (s[:, 1] - s[:, 0]).reshape(first.shape)
        axes.contourf(first, second, margin, [-np.inf, 0, np.inf], colors=["#cfe0f3", "#f8d6cc"])
        axes.contour(first, second, margin, [0], colors="#333333", linewidths=1.2)
        for label, color, marker in ((0, "#1f5fa8", "o"), (1, "#c2401d", "s")):
            axes.scatter(*x[y == label].T, s=16, color=color, marker=marker, edgecolors="white",
                         linewidths=0.4, label=f"class {label}")  # fmt: skip
        axes.set_title(f"{neurons} neurons, λ = {penalty}\n"
                       f"{100 * train:.0f} % of these, {100 * new:.0f} % of new points",
                       fontsize=10)  # fmt: skip
        axes.set(xticks=[], yticks=[])
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle(
        "Decision regions: more neurons to the right, stronger regularization downwards"
    )
    figure.savefig(folder / "capacity.png", dpi=110)
    return [folder / "capacity.png"]


if __name__ == "__main__":
    script(__doc__, show, draw)
