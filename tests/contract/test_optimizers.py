"""What every optimizer and schedule must keep."""

import copy
import itertools
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from optim.base import BLOCK_BYTES
from tests.contract.cases import OPTIMIZERS, SCHEDULES, WHOLE_SET_OPTIMIZERS, names

every = pytest.mark.parametrize("case", OPTIMIZERS, ids=names(OPTIMIZERS))
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
every_schedule = pytest.mark.parametrize("kind", SCHEDULES)
every_minimizer = pytest.mark.parametrize("kind", WHOLE_SET_OPTIMIZERS)


def vectors(size, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(size).astype(dtype), rng.standard_normal(size).astype(dtype)


def run(optimizer, theta, steps=3, seed=0):
    """A few updates of a copy, by a different gradient each."""
    theta = theta.copy()
    for step in range(steps):
        optimizer.update(theta, vectors(theta.size, theta.dtype, seed + step)[1])
    return theta


@every
@dtypes
def test_theta_is_written_in_its_type_and_the_gradient_is_not(case, dtype):
    theta, grad = vectors(7, dtype)
    before = theta.copy()
    grad.flags.writeable = False
    optimizer = case.make()
    optimizer.update(theta, grad)
    assert theta.dtype == dtype
    assert (theta != before).all()
    assert {value.dtype for value in optimizer.state.values()} <= {np.dtype(dtype)}
    assert {value.shape for value in optimizer.state.values()} <= {(7,)}
    assert optimizer.steps == 1


@every
def test_the_first_step_goes_against_the_gradient(case):
    theta, grad = vectors(50)
    before = theta.copy()
    case.make().update(theta, grad, 0)
    assert_array_equal(np.sign(theta - before), -np.sign(grad))


@every
@dtypes
def test_a_bowl_is_descended(case, dtype):
    """Σ cᵢ θᵢ² / 2 with curvatures c from 0.1 to 1."""
    theta = np.array([3, -2, 1, 4], dtype)
    curvature = np.array([0.1, 0.3, 0.6, 1], dtype)
    optimizer = case.make()
    for _ in range(600):
        optimizer.update(theta, curvature * theta)
    assert np.abs(theta).max() < 0.05


@every
def test_a_gradient_of_zero_from_rest_changes_nothing(case):
    theta, _ = vectors(5)
    before = theta.copy()
    case.make().update(theta, np.zeros(5), 0)
    assert_array_equal(theta, before)


@every
@dtypes
def test_a_vector_longer_than_a_block_is_as_its_parts(case, dtype):
    """No entry's update depends on another's, nor, but for roundings, on where the blocks end."""
    theta, _ = vectors(300_003, dtype)
    assert theta.nbytes > BLOCK_BYTES
    whole = case.make()
    grads = [vectors(theta.size, dtype, seed)[1] for seed in range(2)]
    cuts = [0, 1, 140_000, 170_001, 300_003]
    slack = 8 * np.finfo(dtype).eps
    parts = np.concatenate([theta[i:j] for i, j in itertools.pairwise(cuts)])
    assert_array_equal(parts, theta)
    for grad in grads:
        whole.update(theta, grad, 150_000)
    for i, j in itertools.pairwise(cuts):
        optimizer, part = case.make(), parts[i:j].copy()
        for grad in grads:
            optimizer.update(part, grad[i:j], min(max(150_000 - i, 0), j - i))
        assert_allclose(part, theta[i:j], rtol=slack, atol=slack)


@every
def test_a_copy_is_independent(case):
    theta, _ = vectors(5)
    optimizer = case.make()
    run(optimizer, theta)
    twin = copy.deepcopy(optimizer)
    kept = {name: value.copy() for name, value in optimizer.state.items()}
    expected = run(twin, theta, seed=9)
    assert optimizer.steps == 3
    for name, value in kept.items():
        assert_array_equal(optimizer.state[name], value)
    assert_array_equal(run(optimizer, theta, seed=9), expected)


@every
def test_state_and_steps_are_all_there_is(case):
    """Loaded into another instance, they make it go on alike, bit for bit, and are its own."""
    theta, _ = vectors(5)
    one, two = case.make(), case.make()
    run(one, theta)
    two.load(one.state, one.steps)
    expected = run(one, theta, seed=9)
    assert_array_equal(run(two, theta, seed=9), expected)
    assert two.steps == one.steps == 6


@every
def test_state_of_another_kind_is_refused(case):
    with pytest.raises(ValueError, match=f"^{case.kind.__name__}: .*nonsense"):
        case.make().load({"nonsense": np.zeros(3)}, 1)


@every
def test_what_does_not_fit_is_refused(case):
    name = case.kind.__name__
    for theta, grad in [
        (np.zeros(3), np.zeros(4)),
        (np.zeros((2, 2)), np.zeros((2, 2))),
        (np.zeros(6)[::2], np.zeros(3)),
        (np.zeros(3), np.zeros(6)[::2]),
    ]:
        with pytest.raises(ValueError, match=f"^{name}: ") as e:
            case.make().update(theta, grad)
        assert "\n" not in str(e.value)
    for theta, grad in [(np.zeros(3), np.zeros(3, "f4")), (np.zeros(3, int), np.zeros(3, int))]:
        with pytest.raises(TypeError, match=f"^{name}: "):
            case.make().update(theta, grad)


@every
def test_the_learning_rate_is_a_plain_attribute(case):
    theta, grad = vectors(5)
    before, optimizer = theta.copy(), case.make()
    optimizer.lr = 0.0
    optimizer.update(theta, grad)
    assert_array_equal(theta, before)


@every_minimizer
@dtypes
def test_a_minimizer(kind, dtype):
    """In place, in the vector's type, to the minimum of Σ cᵢ (θᵢ − aᵢ)²."""
    theta = np.array([3, -2, 1], dtype)
    a, c = np.array([1, 2, 3], dtype), np.array([1, 10, 100], dtype)
    kept = theta

    def value_and_grad(point):
        assert point is kept
        return float(c @ (point - a) ** 2), 2 * c * (point - a)

    result = WHOLE_SET_OPTIMIZERS[kind]().minimize(value_and_grad, theta)
    assert theta.dtype == dtype
    np.testing.assert_allclose(theta, a, rtol=1e-4)
    assert result.value < 1e-5
    with pytest.raises(ValueError, match=f"^{kind.__name__}: theta"):
        WHOLE_SET_OPTIMIZERS[kind]().minimize(value_and_grad, np.zeros((2, 2)))


@every_schedule
def test_a_schedule_stays_between_nothing_and_the_base_rate(kind):
    schedule = SCHEDULES[kind]()
    for epoch in range(12):
        for part in (0.0, 0.5):
            assert 0 <= schedule.factor(epoch + part) <= 1
        schedule.observe(0.5)


@every_schedule
def test_a_schedule_goes_on_from_its_state(kind):
    one, two = SCHEDULES[kind](), SCHEDULES[kind]()
    for schedule in (one, two):
        for score in (0.5, 0.4, 0.3):
            schedule.observe(score)
    three = SCHEDULES[kind]()
    three.load_state_dict(one.state_dict())
    scores = [0.2, 0.9, math.nan, *[0.1] * 8]
    factors = []
    for schedule in (two, three):
        factors.append([])
        for epoch, score in enumerate(scores):
            schedule.observe(score)
            factors[-1].append(schedule.factor(epoch + 3))
    assert factors[0] == factors[1]
