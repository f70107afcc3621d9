"""What a careful person checks before training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from data import gather
from experiment.build import Parts
from losses import L2
from losses.objective import Objective

Array = npt.NDArray[Any]

FEW = 4  # samples in the gradient check
BATCH = 100  # samples in the checks of the loss
OVERFITTED = 20  # samples to be learned by heart


class Check(NamedTuple):
    """One check: what was looked at, whether it is as it should be, and the figures."""

    name: str
    passed: bool
    detail: str


def checks(parts: Parts, overfit: Callable[[int], float]) -> Iterator[Check]:
    """The checks, one after the other.

    `overfit(k)` trains a copy of the network on k samples and returns its score on them.
    """
    x, y = parts.inputs(parts.sets.train)
    rows = np.random.default_rng(parts.config.solver.seed).permutation(len(y))
    some, few = rows[:BATCH], rows[:FEW]
    yield first_loss(parts, gather(x, some), y[some])
    yield penalty_raises_loss(parts, gather(x, some), y[some])
    yield from gradients(parts, gather(x, few), y[few])
    k = min(OVERFITTED, len(y))
    score = overfit(k)
    name = parts.objective.loss.score_name
    passed = score == 1 if name == "accuracy" else score > 0.99
    yield Check("overfit", passed, f"{k} samples learned to {name} {score:.4g}")


def first_loss(parts: Parts, x: Array, y: Array) -> Check:
    """Near scores of 0 the loss is log C for softmax, C−1 for hinge; initial weights stay near.

    The first is tried with the weights a thousandth of what they are, the second as they are.
    """
    objective, net = parts.objective, copy.deepcopy(parts.net)
    expected = objective.loss.expected_first_loss(parts.outputs)
    if expected is None:
        return Check("first loss", True, "has no known value for this loss")
    with objective.net.evaluating():
        objective.value(x, y)
    start = objective.data_loss
    tiny = Objective(net, copy.copy(objective.loss))
    tiny.theta[: tiny.n_weights] *= 1e-3
    with net.evaluating():
        near_zero = tiny.value(x, y)
    passed = abs(near_zero - expected) <= 0.01 * expected and start <= 3 * expected
    return Check(
        "first loss",
        passed,
        f"{near_zero:.4g} near scores of 0 (known: {expected:.4g}), "
        f"{start:.4g} with the initial weights (expected: below {3 * expected:.3g})",
    )


def penalty_raises_loss(parts: Parts, x: Array, y: Array) -> Check:
    """A stronger penalty makes the total loss larger, and leaves the data loss as it is."""
    net, loss = parts.net, parts.objective.loss
    losses = []
    with net.evaluating():
        for strength in (0.0, 1e-3, 1e-2):
            losses.append(Objective(net, loss, [L2(strength)]).value(x, y))
    return Check(
        "penalty",
        losses[0] < losses[1] < losses[2],
        "total loss " + " → ".join(f"{value:.4g}" for value in losses) + " as λ = 0, 0.001, 0.01",
    )


def gradients(parts: Parts, x: Array, y: Array) -> Iterator[Check]:
    """The network's and the loss's backward, proved by gradcheck on a few samples."""
    from gradcheck import check_layer, check_loss

    net = parts.net.astype(np.float64)
    x = x.astype(np.float64)
    scores = net.forward(x)
    for name, report in (
        ("gradient of the network", check_layer(net, x)),
        ("gradient of the loss", check_loss(copy.copy(parts.objective.loss), scores, y)),
    ):
        detail: str = report.verdict
        if report.verdict == "wrong":
            finding = report.findings[0]
            detail = f"wrong: {finding.about}: {finding.message}"
        elif report.verdict == "inconclusive":
            detail = f"inconclusive: {report.reason}"
        yield Check(name, report.verdict == "right", detail)
