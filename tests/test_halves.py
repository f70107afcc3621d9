"""Products in halves against sums of whole numbers, which are exact."""

import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from threadpoolctl import threadpool_limits

import blas
from blas import halves, products
from blas.library import version

SINGLE = np.dtype(np.float32)
on_two = blas.threads() == 2 and version() >= halves.TRIED_FROM
needs_halves = pytest.mark.skipif(not on_two, reason="not two threads, or another BLAS")

# Samples, features, units.
SHAPES = [(64, 784, 128), (129, 357, 131), (200, 3071, 51), (2000, 65, 67), (2, 3, 1_500_001)]
orders = st.sampled_from("CF")


def whole_numbers(shape, char, order="C", seed=0):
    rng = np.random.default_rng(seed)
    return np.asarray(rng.integers(-3, 4, shape), dtype=char, order=order)


def exact(A, B):
    """NumPy multiplies whole numbers without the BLAS."""
    return np.asarray(A, np.int64) @ np.asarray(B, np.int64)


@pytest.fixture
def made(monkeypatch):
    """The cuts of the products that were made in halves."""
    for char in "fd":
        halves.works(np.dtype(char))  # tried before it is counted
    cuts = []
    begin = halves.Halves.__init__

    def counted(self, A, B, C, found):
        cuts.append(found)
        begin(self, A, B, C, found)

    monkeypatch.setattr(halves.Halves, "__init__", counted)
    return cuts


@needs_halves
@pytest.mark.parametrize("char", "fd")
def test_what_was_tried_works(char):
    assert halves.works(np.dtype(char))


@needs_halves
@pytest.mark.parametrize("char", "fd")
@pytest.mark.parametrize(("N", "D", "M"), SHAPES)
def test_the_three_products_of_a_layer(N, D, M, char, made):
    x, W = whole_numbers((N, D), char), whole_numbers((D, M), char)
    dout = whole_numbers((N, M), char, seed=1)
    for A, B in ((x, W), (dout, W.T), (x.T, dout)):
        out = np.full((A.shape[0], B.shape[1]), np.nan, char)
        assert blas.matmul(A, B, out) is out
        assert_array_equal(out, exact(A, B))
        assert_array_equal(blas.matmul(A, B), out)
    assert len(made) >= 4


@needs_halves
@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 300), st.integers(1, 300), st.integers(1, 300), st.sampled_from("fd"),
    orders, orders, st.sampled_from([(1.0, 0.0), (-0.5, 1.0), (2.0, 0.25)]),
)  # fmt: skip
def test_any_two_matrices(D, N, M, char, A_order, B_order, numbers):
    a, c = numbers
    A, B = whole_numbers((D, N), char, A_order), whole_numbers((N, M), char, B_order)
    AB = exact(A, B)
    assert_array_equal(blas.matmul(A, B), AB)
    vector = whole_numbers(D * M + 5, char, seed=1)
    expected = vector.astype(float)
    expected[3:-2] = c * expected[3:-2] + a * AB.ravel()
    blas.Product(A, B, 3).add_to(vector, a, c)
    assert_array_equal(vector, expected)


@needs_halves
def test_how_a_weight_is_cut():
    x_W, dout_W, x_dout = (
        halves.cut(64, 784, 128, True, True),
        halves.cut(64, 128, 784, True, False),
        halves.cut(784, 64, 128, False, True),
    )
    more_samples = halves.cut(785, 784, 128, True, True), halves.cut(129, 128, 784, True, False)
    assert [found.second[0] for found in more_samples] == [392 * 784, 64 * 128]
    assert [found.second[1] for found in more_samples] == [0, 0]
    row = 392 * 128  # of W, the first of its second half
    assert (x_W.summed, x_W.second[1]) == (True, row)
    assert (dout_W.summed, dout_W.second[1]) == (False, row)
    assert (x_dout.summed, x_dout.second[2]) == (False, row)


@pytest.mark.parametrize("sizes", [(127, 256, 128), (0, 5, 5), (5, 0, 5), (5, 5, 0)])
@pytest.mark.parametrize("A_by_row", [True, False])
@pytest.mark.parametrize("B_by_row", [True, False])
def test_a_product_is_not_cut_in_halves_too_small(sizes, A_by_row, B_by_row):
    assert halves.cut(*sizes, A_by_row, B_by_row) is None


@pytest.mark.parametrize("sizes", [(1, 5000, 5000), (5000, 5000, 1), (1, 1, 2**30), (2**30, 1, 1)])
@pytest.mark.parametrize("A_by_row", [True, False])
@pytest.mark.parametrize("B_by_row", [True, False])
def test_a_matrix_and_a_vector_are_not_cut(sizes, A_by_row, B_by_row):
    """For which the BLAS has a quicker way."""
    assert halves.cut(*sizes, A_by_row, B_by_row) is None


