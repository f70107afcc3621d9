"""The lecture's scripts: every worked number, recomputed here by plain arithmetic, and every run.

The numbers in quotes are those of the lecture's notes (the slides' misprints put right). Each is
compared with the arithmetic, with what a script computes, and with what it prints.
"""

import importlib
import math
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

ROOT = Path(__file__).parent.parent.parent
SHARED = {"__init__", "__main__", "show", "on_digits"}
NAMES = sorted(path.stem for path in (ROOT / "examples" / "lecture").glob("*.py")
               if path.stem not in SHARED)  # fmt: skip


def script(name):
    return importlib.import_module(f"examples.lecture.{name}")


def python(*arguments):
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures") / "lecture"


@pytest.fixture(scope="module")
def printed(folder):
    """What `python -m examples.lecture` prints, by script, after the heading."""
    done = python("-m", "examples.lecture", "--out", folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    parts = re.split(r"^== (\d+)\. (.+?)   \[(\w+)\]$", done.stdout, flags=re.M)
    assert sorted({int(number) for number in parts[1::4]}) == list(range(1, 20))
    assert [int(number) for number in parts[1::4]] == sorted(map(int, parts[1::4]))
    return dict(zip(parts[3::4], parts[4::4], strict=True))


def numbers(text):
    return [float(word) for word in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])", text)]


def line(text, start):
    """The rest of the only line that begins like this."""
    (found,) = [one for one in text.splitlines() if one.strip().startswith(start)]
    return found.strip().removeprefix(start)


def printed_matrix(text, name):
    """The rows printed after `name = [`."""
    lines = text.splitlines()
    (first,) = [i for i, one in enumerate(lines) if one.startswith(f"{name} = [")]
    rows = [lines[first].removeprefix(f"{name} = ")]
    for one in lines[first + 1 :]:
        if not re.fullmatch(r" +\[.*\]", one):
            break
        rows.append(one)
    return [numbers(row) for row in rows]


def same_digits(exact, quoted):
    """`quoted`, a text, is the exact number rounded to its last digit."""
    digits = len(quoted.partition(".")[2])
    assert f"{exact:.{digits}f}" == quoted


# -- all of them ---------------------------------------------------------------------------


def test_every_script_is_among_the_nineteen(printed):
    assert sorted(printed) == NAMES
    assert all(len(text.strip().splitlines()) >= 2 for text in printed.values())


def test_no_line_is_too_long_for_a_terminal(printed):
    assert max(len(one) for text in printed.values() for one in text.splitlines()) <= 115


def test_every_script_runs_by_itself(tmp_path):
    """In one process; the two that train for long are only asked what they are."""
    code = """
import runpy, sys
out, *names = sys.argv[1:]
for name in names:
    print("==", name, flush=True)
    sys.argv[1:] = ["--help"] if name in ("capacity", "random_wiring") else ["--out", out]
    try:
        runpy.run_module(f"examples.lecture.{name}", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        assert not end.code, (name, end.code)
    else:
        raise AssertionError(name)
"""
    done = python("-c", code, tmp_path / "out", *NAMES)
    assert done.returncode == 0, done.stderr
    parts = re.split(r"^== (\w+)$", done.stdout, flags=re.M)
    assert parts[1::2] == NAMES
    assert all(text.strip() for text in parts[2::2])


