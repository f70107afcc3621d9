"""The oracle in its parts, each on numbers that can be worked out by hand."""

import numpy as np
import pytest

from gradcheck.arrays import EPS
from gradcheck.oracle import (
    FIRST_LEVELS,
    LINE,
    POINTS,
    Oracle,
    Slope,
    _agreed,
    _far,
    _is_jump,
    _noise,
    _pooled,
    _resolution,
    _scatter,
    extrapolate,
)
from gradcheck.subject import Subject
from tests.gradcheck.plain import Function


class Scaled:
    """y = a x² + b, with two parameters."""

    def __init__(self):
        self.params = {"a": np.array([3.0, -2.0]), "b": np.array([1.0, 1.0])}

    def forward(self, x):
        self.x = x
        return self.params["a"] * x**2 + self.params["b"]

    def backward(self, dout):
        grads = {"a": (self.x**2 * dout).sum(0), "b": dout.sum(0)}
        return 2 * self.params["a"] * self.x * dout, grads


def oracle_of(layer, x, dout=None, seed=0):
    x = np.asarray(x, float)
    subject = Subject(layer, [x])
    dout = np.ones(subject.forward().shape) if dout is None else np.asarray(dout, float)
    return Oracle(subject, dout, seed)


def leaf_of(oracle, about):
    return next(leaf for leaf in oracle.subject.leaves if leaf.about == about)


# -- what a slope admits -------------------------------------------------------------------


def test_a_slope_admits_what_lies_within_its_bound_the_limit_included():
    slope = Slope(1.0, 0.5)
    assert slope.admits(1.5)
    assert slope.admits(0.5)
    assert not slope.admits(1.5000001)
    assert not slope.admits(0.4999999)


def test_half_bound_and_slack_add_up():
    slope = Slope(1.0, 0.5, half=0.25)
    assert slope.admits(1.75)
    assert not slope.admits(1.76)
    assert slope.admits(1.875, slack=0.125)
    assert not slope.admits(1.88, slack=0.125)


def test_no_slope_admits_what_is_no_number():
    assert not Slope(1.0, np.inf).admits(np.nan)
    assert not Slope(np.nan, 1.0).admits(1.0)


def test_an_exact_slope_admits_itself():
    assert Slope(2.0, 0.0).admits(2.0)


# -- extrapolation -------------------------------------------------------------------------


def columns(*numbers):
    return np.array(numbers, float)[:, None]


def test_two_levels_of_even_powers_give_the_limit_and_a_bound_worked_by_hand():
    # 3 + h² at h = 1, ½; noise 0.1 and 0.2: spread (4·0.2 + 0.1)/3, bound 2·1 + 6·0.3
    value, bound = extrapolate(columns(4.0, 3.25), columns(0.1, 0.2), 4.0)
    assert value[0] == pytest.approx(3.0, rel=1e-15)
    assert bound[0] == pytest.approx(2.0 + 6 * 0.3, rel=1e-14)


def test_two_levels_of_all_powers():
    # 3 + h at h = 1, ½: value 3.5 − 0.5, spread (2·0.2 + 0.1)/1
    value, bound = extrapolate(columns(4.0, 3.5), columns(0.1, 0.2), 2.0)
    assert value[0] == pytest.approx(3.0, rel=1e-15)
    assert bound[0] == pytest.approx(2.0 * 1.0 + 6 * 0.5, rel=1e-14)


def test_one_level_tells_nothing():
    value, bound = extrapolate(columns(4.0), columns(0.1), 4.0)
    assert np.isnan(value[0])
    assert bound[0] == np.inf


def test_a_third_level_removes_the_next_power():
    h = np.array([1.0, 0.5, 0.25])
    value, bound = extrapolate((3 + h**2 + h**4)[:, None], np.zeros((3, 1)), 4.0)
    assert value[0] == pytest.approx(3.0, rel=1e-15)
    # the cell of the second column: |3 − 2.9375| and |3 − 2| beside it, of which the worse
    rest = (3 + h**2 + h**4)[1:] - np.diff(3 + h**2 + h**4) * -1 / 3
    assert bound[0] == pytest.approx(2 * max(abs(3 - rest)), rel=1e-12)


@pytest.mark.parametrize("powers", [1, 2, 3, 4])
def test_all_powers_up_to_the_fourth_are_removed(powers):
    h = 2.0 ** -np.arange(8)
    slopes = 3 + sum(h**k for k in range(1, powers + 1))
    value, bound = extrapolate(slopes[:, None], np.zeros((8, 1)), 2.0)
    assert value[0] == pytest.approx(3.0, abs=1e-13)
    assert abs(value[0] - 3.0) <= bound[0] + 1e-14
    assert bound[0] < 1e-3


def test_even_powers_are_removed_as_far_as_there_are_levels():
    h = 2.0 ** -np.arange(8)
    slopes = 3 + sum(h ** (2 * k) for k in range(1, 7))
    value, bound = extrapolate(slopes[:, None], np.zeros((8, 1)), 4.0)
    assert value[0] == pytest.approx(3.0, abs=1e-14)
    assert bound[0] < 1e-10


