"""Losses and their gradients against arithmetic done by hand."""

import math

import numpy as np
import pytest

from losses import L1, L2, MSE, BinaryCrossEntropy, MulticlassHinge, SoftmaxCrossEntropy


def test_softmax_cross_entropy_of_odds_one_to_two_to_five():
    # exp(s) = 1, 2, 5 and 4, 4, 2: probabilities 1/8, 2/8, 5/8 and 0.4, 0.4, 0.2
    scores = np.log([[1.0, 2, 5], [4, 4, 2]])
    loss = SoftmaxCrossEntropy()
    assert loss.forward(scores, np.array([2, 0])) == pytest.approx(
        (-math.log(5 / 8) - math.log(0.4)) / 2, rel=1e-14
    )
    expected = np.array([[1 / 8, 2 / 8, 5 / 8 - 1], [0.4 - 1, 0.4, 0.2]]) / 2
    np.testing.assert_allclose(loss.backward(), expected, rtol=1e-13)


def test_hinge_of_the_course_notes():
    # s = [13, −7, 11], y = 0, δ = 10: max(0, −7−13+10) + max(0, 11−13+10) = 0 + 8
    scores = np.array([[13.0, -7, 11], [3.2, 5.1, -1.7]])
    loss = MulticlassHinge(delta=10.0)
    assert loss.forward(scores[:1], np.array([0])) == 8
    np.testing.assert_array_equal(loss.backward(), [[-1, 0, 1]])
    # the cat of the lecture: s = [3.2, 5.1, −1.7], y = 0, δ = 1: max(0, 2.9) + max(0, −3.9)
    loss = MulticlassHinge()
    assert loss.forward(scores[1:], np.array([0])) == pytest.approx(2.9, rel=1e-14)
    np.testing.assert_array_equal(loss.backward(), [[-1, 1, 0]])


def test_hinge_counts_every_wrong_class_and_averages():
    scores = np.array([[0.0, 0.5, 1.0, -3.0], [2.0, 0.0, 1.5, 1.25]])
    loss = MulticlassHinge()
    # y = 0: 1.5 + 2 + 0;  y = 0: 0 + 0.5 + 0.25
    assert loss.forward(scores, np.array([0, 0])) == (3.5 + 0.75) / 2
    np.testing.assert_array_equal(loss.backward(), [[-1, 0.5, 0.5, 0], [-1, 0, 0.5, 0.5]])


def test_hinge_exactly_on_the_margin_has_no_gradient():
    loss = MulticlassHinge()
    assert loss.forward(np.array([[1.0, 0.0]]), np.array([0])) == 0
    np.testing.assert_array_equal(loss.backward(), [[0, 0]])


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_binary_cross_entropy_of_odds_three_to_one(shape):
    # σ(log 3) = 3/4
    scores = np.full(2, math.log(3)).reshape(shape)
    loss = BinaryCrossEntropy()
    value = loss.forward(scores, np.array([1, 0]))
    assert value == pytest.approx((-math.log(3 / 4) - math.log(1 / 4)) / 2, rel=1e-14)
    expected = np.array([-1 / 4, 3 / 4]).reshape(shape) / 2
    np.testing.assert_allclose(loss.backward(), expected, rtol=1e-14)


def test_binary_cross_entropy_of_several_questions_is_the_mean_of_all():
    scores = np.log([[3.0, 1.0], [1.0, 1 / 3]])
    loss = BinaryCrossEntropy()
    value = loss.forward(scores, np.array([[1, 0], [1, 0]]))
    assert value == pytest.approx((2 * math.log(4 / 3) + 2 * math.log(2)) / 4, rel=1e-14)
    np.testing.assert_allclose(
        loss.backward(), np.array([[-1 / 4, 1 / 2], [-1 / 2, 1 / 4]]) / 4, rtol=1e-13
    )


def test_mse_is_a_mean_over_all_entries():
    loss = MSE()
    value = loss.forward(np.array([[1.0, 2, 3], [4, 5, 6]]), np.array([[1, 0, 0], [4, 5, 7]]))
    assert value == (4 + 9 + 1) / 6
    np.testing.assert_allclose(loss.backward(), np.array([[0, 4, 6], [0, 0, -2]]) / 6, rtol=1e-15)


def test_sample_weights_are_normalised_by_their_sum():
    scores = np.log([[1.0, 3], [1, 1]])
    y = np.array([1, 0])
    loss = SoftmaxCrossEntropy()
    value = loss.forward(scores, y, weights=[1, 3])
    assert value == pytest.approx((math.log(4 / 3) + 3 * math.log(2)) / 4, rel=1e-14)
    assert loss.total_weight == 4
    np.testing.assert_allclose(loss.backward(), [[1 / 16, -1 / 16], [-3 / 8, 3 / 8]], rtol=1e-14)


