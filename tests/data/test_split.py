import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import DataError, from_arrays, load_digits, split


def numbered(y, **options):
    """Samples whose one feature is their position."""
    return from_arrays(np.arange(len(y), dtype=np.float64)[:, None], y, **options)


def positions(part):
    return part.x[:, 0].astype(int).tolist()


@given(
    sizes=st.lists(st.integers(3, 60), min_size=2, max_size=12),
    shares=st.tuples(st.integers(1, 100), st.integers(1, 100), st.integers(1, 100)),
    seed=st.integers(0, 2**32),
)
def test_every_sample_once_and_every_class_in_proportion(sizes, shares, seed):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    fractions = np.array(shares) / sum(shares)
    parts = split(numbered(y), tuple(fractions), seed)
    together = [p for part in parts for p in positions(part)]
    assert sorted(together) == list(range(len(y)))
    for part, fraction in zip(parts, fractions, strict=True):
        np.testing.assert_array_equal(part.y, y[positions(part)])
        counts = np.bincount(part.y, minlength=len(sizes))
        for n, count in zip(sizes, counts, strict=True):
            assert count >= 1
            if n * min(fractions) >= 1:
                assert abs(count - n * fraction) < 1 + 1e-6


def test_sizes_of_the_parts_follow_the_fractions():
    parts = split(load_digits())
    for part, fraction in zip(parts, (0.70, 0.15, 0.15), strict=True):
        assert abs(len(part) - 1797 * fraction) <= 1


def test_seed_decides():
    digits = load_digits()
    a, b, c = split(digits, seed=1), split(digits, seed=1), split(digits, seed=2)
    assert all(np.array_equal(p.x, q.x) for p, q in zip(a, b, strict=True))
    assert not np.array_equal(a.train.y, c.train.y)
    assert np.array_equal(split(digits, seed=np.random.default_rng(1)).test.x, a.test.x)


def test_a_part_may_be_empty():
    train, validation, test = split(numbered([0, 1] * 10), (0.8, 0.2, 0))
    assert (len(train), len(validation), len(test)) == (16, 4, 0)


def test_targets_are_dealt_too():
    parts = split(numbered(np.linspace(0, 1, 20), regression=True))
    assert sorted(p for part in parts for p in positions(part)) == list(range(20))
    assert [len(part) for part in parts] == [14, 3, 3]


def test_a_known_class_without_samples_is_no_error():
    parts = split(numbered(["a", "c"] * 5, labels=["a", "b", "c"]))
    assert all(part.labels == ("a", "b", "c") for part in parts)


@pytest.mark.parametrize(
    ("y", "fractions", "seed", "match"),
    [
        (["a"] * 9 + ["b"] * 2, (0.7, 0.15, 0.15), 0, "class 'b' has 2 of the 3 samples"),
        ([0, 1], (0.7, 0.15, 0.15), 0, "2 samples cannot be split into 3 sets"),
        ([0, 1] * 9, (0.7, 0.15, 0.2), 0, "must sum to 1"),
        ([0, 1] * 9, (0.7, 0.3), 0, "must be three, train, validation, test"),
        ([0, 1] * 9, (1.5, -0.25, -0.25), 0, "must be 0 or more"),
        ([0, 1] * 9, (0, 0.5, 0.5), 0, "train's above 0"),
        ([0, 1] * 9, (np.nan, 0.5, 0.5), 0, "must be 0 or more"),
        ([0, 1] * 9, ("a", "b", "c"), 0, "must be numbers"),
        ([0, 1] * 9, (0.7, 0.15, 0.15), -1, "seed must be an integer of 0 or more"),
        ([0, 1] * 9, (0.7, 0.15, 0.15), 1.5, "seed must be an integer of 0 or more"),
    ],
)
def test_refused(y, fractions, seed, match):
    with pytest.raises(DataError, match=match):
        split(numbered(y), fractions, seed)
