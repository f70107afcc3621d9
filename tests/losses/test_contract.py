"""What every loss must keep: types, inputs untouched, order of calls, clear errors, any shape."""

import copy
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from losses import MSE, BinaryCrossEntropy, Loss, MulticlassHinge, SoftmaxCrossEntropy
from losses.classes import FEW_CLASSES

CLASSIFIERS = [SoftmaxCrossEntropy, MulticlassHinge]
LOSSES = [*CLASSIFIERS, BinaryCrossEntropy, MSE]


def problem(kind, samples=5, classes=4, dtype=np.float64, seed=0):
    """Scores and targets that the loss accepts."""
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((samples, classes)).astype(dtype)
    if kind is MSE:
        return scores, rng.standard_normal((samples, classes))
    if kind is BinaryCrossEntropy:
        return scores, rng.integers(0, 2, (samples, classes))
    return scores, rng.integers(0, classes, samples)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_type_and_inputs_are_kept(kind, dtype, weighted):
    scores, y = problem(kind, dtype=dtype)
    weights = np.arange(5.0) if weighted else None
    before = scores.copy(), y.copy(), copy.copy(weights)
    loss = kind()
    assert type(loss.forward(scores, y, weights)) is float
    dscores = loss.backward()
    assert dscores.dtype == dtype
    assert dscores.shape == scores.shape
    for now, then in zip((scores, y, weights), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("classes", [4, FEW_CLASSES + 1])
def test_backward_twice_is_the_same_in_arrays_of_its_own(kind, classes):
    loss = kind()
    loss.forward(*problem(kind, classes=classes))
    first = loss.backward()
    kept = first.copy()
    first[...] = np.nan
    np.testing.assert_array_equal(loss.backward(), kept)


@pytest.mark.parametrize("kind", LOSSES)
def test_backward_before_forward(kind):
    with pytest.raises(RuntimeError, match=f"{kind.__name__}: backward before forward"):
        kind().backward()


@pytest.mark.parametrize("kind", LOSSES)
def test_strided_inputs_and_copies_give_the_same(kind):
    scores, y = problem(kind, samples=6)
    loss = kind()
    value = loss.forward(scores, y)
    expected = loss.backward()
    wide = np.repeat(np.repeat(scores, 2, axis=0), 3, axis=1)
    tall = np.repeat(y, 2, axis=0)
    assert loss.forward(wide[::2, ::3], tall[::2]) == value
    np.testing.assert_array_equal(loss.backward(), expected)
    assert loss.forward(np.asfortranarray(scores), y) == value
    twin = copy.deepcopy(loss)
    loss.forward(scores + 1, y)
    np.testing.assert_array_equal(twin.backward(), expected)


@pytest.mark.parametrize("kind", LOSSES)
def test_chunks_combine_to_the_whole(kind):
    scores, y = problem(kind, samples=11)
    weights = np.random.default_rng(1).uniform(0.5, 2, 11)
    for w in (None, weights):
        loss = kind()
        whole = loss.forward(scores, y, w)
        total = summed = 0.0
        for part in (slice(0, 4), slice(4, 8), slice(8, 11)):
            value = loss.forward(scores[part], y[part], None if w is None else w[part])
            summed += value * loss.total_weight
            total += loss.total_weight
        assert summed / total == pytest.approx(whole, rel=1e-13)


@pytest.mark.parametrize("kind", LOSSES)
@given(samples=st.integers(1, 6), classes=st.integers(1, 130), seed=st.integers(0, 99))
def test_gradient_is_that_of_the_value_along_a_random_direction(kind, samples, classes, seed):
    scores, y = problem(kind, samples, classes, seed=seed)
    direction = np.random.default_rng(seed + 1).standard_normal(scores.shape)
    loss = kind()
    loss.forward(scores, y)
    slope = float(np.vdot(loss.backward(), direction))
    h = 1e-6
    difference = loss.forward(scores + h * direction, y) - loss.forward(scores - h * direction, y)
    # a hinge may have a kink within h: it is rare, and moves the quotient by at most its jump
    assert slope == pytest.approx(difference / (2 * h), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("kind", [*CLASSIFIERS, BinaryCrossEntropy])
@pytest.mark.parametrize("size", [1e4, 1e38])
def test_extreme_scores_are_safe_in_float32(kind, size):
    scores = np.array([[size, -size], [-size, size], [size, size], [0, -size]], np.float32)
    y = np.array([1, 1, 0, 0]) if kind is not BinaryCrossEntropy else np.eye(4, 2, dtype=int)
    loss = kind()
    assert math.isfinite(loss.forward(scores, y))
    assert np.isfinite(loss.backward()).all()


def test_extreme_scores_have_their_limits_as_values():
    scores = np.array([[1e4, -1e4]], np.float32)
    softmax = SoftmaxCrossEntropy()
    assert softmax.forward(scores, np.array([0])) == 0
    assert softmax.forward(scores, np.array([1])) == 2e4
    np.testing.assert_array_equal(softmax.backward(), [[1, -1]])
    binary = BinaryCrossEntropy()
    assert binary.forward(scores[0], np.array([0, 0])) == 5e3
    np.testing.assert_array_equal(binary.backward(), [0.5, 0])
    # where σ(s) − 1 would round to 0, ±σ(t) does not
    binary.forward(np.array([40.0], np.float32), np.array([1]))
    assert binary.backward()[0] == pytest.approx(-math.exp(-40), rel=1e-5)


def test_mse_of_large_float32_does_not_overflow():
    loss = MSE()
    assert loss.forward(np.full(2, 3e30, np.float32), np.zeros(2)) == pytest.approx(9e60, rel=1e-6)
    np.testing.assert_allclose(loss.backward(), np.full(2, 3e30, np.float32), rtol=1e-6)


@pytest.mark.parametrize("kind", LOSSES)
def test_nan_in_the_scores_is_seen_in_loss_and_gradient(kind):
    scores, y = problem(kind)
    scores[2, 1] = np.nan
    loss = kind()
    assert math.isnan(loss.forward(scores, y))
    assert np.isnan(loss.backward()[2, 1])


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_float32_means_are_summed_in_float64(kind):
    scores = np.zeros((300_001, 2), np.float32)
    y = np.zeros(300_001, int)
    one = kind().forward(scores[:1], y[:1])
    assert kind().forward(scores, y) == pytest.approx(one, rel=1e-14)


@pytest.mark.parametrize("kind", CLASSIFIERS)
class TestLabelErrors:
    def test_first_bad_label_is_named(self, kind):
        scores = np.zeros((4, 3))
        cases = {
            "3 at y[1]": [0, 3, 1, 7],
            "-1 at y[2]": [0, 1, -1, 5],
            "3 at y[3]": [0, 1, 2, 3],
            "-1 at y[0]": [-1, 1, 2, 0],
        }
        for first, bad in cases.items():
            with pytest.raises(ValueError) as caught:
                kind().forward(scores, np.array(bad))
            assert f"label {first} is not in 0..2 (scores have 3 classes)" in str(caught.value)
            assert kind.__name__ in str(caught.value)

    @pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.uint64, np.int64])
    def test_any_integer_type(self, kind, dtype):
        scores = np.eye(3)
        y = np.array([0, 1, 2], dtype)
        assert kind().forward(scores, y) == kind().forward(scores, [0, 1, 2])

    @pytest.mark.parametrize("y", [[True, False], [0.0, 1.0], ["a", "b"]])
    def test_labels_that_are_no_integers(self, kind, y):
        with pytest.raises(TypeError, match=r"y has dtype .*, expected integer labels 0\.\.2"):
            kind().forward(np.zeros((2, 3)), np.array(y))

    def test_shapes(self, kind):
        with pytest.raises(ValueError, match=r"y has shape \(3,\), expected \(2,\)"):
            kind().forward(np.zeros((2, 3)), np.zeros(3, int))
        with pytest.raises(ValueError, match=r"y has shape \(2, 1\), expected \(2,\)"):
            kind().forward(np.zeros((2, 3)), np.zeros((2, 1), int))
        with pytest.raises(ValueError, match=r"scores have shape \(2,\), expected \(N, C\)"):
            kind().forward(np.zeros(2), np.zeros(2, int))
        with pytest.raises(ValueError, match=r"scores have shape \(0, 3\)"):
            kind().forward(np.zeros((0, 3)), np.zeros(0, int))

    def test_class_weights(self, kind):
        with pytest.raises(ValueError, match="2 class_weights, but scores have 3 classes"):
            kind(class_weights=[1, 2]).forward(np.zeros((2, 3)), np.zeros(2, int))
        with pytest.raises(ValueError, match=r"class_weights\[1\] is -2\.0"):
            kind(class_weights=[1, -2])
        with pytest.raises(ValueError, match=r"class_weights\[0\] is nan"):
            kind(class_weights=[math.nan])