def test_the_pictures(printed, folder):
    matplotlib = pytest.importorskip("matplotlib.image")
    pytest.importorskip("networkx")
    pictures = {"activations", "capacity", "circuit", "random_wiring", "sigmoid_gate",
                "sigmoid_neuron", "squared_norm"}  # fmt: skip
    assert {path.stem for path in folder.glob("*.png")} == pictures
    for name in pictures:
        image = matplotlib.imread(folder / f"{name}.png")
        assert image[:, :, :3].std() > 0.02  # something is drawn
    told = re.findall(r"^picture: (.+)$", "\n".join(printed.values()), re.M)
    assert {Path(path).stem for path in told} == pictures


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("activations", "matplotlib", "plots"), ("random_wiring", "networkx", "graphs")],
)
def test_without_an_extra_one_line_says_so(name, package, extra, tmp_path):
    code = f"""
import runpy, sys
sys.modules["matplotlib"] = sys.modules["networkx"] = None
sys.argv = ["x", "--out", {str(tmp_path / "out")!r}]
runpy.run_module("examples.lecture.{name}", run_name="__main__")
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    (told,) = [one for one in done.stdout.splitlines() if package in one]
    assert told.endswith(
        f"needs {package}, which is in the extra `{extra}`: pip install 'handgrad[{extra}]'"
    )
    assert not (tmp_path / "out").exists()


def test_mistakes_at_the_command_line(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for arguments, told in (
        (["--out", file], "is not a folder"),
        (["--out", file / "inside"], "is not a folder"),
        (["--oot", "x"], "unrecognized arguments: --oot"),
    ):
        done = python("-m", "examples.lecture.circuit", *arguments)
        assert done.returncode == 2
        assert done.stdout == ""
        assert told in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr


def test_readmes_transcript(printed):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (text,) = re.findall(
        r"^\$ python -m examples\.lecture\.circuit\n(.+?)^```", readme, re.M | re.S
    )
    without_picture = re.sub(r"^picture.*\n", "", printed["circuit"], flags=re.M)
    assert text.strip() == without_picture.strip()


# -- the worked numbers --------------------------------------------------------------------


def test_circuit(printed):
    x, y, z = -2, 5, -4
    q = x + y
    expected = {"x": (x, z), "y": (y, z), "z": (z, q), "q": (q, z), "f": (q * z, 1)}
    assert expected == {"x": (-2, -4), "y": (5, -4), "z": (-4, 3), "q": (3, -4), "f": (-12, 1)}
    assert script("circuit").values() == expected
    for wire, (value, gradient) in expected.items():
        row = rf"^{wire} +(\S+) +∂f/∂{wire} = (\S+)"
        (found,) = re.findall(row, printed["circuit"], re.M)
        assert tuple(map(float, found)) == (value, gradient)


def test_the_modular_circuit(printed):
    v = script("modular").values()
    assert (v["f"], v["gradients"]) == (-12, (-4, -4, 3))
    assert v["order"] == ["q", "f"]
    ran = re.findall(r"^  ([qf])\.(forward|backward)", printed["modular"], re.M)
    assert ran == [("q", "forward"), ("f", "forward"), ("f", "backward"), ("q", "backward")]
    assert numbers(line(printed["modular"], "f = ").replace(";", " ")) == [-12, -4, -4, 3]


W0, X0, W1, X1, W2 = 2, -1, -3, -2, -3
S = W0 * X0 + W1 * X1 + W2
F = 1 / (1 + math.exp(-S))
DS = F * (1 - F)
NEURON = {"w0": (W0, X0 * DS, "-0.1966119332"), "x0": (X0, W0 * DS, "0.3932238665"),
          "w1": (W1, X1 * DS, "-0.3932238665"), "x1": (X1, W1 * DS, "-0.5898357997"),
          "w2": (W2, DS, "0.1966119332")}  # fmt: skip


def test_sigmoid_neuron(printed):
    assert S == 1
    same_digits(F, "0.7310585786")
    same_digits(DS, "0.1966119332")
    text = printed["sigmoid_neuron"]
    both = script("sigmoid_neuron").values()
    for way in both.values():
        assert way["f"] == (pytest.approx(F, rel=1e-15), 1)
        assert way["s"] == (S, pytest.approx(DS, rel=1e-15))
        for name, (value, gradient, quoted) in NEURON.items():
            same_digits(gradient, quoted)
            assert way[name] == (value, pytest.approx(gradient, rel=1e-15))
    for name, (value, _, quoted) in NEURON.items():
        assert line(text, f"{name} ").split()[:3] == [f"{value}", quoted, quoted]
    assert line(text, "f   0.7310585786").split()[-1] == "0.1966119332"


def test_the_slides_round_early(printed):
    """0.73, 0.20, 0.39 or 0.4, −0.59 or −0.6 are the exact numbers, rounded."""
    same_digits(F, "0.73")
    for exact, quotes in (
        (DS, ("0.20", "0.2")),
        (W0 * DS, ("0.39", "0.4")),
        (W1 * DS, ("-0.59", "-0.6")),
    ):
        for quoted in quotes:
            same_digits(exact, quoted)
    slide = {"w0": "-0.20", "x0": "0.39 or 0.4", "w1": "-0.39", "x1": "-0.59 or -0.6", "w2": "0.20"}
    for name, told in slide.items():
        assert line(printed["sigmoid_neuron"], f"{name} ").endswith(told)


def test_sigmoid_neuron_gate_by_gate(printed):
    e = math.exp(-1)
    gates = {  # wire: value and gradient, exact and as quoted
        "f": ((1 / (1 + e), "0.7310585786"), (1, "1.0000000000")),
        "1 + e^−s": ((1 + e, "1.3678794412"), (-1 / (1 + e) ** 2, "-0.5344466454")),
        "e^−s": ((e, "0.3678794412"), (-1 / (1 + e) ** 2, "-0.5344466454")),
        "−s": ((-1, "-1.0000000000"), (-e / (1 + e) ** 2, "-0.1966119332")),
        "s": ((1, "1.0000000000"), (e / (1 + e) ** 2, "0.1966119332")),
    }
    found = script("sigmoid_neuron").values()["gates"]
    for wire, pairs in gates.items():
        for (exact, quoted), got in zip(pairs, found[wire], strict=True):
            same_digits(exact, quoted)
            assert got == pytest.approx(exact, rel=1e-15)
        (value, gradient), = re.findall(
            rf"^.{{8}}{re.escape(wire)} +(-?\d\.\d{{10}}) +(-?\d\.\d{{10}})",
            printed["sigmoid_neuron"], re.M,
        )  # fmt: skip
        assert (value, gradient) == tuple(quoted for _, quoted in pairs)


def test_the_single_neuron_and_the_flat_one(printed):
    v = script("neuron").values()
    assert v["firing_rate"] == pytest.approx(F, rel=1e-15)
    assert v["layer"] == pytest.approx(F, rel=1e-15)
    assert printed["neuron"].count("0.7310585786") == 2
    v = script("flat_neuron").values()
    expected = [F, *(gradient for _, gradient, _ in NEURON.values())]
    for way in v.values():
        assert_allclose(way, expected, rtol=4e-16)
    quotes = ["0.7310585786", *(quoted for *_, quoted in NEURON.values())]
    for name, quoted in zip(("L", *(f"grad_{name}" for name in NEURON)), quotes, strict=True):
        assert line(printed["flat_neuron"], f"{name} ").split()[:2] == [quoted, quoted]


def transposed(a):
    return [list(row) for row in zip(*a, strict=True)]


def product(a, b):
    columns = transposed(b)
    return [[sum(p * q for p, q in zip(row, column, strict=True)) for column in columns]
            for row in a]  # fmt: skip


def test_matrix_multiply(printed):
    x = [[2, 1, -3], [-3, 4, 2]]
    w = [[3, 2, 1, -1], [2, 1, 3, 2], [3, 2, 1, -2]]
    dy = [[2, 3, -3, 9], [-8, 1, 4, 6]]
    y = product(x, w)
    dx, dw = product(dy, transposed(w)), product(transposed(x), dy)
    assert y == [[-1, -1, 2, 6], [5, 2, 11, 7]]
    assert dx == [[0, 16, -9], [-24, 9, -30]]
    assert dw == [[28, 3, -18, 0], [-30, 7, 13, 33], [-22, -7, 17, -15]]
    v = script("matrix_multiply").values()
    for name, expected, label in (
        ("x", x, "x"),
        ("w", w, "w"),
        ("y", y, "y"),
        ("dy", dy, "dL/dy"),
        ("dx", dx, "dL/dx = (dL/dy) wᵀ"),
        ("dw", dw, "dL/dw = xᵀ (dL/dy)"),
    ):
        assert_array_equal(v[name], expected)
        assert printed_matrix(printed["matrix_multiply"], label) == expected
    assert v["dx01"] == dx[0][1] == 16
    assert line(printed["matrix_multiply"], "dL/dx₀₁").endswith(" = 16")


def test_squared_norm(printed):
    W = [[Fraction(1, 10), Fraction(5, 10)], [Fraction(-3, 10), Fraction(8, 10)]]
    x = [[Fraction(2, 10)], [Fraction(4, 10)]]
    q = product(W, x)
    f = sum(entry**2 for (entry,) in q)
    dq = [[2 * entry] for (entry,) in q]
    dW, dx = product(dq, transposed(x)), product(transposed(W), dq)
    v = script("squared_norm").values()
    text = printed["squared_norm"]
    for name, label, exact, quoted in (
        ("W", "W", W, [[0.1, 0.5], [-0.3, 0.8]]),
        ("x", "x", x, [[0.2], [0.4]]),
        ("q", "q = W·x", q, [[0.22], [0.26]]),
        ("dq", "∇_q f = 2q", dq, [[0.44], [0.52]]),
        ("dW", "∇_W f = 2q·xᵀ", dW, [[0.088, 0.176], [0.104, 0.208]]),
        ("dx", "∇_x f = 2Wᵀ·q", dx, [[-0.112], [0.636]]),
    ):
        assert [[float(entry) for entry in row] for row in exact] == quoted
        assert_allclose(v[name].reshape(len(quoted), -1), quoted, rtol=1e-15)
        assert printed_matrix(text, label) == quoted
    assert float(f) == 0.116
    assert v["f"] == pytest.approx(0.116, rel=1e-15)
    assert line(text, "f = q₁² + q₂² = ") == "0.116"


def test_vector_relu(printed):
    x, upstream = [1, -2, 3, -1], [4, -1, 5, 9]
    y = [max(0, entry) for entry in x]
    jacobian = [[int(n == m and x[n] > 0) for m in range(4)] for n in range(4)]
    dx = [sum(a * b for a, b in zip(row, upstream, strict=True)) for row in jacobian]
    assert (y, dx) == ([1, 0, 3, 0], [4, 0, 5, 0])
    v = script("vector_relu").values()
    assert_array_equal(v["jacobian"], jacobian)
    assert_array_equal(v["jacobian"], np.diag(v["mask"]))
    assert_allclose(v["differences"], jacobian, atol=1e-9)
    for name in ("by jacobian", "by mask", "dx"):
        assert_array_equal(v[name], dx)
    rows = [numbers(one.replace("[", " ").replace("]", " "))
            for one in printed["vector_relu"].splitlines() if one.startswith("[")]  # fmt: skip
    mask = [int(entry > 0) for entry in x]
    assert rows == [
        [x[n], y[n], *jacobian[n], upstream[n], dx[n], mask[n], dx[n]] for n in range(4)
    ]


def test_jacobian_memory(printed):
    """256 GB of dy/dx; dy/dw takes 64 times that, which the slide does not say."""
    v = script("jacobian_memory").values()
    assert v["explicit"] == {"dy/dx": 256 * 2**30, "dy/dw": 64 * 256 * 2**30}
    assert (64 * 4096) * (64 * 4096) * 4 == 256 * 2**30
    text = printed["jacobian_memory"]
    assert line(text, "dy/dx: [(N×D)×(N×M)]").split() == ["256", "GB"]
    assert line(text, "dy/dw: [(D×M)×(N×M)]").split()[:2] == ["16,384", "GB"]
    arrays = v["arrays"]
    held = sum(array.nbytes for array in arrays.values())
    assert held <= v["peak"] <= held + 2**20
    assert v["peak"] < 140 * 2**20
    row = arrays["y"][5].astype(float)  # which the script sends back as its gradient
    assert arrays["dx"][5, 7] == pytest.approx(row @ arrays["w"][7].astype(float), rel=1e-4)


# -- the other systems ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shapes", "least"),
    [
        ("linear_classifier", {"W": (10, 64)}, 0.93),
        ("two_layers", {"W1": (100, 64), "W2": (10, 100)}, 0.96),
        ("three_layers", {"W1": (100, 64), "W2": (50, 100), "W3": (10, 50)}, 0.96),
    ],
)
def test_linear_two_three_layers(name, shapes, least, printed):
    v = script(name).values()
    assert {key: v[key].shape for key in shapes} == shapes
    assert_allclose(v["f"], v["net"], rtol=1e-12, atol=1e-12)
    assert v["accuracy"] >= least
    assert f"{100 * v['accuracy']:.1f} %" in printed[name]
    assert line(printed[name], "f  ").split() == [f"{score:.2f}" for score in v["f"]]


def test_activations():
    x = np.array([-2, -0.5, 0.5, 2])
    sigmoid = 1 / (1 + np.exp(-x))
    right = x > 0
    expected = {
        "sigmoid": (sigmoid, sigmoid * (1 - sigmoid)),
        "tanh": (np.tanh(x), 1 / np.cosh(x) ** 2),
        "ReLU": (np.maximum(0, x), right),
        "Leaky ReLU": (np.maximum(0.1 * x, x), np.where(right, 1, 0.1)),
        "Maxout": (np.maximum(-0.5 * x, x + 0.5), [-0.5, -0.5, 1, 1]),
        "ELU": (np.where(right, x, np.exp(x) - 1), np.where(right, 1, np.exp(x))),
    }
    found = script("activations").values()
    assert found.keys() == expected.keys()
    for name, (f, df) in expected.items():
        assert_allclose(found[name][0], f, rtol=1e-14)
        assert_allclose(found[name][1], df, rtol=1e-14)


def test_no_activation(printed):
    v = script("no_activation").values()
    W3 = product(v["W2"].tolist(), v["W1"].tolist())
    expected = [sum(a * b for a, b in zip(row, v["x"].tolist(), strict=True)) for row in W3]
    assert_array_equal(v["W3"], W3)
    assert_array_equal(v["two"], expected)
    assert_array_equal(v["one"], expected)
    for label in ("W₂ (W₁ x)", "W₃ x     "):
        assert printed_matrix(printed["no_activation"], label) == [expected]
    assert v["without"] < 0.7
    assert v["with"] > 0.97


def test_feed_forward():
    v = script("feed_forward").values()
    shapes = {"x": (3, 1), "h1": (4, 1), "h2": (4, 1), "out": (1, 1)}
    assert {name: v[name].shape for name in shapes} == shapes
    assert_allclose(v["net"], v["out"], rtol=1e-14)


def test_twenty_lines(printed):
    v = script("twenty_lines").values()
    assert v["accuracy"] >= 0.96
    assert v["loss"] < 0.5
    assert v["difference"] < 1e-12
    assert f"{100 * v['accuracy']:.1f} %" in printed["twenty_lines"]


def test_the_twenty_lines_descend_the_real_gradient():
    """From finite differences of the loss: the first step is −RATE times the gradient."""
    m = script("twenty_lines")
    (X, Y), _ = script("on_digits").digits()
    rng = np.random.default_rng(0)
    start = [0.1 * rng.standard_normal((64, 100)), np.zeros(100),
             0.1 * rng.standard_normal((100, 10)), np.zeros(10)]  # fmt: skip
    rows = rng.integers(len(X), size=m.N)

    def loss(W1, b1, W2, b2):
        scores = 1 / (1 + np.exp(-(X[rows] @ W1 + b1))) @ W2 + b2
        own = scores[np.arange(m.N), Y[rows]]
        return np.mean(np.log(np.exp(scores).sum(axis=1)) - own)

    after = m.train(X, Y, steps=1)
    assert after[4] == pytest.approx(loss(*start), rel=1e-12)
    for k in range(4):
        step = (start[k] - after[k]) / m.RATE
        for direction in (step, rng.standard_normal(step.shape)):
            h = 1e-5 / np.linalg.norm(direction)
            ends = [[a + s * h * direction if i == k else a for i, a in enumerate(start)]
                    for s in (1, -1)]  # fmt: skip
            slope = (loss(*ends[0]) - loss(*ends[1])) / (2 * h)
            assert slope == pytest.approx(np.sum(step * direction), rel=1e-5, abs=1e-8)


def test_capacity(printed):
    train, new = {}, {}
    for penalty in (0.001, 0.01, 0.1):
        row = numbers(line(printed["capacity"], f"λ = {penalty} "))
        for i, neurons in enumerate((3, 6, 20)):
            train[penalty, neurons], new[penalty, neurons] = row[2 * i : 2 * i + 2]
    assert train[0.001, 3] + 3 <= train[0.001, 20]  # more neurons, more capacity,
    assert new[0.001, 20] + 3 <= new[0.01, 20]  # which learned the noise
    assert max(train[0.1, n] for n in (3, 6, 20)) <= train[0.01, 3] - 3
    assert min(new.values()) > 70


def test_random_wiring(printed):
    pytest.importorskip("networkx")
    row = re.compile(
        r"^(\w+–\w+) +12 nodes, (\d+) edges, [\d,]+ parameters; accuracy (.+) %$", re.M
    )
    found = row.findall(printed["random_wiring"])
    assert [name for name, *_ in found] == ["Watts–Strogatz", "Erdős–Rényi", "Barabási–Albert"]
    assert all(float(accuracy) >= 96 for *_, accuracy in found)
    edges = [int(count) for _, count, _ in found]
    assert (edges[0], edges[2]) == (12 * 4 // 2, (12 - 3) * 3)
    reads = re.findall(r"(\d+) ← (\d+(?:, \d+)*|image)", printed["random_wiring"])
    assert [int(node) for node, _ in reads] == 3 * list(range(12))
    sources = [[int(j) for j in names.split(",")] if names != "image" else [] for _, names in reads]
    assert all(j < int(node) for (node, _), js in zip(reads, sources, strict=True) for j in js)
    assert [sum(map(len, sources[k : k + 12])) for k in (0, 12, 24)] == edges


def test_total_loss(printed):
    m = script("total_loss")
    v = m.values()
    W1, W2 = m.W1.tolist(), m.W2.tolist()
    hidden = [[max(0, z) for z in row] for row in product(m.X.tolist(), transposed(W1))]
    scores = product(hidden, transposed(W2))
    svm = [sum(max(0, s[j] - s[y] + 1) for j in range(3) if j != y)
           for s, y in zip(scores, m.Y, strict=True)]  # fmt: skip
    softmax = [math.log(sum(map(math.exp, s))) - s[y] for s, y in zip(scores, m.Y, strict=True)]
    penalty = 0.1 * sum(w * w for W in (W1, W2) for row in W for w in row)
    assert_array_equal(v["s"], scores)
    assert_array_equal(v["svm"], svm)
    assert_allclose(v["softmax"], softmax, rtol=1e-14)
    totals = [sum(svm) / 3 + penalty, sum(softmax) / 3 + penalty]
    for way in ("total", "layers"):
        assert_allclose(v[way], totals, rtol=1e-14)
    assert numbers(printed["total_loss"].partition("\nL     ")[2].splitlines()[0]) == [
        round(total, 4) for total in totals
    ]


def test_graphs_nobody_would_differentiate_on_paper(printed):
    assert sum(script("alexnet").values().values()) == 60_965_224  # the paper's "60 million"
    assert "60,965,224" in printed["alexnet"]
    v = script("turing_machine").values()
    assert v["report"].verdict == "right"
    assert len(v["gates"]) == 86
    assert "a graph of 86 gates" in printed["turing_machine"]
    assert "differences: right" in printed["turing_machine"]


def test_gate_patterns(printed):
    v = script("gate_patterns").values()
    # inputs, output, upstream gradient, gradients
    expected = [
        ((3, 4), (7,), (2,), (2, 2)),
        ((2, 3), (6,), (5,), (15, 10)),
        ((7,), (7, 7), (4, 2), (6,)),
        ((4, 5), (5,), (9,), (0, 9)),
    ]
    assert list(v.values()) == expected
    for name, parts in zip(v, expected, strict=True):
        assert numbers(line(printed["gate_patterns"], name)) == [n for part in parts for n in part]


def test_flat_svm_and_the_modular_one():
    (loss, dW), (loss2, dW2) = script("flat_svm").values().values()
    assert loss2 == pytest.approx(loss, rel=4e-16)
    assert_allclose(dW2, dW, rtol=0, atol=1e-15)


def test_flat_two_layers_and_the_modular_ones():
    (loss, flat), (loss2, modular) = script("flat_two_layers").values().values()
    assert loss2 == pytest.approx(loss, rel=1e-15)
    assert flat.keys() == modular.keys() == {"dW1", "db1", "dW2", "db2"}
    for name, grad in flat.items():
        assert_allclose(modular[name], grad, rtol=0, atol=1e-15)


def test_the_matrix_example(printed):
    m = script("matrix_example")
    X, W1, W2 = m.X.tolist(), m.W1.tolist(), m.W2.tolist()
    z1 = product(X, W1)
    h1 = [[max(0, z) for z in row] for row in z1]
    y = product(h1, W2)
    dy = [[2 * entry for entry in row] for row in y]
    dh1 = product(dy, transposed(W2))
    dz1 = [[d * (z > 0) for d, z in zip(*rows, strict=True)] for rows in zip(dh1, z1, strict=True)]
    expected = {
        "L": sum(entry**2 for row in y for entry in row),
        "∂L/∂W₂": product(transposed(h1), dy),
        "∂L/∂W₁": product(transposed(X), dz1),
    }
    for way in script("matrix_example").values().values():
        for name, value in expected.items():
            assert_array_equal(way[name], value)
    text = printed["matrix_example"]
    assert printed_matrix(text, "∂L/∂W₂ = h₁ᵀ 2ŷ") == expected["∂L/∂W₂"]
    assert printed_matrix(text, "∂L/∂W₁ = Xᵀ (2ŷ W₂ᵀ ∘ 1[z₁ > 0])") == expected["∂L/∂W₁"]
    assert float(line(text, "L = ‖ŷ‖² = ")) == expected["L"]
