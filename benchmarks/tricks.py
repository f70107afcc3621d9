"""What each trick of the training step saves, measured by switching it off.

python -m benchmarks.tricks [--threads 2] [--rounds 15] [--shapes digits mnist wide slide deep]
                            [--tricks …] [--out DIR]

Each trick is switched off from outside, by a patch that lives in this file alone. A round times one
epoch through the real Solver, but for its evaluation, with everything on, then without the trick
(every other round the other way round). A cell is what a step saves: µs, and percent of the step
without the trick, each the median of the rounds with their spread. Both must reach the same loss
in 20 steps first, but for the order of the samples. What is below 0, or within its spread of it,
saves nothing at that shape.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

import blas
import layers.base
import layers.linear
import layers.relu
import layers.tape
import layers.vector
import losses.classes
import optim.base
import optim.compiled
import solver
from benchmarks.programs import SHAPES, Handgrad, Job
from benchmarks.step import CHECKED_STEPS, DEEP, LOSS_AGREES
from benchmarks.table import (
    Report,
    installed,
    interleaved,
    limit_threads,
    parser,
    positive,
    spread,
    tell,
)

HUGE = 2**40
Off = Callable[[], Any]  # a context manager: while inside, the trick is off


# -- the tricks, off -----------------------------------------------------------------------


def by_layers() -> Any:
    """The layers make the calls of every step, not of an epoch's first alone."""
    return patch.object(layers.Sequential, "replays", False)


def long_calls() -> Any:
    """A call is made again as it was made first, with the function around it."""

    def again(operation: Any) -> Any:
        return blas.prepared if operation is blas.matmul else None

    return patch.object(layers.tape, "again", again)


def multiplied_out() -> Any:
    """Each dW is multiplied out, and taken from W by the update."""
    return patch.object(layers.vector.ParameterVector, "_can_put_off", lambda self: False)


def whole_products() -> Any:
    """A product is made on both threads together, as the BLAS does it, however large."""
    return patch.object(blas.products, "halved", lambda A, B: None)


def as_numpy_begins() -> Any:
    """Arrays begin where NumPy puts them: large ones 16 bytes after the beginning of a line."""
    return patch.object(blas.places, "LINE", 1)


@contextmanager
def copied_gradients() -> Iterator[None]:
    """Layers write gradients into arrays of their own, which are copied into the vector."""

    def without_places(places: Any, *rest: Any) -> Any:
        return layers.tape.Room({}, *rest)

    with patch.object(layers.vector, "Room", without_places):
        yield


def first_dx() -> Any:
    """The first layer computes its dx, too."""

    def parameter_gradients(self: Any, dout: Any) -> Any:
        return self.backward(dout)[1]

    return patch.object(layers.Sequential, "parameter_gradients", parameter_gradients)


def whole_update() -> Any:
    """Each operation of the update passes over the whole vector."""
    return patch.object(optim.base, "BLOCK_BYTES", HUGE)


def vector_operations() -> Any:
    """The update rule is its vector operations, however many the parameters."""
    return patch.object(optim.Optimizer, "loop_from", HUGE)


def on_one_thread() -> Any:
    """The compiled loop runs on one thread, however long the vectors."""
    return patch.object(optim.compiled, "LEAST_PART", HUGE)


def penalty_gradient() -> Any:
    """The penalty's gradient is made and added, instead of making the weights smaller."""

    def absorb(self: Any, penalties: Any, dtype: Any) -> Any:
        self._shrink = 1.0
        return penalties

    return patch.object(optim.SGD, "absorb", absorb)


def numpy_alone() -> Any:
    """The update's sums are NumPy's."""
    return patch.object(blas.sums, "FEW", HUGE)


def results_apart() -> Any:
    """Every result of a step has an array of its own."""
    into = layers.base.Layer.into

    def apart(self: Any, name: str, operation: Any, *operands: Any, over: Any = None) -> Any:
        return into(self, name, operation, *operands)

    return patch.object(layers.base.Layer, "into", apart)


def number_zero() -> Any:
    """ReLU compares with the number 0."""
    return patch.object(layers.relu, "constant", lambda value, shape, dtype: dtype.type(value))


def summed_rows() -> Any:
    """db is NumPy's sum over the rows."""

    def dot(_: Any, dout: Any, out: Any = None) -> Any:
        return np.add.reduce(dout, axis=0, out=out)

    numpy = SimpleNamespace(matmul=np.matmul, add=np.add, dot=dot)
    return patch.object(layers.linear, "np", numpy)


def samples_first() -> Any:
    """The loss works on scores laid out as they come, (N, C)."""
    return patch.object(losses.classes, "FEW_CLASSES", 0)


@contextmanager
def drawn_each_step() -> Iterator[None]:
    """Each step draws the indices of its batch, as in the lecture's loop."""
    rng, in_order = np.random.default_rng(0), solver.batches

    def batches(order: Any, batch_size: int) -> Iterator[Any]:
        if batch_size == solver.EVALUATION_BATCH:
            return in_order(order, batch_size)
        return (rng.choice(len(order), batch_size) for _ in range(0, len(order), batch_size))

    with patch.object(solver, "batches", batches):
        yield


