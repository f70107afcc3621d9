import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import MappedRows, batches, epoch_order, gather


@given(n=st.integers(0, 200), size=st.integers(1, 250), seed=st.integers(0, 100))
def test_an_epoch_holds_every_sample_once(n, size, seed):
    pieces = list(batches(epoch_order(n, np.random.default_rng(seed)), size))
    assert sorted(i for piece in pieces for i in piece.tolist()) == list(range(n))
    assert [len(piece) for piece in pieces[:-1]] == [size] * (len(pieces) - 1)
    assert all(len(piece) > 0 for piece in pieces)


def test_order_is_shuffled_by_the_generator_given():
    rng = np.random.default_rng(0)
    first, second = epoch_order(100, rng), epoch_order(100, rng)
    assert not np.array_equal(first, np.arange(100))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, epoch_order(100, np.random.default_rng(0)))


@pytest.mark.parametrize("size", [0, -1])
def test_batch_size(size):
    with pytest.raises(ValueError, match="batch_size must be 1 or more"):
        batches(np.arange(3), size)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("out_dtype", [None, np.float32, np.float64])
@pytest.mark.parametrize("mapped", [False, True])
def test_gather(dtype, out_dtype, mapped):
    x = np.arange(60).reshape(20, 3).astype(dtype)
    index = np.array([7, 0, 19, 7])
    expected = [[21, 22, 23], [0, 1, 2], [57, 58, 59], [21, 22, 23]]
    source = MappedRows(x, np.arange(20)[::-1]) if mapped else x
    index = 19 - index if mapped else index
    out = None if out_dtype is None else np.empty((4, 3), out_dtype)
    got = gather(source, index, out)
    assert got.tolist() == expected
    assert got.dtype == (out_dtype or dtype)
    assert out is None or got is out
    assert not np.shares_memory(got, x)


@pytest.mark.parametrize("out_dtype", [None, np.uint8, np.float32])
def test_an_array_that_lies_column_by_column_is_not_copied_for_a_batch(tmp_path, out_dtype):
    rows = np.arange(2**22, dtype=np.uint8).reshape(2**12, 2**10)
    np.save(tmp_path / "x.npy", np.asfortranarray(rows))
    x = np.asarray(np.load(tmp_path / "x.npy", mmap_mode="r"))
    index = np.array([7, 0, 4095, 7])
    out = None if out_dtype is None else np.empty((4, 2**10), out_dtype)
    tracemalloc.start()
    try:
        got = gather(x, index, out)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(got, rows[index])
    assert got.flags.c_contiguous
    assert out is None or got is out
    assert peak < 2**16


def test_gather_without_out_refuses_a_sample_that_is_not_there():
    with pytest.raises(IndexError):
        gather(np.ones((3, 2)), np.array([3]))
