"""The other points at which a layer is tried."""

import numpy as np
import pytest

from gradcheck.points import (
    _changed,
    _longer,
    _off_kinks,
    _other_params,
    _scaled,
    _tied,
    _wide,
    _zero_lines,
    _zeroed,
    batch_size,
    follows,
    other_points,
    typical,
)
from gradcheck.subject import Subject

X = np.array([[0.5, -1.5, 1.0], [0.75, 1.25, -0.5], [2.0, 1.0, 0.25], [1.0, 3.0, -1.0]])


class Layer:
    """Any layer at all; its points are all that is looked at."""

    def __init__(self, **attributes):
        self.params = {}
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, *xs):
        return xs[0]

    def backward(self, dout=None):
        return dout, {}


def subject_of(*xs, kind="layer", **attributes):
    return Subject(Layer(**attributes), xs, kind)


def points_of(*xs, kind="layer", seed=0, **attributes):
    return {p.what: p for p in other_points(subject_of(*xs, kind=kind, **attributes), seed)}


def rng():
    return np.random.default_rng(0)


ONE_INPUT = [
    "with other inputs",
    "with one sample",
    "where inputs tie",
    "with more samples",
    "with one more place along the last axis",
    "with rows and columns of zeros",
    "with zeros among the inputs",
    "with inputs of the other sign",
    "with larger inputs",
    "with inputs near zero",
    "with much larger inputs",
]


def test_the_points_of_a_plain_layer_in_their_order():
    assert list(points_of(X)) == ONE_INPUT


def test_parameters_come_first():
    assert list(points_of(X, params={"w": np.ones(3)})) == ["with other parameters", *ONE_INPUT]


def test_indices_add_theirs():
    there = list(points_of(X, np.array([0, 1, 2, 3])))
    without = [what for what in ONE_INPUT if "last axis" not in what]
    more = ["with one index everywhere", "with indices in another order"]
    assert there == [*without[:-1], *more, without[-1]]


def test_a_sequence_adds_a_longer_one():
    there = points_of(np.ones((2, 5, 3)))
    assert "with a sequence three times as long" in there
    assert there["with a sequence three times as long"].xs[0].shape == (2, 15, 3)
    assert there["with one more place along the last axis"].xs[0].shape == (2, 5, 4)


def test_indices_alone_have_only_samples_and_indices_to_change():
    assert list(points_of(np.array([[0, 1], [2, 3]]))) == [
        "with one sample",
        "with more samples",
        "with one index everywhere",
        "with indices in another order",
    ]


def test_a_table_of_parameters_frees_no_input():
    there = list(points_of(np.array([0, 1, 2]), params={"table": np.ones((3, 2))}))
    assert there[0] == "with other parameters"
    assert there[1] == "with one sample"
    assert not any("inputs" in what for what in there)


@pytest.mark.parametrize("number", [0.5, np.array(3), "mode"])
def test_what_has_no_samples_is_passed_on(number):
    there = points_of(X, number)
    assert there["with one sample"].xs[1] == number
    assert there["with more samples"].xs[0].shape == (6, 3)


def test_one_sample_is_not_tried_twice():
    assert "with one sample" not in points_of(X[:1])
    assert "with one sample" in points_of(X[:2])
    assert "with more samples" in points_of(X[:1])


def test_shapes_and_marks_of_the_points():
    there = points_of(X)
    rows = {what: p.rows for what, p in there.items() if p.rows is not None}
    assert rows == {"with one sample": 1, "with more samples": 6}
    assert there["with one sample"].xs[0].shape == (1, 3)
    assert there["with more samples"].xs[0].shape == (6, 3)
    assert [what for what, p in there.items() if p.ties] == ["where inputs tie"]
    assert [what for what, p in there.items() if p.special] == [
        "where inputs tie",
        "with rows and columns of zeros",
        "with zeros among the inputs",
    ]


def test_more_samples_are_all_that_were_and_two_again():
    index = np.arange(4)
    there = points_of(index)["with more samples"].xs[0]
    assert len(there) == 6
    assert set(there[:4]) == {0, 1, 2, 3}
    assert set(there[4:]) <= {0, 1, 2, 3}


