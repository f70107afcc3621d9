"""The oracle's bound against derivatives known in closed form."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradcheck.oracle import Oracle, extrapolate
from gradcheck.subject import Subject

Array = np.ndarray[Any, np.dtype[np.float64]]
Elementwise = Callable[[Array], Array]

FUNCTIONS: dict[str, tuple[Elementwise, Elementwise]] = {
    "sin": (np.sin, np.cos),
    "exp": (np.exp, np.exp),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "cube": (lambda x: x**3, lambda x: 3 * x**2),
    "softplus": (lambda x: np.logaddexp(0, x), lambda x: 1 / (1 + np.exp(-x))),
    "log": (lambda x: np.log1p(x * x), lambda x: 2 * x / (1 + x * x)),
    "a large offset": (lambda x: 1e3 + np.sin(x), np.cos),
}


class Forward:
    """A forward alone: the oracle asks for nothing else."""

    def __init__(self, f: Elementwise) -> None:
        self.f = f

    def forward(self, x: Array) -> Array:
        return self.f(x)


def measured(name: str, seed: int) -> tuple[Array, Array, Array]:
    f, df = FUNCTIONS[name]
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(4, 6))
    dout = rng.uniform(0.5, 1.5, x.shape) * rng.choice((-1.0, 1.0), x.shape)
    subject = Subject(Forward(f), [x])
    oracle = Oracle(subject, dout, seed)
    oracle.measure_noise(with_backward=False)
    slopes = oracle.entries(subject.leaves[0], np.arange(x.size))
    return slopes.value, slopes.bound, (dout * df(x)).ravel()


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("seed", range(4))
def test_the_true_error_stays_well_under_the_bound(name: str, seed: int) -> None:
    value, bound, truth = measured(name, seed)
    assert np.max(np.abs(value - truth) / bound) < 0.5


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n != "a large offset"])
def test_the_bound_is_small_enough_to_see_a_leak_of_a_billionth(name: str) -> None:
    _, bound, truth = measured(name, 0)
    assert np.median(bound) < 1e-10 * np.max(np.abs(truth))
    assert np.max(bound) < 1e-9 * np.max(np.abs(truth))


def test_an_offset_of_the_output_widens_the_bound() -> None:
    _, plain, _ = measured("sin", 0)
    _, offset, _ = measured("a large offset", 0)
    assert np.median(offset) > 20 * np.median(plain)


def test_extrapolation_removes_the_even_powers_of_the_step() -> None:
    steps = 2.0 ** -np.arange(4.0)[:, None]
    slopes = 5.0 + 3.0 * steps**2 - 2.0 * steps**4
    value, bound = extrapolate(slopes, np.zeros((4, 1)), 4.0)
    assert abs(value[0] - 5.0) <= bound[0] < 1.0
    assert value[0] == pytest.approx(5.0, abs=1e-14)


def test_extrapolation_by_all_powers_removes_the_odd_ones_too() -> None:
    steps = 2.0 ** -np.arange(4.0)[:, None]
    slopes = 5.0 + 3.0 * steps - 1.0 * steps**2
    value, _ = extrapolate(slopes, np.zeros((4, 1)), 2.0)
    assert value[0] == pytest.approx(5.0, abs=1e-14)


def test_a_level_that_could_not_be_evaluated_is_passed_over() -> None:
    steps = 2.0 ** -np.arange(5.0)[:, None]
    slopes = 5.0 + 3.0 * steps**2
    slopes[0] = np.nan
    noise = np.zeros((5, 1))
    noise[0] = np.inf
    value, bound = extrapolate(slopes, noise, 4.0)
    assert value[0] == pytest.approx(5.0, abs=1e-14)
    assert np.isfinite(bound[0])


def test_noise_in_the_finest_levels_turns_the_choice_to_the_coarse_ones() -> None:
    steps = 2.0 ** -np.arange(4.0)[:, None]
    slopes = 5.0 + 3.0 * steps**2
    slopes[3] += 1.0
    noise = np.array([[0.0], [0.0], [0.0], [1.0]])
    value, bound = extrapolate(slopes, noise, 4.0)
    assert abs(value[0] - 5.0) <= bound[0]
    assert abs(value[0] - 5.0) < 1e-12