def test_a_level_that_could_not_be_evaluated_is_passed_over():
    value, bound = extrapolate(columns(np.nan, 4.0, 3.25), columns(np.inf, 0.0, 0.0), 4.0)
    assert value[0] == pytest.approx(3.0, rel=1e-15)
    assert bound[0] == pytest.approx(2.0)


def test_the_last_level_missing_leaves_what_was_before():
    value, bound = extrapolate(columns(4.0, 3.25, np.nan), columns(0.0, 0.0, np.inf), 4.0)
    assert value[0] == pytest.approx(3.0, rel=1e-15)
    assert bound[0] == pytest.approx(2.0)


def test_columns_do_not_mix():
    slopes = np.array([[4.0, 7.0], [3.25, 7.0]])
    value, bound = extrapolate(slopes, np.array([[0.0, 0.3], [0.0, 0.3]]), 4.0)
    np.testing.assert_allclose(value, [3.0, 7.0], rtol=1e-15)
    np.testing.assert_allclose(bound, [2.0, 6 * 0.5], rtol=1e-14)


def rows(*pairs):
    return [(np.array([v], float), np.array([b], float)) for v, b in pairs]


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ([(10.0, 0.1), (3.0, 1.0)], (3.0, 1.0)),  # contradicted by shorter steps
        ([(3.05, 0.1), (3.0, 1.0)], (3.05, 0.1)),  # agrees and is narrower
        ([(4.5, 0.5), (3.0, 1.0)], (4.5, 0.5)),  # agrees just so
        ([(3.05, 2.0), (3.0, 1.0)], (3.0, 1.0)),  # agrees and is wider
        ([(3.05, 0.1), (np.nan, np.inf)], (3.05, 0.1)),  # nothing shorter
        ([(3.0, 0.2), (3.05, 0.5), (3.1, 1.0)], (3.0, 0.2)),  # step by step
        ([(3.0, 0.01), (3.3, 0.1), (3.1, 1.0)], (3.3, 0.1)),  # the second stands in the way
    ],
)
def test_the_narrowest_interval_that_shorter_steps_do_not_contradict(given, taken):
    value, bound = _agreed(rows(*given))
    assert (value[0], bound[0]) == taken


# -- jumps and ladders ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gap", "noise", "jump"),
    [
        ([1, 2, 4, 8], 1e-9, True),
        ([1, 1.7, 2.9, 5], 1e-9, True),
        ([1, 1.5, 2.2, 3.3], 1e-9, False),
        ([1, 2, 4], 1e-9, False),
        ([9, 1, 2, 4, 8], 1e-9, True),
        ([1, 2, 4, 8, 8], 1e-9, False),
        ([1, np.nan, 2, 4, 8], 1e-9, False),
        ([np.nan, 1, 2, 4, 8, np.nan], 1e-9, True),
        ([1, 1, 1, 1], 1e-9, False),
        ([1, 2, 4, 8], 0.009, True),
        ([1, 2, 4, 8], 0.011, False),  # the first does not stand out of the noise
        ([1, 2, 4, 8], 1.0, False),
    ],
)
def test_a_jump_doubles_the_gap_at_four_steps_running(gap, noise, jump):
    gap = np.array(gap, float)
    assert _is_jump(gap, np.full(len(gap), noise)) is jump


@pytest.mark.parametrize(
    ("excess", "start"), [(1.0, -4), (2.0, -5), (1000.0, -14), (1024.0, -14), (1e300, -204)]
)
def test_steps_are_doubled_until_the_noise_is_harmless(excess, start):
    assert list(_far(excess)) == [start + k for k in range(5)]


def test_the_shortest_step_at_which_a_kink_stands_out():
    # noise 0.02 at 1 and ½: of the output 0.01 at best; a hundred times that over half 2
    assert _resolution([1.0, 0.5], np.array([0.02, 0.02]), 2.0) == pytest.approx(0.5)
    assert _resolution([1.0, 0.5], np.array([0.0, 0.0]), 2.0) == 2.0**-70
    assert _resolution([8.0, 4.0], np.array([0.0, 0.0]), 2.0) == 2.0**-67


# -- noise ---------------------------------------------------------------------------------


def test_scatter_is_the_residual_of_a_straight_line():
    at = np.arange(4.0)
    pattern = np.array([1.0, -1.0, -1.0, 1.0])  # orthogonal to 1 and to t
    lines = np.stack([7 + 0 * at, 5 - 2 * at, 5 + 3 * at + pattern, 1e3 + pattern / 2], axis=1)
    expected = [0.0, 0.0, np.sqrt(4 / 2), np.sqrt(1 / 2)]
    np.testing.assert_allclose(_scatter(at, lines), expected, atol=1e-12)


def test_scatter_keeps_the_shape_of_the_numbers():
    at = np.arange(4.0) - 0.5
    rows = np.random.default_rng(0).normal(size=(4, 2, 3))
    expected = np.zeros((2, 3))
    for i in range(2):
        for j in range(3):
            fit = np.polyval(np.polyfit(at, rows[:, i, j], 1), at)
            expected[i, j] = np.sqrt(np.sum((rows[:, i, j] - fit) ** 2) / 2)
    np.testing.assert_allclose(_scatter(at, rows), expected, rtol=1e-10)


