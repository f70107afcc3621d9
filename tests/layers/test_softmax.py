import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from layers import Softmax


def test_by_hand():
    layer = Softmax()
    y = layer.forward(np.log([[1.0, 2, 5], [3, 3, 2]]))
    assert_allclose(y, [[1 / 8, 1 / 4, 5 / 8], [3 / 8, 3 / 8, 1 / 4]], rtol=1e-15)
    dx, _ = layer.backward(np.array([[8.0, 0, 0], [0, 0, 8]]))
    # Σ dout ∘ y = 1 and 2
    assert_allclose(dx, [[7 / 8, -1 / 4, -5 / 8], [-3 / 4, -3 / 4, 3 / 2]], rtol=1e-15)


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=6), st.floats(-1e4, 1e4))
def test_probabilities_which_a_shift_does_not_change(scores, shift):
    x = np.array(scores)
    y = Softmax().forward(x)
    assert_allclose(y.sum(), 1, rtol=1e-14)
    assert (y >= 0).all()
    assert_allclose(Softmax().forward(x + shift), y, rtol=1e-9, atol=1e-300)


def test_the_whole_jacobian():
    """Row by row from backward: diag(y) − y yᵀ."""
    layer = Softmax()
    y = layer.forward(np.array([0.3, -1.2, 2.0, 0.0]))
    jacobian = np.array([layer.backward(row)[0] for row in np.eye(4)])
    assert_allclose(jacobian, np.diag(y) - np.outer(y, y), rtol=1e-13, atol=1e-17)
