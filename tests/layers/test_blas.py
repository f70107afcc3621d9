"""C ← c C − A B against sums by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from layers import blas

pytestmark = pytest.mark.skipif(blas.gemm("d") is None, reason="NumPy has another BLAS")

lengths = st.integers(1, 40)


def test_numpy_here_carries_it():
    """On the machines that the tests are run on: elsewhere the module is skipped."""
    assert blas.gemm("f") is not None


@given(lengths, lengths, lengths, st.sampled_from("fd"), st.floats(-2, 2), st.integers(0, 99))
def test_any_shape(D, M, N, char, c, seed):
    rng = np.random.default_rng(seed)
    x, dout, W = (rng.integers(-9, 9, shape).astype(char) for shape in ((N, D), (N, M), (D, M)))
    expected = W.astype(float) * np.dtype(char).type(c)
    for n in range(N):
        expected -= np.multiply.outer(x[n], dout[n])
    before = x.copy(), dout.copy()
    blas.subtracted(W, x.T, dout)(c)
    assert_allclose(
        W, expected, rtol=1e-6 if char == "f" else 1e-14, atol=1e-4 * (char == "f") + 1e-12
    )
    assert_allclose((x, dout)[0], before[0], rtol=0)
    assert_allclose((x, dout)[1], before[1], rtol=0)


def test_a_part_of_a_vector():
    theta = np.zeros(20)
    W = theta[5:11].reshape(3, 2)
    blas.subtracted(W, np.ones((4, 3)).T, np.ones((4, 2)))(1)
    assert_allclose(theta, [0] * 5 + [-4] * 6 + [0] * 9)


@pytest.mark.parametrize(
    ("C", "A", "B"),
    [
        (np.ones((3, 2)), np.ones((3, 4)), np.ones((4, 2))),  # A is no transpose
        (np.ones((3, 2)), np.ones((4, 3)).T, np.ones((4, 4))[:, ::2]),
        (np.ones((3, 2)).T, np.ones((4, 2)).T, np.ones((4, 3))),
        (np.ones((3, 2)), np.ones((4, 3), np.float32).T, np.ones((4, 2))),
        (np.ones((3, 2)), np.ones((4, 3)).T, np.ones((5, 2))),
        (np.ones((3, 2)), np.ones((4, 5)).T, np.ones((4, 2))),
        (np.ones((3, 2)), np.ones((4, 3)).T, np.ones((4, 3))),
    ],
)
def test_what_does_not_fit_is_refused(C, A, B):
    before = C.copy()
    with pytest.raises(ValueError, match="subtracted: "):
        blas.subtracted(C, A, B)
    assert_allclose(C, before)