ZIGZAG = np.array([1.0, -1.0, -1.0, 1.0])


def nine(first, last):
    """Nine numbers: a zigzag of one size in the first four, of another in the last four."""
    return np.concatenate([first * ZIGZAG, [0.0], last * ZIGZAG])


@pytest.mark.parametrize(("first", "last"), [(1.0, 10.0), (10.0, 1.0)])
def test_of_two_halves_the_noisier_counts(first, last):
    at = np.arange(9.0)
    noise = _noise(at, nine(first, last)[:, None], np.ones(1))
    line = np.arange(5.0)
    worst = np.append(10 * ZIGZAG, 0.0) if first > last else np.append(0.0, 10 * ZIGZAG)
    fit = np.polyval(np.polyfit(line, worst, 1), line)
    assert noise[0] == pytest.approx(np.sqrt(np.sum((worst - fit) ** 2) / 3), rel=1e-10)


@pytest.mark.parametrize(("first", "last"), [(1e-3, 10.0), (10.0, 1e-3)])
def test_a_half_that_crosses_a_kink_is_no_noise(first, last):
    noise = _noise(np.arange(9.0), nine(first, last)[:, None], np.ones(1))
    assert 1e-4 < noise[0] < 1e-2


def test_a_quiet_half_does_not_make_plain_rounding_a_kink():
    rows = 1.0 + np.concatenate([np.zeros(5), [1e-15, -1e-15, -1e-15, 1e-15]])
    noise = _noise(np.arange(9.0), rows[:, None], np.ones(1))
    assert noise[0] > 3e-16


def test_noise_is_at_least_the_median_among_numbers_of_like_size():
    noise = np.array([0.0, 1.0, 2.0, 0.0, 5.0])
    values = np.array([1.0, 1.5, -3.0, 1e3, 1e3])
    np.testing.assert_array_equal(_pooled(noise, values), [1.0, 1.0, 2.0, 2.5, 5.0])


def test_pooling_leaves_what_it_is_given():
    noise = np.array([0.0, 1.0, 2.0])
    _pooled(noise, np.ones(3))
    np.testing.assert_array_equal(noise, [0.0, 1.0, 2.0])


def test_numbers_are_of_like_size_within_a_factor_of_sixteen():
    noise = np.array([0.0, 4.0, 8.0])
    np.testing.assert_array_equal(_pooled(noise, np.array([1.0, 15.0, 15.0])), [4.0, 4.0, 8.0])
    np.testing.assert_array_equal(_pooled(noise, np.array([1.0, 17.0, 17.0])), [0.0, 6.0, 8.0])


def test_before_it_is_measured_noise_is_that_of_a_rounded_output():
    oracle = oracle_of(Function(lambda x: 2 * x), [1.0, -4.0], [1.0, 3.0])
    np.testing.assert_allclose(oracle.noise_y, 0.3 * EPS * np.array([2.0, 8.0]))
    assert oracle.noise_joint == pytest.approx(0.3 * EPS * np.hypot(2.0, 24.0))
    assert oracle.noise_got == {}


def test_noise_of_what_a_step_changes():
    oracle = oracle_of(Function(lambda x: x), np.ones(100), np.full(100, -2.0))
    oracle.noise_y = np.full(100, 0.5)
    everything, three = np.ones(100, bool), np.arange(100) < 3
    assert oracle.noise_where(everything) == pytest.approx(4 * 10.0)  # 4 √(100·1²) < 100·1
    assert oracle.noise_where(three) == pytest.approx(3.0)  # 3·1 < 4 √3
    assert oracle.noise_where(~everything) == 0.0


def test_close_points_lie_to_one_side_on_a_short_line():
    oracle = oracle_of(Scaled(), [[1.0, 2.0], [1.5, 1.0]])
    points = list(oracle._close_points())
    times = [t for t, _ in points]
    assert len(points) == POINTS
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= LINE
    first, last = points[0][1], points[-1][1]
    assert set(first) == {"dx", "da", "db"}
    for leaf in oracle.subject.leaves:
        value = oracle.subject.value(leaf)
        way = (last[leaf.about] - value) / times[-1]
        assert np.all(abs(way) > 0.45 * oracle.scales[leaf.about])
        assert np.all(abs(way) < 1.05 * oracle.scales[leaf.about])
        assert np.all((first[leaf.about] - value) * way >= -1e-15)


def test_the_last_bits_of_close_points_are_random():
    oracle = oracle_of(Function(lambda x: x), np.ones(50))
    oracle.random_direction = lambda: {"dx": np.zeros(50)}
    moved = np.array([p["dx"] - 1.0 for _, p in oracle._close_points()])
    assert set(np.unique(moved / np.spacing(1.0))) == {-1.0, 0.0, 1.0}


def test_noise_is_measured_once():
    oracle = oracle_of(Scaled(), [[1.0, 2.0]])
    oracle.measure_noise()
    spent = oracle.subject.counts.forwards
    noise = oracle.noise_y.copy()
    oracle.measure_noise()
    assert oracle.subject.counts.forwards == spent
    np.testing.assert_array_equal(oracle.noise_y, noise)


