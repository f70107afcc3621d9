"""What every layer must keep."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from layers import Sequential
from tests.contract.cases import LAYERS, names

every = pytest.mark.parametrize("case", LAYERS, ids=names(LAYERS))
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def run(layer, x, dout):
    """y, dx and the gradients, in arrays of their own."""
    y = layer.forward(x)
    dx, grads = layer.backward(dout)
    return {"y": y, "dx": dx, **{f"d{name}": value for name, value in grads.items()}}


def assert_same(got, expected, **tolerance):
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        if tolerance:
            assert_allclose(got[name], value, err_msg=name, **tolerance)
        else:
            assert_array_equal(got[name], value, err_msg=name)


def copied(arrays):
    return {name: value.copy() for name, value in arrays.items()}


# -- shapes and types --------------------------------------------------------------------


@every
@dtypes
def test_shapes_and_type_are_kept(case, dtype):
    for shape in case.shapes:
        layer = case.make(shape, dtype, 0)
        results = run(layer, case.x(shape, dtype), case.dout(shape, dtype))
        shapes = {"y": case.out(shape), "dx": shape}
        shapes |= {f"d{name}": value.shape for name, value in layer.params.items()}
        assert {name: value.shape for name, value in results.items()} == shapes
        assert {value.dtype for value in results.values()} == {np.dtype(dtype)}
        assert {value.dtype for value in (layer.params | layer.state).values()} <= {np.dtype(dtype)}


@every
def test_gradients_of_another_type_are_taken(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float32, 0)
    dout = case.dout(shape, np.float64)
    got = run(copy.deepcopy(layer), case.x(shape, np.float32), dout)
    assert {value.dtype for value in got.values()} == {np.dtype(np.float32)}
    assert_same(got, run(layer, case.x(shape, np.float32), dout.astype(np.float32)))


@every
def test_integers_are_taken(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float32, 0)
    x = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    y = copy.deepcopy(layer).forward(x)
    assert y.dtype == np.float32
    assert_array_equal(y, layer.forward(x.astype(np.float32)))


@every
def test_what_is_no_number_is_refused(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float32, 0)
    with pytest.raises(TypeError, match=r"x has dtype .*, expected numbers"):
        layer.forward(np.full(shape, "a"))
    layer.forward(case.x(shape))
    with pytest.raises(TypeError, match=r"dout has dtype .*, expected numbers"):
        layer.backward(np.full(case.out(shape), "a"))


@every
@given(data=st.data())
def test_any_shape(case, data):
    """Over drawn shapes, an empty batch too: shapes fit, and backward is linear in dout."""
    axes = data.draw(st.integers(*case.axes))
    shape = (
        data.draw(st.integers(case.least, 4)),
        *data.draw(st.lists(st.integers(1, 4), min_size=axes - 1, max_size=axes - 1)),
    )
    if case.kind.__name__ in ("Softmax", "LayerNorm") and axes == 1:
        shape = (max(1, shape[0]),)
    layer = case.make(shape, np.float64, 0)
    layer.forward(case.x(shape))
    one, two = case.dout(shape, seed=3), case.dout(shape, seed=4)
    results = []
    for dout in (one, two, 2 * one - 3 * two):
        dx, grads = layer.backward(dout)
        assert dx.shape == shape
        results.append({"dx": dx, **grads})
    expected = {name: 2 * results[0][name] - 3 * results[1][name] for name in results[0]}
    assert_same(results[2], expected, rtol=1e-9, atol=1e-9)


# -- what is the caller's ----------------------------------------------------------------


@every
def test_nothing_given_is_written(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float64, 0)
    x, dout, params = case.x(shape), case.dout(shape), copied(layer.params)
    x.flags.writeable = dout.flags.writeable = False
    for value in layer.params.values():
        value.flags.writeable = False
    run(layer, x, dout)
    assert_array_equal(x, case.x(shape))
    assert_array_equal(dout, case.dout(shape))
    assert_same(layer.params, params)


@every
def test_results_are_the_callers_to_write_into(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float64, 0)
    twin = copy.deepcopy(layer)
    x, dout = case.x(shape), case.dout(shape)
    y = layer.forward(x)
    y[...] = np.nan
    dx, grads = layer.backward(dout)
    first = copied({"dx": dx, **grads})
    for value in (dx, *grads.values()):
        value[...] = np.nan
    dx, grads = layer.backward(dout)
    assert_same({"dx": dx, **grads}, first)
    expected = run(twin, case.x(shape), case.dout(shape))
    assert_same(first, {"dx": expected["dx"], **twin.backward(dout)[1]})
    assert_array_equal(x, case.x(shape))
    assert_array_equal(dout, case.dout(shape))


@every
def test_a_second_backward_is_the_same(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float32, 0)
    layer.forward(case.x(shape))
    (dx, grads), (dx2, grads2) = (layer.backward(case.dout(shape)) for _ in range(2))
    assert_same({"dx": dx2, **grads2}, {"dx": dx, **grads})


@every
def test_parameter_gradients_are_those_of_backward(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float64, 0)
    layer.forward(case.x(shape))
    alone = layer.parameter_gradients(case.dout(shape))
    assert_same(alone, layer.backward(case.dout(shape))[1])


# -- errors ------------------------------------------------------------------------------


@every
def test_backward_before_forward(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float32, 0)
    leaf = "Linear" if case.kind is Sequential else case.kind.__name__
    with pytest.raises(RuntimeError, match=f"{leaf}: backward before forward"):
        layer.backward(case.dout(shape))
    if layer.params:
        with pytest.raises(RuntimeError, match=f"{leaf}: backward before forward"):
            layer.parameter_gradients(case.dout(shape))


@pytest.mark.parametrize(
    ("case", "wrong"),
    [(case, wrong) for case in LAYERS for wrong in case.wrong],
    ids=[f"{case.name} {wrong}" for case in LAYERS for wrong in case.wrong],
)
def test_a_wrong_x_is_refused(case, wrong):
    layer = case.make(case.shapes[0], np.float32, 0)
    with pytest.raises(ValueError, match=rf"^{case.kind.__name__}: x has shape .*, expected") as e:
        layer.forward(np.zeros(wrong))
    assert str(wrong) in str(e.value)
    assert "\n" not in str(e.value)


@every
def test_a_wrong_dout_is_refused(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float64, 0)
    layer.forward(case.x(shape))
    right = case.out(shape)
    for wrong in ((*right, 1), right[1:], (right[0] + 1, *right[1:]), (1,) * len(right)):
        with pytest.raises(ValueError, match=r"dout has shape .*, expected") as e:
            layer.backward(np.zeros(wrong))
        assert str(wrong) in str(e.value)
        assert str(right) in str(e.value)
        assert "Linear" in str(e.value) or case.kind.__name__ in str(e.value)


# -- where the numbers lie ---------------------------------------------------------------


def layouts(array):
    """The same numbers, laid out otherwise in memory."""
    yield "Fortran", np.asfortranarray(array)
    yield "reversed", np.ascontiguousarray(array[::-1])[::-1]
    yield "strided", np.repeat(array, 2, axis=0)[::2]
    wide = np.zeros((*array.shape[:-1], 3 * array.shape[-1]), array.dtype)
    wide[..., 1::3] = array
    yield "inner stride", wide[..., 1::3]
    yield "negative inner stride", np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    yield "broadcast", np.broadcast_to(array, (2, *array.shape))[1]
    if array.dtype == np.float64:
        yield "unaligned", unaligned(array)
        yield "other byte order", array.astype(array.dtype.newbyteorder())


def unaligned(array):
    raw = np.empty(array.nbytes + 1, np.uint8)
    shifted = raw[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    return shifted


@every
def test_the_layout_in_memory_does_not_matter(case):
    for shape in case.shapes:
        layer = case.make(shape, np.float64, 0)
        expected = run(copy.deepcopy(layer), case.x(shape), case.dout(shape))
        for (how, x), (_, dout) in zip(
            layouts(case.x(shape)), layouts(case.dout(shape)), strict=True
        ):
            got = run(copy.deepcopy(layer), x, dout)
            assert {value.dtype for value in got.values()} == {np.dtype(float)}, how
            assert_same(got, expected, rtol=1e-12, atol=1e-12)


# -- copies ------------------------------------------------------------------------------


@every
def test_a_copy_is_independent(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float64, 0)
    expected = run(copy.deepcopy(layer), case.x(shape), case.dout(shape))
    params, state = copied(layer.params), copied(layer.state)
    twin = copy.deepcopy(layer)
    for value in (twin.params | twin.state).values():
        value[...] = np.abs(value) + 1
    run(twin, case.x(shape, seed=9), case.dout(shape, seed=9))  # moves its statistics and its rng
    assert_same(layer.params, params)
    assert_same(layer.state, state)
    assert_same(run(layer, case.x(shape), case.dout(shape)), expected)


@every
def test_a_copy_between_forward_and_backward_goes_on(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float64, 0)
    layer.forward(case.x(shape))
    twin = copy.deepcopy(layer)
    dx, grads = layer.backward(case.dout(shape))
    twin_dx, twin_grads = twin.backward(case.dout(shape))
    assert_same({"dx": twin_dx, **twin_grads}, {"dx": dx, **grads})


@every
def test_a_float64_copy(case):
    """Every array in float64, of the same value; the original as it was; randomness the same."""
    shape = case.shapes[0]
    layer = case.make(shape, np.float32, 0)
    layer.forward(case.x(shape, seed=7))
    params, state = copied(layer.params), copied(layer.state)
    twin = layer.astype(np.float64)
    assert type(twin) is case.kind
    assert twin.training == layer.training
    assert_same(twin.params, params)
    assert_same(twin.state, state)
    assert {value.dtype for value in (twin.params | twin.state).values()} <= {np.dtype(float)}
    with pytest.raises(RuntimeError, match="backward before forward"):
        twin.backward(case.dout(shape))
    got = run(twin, case.x(shape), case.dout(shape))
    assert {value.dtype for value in got.values()} == {np.dtype(float)}
    assert_same(layer.params, params)
    assert_same(layer.state, state)
    assert_same(run(layer, case.x(shape), case.dout(shape)), got, rtol=2e-3, atol=2e-4)


@every
def test_params_and_state_are_all_there_is(case):
    """Copied into another instance, they make it give the same."""
    shape = case.shapes[0]
    one, two = case.make(shape, np.float64, 0), case.make(shape, np.float64, 1)
    one.forward(case.x(shape, seed=5))
    one.training = two.training = False
    x, dout = case.x(shape), case.dout(shape)
    if one.params:
        assert not np.array_equal(one.forward(x), two.forward(x))
    for kind in ("params", "state"):
        mine, other = getattr(one, kind), getattr(two, kind)
        assert mine.keys() == other.keys()
        for name, value in mine.items():
            other[name][...] = value
    assert_same(run(two, x, dout), run(one, x, dout))


# -- driven by a Solver ------------------------------------------------------------------


@every
@dtypes
def test_driven_gives_what_it_gives_by_hand(case, dtype):
    """Gradients in the vector and buffers used again change no bit; batches of several sizes."""
    shape = case.shapes[0]
    layer = case.make(shape, dtype, 0)
    net, plain = Sequential(layer=copy.deepcopy(layer)), Sequential(layer=layer)
    vector = net.gather()
    sizes = [shape[0], shape[0] + 3, shape[0]] if len(shape) > 1 else [shape[0]] * 3
    with vector.driven():
        for seed, size in enumerate(sizes):
            x = case.x((size, *shape[1:]), dtype, seed)
            dout = case.dout((size, *shape[1:]), dtype, seed)
            expected = run(plain, x, dout)
            got = run(net, x, dout)
            assert_same(got, expected)
            for name in net.params:
                assert got[f"d{name}"] is vector.grad_views[name]
            dx, grads = net.backward(dout)
            assert_same({"y": got["y"], "dx": dx, **{f"d{n}": v for n, v in grads.items()}}, got)
            for name, value in net.parameter_gradients(dout).items():
                assert_array_equal(value, expected[f"d{name}"])
    x, dout = case.x(shape, dtype, 8), case.dout(shape, dtype, 8)
    after = run(net, x, dout)
    assert_same(after, run(plain, x, dout))
    for value in after.values():
        assert not np.shares_memory(value, vector.grad)


# -- extreme numbers ---------------------------------------------------------------------


@every
@dtypes
@pytest.mark.parametrize("size", [1e4, 1e-30, 0])
def test_extreme_inputs(case, dtype, size):
    for shape in case.shapes:
        layer = case.make(shape, dtype, 0)
        signs = np.random.default_rng(0).choice([-1, 0, 1], shape)
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            results = run(layer, (signs * size).astype(dtype), case.dout(shape, dtype))
        for name, value in results.items():
            assert np.isfinite(value).all(), name
