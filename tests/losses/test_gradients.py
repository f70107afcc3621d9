"""The project's own checker proves the gradient of every loss."""

import numpy as np
import pytest

from gradcheck import check_loss
from losses import MSE, BinaryCrossEntropy, MulticlassHinge, SoftmaxCrossEntropy

RNG = np.random.default_rng(11)
SCORES = RNG.standard_normal((6, 4))
LABELS = RNG.integers(0, 4, 6)
WEIGHTS = RNG.uniform(0.5, 2, 6)

CASES = {
    "softmax": (SoftmaxCrossEntropy(), SCORES, LABELS),
    "softmax, weights": (SoftmaxCrossEntropy(), SCORES, LABELS, WEIGHTS),
    "softmax, class weights": (SoftmaxCrossEntropy([1, 2, 3, 4]), SCORES, LABELS),
    "hinge": (MulticlassHinge(), SCORES, LABELS),
    "hinge, weights": (MulticlassHinge(delta=0.5), SCORES, LABELS, WEIGHTS),
    "binary": (BinaryCrossEntropy(), SCORES[:, 0], LABELS % 2),
    "binary, column": (BinaryCrossEntropy([1, 3]), SCORES[:, :1], LABELS % 2, WEIGHTS),
    "binary, several": (BinaryCrossEntropy(), SCORES, RNG.integers(0, 2, (6, 4))),
    "mse": (MSE(), SCORES, RNG.standard_normal((6, 4))),
    "mse, weights": (MSE(), SCORES, RNG.standard_normal((6, 4)), WEIGHTS),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_gradient_is_proved_right(case):
    report = check_loss(*case)
    assert report.verdict == "right", str(report)


def test_a_gradient_that_is_half_of_the_right_one_is_found():
    class HalfMSE(MSE):
        def sample_gradients(self, factor):
            return super().sample_gradients(factor) / 2

    assert check_loss(HalfMSE(), SCORES, np.zeros((6, 4))).verdict == "wrong"
