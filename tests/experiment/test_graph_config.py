"""A configuration that describes a graph: what is built, what is saved, every mistake."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import layers
import solver
from experiment.config import read
from experiment.errors import ConfigError
from experiment.model import load
from experiment.network import build_net, resolved

HEAD = """
[data]
name = "digits"

[loss]
name = "softmax"

[optim]
name = "sgd"
lr = 0.1

[net]
"""
SKIP = """
nodes = [
    { name = "fc1", type = "linear", units = 5, input = "x" },
    { name = "relu1", type = "relu", input = "fc1" },
    { name = "fc2", type = "linear", units = 5, input = "relu1" },
    { name = "sum", type = "add", inputs = ["relu1", "fc2"] },
    { name = "scores", type = "linear", input = "sum" },
]
"""


def config(tmp_path, net):
    path = tmp_path / "graph.toml"
    path.write_text(HEAD + net, encoding="utf-8")
    return path


def built(tmp_path, net, D=7, outputs=3, seed=0):
    return build_net(read(config(tmp_path, net)).net, D, outputs, seed)


# -- what is built -----------------------------------------------------------------------


def test_a_skip_connection(tmp_path):
    net = built(tmp_path, SKIP + 'dtype = "float64"')
    graph = net.children["graph"]
    assert isinstance(graph, layers.Graph)
    params = graph.params
    assert {name: value.shape for name, value in params.items()} == {
        "fc1.W": (7, 5), "fc1.b": (5,), "fc2.W": (5, 5), "fc2.b": (5,),
        "scores.W": (5, 3), "scores.b": (3,),
    }  # fmt: skip
    x = np.random.default_rng(0).standard_normal((4, 7))
    hidden = np.maximum(x @ params["fc1.W"], 0)
    expected = (hidden + hidden @ params["fc2.W"]) @ params["scores.W"]
    np.testing.assert_allclose(net.forward(x), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("node", "function"),
    [
        ('type = "subtract", inputs = ["a", "b"]', lambda a, b: a - b),
        ('type = "multiply", inputs = ["a", "b"]', lambda a, b: a * b),
        ('type = "max", inputs = ["a", "b"]', np.maximum),
        ('type = "add", inputs = ["a", "b", "a"]', lambda a, b: 2 * a + b),
        ('type = "weighted_sum", inputs = ["a", "b"]', lambda a, b: (a + b) / 2),
        ('type = "concat", inputs = ["a", "b"]', lambda a, b: np.concatenate([a, b], 1)),
    ],
)
def test_nodes_that_join(tmp_path, node, function):
    text = f"""
