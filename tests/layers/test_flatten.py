import numpy as np
from numpy.testing import assert_array_equal

from layers import Flatten


def test_the_last_axis_runs_quickest():
    layer = Flatten()
    x = np.array([[[1.0, 2], [3, 4]], [[5, 6], [7, 8]]])
    y = layer.forward(x)
    assert_array_equal(y, [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert not np.shares_memory(x, y)
    assert_array_equal(layer.backward(y)[0], x)


def test_an_empty_batch_keeps_its_features():
    assert Flatten().forward(np.zeros((0, 2, 3))).shape == (0, 6)
