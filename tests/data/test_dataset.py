import numpy as np
import pytest

from data import DataError, Dataset, MappedRows, from_arrays
from data.dataset import check_finite, is_mapped


def test_images_become_rows_and_stay_uint8():
    x = np.arange(24, dtype=np.uint8).reshape(3, 2, 4)
    dataset = from_arrays(x, ["b", "a", "b"])
    assert dataset.x.dtype == np.uint8
    assert dataset.x.tolist() == [list(range(8)), list(range(8, 16)), list(range(16, 24))]
    assert dataset.feature_shape == (2, 4)
    assert dataset.labels == ("a", "b")
    assert dataset.y.tolist() == [1, 0, 1]


def test_targets_of_a_regression():
    dataset = from_arrays(np.ones((2, 3)), np.array([1, 2]), regression=True)
    assert dataset.y.tolist() == [[1.0], [2.0]]
    assert dataset.labels is None
    with pytest.raises(DataError, match="not classes"):
        _ = dataset.n_classes


def test_take():
    dataset = from_arrays(np.arange(8.0).reshape(4, 2), [7, 8, 7, 8])
    part = dataset.take(np.array([3, 1]))
    assert part.x.tolist() == [[6, 7], [2, 3]]
    assert part.y.tolist() == [1, 1]
    assert part.labels == (7, 8)


def test_rows_of_a_mapped_array_stay_in_the_file(tmp_path):
    expected = np.arange(20, dtype=np.uint8).reshape(5, 4)
    np.save(tmp_path / "x.npy", expected)
    dataset = from_arrays(np.load(tmp_path / "x.npy", mmap_mode="r"), [0, 1, 0, 1, 0])
    assert is_mapped(dataset.x)
    part = dataset.take(np.array([4, 0, 2])).take(np.array([2, 0]))
    assert isinstance(part.x, MappedRows)
    assert is_mapped(part.x.base)
    assert part.x.shape == (2, 4)
    np.testing.assert_array_equal(np.asarray(part.x), expected[[2, 4]])
    np.testing.assert_array_equal(part.x[1:], expected[[4]])


def test_images_column_by_column_in_their_file_are_not_copied_from_it(tmp_path):
    np.save(tmp_path / "x.npy", np.asfortranarray(np.arange(24).reshape(3, 2, 4)))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    with pytest.raises(DataError, match=r"lies column by column .* np\.ascontiguousarray"):
        from_arrays(x, [0, 1, 0])
    assert from_arrays(np.array(x), [0, 1, 0]).x.shape == (3, 8)


@pytest.mark.parametrize(
    ("x", "y", "regression", "match"),
    [
        (np.ones(3), [0, 1, 0], False, "2 axes or more"),
        (np.ones((0, 2)), [], False, "no samples or no features"),
        (np.ones((2, 0)), [0, 1], False, "no samples or no features"),
        (np.ones((2, 2), complex), [0, 1], False, "real numbers, got dtype complex128"),
        (np.array([["a", "b"]] * 2), [0, 1], False, "real numbers"),
        (np.ones((2, 2)), [0, 1, 2], False, "2 samples in x, but 3 in y"),
        (np.array([[1, 2], [3, np.nan]]), [0, 1], False, "row 1, column 1 is nan"),
        (np.array([[1, -np.inf], [3, 4]]), [0, 1], False, "row 0, column 1 is -inf"),
        (np.ones((2, 2)), [0.5, np.inf], True, "row 1, column 0 is inf"),
        (np.ones((2, 2)), ["a", "b"], True, "targets must be numbers"),
    ],
)
def test_refused(x, y, regression, match):
    with pytest.raises(DataError, match=match):
        from_arrays(x, np.array(y), regression=regression)


@pytest.mark.parametrize(
    ("x", "y", "labels", "shape", "match"),
    [
        (np.ones((2, 4)), np.array([0, 2]), (0, 1), (4,), "class 2 of sample 1 is out of range"),
        (np.ones((2, 4)), np.array([-1, 0]), (0, 1), (4,), "class -1 of sample 0"),
        (np.ones((2, 4)), np.array([0, 1]), (0, 1), (3, 2), "does not fit images"),
        (np.ones((2, 4)), np.array([0, 1], np.int32), (0, 1), (4,), "must be int64"),
        (np.ones((2, 4)), np.array([0, 1]), None, (4,), "targets must be floats"),
        (np.ones((2, 4)), np.array([0]), (0, 1), (4,), "2 samples in x, but 1 in y"),
        (np.ones((2, 2, 2)), np.array([0, 1]), (0, 1), (4,), "must be real, "),
    ],
)
def test_parts_that_do_not_fit(x, y, labels, shape, match):
    with pytest.raises(DataError, match=match):
        Dataset(x, y, labels, "test", shape)


def test_nan_is_found_beyond_the_first_chunk():
    x = np.zeros((5000, 300), np.float32)
    x[4711, 123] = np.nan
    with pytest.raises(DataError, match="row 4711, column 123 is nan"):
        check_finite(x, "x")
