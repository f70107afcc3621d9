import numpy as np
import pytest
from numpy.testing import assert_array_equal

from layers import Linear


def test_the_lectures_matrix_multiply():
    """The slides' x, W and dY; the printed y is a misprint, this one is recomputed."""
    layer = Linear(3, 4, rng=0, bias=False)
    layer.params["W"][...] = [[3, 2, 1, -1], [2, 1, 3, 2], [3, 2, 1, -2]]
    y = layer.forward(np.array([[2, 1, -3], [-3, 4, 2]]))
    assert_array_equal(y, [[-1, -1, 2, 6], [5, 2, 11, 7]])
    dx, grads = layer.backward(np.array([[2, 3, -3, 9], [-8, 1, 4, 6]]))
    assert_array_equal(dx, [[0, 16, -9], [-24, 9, -30]])
    assert grads.keys() == {"W"}
    assert_array_equal(grads["W"], [[28, 3, -18, 0], [-30, 7, 13, 33], [-22, -7, 17, -15]])


def test_the_lectures_squared_norm():
    """f = ‖W x‖² = Σ q², q = W x: the gradient 2q xᵀ of W, 2Wᵀq of x. Here x is a row, W is Wᵀ."""
    layer = Linear(2, 2, rng=0, bias=False, dtype=np.float64)
    layer.params["W"][...] = np.array([[0.1, 0.5], [-0.3, 0.8]]).T
    q = layer.forward(np.array([[0.2, 0.4]]))
    np.testing.assert_allclose(q, [[0.22, 0.26]], rtol=1e-14)
    assert (q**2).sum() == pytest.approx(0.116, rel=1e-14)
    dx, grads = layer.backward(2 * q)
    np.testing.assert_allclose(dx, [[-0.112, 0.636]], rtol=1e-14)
    np.testing.assert_allclose(grads["W"].T, [[0.088, 0.176], [0.104, 0.208]], rtol=1e-14)


def test_bias():
    layer = Linear(2, 2, rng=0)
    layer.params["W"][...] = [[1, 2], [3, 4]]
    layer.params["b"][...] = [10, 20]
    assert_array_equal(layer.forward([[1, 1], [0, 2]]), [[14, 26], [16, 28]])
    assert_array_equal(layer.backward([[1, 2], [3, 4]])[1]["b"], [4, 6])


def test_start():
    layer = Linear(3, 5, rng=0)
    assert layer.params["W"].shape == (3, 5)
    assert_array_equal(layer.params["b"], np.zeros(5))
    assert layer.weights == ("W",)
    assert layer.dtype == np.float32
    assert repr(layer) == "Linear(W (3, 5), b (5,))"


@pytest.mark.parametrize(
    ("D", "M", "what"), [(0, 1, "D is 0"), (1, -2, "M is -2"), (2.0, 1, "D is 2.0"), (1, True, "M")]
)
def test_sizes_are_whole_numbers(D, M, what):
    with pytest.raises(ValueError, match=f"^Linear: {what}.*expected a whole number ≥ 1"):
        Linear(D, M, rng=0)


def test_rng_must_be_said():
    with pytest.raises(TypeError, match="rng"):
        Linear(2, 3)


def test_parameters_of_another_byte_order():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    plain = Linear(3, 2, rng=0)
    assert_array_equal(plain.astype(">f4").forward(x), plain.forward(x))
