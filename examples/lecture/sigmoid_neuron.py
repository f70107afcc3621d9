"""Another example, the sigmoid neuron: f(w, x) = 1 / (1 + e^−(w₀x₀ + w₁x₁ + w₂))."""

from examples.lecture.show import script
from layers import Graph

AT = {"w0": 2.0, "x0": -1.0, "w1": -3.0, "x1": -2.0, "w2": -3.0}
SLIDE = {"w0": "-0.20", "x0": "0.39 or 0.4", "w1": "-0.39", "x1": "-0.59 or -0.6", "w2": "0.20"}


def neuron(one_gate):
    """The graph after both passes: with one sigmoid gate, or with ×−1, exp, +1 and 1/x."""
    graph = Graph()
    w0, x0, w1, x1, w2 = graph.inputs(*AT)
    s = w0 * x0 + w1 * x1 + w2
    f = s.sigmoid() if one_gate else ((-s).exp() + 1).reciprocal()
    graph.output(f)
    graph.forward(*AT.values())
    graph.backward(1.0)
    return graph


def values():
    """Value and gradient on each wire: the inputs', s, and those of the gates after it."""

    def wires(graph, names):
        return {name: (float(graph.values[wire]), float(graph.grads[wire]))
                for name, wire in names.items()}  # fmt: skip

    inputs = {name: name for name in AT}
    after = {"s": "add2", "−s": "scale1", "e^−s": "exp1", "1 + e^−s": "shift1", "f": "reciprocal1"}
    return {
        "gates": wires(neuron(one_gate=False), {**inputs, **after}),
        "one gate": wires(neuron(one_gate=True), {**inputs, "s": "add2", "f": "sigmoid1"}),
    }


def show():
    v = values()
    g = v["gates"]
    chain = {  # after the base case ∂f/∂f = 1: the gate's name, its local gradient
        "1 + e^−s": ("1/x", "−1/x²", -1 / g["1 + e^−s"][0] ** 2),
        "e^−s": ("c + x", "1", 1.0),
        "−s": ("exp", "e^x", g["e^−s"][0]),
        "s": ("ax", "a", -1.0),
    }
    print("gate    wire          value       gradient     [upstream] × [local gradient]")
    print(f"        {'f':9} {g['f'][0]:13.10f}  {g['f'][1]:13.10f}")
    upstream = 1.0
    for wire, (gate, formula, local) in chain.items():
        value, gradient = g[wire]
        print(f"{gate:7} {wire:9} {value:13.10f}  {gradient:13.10f}     "
              f"[{upstream:.2f}] × [{formula} = {local:.2f}] = {gradient:.2f}")  # fmt: skip
        upstream = gradient
    print("\none sigmoid gate: dσ(x)/dx = (1 − σ(x)) σ(x)")
    f, _ = v["one gate"]["f"]
    _, ds = v["one gate"]["s"]
    print(f"         f  {f:13.10f}      ∂f/∂s = 1.00 · (1 − {f:.2f}) · {f:.2f} = {ds:.10f}\n")
    print("     input     value      gate by gate       one gate     the slide, rounded early")
    for name in AT:
        value, gradient = v["gates"][name]
        print(f"{name:>10}  {value:8g}     {gradient:13.10f}  {v['one gate'][name][1]:13.10f}"
              f"     {SLIDE[name]}")  # fmt: skip


def draw(folder):
    neuron(one_gate=False).draw(folder / "sigmoid_neuron.png")
    neuron(one_gate=True).draw(folder / "sigmoid_gate.png")
    return [folder / "sigmoid_neuron.png", folder / "sigmoid_gate.png"]


if __name__ == "__main__":
    script(__doc__, show, draw)
