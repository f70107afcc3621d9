"""What checkpoints and the look for NaN cost.

python -m benchmarks.checkpoints [--threads 1] [--pairs 9] [--epochs 5] [--folder DIR]

Runs of MNIST's size (60,000 samples of 784 numbers, batches of 64, a network of 784-128-10, Adam)
and of the digits' (1,258 samples of 64) train in interleaved pairs, with a checkpoint after each
epoch and without any; the data is random, the work is the same. Both evaluate on a validation set
and keep the best weights, as a run does. A checkpoint is flushed to the disk: its cost is the
disk's too. Printed are the medians, the median of the pairs' ratios, and the checkpoints' share:
the time inside them beside the rest of the same run, which another program's load disturbs less.
The first checkpoint of a run also digests its data.

Then the look at the loss and the gradient of every step, beside the step.
"""

from __future__ import annotations

import argparse
import math
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

SHAPES = {
    "mnist": (60_000, 64, (784, 128, 10)),
    "digits": (1_258, 64, (64, 100, 10)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="What checkpoints cost.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk that is to be measured")
    options = parser.parse_args()
    from threadpoolctl import threadpool_limits

    with threadpool_limits(options.threads):
        for name in SHAPES:
            compare(name, options)


def compare(name: str, options: argparse.Namespace) -> None:
    """One shape: pairs of runs, the share of the checkpoints within a run, the look at a step."""
    samples, batch, sizes = SHAPES[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((samples + samples // 6, sizes[0]), np.float32)
    y = rng.integers(0, sizes[-1], len(x))
    train, validation = (x[:samples], y[:samples]), (x[samples:], y[samples:])
    epochs = options.epochs * (1 if name == "mnist" else 20)
    times: dict[str, list[float]] = {"without": [], "with": []}
    shares, each = [], []
    for pair in range(options.pairs + 1):  # the first warms up
        for key in ("without", "with") if pair % 2 else ("with", "without"):
            solver, folder = make(sizes, batch, epochs, key == "with", options.folder)
            seconds, inside = run(solver, train, validation)
            shutil.rmtree(folder)
            if pair:
                times[key].append(seconds)
            if pair and key == "with":
                shares.append(sum(inside) / (seconds - sum(inside)))
                each += inside
    ratios = [a / b for a, b in zip(times["with"], times["without"], strict=True)]
    print(f"{name}: {samples:,} samples, {'-'.join(map(str, sizes))}, {epochs} epochs")
    for key, values in times.items():
        print(f"  {key:8} {statistics.median(values):7.3f} s ({min(values):.3f}–{max(values):.3f})")
    print(f"  ratio    {statistics.median(ratios):7.3f}   ({min(ratios):.3f}–{max(ratios):.3f})")
    print(
        f"  share    {statistics.median(shares):7.2%}   ({min(shares):.2%}–{max(shares):.2%}) "
        f"of the rest, {1e3 * statistics.median(each):.1f} ms a checkpoint"
    )
    step = statistics.median(times["without"]) / epochs / math.ceil(samples / batch)
    look = look_at_a_step(sizes)
    print(f"  look     {1e6 * look:7.1f} µs of {1e6 * step:.0f} µs a step: {look / step:.1%}")


def make(
    sizes: tuple[int, ...], batch: int, epochs: int, kept: bool, place: Path | None
) -> tuple[Any, Path]:
    """A Solver, and a folder for its checkpoints if they are to be kept."""
    from layers import Linear, ReLU, Sequential
    from losses import L2, SoftmaxCrossEntropy
    from losses.objective import Objective
    from optim import Adam
    from solver import Checkpoints, Solver

    D, H, C = sizes
    net = Sequential(Linear(D, H, rng=0), ReLU(), Linear(H, C, rng=1))
    objective = Objective(net, SoftmaxCrossEntropy(), [L2(1e-4)])
    folder = Path(tempfile.mkdtemp(dir=place))
    checkpoints = Checkpoints(folder / "checkpoints", "1 epoch") if kept else None
    options = {"epochs": epochs, "batch_size": batch, "checkpoints": checkpoints, "quiet": True}
    return Solver(objective, Adam(), **options), folder


def run(solver: Any, train: Any, validation: Any) -> tuple[float, list[float]]:
    """Seconds of one training, and of each checkpoint in it."""
    inside: list[float] = []
    pause = solver._pause

    def timed(*arguments: Any) -> None:
        start = time.perf_counter()
        pause(*arguments)
        inside.append(time.perf_counter() - start)

    solver._pause = timed
    start = time.perf_counter()
    solver.train(train, validation)
    return time.perf_counter() - start, inside


def look_at_a_step(sizes: tuple[int, ...], rounds: int = 2000) -> float:
    """Seconds of what every step does to see that its loss and its gradient are finite."""
    D, H, C = sizes
    grad = np.random.default_rng(0).standard_normal(D * H + H + H * C + C).astype(np.float32)
    loss, found = 2.3, []
    for _ in range(9):
        start = time.perf_counter()
        for _ in range(rounds):
            if not math.isfinite(loss + np.dot(grad, grad)):
                raise ArithmeticError
        found.append((time.perf_counter() - start) / rounds)
    return statistics.median(found)


if __name__ == "__main__":
    main()