def test_class_weights_multiply_sample_weights():
    scores = np.log([[1.0, 3], [1, 1], [3, 1]])
    loss = SoftmaxCrossEntropy(class_weights=[1, 5])
    value = loss.forward(scores, np.array([1, 0, 0]), weights=[1, 2, 0])
    assert value == pytest.approx((5 * math.log(4 / 3) + 2 * math.log(2)) / 7, rel=1e-14)
    assert loss.total_weight == 7


def test_binary_class_weights_are_for_no_and_for_yes():
    scores = np.log([3.0, 3.0])
    value = BinaryCrossEntropy(class_weights=[1, 4]).forward(scores, np.array([1, 0]))
    assert value == pytest.approx((4 * math.log(4 / 3) + math.log(4)) / 5, rel=1e-14)


def test_weights_of_mse_are_per_sample():
    loss = MSE()
    value = loss.forward(np.array([[1.0, 3], [2, 2]]), np.zeros((2, 2)), weights=[3, 1])
    assert value == (3 * (1 + 9) + (4 + 4)) / 8
    assert loss.total_weight == 4
    np.testing.assert_allclose(loss.backward(), np.array([[6, 18], [4, 4]]) / 8, rtol=1e-15)


def test_no_weight_at_all_is_no_loss():
    loss = SoftmaxCrossEntropy()
    assert loss.forward(np.ones((2, 3)), np.array([0, 1]), weights=[0, 0]) == 0
    np.testing.assert_array_equal(loss.backward(), np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (SoftmaxCrossEntropy(), 2.302585092994046),
        (MulticlassHinge(), 9),
        (MulticlassHinge(delta=0.5), 4.5),
    ],
)
def test_expected_first_loss_is_the_loss_at_zero_scores(loss, expected):
    assert loss.expected_first_loss(10) == pytest.approx(expected, rel=1e-15)
    assert loss.forward(np.zeros((4, 10)), np.array([0, 3, 9, 9])) == pytest.approx(expected)


def test_expected_first_loss_of_the_others():
    assert BinaryCrossEntropy().expected_first_loss(2) == pytest.approx(0.6931471805599453)
    assert BinaryCrossEntropy().forward(np.zeros(3), np.array([0, 1, 1])) == pytest.approx(
        0.6931471805599453
    )
    assert MSE().expected_first_loss(1) is None


def test_scores_of_the_predictions():
    scores = np.array([[0.1, 0.9], [2, 1], [-1, -3]])
    for loss in (SoftmaxCrossEntropy(), MulticlassHinge()):
        np.testing.assert_array_equal(loss.predict(scores), [1, 0, 0])
        assert loss.score(scores, np.array([1, 0, 1])) == pytest.approx(2 / 3)
        assert loss.score_name == "accuracy"
    binary = BinaryCrossEntropy()
    np.testing.assert_array_equal(binary.predict(np.array([-0.1, 0.0, 0.1])), [0, 0, 1])
    assert binary.score(np.array([[-0.1], [0.1]]), np.array([1, 1])) == 0.5
    assert binary.score(np.array([[1.0, -1], [1, 1]]), np.array([[1, 0], [0, 1]])) == 0.75


def test_r_squared():
    loss = MSE()
    assert loss.score_name == "R²"
    y = np.array([1.0, 2, 3])
    # Σ (s − y)² = 0.25, Σ (y − 2)² = 2
    assert loss.score(np.array([1.0, 2, 3.5]), y) == 1 - 0.25 / 2
    assert loss.score(np.full(3, 2.0), y) == 0
    assert loss.score(np.ones(3), np.ones(3)) == 1
    assert loss.score(np.zeros(3), np.ones(3)) == 0
    np.testing.assert_array_equal(loss.predict(y), y)


def test_penalties():
    W = np.array([[1.0, -2], [0, 3]])
    dW = np.full((2, 2), 10.0)
    assert L2(0.1).value(W) == pytest.approx(1.4, rel=1e-15)
    L2(0.1).add_gradient(W, dW)
    np.testing.assert_allclose(dW, [[10.2, 9.6], [10, 10.6]], rtol=1e-15)
    dW[...] = 10
    assert L1(0.5).value(W) == 3
    L1(0.5).add_gradient(W, dW)
    np.testing.assert_array_equal(dW, [[10.5, 9.5], [10, 10.5]])


def test_squared_error_of_scores_in_another_byte_order():
    loss = MSE()
    assert loss.forward(np.array([[1.0, 2.0]], ">f4"), np.zeros((1, 2))) == 2.5
    np.testing.assert_array_equal(loss.backward(), [[1, 2]])
