"""Sums in place against sums by hand; work for the BLAS's threads."""

import ctypes
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import threadpool_limits

import blas

needs_blas = pytest.mark.skipif(not blas.there(np.dtype("d")), reason="NumPy has another BLAS")
lengths = st.integers(1, 40)
chars = st.sampled_from("fd")
numbers = st.sampled_from([0.0, 1.0, -1.0, 0.5, -1.75])


def whole_numbers(rng, shape, char, transposed=False):
    """An array of small whole numbers, whose sums are exact; perhaps column by column."""
    array = rng.integers(-9, 9, shape).astype(char)
    return np.asfortranarray(array) if transposed else array


def frozen(n):
    """An array that may not be written into."""
    return np.frombuffer(bytes(8 * n), np.float64)


@needs_blas
@given(lengths, lengths, lengths, chars, numbers, numbers, st.booleans(), st.booleans(),
       st.integers(0, 9))  # fmt: skip
def test_a_product_is_added(D, M, N, char, a, c, A_by_column, B_by_column, start):
    """To what was there."""
    rng = np.random.default_rng(0)
    A = whole_numbers(rng, (D, N), char, A_by_column)
    B = whole_numbers(rng, (N, M), char, B_by_column)
    vector = whole_numbers(rng, start + D * M + 3, char)
    AB = np.zeros((D, M))
    for n in range(N):
        AB += np.multiply.outer(A[:, n].astype(float), B[n].astype(float))
    expected = vector.copy()
    expected[start : start + D * M] = c * expected[start : start + D * M] + a * AB.ravel()
    product = blas.Product(A, B, start)
    other = vector.copy()
    product.add_to(vector, a, c)
    assert_array_equal(vector, expected)
    product.add_to(other, a, c)  # another vector of the same layout
    assert_array_equal(other, expected)


@needs_blas
@pytest.mark.parametrize(("a", "c"), [(0.5, 0.25), (-1.0, 1.0), (2.0, 0.0)])
def test_a_large_product_is_added(a, c):
    """For which the BLAS takes all its threads."""
    rng = np.random.default_rng(0)
    A, B = whole_numbers(rng, (1100, 2), "f"), whole_numbers(rng, (2, 1000), "f")
    vector = whole_numbers(rng, 3 + A.shape[0] * B.shape[1] + 3, "f")
    expected = vector.copy()
    here = slice(3, -3)
    AB = np.multiply.outer(A[:, 0], B[0]) + np.multiply.outer(A[:, 1], B[1])
    expected[here] = c * expected[here] + a * AB.ravel()
    blas.Product(A, B, 3).add_to(vector, a, c)
    assert_array_equal(vector, expected)


@needs_blas
def test_a_product_is_made_when_it_is_added():
    A, B, vector = np.ones((2, 3)), np.ones((3, 2)), np.zeros(4)
    product = blas.Product(A, B, 0)
    A[...] = 2
    product.add_to(vector, 1, 1)
    assert_array_equal(vector, [6] * 4)


@needs_blas
@pytest.mark.parametrize(
    ("A", "B", "error"),
    [
        (np.ones((3, 8))[:, ::2], np.ones((4, 2)), ValueError),
        (np.ones((3, 4)), np.ones((4, 4))[:, ::2], ValueError),
        (np.ones((3, 4)), np.ones((5, 2)), ValueError),
        (np.ones(4), np.ones((4, 2)), ValueError),
        (np.ones((3, 4), np.float32), np.ones((4, 2)), TypeError),
        (np.ones((3, 4), int), np.ones((4, 2), int), TypeError),
    ],
)
def test_a_product_that_cannot_be_is_refused(A, B, error):
    with pytest.raises(error, match=r"^Product: "):
        blas.Product(A, B, 0)


@needs_blas
def test_a_product_before_the_vector_is_refused():
    with pytest.raises(ValueError, match="start is -1"):
        blas.Product(np.ones((3, 4)), np.ones((4, 2)), -1)


@needs_blas
@pytest.mark.parametrize(
    "vector",
    [
        np.zeros(8),
        np.zeros((1, 9)),
        np.zeros(9, np.float32),
        np.zeros(18)[::2],
        np.zeros(9, ">f8"),
        frozen(9),
    ],
)
def test_a_vector_without_room_is_refused(vector):
    product = blas.Product(np.ones((3, 4)), np.ones((4, 2)), 3)
    with pytest.raises(ValueError, match=r"^Product: .* has no room for 6 entries"):
        product.add_to(vector, 1, 1)
    assert not vector.any()


@pytest.mark.parametrize("char", "fd")
@pytest.mark.parametrize("n", [0, 1, 7, blas.sums.FEW, blas.sums.FEW + 1, 3 * blas.sums.FEW + 5])
@pytest.mark.parametrize(("a", "b"), [(1, 1), (-0.5, 1), (1, 0.5), (2, -3), (0, 1)])
@pytest.mark.parametrize("with_blas", [True, False])
def test_a_vector_is_added(char, n, a, b, with_blas, monkeypatch):
    if not with_blas:
        monkeypatch.setattr(blas.sums, "function", lambda name, dtype: None)
    rng = np.random.default_rng(0)
    x, y = whole_numbers(rng, n, char), whole_numbers(rng, n, char)
    expected, before = a * x + b * y, x.copy()
    for spare in (None, np.empty_like(x)):
        result = y.copy()
        blas.axpby(a, x, b, result, spare)
        assert_allclose(result, expected, rtol=1e-6)
        if b == 1:
            result = y.copy()
            blas.axpy(a, x, result, spare)
            assert_allclose(result, expected, rtol=1e-6)
        assert_array_equal(x, before)


