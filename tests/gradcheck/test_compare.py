"""Gradients beside slopes, part by part: what is looked at, what is allowed, what is told."""

import numpy as np
import pytest

from gradcheck import compare
from gradcheck.arrays import EPS
from gradcheck.compare import (
    ENTRIES,
    Comparison,
    Entry,
    _bisect,
    _direction,
    _lengths,
    _sharpen,
    _together,
    at_a_kink,
    compare_leaf,
    joint_direction,
    reference,
    saturated,
    slack_of,
)
from gradcheck.oracle import Oracle, Slope, Slopes
from gradcheck.subject import Leaf, Subject
from tests.gradcheck.plain import Function

LEAF = Leaf("dx", True, 0)


def oracle_of(f, x, dout=None, df=np.ones_like):
    x = np.asarray(x, float)
    dout = np.ones(x.shape) if dout is None else np.asarray(dout, float)
    return Oracle(Subject(Function(f, df), [x]), dout)


def identity(x):
    return x.copy()


def rectified(x):
    return np.maximum(x, 0)


# -- what is said of one array -------------------------------------------------------------


def test_the_error_of_an_entry_is_its_distance():
    assert Entry((0,), 3.0, 1.0, 0.1).error == 2.0
    assert Entry((0,), 1.0, 3.0, 0.1).error == 2.0


def test_a_comparison_is_at_a_kink_by_its_halves_or_its_ties():
    plain = Comparison(LEAF, np.ones(2))
    assert not at_a_kink(plain)
    assert not plain.ties
    assert not at_a_kink(Comparison(LEAF, np.ones(2), half=np.zeros(2)))
    assert at_a_kink(Comparison(LEAF, np.ones(2), half=np.array([0.0, 0.5])))
    tied = Comparison(LEAF, np.ones(2), group=np.ones(2))
    assert tied.ties
    assert at_a_kink(tied)


def test_the_size_that_matters_is_the_gradients_or_a_small_part_of_what_a_unit_does():
    oracle = oracle_of(lambda x: 100 * x, [0.5, 0.5], [1.0, -2.0])  # Σ|dout y| = 150, scale ½
    leaf = oracle.subject.leaves[0]
    assert reference(oracle, leaf, np.array([7.0, -9.0])) == 9.0
    assert reference(oracle, leaf, np.zeros(2)) == pytest.approx(1e-4 * 150 / 0.5)
    oracle.swing = 1e6
    assert reference(oracle, leaf, np.zeros(2)) == pytest.approx(100.0)


def test_the_slack_of_a_backward_is_some_units_in_the_last_place():
    oracle = oracle_of(identity, [1.0, 2.0])
    slack = slack_of(oracle, oracle.subject.leaves[0], np.array([3.0, -5.0]))
    np.testing.assert_allclose(slack, np.full(2, 16 * EPS * 5), rtol=1e-12)


def test_measured_noise_of_a_gradient_widens_the_slack_up_to_a_limit():
    oracle = oracle_of(identity, [1.0, 1.0])
    oracle.noise_got["dx"] = np.array([1e-12, 1.0])
    slack = slack_of(oracle, oracle.subject.leaves[0], np.array([3.0, -5.0]))
    expected = 16 * np.array([1e-12, 5e-10 * 5]) + 16 * EPS * 5
    np.testing.assert_allclose(slack, expected, rtol=1e-12)


def test_what_cancels_is_noise_of_the_size_of_what_cancelled():
    oracle = oracle_of(lambda x: 1e9 + 0 * x, [0.5, 0.5])
    oracle.noise_got["dx"] = np.full(2, 1.0)
    slack = slack_of(oracle, oracle.subject.leaves[0], np.zeros(2))
    np.testing.assert_allclose(slack, 16 * 5e-10 * 1e-6 * 2e9 / 0.5, rtol=1e-9)


def test_noise_of_another_shape_is_not_used():
    oracle = oracle_of(identity, [1.0, 1.0])
    oracle.noise_got["dx"] = np.full(3, 1e-12)
    slack = slack_of(oracle, oracle.subject.leaves[0], np.ones(2))
    np.testing.assert_allclose(slack, 16 * EPS)