def test_simple_changes_of_all_numbers():
    there = points_of(X)
    np.testing.assert_array_equal(there["with inputs of the other sign"].xs[0], -X)
    np.testing.assert_array_equal(there["with larger inputs"].xs[0], 8 * X)
    np.testing.assert_array_equal(there["with inputs near zero"].xs[0], X / 16)
    np.testing.assert_array_equal(there["with much larger inputs"].xs[0], 40 * X)
    index = points_of(np.array([3, 1, 2]))
    assert list(index["with one index everywhere"].xs[0]) == [3, 3, 3]
    assert list(index["with indices in another order"].xs[0]) == [2, 3, 1]


def test_the_type_of_the_numbers_is_kept():
    for point in points_of(X.astype(np.float32)).values():
        assert point.xs[0].dtype == np.float32, point.what


def test_targets_and_indices_are_no_free_numbers():
    y = np.ones((4, 3))
    for what, point in points_of(X, y, kind="loss").items():
        if "sample" not in what:
            assert point.xs[1] is y, what
    assert not any("axis" in what for what in points_of(X, y, kind="loss"))


def test_points_are_the_same_for_one_seed_and_others_for_another():
    one, again, other = points_of(X), points_of(X), points_of(X, seed=1)
    np.testing.assert_array_equal(one["with other inputs"].xs[0], again["with other inputs"].xs[0])
    assert np.any(one["with other inputs"].xs[0] != other["with other inputs"].xs[0])


# -- sizes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("xs", "kind", "n"),
    [
        ((X,), "layer", 4),
        ((X, np.arange(4)), "layer", 4),
        ((X, np.arange(3)), "layer", None),
        ((X, 0.5), "layer", 4),
        ((X, np.array(0.5)), "layer", 4),
        ((np.ones(4),), "layer", None),  # a vector of features
        ((np.ones(4), np.ones(4)), "layer", None),
        ((np.ones(4), np.arange(4)), "layer", 4),
        ((np.arange(4),), "layer", 4),
        ((np.ones(4),), "loss", 4),
        ((np.ones((0, 3)),), "layer", None),
        ((0.5,), "layer", None),
    ],
)
def test_the_batch_is_the_first_axis_that_all_inputs_share(xs, kind, n):
    assert batch_size(subject_of(*xs, kind=kind)) == n


@pytest.mark.parametrize(
    ("y", "changed", "n", "rows", "does"),
    [
        ((4, 3), (6, 3), 4, 6, True),
        ((4, 3), (4, 3), 4, 6, False),
        ((4, 3), (6, 2), 4, 6, False),
        ((3, 4), (3, 6), 4, 6, False),
        ((3, 4), (), 4, 6, True),  # one number for the whole batch
        ((), (), 4, 6, True),
        ((), (6,), 4, 6, False),
        ((4,), (1,), 4, 1, True),
    ],
)
def test_an_output_follows_its_batch(y, changed, n, rows, does):
    assert follows(np.ones(y), np.ones(changed), n, rows) is does


@pytest.mark.parametrize(
    ("x", "size"),
    [
        ([3.0, -4.0], np.sqrt(12.5)),
        ([0.0, 0.0], 0.5),
        ([np.inf, 1.0], 0.5),
        ([np.nan, 1.0], 0.5),
        ([3e200, -4e200], np.sqrt(12.5) * 1e200),
        ([3e-200, 4e-200], np.sqrt(12.5) * 1e-200),
    ],
)
def test_the_typical_size_is_the_root_of_the_mean_square(x, size):
    assert typical(np.array(x)) == pytest.approx(size)


def test_no_numbers_have_the_size_of_a_half():
    assert typical(np.zeros((0, 3))) == 0.5


# -- changes -------------------------------------------------------------------------------


def test_only_free_inputs_are_changed():
    one, two = _changed((X, X), [1], lambda x: 2 * x)
    assert one is X
    np.testing.assert_array_equal(two, 2 * X)


def test_other_parameters_keep_their_signs_and_are_no_zeros():
    w = np.array([1.0, -2.0, 0.0, 4.0] * 25, np.float32)
    moved = _other_params(subject_of(X, params={"w": w, "n": np.array([0.0])}), rng())
    assert set(moved) == {"w", "n"}
    ratio = moved["w"][w != 0] / w[w != 0]
    assert 0.6 <= ratio.min() < 0.7
    assert 1.5 < ratio.max() <= 1.6
    small = moved["w"][w == 0]
    assert np.all(small != 0)
    assert 0.1 < small.std() < 0.5
    assert moved["w"].dtype == np.float32
    np.testing.assert_array_equal(w[:4], [1.0, -2.0, 0.0, 4.0])


