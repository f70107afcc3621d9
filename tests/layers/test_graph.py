"""Graph: the lecture's circuits, sharing, several inputs and outputs, every mistake."""

import copy
import time

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from layers import (
    Add,
    BatchNorm,
    Copy,
    Dropout,
    Exp,
    Graph,
    Linear,
    Multiply,
    ReLU,
    Scale,
    Sequential,
    Shift,
    Tanh,
)


def circuit():
    graph = Graph()
    x, y, z = graph.inputs("x", "y", "z")
    _ = (x + y) * z
    return graph


def linear(D, M, seed=0):
    return Linear(D, M, rng=seed, dtype=np.float64)


# -- the lecture -------------------------------------------------------------------------


def test_the_lectures_first_circuit():
    graph = circuit()
    assert graph.forward(-2, 5, -4) == -12
    assert graph.backward(1) == ((-4, -4, 3), {})
    assert graph.values == {"x": -2, "y": 5, "z": -4, "add1": 3, "multiply1": -12}
    assert graph.grads == {"x": -4, "y": -4, "z": 3, "add1": -4, "multiply1": 1}


def test_the_sigmoid_neuron_gate_by_gate_and_with_one_gate():
    graphs = []
    for short in (False, True):
        graph = Graph()
        w0, x0, w1, x1, w2 = graph.inputs("w0", "x0", "w1", "x1", "w2")
        s = w0 * x0 + w1 * x1 + w2
        _ = s.sigmoid() if short else 1 / ((-s).exp() + 1)
        f = graph.forward(2, -1, -3, -2, -3)
        dxs, _ = graph.backward(1)
        assert_allclose(f, 0.7310585786, rtol=1e-9)
        expected = [-0.1966119332, 0.3932238665, -0.3932238665, -0.5898357997, 0.1966119332]
        assert_allclose(dxs, expected, rtol=1e-9)
        graphs.append(graph)
    values, grads = graphs[0].values, graphs[0].grads
    assert_allclose(values["exp1"], 0.3678794412, rtol=1e-9)
    assert_allclose(values["shift1"], 1.3678794412, rtol=1e-9)
    assert_allclose(grads["shift1"], -0.5344466454, rtol=1e-9)
    assert_allclose(grads["exp1"], -0.5344466454, rtol=1e-9)
    assert_allclose(grads["scale1"], -0.1966119332, rtol=1e-9)
    assert_allclose(grads["add2"], 0.1966119332, rtol=1e-9)


def test_the_squared_norm_of_a_product():
    graph = Graph()
    W, x = graph.inputs("W", "x")
    _ = (W @ x).squared_norm()
    f = graph.forward(np.array([[0.1, 0.5], [-0.3, 0.8]]), np.array([0.2, 0.4]))
    (dW, dx), _ = graph.backward(1)
    assert_allclose(f, 0.116, rtol=1e-12)
    assert_allclose(dW, [[0.088, 0.176], [0.104, 0.208]], rtol=1e-12)
    assert_allclose(dx, [-0.112, 0.636], rtol=1e-12)


# -- wires -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "value", "slope"),
    [
        (lambda x: x + 3, 5, 1),
        (lambda x: 3 + x, 5, 1),
        (lambda x: x - 3, -1, 1),
        (lambda x: 3 - x, 1, -1),
        (lambda x: 3 * x, 6, 3),
        (lambda x: x / 4, 0.5, 0.25),
        (lambda x: 1 / x, 0.5, -0.25),
        (lambda x: 6 / x, 3, -1.5),
        (lambda x: x**3, 8, 12),
        (lambda x: -x, -2, -1),
        (lambda x: x * x * x, 8, 12),
        (lambda x: x - x / x, 1, 1),
        (lambda x: x.log().exp(), 2, 1),
        (lambda x: x.reshape((1, 1)).sum(), 2, 1),
        (lambda x: x.maximum(x * x, 3 * x), 6, 3),
        (lambda x: (x.relu() + x.tanh() * 0).mean().transpose(), 2, 1),
    ],
)
def test_formulas_at_two(formula, value, slope):
    graph = Graph()
    formula(graph.input("x"))
    assert_allclose(graph.forward(2), value, rtol=1e-14)
    assert_allclose(graph.backward(1)[0], slope, rtol=1e-14)