def test_a_gradient_next_to_nothing_is_allowed_the_rounding_of_plainer_points():
    oracle = oracle_of(identity, [1.0])
    oracle.natural["dx"] = 10.0
    assert saturated(oracle, "dx", np.array([1e-9])) == 40 * EPS
    assert saturated(oracle, "dx", np.array([1e-4])) == 0.0
    assert saturated(oracle, "dW", np.array([0.0])) == 0.0
    slack = slack_of(oracle, oracle.subject.leaves[0], np.array([0.0]))
    np.testing.assert_allclose(slack, [40 * EPS])


# -- entry by entry ------------------------------------------------------------------------


def test_right_entries_give_a_comparison_without_a_wrong_one():
    x = np.array([[0.5, 1.5], [-1.0, 2.0]])
    oracle = oracle_of(lambda x: x**3, x, df=lambda x: 3 * x**2)
    got = 3 * x**2
    result = compare_leaf(oracle, oracle.subject.leaves[0], got)
    assert result.wrong is None
    assert result.unknown == 0
    assert result.looked == 4
    np.testing.assert_allclose(result.expected, got, rtol=1e-10)
    assert result.bound.shape == result.half.shape == got.shape
    assert not result.half.any()
    assert result.error == pytest.approx(np.max(np.abs(result.expected - got)), abs=1e-18)
    assert result.error <= result.largest_bound == np.max(result.bound)
    assert result.largest_bound < 1e-9


def test_the_wrong_entry_furthest_off_is_told():
    x = np.array([[0.5, 1.5, 1.0], [-1.0, 2.0, 1.0]])
    got = 3 * x**2
    got[0, 1] += 0.5
    got[1, 0] -= 1.5
    got[1, 2] += 1.0
    result = compare_leaf(oracle_of(lambda x: x**3, x, df=lambda x: 3 * x**2), LEAF, got)
    assert result.wrong.index == (1, 0)
    assert result.wrong.expected == pytest.approx(3.0, rel=1e-10)
    assert result.wrong.got == 1.5
    assert result.wrong.error == pytest.approx(1.5)
    assert 0 < result.wrong.bound < 1e-9
    assert result.error == pytest.approx(1.5)


def test_at_a_kink_the_error_is_what_lies_beyond_the_slopes():
    x = np.array([0.0, 1.0])
    oracle = oracle_of(rectified, x, df=lambda x: (x > 0) * 1.0)
    result = compare_leaf(oracle, LEAF, np.array([2.0, 1.0]))
    assert result.wrong.index == (0,)
    assert result.wrong.expected == pytest.approx(0.5)
    assert result.error == pytest.approx(1.0, rel=1e-6)  # 2 beyond [0, 1]
    assert result.half[0] == pytest.approx(0.5, rel=1e-6)
    assert result.half[1] == 0
    oracle = oracle_of(rectified, x, df=lambda x: (x > 0) * 1.0)
    inside = compare_leaf(oracle, LEAF, np.array([0.9, 1.0]))
    assert inside.wrong is None
    assert inside.error < 1e-12


def test_an_entry_at_a_kink_does_not_hide_one_that_is_worse():
    x = np.array([0.0, 1.0])
    oracle = oracle_of(lambda x: np.array([4.0, 1.0]) * rectified(x), x)
    result = compare_leaf(oracle, LEAF, np.array([4.5, 1.75]))
    assert result.wrong.index == (1,)  # 0.75 off; the other 0.5 beyond the slope of 4


def test_entries_at_jumps_are_unknown_and_never_wrong():
    x = np.array([1.0, 1.0, 2.0])
    jumping = oracle_of(lambda x: np.where(x > 1, x + 1, x), x)
    result = compare_leaf(jumping, LEAF, np.array([5.0, 1.0, 1.0]))
    assert result.wrong is None
    assert result.unknown == 2
    assert result.looked == 3


def test_all_unclear_entries_are_looked_at_while_none_is_wrong():
    n = compare.CLOSE_LOOKS + 6
    oracle = oracle_of(lambda x: np.where(x > 1, x + 1, x), np.ones(n))
    assert compare_leaf(oracle, LEAF, np.ones(n)).unknown == n


