"""Products in halves against sums of whole numbers, which are exact."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from threadpoolctl import threadpool_limits

import blas
from blas import halves, products

SINGLE = np.dtype(np.float32)
on_two = blas.threads() == 2 and halves.works(SINGLE)
needs_halves = pytest.mark.skipif(not on_two, reason="not two threads, or another BLAS")

# Of x W (samples, features, units), and of what is left of it where a size is 1.
SHAPES = [
    (64, 784, 128),
    (129, 257, 131),
    (200, 3071, 51),
    (1000, 33, 67),
    (1, 3_000_001, 1),
    (3_000_001, 1, 1),
    (2, 1_500_000, 1),
]
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
    assert halves.works(SINGLE) == halves.works(np.dtype(float))  # tried before it is counted
    cuts = []
    begin = halves.Halves.__init__

    def counted(self, A, B, C, found):
        cuts.append(found)
        begin(self, A, B, C, found)

    monkeypatch.setattr(halves.Halves, "__init__", counted)
    return cuts


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
    row = 392 * 128  # of W, the first of its second half
    assert (x_W.summed, x_W.second[1]) == (True, row)
    assert (dout_W.summed, dout_W.second[1]) == (False, row)
    assert (x_dout.summed, x_dout.second[2]) == (False, row)


@pytest.mark.parametrize("sizes", [(127, 128, 128), (1, 1, 2**30), (2**20, 2, 1), (0, 5, 5)])
def test_a_product_is_not_cut_in_halves_too_small(sizes):
    assert halves.cut(*sizes, True, True) is None


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
    with np.errstate(invalid="ignore"):
        y = blas.matmul(A, B)
    assert made
    assert_array_equal(y[5], np.inf)
    assert np.isnan(y[6:8]).all()
    assert_array_equal(y[8:], 784)


class Mine(np.ndarray):
    pass


A, B = whole_numbers((130, 130), "f"), whole_numbers((130, 131), "f")
both = np.zeros((260, 131), "f")


@pytest.mark.parametrize(
    ("A", "B", "out"),
    [
        (A, B, np.zeros((130, 131), "d")),
        (A, B, np.zeros((130, 262), "f")[:, ::2]),
        (A, B, np.zeros((131, 130), "f").T),
        (A, both[:130], both[65:195]),
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
    if out is None:
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


@pytest.mark.parametrize(("A", "B"), [(A, A[:, :9].T), (A, B[:129]), (A, np.float32(1))])
def test_matrices_that_do_not_fit_are_refused_by_numpy(A, B):
    with pytest.raises(ValueError, match="matmul"):
        blas.matmul(A, B)


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
