"""Losses and every gradient against PyTorch and scikit-learn, in float64."""

import numpy as np
import pytest

from losses import MSE, BinaryCrossEntropy, MulticlassHinge, SoftmaxCrossEntropy

torch = pytest.importorskip("torch")
functional = torch.nn.functional

SIZES = [(1, 2), (7, 3), (64, 10), (20, 150)]


def agree(loss, scores, y, peer, weights=None):
    """Value and gradient of `loss` equal those of `peer(scores as a tensor)`."""
    tensor = torch.tensor(scores, requires_grad=True)
    value = peer(tensor)
    value.backward()
    assert loss.forward(scores, y, weights) == pytest.approx(value.item(), rel=1e-12)
    expected = tensor.grad.numpy()
    np.testing.assert_allclose(
        loss.backward(), expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max()
    )


def draw(samples, classes):
    rng = np.random.default_rng([samples, classes])
    scores = 3 * rng.standard_normal((samples, classes))
    return rng, scores, rng.integers(0, classes, samples)


@pytest.mark.parametrize(("samples", "classes"), SIZES)
def test_softmax_cross_entropy(samples, classes):
    rng, scores, y = draw(samples, classes)
    labels = torch.tensor(y)
    agree(SoftmaxCrossEntropy(), scores, y, lambda s: functional.cross_entropy(s, labels))
    c = rng.uniform(0.1, 2, classes)
    agree(
        SoftmaxCrossEntropy(class_weights=c),
        scores,
        y,
        lambda s: functional.cross_entropy(s, labels, weight=torch.tensor(c)),
    )
    w = rng.uniform(0.1, 2, samples)

    def weighted(s):
        each = functional.cross_entropy(s, labels, reduction="none")
        return (torch.tensor(w) * each).sum() / w.sum()

    agree(SoftmaxCrossEntropy(), scores, y, weighted, weights=w)


@pytest.mark.parametrize(("samples", "classes"), SIZES)
@pytest.mark.parametrize("delta", [1.0, 2.5])
def test_multiclass_hinge(samples, classes, delta):
    _, scores, y = draw(samples, classes)
    labels = torch.tensor(y)
    # PyTorch divides the sum over the classes by their number
    agree(
        MulticlassHinge(delta=delta),
        scores,
        y,
        lambda s: classes * functional.multi_margin_loss(s, labels, margin=delta),
    )


@pytest.mark.parametrize(("samples", "classes"), [(9, 1), (64, 4)])
def test_binary_cross_entropy(samples, classes):
    rng, scores, _ = draw(samples, classes)
    y = rng.integers(0, 2, scores.shape)
    targets = torch.tensor(y, dtype=torch.float64)
    peer = functional.binary_cross_entropy_with_logits
    agree(BinaryCrossEntropy(), scores, y, lambda s: peer(s, targets))
    w = rng.uniform(0.1, 2, samples)
    c = np.array([0.5, 3.0])
    each = torch.tensor(w[:, None] * c[y])
    agree(
        BinaryCrossEntropy(class_weights=c),
        scores,
        y,
        lambda s: peer(s, targets, weight=each, reduction="sum") / each.sum(),
        weights=w,
    )


def test_mse():
    rng, scores, _ = draw(12, 5)
    y = rng.standard_normal(scores.shape)
    agree(MSE(), scores, y, lambda s: functional.mse_loss(s, torch.tensor(y)))


def test_scikit_learn_agrees():
    metrics = pytest.importorskip("sklearn.metrics")
    rng, scores, y = draw(50, 4)
    w = rng.uniform(0.1, 2, 50)
    odds = np.exp(scores)
    value = SoftmaxCrossEntropy().forward(scores, y, w)
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    expected = metrics.log_loss(y, probabilities, sample_weight=w, labels=range(4))
    assert value == pytest.approx(expected, rel=1e-12)
    assert SoftmaxCrossEntropy().score(scores, y) == metrics.accuracy_score(y, scores.argmax(1))
    targets = rng.standard_normal(scores.shape)
    assert MSE().forward(scores, targets) == pytest.approx(
        metrics.mean_squared_error(targets, scores), rel=1e-13
    )
    assert MSE().score(scores, targets) == pytest.approx(
        metrics.r2_score(targets, scores, multioutput="variance_weighted"), rel=1e-12
    )
    assert MulticlassHinge().forward(scores[:, :2], y % 2) == pytest.approx(
        metrics.hinge_loss(y % 2, scores[:, 1] - scores[:, 0]), rel=1e-13
    )