@needs_halves
def test_it_is_made_anew_each_time():
    A, B = whole_numbers((64, 784), "f"), whole_numbers((784, 128), "f")
    out = np.zeros((64, 128), "f")
    again = blas.prepared(A, B, out)
    for factor in (2, 3):
        A *= factor
        again()
        assert_array_equal(out, exact(A, B))


@needs_halves
def test_an_infinite_sample_is_seen(made):
    A, B = np.ones((64, 784), "f"), np.ones((784, 128), "f")
    A[5, 700], A[6, 3], A[7, [3, 700]] = np.inf, np.nan, [np.inf, -np.inf]
    y = blas.matmul(A, B)
    assert made
    assert_array_equal(y[5], np.inf)
    assert np.isnan(y[6:8]).all()
    assert_array_equal(y[8:], 784)


class Mine(np.ndarray):
    pass


A, B = whole_numbers((170, 170), "f"), whole_numbers((170, 171), "f")
both = np.zeros((340, 171), "f")
square = whole_numbers((170, 170), "f", seed=1)


@pytest.mark.parametrize(
    ("A", "B", "out"),
    [
        (A, B, np.zeros((170, 171), "d")),
        (A, B, np.zeros((170, 342), "f")[:, ::2]),
        (A, B, np.zeros((171, 170), "f").T),
        (A, B, np.zeros(4 * 170 * 171 + 1, "B")[1:].view("f").reshape(170, 171)),
        (A, both[:170], both[85:255]),
        (square.copy(), square, "A"),
        (square, square.copy(), "B"),
        (A, B.astype("d"), None),
        (A.astype("D"), B.astype("D"), None),
        (A.astype(">f4"), B.astype(">f4"), None),
        (A.view(Mine), B, None),
        (np.stack([A, A]), B, None),
        (A[::-1], B, None),
        (A[:, 0], B, None),
    ],
)
def test_all_else_is_numpys(A, B, out, made):
    if isinstance(out, str):
        A, B = A.copy(), B.copy()
        expected = exact(A, B)
        out = A if out == "A" else B
        assert_array_equal(blas.matmul(A, B, out), expected)
    elif out is None:
        result = blas.matmul(A, B)
        assert type(result) is type(np.matmul(A, B))
        assert_array_equal(result, np.matmul(A, B))
    else:
        expected = exact(A, B)
        assert blas.matmul(A, B, out) is out
        assert_array_equal(out, expected)
        expected = exact(A, B)
        blas.prepared(A, B, out)()
        assert_array_equal(out, expected)
    assert made == []


def test_what_may_not_be_written_is_not(made):
    out = np.zeros((170, 171), "f")
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        blas.matmul(A, B, out)
    assert not out.any()


@pytest.mark.parametrize(("A", "B"), [(A, A[:, :9].T), (A, B[:129]), (A, np.float32(1))])
def test_matrices_that_do_not_fit_are_refused_by_numpy(A, B):
    with pytest.raises(ValueError, match="matmul"):
        blas.matmul(A, B)


@needs_halves
def test_what_is_prepared_is_held():
    x, W, out = A.copy(), B.copy(), np.zeros((170, 171), "f")
    again, held = blas.prepared(x, W, out), [weakref.ref(array) for array in (x, W, out)]
    del x, W, out
    assert all(ref() is not None for ref in held)
    again()
    assert_array_equal(held[2](), exact(A, B))


@needs_halves
def test_what_is_put_off_is_made_in_halves(made):
    product, vector = blas.Product(A, B, 0), np.zeros(170 * 171, "f")
    for _ in range(2):
        product.add_to(vector, 1, 1)
    assert len(made) == 1
    assert_array_equal(vector, 2 * exact(A, B).ravel())


@needs_halves
@pytest.mark.parametrize("threads", [1, 3])
def test_other_numbers_of_threads_make_it_whole(threads, made, monkeypatch):
    monkeypatch.setattr(halves, "threads", lambda: threads)
    assert_array_equal(blas.matmul(A, B), exact(A, B))
    assert made == []


@needs_halves
def test_one_thread_makes_it_whole(made):
    with threadpool_limits(1):
        assert_array_equal(blas.matmul(A, B), exact(A, B))
    assert made == []


@needs_halves
@pytest.mark.parametrize(
    "batch", [None, lambda *arguments: None], ids=["not there", "does nothing"]
)
def test_a_blas_without_it_makes_it_whole(batch, monkeypatch):
    function = halves.function
    monkeypatch.setattr(
        halves,
        "function",
        lambda name, dtype: batch if name == "gemm_batch" else function(name, dtype),
    )
    halves.works.cache_clear()
    try:
        assert not halves.works(SINGLE)
        assert products.cut_of(A, B) is None
        assert_array_equal(blas.matmul(A, B), exact(A, B))
    finally:
        halves.works.cache_clear()


@needs_halves
def test_many_threads_may_ask_at_once():
    expected, wrong = exact(A, B), []

    def ask():
        for _ in range(200):
            if not np.array_equal(blas.matmul(A, B), expected):
                wrong.append(1)

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert wrong == []