def test_once_one_is_wrong_only_so_many_are_looked_at_closely():
    n = compare.CLOSE_LOOKS + 6
    oracle = oracle_of(identity, np.ones(n))
    looked = []
    closely = oracle.closely
    oracle.closely = lambda leaf, i, *rest: looked.append(i) or closely(leaf, i, *rest)
    got = np.ones(n)
    got[:] = 1.5 + np.arange(n)
    result = compare_leaf(oracle, LEAF, got)
    assert looked == list(range(n - 1, n - 1 - compare.CLOSE_LOOKS, -1))  # the worst first
    assert result.wrong.index == (n - 1,)


@pytest.mark.parametrize(("size", "entries"), [(ENTRIES, True), (ENTRIES + 1, False)])
def test_few_entries_are_looked_at_one_by_one_and_many_along_directions(size, entries):
    oracle = oracle_of(identity, np.ones(size))
    result = compare_leaf(oracle, LEAF, np.ones(size))
    assert (result.expected is not None) == entries
    assert result.wrong is None
    assert (oracle.subject.counts.forwards > size) == entries
    assert result.looked == size


def test_a_vague_slope_is_sharpened_over_longer_steps():
    # beside 1e9 the slope 1e-3 is known to some 1e-6 from short steps; 3 % of it is wrong
    def f(x):
        return 1e9 + 1e-3 * x

    for got, right in ((1e-3, True), (1.03e-3, False)):
        result = compare_leaf(oracle_of(f, [1.0], df=lambda x: 1e-3 + 0 * x), LEAF, np.array([got]))
        assert (result.wrong is None) == right
        assert result.largest_bound < 1e-5


def vague(bounds, halves=None, jumps=None):
    n = len(bounds)
    none = np.zeros(n)
    half = none if halves is None else np.array(halves, float)
    jump = none.astype(bool) if jumps is None else np.array(jumps)
    return Slopes(np.ones(n), np.array(bounds, float), half, jump)


def sharpened(slopes, farther, got=None):
    oracle = oracle_of(identity, np.ones(len(slopes.value)))
    oracle.farther = farther
    got = np.ones(len(slopes.value)) if got is None else got
    return _sharpen(oracle, oracle.subject.leaves[0], got, slopes)


def test_only_vague_smooth_entries_are_sharpened():
    slopes = vague([1e-9, 0.5, 0.5, 0.5], [0, 0, 0.1, 0], [False, False, False, True])
    asked = []

    def farther(leaf, i, bound, goal):
        asked.append((i, bound, goal))
        return Slope(2.0, 0.1)

    assert sharpened(slopes, farther) == [1]
    assert asked == [(1, 0.5, 1e-6)]
    np.testing.assert_array_equal(slopes.value, [1, 2, 1, 1])
    np.testing.assert_array_equal(slopes.bound, [1e-9, 0.1, 0.5, 0.5])


@pytest.mark.parametrize("slope", [Slope(2.0, 0.5), Slope(2, 0.1, 0.1), Slope(2, 0.1, jump=True)])
def test_what_longer_steps_do_not_narrow_stays_and_is_given_up_after_three(slope):
    slopes = vague([0.5] * 6)
    asked = []
    assert sharpened(slopes, lambda leaf, i, *_: asked.append(i) or slope) == []
    assert asked == [0, 1, 2]
    np.testing.assert_array_equal(slopes.value, np.ones(6))


def test_a_gradient_of_zeros_asks_for_no_longer_steps():
    def farther(*_):
        raise AssertionError("no steps are long enough")

    assert sharpened(vague([0.5, 0.5]), farther, np.zeros(2)) == []


# -- ties ----------------------------------------------------------------------------------


def maximum(x):
    return x.max(axis=1)


def tied(got, x=None):
    x = np.array([[1.0, 1.0, 0.5], [2.0, 0.5, 2.0]]) if x is None else x
    oracle = Oracle(Subject(Function(maximum), [x]), np.array([1.0, -2.0]))
    return compare_leaf(oracle, LEAF, np.asarray(got, float))


def test_ties_that_share_the_gradient_are_right():
    assert tied([[1.0, 0, 0], [-2.0, 0, 0]]).wrong is None
    assert tied([[0.5, 0.5, 0], [-0.5, 0, -1.5]]).wrong is None


