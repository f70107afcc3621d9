"""The whole digits job as a process, imports included, beside scikit-learn's MLPClassifier.

python -m benchmarks.whole_job [--pairs 15]

Both processes train a 64-100-10 ReLU network on the same training samples with SGD, momentum 0.9,
the same batch size, penalty and number of epochs, and measure the test accuracy. Ours also reads
its configuration, evaluates on the validation set after each epoch, keeps the best weights and
writes a run's folder, with pictures if the `plots` extra is installed (which costs more than the
training; for a plain comparison run this without it). The pairs are interleaved, each with a seed
of its own; the medians and the ratio are printed. Needs the `test` extra (scikit-learn).
"""

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from data import Standardize
from experiment.build import build
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


def main() -> None:
    """Run the pairs and print the medians."""
    parser = argparse.ArgumentParser(description="Whole-process time beside scikit-learn.")
    parser.add_argument("--pairs", type=int, default=15)
    pairs = parser.parse_args().pairs
    parts = build(read(CONFIG))
    config, sets = parts.config, parts.sets
    fitted = Standardize.fit(sets.train.x)
    with tempfile.TemporaryDirectory() as folder:
        arrays, script = Path(folder) / "digits.npz", Path(folder) / "sklearn_job.py"
        np.savez(
            arrays,
            x=fitted.apply(sets.train.x),
            y=sets.train.y,
            x_test=fitted.apply(sets.test.x),
            y_test=sets.test.y,
        )
        batch = config.solver.batch_size
        script.write_text(
            SKLEARN.format(
                hidden=tuple(config.net.hidden),
                lr=config.optim.lr,
                momentum=config.optim.momentum,
                # scikit-learn's penalty is alpha / (2 batch) Σ W², ours λ Σ W².
                alpha=2 * batch * config.loss.l2,
                batch=batch,
                epochs=config.solver.epochs,
            )
        )
        times: dict[str, list[float]] = {"handgrad": [], "scikit-learn": []}
        accuracy: dict[str, list[float]] = {"handgrad": [], "scikit-learn": []}
        for pair in range(pairs + 1):  # the first warms the file cache
            seed, out = str(pair), f"{folder}/run{pair}"
            commands = {
                "handgrad": ["-m", "solver", "--config", CONFIG, "--seed", seed, "--out", out],
                "scikit-learn": [str(script), str(arrays), seed],
            }
            for name, command in commands.items():
                seconds, right = timed([sys.executable, *command])
                if pair:
                    times[name].append(seconds)
                    accuracy[name].append(right)
    plots = "with" if available() else "without"
    print(f"{platform.machine()}, {os.cpu_count()} cores, {pairs} pairs, {plots} the plots extra")
    for name, values in times.items():
        print(
            f"{name:13} median {statistics.median(values):.3f} s "
            f"({min(values):.2f}–{max(values):.2f}), "
            f"mean test accuracy {statistics.mean(accuracy[name]):.2f} %"
        )
    ratios = [a / b for a, b in zip(times["handgrad"], times["scikit-learn"], strict=True)]
    spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
    print(f"ratio         median {statistics.median(ratios):.2f} ({spread})")


def timed(command: list[str]) -> tuple[float, float]:
    """How long a process takes, and the test accuracy that it prints, in percent."""
    start = time.perf_counter()
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds = time.perf_counter() - start
    found = re.search(r"test\s+accuracy ([\d.]+)( %)?", out)
    if found is None:
        raise ValueError(f"no accuracy in what it printed: {out}")
    return seconds, float(found[1]) * (1 if found[2] else 100)


if __name__ == "__main__":
    main()