def test_what_a_wire_does_not_take():
    x, other = Graph().input("x"), Graph().input("other")
    for formula in (
        lambda: x + "1",
        lambda: np.ones(3) * x,
        lambda: x - True,
        lambda: x @ 2,
        lambda: None / x,
        lambda: x**x,
    ):
        with pytest.raises(TypeError, match="operand"):
            formula()
    with pytest.raises(ValueError, match="reads 'other' of another graph"):
        x + other
    with pytest.raises(ZeroDivisionError, match="x / 0"):
        x / 0
    with pytest.raises(TypeError, match="x is one wire, which has no parts"):
        _, _ = x
    assert repr(x) == "Wire(x)"


# -- parameters that are shared ----------------------------------------------------------


def shared_twice():
    """y = (x W + b) W + b with one layer at two nodes."""
    graph, layer = Graph(), linear(2, 2)
    layer.params["W"][...] = [[1, 2], [3, 4]]
    layer.params["b"][...] = [1, -1]
    x = graph.input("x")
    graph.add(layer, graph.add(layer, x, name="one"), name="two")
    return graph, layer


def test_gradients_of_one_layer_at_two_nodes_add():
    graph, layer = shared_twice()
    assert list(graph.params) == ["one.W", "one.b"]
    assert graph.params["one.W"] is layer.params["W"]
    x, dout = np.array([[1.0, 1.0]]), np.array([[1.0, 0.0]])
    # hidden = (5, 5); y = (5·1 + 5·3 + 1, 5·2 + 5·4 − 1)
    assert_array_equal(graph.forward(x), [[21, 29]])
    dx, grads = graph.backward(dout)
    # of the second: dW = hiddenᵀ dout, dhidden = dout Wᵀ = (1, 3); of the first: xᵀ dhidden
    assert_array_equal(grads["one.W"], [[5 + 1, 0 + 3], [5 + 1, 0 + 3]])
    assert_array_equal(grads["one.b"], [1 + 1, 0 + 3])
    assert_array_equal(dx, [[1 + 6, 3 + 12]])


@pytest.mark.parametrize("whole", [False, True])
def test_shared_gradients_are_summed_in_the_vector(whole):
    graph, layer = shared_twice()
    x, dout = np.array([[1.0, 1.0], [2.0, -1.0]]), np.array([[1.0, 0.0], [3.0, 1.0]])
    graph.forward(x)
    expected = {name: value.copy() for name, value in graph.backward(dout)[1].items()}
    net = Sequential(graph=graph) if whole else graph
    vector = net.gather()
    assert net.gather() is vector
    assert vector.theta.size == 6
    with vector.driven():
        for _ in range(2):
            net.forward(x)
            for grads in (net.backward(dout)[1], net.parameter_gradients(dout)):
                for name, view in vector.grad_views.items():
                    assert grads[name] is view
                    assert_array_equal(view, expected[name.removeprefix("graph.")])
    vector.theta[...] = 0
    assert not layer.params["W"].any()
    assert not net.forward(x).any()


def test_copies_and_other_types_keep_the_sharing():
    graph, _ = shared_twice()
    x = np.array([[1.0, 1.0]])
    for twin in (copy.deepcopy(graph), graph.astype(np.float32)):
        assert list(twin.params) == ["one.W", "one.b"]
        twin.params["one.W"][...] = 0
        assert_array_equal(twin.forward(x), [[1, -1]])
        assert twin.backward(x)[1]["one.W"].dtype == twin.dtype
        again = Graph.add(twin, twin.children["one"], "two", name="three")
        assert again.name == "three"
        assert len(twin.params) == 2
    assert_array_equal(graph.forward(x), [[21, 29]])


def test_a_foreign_layer_at_two_nodes_keeps_two_caches():
    class Scaling:
        """Written by somebody else: caches in a dictionary made once."""

        def __init__(self):
            self.params = {"a": np.array([3.0])}
            self.a = self.params["a"]
            self.cache = {}

        def forward(self, x):
            self.cache["x"] = x
            return self.a * x

        def backward(self, dout):
            return self.a * dout, {"a": np.array([np.sum(dout * self.cache["x"])])}

    graph, layer = Graph(), Scaling()
    x = graph.input("x")
    graph.add(layer, graph.add(layer, x, name="one"), name="two")
    vector = graph.gather()
    vector.theta[...] = 5
    y = graph.forward(np.array([2.0]))
    assert y == 50  # a² x
    dx, grads = graph.backward(np.array([1.0]))
    assert dx == 25
    assert grads["one.a"] == 20  # 2 a x


