"""Whole networks, right in every layer, are called right: where false alarms lie in wait."""

import numpy as np
import pytest

from gradcheck import check_layer
from layers import BatchNorm, Linear, ReLU, Sequential, Tanh

SEEDS = range(5)
TYPES = (np.float32, np.float64)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_bias_that_batch_normalisation_cancels(seed, dtype):
    """Its true gradient is 0, and what rounding leaves of it is not wrong."""
    net = Sequential(Linear(3, 6, rng=seed), BatchNorm(6), Linear(6, 2, rng=seed + 1))
    x = np.random.default_rng(seed).standard_normal((4, 3)).astype(dtype)
    report = check_layer(net.astype(dtype), x)
    assert report.verdict == "right", report


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rows", [0, 1, 4])
def test_samples_of_zeros_put_every_unit_at_its_kink(seed, dtype, rows):
    net = Sequential(Linear(3, 6, rng=seed), ReLU(), Linear(6, 2, rng=seed + 1))
    x = np.random.default_rng(seed).standard_normal((4, 3)).astype(dtype)
    x[:rows] = 0
    report = check_layer(net.astype(dtype), x)
    assert report.verdict != "wrong", report
    if rows < 4:
        assert report.verdict == "right", report


def test_a_child_that_raises_is_named():
    class Broken(Tanh):
        def backward(self, dout):
            raise KeyError("cache")

    net = Sequential(Linear(3, 4, rng=0, dtype=np.float64), Broken())
    report = check_layer(net, np.random.default_rng(0).normal(size=(5, 3)))
    assert report.findings[0].cause == "raises"
    assert "broken1" in report.findings[0].message
