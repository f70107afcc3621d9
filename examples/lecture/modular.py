"""Modular backprop: nodes with a forward/backward API, run in topological order and back."""

from examples.lecture.show import script
from layers import Graph


class Multiply:
    """The slide's multiply gate: keeps x and y, for backward."""

    def __init__(self, log):
        self.log = log

    def forward(self, x, y):
        z = x * y
        self.x, self.y = x, y
        self.log.append(f"forward   z = x · y = {x:g} · {y:g} = {z:g}")
        return z

    def backward(self, dz):
        dx = self.y * dz  # [dz/dx · dL/dz]
        dy = self.x * dz  # [dz/dy · dL/dz]
        self.log.append(f"backward  dx = y · dz = {dx:g}, dy = x · dz = {dy:g}")
        return (dx, dy), {}


class Add:
    """An add gate: nothing to keep."""

    def __init__(self, log):
        self.log = log

    def forward(self, x, y):
        self.log.append(f"forward   z = x + y = {x:g} + {y:g} = {x + y:g}")
        return x + y

    def backward(self, dz):
        self.log.append(f"backward  dx = dz = {dz:g}, dy = dz = {dz:g}")
        return (dz.copy(), dz.copy()), {}


def values():
    """(x + y) z of these two classes, which inherit from nothing: what ran, in its order."""
    log = []
    graph = Graph()
    graph.inputs("x", "y", "z")
    graph.add(Add(log), "x", "y", name="q")
    graph.add(Multiply(log), "q", "z", name="f")
    f = graph.forward(-2.0, 5.0, -4.0)  # for gate in nodes, topologically sorted: gate.forward()
    dxs, _ = graph.backward(1.0)  # for gate in reversed(nodes): gate.backward()
    return {"order": list(graph.children), "log": log, "f": float(f),
            "gradients": tuple(map(float, dxs))}  # fmt: skip


def show():
    v = values()
    print("graph.forward(−2, 5, −4), then graph.backward(1):")
    for gate, line in zip([*v["order"], *reversed(v["order"])], v["log"], strict=True):
        print(f"  {gate}.{line}")
    print(f"f = {v['f']:g};  ∂f/∂x, ∂f/∂y, ∂f/∂z = " + ", ".join(f"{g:g}" for g in v["gradients"]))


if __name__ == "__main__":
    script(__doc__, show)