def test_state_and_randomness_are_shared_too():
    graph, norm = Graph(), BatchNorm(1, momentum=0.5, dtype=np.float64)
    x = graph.input("x")
    graph.add(norm, x, name="one") + graph.add(norm, x, name="two")
    graph.forward(np.array([[1.0], [3.0]]))
    assert list(graph.state) == ["one.running_mean", "one.running_var"]
    assert norm.state["running_mean"] == 1.5  # 0 → 1 → 1.5 towards the mean 2
    graph, drop = Graph(), Dropout(0.5, rng=0)
    x = graph.input("x")
    graph.output(graph.add(drop, x), graph.add(drop, x))
    one, two = graph.forward(np.ones(64))
    assert (one != two).any()
    with graph.evaluating():
        one, two = graph.forward(np.ones(64))
    assert_array_equal(one, two)
    assert graph.training
    assert all(layer.training for layer in graph.children.values())


# -- several inputs and outputs ----------------------------------------------------------


def test_two_outputs_of_which_one_has_no_gradient():
    graph = Graph()
    x, y = graph.inputs("x", "y")
    total = x + y
    graph.output(total, total * y)
    assert graph.forward(2.0, 3.0) == (5, 15)
    assert graph.backward((1.0, 10.0))[0] == (31, 81)
    assert graph.backward((1.0, None))[0] == (1, 1)
    assert graph.backward((None, None))[0] == (0, 0)


def test_parameters_that_no_gradient_reaches_have_a_gradient_of_zero():
    graph = Graph()
    x = graph.input("x")
    graph.output(graph.add(linear(2, 2), x, name="a"), graph.add(linear(2, 2), x, name="b"))
    graph.forward(np.ones((1, 2)))
    _, grads = graph.backward((np.ones((1, 2)), None))
    assert_array_equal(grads["a.W"], np.ones((2, 2)))
    assert_array_equal(grads["b.W"], np.zeros((2, 2)))


def test_an_input_of_whole_numbers_may_have_no_gradient():
    class Rows:
        def forward(self, table, index):
            self.shape, self.index = table.shape, index
            return table[index]

        def backward(self, dout):
            dtable = np.zeros(self.shape)
            np.add.at(dtable, self.index, dout)
            return (dtable, None), {}

    graph = Graph()
    table, index = graph.inputs("table", "index")
    graph.add(Rows(), table * 2, index)
    y = graph.forward(np.eye(3), np.array([0, 0, 2]))
    assert_array_equal(y, 2 * np.eye(3)[[0, 0, 2]])
    (dtable, dindex), _ = graph.backward(np.ones((3, 3)))
    assert dindex is None
    assert_array_equal(dtable, 2 * np.array([[2, 2, 2], [0, 0, 0], [1, 1, 1]]))


def test_copy_has_wires_of_its_own():
    graph = Graph()
    one, two, three = graph.add(Copy(3), graph.input("x"), name="c")
    _ = one * two + three
    assert graph.forward(5) == 30
    assert graph.backward(1)[0] == 11
    assert graph.values["c.2"] == 5
    assert [graph.grads[f"c.{i}"] for i in range(3)] == [5, 5, 1]


# -- whose arrays ------------------------------------------------------------------------


def test_an_output_that_is_read_again_may_be_written_into():
    graph = Graph()
    x = graph.input("x")
    one = x * x
    graph.output(one, one * one)
    y, z = graph.forward(np.array([3.0]))
    y[...] = z[...] = np.nan
    assert graph.backward((np.array([0.0]), np.array([1.0])))[0] == 4 * 3**3