def test_wide_numbers_span_orders_of_magnitude_around_those_given():
    x = np.full((20, 10), -3.0)
    wide = _wide(rng())(x)
    powers = np.sort(np.log2(np.abs(wide).ravel() / 3.0))
    np.testing.assert_allclose(powers, np.linspace(-4.0, 3.2, 200))
    assert 0.3 < np.mean(wide > 0) < 0.7
    assert np.all(_wide(rng())(-x) > 0)  # what is never negative stays so
    zero = _wide(rng())(np.array([0.0, 1.0]))
    assert np.all(zero > 0)


def test_ties_are_of_two_values():
    tied = _tied(rng(), 3.0)(np.zeros((20, 20)))
    assert set(np.unique(tied)) == {1.5, 3.0}
    assert 0.5 < np.mean(tied == 3.0) < 0.7


def test_scaled_numbers_stay_within_a_half_and_three_halves():
    ratio = _scaled(rng())(np.full(500, -2.0)) / -2.0
    assert 0.5 <= ratio.min() < 0.55
    assert 1.45 < ratio.max() <= 1.5


def test_off_kinks_nothing_is_zero_or_larger():
    x = np.array([0.0, 2.0, -2.0] * 100)
    moved = _off_kinks(rng())(x)
    size = np.sqrt(8 / 3)
    ratio = moved / np.where(x == 0, size, x)
    assert 0.7 <= ratio.min() < 0.75
    assert 0.95 < ratio.max() <= 1.0


def test_some_numbers_become_zero_and_the_rest_stay():
    x = np.full(500, 3.0)
    moved = _zeroed(rng())(x)
    assert set(np.unique(moved)) == {0.0, 3.0}
    assert 0.3 < np.mean(moved == 0) < 0.5


def test_lines_of_zeros():
    x = np.ones((2, 3, 3))
    zeros = _zero_lines(x)
    np.testing.assert_array_equal(zeros[0], np.zeros((3, 3)))
    np.testing.assert_array_equal(zeros[1], [[0, 1, 0]] * 3)
    assert np.all(x == 1)
    np.testing.assert_array_equal(_zero_lines(np.ones(4)), [0, 1, 0, 1])
    np.testing.assert_array_equal(_zero_lines(np.ones((2, 2))), [[0, 0], [0, 1]])
    assert _zero_lines(np.array(3.0)) == 3.0


# -- longer axes ---------------------------------------------------------------------------


def test_one_more_place_repeats_a_feature_in_another_size():
    (longer,) = _longer(subject_of(X.astype(np.float32)), -1, 1, rng())
    assert longer.shape == (4, 4)
    assert longer.dtype == np.float32
    np.testing.assert_array_equal(longer[:, :3], X.astype(np.float32))
    ratios = longer[:, 3:] / X
    assert any(np.all((r >= 0.5) & (r <= 1.5)) for r in ratios.T)


@pytest.mark.parametrize(
    ("xs", "axis", "kind", "attributes"),
    [
        ((X, X), -1, "layer", {}),  # several inputs
        ((X,), -1, "loss", {}),
        ((np.ones((2, 3), int),), -1, "layer", {}),
        ((np.ones(3),), -1, "layer", {}),  # one axis
        ((X,), 1, "layer", {}),  # no sequence
        ((np.ones((0, 3)),), -1, "layer", {}),
        ((np.ones((4, 1)),), -1, "layer", {}),  # length 1 may be broadcast
        ((X,), -1, "layer", {"features": 3}),  # the layer has made up its mind
    ],
)
def test_an_axis_that_may_not_be_longer(xs, axis, kind, attributes):
    assert _longer(subject_of(*xs, kind=kind, **attributes), axis, 1, rng()) is None


def test_an_axis_of_two_may_be_longer():
    assert _longer(subject_of(np.ones((4, 2))), -1, 1, rng())[0].shape == (4, 3)
    assert _longer(subject_of(np.ones((4, 2, 2))), 1, 3, rng())[0].shape == (4, 6, 2)