@pytest.mark.parametrize("kind", LOSSES)
def test_bad_weights_and_scores(kind):
    scores, y = problem(kind)
    with pytest.raises(ValueError, match=r"weights have shape \(4,\), expected \(5,\)"):
        kind().forward(scores, y, np.ones(4))
    with pytest.raises(ValueError, match=r"weights\[2\] is -1\.0, expected a finite number ≥ 0"):
        kind().forward(scores, y, [1, 1, -1, 1, 1])
    with pytest.raises(ValueError, match=r"weights\[0\] is inf"):
        kind().forward(scores, y, [math.inf, 1, 1, 1, 1])
    with pytest.raises(TypeError, match="scores have dtype int64, expected float32 or float64"):
        kind().forward(np.zeros((5, 4), np.int64), y)


def test_binary_labels():
    with pytest.raises(ValueError, match=r"label 2 at y\[1, 0\] is neither 0 nor 1"):
        BinaryCrossEntropy().forward(np.zeros((2, 2)), np.array([[0, 1], [2, -1]]))
    with pytest.raises(TypeError, match="y has dtype bool"):
        BinaryCrossEntropy().forward(np.zeros(1), np.array([True]))
    with pytest.raises(ValueError, match=r"y has shape \(2, 1\), expected .* \(2, 2\)"):
        BinaryCrossEntropy().forward(np.zeros((2, 2)), np.zeros((2, 1), int))
    with pytest.raises(ValueError, match="3 class_weights, expected two"):
        BinaryCrossEntropy(class_weights=[1, 2, 3])


