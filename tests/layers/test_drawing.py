"""Pictures: what stands in them, that nothing overlaps, and what is written on the wires."""

import itertools
import re

import numpy as np
import pytest

from layers import Add, Copy, Dropout, Graph, Linear, ReLU, Sequential, Tanh
from layers.drawing.diagram import diagram
from layers.drawing.layout import Layout, _apart


def circuit():
    graph = Graph()
    x, y, z = graph.inputs("x", "y", "z")
    _ = (x + y) * z
    return graph


def run_circuit():
    graph = circuit()
    graph.forward(-2, 5, -4)
    graph.backward(1)
    return graph


def random_graph(seed, n=15):
    rng, graph = np.random.default_rng(seed), Graph()
    wires = [graph.input("x")]
    for _ in range(n):
        read = rng.choice(len(wires), size=min(len(wires), rng.integers(1, 4)), replace=False)
        wires.append(graph.add(Add(), *[wires[i] for i in read]))
    read = {name for node in graph._nodes.values() for name in node.inputs}
    graph.output(graph.add(Add(), *[wire for wire in wires if wire.name not in read]))
    return graph


# -- what stands in it -------------------------------------------------------------------


def test_the_lectures_circuit_as_a_diagram():
    made = diagram(run_circuit())
    assert [f"{box.kind} {box.text}" for box in made.boxes.values()] == [
        "input x", "input y", "input z", "gate +", "gate ×", "output ",
    ]  # fmt: skip
    assert made.edges == [
        ("x", "add1", "x"),
        ("y", "add1", "y"),
        ("add1", "multiply1", "add1"),
        ("z", "multiply1", "z"),
        ("multiply1", "output 1", "multiply1"),
    ]
    assert made.values == {
        "x": "−2.00", "y": "5.00", "z": "−4.00", "add1": "3.00", "multiply1": "−12.00",
    }  # fmt: skip
    assert made.grads == {
        "x": "−4.00", "y": "−4.00", "z": "3.00", "add1": "−4.00", "multiply1": "1.00",
    }  # fmt: skip


def test_nothing_is_written_on_the_wires_before_a_pass():
    made = diagram(circuit())
    assert made.values == made.grads == {}


def test_a_chain_has_shapes_on_its_wires():
    net = Sequential(Linear(64, 100, rng=0), ReLU(), Dropout(0.5, rng=0), fc=Linear(100, 10, rng=0))
    state = net.children["dropout1"].rng.bit_generator.state
    made = diagram(net, (64,))
    assert made.values == {
        "x": "(N, 64)",
        "linear1": "(N, 100)",
        "relu1": "(N, 100)",
        "dropout1": "(N, 100)",
        "fc": "(N, 10)",
    }
    assert [box.text for box in made.boxes.values()] == [
        "x", "Linear 64 × 100", "ReLU", "Dropout", "fc\nLinear 100 × 10", "",
    ]  # fmt: skip
    assert net.training
    assert net.children["dropout1"].rng.bit_generator.state == state


def test_containers_inside_are_taken_apart():
    inner = Graph()
    x = inner.input("in")
    one, two = inner.add(Copy(), x, name="c")
    inner.output(one.exp(), two)
    outer = Graph()
    a, b = outer.add(inner, outer.input("x"), name="inner")
    outer.add(Sequential(Tanh(), ReLU()), a * b, name="chain")
    outer.forward(np.array([1.0, 2.0]))
    outer.backward(np.array([1.0, 0.0]))
    made = diagram(outer)
    assert list(made.boxes) == [
        "x", "inner.c", "inner.exp1", "multiply1", "chain.tanh1", "chain.relu1", "output 1",
    ]  # fmt: skip
    assert ("inner.c", "multiply1", "inner.c.1") in made.edges
    assert made.values["inner.c.1"] == "[1.00, 2.00]"
    assert made.values["multiply1"] == "[2.72, 14.78]"  # e, 2e²


def test_large_arrays_are_written_as_their_shape():
    graph = Graph()
    _ = graph.input("x") * 2
    graph.forward(np.array([1e-7, 123456.0, 0, -0.001]))
    assert diagram(graph).values["x"] == "[1e−07, 1.2e+05, 0.00, −0.001]"
    graph.forward(np.ones((4, 3)))
    assert diagram(graph).values["x"] == "(4, 3)"


# -- as text -----------------------------------------------------------------------------


def test_mermaid():
    assert run_circuit().to_mermaid() == (
        "flowchart LR\n"
        '  n0["x"]\n'
        '  n1["y"]\n'
        '  n2["z"]\n'
        '  n3(("+"))\n'
        '  n4(("×"))\n'
        '  n5[" "]\n'
        '  n0 -->|"−2.00<br/>−4.00"| n3\n'
        '  n1 -->|"5.00<br/>−4.00"| n3\n'
        '  n3 -->|"3.00<br/>−4.00"| n4\n'
        '  n2 -->|"−4.00<br/>3.00"| n4\n'
        '  n4 -->|"−12.00<br/>1.00"| n5\n'
    )