@pytest.mark.parametrize("second", [[-2.0, 0, -2.0], [0, 0, 0]])
def test_ties_that_do_not_share_it_are_wrong_together(second):
    result = tied([[1.0, 0, 0], second])
    assert result.ties
    assert result.wrong.index == (1, 0)
    assert result.wrong.expected == pytest.approx(-2.0)
    assert result.wrong.got == sum(second)
    assert 0 < result.wrong.bound < 1e-6
    np.testing.assert_array_equal(result.group, [[0, 0, 0], [1.0, 0, 1.0]])


def test_ties_in_one_row_are_looked_at_though_all_rows_together_agree():
    x = np.array([[1.0, 1.0, 0.5], [1.0, 0.5, 1.0]])
    result = tied([[2.0 - 1, 1.0, 0], [-2.0, 0, -1.0 + 0]], x)  # sums 2 and −3, of 1 and −2
    assert result.ties
    assert result.wrong.index == (0, 0)
    assert result.wrong.expected == pytest.approx(1.0)
    assert result.wrong.got == 2.0


# -- along directions ----------------------------------------------------------------------


def large(wrong=None, factor=1.5, n=1000):
    """A gradient of 2x with one entry wrong, at random points."""
    x = np.random.default_rng(3).uniform(0.5, 1.5, n)
    got = 2 * x
    if wrong is not None:
        got[wrong] *= factor
    return oracle_of(lambda x: x**2, x, df=lambda x: 2 * x), got


@pytest.mark.parametrize("wrong", [0, 499, 500, 999])
@pytest.mark.parametrize("factor", [1.5, -1.0, 1 + 1e-4])
def test_bisection_finds_the_entry(wrong, factor):
    oracle, got = large(wrong, factor)
    result = compare_leaf(oracle, LEAF, got)
    assert result.wrong.index == (wrong,)
    assert result.wrong.got == got[wrong]
    assert result.wrong.expected == pytest.approx(got[wrong] / factor, rel=1e-9)
    assert 0 < result.wrong.bound < 1e-6


def test_bisection_ends_at_an_entry_even_when_glances_lead_astray():
    oracle, got = large(700)
    oracle.glance = lambda move: 1e3 * float(np.sum(np.abs(move["dx"])))
    move = oracle.random_direction()["dx"]
    assert _bisect(oracle, LEAF, got, move).index == (700,)


def test_a_right_gradient_along_directions():
    oracle, got = large()
    result = compare_leaf(oracle, LEAF, got)
    assert result.wrong is None
    assert result.unknown == 0
    assert result.error <= result.largest_bound
    assert 0 < result.largest_bound < 1e-6


def test_the_error_along_a_direction_is_told():
    oracle, got = large()
    result = Comparison(LEAF, got)
    move = np.zeros(1000)
    move[5] = 1.0
    assert not _direction(oracle, LEAF, got, move, result)
    got[5] += 0.25
    assert _direction(oracle, LEAF, got, move, result)
    assert result.error == pytest.approx(0.25, rel=1e-6)
    assert result.unknown == 0
    assert _direction(oracle, LEAF, got, move, None)


def test_a_direction_across_jumps_decides_nothing():
    n = 500
    oracle = oracle_of(lambda x: np.where(x > 1, x + 1, x), np.ones(n))
    result = compare_leaf(oracle, LEAF, np.zeros(n))
    assert result.wrong is None
    assert result.unknown == compare.DIRECTIONS


def test_noise_of_the_gradient_widens_a_direction_too():
    oracle, got = large()
    move = oracle.random_direction()["dx"]
    got = got + 1e-8
    assert _direction(oracle, LEAF, got, np.abs(move), None)
    oracle.noise_got["dx"] = np.full(1000, 1e-6)
    assert not _direction(oracle, LEAF, got, np.abs(move), None)
    oracle.noise_got["dx"] = np.full(999, 1e-6)
    assert _direction(oracle, LEAF, got, np.abs(move), None)


# -- all arrays together -------------------------------------------------------------------


class Scaled:
    """y = a x², Σ over samples for a."""

    def __init__(self):
        self.params = {"a": np.array([3.0, -2.0])}

    def forward(self, x):
        self.x = x
        return self.params["a"] * x**2

    def backward(self, dout):
        return 2 * self.params["a"] * self.x * dout, {"a": (self.x**2 * dout).sum(0)}


