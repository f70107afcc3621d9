"""Activation functions and their derivatives."""

import numpy as np

from examples.lecture.show import script
from layers import ELU, LeakyReLU, Maxout, ReLU, Sigmoid, Tanh


def activations():
    """The six of the slide, with their formulas; maxout with w₁ = −½, b₁ = 0 and w₂ = 1, b₂ = ½."""
    maxout = Maxout(1, 1, rng=0, dtype=np.float64)
    maxout.params["W"][...] = [[[-0.5]], [[1.0]]]
    maxout.params["b"][...] = [[0.0], [0.5]]
    return {
        "sigmoid": (Sigmoid(), "1 / (1 + e^−x)"),
        "tanh": (Tanh(), "tanh(x)"),
        "ReLU": (ReLU(), "max(0, x)"),
        "Leaky ReLU": (LeakyReLU(0.1), "max(0.1x, x)"),
        "Maxout": (maxout, "max(w₁ᵀx + b₁, w₂ᵀx + b₂)"),
        "ELU": (ELU(alpha=1.0), "x if x ≥ 0, else α(e^x − 1), α = 1"),
    }


def values(x=(-2.0, -0.5, 0.5, 2.0)):
    """For each activation f(x) and df/dx: forward, and backward with an upstream gradient of 1."""
    column = np.reshape(np.asarray(x, float), (-1, 1))
    found = {}
    for name, (layer, _) in activations().items():
        f = layer.forward(column)
        dx, _ = layer.backward(np.ones_like(f))
        found[name] = f[:, 0], dx[:, 0]
    return found


def show():
    print(f"{'x':>16}" + "".join(f"{x:9.1f}" for x in (-2, -0.5, 0.5, 2)))
    for name, (f, df) in values().items():
        print(
            f"{name:>11} f(x)" + "".join(f"{v:9.4f}" for v in f) + f"    {activations()[name][1]}"
        )
        print(f"{'df/dx':>16}" + "".join(f"{v:9.4f}" for v in df))


def draw(folder):
    from matplotlib.figure import Figure

    x = np.linspace(-5, 5, 1001)
    figure = Figure(figsize=(11, 6), layout="constrained")
    for axes, (name, (f, df)) in zip(figure.subplots(2, 3).flat, values(x).items(), strict=True):
        axes.axhline(0, color="#999999", linewidth=0.8)
        axes.axvline(0, color="#999999", linewidth=0.8)
        axes.plot(x, f, color="#1f5fa8", linewidth=2, label="f(x)")
        axes.plot(x, df, color="#c21d1d", linewidth=1.5, linestyle="--", label="df/dx")
        axes.set_title(f"{name}:  {activations()[name][1]}", fontsize=10)
        axes.set(xlim=(-5, 5), ylim=(-1.3, 3.2), xlabel="x")
        axes.grid(alpha=0.25)
        axes.legend(loc="lower right")
    figure.savefig(folder / "activations.png", dpi=120)
    return [folder / "activations.png"]


if __name__ == "__main__":
    script(__doc__, show, draw)
