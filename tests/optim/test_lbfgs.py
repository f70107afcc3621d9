"""L-BFGS on functions whose minimum is known."""

import math

import numpy as np
import pytest

from optim import LBFGS


def rosenbrock(theta):
    """Σ 100 (θᵢ₊₁ − θᵢ²)² + (1 − θᵢ)², smallest at 1, worth 0."""
    x, y = theta[:-1], theta[1:]
    grad = np.zeros_like(theta)
    grad[:-1] = -400 * x * (y - x**2) - 2 * (1 - x)
    grad[1:] += 200 * (y - x**2)
    return float(np.sum(100 * (y - x**2) ** 2 + (1 - x) ** 2)), grad


def test_rosenbrock():
    theta = np.full(6, -1.0)
    result = LBFGS(max_iterations=500, tolerance=1e-9, improvement=0).minimize(rosenbrock, theta)
    np.testing.assert_allclose(theta, 1, atol=1e-6)
    assert result.value == pytest.approx(0, abs=1e-12)
    assert result.converged
    assert 0 < result.iterations <= result.evaluations
    assert result.message


def test_quadratic_in_float32_keeps_the_array():
    theta = np.zeros(5, np.float32)
    view = theta[1:3]
    target = np.arange(5, dtype=np.float32)

    def bowl(point):
        assert point is theta
        return float(np.sum((point - target) ** 2)), 2 * (point - target)

    LBFGS().minimize(bowl, theta)
    np.testing.assert_allclose(theta, target, atol=1e-5)
    np.testing.assert_allclose(view, [1, 2], atol=1e-5)
    assert theta.dtype == np.float32


def test_argument_may_be_ignored_and_the_gradient_array_reused():
    theta, grad = np.array([5.0, -3.0]), np.empty(2)

    def bowl(_):
        np.multiply(theta, 2, out=grad)
        return float(theta @ theta), grad

    LBFGS().minimize(bowl, theta)
    np.testing.assert_allclose(theta, 0, atol=1e-6)


def test_iterations_are_limited():
    result = LBFGS(max_iterations=3).minimize(rosenbrock, np.full(4, -1.0))
    assert result.iterations == 3
    assert not result.converged


@pytest.mark.parametrize("how", ["return", "raise"])
def test_callback_sees_every_iteration_and_may_stop(how):
    seen = []

    def callback(iteration, value, theta):
        seen.append((iteration, value, theta.copy()))
        if iteration == 4:
            if how == "raise":
                raise StopIteration
            return True
        return None

    theta = np.full(4, -1.0)
    result = LBFGS().minimize(rosenbrock, theta, callback)
    assert [iteration for iteration, _, _ in seen] == [1, 2, 3, 4]
    for _, value, point in seen:
        assert value == rosenbrock(point)[0]
    np.testing.assert_array_equal(theta, seen[-1][2])
    assert result.iterations == 4
    assert result.value == seen[-1][1]


@pytest.mark.parametrize("what", ["value", "gradient"])
def test_not_finite_is_an_error_and_the_last_point_is_kept(what):
    calls = []
    points = []

    def breaks(theta):
        calls.append(1)
        value, grad = rosenbrock(theta)
        if len(calls) > 12:
            return (math.nan, grad) if what == "value" else (value, grad * math.inf)
        return value, grad

    theta = np.full(4, -1.0)
    with pytest.raises(FloatingPointError, match=rf"LBFGS: the {what} is not finite after \d+ it"):
        LBFGS().minimize(breaks, theta, lambda i, value, point: points.append(point.copy()))
    assert points
    np.testing.assert_array_equal(theta, points[-1])


def test_a_wrong_gradient_leaves_theta_at_the_reported_value():
    """The line search looks uphill in vain, and theta must not stay where it looked last."""
    theta = np.array([1.0, 2.0])
    result = LBFGS().minimize(lambda point: (float(point @ point), -2 * point), theta)
    assert not result.converged
    np.testing.assert_array_equal(theta, [1, 2])
    assert result.value == 5


def test_an_error_of_the_callback_is_not_swallowed():
    def callback(iteration, value, theta):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        LBFGS().minimize(rosenbrock, np.zeros(3), callback)


def test_errors():
    with pytest.raises(ValueError, match=r"LBFGS: the gradient has shape \(1,\), expected \(2,\)"):
        LBFGS().minimize(lambda theta: (0.0, np.ones(1)), np.ones(2))
    with pytest.raises(ValueError, match=r"LBFGS: theta is int64 \(2,\)"):
        LBFGS().minimize(rosenbrock, np.ones(2, np.int64))
    with pytest.raises(ValueError, match="LBFGS: max_iterations is 0, expected an integer ≥ 1"):
        LBFGS(max_iterations=0)
    with pytest.raises(ValueError, match="LBFGS: history is -1"):
        LBFGS(history=-1)
    with pytest.raises(ValueError, match="LBFGS: tolerance is -1"):
        LBFGS(tolerance=-1)
    with pytest.raises(TypeError, match=r"LBFGS: history is 2\.0, expected an integer"):
        LBFGS(history=2.0)
