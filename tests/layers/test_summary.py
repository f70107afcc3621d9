import numpy as np
import pytest
from numpy.testing import assert_array_equal

from layers import BatchNorm, Dropout, Flatten, Linear, ReLU, Sequential, Softmax


def rows(table):
    lines = table.splitlines()
    starts = [i for i, c in enumerate(lines[1]) if c == "─" and (i == 0 or lines[1][i - 1] == " ")]
    cells = [
        [line[i:j].strip() for i, j in zip(starts, [*starts[1:], None], strict=True)]
        for line in lines[2:-1]
    ]
    return cells, lines[-1]


def test_a_two_layer_network_by_hand():
    net = Sequential(Linear(64, 100, rng=0), ReLU(), Linear(100, 10, rng=1))
    cells, last = rows(net.summary((64,), batch_size=32))
    affine = ["y = x W + b", "dx = dout Wᵀ, dW = xᵀ dout, db = Σₙ dout"]
    assert cells == [
        ["linear1 (Linear)", "(32, 100)", "6,500", *affine, "8,192"],  # x: 32 · 64 · 4 bytes
        # the mask: 32 · 100 · 1
        ["relu1 (ReLU)", "(32, 100)", "0", "y = max(0, x)", "dx = dout · 1[x > 0]", "3,200"],
        ["linear2 (Linear)", "(32, 10)", "1,010", *affine, "12,800"],  # x: 32 · 100 · 4
    ]
    assert last == "7,510 parameters, float32, batch of 32"


def test_float64_takes_twice_the_bytes():
    cells, last = rows(Sequential(Linear(3, 2, rng=0, dtype=float)).summary((3,), 1))
    assert cells[0][-1] == str(3 * 8)
    assert last == "8 parameters, float64, batch of 1"


def test_nested_images_and_what_is_random():
    net = Sequential(
        Flatten(), body=Sequential(Dropout(0.5, rng=0), Linear(12, 4, rng=0)), softmax=Softmax()
    )
    cells, last = rows(net.summary((3, 2, 2), batch_size=5))
    assert [row[0] for row in cells] == [
        "flatten1 (Flatten)",
        "body.dropout1 (Dropout)",
        "body.linear1 (Linear)",
        "softmax (Softmax)",
    ]
    assert [row[1] for row in cells] == ["(5, 12)", "(5, 12)", "(5, 4)", "(5, 4)"]
    # nothing; the scaled mask; x; y
    assert [row[-1] for row in cells] == ["0", "240", "240", "80"]
    assert last == "52 parameters, float32, batch of 5"


def test_it_changes_nothing():
    net = Sequential(Linear(3, 4, rng=0), BatchNorm(4), Dropout(0.5, rng=0))
    x = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    net.forward(x)
    expected = net.backward(np.ones((6, 4)))[0]
    random = net.children["dropout1"].rng.bit_generator.state
    state = {name: value.copy() for name, value in net.state.items()}
    net.summary((3,), batch_size=2)
    assert_array_equal(net.backward(np.ones((6, 4)))[0], expected)
    assert net.children["dropout1"].rng.bit_generator.state == random
    for name, value in state.items():
        assert_array_equal(net.state[name], value)


def test_a_batch_is_64_unless_said():
    """More than one, so that batch norm has a variance. It keeps x − μ and 1/σ."""
    cells, last = rows(Sequential(BatchNorm(4)).summary((4,)))
    assert cells[0][1:3] == ["(64, 4)", "8"]
    assert cells[0][-1] == "1,040"  # (64 · 4 + 4) · 4 bytes
    assert last == "8 parameters, float32, batch of 64"


def test_a_layer_of_ones_own():
    class Mine:
        def __init__(self):
            self.params = {"k": np.ones(2)}

        def forward(self, x):
            self.x = x.copy()
            return x

        def backward(self, dout):
            return dout, {"k": np.zeros(2)}

    cells, _ = rows(Sequential(Mine()).summary((3,), batch_size=2))
    assert cells == [["mine1 (Mine)", "(2, 3)", "2", "your own", "your own", str(2 * 3 * 8)]]


def test_sizes_that_do_not_fit_name_the_layer():
    net = Sequential(Linear(64, 100, rng=0), ReLU(), Linear(99, 10, rng=1))
    with pytest.raises(ValueError, match=r"^linear2: Linear: x has shape \(64, 100\), expected"):
        net.summary((64,))
