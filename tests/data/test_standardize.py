import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

import data.standardize
from data import DataError, MappedRows, Standardize

RNG_SEED = 5


def samples(n=1000, features=7):
    rng = np.random.default_rng(RNG_SEED)
    return rng.normal(rng.normal(0, 100, features), rng.uniform(0.1, 10, features), (n, features))


@pytest.mark.parametrize("chunk", [1, 50, 2**20])
def test_as_scikit_learn(chunk, monkeypatch):
    monkeypatch.setattr(data.standardize, "CHUNK", chunk)
    x = samples()
    x[:, 3] = 0.1
    expected = StandardScaler().fit(x)
    got = Standardize.fit(x)
    np.testing.assert_allclose(got.mean, expected.mean_, rtol=1e-12)
    np.testing.assert_allclose(got.std, expected.scale_, rtol=1e-12)
    assert got.std[3] == 1.0
    np.testing.assert_allclose(
        got.apply(x, dtype=np.float64), expected.transform(x), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float16, np.float32])
def test_any_dtype_in_float32_out(dtype):
    x = np.random.default_rng(0).integers(0, 200, (500, 4)).astype(dtype)
    wide = x.astype(np.float64)
    z = Standardize.fit(x).apply(x)
    assert z.dtype == np.float32
    np.testing.assert_allclose(z, (wide - wide.mean(0)) / wide.std(0), atol=2e-6)


def test_far_from_zero_nothing_is_lost():
    x = 1.7e9 + np.arange(100.0)[:, None]
    z = Standardize.fit(x).apply(x)
    np.testing.assert_allclose(z[:, 0], (np.arange(100) - 49.5) / np.arange(100).std(), rtol=1e-5)


def test_out_is_filled_and_may_be_x():
    x = samples().astype(np.float32)
    scale = Standardize.fit(x)
    expected = scale.apply(x)
    assert scale.apply(x, out=x) is x
    np.testing.assert_array_equal(x, expected)


def test_input_is_not_written():
    x = samples()
    copy = x.copy()
    Standardize.fit(x).apply(x)
    np.testing.assert_array_equal(x, copy)


def test_fit_takes_little_memory():
    x = np.zeros((40_000, 784), np.uint8)
    x[::2] = 10
    tracemalloc.start()
    scale = Standardize.fit(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 4
    np.testing.assert_allclose(scale.std, 5.0)


def test_mapped_rows():
    x = samples()
    rows = np.arange(0, 1000, 3)
    scale = Standardize.fit(MappedRows(x, rows))
    np.testing.assert_allclose(scale.mean, x[rows].mean(0))
    np.testing.assert_array_equal(scale.apply(MappedRows(x, rows)), scale.apply(x[rows]))


@given(st.floats(-1e100, 1e100), st.integers(1, 50))
def test_a_constant_feature_becomes_0(value, n):
    x = np.full((n, 1), value)
    scale = Standardize.fit(x)
    assert scale.std[0] == 1.0
    assert np.abs(scale.apply(x, dtype=np.float64)).max() <= 1e-12 * abs(value)


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (np.ones((0, 3)), "no samples"),
        (np.ones((3, 0)), "no features"),
        (np.array([[1, 2], [3, np.nan]]), "feature 1 holds NaN, inf"),
        (np.array([[np.inf, 2], [3, 4]]), "feature 0 holds NaN, inf"),
        (np.array([[0.0, 1e200], [0.0, -1e200]]), "feature 1 holds .* too large"),
    ],
)
def test_fit_refuses(x, match):
    with pytest.raises(DataError, match=match):
        Standardize.fit(x)


def test_apply_refuses_other_features():
    with pytest.raises(ValueError, match=r"x must be \(N, 7\), as fitted, got \(2, 6\)"):
        Standardize.fit(samples()).apply(np.ones((2, 6)))


@pytest.mark.parametrize(
    ("mean", "std", "match"),
    [
        ([0.0], [0.0], "above 0"),
        ([0.0], [1.0, 1.0], r"must be \(D,\)"),
        ([np.nan], [1.0], "must be finite"),
    ],
)
def test_values_from_elsewhere_are_checked(mean, std, match):
    with pytest.raises(DataError, match=match):
        Standardize(np.array(mean), np.array(std))