def test_a_failed_forward_leaves_no_half_pass_behind():
    graph = Graph()
    x, y = graph.inputs("x", "y")
    _ = x.exp() + y
    graph.forward(np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="add1: Add: inputs have shapes"):
        graph.forward(np.ones(3), np.ones(4))
    with pytest.raises(RuntimeError, match="Graph: backward before forward"):
        graph.backward(np.ones(3))


# -- a network ---------------------------------------------------------------------------


def test_parameter_gradients_stop_where_nothing_is_learned():
    class Unread(Tanh):
        def backward(self, dout):
            raise AssertionError("nobody reads this dx")

    graph = Graph()
    x = graph.input("x")
    side = graph.add(Unread(), x, name="side")
    h = graph.add(linear(2, 2), side, name="fc1")
    graph.add(linear(2, 2), h + side, name="fc2")
    graph.forward(np.array([[0.0, 1.0]]))
    grads = graph.parameter_gradients(np.ones((1, 2)))
    assert list(grads) == ["fc1.W", "fc1.b", "fc2.W", "fc2.b"]
    assert_allclose(grads["fc1.W"][1], np.tanh(1) * grads["fc1.b"], rtol=1e-14)


def test_weights_state_and_summary():
    graph = Graph()
    x = graph.input("x")
    h = graph.add(BatchNorm(3), graph.add(Linear(2, 3, rng=0), x, name="fc"), name="norm")
    graph.add(Sequential(ReLU(), Linear(3, 1, rng=0)), h, name="rest")
    assert graph.weights == ("fc.W", "rest.linear1.W")
    assert list(graph.state) == ["norm.running_mean", "norm.running_var"]
    text = graph.summary((2,), batch_size=5)
    assert "fc (Linear) ← x" in text
    assert "(5, 3)" in text
    assert text.endswith("19 parameters, float32, batch of 5")  # 9 + 6 + 4


def test_steps_are_the_leaves_in_the_order_of_forward():
    graph, _ = shared_twice()
    net = Sequential(Tanh(), inner=graph)
    x = np.array([[1.0, 2.0]])
    steps = list(net.steps(x))
    assert [step.name for step in steps] == ["tanh1", "inner.one", "inner.two"]
    assert steps[2].inputs == ("inner.one",)
    assert_array_equal(steps[-1].y, net.forward(x))


def test_time_per_gate_is_flat_and_the_chain_long():
    def run(n):
        graph = Graph()
        wire = graph.input("x")
        for i in range(n):
            wire = graph.add(Scale(-1) if i % 2 else Shift(1), wire)
        graph.forward(2.0)  # plans
        start = time.process_time()
        y = graph.forward(2.0)
        dx, _ = graph.backward(1.0)
        return (time.process_time() - start) / n, y, dx

    short = min(run(1000)[0] for _ in range(5))
    long, y, dx = run(100_000)
    assert (y, dx) == (2, 1)  # x → −(x + 1) twice is x
    assert long < 4 * short


# -- mistakes ----------------------------------------------------------------------------


def with_input():
    graph = Graph()
    return graph, graph.input("hidden")


def dead_node():
    graph, x = with_input()
    x.exp()
    graph.output(x.relu())
    graph.forward(1.0)


def two_ends():
    graph, x = with_input()
    x.exp(), x.relu()
    graph.forward(1.0)


def unused_input():
    graph, x = with_input()
    graph.input("more")
    x.exp()
    graph.forward(1.0, 2.0)


def shapes():
    graph, x = with_input()
    graph.add(Linear(3, 2, rng=0), x, name="fc1")
    graph.forward(np.ones((4, 5)))


def foreign_shapes():
    class Odd:
        def forward(self, x):
            raise ValueError("no")

        def backward(self, dout):
            return dout, {}

    graph, x = with_input()
    graph.add(Odd(), x, name="odd")
    graph.forward(np.ones((4, 5)))


def part_of_a_container():
    graph, x = with_input()
    inside = Exp()
    graph.add(Sequential(inside, Tanh()), x, name="chain")
    graph.add(inside, "chain", name="again")