def test_measuring_noise_leaves_the_parameters():
    layer = Scaled()
    oracle = oracle_of(layer, [[1.0, 2.0]])
    oracle.measure_noise()
    np.testing.assert_array_equal(layer.params["a"], [3.0, -2.0])
    np.testing.assert_array_equal(layer.params["b"], [1.0, 1.0])
    assert set(oracle.noise_got) == {"dx", "da", "db"}
    assert oracle.noise_got["dx"].shape == (1, 2)
    assert oracle.noise_got["da"].shape == (2,)


def test_without_backward_only_the_outputs_are_measured():
    oracle = oracle_of(Scaled(), [[1.0, 2.0]])
    oracle.measure_noise(with_backward=False)
    assert oracle.noise_got == {}
    assert oracle.natural == {}
    assert oracle.subject.counts.backwards == 0


def test_rounding_inside_forward_shows_in_the_measured_noise():
    hidden = oracle_of(Function(lambda x: (x + 1e6) - 1e6), [[1.0, 2.0, 3.0]], [[1.0, 1.0, 2.0]])
    hidden.measure_noise()
    unit = np.spacing(1e6)
    assert np.all(hidden.noise_y > 0.1 * unit)
    assert np.all(hidden.noise_y < unit)
    joint = np.sqrt(np.sum((hidden.weight * hidden.noise_y) ** 2))
    assert joint <= hidden.noise_joint < 5 * joint


def test_noise_common_to_all_outputs_adds_up_in_their_sum():
    def shifted(x):
        return x + ((x.sum() + 1e6) - 1e6) * np.ones(x.shape)

    oracle = oracle_of(Function(shifted), np.linspace(1, 2, 64)[None])
    oracle.measure_noise()
    apart = np.sqrt(np.sum(oracle.noise_y**2))
    assert oracle.noise_joint > 3 * apart  # 64 equal errors, not 8


def test_a_point_without_numbers_leaves_the_noise_as_it_was():
    oracle = oracle_of(Function(lambda x: np.where(x == 1.0, x, np.nan)), np.ones((1, 4)))
    before = oracle.noise_y.copy()
    oracle.measure_noise()
    np.testing.assert_array_equal(oracle.noise_y, before)
    assert oracle.noise_got == {}


def test_natural_is_the_largest_gradient_at_plainer_points():
    # gradient x² at x = 8: at 8/64 it is 1/64, at −4 it is 16
    oracle = oracle_of(Function(lambda x: x**3 / 3, lambda x: x**2), [[8.0, 1.0]])
    oracle.measure_noise()
    assert oracle.natural == {"dx": 16.0}


def test_natural_passes_over_points_that_raise_or_are_not_finite():
    def df(x):
        if np.any(x < 0):
            raise ValueError("negative")
        return 1 / x

    oracle = oracle_of(Function(lambda x: np.log(np.abs(x)), df), [[8.0]])
    oracle._find_natural()
    assert oracle.natural == {"dx": 8.0}
    oracle = oracle_of(Function(lambda x: x, lambda x: np.where(x < 0, np.inf, 2.0)), [[8.0]])
    oracle._find_natural()
    assert oracle.natural == {"dx": 2.0}


# -- directions and steps ------------------------------------------------------------------


def test_a_random_direction_is_of_eighths_in_scale_and_of_both_signs():
    oracle = oracle_of(Function(lambda x: x), np.full((20, 20), 0.3))
    move = oracle.random_direction()["dx"]
    eighths = 8 * move / 0.25  # the power of two below 0.3
    np.testing.assert_array_equal(eighths, np.round(eighths))
    assert set(np.abs(eighths).ravel()) == {4.0, 5.0, 6.0, 7.0, 8.0}
    assert 0.4 < np.mean(move > 0) < 0.6


def test_a_random_direction_may_go_through_one_array_alone():
    oracle = oracle_of(Scaled(), [[1.0, 2.0]])
    assert set(oracle.random_direction()) == {"dx", "da", "db"}
    assert set(oracle.random_direction("da")) == {"da"}


def test_along_moves_what_is_named_and_nothing_else():
    oracle = oracle_of(Scaled(), [[1.0, 2.0]])
    got = oracle.along({"da": np.array([1.0, 2.0]), "dx": np.array([[0.0, 2.0]])}, 0.5)
    np.testing.assert_allclose(got, [[3.5 * 1 + 1, -1.0 * 9 + 1]])
    np.testing.assert_array_equal(oracle.subject.params["a"], [3.0, -2.0])


def test_a_glance_is_the_slope_of_a_parabola():
    oracle = oracle_of(Scaled(), [[1.0, 2.0]], [[1.0, -1.0]])
    move = {"dx": np.array([[1.0, 0.5]])}
    assert oracle.glance(move) == pytest.approx(2 * 3 * 1 * 1 - 2 * -2 * 2 * 0.5, rel=1e-9)


