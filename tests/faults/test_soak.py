"""Training for half an hour in one process takes no more memory at its end than at its start."""

import os
import shutil
import time

import numpy as np
import pytest

from experiment.checkpoint import Checkpoints
from layers import BatchNorm, Dropout, Linear, ReLU, Sequential
from losses import L2, SoftmaxCrossEntropy
from losses.objective import Objective
from optim import SGD, Adam
from solver import Solver

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
ALLOWED = 4_000_000  # bytes


def resident():
    """The process's resident memory in bytes."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run(seed, folder):
    """A short run with what a run may have: checkpoints, resume, dropout, statistics."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(600, 20)).astype(np.float32), rng.integers(0, 3, 600)
    net = Sequential(
        Linear(20, 32, rng=seed),
        BatchNorm(32),
        ReLU(),
        Dropout(0.5, rng=seed),
        Linear(32, 3, rng=1),
    )
    objective = Objective(net, SoftmaxCrossEntropy(), [L2(1e-3)])
    rule = Adam() if seed % 2 else SGD(0.05, momentum=0.9)
    checkpoints = Checkpoints(folder, "1 epoch")
    solver = Solver(objective, rule, epochs=4, seed=seed, quiet=True, checkpoints=checkpoints)
    solver.train((x[:500], y[:500]), (x[500:], y[500:]))
    shutil.rmtree(folder)


@pytest.mark.long
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux's /proc")
def test_memory_stays_flat(tmp_path):
    end = time.monotonic() + 60 * MINUTES
    warm = min(60.0, 6 * MINUTES)  # seconds until every cache has been filled
    start, count, sizes = time.monotonic(), 0, []
    while time.monotonic() < end:
        run(count, tmp_path / str(count))
        count += 1
        if time.monotonic() - start > warm:
            sizes.append(resident())
    assert count > 10
    quarter = max(len(sizes) // 4, 1)
    first, last = np.median(sizes[:quarter]), np.median(sizes[-quarter:])
    print(f"{count} runs, {first / 1e6:.1f} MB → {last / 1e6:.1f} MB")
    assert last - first < ALLOWED
