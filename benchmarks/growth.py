"""How a step's cost grows with the batch N, the inputs D, the hidden units H and the depth.

python -m benchmarks.growth [--threads 2] [--rounds 7] [--steps 30] [--small] [--out DIR]

From one network (batch 128, 512-512-512-10) one size at a time is changed. The step through the
real Solver and its floor (the products and the gather) are timed in interleaved rounds; the
exponent p of seconds ~ sizeᵖ is fitted to each by least squares in log-log. Where the floor's is
below 1, a fixed part does not grow with that size: an exponent is of this range of sizes alone.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.programs import Floor, Handgrad, Job, Shape
from benchmarks.table import (
    Report,
    Times,
    interleaved,
    limit_threads,
    micro,
    parser,
    plain_numbers,
    positive,
    ratios,
    spread,
    summary,
    tell,
)

BATCH, INPUTS, HIDDEN, DEPTH, CLASSES = 128, 512, 512, 2, 10
AXES: dict[str, tuple[int, ...]] = {
    "N": (16, 64, 256, 1024),
    "D": (256, 512, 1024, 2048, 4096),
    "H": (64, 128, 256, 512, 1024),
    "depth": (1, 2, 4, 8, 16),
}


def shape(axis: str, value: int, steps: int, shrink: int = 1) -> Shape:
    """The base network with one size changed; `shrink` divides the sizes, for a quick look."""
    sizes = {"N": BATCH, "D": INPUTS, "H": HIDDEN, "depth": DEPTH} | {axis: value}
    hidden = sizes["depth"] * (sizes["H"] // shrink,)
    return Shape(sizes["N"] // shrink, (sizes["D"] // shrink, *hidden, CLASSES), steps)


def main() -> None:
    made = parser("growth", __doc__, rounds=7)
    made.add_argument("--axes", nargs="*", choices=AXES, default=list(AXES))
    made.add_argument("--steps", type=positive, default=30, help="of one timing (30)")
    made.add_argument("--small", action="store_true", help="an eighth of the sizes: a quick look")
    options = made.parse_args()
    limit_threads(options.threads)
    report = Report("growth", options)
    report.line(
        f"{options.rounds} interleaved rounds; µs per step, one size of "
        f"{BATCH}, {INPUTS}-({HIDDEN}×{DEPTH})-{CLASSES} changed at a time"
        f"{'; all sizes an eighth' if options.small else ''}"
    )
    report.data["seconds per step"] = found = {
        axis: {value: measure(axis, value, options) for value in AXES[axis]}
        for axis in options.axes
    }
    rows, fits = [], []
    for axis, by_value in found.items():
        for value, times in by_value.items():
            over = spread(ratios(times["handgrad"], times["floor"]))
            rows.append([f"{axis} = {value}", *(micro(times[k]) for k in times), over])
        fits.append([axis, *(f"{exponent(by_value, name):.2f}" for name in ("floor", "handgrad"))])
    report.table(["size", "floor", "handgrad", "over the floor"], rows)
    report.line("Exponents")
    report.table(["size", "floor", "handgrad"], fits)
    report.data["exponents"] = {row[0]: [float(row[1]), float(row[2])] for row in fits}
    report.finish(lambda figure: plot(figure, found))


def measure(axis: str, value: int, options: Any) -> Times:
    tell(f"{axis} = {value}")
    job = Job.make(shape(axis, value, options.steps, 8 if options.small else 1))
    orders = job.orders()
    programs = {"floor": Floor(job), "handgrad": Handgrad(job)}
    for program in programs.values():  # the first run makes the buffers
        program.run(orders)
    runners = {name: partial(program.run, orders) for name, program in programs.items()}
    return interleaved(runners, options.rounds, per=options.steps)


def exponent(by_value: dict[int, Times], name: str) -> float:
    """p of seconds ~ valueᵖ, by least squares in log-log."""
    seconds = [summary(times)[name] for times in by_value.values()]
    return float(np.polyfit(np.log(list(by_value)), np.log(seconds), 1)[0])


def plot(figure: Any, found: dict[str, dict[int, Times]]) -> None:
    """A panel an axis: µs per step against the size, ours and the floor's."""
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for axes, (axis, by_value) in zip(panels, found.items(), strict=True):
        for name in ("floor", "handgrad"):
            values = [1e6 * summary(times)[name] for times in by_value.values()]
            label = f"{name}, exponent {exponent(by_value, name):.2f}"
            axes.plot(list(by_value), values, marker="o", label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)
        axes.set_xticks(list(by_value), [f"{value:,}" for value in by_value], rotation=45)
        axes.set_xticks([], minor=True)
        axes.set_xlabel(axis)
        axes.legend(fontsize="small")
    panels[0].set_ylabel("µs per step")


if __name__ == "__main__":
    main()
