"""Gates and graphs against PyTorch, in float64."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from layers import Graph, Linear, ReLU, Sequential, Tanh, WeightedSum
from layers import gates as g

torch = pytest.importorskip("torch")

PAIRS = [
    ((), ()),
    ((3,), ()),
    ((4, 3), (4, 3)),
    ((4, 3), (3,)),
    ((4, 1), (1, 3)),
    ((2, 1, 3), (4, 1)),
]
ONE = [(), (5,), (4, 3), (2, 3, 4)]
TWO = {
    "Add": (g.Add(), torch.add),
    "Subtract": (g.Subtract(), torch.sub),
    "Multiply": (g.Multiply(), torch.mul),
    "Divide": (g.Divide(), torch.div),
    "Max": (g.Max(), torch.maximum),
}
SINGLE = {
    "Scale": (g.Scale(-1.7), lambda x: -1.7 * x),
    "Shift": (g.Shift(2.5), lambda x: x + 2.5),
    "Exp": (g.Exp(), torch.exp),
    "Log": (g.Log(), torch.log),
    "Reciprocal": (g.Reciprocal(), torch.reciprocal),
    "Power 2": (g.Power(2), lambda x: x**2),
    "Power -1.5": (g.Power(-1.5), lambda x: x**-1.5),
    "Sigmoid": (g.Sigmoid(), torch.sigmoid),
    "Sum": (g.Sum(), torch.sum),
    "Mean": (g.Mean(), torch.mean),
    "SquaredNorm": (g.SquaredNorm(), lambda x: (x * x).sum()),
    "Transpose": (
        g.Transpose(),
        lambda x: x.permute(*reversed(range(x.ndim))) if x.ndim else x * 1,
    ),
}
SHAPED = {
    "MatMul": (g.MatMul(), torch.matmul, (4, 3), (3, 5)),
    "MatMul, vectors": (g.MatMul(), torch.matmul, (3,), (3,)),
    "MatMul, row": (g.MatMul(), torch.matmul, (3,), (3, 5)),
    "MatMul, column": (g.MatMul(), torch.matmul, (2, 4, 3), (3,)),
    "MatMul, stacks": (g.MatMul(), torch.matmul, (5, 1, 2, 3), (6, 3, 4)),
    "Sum along": (g.Sum((0, -1)), lambda x: x.sum((0, -1)), (2, 3, 4)),
    "Mean along": (g.Mean(1, keepdims=True), lambda x: x.mean(1, keepdim=True), (2, 3, 4)),
    "Concat": (g.Concat(1), lambda *xs: torch.cat(xs, 1), (2, 3), (2, 1), (2, 2)),
    "Reshape": (g.Reshape((4, -1)), lambda x: x.reshape(4, -1), (2, 3, 4)),
    "Transpose": (g.Transpose((1, 2, 0)), lambda x: x.permute(1, 2, 0), (2, 3, 4)),
    "Add of three": (g.Add(), lambda x, y, z: x + y + z, (4, 3), (3,), (2, 1, 1)),
}


def compare(layer, function, *shapes, params=()):
    """y, every dx and every parameter's gradient; `function` takes the inputs, then `params`."""
    rng = np.random.default_rng(0)
    xs = [rng.uniform(0.5, 2, shape) for shape in shapes]
    tensors = [torch.tensor(x, requires_grad=True) for x in xs]
    learned = [torch.tensor(layer.params[name], requires_grad=True) for name in params]
    theirs = function(*tensors, *learned)
    ours = layer.forward(*xs)
    several = isinstance(ours, tuple)
    douts = [rng.standard_normal(np.shape(y)) for y in (ours if several else (ours,))]
    torch.autograd.backward(theirs if several else [theirs], [torch.tensor(dout) for dout in douts])
    dx, grads = layer.backward(tuple(douts) if several else douts[0])
    dxs = dx if isinstance(dx, tuple) else (dx,)
    for y, other in zip(
        ours if several else (ours,), theirs if several else (theirs,), strict=True
    ):
        assert y.shape == tuple(other.shape)
        assert_allclose(y, other.detach().numpy(), rtol=1e-10, atol=1e-10)
    for got, tensor in zip(dxs, tensors, strict=True):
        assert got.shape == tuple(tensor.shape)
        assert_allclose(got, tensor.grad.numpy(), rtol=1e-10, atol=1e-10)
    assert list(grads) == list(params)
    for name, tensor in zip(params, learned, strict=True):
        assert_allclose(grads[name], tensor.grad.numpy(), rtol=1e-10, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("shapes", PAIRS, ids=str)
@pytest.mark.parametrize("name", TWO)
def test_two_inputs(name, shapes):
    compare(*TWO[name], *shapes)


@pytest.mark.parametrize("shape", ONE, ids=str)
@pytest.mark.parametrize("name", SINGLE)
def test_one_input(name, shape):
    compare(*SINGLE[name], shape)


@pytest.mark.parametrize("name", SHAPED)
def test_shaped(name):
    compare(*SHAPED[name])


def test_weighted_sum():
    layer = WeightedSum(3, dtype=np.float64)
    layer.params["w"][...] = [-2, 0.3, 1.5]

    def function(x, y, z, w):
        return sum(torch.sigmoid(w[i]) * part for i, part in enumerate((x, y, z)))

    compare(layer, function, (4, 3), (4, 3), (4, 3), params=["w"])


# -- graphs ------------------------------------------------------------------------------


def linear(D, M, seed):
    return Linear(D, M, rng=seed, dtype=np.float64)


def test_fan_out_and_broadcast():
    graph = Graph()
    x, y = graph.inputs("x", "y")
    h = (x * y).exp()
    h / (h + x) - y
    compare(graph, lambda x, y: torch.exp(x * y) / (torch.exp(x * y) + x) - y, (4, 3), (3,))


def test_one_layer_at_three_nodes():
    graph, shared = Graph(), linear(3, 3, 0)
    x = graph.input("x")
    one = graph.add(shared, x, name="a").tanh()
    two = graph.add(shared, one, name="b").tanh()
    graph.add(shared, two + x, name="c")

    def function(x, W, b):
        one = torch.tanh(x @ W + b)
        return (torch.tanh(one @ W + b) + x) @ W + b

    compare(graph, function, (5, 3), params=["a.W", "a.b"])


def test_one_network_at_two_nodes():
    graph = Graph()
    shared = Sequential(linear(3, 4, 0), Tanh(), linear(4, 3, 1))
    x, y = graph.inputs("x", "y")
    graph.add(shared, x, name="net") * graph.add(shared, y, name="again")

    def net(x, W1, b1, W2, b2):
        return torch.tanh(x @ W1 + b1) @ W2 + b2

    names = ["net.linear1.W", "net.linear1.b", "net.linear2.W", "net.linear2.b"]
    compare(graph, lambda x, y, *p: net(x, *p) * net(y, *p), (5, 3), (5, 3), params=names)


def test_two_outputs_one_of_them_read_again():
    graph = Graph()
    x = graph.input("x")
    hidden = graph.add(ReLU(), graph.add(linear(3, 4, 0), x, name="fc1"))
    graph.output(hidden, graph.add(linear(4, 2, 1), hidden, name="fc2"))

    def function(x, W1, b1, W2, b2):
        hidden = torch.relu(x @ W1 + b1)
        return hidden, hidden @ W2 + b2

    compare(graph, function, (5, 3), params=["fc1.W", "fc1.b", "fc2.W", "fc2.b"])


def test_skip_connection():
    graph = Graph()
    x = graph.input("x")
    h = graph.add(linear(3, 3, 0), x, name="fc1").relu()
    graph.add(linear(3, 2, 1), h + x, name="fc2")

    def function(x, W1, b1, W2, b2):
        return (torch.relu(x @ W1 + b1) + x) @ W2 + b2

    compare(graph, function, (5, 3), params=["fc1.W", "fc1.b", "fc2.W", "fc2.b"])


def test_a_graph_in_a_graph():
    inner = Graph()
    x = inner.input("x")
    parts = inner.add(g.Copy(2), x, name="c")
    inner.output(parts[0].exp(), parts[1] * 2)
    outer = Graph()
    x = outer.input("x")
    one, two = outer.add(inner, x, name="inner")
    one * two + x
    compare(outer, lambda x: torch.exp(x) * 2 * x + x, (4, 3))