def test_a_direction_that_fits_is_not_looked_at_closely():
    oracle = oracle_of(Scaled(), [[1.0, 2.0]], [[1.0, -1.0]])
    move = {"dx": np.array([[1.0, 0.5]]), "da": np.array([1.0, 0.0])}
    slope = oracle.direction(move, 11.0, 1e-12, 1e-3)
    assert oracle.subject.counts.forwards == 1 + 2 * FIRST_LEVELS
    assert not oracle.measured
    assert slope.value == pytest.approx(11.0, abs=1e-11)
    assert 0 < slope.bound < 1e-9
    assert slope.half == 0


@pytest.mark.parametrize(("got", "goal"), [(11.001, 1e-3), (11.0, 0.0)])
def test_a_direction_that_does_not_fit_or_is_vague_is_looked_at_closely(got, goal):
    oracle = oracle_of(Scaled(), [[1.0, 2.0]], [[1.0, -1.0]])
    move = {"dx": np.array([[1.0, 0.5]]), "da": np.array([1.0, 0.0])}
    slope = oracle.direction(move, got, 1e-12, goal)
    assert oracle.measured
    assert slope.value == pytest.approx(11.0, abs=1e-10)
    assert abs(slope.value - 11.0) <= slope.bound < 1e-9
    assert not slope.admits(11.001)


@pytest.mark.parametrize(
    ("value", "scale"),
    [(5.0, 4.0), (-5.0, 4.0), (1e-3, 1.0), (1e6, 512.0), (1e12, 2.0**19), (0.0, 1.0)],
)
def test_an_entry_moves_over_its_own_size_or_that_of_its_array(value, scale):
    oracle = oracle_of(Function(lambda x: x), [1.0, 1.0, 1.0])
    leaf = oracle.subject.leaves[0]
    assert oracle.scales["dx"] == 1.0
    assert oracle.entry_scale(leaf, value) == scale


# -- slopes of entries ---------------------------------------------------------------------