def joint(change=None, ties=False):
    x = np.array([[1.0, 2.0], [1.0, 0.5]])
    subject = Subject(Scaled(), [x])
    dout = np.array([[1.0, -0.5], [0.75, 1.25]])
    got = subject.gradients(dout)
    if change:
        about, index, by = change
        got[about][index] += by
    return joint_direction(Oracle(subject, dout, 0), got, ties), got


def test_one_direction_through_all_arrays_fits_a_right_backward():
    outcome, got = joint()
    assert outcome.fits
    assert set(outcome.move) == {"dx", "da"}
    said = sum(np.vdot(got[about], m) for about, m in outcome.move.items())
    assert outcome.said == pytest.approx(said, rel=1e-14)
    assert outcome.slope.value == pytest.approx(said, rel=1e-9)


@pytest.mark.parametrize("change", [("dx", (1, 0), 1e-6), ("da", 1, -1e-6)])
def test_one_direction_through_all_arrays_sees_one_entry(change):
    assert not joint(change)[0].fits


def test_arrays_without_a_gradient_are_not_moved():
    subject = Subject(Scaled(), [np.ones((2, 2))])
    dout = np.ones((2, 2))
    oracle = Oracle(subject, dout, 0)
    got = subject.gradients(dout)
    outcome = joint_direction(oracle, {"da": got["da"]})
    assert set(outcome.move) == {"da"}
    assert outcome.fits
    assert joint_direction(oracle, {}) is None


def test_a_gradient_that_is_no_number_decides_nothing():
    assert joint(("dx", (0, 0), np.nan))[0] is None


def test_a_jump_on_the_way_decides_nothing():
    oracle = oracle_of(lambda x: np.where(x > 1, x + 1, x), np.ones(3))
    assert joint_direction(oracle, {"dx": np.full(3, 7.0)}) is None


def test_at_ties_equal_entries_move_equally():
    outcome, _ = joint(ties=True)
    move = outcome.move["dx"]
    assert move[0, 0] == move[1, 0]
    assert len({move[0, 0], move[0, 1], move[1, 1]}) > 1
    assert outcome.fits


def test_without_ties_equal_entries_need_not():
    move = joint()[0].move["dx"]
    assert move[0, 0] != move[1, 0]


def test_entries_move_by_their_own_size_within_limits():
    value = np.array([1.0, 1.9, -2.0, 0.3, 1e-9, 0.0, 1e9])
    np.testing.assert_array_equal(_lengths(value, 1.0), [1.0, 1.0, 2.0, 0.25, 1 / 16, 1 / 16, 8.0])
    np.testing.assert_array_equal(_lengths(value[:3], 0.5), [2.0, 2.0, 4.0])


def test_equal_entries_of_several_arrays_move_as_the_first_of_them():
    values = [np.array([[1.0, 2.0]]), np.array([2.0, 3.0, 1.0])]
    moves = [np.array([[10.0, 20.0]]), np.array([30.0, 40.0, 50.0])]
    one, two = _together(values, moves)
    np.testing.assert_array_equal(one, [[10.0, 20.0]])
    np.testing.assert_array_equal(two, [20.0, 40.0, 10.0])


def test_a_saturated_gradient_is_allowed_for_along_a_direction():
    oracle = oracle_of(identity, [0.25, 0.25])
    plain = joint_direction(oracle, {"dx": np.zeros(2)})
    oracle = oracle_of(identity, [0.25, 0.25])
    oracle.natural["dx"] = 1e12
    wide = joint_direction(oracle, {"dx": np.zeros(2)})
    top = np.max(np.abs(wide.move["dx"]))
    assert wide.slope.bound - plain.slope.bound == pytest.approx(
        4 * EPS * 1e12 * top * np.sqrt(2), rel=1e-6
    )


