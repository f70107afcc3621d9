"""Gates at numbers known by hand: the lecture's, and a few worked out here."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from numpy.testing import assert_allclose, assert_array_equal

from layers.gates import (
    Add,
    Concat,
    Copy,
    Divide,
    Exp,
    Log,
    MatMul,
    Max,
    Mean,
    Multiply,
    Power,
    Reciprocal,
    Reshape,
    Scale,
    Shift,
    Sigmoid,
    SquaredNorm,
    Subtract,
    Sum,
    Transpose,
    unbroadcast,
)


def one_pass(gate, *xs, dout=1.0):
    y = gate.forward(*xs)
    dx, grads = gate.backward(np.asarray(dout))
    assert grads == {}
    return y, dx


# -- patterns in gradient flow -----------------------------------------------------------


def test_add_distributes():
    assert one_pass(Add(), 3.0, 4.0, dout=2.0) == (7, (2, 2))


def test_multiply_swaps():
    assert one_pass(Multiply(), 2.0, 3.0, dout=5.0) == (6, (15, 10))


def test_copy_adds():
    gate = Copy(2)
    y = gate.forward(7.0)
    dx, _ = gate.backward((np.array(4.0), np.array(2.0)))
    assert (y, dx) == ((7, 7), 6)


def test_max_routes():
    assert one_pass(Max(), 4.0, 5.0, dout=9.0) == (5, (0, 9))


def test_of_equals_the_first_wins_once():
    _, dxs = one_pass(Max(), np.array([1.0, 2.0]), np.array([1.0, 3.0]), 1.0, dout=[5.0, 7.0])
    assert_array_equal(dxs[0], [5, 0])
    assert_array_equal(dxs[1], [0, 7])
    assert dxs[2] == 0


# -- the lecture's circuits --------------------------------------------------------------


@pytest.mark.parametrize(
    ("gate", "x", "dout", "y", "dx"),
    [
        (Scale(-1), 1.0, -0.1966119332, -1, 0.1966119332),
        (Exp(), -1.0, -0.5344466454, 0.3678794412, -0.1966119332),
        (Shift(1), 0.3678794412, -0.5344466454, 1.3678794412, -0.5344466454),
        (Reciprocal(), 1.3678794412, 1.0, 0.7310585786, -0.5344466454),
        (Sigmoid(), 1.0, 1.0, 0.7310585786, 0.1966119332),
    ],
)
def test_the_sigmoid_neuron_gate_by_gate(gate, x, dout, y, dx):
    got = one_pass(gate, x, dout=dout)
    assert_allclose(got, (y, dx), rtol=1e-9)


def test_the_lectures_matrix_product():
    x, w = [[2, 1, -3], [-3, 4, 2]], [[3, 2, 1, -1], [2, 1, 3, 2], [3, 2, 1, -2]]
    y, (dx, dw) = one_pass(MatMul(), x, w, dout=[[2, 3, -3, 9], [-8, 1, 4, 6]])
    assert_array_equal(y, [[-1, -1, 2, 6], [5, 2, 11, 7]])
    assert_array_equal(dx, [[0, 16, -9], [-24, 9, -30]])
    assert_array_equal(dw, [[28, 3, -18, 0], [-30, 7, 13, 33], [-22, -7, 17, -15]])


def test_the_lectures_squared_norm():
    y, dx = one_pass(SquaredNorm(), np.array([0.22, 0.26]))
    assert_allclose(y, 0.116, rtol=1e-12)
    assert_allclose(dx, [0.44, 0.52], rtol=1e-12)


# -- others ------------------------------------------------------------------------------


def test_subtract_divide_log_and_power():
    assert one_pass(Subtract(), 3.0, 5.0, dout=2.0) == (-2, (2, -2))
    assert one_pass(Divide(), 6.0, 2.0, dout=4.0) == (3, (2, -6))
    assert one_pass(Log(), np.array(1.0), dout=3.0) == (0, 3)
    assert one_pass(Power(3), 2.0, dout=0.5) == (8, 6)
    assert one_pass(Power(0), 0.0, dout=5.0) == (1, 0)


def test_reductions_spread_the_gradient_again():
    x = np.arange(6.0).reshape(2, 3)
    y, dx = one_pass(Sum(0), x, dout=[1.0, 2.0, 3.0])
    assert_array_equal(y, [3, 5, 7])
    assert_array_equal(dx, [[1, 2, 3], [1, 2, 3]])
    y, dx = one_pass(Mean(1), x, dout=[3.0, 6.0])
    assert_array_equal(y, [1, 4])
    assert_allclose(dx, [[1, 1, 1], [2, 2, 2]], rtol=1e-15)
    y, dx = one_pass(Mean(), x, dout=12.0)
    assert y == 2.5
    assert_array_equal(dx, np.full((2, 3), 2))


def test_arranging_is_undone_backwards():
    x = np.arange(6.0).reshape(2, 3)
    y, dx = one_pass(Reshape((3, -1)), x, dout=x.reshape(3, 2))
    assert_array_equal(y, [[0, 1], [2, 3], [4, 5]])
    assert_array_equal(dx, x)
    cube = np.arange(24.0).reshape(2, 3, 4)
    y, dx = one_pass(Transpose((2, 0, 1)), cube, dout=np.moveaxis(cube, 2, 0))
    assert y[3, 1, 2] == cube[1, 2, 3]
    assert_array_equal(dx, cube)
    y, (left, right) = one_pass(Concat(0), x[0], x[1], dout=[10.0, 11, 12, 13, 14, 15])
    assert_array_equal(y, [0, 1, 2, 3, 4, 5])
    assert_array_equal(left, [10, 11, 12])
    assert_array_equal(right, [13, 14, 15])


def test_numbers_without_axes_stay_arrays():
    for gate in (Exp(), Sum(), Mean(), SquaredNorm(), Transpose(), Scale(2)):
        y, dx = one_pass(gate, 1.0)
        assert isinstance(y, np.ndarray)
        assert isinstance(dx, np.ndarray)
        assert y.shape == dx.shape == ()


def test_the_wider_type_of_several_inputs_is_taken():
    gate = Multiply()
    y = gate.forward(np.float32(3), np.float64(1 / 3))
    assert y.dtype == np.float64
    assert {dx.dtype for dx in gate.backward(np.array(1.0))[0]} == {np.dtype(np.float64)}


# -- broadcasting ------------------------------------------------------------------------


@given(shapes=mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3))
def test_unbroadcast_is_the_transpose_of_broadcasting(shapes):
    """⟨broadcast(x), d⟩ = ⟨x, unbroadcast(d)⟩, for whole numbers exactly."""
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 9, shapes.input_shapes[0]).astype(float)
    dout = rng.integers(-9, 9, shapes.result_shape).astype(float)
    dx = unbroadcast(dout, x.shape)
    assert dx.shape == x.shape
    assert np.sum(np.broadcast_to(x, dout.shape) * dout) == np.sum(x * dx)


@given(shapes=mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3), data=st.data())
def test_a_sum_of_any_shapes(shapes, data):
    gate = Add()
    xs = [np.full(shape, float(i + 1)) for i, shape in enumerate(shapes.input_shapes)]
    y = gate.forward(*xs)
    assert_array_equal(y, np.full(shapes.result_shape, 6.0))
    dxs, _ = gate.backward(np.ones(y.shape))
    for x, dx in zip(xs, dxs, strict=True):
        assert dx.shape == x.shape
        assert dx.sum() == y.size


# -- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Add().forward(), "Add: 0 inputs, expected at least one"),
        (lambda: Add().forward(np.ones(2), np.ones(3)), r"\(2,\) and \(3,\), expected shapes that"),
        (lambda: MatMul().forward(np.ones((2, 3)), np.ones((2, 3))), r"\(2, 3\) and \(2, 3\)"),
        (lambda: MatMul().forward(2.0, np.ones(3)), r"MatMul: inputs have shapes \(\) and \(3,\)"),
        (lambda: Concat().forward(np.ones((2, 3)), np.ones((3, 3))), "alike but for axis -1"),
        (lambda: Reshape((4, 2)).forward(np.ones(6)), r"x has shape \(6,\), expected entries for"),
        (lambda: Reshape((-1, -1)), "expected lengths of which one may be -1"),
        (lambda: Transpose((0, 0)).forward(np.ones((2, 3))), r"expected 2 axes for \(0, 0\)"),
        (lambda: Sum(2).forward(np.ones((2, 3))), "expected one with axis 2"),
        (lambda: Sum((0, -2)).forward(np.ones((2, 3))), "names one axis of .* twice"),
        (lambda: Sum("rows"), "axis is 'rows', expected a whole number, several or None"),
        (lambda: Scale(float("nan")), "Scale: a is nan, expected a finite number"),
        (lambda: Power("2"), "Power: p is '2', expected a finite number"),
        (lambda: Copy(0), "Copy: n is 0, expected a whole number ≥ 1"),
        (lambda: Copy().backward((1, 2)), "Copy: backward before forward"),
        (lambda: one_pass(Copy(), 1.0), "dout is a ndarray, expected a tuple of 2 gradients"),
    ],
)
def test_mistakes(make, error):
    with pytest.raises((ValueError, TypeError, RuntimeError), match=error) as e:
        make()
    assert "\n" not in str(e.value)
