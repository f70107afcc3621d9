"""What every layer must keep."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from layers import Graph, Sequential
from tests.contract.cases import LAYERS, are_several, each, names

REPLAYING = [case for case in LAYERS if case.make(case.shapes[0], np.float32, 0).replays]

every = pytest.mark.parametrize("case", LAYERS, ids=names(LAYERS))
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def several(value):
    return value if isinstance(value, tuple) else (value,)


def alike(f, value):
    """f of an array, or of each in a tuple."""
    return tuple(map(f, value)) if isinstance(value, tuple) else f(value)


def answer(dx, grads):
    """What a backward returned, by name: dx0, dx1, …, dW."""
    dxs = {f"dx{i}": value for i, value in enumerate(several(dx))}
    return dxs | {f"d{name}": value for name, value in grads.items()}


def run(layer, xs, dout):
    """A forward and a backward: y0, y1, …, and what backward returned."""
    y = layer.forward(*xs)
    return {f"y{i}": v for i, v in enumerate(several(y))} | answer(*layer.backward(dout))


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
        results = run(layer, case.xs(shape, dtype), case.dout(shape, dtype))
        shapes = {f"y{i}": one for i, one in enumerate(each(case.out(shape)))}
        shapes |= {f"dx{i}": one for i, one in enumerate(each(shape))}
        shapes |= {f"d{name}": value.shape for name, value in layer.params.items()}
        assert {name: value.shape for name, value in results.items()} == shapes
        assert {value.dtype for value in results.values()} == {np.dtype(dtype)}
        assert {value.dtype for value in layer.params.values()} <= {np.dtype(dtype)}
        # What is not learned may be kept wider: a mean that raw data is measured from.
        wide = {np.dtype(dtype), np.dtype(np.float64)}
        assert {value.dtype for value in layer.state.values()} <= wide
        assert isinstance(layer.backward(case.dout(shape, dtype))[0], tuple) == are_several(shape)


@every
def test_gradients_of_another_type_are_taken(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float32, 0)
    dout = case.dout(shape, np.float64)
    got = run(copy.deepcopy(layer), case.xs(shape, np.float32), dout)
    assert {value.dtype for value in got.values()} == {np.dtype(np.float32)}
    narrow = alike(lambda part: part.astype(np.float32), dout)
    assert_same(got, run(layer, case.xs(shape, np.float32), narrow))


@every
def test_integers_are_taken(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float32, 0)
    rng = np.random.default_rng(0)
    xs = [rng.integers(1, 30, one, np.uint8) for one in each(shape)]
    ys = several(copy.deepcopy(layer).forward(*xs))
    expected = several(layer.forward(*(x.astype(np.float32) for x in xs)))
    for y, same in zip(ys, expected, strict=True):
        assert y.dtype == np.float32
        assert_array_equal(y, same)


@every
def test_what_is_no_number_is_refused(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float32, 0)
    with pytest.raises(TypeError, match=r"x has dtype .*, expected numbers"):
        layer.forward(*(np.full(one, "a") for one in each(shape)))
    layer.forward(*case.xs(shape))
    with pytest.raises(TypeError, match=r"dout has dtype .*, expected numbers"):
        layer.backward(alike(lambda part: np.full(part.shape, "a"), case.dout(shape)))


@every
@given(data=st.data())
def test_any_shape(case, data):
    """Over drawn shapes, an empty batch too: shapes fit, and backward is linear in dout."""
    if case.axes is None:
        shape = data.draw(st.sampled_from(case.shapes))
    else:
        axes = data.draw(st.integers(*case.axes))
        shape = (
            data.draw(st.integers(case.least, 4)),
            *data.draw(st.lists(st.integers(1, 4), min_size=axes - 1, max_size=axes - 1)),
        )
        if case.name in ("Softmax", "LayerNorm") and axes == 1:
            shape = (max(1, shape[0]),)
    layer = case.make(shape, np.float64, 0)
    layer.forward(*case.xs(shape))
    one, two = case.dout(shape, seed=3), case.dout(shape, seed=4)
    both = tuple(2 * a - 3 * b for a, b in zip(several(one), several(two), strict=True))
    answers = [answer(*layer.backward(dout)) for dout in (one, two)]
    for i, single in enumerate(each(shape)):
        assert answers[0][f"dx{i}"].shape == single
    expected = {name: 2 * answers[0][name] - 3 * answers[1][name] for name in answers[0]}
    got = answer(*layer.backward(both if isinstance(one, tuple) else both[0]))
    assert_same(got, expected, rtol=1e-9, atol=1e-9)


# -- what is the caller's ----------------------------------------------------------------


@every
def test_nothing_given_is_written(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float64, 0)
    xs, dout, params = case.xs(shape), case.dout(shape), copied(layer.params)
    for array in (*xs, *several(dout), *layer.params.values()):
        array.flags.writeable = False
    run(layer, xs, dout)
    for now, then in zip(
        (*xs, *several(dout)), (*case.xs(shape), *several(case.dout(shape))), strict=True
    ):
        assert_array_equal(now, then)
    assert_same(layer.params, params)


@every
def test_results_are_the_callers_to_write_into(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float64, 0)
    expected = run(copy.deepcopy(layer), case.xs(shape), case.dout(shape))
    xs, dout = case.xs(shape), case.dout(shape)
    for y in several(layer.forward(*xs)):
        y[...] = np.nan
    for _ in range(2):
        got = answer(*layer.backward(dout))
        assert_same(got, {name: expected[name] for name in got})
        for value in got.values():
            value[...] = np.nan
    for now, then in zip(
        (*xs, *several(dout)), (*case.xs(shape), *several(case.dout(shape))), strict=True
    ):
        assert_array_equal(now, then)


@every
def test_a_second_backward_is_the_same(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float32, 0)
    layer.forward(*case.xs(shape))
    first = answer(*layer.backward(case.dout(shape)))
    assert_same(answer(*layer.backward(case.dout(shape))), first)


@every
def test_parameter_gradients_are_those_of_backward(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float64, 0)
    layer.forward(*case.xs(shape))
    alone = layer.parameter_gradients(case.dout(shape))
    assert_same(alone, layer.backward(case.dout(shape))[1])


# -- errors ------------------------------------------------------------------------------


@every
def test_backward_before_forward(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float32, 0)
    leaf = "Linear" if case.kind.__name__ == "Sequential" else case.kind.__name__
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
    what = "inputs have shapes" if are_several(wrong) else "x has shape"
    with pytest.raises(ValueError, match=rf"^{case.kind.__name__}: {what} .*, expected") as e:
        layer.forward(*(np.zeros(one) for one in each(wrong)))
    assert all(str(one) in str(e.value) for one in each(wrong))
    assert "\n" not in str(e.value)


@every
def test_a_wrong_dout_is_refused(case):
    """For each output: the message names the layer, the shape expected, the shape got."""
    shape = case.shapes[0]
    layer = case.make(shape, np.float64, 0)
    layer.forward(*case.xs(shape))
    rights = each(case.out(shape))
    for i, right in enumerate(rights):
        wrongs = [(*right, 1)]
        if right:
            wrongs += [right[1:], (right[0] + 1, *right[1:]), (1,) * len(right)]
        for wrong in wrongs:
            douts = tuple(np.zeros(wrong if j == i else one) for j, one in enumerate(rights))
            with pytest.raises(ValueError, match=r"dout has shape .*, expected") as e:
                layer.backward(douts if len(douts) > 1 else douts[0])
            assert str(wrong) in str(e.value)
            assert str(right) in str(e.value)
            assert "Linear" in str(e.value) or case.kind.__name__ in str(e.value)


# -- where the numbers lie ---------------------------------------------------------------


LAYOUTS = {
    "Fortran": lambda array: array.copy("F"),
    "reversed": lambda array: array[::-1].copy()[::-1] if array.ndim else array,
    "strided": lambda array: np.repeat(array, 2, axis=0)[::2] if array.ndim else array,
    "inner stride": lambda array: np.repeat(array, 3, axis=-1)[..., ::3] if array.ndim else array,
    "inner reversed": lambda array: np.flip(np.flip(array).copy()),
    "broadcast": lambda array: np.broadcast_to(array, (2, *array.shape))[1],
    "unaligned": lambda array: unaligned(array),
    "other byte order": lambda array: array.astype(array.dtype.newbyteorder()),
}


def unaligned(array):
    raw = np.empty(array.nbytes + 1, np.uint8)
    shifted = raw[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    return shifted


@every
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_in_memory_does_not_matter(case, layout):
    for shape in case.shapes:
        layer = case.make(shape, np.float64, 0)
        expected = run(copy.deepcopy(layer), case.xs(shape), case.dout(shape))
        xs, dout = (alike(LAYOUTS[layout], given) for given in (case.xs(shape), case.dout(shape)))
        got = run(layer, xs, dout)
        assert {value.dtype for value in got.values()} == {np.dtype(float)}
        assert_same(got, expected, rtol=1e-12, atol=1e-12)


# -- copies ------------------------------------------------------------------------------


@every
def test_a_copy_is_independent(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float64, 0)
    expected = run(copy.deepcopy(layer), case.xs(shape), case.dout(shape))
    params, state = copied(layer.params), copied(layer.state)
    twin = copy.deepcopy(layer)
    for value in (twin.params | twin.state).values():
        value[...] = np.abs(value) + 1
    run(twin, case.xs(shape, seed=9), case.dout(shape, seed=9))  # moves its statistics and its rng
    assert_same(layer.params, params)
    assert_same(layer.state, state)
    assert_same(run(layer, case.xs(shape), case.dout(shape)), expected)


@every
def test_a_copy_between_forward_and_backward_goes_on(case):
    shape = case.shapes[0]
    layer = case.make(shape, np.float64, 0)
    layer.forward(*case.xs(shape))
    twin = copy.deepcopy(layer)
    assert_same(answer(*twin.backward(case.dout(shape))), answer(*layer.backward(case.dout(shape))))


@every
def test_a_float64_copy(case):
    """Every array in float64, of the same value; the original as it was; randomness the same."""
    shape = case.shapes[0]
    layer = case.make(shape, np.float32, 0)
    layer.forward(*case.xs(shape, seed=7))
    params, state = copied(layer.params), copied(layer.state)
    twin = layer.astype(np.float64)
    assert type(twin) is case.kind
    assert twin.training == layer.training
    assert_same(twin.params, params)
    assert_same(twin.state, state)
    assert {value.dtype for value in (twin.params | twin.state).values()} <= {np.dtype(float)}
    with pytest.raises(RuntimeError, match="backward before forward"):
        twin.backward(case.dout(shape))
    got = run(twin, case.xs(shape), case.dout(shape))
    assert {value.dtype for value in got.values()} == {np.dtype(float)}
    assert_same(layer.params, params)
    assert_same(layer.state, state)
    assert_same(run(layer, case.xs(shape), case.dout(shape)), got, rtol=2e-3, atol=2e-4)


@every
def test_params_and_state_are_all_there_is(case):
    """Copied into another instance, they make it give the same."""
    shape = case.shapes[0]
    one, two = case.make(shape, np.float64, 0), case.make(shape, np.float64, 1)
    one.forward(*case.xs(shape, seed=5))
    one.training = two.training = False
    xs, dout = case.xs(shape), case.dout(shape)
    if one.params:
        assert not np.array_equal(run(one, xs, dout)["y0"], run(two, xs, dout)["y0"])
    for kind in ("params", "state"):
        mine, other = getattr(one, kind), getattr(two, kind)
        assert mine.keys() == other.keys()
        for name, value in mine.items():
            other[name][...] = value
    assert_same(run(two, xs, dout), run(one, xs, dout))


# -- driven by a Solver ------------------------------------------------------------------


def alone(layer, shape):
    """A network of this layer only."""
    net = Graph()
    wires = net.inputs(*(f"x{i}" for i in range(len(each(shape)))))
    y = net.add(layer, *wires, name="layer")
    if getattr(layer, "n_outputs", 1) > 1:
        net.output(*y)
    return net


@every
@dtypes
def test_driven_gives_what_it_gives_by_hand(case, dtype):
    """Gradients in the vector and buffers used again change no bit; batches of several sizes."""
    shape = case.shapes[0]
    layer = case.make(shape, dtype, 0)
    net, plain = alone(copy.deepcopy(layer), shape), alone(layer, shape)
    vector = net.gather()
    larger = (shape[0] + 3, *shape[1:]) if case.axes and case.axes[1] > 1 else shape
    with vector.driven():
        for seed, size in enumerate([shape, larger, shape]):
            xs, dout = case.xs(size, dtype, seed), case.dout(size, dtype, seed)
            expected = run(plain, xs, dout)
            got = run(net, xs, dout)
            assert_same(got, expected)
            for name in net.params:
                assert got[f"d{name}"] is vector.grad_views[name]
            again = answer(*net.backward(dout))
            assert_same(again, {name: expected[name] for name in again})
            for name, value in net.parameter_gradients(dout).items():
                assert_array_equal(value, expected[f"d{name}"])
    xs, dout = case.xs(shape, dtype, 8), case.dout(shape, dtype, 8)
    after = run(net, xs, dout)
    assert_same(after, run(plain, xs, dout))
    for value in after.values():
        assert not np.shares_memory(value, vector.grad)


@dtypes
@pytest.mark.parametrize("case", REPLAYING, ids=names(REPLAYING))
def test_replayed_gives_what_it_gives_by_hand(case, dtype):
    """The calls of one pass, made again on other numbers, change no bit; nor does a cast of x."""
    shape = case.shapes[0]
    layer = case.make(shape, dtype, 0)
    net, plain = Sequential(copy.deepcopy(layer)), Sequential(layer)
    vector = net.gather()
    (x,), dout = case.xs(shape, np.float64), case.dout(shape, dtype)
    with vector.driven():
        tape = vector.write_tape()
        first = run(net, (x,), dout)
        vector.write_no_tape()
        assert_same(first, run(plain, (x,), dout))
        for seed in range(1, 4):
            (x[...],), dout[...] = case.xs(shape, np.float64, seed), case.dout(shape, dtype, seed)
            tape.play()
            assert_same(first, run(plain, (x,), dout))  # it was written into the same arrays
            assert_same(copied(net.state), plain.state)
            for name, view in vector.grad_views.items():
                assert first[f"d{name}"] is view


# -- extreme numbers ---------------------------------------------------------------------

# Of these the right answer overflows: e¹⁰⁰⁰⁰, 1 / 0, log 0.
OVERFLOWS = [case for case in LAYERS if case.above_zero or case.name in ("Exp", "Graph of gates")]
TAKES_ANY = [case for case in LAYERS if case not in OVERFLOWS]


@pytest.mark.parametrize("case", TAKES_ANY, ids=names(TAKES_ANY))
@dtypes
@pytest.mark.parametrize("size", [1e4, 1e-30, 0])
def test_extreme_inputs(case, dtype, size):
    for shape in case.shapes:
        layer = case.make(shape, dtype, 0)
        rng = np.random.default_rng(0)
        xs = [np.asarray(rng.choice([-1, 0, 1], one) * size, dtype) for one in each(shape)]
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            results = run(layer, xs, case.dout(shape, dtype))
        for name, value in results.items():
            assert np.isfinite(value).all(), name