def fancy_gather() -> Any:
    """The batch is x[index], a new array, its indices checked, and copied into its room."""

    def gather(x: Any, index: Any, out: Any = None) -> Any:
        if out is None:
            return x[index]
        out[...] = x[index]
        return out

    return patch.object(solver, "gather", gather)


TRICKS: dict[str, Off] = {
    "calls played again": by_layers,
    "shorter calls": long_calls,
    "W − xᵀ dout in one call": multiplied_out,
    "products in halves": whole_products,
    "arrays that begin at a cache line": as_numpy_begins,
    "gradients written in place": copied_gradients,
    "no dx for the first layer": first_dx,
    "rule as a compiled loop": vector_operations,
    "the loop on all threads": on_one_thread,
    "blocked update": whole_update,
    "the penalty as a factor": penalty_gradient,
    "sums of vectors by the BLAS": numpy_alone,
    "ReLU over what it was given": results_apart,
    "ReLU with an array of zeros": number_zero,
    "db as a product with ones": summed_rows,
    "classes-first loss": samples_first,
    "order drawn once per epoch": drawn_each_step,
    "gather straight into its room": fancy_gather,
}

# What is off on both sides of the pair: another trick that leaves this one nothing to save.
BESIDE: dict[str, Off] = {
    "calls played again": multiplied_out,
    "gradients written in place": by_layers,
    "blocked update": vector_operations,
    "the penalty as a factor": multiplied_out,
    "sums of vectors by the BLAS": multiplied_out,
}
# Whose rule is seven operations; plain SGD's is one.
WITH_ADAM = {"rule as a compiled loop", "the loop on all threads", "blocked update"}
NEEDS_NUMBA = {"rule as a compiled loop", "the loop on all threads"}
WHEN_MADE = {"arrays that begin at a cache line"}  # at work when the network is made, too
OTHER_SAMPLES = {"order drawn once per epoch"}

# -- measured ------------------------------------------------------------------------------


def main() -> None:
    made = parser("tricks", __doc__, rounds=15)
    made.add_argument(
        "--shapes", nargs="*", choices=SHAPES, default=["digits", "mnist", "wide", "slide", "deep"]
    )
    made.add_argument("--tricks", nargs="*", choices=TRICKS, default=list(TRICKS))
    made.add_argument("--steps", type=positive, help="of an epoch, instead of each shape's own")
    made.add_argument("--budget", type=float, default=25, help="seconds a trick and shape (25)")
    options = made.parse_args()
    if not installed("numba"):
        tell("numba is not installed: what it compiles is left out")
        options.tricks = [trick for trick in options.tricks if trick not in NEEDS_NUMBA]
    limit_threads(options.threads)
    report = Report("tricks", options)
    report.line(f"{options.rounds} interleaved pairs; what a step saves: µs; % of it without")
    cells: dict[str, list[str]] = {name: [] for name in options.tricks}
    report.data["seconds per step"] = {}
    for name in options.shapes:
        shape = SHAPES[name]
        job = Job.make(shape._replace(steps=options.steps or shape.steps))
        found = report.data["seconds per step"][name] = {}
        for trick in options.tricks:
            times = found[trick] = measure(trick, job, options)
            saved = [1e6 * (b - a) for a, b in zip(times["on"], times["off"], strict=True)]
            share = [100 * (b - a) / b for a, b in zip(times["on"], times["off"], strict=True)]
            cells[trick] += [spread(saved, 1), f"{spread(share, 1)} %"]
            tell(f"{name}: {trick}: {statistics.median(share):.1f} %")
    head = [f"{name} {unit}" for name in options.shapes for unit in ("µs", "%")]
    report.table(["trick", *head], [[trick, *row] for trick, row in cells.items()])
    report.finish()


def measure(trick: str, job: Job, options: Any) -> dict[str, list[float]]:
    """The seconds of a step with the trick on and off, pair by pair."""
    orders = job.orders()
    programs: dict[str, Handgrad] = {}
    for side in ("on", "off"):
        with TRICKS[trick]() if side == "off" and trick in WHEN_MADE else nullcontext():
            rule = optim.Adam(1e-4) if trick in WITH_ADAM else None
            programs[side] = Handgrad(job, optimizer=rule)

    def runner(side: str) -> Callable[..., float]:
        def run(orders: Any = orders) -> float:
            with ExitStack() as inside:
                if trick in BESIDE:
                    inside.enter_context(BESIDE[trick]())
                if side == "off":
                    inside.enter_context(TRICKS[trick]())
                return float(programs[side].run(orders)) + programs[side].between

        return run

    runners = {side: runner(side) for side in programs}
    for run in runners.values():
        run(job.orders(CHECKED_STEPS))
    on, off = (programs[side].data_loss for side in ("on", "off"))
    agrees = LOSS_AGREES * (DEEP if len(job.shape.sizes) > 5 else 1)
    if trick not in OTHER_SAMPLES and not abs(on - off) <= agrees * abs(on):
        raise SystemExit(f"{trick}: without it the loss is {off:.7f}, with it {on:.7f}")
    return interleaved(runners, options.rounds, per=len(orders), budget=options.budget)


if __name__ == "__main__":
    main()