N = blas.sums.FEW + 1


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.full(N, 0.5), np.ones(N, np.float32)),
        (np.full(N, 0.5, np.float16), np.ones(N, np.float32)),
        (np.broadcast_to(np.float32(0.5), N), np.ones(N, np.float32)),
        (np.full(2 * N, 0.5)[::2], np.ones(N)),
        (np.full(N, 0.5), np.ones(2 * N)[::2]),
        (np.full(N, 0.5, ">f4"), np.ones(N, ">f4")),
        (np.full((2, N), 0.5), np.ones((2, N))),
        (np.full(1, 0.5), np.ones(N)),
    ],
)
def test_what_the_blas_does_not_take_is_numpys(x, y):
    """No array is read as another type, or beyond its end."""
    other = y.copy()
    blas.axpy(2, x, y)
    assert_array_equal(y, np.full(y.shape, 2.0))
    blas.axpby(2, x, 3, other)
    assert_array_equal(other, np.full(y.shape, 4.0))


def test_what_may_not_be_written_is_not():
    with pytest.raises(ValueError, match="read-only"):
        blas.axpy(1, np.ones(N), frozen(N))


def test_other_types_have_none():
    assert not blas.there(np.dtype(np.float16))
    assert not blas.there(np.dtype(complex))


@given(st.lists(st.integers(1, 5), max_size=3), st.sampled_from("fd?B"))
def test_an_array_begins_at_a_cache_line(shape, char):
    array = blas.aligned(tuple(shape), char)
    assert array.shape == tuple(shape)
    assert array.dtype == char
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.ctypes.data % 64 == 0


@given(st.integers(1, 3000), st.integers(0, 1100), st.sampled_from("fd"))
def test_an_array_begins_at_the_same_place_of_a_page(size, first, char):
    vector = np.zeros(size + first, char)[first:]
    other = blas.beside(vector)
    assert (other.shape, other.dtype) == (vector.shape, vector.dtype)
    assert other.flags.carray
    assert not np.shares_memory(other, vector)
    assert (other.ctypes.data - vector.ctypes.data) % 4096 == 0


def test_there_are_empty_arrays():
    assert blas.aligned((0, 3), "f").shape == (0, 3)
    assert blas.beside(np.empty(0)).shape == (0,)


@pytest.mark.parametrize("dtype", [object, [("a", object)], "V0"])
def test_what_has_no_bytes_of_its_own_begins_anywhere(dtype):
    array = blas.aligned((3, 2), dtype)
    assert array.shape == (3, 2)
    assert array.dtype == np.dtype(dtype)


@pytest.mark.parametrize("first", range(0, 20, 4))
def test_a_copy_is_made_where_it_is_needed(first):
    array = blas.aligned((24,), "f")[first:]
    array[...] = np.arange(array.size)
    at_line = blas.at_line(array)
    assert (at_line is array) == (first in (0, 16))
    assert at_line.ctypes.data % 64 == 0
    assert_array_equal(at_line, np.arange(24 - first))
    columns = array[:4].reshape(2, 2).T
    assert blas.at_line(columns) is columns


needs_threads = pytest.mark.skipif(blas.threads() < 2, reason="one thread, or another BLAS")


@needs_threads
@pytest.mark.parametrize("entries", [1, 2, 7, 1000])
def test_each_thread_is_given_a_part(entries):
    integer, address, real = ctypes.c_int64, ctypes.c_size_t, ctypes.c_float
    kinds = (integer, integer, integer, real, address, integer, address, integer, address, integer)
    handed = []

    def part(*arguments):
        handed.append((*arguments[:-1], threading.get_native_id()))

    function = ctypes.CFUNCTYPE(None, *kinds, address)(part)
    threads = blas.threads()
    where = ctypes.cast(function, ctypes.c_void_p).value
    blas.in_parts(where, entries, 1234, threads + 100)  # as many as there are
    begin = 0
    for count, total, k, alpha, start, a, b, c, data, d, _ in sorted(handed, key=lambda p: p[4]):
        assert start == blas.parts.STEP * begin
        assert (total, k, alpha, a, b, c, data, d) == (entries, 0, 0, 1, 0, 0, 1234, 0)
        begin += count
    assert begin == entries
    assert len({thread for *_, thread in handed}) == len(handed) == min(entries, threads)


@needs_threads
@pytest.mark.parametrize("threads", [-1, 0, 1])
def test_at_least_one_thread_works(threads):
    handed = []
    function = ctypes.CFUNCTYPE(None, ctypes.c_int64)(handed.append)
    blas.in_parts(ctypes.cast(function, ctypes.c_void_p).value, 9, 0, threads)
    assert handed == [9]


@needs_threads
def test_there_are_as_many_threads_as_the_blas_is_limited_to():
    with threadpool_limits(1):
        assert blas.threads() == 1


@needs_threads
@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("blas_level1_thread", None),
        ("openblas_get_config", None),
        ("openblas_get_config", lambda: b"OpenBLAS 0.4.30"),
        ("openblas_get_config", lambda: b"OpenBLAS 0.3.9 Haswell"),
        ("openblas_get_config", lambda: b"another"),
        ("openblas_get_parallel", lambda: 2),
    ],
)
def test_another_blas_is_given_no_work(name, result, monkeypatch):
    """None that was not read."""
    named, known = blas.library.named, (blas.library.version, blas.parts.splitter)

    def other(n, *rest, **more):
        return result if n == name else named(n, *rest, **more)

    monkeypatch.setattr(blas.parts, "named", other)
    monkeypatch.setattr(blas.library, "named", other)
    for cached in known:
        cached.cache_clear()
    try:
        assert blas.threads() == 1
        with pytest.raises(RuntimeError, match="cannot be given work"):
            blas.in_parts(0, 1, 0, 2)
    finally:
        for cached in known:
            cached.cache_clear()
