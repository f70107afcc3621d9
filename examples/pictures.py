"""Draws the pictures in docs/pictures: `python -m examples.pictures`."""

from pathlib import Path

from examples.lecture import capacity
from layers import Graph, Linear, ReLU, Sequential

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"


def circuit() -> Graph:
    """f = (x + y) z at (−2, 5, −4)."""
    graph = Graph()
    x, y, z = graph.inputs("x", "y", "z")
    _ = (x + y) * z
    graph.forward(-2, 5, -4)
    graph.backward(1)
    return graph


def neuron() -> Graph:
    """The sigmoid neuron f = 1 / (1 + exp(−(w₀x₀ + w₁x₁ + w₂))), gate by gate."""
    graph = Graph()
    w0, x0, w1, x1, w2 = graph.inputs("w0", "x0", "w1", "x1", "w2")
    _ = 1 / (1 + (-(w0 * x0 + w1 * x1 + w2)).exp())
    graph.forward(2, -1, -3, -2, -3)
    graph.backward(1)
    return graph


def two_layers() -> Sequential:
    """The digits' two-layer network."""
    return Sequential(Linear(64, 100, rng=0), ReLU(), Linear(100, 10, rng=0))


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    circuit().draw(FOLDER / "circuit.png")
    neuron().draw(FOLDER / "sigmoid_neuron.png")
    two_layers().draw(FOLDER / "two_layers.png", input_shape=(64,))
    capacity.draw(FOLDER)
    for path in sorted(FOLDER.glob("*.png")):
        print(path.relative_to(FOLDER.parent.parent))


if __name__ == "__main__":
    main()