def backward_shape():
    graph = circuit()
    graph.forward(1, 2, np.ones(3))
    graph.backward(np.ones(4))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (
            lambda: with_input()[0].add(Exp(), "hiden"),
            r"reads 'hiden', which does not exist \(yet\); did you mean 'hidden'",
        ),
        (lambda: with_input()[0].add(Exp(), "hidden", name="hidden"), "is the name of an input"),
        (lambda: with_input()[0].input("hidden"), "'hidden' is the name of an input already"),
        (lambda: with_input()[0].add(Exp(), "hidden", name="a.b"), "expected a word without dots"),
        (lambda: with_input()[0].add(Exp()), "reads nothing, expected one input or more"),
        (lambda: with_input()[0].add(3, "hidden"), "int1 is 3, expected forward and backward"),
        (
            lambda: with_input()[0].add(Exp, "hidden"),
            r"Graph: Exp is the class, expected a layer: Exp\(…\)",
        ),
        (
            lambda: with_input()[0].add(Exp(), "hidden", "hidden", name="e"),
            "node 'e' reads 2 wires, expected 1, as Exp.forward takes",
        ),
        (
            lambda: with_input()[0].add(Multiply(), "hidden", name="m"),
            "node 'm' reads 1 wire, expected 2, as Multiply.forward takes",
        ),
        (lambda: with_input()[0].output("scores"), "the output reads 'scores', which does not"),
        (lambda: with_input()[0].output(), "expected one or more"),
        (lambda: with_input()[0].forward(1), "no nodes, expected at least one"),
        (dead_node, "node 'exp1' is unused, expected it to be read or an output"),
        (two_ends, "nothing reads exp1, relu1; expected one such node"),
        (unused_input, "input 'more' is unused"),
        (shapes, r"fc1: Linear: x has shape \(4, 5\), expected \(N, 3\)"),
        (foreign_shapes, r"odd: no \(inputs \(4, 5\)\)"),
        (part_of_a_container, "again and chain have one Exp in them"),
        (lambda: circuit().forward(1, 2), "Graph: 2 inputs, expected 3: x, y, z"),
        (lambda: circuit().backward(1), "Graph: backward before forward"),
        (backward_shape, r"dout has shape \(4,\), expected \(3,\) as 'multiply1'"),
    ],
)
def test_mistakes(make, error):
    with pytest.raises((ValueError, TypeError, RuntimeError), match=error) as e:
        make()
    assert "\n" not in str(e.value)


def test_a_name_used_twice_and_parts_that_must_be_named():
    graph, x = with_input()
    graph.add(Exp(), x, name="e")
    with pytest.raises(ValueError, match="'e' is the name of a node already"):
        graph.add(Add(), x, "e", name="e")
    c = graph.add(Copy(), x, name="c")
    with pytest.raises(ValueError, match=r"reads 'c', which has parts: expected c\.0 or c\.1"):
        graph.add(Exp(), c)


def test_a_layer_that_returns_too_few_gradients_is_named():
    class Stingy:
        def forward(self, x, y):
            return x + y

        def backward(self, dout):
            return dout, {}

    graph = Graph()
    x, y = graph.inputs("x", "y")
    graph.add(Stingy(), x, y, name="sum")
    graph.forward(np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match=r"^sum: backward returned .* expected a tuple of 2"):
        graph.backward(np.ones(2))


def test_how_many_wires_a_forward_of_ones_own_takes():
    class Any:
        def forward(*arguments):
            return arguments[1] + arguments[-1]

        def backward(self, dout):
            return (dout, dout), {}

    class Static:
        @staticmethod
        def forward(x, y):
            return x * y

        backward = Any.backward

    class Optional:
        def forward(self, x, y=1.0):
            return x * y

        backward = Any.backward

    class AtLeastTwo:
        def forward(self, x, y, *more):
            return x + y

        backward = Any.backward

    made = Any()
    made.forward = lambda x, y: x - y
    for layer, value in ((Any(), 5), (AtLeastTwo(), 5), (Static(), 6), (Optional(), 6), (made, -1)):
        graph = Graph()
        x, y = graph.inputs("x", "y")
        graph.add(layer, x, y)
        assert graph.forward(2.0, 3.0) == value
    with pytest.raises(ValueError, match="reads 3 wires, expected 1 to 2, as Optional"):
        graph.add(Optional(), x, y, x)
    with pytest.raises(ValueError, match="reads 1 wire, expected 2 or more, as AtLeastTwo"):
        graph.add(AtLeastTwo(), x)
