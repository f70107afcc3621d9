"""A simple example: f(x, y, z) = (x + y) z at x = −2, y = 5, z = −4."""

from examples.lecture.show import script
from layers import Graph


def circuit():
    """The graph after a forward and a backward pass."""
    graph = Graph()
    x, y, z = graph.inputs("x", "y", "z")
    q = x + y
    f = q * z
    graph.output(f)
    graph.forward(-2.0, 5.0, -4.0)
    graph.backward(1.0)
    return graph


def values():
    """The value and the gradient on each wire, by the slide's name for it."""
    graph = circuit()
    wires = {"x": "x", "y": "y", "z": "z", "q": "add1", "f": "multiply1"}
    return {name: (float(graph.values[wire]), float(graph.grads[wire]))
            for name, wire in wires.items()}  # fmt: skip


def show():
    v = values()
    print("q = x + y     ∂q/∂x = 1, ∂q/∂y = 1")
    print("f = q z       ∂f/∂q = z, ∂f/∂z = q")
    print("Want: ∂f/∂x, ∂f/∂y, ∂f/∂z\n")
    print("wire  value  gradient     upstream × local")
    chain = {"f": "base case", "z": "∂f/∂f · q", "q": "∂f/∂f · z",
             "y": "∂f/∂q · ∂q/∂y", "x": "∂f/∂q · ∂q/∂x"}  # fmt: skip
    for name, rule in chain.items():
        value, gradient = v[name]
        print(f"{name:4}{value:7g}  ∂f/∂{name} = {gradient:<5g}{rule}")


def draw(folder):
    circuit().draw(folder / "circuit.png")
    return [folder / "circuit.png"]


if __name__ == "__main__":
    script(__doc__, show, draw)
