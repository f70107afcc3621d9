"""Gradients right beside a kink: when they excuse one that no slope admits, and when not."""

import numpy as np
import pytest

from gradcheck.compare import Comparison, compare_leaf
from gradcheck.nearby import MORE_POINTS, POINTS, Nearby, _within
from gradcheck.oracle import Oracle
from gradcheck.subject import Subject

DISTANCE = 6e-8  # about 2⁻²⁴


class Identity:
    """y = relu(x) − relu(−x) = x, whose chain rule gives 0 at 0 and 1 beside it."""

    def __init__(self, at_zero=0.0, factor=1.0):
        self.at_zero, self.factor = at_zero, factor

    def forward(self, x):
        self.x = x
        return np.maximum(x, 0) - np.maximum(-x, 0)

    def backward(self, dout):
        return self.factor * dout * np.where(self.x == 0, self.at_zero, 1.0), {}


class Pair:
    """y = max(a, b) of two columns, to whose first the gradient goes at a tie."""

    def forward(self, x):
        self.x = x
        return x.max(axis=1)

    def backward(self, dout):
        dx = np.zeros(self.x.shape)
        dx[np.arange(len(dx)), self.x.argmax(axis=1)] = dout
        return dx, {}


def nearby(layer, x, dout=None):
    x = np.asarray(x, float)
    subject = Subject(layer, [x])
    dout = np.ones(subject.forward().shape) if dout is None else dout
    oracle = Oracle(subject, dout)
    return Nearby(oracle, 0), compare_leaf(oracle, subject.leaves[0], subject.gradients(dout)["dx"])


@pytest.mark.parametrize(
    ("got", "near", "excused"),
    [
        (0.5, [0.0, 1.0], True),
        (0.0, [0.0, 1.0], True),
        (1.0, [0.0, 1.0], True),
        (1.00005, [0.0, 1.0], True),  # a ten-thousandth of the largest
        (1.0002, [0.0, 1.0], False),
        (-0.00005, [0.0, 1.0], True),
        (-0.0002, [0.0, 1.0], False),
        (1.0, [1.0, 1.0], False),  # they all agree, so nothing is at a kink
        (1.0, [1.0, 1.00005], False),
        (1.9, [0.0, 0.5, 1.0], True),  # three that differ: as far again on either side
        (2.1, [0.0, 0.5, 1.0], False),
        (-0.9, [0.0, 0.5, 1.0], True),
        (-1.1, [0.0, 0.5, 1.0], False),
        (1.9, [0.0, 0.0, 1.0], False),
        (-5.0, [-10.0, 0.0], True),
        (2.5, [1.0, 1.0, 2.0], False),
        (2.5, [1.0, 1.5, 2.0], True),
        (10.0005, [0.0, 10.0], True),
        (10.002, [0.0, 10.0], False),
        (-1e-4, [0.0, 1.0], True),  # just so
        (1.0 + 1e-4, [0.0, 1.0], True),
    ],
)
def test_a_number_among_others_that_differ(got, near, excused):
    assert _within(np.array([got]), np.array(near)[:, None])[0] == excused


def test_each_entry_is_held_against_its_own():
    near = np.array([[0.0, 5.0], [1.0, 6.0]])
    np.testing.assert_array_equal(_within(np.array([0.5, 0.5]), near), [True, False])


def test_points_beside_are_near_in_each_entrys_own_size():
    beside, _ = nearby(Identity(), [[4.0, -0.001, 0.0, 1.0]])
    x = np.array([[4.0, -0.001, 0.0, 1.0]])
    off = np.array([np.abs(beside._beside().xs[0] - x) for _ in range(200)]).max(axis=0)[0]
    size = np.array([4.0, 0.001, 1.0, 1.0])
    assert np.all(off <= DISTANCE * size)
    assert np.all(off > 0.8 * DISTANCE * size)


def test_parameters_are_moved_beside_as_well():
    class Weight:
        def __init__(self):
            self.params = {"w": np.array([2.0])}

        def forward(self, x):
            self.x = x
            return x * self.params["w"]

        def backward(self, dout):
            return dout * self.params["w"], {"w": np.array([np.sum(dout * self.x)])}

    layer = Weight()
    beside, _ = nearby(layer, [1.0, 3.0])
    moved = beside._beside().params["w"][0]
    assert 0 < abs(moved - 2.0) <= 2 * DISTANCE
    assert layer.params["w"][0] == 2.0


def test_a_right_backward_is_sound_beside_and_a_wrong_one_is_not():
    assert nearby(Identity(), [[0.0, 1.0]])[0].sound
    assert not nearby(Identity(factor=1.01), [[0.0, 1.0]])[0].sound