SMOOTH = {
    "exp": (np.exp, np.exp),
    "sine": (np.sin, np.cos),
    "cube": (lambda x: x**3, lambda x: 3 * x**2),
    "reciprocal": (lambda x: 1 / x, lambda x: -1 / x**2),
    "constant": (lambda x: 0 * x + 5.0, lambda x: 0 * x),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_entries_lie_within_their_bounds(name):
    f, df = SMOOTH[name]
    x = np.array([[0.8, 1.3], [-1.1, 0.6]])
    dout = np.array([[1.0, -2.0], [0.5, 1.5]])
    oracle = oracle_of(Function(f, df), x, dout)
    slopes = oracle.entries(oracle.subject.leaves[0], np.array([3, 0, 2]))
    true = (dout * df(x)).ravel()[[3, 0, 2]]
    assert np.all(np.abs(slopes.value - true) <= slopes.bound + 4 * EPS * np.abs(true))
    assert np.all(slopes.bound <= 1e-5 * (1 + np.abs(true)))
    assert not slopes.half.any()
    assert not slopes.jump.any()


def test_entries_of_a_parameter_are_moved_in_place_and_put_back():
    layer = Scaled()
    oracle = oracle_of(layer, [[1.0, 2.0], [3.0, 1.0]])
    slopes = oracle.entries(leaf_of(oracle, "da"), np.arange(2))
    np.testing.assert_allclose(slopes.value, [1.0 + 9.0, 4.0 + 1.0], rtol=1e-12)
    np.testing.assert_array_equal(layer.params["a"], [3.0, -2.0])


def closely(f, at, got=0.0, slack=0.0, goal=1e-6, dout=None):
    oracle = oracle_of(Function(f), [at], dout)
    oracle.measure_noise(with_backward=False)
    return oracle.closely(oracle.subject.leaves[0], 0, got, slack, goal)


@pytest.mark.parametrize("got", [0.0, 1.0, -1.0, 5.0])
def test_at_a_kink_half_the_difference_of_the_slopes_is_admitted(got):
    slope = closely(np.abs, 0.0, got)
    assert slope.value == pytest.approx(0.0, abs=1e-9)
    assert slope.half == pytest.approx(1.0, rel=1e-6)
    assert slope.half >= 1.0
    assert not slope.jump
    assert slope.admits(got) == (abs(got) <= 1)


def test_at_a_kink_upstream_enters_with_its_sign():
    slope = closely(lambda x: np.maximum(x, 0), 0.0, -1.5, dout=[-3.0])
    assert slope.value == pytest.approx(-1.5, abs=1e-9)
    assert slope.half == pytest.approx(1.5, rel=1e-6)


@pytest.mark.parametrize("far", [1e-3, 1e-6])
@pytest.mark.parametrize("got", [0.0, 0.5, 1.0])
def test_a_kink_nearby_is_none_here(far, got):
    slope = closely(lambda x: np.maximum(x - (1 - far), 0), 1.0, got)
    assert slope.admits(1.0)
    assert not slope.admits(0.5)
    assert slope.half == 0


def test_a_jump_is_called_one():
    assert closely(lambda x: np.where(x > 1.0, x + 1, x), 1.0).jump
    assert not closely(lambda x: x * np.abs(x), 0.0).jump


@pytest.mark.parametrize("edge", ["raises", "not finite", "another shape"])
def test_steps_that_leave_the_domain_are_passed_over(edge):
    def root(x):
        if edge == "another shape" and np.any(x < 0):
            return np.zeros(3)
        if edge == "raises" and np.any(x < 0):
            raise ValueError("negative")
        with np.errstate(invalid="ignore"):
            return np.sqrt(x)

    slope = closely(root, 2.0**-8, 0.0)
    assert slope.value == pytest.approx(8.0, rel=1e-8)
    assert slope.half == 0
    assert slope.bound < 1e-5


def test_swing_is_the_slope_of_all_outputs_together():
    oracle = oracle_of(Function(lambda x: 3 * x), [2.0], [-2.0])
    oracle.entries(oracle.subject.leaves[0], np.arange(1))
    assert oracle.swing == pytest.approx(6.0)


def test_swing_keeps_the_largest():
    oracle = oracle_of(Scaled(), [[1.0, 2.0]])
    oracle.entries(leaf_of(oracle, "dx"), np.arange(2))
    assert oracle.swing == pytest.approx(8.0, rel=0.02)
    oracle.entries(leaf_of(oracle, "db"), np.arange(2))
    assert oracle.swing == pytest.approx(8.0, rel=0.02)


def test_longer_steps_are_refused_where_the_output_is_another():
    oracle = oracle_of(Function(lambda x: x), [1.0], [2.0])
    step = oracle._within(lambda t: (np.array([1.0 + t]), t))
    assert step(8.0)[1] == 8.0  # eight times the output, and no more
    with pytest.raises(ValueError, match="too far"):
        step(8.1)
    with pytest.raises(ValueError, match="too far"):
        step(np.nan)


def test_farther_steps_narrow_a_bound():
    oracle = oracle_of(Function(lambda x: x + 1e8), [1.0])
    oracle.measure_noise(with_backward=False)
    leaf = oracle.subject.leaves[0]
    near = oracle.entries(leaf, np.arange(1))
    far = oracle.farther(leaf, 0, float(near.bound[0]), 1e-10)
    assert near.bound[0] > 1e-7
    assert far.bound < 1e-9
    assert abs(far.value - 1.0) <= far.bound


def test_steps_in_noise_alone_are_made_longer():
    # the slope 1 beside 1e12 is lost in rounding until steps are of some thousands
    slope = closely(lambda x: x + 1e12, 1.0, 3.0, goal=1e-3)
    assert abs(slope.value - 1.0) <= slope.bound < 0.5
    assert not slope.admits(3.0)


def test_what_is_lost_in_rounding_is_noise_too():
    # 1 + 1e-18 x does not change at all, which proves no slope of exactly 0
    oracle = oracle_of(Function(lambda x: 1 + 1e-18 * x), [1.0])
    slopes = oracle.entries(oracle.subject.leaves[0], np.arange(1))
    assert abs(slopes.value[0] - 1e-18) <= slopes.bound[0]
    assert slopes.bound[0] > 0


@pytest.mark.parametrize("far", [1e-9, 1e-12, 1e-15])
@pytest.mark.parametrize("got", [0.0, 0.5, 1.0])
def test_a_kink_that_no_longer_step_tells_from_one_here(far, got):
    oracle = oracle_of(Function(lambda x: np.maximum(x, 0)), [far, 1.0, -1.0])
    slope = oracle.closely(oracle.subject.leaves[0], 0, got, 0.0, 1e-6)
    assert slope.value == pytest.approx(1.0, rel=1e-12)
    assert slope.half == 0
    assert slope.bound < 1e-12


def test_sums_of_large_outputs_are_measured_by_their_changes():
    # Σ of 4096 numbers of 10⁶ rounds by some 10⁻⁷, Σ of their changes by nothing
    oracle = oracle_of(Function(lambda x: x + 1e6), np.linspace(1, 2, 4096)[None])
    oracle.measure_noise()
    apart = np.sqrt(np.sum(oracle.noise_y**2))
    assert apart <= oracle.noise_joint < 5 * apart


# -- one line through the layer ------------------------------------------------------------


def line_of(noise=(0.001, 0.002), joint=0.0):
    """An oracle at y = (1, 1) for dout = (1, −2), and the line y(t) = (1 + 3t, 1 + t²)."""
    oracle = oracle_of(Function(lambda x: x), [1.0, 1.0], [1.0, -2.0])
    oracle.noise_y, oracle.noise_joint = np.array(noise), joint
    return oracle, lambda t: (np.array([1 + 3 * t, 1 + t * t]), t)


def test_slopes_and_gaps_along_a_line_by_hand():
    oracle, line = line_of()
    central, noise, gap = oracle._probe(line, [0.5, 0.25])
    np.testing.assert_allclose(central, [3.0, 3.0])
    np.testing.assert_allclose(gap, [2 * 1.0, 2 * 0.5])  # of t² alone: 2t, weighed by 2
    np.testing.assert_allclose(noise, [2 * 0.001 / 1.0, 2 * 0.001 / 0.5])  # the first moves alone
    assert oracle.swing == pytest.approx(3.0)


def test_steps_count_by_the_way_really_gone():
    oracle, line = line_of()
    longer = oracle._probe(lambda t: (line(1.5 * t)[0], 1.5 * t), [0.5])
    np.testing.assert_allclose(np.ravel(longer), [3.0, 2 * 0.001 / 1.5, 2 * 1.5])
    uneven = oracle._probe(lambda t: (line(t if t > 0 else 2 * t)[0], t if t > 0 else 2 * t), [0.5])
    # y(½) = (2.5, 1.25), y(−1) = (−2, 2): slopes (3, −0.5), gaps 0 and ½ + 1
    np.testing.assert_allclose(np.ravel(uneven), [3 + 1.0, 2 * 0.005 / 1.5, 2 * 1.5])


def test_an_output_that_hardly_moves_is_as_noisy_as_all_together():
    # moved by 3; all outputs together have a noise of 0.05 + 2·0.1: 64 of them are more
    oracle, line = line_of(noise=(0.05, 0.1))
    noise = oracle._probe(line, [0.5])[1]
    np.testing.assert_allclose(noise, [2 * 0.25 / 1.0])


def test_the_largest_of_the_moves_counts():
    # 64·(0.01 + 2·0.02) = 3.2 is more than the move of 3 at ½, less than that of 6 at 1
    oracle, line = line_of(noise=(0.01, 0.02))
    np.testing.assert_allclose(oracle._probe(line, [0.5])[1], [2 * 0.05])
    np.testing.assert_allclose(oracle._probe(line, [1.0, 0.5])[1], [0.01, 0.02])
    np.testing.assert_allclose(oracle._probe(line, [0.5, 1.0])[1], [0.02, 0.01])


def test_outputs_that_move_at_any_step_are_noisy_at_each():
    oracle, _ = line_of()
    parts = [lambda t: (np.array([1 + 3 * t, 1.0 + (t if abs(t) > 0.3 else 0.0)]), t)]
    noise = oracle._probe(parts[0], [0.5, 0.25])[1]
    np.testing.assert_allclose(noise, [2 * 0.005, 2 * 0.005 / 0.5])


@pytest.mark.parametrize(
    ("joint", "sigma"),
    [(0.0005, 0.001), (0.01, 0.01), (0.0001, 0.0004), (0.0, 0.0)],
)
def test_along_a_direction_noise_is_near_that_of_the_sum(joint, sigma):
    oracle, line = line_of(joint=joint)
    noise = oracle._probe(line, [0.5], joint=True)[1]
    np.testing.assert_allclose(noise, [2 * sigma])


def test_steps_that_cannot_be_gone_are_left_open():
    oracle, line = line_of()

    def broken(t):
        if abs(t) == 1.0:
            raise ValueError("too far")
        if abs(t) == 0.5:
            return np.zeros(3), t
        if abs(t) == 0.25:
            return line(t)[0], 0.0  # no way at all
        if t == 0.125:
            return np.array([np.nan, 1.0]), t
        return line(t)

    central, noise, gap = oracle._probe(broken, [1.0, 0.5, 0.25, 0.125, 0.0625])
    np.testing.assert_allclose(central, [np.nan] * 4 + [3.0])
    np.testing.assert_array_equal(noise[:4], np.full(4, np.inf))
    np.testing.assert_allclose(noise[4], 2 * 0.001 / 0.125)
    np.testing.assert_array_equal(np.isnan(gap), [True] * 4 + [False])
    nothing = oracle._probe(lambda t: (np.zeros(3), t), [1.0, 0.5])
    np.testing.assert_array_equal(nothing[1], [np.inf, np.inf])


def test_swing_is_taken_at_the_first_step_that_can_be_gone():
    oracle, _ = line_of()

    def cubic(t):
        if abs(t) == 1.0:
            raise ValueError("too far")
        return np.array([1 + t**3, 1.0]), t

    oracle._probe(cubic, [1.0, 0.5, 0.25])
    assert oracle.swing == pytest.approx(0.25)  # 2·⅛ over a width of 1


H = 2.0 ** -np.arange(7)


def judged(central, gap, noise=0.0):
    oracle, _ = line_of()
    central, gap = np.broadcast_to(central, 7) * 1.0, np.broadcast_to(gap, 7) * 1.0
    return oracle._judge(central, np.full(7, noise), gap)


def test_a_smooth_line_has_a_slope_and_no_half():
    slope = judged(3 + H**2, 4 * H)
    assert slope.value == pytest.approx(3.0, abs=1e-14)
    assert (slope.half, slope.jump) == (0.0, False)


def test_errors_in_odd_powers_are_seen_through():
    slope = judged(3 + H + H**3, H)
    assert slope.value == pytest.approx(3.0, abs=1e-13)
    assert slope.bound < 1e-3
    assert slope.half == 0


def test_a_gap_that_stays_is_a_kink():
    slope = judged(3 + H, 2 + H)
    assert slope.value == pytest.approx(3.0, abs=1e-13)
    assert slope.half == pytest.approx(1.0, abs=1e-3)
    assert slope.half >= 1.0
    assert not slope.jump


@pytest.mark.parametrize(("errors", "ratio"), [(H**2, 4.0), (H, 2.0)])
def test_each_level_comes_with_its_own_noise(errors, ratio):
    oracle, _ = line_of()
    noise = np.array([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 1.0]) * 1e-12
    slope = oracle._judge(3 + errors, noise, 0 * H)
    value, bound = extrapolate((3 + errors)[:, None], noise[:, None], ratio)
    assert (slope.value, slope.bound) == (value[0], bound[0])


def test_a_gap_within_its_bound_is_no_kink():
    assert judged(3.0, 2.0, noise=1.0).half == 0
    kink = judged(3.0, 2.0, noise=1e-3)
    # spread of the narrowest cell of ratio 2, (2·0.002 + 0.002)/1, six times: half of 2 + 0.036
    assert kink.half == pytest.approx(1 + 0.018, rel=1e-9)


def test_a_gap_that_doubles_is_a_jump():
    assert judged(3 + 1 / H, 1 / H).jump
    assert not judged(3.0, 2.0).jump


class Ladders(Oracle):
    """An oracle that is told what each ladder of steps shows."""

    def __init__(self, *slopes, noise=0.0, here=True):
        super().__init__(Subject(Function(lambda x: x), [np.ones(1)]), np.ones(1))
        self.slopes, self.noise, self.here, self.asked = list(slopes), noise, here, []

    def _probe(self, evaluate, steps, joint=False):
        self.asked.append(steps)
        n = len(steps)
        return np.zeros(n), np.full(n, self.noise), np.zeros(n)

    def _judge(self, central, noise, gap):
        return self.slopes[len(self.asked) - 1]

    def _at_the_point(self, *_):
        return self.here

    def look(self, got=0.0, goal=1e-3):
        return self.look_closely(lambda t: (np.ones(1), t), 1.0, got, 0.0, goal)


SURE, VAGUE, WIDER = Slope(1.0, 1e-4), Slope(2.0, 1e-2), Slope(3.0, 1e-1)
KINK, JUMP = Slope(1.0, 1e-4, half=0.5), Slope(4.0, 1e-9, jump=True)


def test_one_ladder_is_enough_where_it_decides():
    oracle = Ladders(SURE)
    assert oracle.look() is SURE
    assert oracle.asked == [[2.0**-s for s in range(6, 13)]]
    oracle = Ladders(Slope(1.0, 1e-3))
    assert oracle.look().bound == 1e-3  # just so
    assert len(oracle.asked) == 1


def test_a_vague_ladder_is_followed_by_a_long_one():
    oracle = Ladders(VAGUE, SURE)
    assert oracle.look() is SURE
    assert oracle.asked[1] == [2.0**-s for s in range(-3, 28)]


@pytest.mark.parametrize(
    ("slopes", "best"),
    [
        ([VAGUE, WIDER], VAGUE),
        ([WIDER, VAGUE], VAGUE),
        ([JUMP, WIDER], WIDER),
        ([WIDER, JUMP], WIDER),
        ([VAGUE, Slope(9.0, 1e-2)], Slope(9.0, 1e-2)),  # of two as good the later
    ],
)
def test_of_ladders_that_decide_nothing_the_best_counts(slopes, best):
    assert Ladders(*slopes).look() == best


def test_a_kink_that_admits_what_is_said_is_looked_at_once_more():
    assert Ladders(KINK, here=True).look(got=1.2) is KINK
    oracle = Ladders(KINK, SURE, here=False)
    assert oracle.look(got=1.2) is SURE
    assert len(oracle.asked) == 2


def test_a_kink_that_does_not_admit_it_is_looked_for_over_more_steps():
    oracle = Ladders(KINK, KINK, KINK)
    assert oracle.look(got=1.8) is KINK
    assert len(oracle.asked) == 3
    assert oracle.asked[1][0] == oracle.asked[2][0] == 8.0
    assert oracle.asked[1][-1] == 2.0**-76  # without noise 2⁻⁷⁰ of the longest step, 2⁻⁶
    assert oracle.asked[2][-1] == 2.0**-67  # and of 8


def test_where_a_kink_hides_steps_go_down_to_the_noise():
    oracle = Ladders(KINK, SURE, noise=1e-9, here=False)
    oracle.look(got=1.2)
    # the noise of the output is 1e-9 at 2⁻¹²: a hundred times that over ½
    reach = 100 * 1e-9 * 2.0**-12 / 0.5
    assert len(oracle.asked[1]) == int(np.log2(1 / reach)) + 1 + 3


def test_noise_beyond_the_goal_asks_for_longer_steps():
    oracle = Ladders(WIDER, VAGUE, SURE, noise=1.0)
    assert oracle.look() is SURE
    assert len(oracle.asked) == 3
    # ten halvings more than 2⁻⁴ and NEAR: 2⁻⁶ times 2¹⁴
    assert oracle.asked[1] == [2.0 ** (14 - 6 - k) for k in range(5)]
    assert oracle.asked[2][0] == 8.0
