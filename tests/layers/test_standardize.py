import numpy as np
import pytest
from numpy.testing import assert_array_equal

from layers import Standardize


def test_by_hand():
    layer = Standardize([1, 10], [2, 5])
    assert_array_equal(layer.forward([[3, 0], [1, 20]]), [[1, -2], [0, 2]])
    dx, grads = layer.backward([[1, 1], [4, 10]])
    np.testing.assert_allclose(dx, [[0.5, 0.2], [2, 2]], rtol=1e-6)
    assert grads == {}


def test_what_it_keeps_is_its_own_and_not_learned():
    mean, std = np.array([1.0]), np.array([2.0])
    layer = Standardize(mean, std, dtype=np.float64)
    mean[:] = std[:] = 9
    assert_array_equal(layer.state["mean"], [1])
    assert_array_equal(layer.state["std"], [2])
    assert layer.params == {}


@pytest.mark.parametrize(
    ("mean", "std"),
    [([0], [0]), ([0], [-1]), ([np.nan], [1]), ([0], [np.inf]), ([0, 1], [1]), (0, 1)],
)
def test_refused(mean, std):
    with pytest.raises(ValueError, match=r"^Standardize: "):
        Standardize(mean, std)
