"""Memory of a training run, and a data set larger than the memory allowed, mapped from its file.

python -m benchmarks.memory [--threads 2] [--rounds 3] [--shapes mnist cifar3 wide slide]
                            [--megabytes 1024] [--limit 512] [--folder DIR] [--out DIR]

Each figure is of a fresh process (Linux only). First, training with Adam: the peak of resident
memory over that before the data were made, beside the sum of what must be held. Then uint8 images
of so many megabytes, 3072 bytes each, in a .npy file: an epoch with the images mapped, in a process
whose own memory (RLIMIT_DATA: all but mapped files; so much more than the libraries took) is
limited, beside one with the images read
into memory, without a limit; and that the latter does not start under it. The images stay uint8
until they are in a batch, where a Standardize layer makes them float32. Anonymous memory is what
the process has for itself; file pages are the mapped file's (and the libraries'), which the system
takes back when it wants them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.programs import SHAPES, Job, Shape, our_net
from benchmarks.table import (
    Report,
    installed,
    limit_threads,
    parser,
    positive,
    ratios,
    spread,
    tell,
)

MB = 2**20
SIDE = 3072  # bytes of an image
CLASSES = 10
HIDDEN = 50
BATCH = 200
EPOCHS = 3  # the first warms up
SAMPLED_EVERY = 0.01  # seconds, of /proc/self/status
PARTS = ("parameters", "gradient", "moments", "activations", "data", "copies", "evaluation")


def main() -> None:
    made = parser("memory", __doc__, rounds=3)
    made.add_argument(
        "--shapes", nargs="*", choices=SHAPES, default=["mnist", "cifar3", "wide", "slide"]
    )
    made.add_argument("--megabytes", type=positive, default=1024, help="of images (1024)")
    made.add_argument("--limit", type=positive, default=512, help="MB for a process (512)")
    made.add_argument("--folder", type=Path, help="for the file of images; a temporary one")
    made.add_argument("--child", nargs="*", help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.child:
        run_child(options)
        return
    if not sys.platform.startswith("linux"):
        raise SystemExit("benchmarks.memory reads /proc: expected Linux")
    report = Report("memory", options)
    peaks(report, options)
    mapped(report, options)
    report.finish()


def run_child(options: Any) -> None:
    """In a fresh process: print one line of JSON."""
    what, *rest = options.child
    limit_threads(options.threads)
    if what == "peak":
        print(json.dumps(peak(rest[0])))
    else:
        print(json.dumps(epochs(Path(rest[0]), what == "mapped", int(rest[1]))))


def child(options: Any, *what: str) -> dict[str, Any] | None:
    """What a fresh process measured; None if it had not enough memory."""
    threads = ["--threads", str(options.threads)]
    command = [sys.executable, "-m", "benchmarks.memory", *threads, "--child", *what]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "MemoryError" in done.stderr:
        return None
    if done.returncode:
        raise SystemExit(f"{' '.join(what)}: {done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


# -- what must be held ---------------------------------------------------------------------


def peaks(report: Report, options: Any) -> None:
    report.line("Peak of a training run with Adam beside the sum of what must be held, MB")
    rows = []
    report.data["peaks"] = {}
    for name in options.shapes:
        tell(f"peak of {name}")
        runs = [child(options, "peak", name) for _ in range(options.rounds)]
        runs = [run for run in runs if run is not None]
        report.data["peaks"][name] = runs
        held = runs[0]["held"]
        total = sum(held.values())
        measured = [run["peak"] / MB for run in runs]
        over = [run["peak"] / total for run in runs]
        cells = [f"{held[part] / MB:.1f}" for part in PARTS]
        rows.append([name, *cells, f"{total / MB:.1f}", spread(measured, 1), spread(over)])
    report.table(["shape", *PARTS, "sum", "peak", "peak / sum"], rows)
    report.line(
        "Copies: the batch, and the parameters before an epoch's last step, for the history. "
        "Evaluation: the inputs and outputs of up to 1,000 samples after an epoch."
    )
    if installed("numba"):
        numba = statistics.median(run["numba"] / MB for run in runs)
        report.line(f"Numba, and what it compiled, take {numba:.0f} MB besides.")


def peak(name: str) -> dict[str, Any]:
    """Bytes at the peak of training this shape, over those before, and what must be held."""
    train(Job.make(Shape(64, (64, 100, 10), 20)))  # libraries and the BLAS have theirs
    without = status()["VmRSS"]
    train(Job.make(Shape(64, (1100, 100, 10), 2)))  # and Numba, if it is there
    before = status()["VmRSS"]
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    job = Job.make(SHAPES[name])
    train(job)
    return {"peak": status()["VmHWM"] - before, "held": held(job), "numba": before - without}


def train(job: Job, epochs: int = 2) -> None:
    from losses import L2, SoftmaxCrossEntropy
    from losses.objective import Objective
    from optim import Adam
    from solver import Solver

    objective = Objective(our_net(job), SoftmaxCrossEntropy(), [L2(1e-4)])
    batch = job.shape.batch
    Solver(objective, Adam(), epochs=epochs, batch_size=batch, quiet=True).train((job.x, job.y))


def held(job: Job) -> dict[str, int]:
    """Bytes that training needs, counted from the sizes."""
    batch, sizes, _ = job.shape
    P = sum(W.size + W.shape[1] for W in job.W)
    hidden, evaluated = sum(sizes[1:-1]), min(len(job.y), 1000)
    # of a hidden unit: x W + b, its ReLU, one byte of mask, and the gradients of both
    activations = batch * (hidden * (4 * 4 + 1) + 3 * 4 * sizes[-1])
    return {
        "parameters": 2 * 4 * P,  # the job's first weights, and the network's
        "gradient": 4 * P,
        "moments": 2 * 4 * P,
        "activations": activations,
        "data": job.x.nbytes + job.y.nbytes,
        "copies": 4 * P + 4 * batch * sizes[0],
        "evaluation": 4 * evaluated * (2 * sizes[0] + 2 * max(sizes[1:])),
    }


# -- a data set larger than the limit ------------------------------------------------------


def mapped(report: Report, options: Any) -> None:
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "images.npy"
        tell(f"writing {options.megabytes} MB of images")
        samples = write_images(path, options.megabytes * MB)
        runs: dict[str, list[dict[str, Any]]] = {"mapped": [], "in memory": []}
        limits = {"mapped": str(options.limit), "in memory": "0"}
        for i in range(options.rounds):
            for name in list(runs)[:: -1 if i % 2 else 1]:
                tell(f"round {i + 1}: {name}")
                run = child(options, name.replace(" ", "-"), str(path), limits[name])
                if run is None:
                    raise SystemExit(f"{name}: does not fit into {limits[name]} MB")
                runs[name].append(run)
        refused = child(options, "in-memory", str(path), str(options.limit)) is None
    report.data["epochs"] = runs
    report.line(
        f"{samples:,} uint8 images of {SIDE} bytes, {options.megabytes} MB, in a .npy file; "
        f"{SIDE}-{HIDDEN}-{CLASSES}, batch {BATCH}; mapped with {options.limit} MB allowed"
    )
    rows = []
    for name, found in runs.items():
        rows.append(
            [
                name,
                limits[name] if name == "mapped" else "none",
                spread([run["seconds"] for run in found]),
                *(spread([run[key] / MB for run in found], 0) for key in ("RssAnon", "RssFile")),
            ]
        )
    head = ["images", "limit, MB", "seconds an epoch", "peak anonymous, MB", "peak file pages, MB"]
    report.table(head, rows)
    fast = ratios(*([run["seconds"] for run in runs[name]] for name in ("in memory", "mapped")))
    report.data["speed of mapped"] = fast
    report.line(
        f"Mapped runs at {spread(fast)} of the speed in memory. Under the limit the images in "
        f"memory {'do not fit: MemoryError' if refused else 'fit, too: take more megabytes'}."
    )


def write_images(path: Path, n_bytes: int) -> int:
    """Random images, written piece by piece; returns how many."""
    samples = max(BATCH, n_bytes // SIDE)
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (samples, SIDE))
    rng, step = np.random.default_rng(0), 4096
    for start in range(0, samples, step):
        piece = images[start : start + step]
        piece[...] = rng.integers(0, 256, piece.shape, np.uint8)
    images.flush()
    return samples


def epochs(path: Path, is_mapped: bool, limit: int) -> dict[str, float]:
    """Seconds of an epoch, and the most memory meanwhile, in bytes."""
    import resource

    from data.npy_file import read_npy_array
    from layers import Linear, ReLU, Sequential, Standardize
    from losses import SoftmaxCrossEntropy
    from losses.objective import Objective
    from optim import SGD
    from solver import Solver

    train(Job.make(Shape(64, (64, 100, 10), 20)))  # libraries and the BLAS have theirs
    if limit:
        allowed = int(status()["VmData"]) + limit * MB
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
    x = read_npy_array(path, mapped=is_mapped)
    y = np.random.default_rng(1).integers(0, CLASSES, len(x))
    net = Sequential(
        Standardize(np.full(SIDE, 127.5), np.full(SIDE, 74.0)),
        *(Linear(SIDE, HIDDEN, rng=0), ReLU(), Linear(HIDDEN, CLASSES, rng=1)),
    )
    ends: list[float] = []
    trainer = Solver(
        Objective(net, SoftmaxCrossEntropy()),
        SGD(0.01),
        epochs=EPOCHS,
        batch_size=BATCH,
        callbacks=[lambda *_: ends.append(time.perf_counter())],
        quiet=True,
    )
    with Watch() as watch:
        trainer.train((x, y))
    seconds = min(b - a for a, b in itertools.pairwise(ends))
    return {"seconds": seconds, **watch.peak}


class Watch:
    """The most of each kind of resident memory while inside."""

    def __enter__(self) -> Watch:
        self.peak = {"RssAnon": 0.0, "RssFile": 0.0}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._done.wait(SAMPLED_EVERY):
            now = status()
            self.peak = {key: max(value, now[key]) for key, value in self.peak.items()}

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def status() -> dict[str, float]:
    """The memory lines of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    pairs = (line.split(":", 1) for line in lines if line.endswith(" kB"))
    return {key: float(value.split()[0]) * 1024 for key, value in pairs}


if __name__ == "__main__":
    main()
