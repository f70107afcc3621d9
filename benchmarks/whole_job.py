"""The whole digits job as a process, imports included, beside scikit-learn's and PyTorch's.

python -m benchmarks.whole_job [--threads 2] [--rounds 15] [--out DIR]

All processes train a 64-100-10 ReLU network on the same training samples with SGD, momentum 0.9,
the same batch size, penalty and number of epochs, and measure the test accuracy. Ours also reads
its configuration, lets the learning rate fall, evaluates on the validation set after each epoch,
keeps the best weights and writes a run's folder, with pictures if the `plots` extra is installed
(which costs more than the training; for a plain comparison run this without it). The rounds are
interleaved, each with a seed of its own. Peers that are not installed are left out.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.table import Report, interleaved, parser, peers, ratios, spread, tell
from data import Standardize
from experiment.build import Parts, build
from experiment.config import read
from experiment.plots import available

CONFIG = "configs/digits_2layer.toml"

SKLEARN = """
import sys, warnings
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
warnings.simplefilter("ignore", ConvergenceWarning)
data = np.load(sys.argv[1])
net = MLPClassifier(
    hidden_layer_sizes={hidden}, activation="relu", solver="sgd", learning_rate_init={lr},
    momentum={momentum}, nesterovs_momentum=False, alpha={alpha}, batch_size={batch},
    max_iter={epochs}, tol=0.0, n_iter_no_change={epochs}, random_state=int(sys.argv[2]),
)
net.fit(data["x"], data["y"])
print("test accuracy %.4f" % net.score(data["x_test"], data["y_test"]))
"""

TORCH = """
import sys
import numpy as np
import torch
from torch import nn
torch.set_num_threads({threads})
torch.manual_seed(int(sys.argv[2]))
data = {{name: torch.from_numpy(array) for name, array in np.load(sys.argv[1]).items()}}
x, y = data["x"], data["y"]
sizes = {sizes}
modules = []
for D, M in zip(sizes, sizes[1:]):
    modules += [nn.Linear(D, M), nn.ReLU()]
net = nn.Sequential(*modules[:-1])
loss = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(
    [
        {{"params": [p for p in net.parameters() if p.ndim == 2], "weight_decay": {decay}}},
        {{"params": [p for p in net.parameters() if p.ndim == 1]}},
    ],
    lr={lr}, momentum={momentum},
)
for epoch in range({epochs}):
    for index in torch.randperm(len(y)).split({batch}):
        optimizer.zero_grad()
        loss(net(x[index]), y[index]).backward()
        optimizer.step()
with torch.inference_mode():
    right = (net(data["x_test"]).argmax(dim=1) == data["y_test"]).float().mean().item()
print("test accuracy %.4f" % right)
"""


def main() -> None:
    """Run the rounds and print the medians."""
    made = parser("whole_job", __doc__, rounds=15, with_peers=True)
    made.add_argument("--pairs", type=int, dest="rounds", help="the same as --rounds")
    made.add_argument("--epochs", type=int, help="instead of the configuration's, for a quick look")
    options = made.parse_args()
    settings = [f"solver.epochs={options.epochs}"] if options.epochs else []
    parts = build(read(CONFIG, settings))
    there = peers(options, "scikit-learn", "torch")
    accuracy: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        jobs = commands(parts, Path(folder), settings, options.threads)
        jobs = {name: job for name, job in jobs.items() if name in ("handgrad", *there)}
        seeds = {name: iter(range(10**6)) for name in jobs}

        def job(name: str) -> float:
            seed = next(seeds[name])
            seconds, right = timed(jobs[name](str(seed)), options.threads)
            tell(f"round {seed}: {name} {seconds:.2f} s")
            if seed:
                accuracy.setdefault(name, []).append(right)
            return seconds

        for name in jobs:  # seed 0 warms the file cache
            job(name)
        times = interleaved({name: partial(job, name) for name in jobs}, options.rounds)
    report = Report("whole_job", options)
    plots = "with" if available() else "without"
    report.line(f"{options.rounds} interleaved rounds, {plots} the plots extra")
    report.table(
        ["program", "whole process, s", "handgrad's over it", "mean test accuracy"],
        [
            [
                name,
                spread(values),
                spread(ratios(times["handgrad"], values)),
                f"{statistics.mean(accuracy[name]):.2f} %",
            ]
            for name, values in times.items()
        ],
    )
    report.data |= {"seconds": times, "test accuracy": accuracy}
    report.finish()


def commands(
    parts: Parts, folder: Path, settings: list[str], threads: int
) -> dict[str, Callable[[str], list[str]]]:
    """The command of each program, of a seed; what the peers need is written into `folder`."""
    config, sets = parts.config, parts.sets
    fitted = Standardize.fit(sets.train.x)
    arrays = folder / "digits.npz"
    np.savez(
        arrays,
        x=fitted.apply(sets.train.x),
        y=sets.train.y,
        x_test=fitted.apply(sets.test.x),
        y_test=sets.test.y,
    )
    batch, hidden, penalty = config.solver.batch_size, tuple(config.net.hidden), config.loss.l2
    same = {
        "lr": config.optim.lr,
        "momentum": config.optim.momentum,
        "batch": batch,
        "epochs": config.solver.epochs,
    }
    scripts = {
        # scikit-learn's penalty is alpha / (2 batch) Σ W², PyTorch's decay / 2 Σ W², ours λ Σ W².
        "scikit-learn": SKLEARN.format(hidden=hidden, alpha=2 * batch * penalty, **same),
        "torch": TORCH.format(
            sizes=(sets.train.n_features, *hidden, sets.train.n_classes),
            decay=2 * penalty,
            threads=threads,
            **same,
        ),
    }
    more = [word for setting in settings for word in ("--set", setting)]
    made: dict[str, Callable[[str], list[str]]] = {
        "handgrad": lambda seed: [
            *("-m", "solver", "--config", CONFIG, "--seed", seed, *more),
            *("--out", f"{folder}/run{seed}"),
        ]
    }
    for name, text in scripts.items():
        script = folder / f"{name}_job.py"  # `torch.py` would be imported for torch
        script.write_text(text, encoding="utf-8")
        made[name] = partial(_script, str(script), str(arrays))
    return made


def _script(script: str, arrays: str, seed: str) -> list[str]:
    return [script, arrays, seed]


def timed(command: list[str], threads: int) -> tuple[float, float]:
    """How long a process takes, and the test accuracy that it prints, in percent."""
    limits = {f"{library}_NUM_THREADS": str(threads) for library in ("OPENBLAS", "OMP", "MKL")}
    start = time.perf_counter()
    out = subprocess.run(
        [sys.executable, *command],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | limits,
    ).stdout
    seconds = time.perf_counter() - start
    found = re.search(r"test\s+accuracy ([\d.]+)( %)?", out)
    if found is None:
        raise SystemExit(f"no accuracy in what it printed: {out}")
    return seconds, float(found[1]) * (1 if found[2] else 100)


if __name__ == "__main__":
    main()
