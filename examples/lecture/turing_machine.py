"""Graphs nobody would differentiate on paper: a small Neural Turing Machine."""

import textwrap

import numpy as np

from examples.lecture.show import matrix, script
from gradcheck import check_layer
from layers import Concat, Graph, Linear, Softmax

CELLS, WIDTH, STEPS = 4, 3, 5


def machine():
    """A controller that reads and writes a memory M (CELLS, WIDTH) at every step, unrolled.

    Each step: a key from the input and what was read last; w = softmax(key Mᵀ) says where;
    erase and write there, M ← M ∘ (1 − wᵀ e) + wᵀ a; read r = w M. The same layers at every step.
    """
    graph = Graph()
    heads = {name: Linear(2 * WIDTH, WIDTH, rng=i, dtype=np.float64)
             for i, name in enumerate(("key", "erase", "write"))}  # fmt: skip
    M, r = graph.inputs("M", "r")
    for t in range(STEPS):
        x = graph.input(f"x{t}")
        h = graph.add(Concat(), x, r)
        key, e, a = (graph.add(head, h, name=f"{name}{t}") for name, head in heads.items())
        w = graph.add(Softmax(), key @ M.transpose())  # where: attention over the cells
        M = M - M * (w.transpose() @ e.sigmoid()) + w.transpose() @ a.tanh()
        r = w @ M
    graph.output(r.squared_norm())
    return graph


def values():
    """How large the graph is, and whether its gradients are right."""
    graph = machine()
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((CELLS, WIDTH)), rng.standard_normal((1, WIDTH)),
              *(rng.standard_normal((1, WIDTH)) for _ in range(STEPS))]  # fmt: skip
    loss = graph.forward(*inputs)
    graph.backward(np.ones(()))
    gates = [type(child).__name__ for child in graph.children.values()]
    return {"gates": gates, "loss": float(loss), "dM": graph.grads["M"],
            "report": check_layer(graph, *inputs)}  # fmt: skip


def show():
    v = values()
    print(f"memory M {CELLS}×{WIDTH}, {STEPS} steps, loss ‖r‖²: a graph of {len(v['gates'])} gates")
    kinds = {kind: v["gates"].count(kind) for kind in dict.fromkeys(v["gates"])}
    print(textwrap.fill(", ".join(f"{n} {kind}" for kind, n in kinds.items()), 90))
    print(f"L = {v['loss']:.6f};  by the memory it began with:")
    matrix("dL/dM", v["dM"], ".6f")
    report = v["report"]
    worst = max(row.error for row in report.rows)
    print(f"gradcheck, {len(report.rows)} gradients against differences: {report.verdict}, "
          f"the largest error {worst:.0e}")  # fmt: skip


if __name__ == "__main__":
    script(__doc__, show)