def test_mse_broadcasts_nothing():
    with pytest.raises(ValueError, match=r"y has shape \(3,\), expected .* \(3, 3\)"):
        MSE().forward(np.zeros((3, 3)), np.zeros(3))
    with pytest.raises(ValueError, match=r"y has shape \(1,\), expected .* \(3, 1\)"):
        MSE().forward(np.zeros((3, 1)), np.zeros(1))
    with pytest.raises(TypeError, match="y has dtype bool"):
        MSE().forward(np.zeros(1), np.array([False]))
    # one column is a vector: 3 numbers, not 3 × 3
    assert MSE().forward(np.zeros((3, 1)), np.array([1.0, 2, 3])) == pytest.approx(14 / 3)
    assert MSE().forward(np.zeros(3), np.array([[1.0], [2], [3]])) == pytest.approx(14 / 3)


@pytest.mark.parametrize("delta", [0, -1, math.nan, math.inf])
def test_bad_delta(delta):
    with pytest.raises(ValueError, match="MulticlassHinge: delta is"):
        MulticlassHinge(delta=delta)


def test_every_loss_is_tested_here():
    def below(kind):
        return {kind}.union(*(below(sub) for sub in kind.__subclasses__()))

    public = {kind for kind in below(Loss) if kind.__module__.startswith("losses.")}
    assert {kind.__name__ for kind in public} == {kind.__name__ for kind in LOSSES} | {
        "Loss",
        "ClassificationLoss",
    }
