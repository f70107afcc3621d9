"""The time of an optimizer's update beside PyTorch's, fused and default.

python -m benchmarks.updates [--threads 2] [--rounds 9] [--sizes 1e4 1e5 …] [--large] [--out DIR]

Each rule updates one vector of so many float32 parameters, of which all are decayed in AdamW; with
one thread, and with `--threads`. Where Numba is installed, handgrad's rule is a compiled loop from
100,000 parameters on (but for plain SGD), and *NumPy alone* is the same rule without. The
parameters must agree after three updates before anything is timed, and each round begins with two
that are not. A cell is the median of the interleaved rounds in µs; `--large` adds 1e8 parameters
(about 6 GB are needed).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.table import (
    Report,
    Times,
    geometric_mean,
    installed,
    interleaved,
    limit_threads,
    micro,
    parser,
    peers,
    plain_numbers,
    ratios,
    spread,
    summary,
    tell,
)
from optim import SGD, Adam, AdamW

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
LARGE = 100_000_000
RATE = 1e-3
ENTRIES = 50_000_000  # updated in one round, so that a round is long enough
AWAKE = 2  # updates before the clock starts: threads that slept in the pause are at work then
CHECKED_UPDATES = 3

RULES: dict[str, Callable[[], Any]] = {
    "SGD": lambda: SGD(RATE),
    "momentum": lambda: SGD(RATE, momentum=0.9),
    "Adam": lambda: Adam(RATE),
    "AdamW": lambda: AdamW(RATE, weight_decay=0.01),
}


class Ours:
    """An optimizer of this project on one vector."""

    def __init__(self, rule: str, theta: Any, grad: Any, compiled: bool = True) -> None:
        self.theta, self.grad = theta.copy(), grad
        self.optimizer = RULES[rule]()
        if not compiled:
            self.optimizer.loop = None

    def run(self, updates: int) -> None:
        for _ in range(updates):
            self.optimizer.update(self.theta, self.grad)


class Torch:
    """An optimizer of PyTorch on one tensor."""

    def __init__(self, rule: str, theta: Any, grad: Any, fused: bool | None) -> None:
        import torch

        parameter = torch.nn.Parameter(torch.from_numpy(theta.copy()))
        parameter.grad = torch.from_numpy(grad)
        kinds: dict[str, tuple[Any, dict[str, float]]] = {
            "SGD": (torch.optim.SGD, {}),
            "momentum": (torch.optim.SGD, {"momentum": 0.9}),
            "Adam": (torch.optim.Adam, {}),
            "AdamW": (torch.optim.AdamW, {"weight_decay": 0.01}),
        }
        kind, settings = kinds[rule]
        self.optimizer = kind([parameter], lr=RATE, fused=fused, **settings)
        self.theta = parameter.detach().numpy()

    def run(self, updates: int) -> None:
        for _ in range(updates):
            self.optimizer.step()


def main() -> None:
    made = parser("updates", __doc__, rounds=9, with_peers=True)
    made.add_argument("--sizes", nargs="*", type=size, default=list(SIZES))
    made.add_argument("--rules", nargs="*", choices=RULES, default=list(RULES))
    made.add_argument("--large", action="store_true", help="1e8 parameters, too")
    options = made.parse_args()
    there = peers(options, "torch")
    report = Report("updates", options)
    report.line(f"{options.rounds} interleaved rounds, µs per update")
    sizes = [*options.sizes, *([LARGE] if options.large else [])]
    report.data["seconds per update"] = found = {
        rule: {
            n: {t: measure(rule, n, t, options.rounds, there) for t in counts(options)}
            for n in sizes
        }
        for rule in options.rules
    }
    table(report, found)
    report.finish(lambda figure: plot(figure, found, options.threads))


def size(text: str) -> int:
    """1e6, or 1000000."""
    value = int(float(text))
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}: expected 1 or more")
    return value


def counts(options: Any) -> list[int]:
    """One thread, and as many as were asked for."""
    return sorted({1, options.threads})


def measure(rule: str, n: int, threads: int, rounds: int, there: list[str]) -> Times:
    """The seconds of one update, round by round."""
    tell(f"{rule}, {n:,} parameters, {threads} threads")
    limit_threads(threads, there)
    rng = np.random.default_rng(0)
    theta = rng.standard_normal(n, np.float32)
    grad = rng.standard_normal(n, np.float32)
    programs: dict[str, Any] = {"handgrad": Ours(rule, theta, grad)}
    if installed("numba"):
        programs["NumPy alone"] = Ours(rule, theta, grad, compiled=False)
    if "torch" in there:
        programs["torch fused"] = Torch(rule, theta, grad, True)
        programs["torch default"] = Torch(rule, theta, grad, None)
    for name, program in programs.items():
        program.run(CHECKED_UPDATES)
        apart = float(np.abs(program.theta - programs["handgrad"].theta).max())
        if not apart <= 1e-2 * RATE:
            raise SystemExit(f"{rule}: {name} does another update, parameters {apart:.1e} apart")
    updates = max(1, ENTRIES // n)

    def runner(program: Any) -> Callable[[], float]:
        def run() -> float:
            program.run(AWAKE)
            start = time.perf_counter()
            program.run(updates)
            return time.perf_counter() - start

        return run

    runners = {name: runner(program) for name, program in programs.items()}
    return interleaved(runners, rounds, per=updates)


def table(report: Report, found: Any) -> None:
    names = list(dict.fromkeys(key for s in found.values() for t in s.values() for c in t.values()
                               for key in c))  # fmt: skip
    peers_of = [name for name in names if name != "handgrad"]
    rows, means = [], {name: [] for name in peers_of}  # type: ignore[var-annotated]
    for rule, by_size in found.items():
        for n, by_threads in by_size.items():
            for threads, times in by_threads.items():
                over = {k: ratios(times["handgrad"], times[k]) for k in peers_of}
                for name, values in over.items():
                    means[name].append(summary({name: values})[name])
                cells = [micro(times[name]) for name in names]
                rows.append([rule, f"{n:,}", str(threads), *cells, *map(spread, over.values())])
    head = ["rule", "parameters", "threads", *names, *(f"ours / {k}" for k in peers_of)]
    report.table(head, rows)
    for name, values in means.items():
        report.line(f"Ours over {name}, geometric mean: {geometric_mean(values):.2f}")


def plot(figure: Any, found: Any, threads: int) -> None:
    """A panel a rule: time per parameter against their number."""
    for i, (rule, by_size) in enumerate(found.items()):
        axes = figure.add_subplot(1, len(found), i + 1)
        for name in next(iter(by_size.values()))[threads]:
            values = [1e9 * summary(by_size[n][threads])[name] / n for n in by_size]
            axes.plot(list(by_size), values, marker="o", label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)
        axes.set_title(rule)
        axes.set_xlabel("parameters")
        if i == 0:
            axes.set_ylabel(f"ns per parameter, {threads} threads")
            axes.legend(fontsize="small")


if __name__ == "__main__":
    main()
