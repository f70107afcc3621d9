"""What every loss and penalty must keep."""

import copy
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from layers.tape import Tape
from tests.contract.cases import LOSSES, PENALTIES, names

every = pytest.mark.parametrize("case", LOSSES, ids=names(LOSSES))
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
every_penalty = pytest.mark.parametrize("kind", PENALTIES)


def run(loss, scores, y, weights=None):
    return loss.forward(scores, y, weights), loss.backward()


@every
@dtypes
def test_shape_and_type_are_kept_and_nothing_is_written(case, dtype):
    for shape in case.shapes:
        scores, y = case.problem(shape, dtype)
        weights = np.arange(1.0, 1 + shape[0])
        for array in (scores, y, weights):
            array.flags.writeable = False
        for given in (None, weights):
            value, dscores = run(case.make(shape[-1]), scores, y, given)
            assert type(value) is float
            assert dscores.shape == shape
            assert dscores.dtype == dtype


@every
def test_backward_twice_is_the_same_in_arrays_of_its_own(case):
    loss = case.make(3)
    loss.forward(*case.problem(case.shapes[0]))
    dscores = loss.backward()
    first = dscores.copy()
    dscores[...] = np.nan
    assert_array_equal(loss.backward(), first)


@every
def test_scores_may_be_overwritten_before_backward(case):
    """What `forward` caches is its own."""
    scores, y = case.problem(case.shapes[0])
    _, expected = run(case.make(3), scores, y)
    loss = case.make(3)
    loss.forward(scores, y)
    scores[...] = np.nan
    assert_array_equal(loss.backward(), expected)


REPLAYING = [case for case in LOSSES if case.make(3).replays_on(case.problem(case.shapes[0])[1])]


@dtypes
@pytest.mark.parametrize("case", REPLAYING, ids=names(REPLAYING))
def test_replayed_gives_what_it_gives_by_hand(case, dtype):
    """The calls of one pass, made again on other scores and targets, change no bit."""
    for shape in case.shapes:
        loss, by_hand, tape = case.make(shape[-1]), case.make(shape[-1]), Tape()
        scores, y = case.problem(shape, dtype)
        loss._room = tape.room()
        dscores = run(loss, scores, y)[1]
        loss._room = None
        for seed in range(3):
            value, expected = run(by_hand, scores, y)
            assert float(loss._total) / loss._size == value
            assert_array_equal(dscores, expected)
            rng = np.random.default_rng(seed)
            scores[...], y[...] = 9 * rng.standard_normal(shape), case.y(rng, shape)
            tape.play()
        assert run(loss, scores, y)[0] == run(by_hand, scores, y)[0]  # by hand again


@every
def test_backward_before_forward(case):
    with pytest.raises(RuntimeError, match=f"{case.kind.__name__}: backward before forward"):
        case.make(3).backward()


@pytest.mark.parametrize(
    ("case", "wrong"),
    [(case, i) for case in LOSSES for i in range(len(case.wrong))],
    ids=[f"{case.name} {i}" for case in LOSSES for i in range(len(case.wrong))],
)
def test_what_does_not_fit_is_refused(case, wrong):
    shape, y = case.wrong[wrong]
    with pytest.raises(ValueError, match=rf"^{case.kind.__name__}: .*") as e:
        case.make(3).forward(np.zeros(shape), y)
    assert "\n" not in str(e.value)


@every
def test_the_layout_in_memory_does_not_matter(case):
    for shape in case.shapes:
        scores, y = case.problem(shape)
        value, dscores = run(case.make(shape[-1]), scores, y)
        for other in (
            np.asfortranarray(scores),
            scores[::-1].copy()[::-1],
            np.repeat(scores, 2, axis=-1)[..., ::2],
        ):
            got, dgot = run(case.make(shape[-1]), other, np.repeat(y, 2, axis=0)[::2])
            assert math.isclose(got, value, rel_tol=1e-12)
            assert_allclose(dgot, dscores, rtol=1e-12, atol=1e-15)


@every
def test_a_copy_is_independent(case):
    loss = case.make(3)
    value, dscores = run(loss, *case.problem(case.shapes[0]))
    twin = copy.deepcopy(loss)
    assert_array_equal(twin.backward(), dscores)
    twin.forward(np.ones((2, 3)), case.y(np.random.default_rng(0), (2, 3)))
    assert_array_equal(loss.backward(), dscores)
    assert run(twin, *case.problem(case.shapes[0]))[0] == value


@every
@dtypes
@pytest.mark.parametrize("size", [1e4, 1e-30, 0])
def test_extreme_scores(case, dtype, size):
    for shape in case.shapes:
        signs = np.random.default_rng(0).choice([-1, 0, 1], shape)
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            value, dscores = run(
                case.make(shape[-1]), (signs * size).astype(dtype), case.problem(shape)[1]
            )
        assert math.isfinite(value)
        assert np.isfinite(dscores).all()


@every
def test_a_batch_is_the_mean_of_its_samples(case):
    """Weighted by the weights that the loss reports."""
    shape = case.shapes[0]
    scores, y = case.problem(shape)
    loss = case.make(shape[-1])
    total = weight = 0.0
    for i in range(len(scores)):
        total += loss.forward(scores[i : i + 1], y[i : i + 1]) * loss.total_weight
        weight += loss.total_weight
    assert math.isclose(loss.forward(scores, y), total / weight, rel_tol=1e-12)
    assert math.isclose(loss.total_weight, weight, rel_tol=1e-12)


@every_penalty
@dtypes
@pytest.mark.parametrize("shape", [(3,), (4, 5), (70_001,)])
def test_a_penalty(kind, dtype, shape):
    """Its value, its gradient by a central difference, types, nothing written but dW."""
    rng = np.random.default_rng(0)
    W = (rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape)).astype(dtype)
    W.flags.writeable = False
    penalty, f = kind(0.3), PENALTIES[kind]
    exact = W.astype(np.float64)
    assert type(penalty.value(W)) is float
    assert math.isclose(penalty.value(W), 0.3 * float(f(exact).sum()), rel_tol=1e-5)
    dW = np.ones(shape, dtype)
    penalty.add_gradient(W, dW)
    slope = (f(exact + 1e-3) - f(exact - 1e-3)) / 2e-3
    assert dW.dtype == dtype
    assert_allclose(dW, 1 + 0.3 * slope, rtol=1e-6)
    assert penalty.value(np.zeros(3, dtype)) == 0