def test_a_backward_that_raises_beside_is_not_sound():
    class Whole(Identity):
        def backward(self, dout):
            if np.any(self.x != np.round(self.x)):
                raise ValueError("whole numbers only")
            return super().backward(dout)

    beside, comparison = nearby(Whole(), [[0.0, 1.0]])
    assert not beside.sound
    assert not beside.excuses(comparison)


def test_a_backward_that_raises_later_is_sound_no_more():
    class Tired(Identity):
        def backward(self, dout):
            if self.left == 0:
                raise ValueError("enough")
            return super().backward(dout)

    layer = Tired()
    layer.left = 5
    beside, comparison = nearby(layer, [[0.0, 1.0]])
    assert beside.sound
    beside.oracle.subject.layer.left = 0
    beside.oracle.subject.snapshot = type(beside.oracle.subject.snapshot)(layer)
    assert not beside.excuses(comparison)
    assert not beside.sound


def test_a_gradient_of_0_where_all_beside_say_1_is_wrong():
    beside, comparison = nearby(Identity(), [[0.0, 1.0]])
    assert comparison.wrong.index == (0, 0)
    assert not beside.excuses(comparison)
    assert len(beside.rows) == POINTS  # they agree, so no more are asked


@pytest.mark.parametrize(("group", "excused"), [([[1.0, 1.0]], False), ([[1.0, 0.0]], True)])
def test_a_group_is_excused_where_the_gradients_beside_say_different_things(group, excused):
    beside, comparison = nearby(Pair(), [[1.0, 1.0]])
    leaf = comparison.leaf
    tied = Comparison(leaf, np.ones((1, 2)), group=np.array(group))
    assert beside.excuses(tied) is excused
    assert beside.sums_agree({"dx": np.array(group)}) is not excused


def test_a_comparison_along_directions_is_not_excused():
    beside, comparison = nearby(Pair(), [[1.0, 1.0]])
    assert not beside.excuses(Comparison(comparison.leaf, np.ones((1, 2))))


def held_against(got, rows, expected=0.0, bound=1e-9, half=0.5):
    """A comparison of one array with gradients nearby as given."""
    beside, comparison = nearby(Pair(), [[1.0, 1.0]])
    shape = np.shape(got)

    def gather(n):
        beside.rows = [{"dx": np.asarray(row, float)} for row in rows[:n]]
        return n <= len(rows)

    beside._gather = gather
    told = Comparison(
        comparison.leaf,
        np.asarray(got, float),
        expected=np.full(shape, expected),
        bound=np.full(shape, bound),
        half=np.full(shape, half),
    )
    return beside.excuses(told)


def test_entries_that_fit_their_slopes_need_no_excuse():
    rows = [[[0.4, 0.0]], [[0.4, 1.0]]] * (POINTS // 2)
    assert held_against([[0.5, 0.9]], rows)  # the first is right by its slopes
    assert not held_against([[0.9, 0.9]], rows)


def test_an_exact_entry_needs_no_excuse():
    rows = [[[0.4, 0.0]], [[0.4, 1.0]]] * (POINTS // 2)
    assert held_against([[0.0, 0.9]], rows, bound=0.0, half=0.0)
    assert not held_against([[0.1, 0.9]], rows, bound=0.0, half=0.0)


def test_where_points_beside_differ_more_are_asked():
    few = [[[0.0]], [[1.0]]] * (POINTS // 2)
    many = few + [[[3.0]]] * (MORE_POINTS - POINTS)
    assert not held_against([[2.9]], few)
    assert held_against([[2.9]], many)


def test_other_names_than_the_comparisons_excuse_nothing():
    beside, comparison = nearby(Identity(), [[0.0, 1.0]])
    beside._gather(POINTS)
    beside.rows = [{"dW": row["dx"]} for row in beside.rows]
    assert not beside.excuses(comparison)


def test_sums_agree_to_a_ten_thousandth():
    beside, _ = nearby(Pair(), [[1.0, 1.0]])
    beside._gather = lambda n: True
    move = {"dx": np.array([[1.0, 2.0]])}
    beside.rows = [{"dx": np.array([[1.0, 0.0]])}, {"dx": np.array([[0.0, 0.50004]])}]
    assert beside.sums_agree(move)
    beside.rows = [{"dx": np.array([[1.0, 0.0]])}, {"dx": np.array([[0.0, 0.5001]])}]
    assert not beside.sums_agree(move)
    beside.sound = False
    beside.rows = beside.rows[:1]
    assert not beside.sums_agree(move)


def test_of_very_large_layers_no_copies_are_made(monkeypatch):
    monkeypatch.setattr("gradcheck.nearby.MOST", 2)
    assert nearby(Identity(), [[0.0, 1.0]])[0].sound
    monkeypatch.setattr("gradcheck.nearby.MOST", 1)
    beside, comparison = nearby(Identity(), [[0.0, 1.0]])
    assert not beside.sound
    assert beside.rows == []
    assert not beside.excuses(comparison)