nodes = [
    {{ name = "a", type = "linear", input = "x", units = 2 }},
    {{ name = "b", type = "linear", input = "x", units = 2 }},
    {{ name = "joined", {node} }},
    {{ name = "halved", type = "scale", a = 0.5, input = "joined" }},
    {{ name = "half", type = "linear", bias = false, input = "halved" }},
]
output = "half"
dtype = "float64"
"""
    net = built(tmp_path, text)
    params = net.children["graph"].params
    x = np.random.default_rng(0).standard_normal((4, 7))
    joined = function(x @ params["a.W"], x @ params["b.W"])
    np.testing.assert_allclose(net.forward(x), 0.5 * joined @ params["half.W"], rtol=1e-12)


def test_the_seed_decides(tmp_path):
    one, same, other = (built(tmp_path, SKIP, seed=seed) for seed in (1, 1, 2))
    for name, value in one.params.items():
        assert_array_equal(value, same.params[name])
    assert not np.array_equal(one.params["graph.fc1.W"], other.params["graph.fc1.W"])


# -- randomly wired ----------------------------------------------------------------------

GENERATORS = {
    "watts_strogatz": (
        "neighbors = 4, rewire = 0.5",
        lambda nx: nx.watts_strogatz_graph(9, 4, 0.5, seed=3),
    ),
    "erdos_renyi": ("edge = 0.3", lambda nx: nx.erdos_renyi_graph(9, 0.3, seed=3)),
    "barabasi_albert": ("edges = 2", lambda nx: nx.barabasi_albert_graph(9, 2, seed=3)),
}


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_random_wiring_is_that_of_the_graph(tmp_path, generator):
    networkx = pytest.importorskip("networkx")
    options, make = GENERATORS[generator]
    text = f'random = {{ generator = "{generator}", nodes = 9, units = 4, seed = 3, {options} }}'
    nodes = resolved(read(config(tmp_path, text)).net).nodes
    by_name = {node.name: node for node in nodes}
    edges = set()
    for i in range(9):
        source = by_name[f"relu{i}"].input
        joined = by_name[source].inputs if source.startswith("sum") else [source]
        edges |= {(int(name[4:]), i) for name in joined if name != "stem"}
    assert edges == {(min(edge), max(edge)) for edge in make(networkx).edges}
    net = built(tmp_path, text)
    assert net.forward(np.ones((2, 7))).shape == (2, 3)


def test_without_networkx_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(ConfigError, match=r"extra `graphs`: pip install 'handgrad\[graphs\]'"):
        built(tmp_path, 'random = { generator = "erdos_renyi" }')


# -- a run -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits_skip", "digits_random"])
def test_a_run_learns_is_saved_and_comes_back(name, tmp_path, monkeypatch):
    pytest.importorskip("networkx")
    out = tmp_path / "run"
    command = ["--config", f"configs/{name}.toml", "--quiet", "--out", str(out)]
    assert solver.main(command) == 0
    monkeypatch.setitem(sys.modules, "networkx", None)  # a saved wiring needs no generator
    model = load(out)
    from data import load_digits

    digits = load_digits()
    assert np.mean(model.predict(digits.x) == digits.y) >= 0.96
    assert any(key.startswith("graph.") for key in model.params)
    test_accuracy = float(
        (out / "summary.txt").read_text("utf-8").split("test        accuracy ")[1].split()[0]
    )
    assert test_accuracy >= 96


def test_a_graph_that_blows_up_names_the_node(tmp_path, capsys):
    path = config(tmp_path, SKIP)
    command = ["--config", str(path), "--quiet", "--out", str(tmp_path / "run")]
    assert solver.main([*command, "--set", "optim.lr=1e30"]) == 3
    assert "graph." in capsys.readouterr().err


# -- mistakes ----------------------------------------------------------------------------

FC = '{ name = "fc", type = "linear", input = "x" }'


@pytest.mark.parametrize(
    ("net", "error"),
    [
        ("nodes = []", "net.nodes: is empty"),
        ('nodes = [{ type = "linear", input = "x" }]', r"net.nodes\[0\].name: is None"),
        ('nodes = [{ name = "a.b", type = "relu", input = "x" }]', "a word without dots"),
        ('nodes = [{ name = "x", type = "relu", input = "x" }]', "'x' is the network's input"),
        (f"nodes = [{FC}, {FC}]", r"\[1\].name: 'fc' is the name of net.nodes\[0\] already"),
        ('nodes = [{ name = "a", type = "linear" }]', r"'a': reads nothing, expected e.g. input"),
        ('nodes = [{ name = "a", type = "add" }]', r"'a': reads nothing, expected e.g. inputs"),
        (
            'nodes = [{ name = "a", type = "relu", inputs = ["x", "x"] }]',
            "'a': relu takes one input, got 2",
        ),
        (
            'nodes = [{ name = "a", type = "multiply", input = "x" }]',
            "'a': multiply takes two inputs, got 1",
        ),
        (
            'nodes = [{ name = "a", type = "add", input = "x", inputs = ["x"] }]',
            "has input and inputs, expected one of them",
        ),
        (
            f'nodes = [{FC}, {{ name = "a", type = "relu", input = "fcc" }}]',
            r"'a': reads unknown node 'fcc'; did you mean 'fc'\? \(valid: a, fc, x\)",
        ),
        (
            'nodes = [{ name = "a", type = "relu", input = "a" }]',
            "a cycle: a → a",
        ),
        (
            """nodes = [
                { name = "a", type = "add", inputs = ["x", "c"] },
                { name = "b", type = "relu", input = "a" },
                { name = "c", type = "relu", input = "b" },
            ]""",
            "net.nodes: a cycle: a → b → c → a",
        ),
        (
            f'nodes = [{{ name = "a", type = "relu", input = "fc" }}, {FC}]',
            "'a': reads 'fc', which stands below it; expected nodes in the order",
        ),
        (
            f'nodes = [{{ name = "a", type = "relu", input = "x" }}, {FC}]',
            r"net.nodes\[0\]: 'a' is unused: no node reads it, and the output is 'fc'",
        ),
        (f'nodes = [{FC}]\noutput = "fcc"', "net.output: unknown node 'fcc'; did you mean 'fc'"),
        (
            """nodes = [
                { name = "a", type = "linear", units = 4, input = "x" },
                { name = "b", type = "linear", units = 5, input = "x" },
                { name = "sum", type = "add", inputs = ["a", "b"] },
            ]""",
            r"'sum': inputs of different numbers of features \('a' 4, 'b' 5\), expected the same",
        ),
        (
            'nodes = [{ name = "a", type = "linear", units = 4, input = "x" }]',
            "net.output: 'a' has 4 scores, expected 3",
        ),
        ('nodes = [{ name = "a", type = "lineer", input = "x" }]', "did you mean 'linear'"),
        ('nodes = [{ name = "a", type = "relu", imput = "x" }]', "did you mean 'input'"),
        (f"hidden = [5]\nnodes = [{FC}]", "one of them; got hidden and nodes"),
        (f"nodes = [{FC}]\ndropout = 0.5", "net.dropout: goes with net.hidden; write it into"),
        ('hidden = [5]\noutput = "a"', "net.output: goes with net.nodes"),
        (
            'layers = [{ type = "linear", name = "a" }]',
            r"net.layers\[0\].name: goes with net.nodes",
        ),
        ('random = { generator = "erdos" }', "did you mean 'erdos_renyi'"),
        ('random = { generator = "barabasi_albert", nodes = 3 }', "expected fewer than the 3 nod"),
        ('random = { generator = "watts_strogatz", nodes = 4 }', "net.random.neighbors: is 4"),
        ('random = { generator = "erdos_renyi", edge = 2 }', "net.random.edge: expected a number"),
    ],
)
def test_mistakes(net, error, tmp_path):
    with pytest.raises(ConfigError, match=error) as e:
        built(tmp_path, net)
    assert "\n" not in str(e.value)


def test_a_long_cycle_needs_no_recursion(tmp_path):
    nodes = [f'{{ name = "n{i}", type = "relu", input = "n{i - 1}" }}' for i in range(1, 3000)]
    first = '{ name = "n0", type = "add", inputs = ["x", "n2999"] }'
    last = '{ name = "n2999", type = "relu", input = "n2998" }'
    text = f"nodes = [{', '.join([first, *nodes[:-1], last])}]"
    with pytest.raises(ConfigError, match=r"a cycle: n0 → n1 → n2 → n3 → … → n0$"):
        built(tmp_path, text)
