import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

import data

TOYS = {"spiral": 3, "circle": 2, "moons": 2, "xor": 2, "blobs": 3}


@pytest.mark.parametrize("name", TOYS)
def test_shape_classes_and_seed(name):
    toy = data.load(name, samples=100, seed=3)
    assert toy.x.shape == (100, 2)
    assert toy.x.dtype == np.float32
    assert toy.n_classes == TOYS[name]
    counts = np.bincount(toy.y)
    assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(toy.x, data.load(name, samples=100, seed=3).x)
    assert not np.array_equal(toy.x, data.load(name, samples=100, seed=4).x)


@pytest.mark.parametrize(
    ("name", "options", "linear"),
    [
        ("spiral", {}, 0.60),
        ("spiral", {"classes": 2, "turn": 6.0}, 0.60),
        ("circle", {}, 0.60),
        ("xor", {}, 0.60),
        ("moons", {}, 0.93),
    ],
)
def test_what_a_line_cannot_separate_a_curve_can(name, options, linear):
    train, test = data.load(name, **options, seed=0), data.load(name, **options, seed=1)
    assert LogisticRegression().fit(train.x, train.y).score(train.x, train.y) < linear
    assert KNeighborsClassifier(5).fit(train.x, train.y).score(test.x, test.y) > 0.97


def test_blobs_are_linearly_separable():
    blobs = data.blobs(noise=0.15)
    assert LogisticRegression().fit(blobs.x, blobs.y).score(blobs.x, blobs.y) > 0.98


def test_without_noise_the_points_lie_on_their_curves():
    circle = data.circle(noise=0)
    np.testing.assert_allclose(np.hypot(*circle.x.T), np.where(circle.y == 1, 1.0, 0.4), rtol=1e-5)
    spiral = data.spiral(samples=30, noise=0)
    np.testing.assert_allclose(np.hypot(*spiral.x[:10].T), np.linspace(0, 1, 10), atol=1e-6)
    np.testing.assert_allclose(spiral.x[9], [np.sin(4), np.cos(4)], rtol=1e-5)
    assert set(map(tuple, data.xor(noise=0).x.tolist())) == {(1, 1), (1, -1), (-1, 1), (-1, -1)}


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("spiral", {"samples": 2}, "samples must be from 3"),
        ("spiral", {"classes": 1}, "classes must be an integer of 2 or more"),
        ("spiral", {"turn": "far"}, "turn must be an angle"),
        ("moons", {"samples": 10.5}, "samples must be an integer"),
        ("moons", {"samples": 10**12}, "samples must be from 2"),
        ("xor", {"noise": -1}, "noise must be a number of 0 or more"),
        ("xor", {"noise": "much"}, "noise must be a number"),
        ("blobs", {"seed": -1}, "seed must be an integer of 0 or more"),
        ("circle", {"seed": True}, "seed must be an integer"),
    ],
)
def test_refused(name, options, match):
    with pytest.raises(data.DataError, match=match):
        data.load(name, **options)
