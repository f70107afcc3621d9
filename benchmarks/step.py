"""The time of a training step beside its floor and other programs.

python -m benchmarks.step [--threads 2] [--rounds 9] [--shapes digits mnist …] [--programs …]
                          [--budget 60] [--out DIR]

The floor of a step is its matrix products and the gather of its batch. All programs train the same
net on the same batches, from the same weights; their weights after 20 steps, and the loss of these,
must agree before anything is timed. Rounds are interleaved in one process; a cell is the median of
the rounds' time per step in µs and, in brackets, its ratio to the floor.
"""

from __future__ import annotations

import signal
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks import programs as all_programs
from benchmarks.programs import SHAPES, Job
from benchmarks.table import (
    Report,
    Times,
    geometric_mean,
    interleaved,
    limit_threads,
    micro,
    parser,
    peers,
    plain_numbers,
    positive,
    ratios,
    spread,
    tell,
)

CHECKED_STEPS = 20
LOSS_AGREES = 1e-5  # relative
CHANGE_AGREES = 5e-3  # of the weights' change; without the penalty it would be several times that
DEEP = 20  # times as far apart through eight layers of ReLU, which amplify rounding
COMPILE_SECONDS = 60

MAKERS: dict[str, tuple[str, Callable[[Job], Any]]] = {
    "floor": ("", all_programs.Floor),
    "handgrad": ("", all_programs.Handgrad),
    "bare": ("", all_programs.Bare),
    "by hand": ("", all_programs.ByHand),
    "torch": ("torch", all_programs.Torch),
    "torch fused": ("torch", lambda job: all_programs.Torch(job, fused=True)),
    "torch compile": ("torch", lambda job: all_programs.Torch(job, fused=True, compiled=True)),
    "jax step": ("jax", all_programs.Jax),
    "jax scan": ("jax", lambda job: all_programs.Jax(job, scan=True)),
    "scikit-learn": ("scikit-learn", all_programs.ScikitLearn),
}


def main() -> None:
    made = parser("step", __doc__, rounds=9, with_peers=True)
    made.add_argument("--shapes", nargs="*", choices=SHAPES, default=list(SHAPES))
    made.add_argument("--programs", nargs="*", choices=MAKERS, default=list(MAKERS))
    made.add_argument("--steps", type=positive, help="of an epoch, instead of each shape's own")
    made.add_argument("--budget", type=float, default=60, help="seconds of rounds a shape (60)")
    options = made.parse_args()
    wanted = dict.fromkeys(MAKERS[name][0] for name in options.programs)
    there = peers(options, *(package for package in wanted if package))
    limit_threads(options.threads, there)
    names = [name for name in options.programs if MAKERS[name][0] in ("", *there)]
    report = Report("step", options)
    report.line(f"{options.rounds} interleaved rounds, median µs per step (ratio to the floor)")
    found: dict[str, Times] = {}
    for shape in options.shapes:
        found[shape] = measure(shape, names, options)
    tables(report, found, names)
    report.finish(lambda figure: plot(figure, found, names))


def measure(name: str, names: list[str], options: Any) -> Times:
    """The seconds per step of each program at this shape, round by round."""
    shape = SHAPES[name]
    if options.steps:
        shape = shape._replace(steps=options.steps)
    job, made = Job.make(shape), {}
    for key in names:
        tell(f"{name}: {key}")
        program = started(key, job)
        if program is not None:
            made[key] = program
    check(name, job, made)
    orders = job.orders()
    once: list[tuple[float, float]] = []  # an epoch of ours: evaluation, the rest

    def runner(program: Any) -> Callable[[], float]:
        def run() -> float:
            seconds = float(program.run(orders))
            if type(program) is all_programs.Handgrad:
                once.append((program.evaluation, program.between))
            return seconds

        return run

    for program in made.values():  # the epoch's own length is compiled, the buffers are made
        program.run(orders)
    times = interleaved(
        {key: runner(program) for key, program in made.items()},
        options.rounds,
        per=shape.steps,
        budget=options.budget,
    )
    tell("  " + ", ".join(f"{key} {micro(values)}" for key, values in times.items()))
    if once:
        evaluation, rest = ([seconds] for seconds in np.median(once, axis=0))
        tell(f"  (once an epoch: evaluation {micro(evaluation)} µs, the rest {micro(rest)} µs)")
    return times


