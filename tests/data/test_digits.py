import numpy as np
from sklearn import datasets

import data


def test_digits_are_scikit_learns():
    expected = datasets.load_digits()
    digits = data.load_digits()
    assert digits.x.dtype == np.uint8
    np.testing.assert_array_equal(digits.x, expected.data)
    np.testing.assert_array_equal(digits.y, expected.target)
    assert digits.labels == tuple(range(10))
    assert digits.feature_shape == (8, 8)
    assert (len(digits), digits.n_features, digits.n_classes) == (1797, 64, 10)
