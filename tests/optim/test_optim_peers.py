"""Fifty steps of every update rule against PyTorch's, in float64; clipping and schedules too."""

import numpy as np
import pytest

from optim import SGD, Adam, AdamW, CosineDecay, ExponentialDecay, PlateauDecay, RMSProp, StepDecay
from optim import clip_by_norm as clip

torch = pytest.importorskip("torch")

PAIRS = {
    "plain": (lambda: SGD(0.05), lambda p: torch.optim.SGD(p, lr=0.05)),
    "momentum": (
        lambda: SGD(0.02, momentum=0.9),
        lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9),
    ),
    "nesterov": (
        lambda: SGD(0.02, momentum=0.8, nesterov=True),
        lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.8, nesterov=True),
    ),
    "rmsprop": (
        lambda: RMSProp(0.01, decay=0.95, epsilon=1e-6),
        lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.95, eps=1e-6),
    ),
    "rmsprop as it comes": (lambda: RMSProp(), lambda p: torch.optim.RMSprop(p, lr=1e-3)),
    "adam": (
        lambda: Adam(0.03, beta1=0.85, beta2=0.99, epsilon=1e-5),
        lambda p: torch.optim.Adam(p, lr=0.03, betas=(0.85, 0.99), eps=1e-5),
    ),
    "adam as it comes": (lambda: Adam(), lambda p: torch.optim.Adam(p)),
    "adamw": (
        lambda: AdamW(0.03, weight_decay=0.1),
        lambda p: torch.optim.AdamW(p, lr=0.03, weight_decay=0.1),
    ),
    "adamw as it comes": (lambda: AdamW(), lambda p: torch.optim.AdamW(p)),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_fifty_steps(pair):
    make, make_peer = pair
    rng = np.random.default_rng(7)
    theta = rng.standard_normal(40)
    tensor = torch.tensor(theta, requires_grad=True)
    rule, peer = make(), make_peer([tensor])
    for step in range(50):
        # each its own gradient, so that an error would grow
        rule.lr *= 0.99
        for group in peer.param_groups:
            group["lr"] *= 0.99
        noise = 0.1 * rng.standard_normal(40)
        tensor.grad = torch.sin(3 * tensor.detach()) + torch.tensor(noise)
        rule.update(theta, np.sin(3 * theta) + noise)
        peer.step()
        scale = np.abs(theta).max()
        np.testing.assert_allclose(
            theta, tensor.detach().numpy(), rtol=1e-12, atol=1e-12 * scale, err_msg=f"step {step}"
        )


def test_clipping():
    rng = np.random.default_rng(0)
    grad = rng.standard_normal(1000)
    tensor = torch.zeros(1000, dtype=torch.float64, requires_grad=True)
    tensor.grad = torch.tensor(grad)
    norm = torch.nn.utils.clip_grad_norm_([tensor], 2.0).item()
    assert clip(grad, 2.0) == pytest.approx(norm, rel=1e-13)
    # PyTorch divides by norm + 1e-6
    np.testing.assert_allclose(grad, tensor.grad.numpy(), rtol=1e-7)


def rates_of_peer(build, epochs, scores=None):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = build(optimizer)
    rates = []
    for epoch in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([] if scores is None else [scores[epoch]]))
    return rates


@pytest.mark.parametrize(
    ("schedule", "build"),
    [
        (StepDecay(4, 0.3), lambda o: torch.optim.lr_scheduler.StepLR(o, 4, gamma=0.3)),
        (ExponentialDecay(0.9), lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9)),
        (
            CosineDecay(20, final=0.1),
            lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20, eta_min=0.1),
        ),
    ],
)
def test_schedules(schedule, build):
    ours = [schedule.factor(epoch) for epoch in range(20)]
    np.testing.assert_allclose(ours, rates_of_peer(build, 20), rtol=1e-12)


@pytest.mark.parametrize("patience", [1, 3])
def test_plateau(patience):
    scores = np.round(np.random.default_rng(patience).uniform(0, 1, 60), 2)
    schedule = PlateauDecay(patience=patience, factor=0.5, min_improvement=0.01, minimum=1e-3)
    ours = []
    for score in scores:
        ours.append(schedule.factor(0))
        schedule.observe(score)

    # PyTorch's patience counts the epochs that are still forgiven
    def build(optimizer):
        return torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            mode="max",
            factor=0.5,
            patience=patience - 1,
            threshold=0.01,
            threshold_mode="abs",
            min_lr=1e-3,
            eps=0,
        )

    np.testing.assert_allclose(ours, rates_of_peer(build, 60, scores), rtol=1e-12)