def started(key: str, job: Job) -> Any:
    """A program that has run the first 20 steps, which compiles it; None if it cannot."""
    try:
        with at_most(COMPILE_SECONDS if "compile" in key else 0):
            program = MAKERS[key][1](job)
            program.run(job.orders(CHECKED_STEPS))
        return program
    except Exception as error:
        if "compile" not in key:
            raise
        lines = str(error).splitlines() or [""]
        tell(f"  left out: {type(error).__name__}: {lines[0]}")
        return None


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Raise TimeoutError after so many seconds; 0 is for ever."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"not compiled within {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def check(name: str, job: Job, made: dict[str, Any]) -> None:
    """Raise unless all programs have done the same work: the same weights after the same steps."""
    trained = {key: program for key, program in made.items() if hasattr(program, "parameters")}
    if not trained:
        return
    (first, ours), *_ = trained.items()
    change = changes(job, ours)
    loss = job.loss_of(ours.parameters(), CHECKED_STEPS)
    for key, program in trained.items():
        other = job.loss_of(program.parameters(), CHECKED_STEPS)
        apart = np.linalg.norm(changes(job, program) - change) / np.linalg.norm(change)
        slack = DEEP if len(job.shape.sizes) > 5 else 1
        if abs(other - loss) > slack * LOSS_AGREES * abs(loss) or apart > slack * CHANGE_AGREES:
            raise SystemExit(
                f"{name}: {key} does other work than {first}: after {CHECKED_STEPS} steps its loss "
                f"is {other:.7f} against {loss:.7f}, its weights' change {100 * apart:.2f} % apart"
            )


def changes(job: Job, program: Any) -> Any:
    """What training has changed in the weights and biases, as one vector in float64."""
    parts = []
    for first, (W, b) in zip(job.W, program.parameters(), strict=True):
        parts += [(np.asarray(W, np.float64) - first).ravel(), np.asarray(b, np.float64)]
    return np.concatenate(parts)


# -- the report ----------------------------------------------------------------------------


def tables(report: Report, found: dict[str, Times], names: list[str]) -> None:
    """Time and ratio to the floor; then each peer's time over ours."""
    base = "floor" if "floor" in names else names[0]
    rows = []
    for shape, times in found.items():
        batch, sizes, _ = SHAPES[shape]
        cells = [
            f"{micro(times[key])} (×{spread(ratios(times[key], times[base]))})"
            if key in times
            else "–"
            for key in names
        ]
        rows.append([shape, str(batch), layer_sizes(sizes), *cells])
    report.table(["shape", "batch", "sizes", *names], rows)
    report.data["seconds per step"] = found
    ours = "handgrad" if "handgrad" in names else base
    others = [key for key in names if key != ours]
    if not others:
        return
    report.line(f"Time over {ours}'s, median (spread) of the rounds' ratios; above 1 is slower.")
    rows = [
        [shape, *(spread(ratios(t[key], t[ours])) if key in t else "–" for key in others)]
        for shape, t in found.items()
    ]
    means = []
    for key in others:
        middles = [statistics.median(ratios(t[key], t[ours])) for t in found.values() if key in t]
        means.append(f"{geometric_mean(middles):.2f}" if middles else "–")
    report.table(["shape", *others], [*rows, ["geometric mean", *means]])


def layer_sizes(sizes: tuple[int, ...]) -> str:
    """784-128-10; 256-(256×8)-10 where many are alike."""
    inner = sizes[1:-1]
    if len(inner) > 3 and len(set(inner)) == 1:
        return f"{sizes[0]}-({inner[0]}×{len(inner)})-{sizes[-1]}"
    return "-".join(map(str, sizes))


def plot(figure: Any, found: dict[str, Times], names: list[str]) -> None:
    """Bars: each program's step over the floor, shape by shape."""
    axes = figure.add_subplot()
    base = "floor" if "floor" in names else names[0]
    shown = [key for key in names if key != base]
    width = 0.8 / max(len(shown), 1)
    for i, key in enumerate(shown):
        pairs = [(k, ratios(t[key], t[base])) for k, t in enumerate(found.values()) if key in t]
        middles = [statistics.median(r) for _, r in pairs]
        errors = [
            [m - min(r) for m, (_, r) in zip(middles, pairs, strict=True)],
            [max(r) - m for m, (_, r) in zip(middles, pairs, strict=True)],
        ]
        places = [k + (i - (len(shown) - 1) / 2) * width for k, _ in pairs]
        axes.bar(places, middles, width, yerr=errors, error_kw={"linewidth": 0.7}, label=key)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_yscale("log")
    plain_numbers(axes.yaxis)
    axes.set_xticks(range(len(found)), list(found))
    axes.set_ylabel(f"time of a step over the {base}'s")
    axes.legend(ncols=4, fontsize="small")


if __name__ == "__main__":
    main()