def test_dot():
    text = run_circuit().to_dot()
    assert text.startswith("digraph {\n  rankdir=LR;\n")
    assert text.endswith("}\n")
    assert '  "add1" [label="+", shape=circle];' in text
    assert '  "x" -> "add1" [label="−2.00\\n−4.00"];' in text
    assert '  "x" -> "add1";' in circuit().to_dot()


def test_names_cannot_break_out_of_the_text():
    graph = Graph()
    graph.add(Tanh(), graph.input('x"]; <b>\\'), name='"evil"')
    dot, mermaid = graph.to_dot(), graph.to_mermaid()
    assert r'"x\"]; <b>\\" [label="x\"]; <b>\\", shape=plaintext];' in dot
    assert '["x&quot;]; &lt;b>\\"]' in mermaid
    assert "&quot;evil&quot;" in mermaid
    for line in mermaid.splitlines()[1:]:
        assert len(re.findall('"', line)) in (0, 2)


# -- layout ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_wires_lead_to_the_right_and_nothing_shares_a_place(seed):
    made = diagram(random_graph(seed))
    layout = Layout(made)
    column = {name: i for i, names in enumerate(layout.columns) for name in names}
    assert sum(map(len, layout.columns)) == len(column)
    for (start, end, _), path in zip(made.edges, layout.paths, strict=True):
        assert (path[0], path[-1]) == (start, end)
        assert [column[name] for name in path] == list(range(column[start], column[end] + 1))
    for names in layout.columns:
        rows = [layout.row[name] for name in names]
        assert all(b - a > 1 - 1e-9 for a, b in itertools.pairwise(rows))


def test_inputs_that_a_gate_reads_stand_together():
    """x, y → +; z, w → +; and the sums are multiplied: nothing crosses, in whatever order."""
    graph = Graph()
    x, z, y, w = graph.inputs("x", "z", "y", "w")
    _ = (x + y) * (z + w)
    layout = Layout(diagram(graph))
    assert layout._crossings() == 0
    assert layout.row["add1"] == (layout.row["x"] + layout.row["y"]) / 2


def test_rows_apart_are_the_nearest():
    assert _apart([0.0, 5.0]) == [0.0, 5.0]
    assert _apart([1.0, 1.0]) == [0.5, 1.5]
    assert _apart([3.0, 0.0, 0.0]) == [0.0, 1.0, 2.0]  # means 3, −1, −2: all one block


# -- as a picture ------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_a_file_is_written(tmp_path, ending):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"circuit.{ending}"
    run_circuit().draw(path)
    magic = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert path.read_bytes().startswith(magic)


def test_no_text_in_the_picture_overlaps_another_or_a_box_or_a_wire(tmp_path):
    FigureCanvasAgg = pytest.importorskip("matplotlib.backends.backend_agg").FigureCanvasAgg
    for number, (net, shape) in enumerate(
        [
            (run_circuit(), None),
            (Sequential(Linear(64, 100, rng=0), ReLU(), fc=Linear(100, 10, rng=0)), (64,)),
            *((random_graph(seed), (3,)) for seed in range(3)),
        ]
    ):
        figure = drawn(net, shape, tmp_path / f"{number}.png")
        (axes,) = figure.axes
        figure.set_dpi(100)
        renderer = FigureCanvasAgg(figure).get_renderer()
        texts = [text for text in axes.texts if text.get_text()]
        boxes = [text.get_window_extent(renderer) for text in texts]
        patches = [patch.get_window_extent(renderer) for patch in axes.patches]
        assert len(patches) > 1
        for one, other in itertools.combinations(boxes, 2):
            assert not one.overlaps(other)
        for box in boxes:
            inside = [p for p in patches if p.overlaps(box)]
            assert len(inside) <= 1
            for p in inside:  # a box's own text: wholly within
                assert p.x0 <= box.x0 <= box.x1 <= p.x1
                assert p.y0 <= box.y0 <= box.y1 <= p.y1
            assert box.x0 >= 0 <= box.y0
            assert box.x1 <= figure.bbox.x1
            assert box.y1 <= figure.bbox.y1
        for line in axes.lines:
            for point in along(axes.transData.transform(line.get_xydata())):
                assert not any(box.contains(*point) for box in boxes)


def along(corners):
    """Points a pixel or so apart along a line."""
    for (x0, y0), (x1, y1) in itertools.pairwise(corners):
        n = int(np.hypot(x1 - x0, y1 - y0)) + 2
        yield from zip(np.linspace(x0, x1, n), np.linspace(y0, y1, n), strict=True)


def drawn(net, shape, path):
    """The figure that `draw` saved."""
    from unittest import mock

    from matplotlib.figure import Figure

    kept = []
    save = Figure.savefig

    def keeping(figure, *args, **options):
        kept.append(figure)
        save(figure, *args, **options)

    with mock.patch.object(Figure, "savefig", keeping):
        net.draw(path, shape)
    return kept[0]


def test_without_matplotlib_the_extra_is_named(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"extra `plots`: pip install 'handgrad\[plots\]'"):
        run_circuit().draw(tmp_path / "circuit.png")