@pytest.mark.parametrize("factor", [1.5, 1 + 1e-4, 1e3])
@pytest.mark.parametrize(("wrong", "most"), [(0, 1), (3, 2), (500, 2), (700, 7)])
def test_bisection_takes_glances_once_it_knows_what_to_look_for(wrong, most, factor):
    oracle, got = large(wrong, factor)
    move = oracle.random_direction()["dx"]
    looks = []
    direction = oracle.direction
    oracle.direction = lambda *rest: looks.append(1) or direction(*rest)
    assert _bisect(oracle, LEAF, got, move).index == (wrong,)
    assert len(looks) <= most


def asked_of(oracle, call):
    """What is asked of the oracle about a direction: move, total, slack, goal."""
    asked = []
    direction = oracle.direction

    def listen(*args, **more):
        asked.append((*args, more))
        return direction(*args, **more)

    oracle.direction = listen
    call()
    (told,) = asked
    return told


def test_what_is_asked_along_a_direction():
    oracle = oracle_of(lambda x: 3 * x, [0.25, 0.25, 0.25], [1.0, -2.0, 1.0])
    got, move = np.array([3.0, -6.0, 3.0]), np.array([0.5, 0.0, 1.0])
    there, total, slack, goal, _ = asked_of(
        oracle, lambda: _direction(oracle, LEAF, got, move, None)
    )
    np.testing.assert_array_equal(there["dx"], move)
    assert total == 4.5
    size = 6 * 0.25 * np.sqrt(2)
    assert slack == pytest.approx(64 * EPS * size + 16 * EPS * 4.5, abs=0)
    assert goal == pytest.approx(1e-6 * size)


def test_what_is_asked_where_the_gradient_is_small_beside_the_output():
    oracle = oracle_of(lambda x: 1e6 + 0 * x, [0.25, 0.25], [1.0, -2.0])
    move = np.array([0.5, 1.0])
    asked = asked_of(oracle, lambda: _direction(oracle, LEAF, np.zeros(2), move, None))
    assert asked[2:4] == (0.0, pytest.approx(1e-6 * 1e-4 * 3e6))
    del oracle.direction
    asked = asked_of(oracle, lambda: joint_direction(oracle, {"dx": np.zeros(2)}))
    assert asked[1:4] == (0.0, 0.0, pytest.approx(1e-5 * 1e-4 * 3e6))
    assert asked[4] == {"levels": 3}


def test_what_is_asked_of_all_arrays_together():
    oracle = oracle_of(lambda x: 3 * x, [0.25, 0.5, -2.0], [1.0, -2.0, 1.0])
    got = {"dx": np.array([3.0, -6.0, 3.0])}
    move, total, slack, goal, _ = asked_of(oracle, lambda: joint_direction(oracle, got))
    size = 6 * np.max(np.abs(move["dx"])) * np.sqrt(3)
    assert total == pytest.approx(np.vdot(got["dx"], move["dx"]), rel=1e-14)
    assert slack == pytest.approx(1024 * EPS * size, abs=0)
    assert goal == pytest.approx(1e-5 * size)
    ratio = np.abs(move["dx"]) / oracle.scales["dx"] / np.array([0.25, 0.5, 2.0])
    assert np.all((ratio >= 0.5) & (ratio <= 1.0))


def test_equal_entries_move_together_only_at_ties():
    oracle = oracle_of(identity, np.ones(40))
    alone = joint_direction(oracle, {"dx": np.ones(40)}).move["dx"]
    together = joint_direction(oracle, {"dx": np.ones(40)}, ties=True).move["dx"]
    assert len(set(alone)) > 2
    assert len(set(together)) == 1


def test_of_wrong_entries_that_were_sharpened_the_worst_is_told():
    oracle = oracle_of(lambda x: 1e9 + 1e-3 * x, [1.0, 1.0], df=lambda x: 1e-3 + 0 * x)
    result = compare_leaf(oracle, LEAF, np.array([0.9e-3, 1.05e-3]))
    assert result.wrong.index == (0,)
    assert result.wrong.expected == pytest.approx(1e-3, rel=1e-2)
    assert result.wrong.error == pytest.approx(1e-4, rel=0.1)


def test_along_a_direction_through_kinks_the_error_is_what_lies_beyond():
    result = compare_leaf(oracle_of(rectified, np.zeros(500)), LEAF, np.full(500, 0.9))
    assert result.wrong is None
    assert result.unknown == 0
    assert result.error < 1e-6
