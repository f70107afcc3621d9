"""The time of a training step beside its floor and other programs.

python -m benchmarks.step [--threads 2] [--rounds 9] [--shapes digits mnist …] [--programs …]

The floor of a step is its matrix products and the gather of its batch. All programs train the same
net on the same batches, from the same weights; their losses over the first epoch must agree before
anything is timed. Rounds are interleaved in one process; a cell is the median of the rounds' time
per step in µs, and the ratio is the median of the rounds' ratios to ours.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of a training step beside other programs.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--shapes", nargs="*")
    parser.add_argument("--programs", nargs="*")
    options = parser.parse_args()
    if options.threads == 1:  # before JAX starts
        os.environ["XLA_FLAGS"] = (
            "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        )
    from threadpoolctl import threadpool_limits

    from benchmarks.programs import SHAPES

    with threadpool_limits(options.threads):
        print(f"{options.threads} threads, {options.rounds} interleaved rounds, µs per step")
        for name in options.shapes or SHAPES:
            compare(name, options)


def programs(job: Any, wanted: list[str] | None, threads: int) -> dict[str, Any]:
    """The programs that are installed, by name."""
    from benchmarks import programs as all_programs

    makers = {
        "floor": lambda: all_programs.Floor(job),
        "handgrad": lambda: all_programs.Handgrad(job),
        "bare": lambda: all_programs.Bare(job),
        "torch": lambda: all_programs.Torch(job),
        "torch fused": lambda: all_programs.Torch(job, fused=True),
        "torch compile": lambda: all_programs.Torch(job, compiled=True),
        "jax step": lambda: all_programs.Jax(job),
        "jax scan": lambda: all_programs.Jax(job, scan=True),
        "scikit-learn": lambda: all_programs.ScikitLearn(job),
    }
    made = {}
    for name, make in makers.items():
        if wanted and name not in wanted:
            continue
        try:
            made[name] = make()
        except ImportError as error:
            print(f"{name}: not installed ({error})", file=sys.stderr)
    if any(name.startswith("torch") for name in made):
        import torch

        torch.set_num_threads(threads)
    return made


def compare(name: str, options: Any) -> None:
    from benchmarks.programs import SHAPES, Job

    job = Job.make(SHAPES[name])
    made = programs(job, options.programs, options.threads)
    first = {key: program.run(job.orders(0, 0)) for key, program in made.items()}
    ours = first.get("handgrad", first.get("bare"))
    for key, loss in first.items():
        if key == "floor" or ours is None:
            continue
        if abs(loss - ours) > 1e-3 * abs(ours):
            print(f"{name}: {key} has loss {loss:.6f}, ours {ours:.6f}: not the same work")
    times: dict[str, list[float]] = {key: [] for key in made}
    orders = job.orders(0, 0)
    for _ in range(options.rounds):
        for key, program in made.items():
            start = time.perf_counter()
            program.run(orders)
            times[key].append((time.perf_counter() - start) / job.shape.steps * 1e6)
    reference = times.get("handgrad") or next(iter(times.values()))
    cells = []
    for key, values in times.items():
        ratios = [a / b for a, b in zip(values, reference, strict=True)]
        cells.append(
            f"  {key:13} {statistics.median(values):9.1f}   ×{statistics.median(ratios):.2f} "
            f"({min(ratios):.2f}–{max(ratios):.2f})"
        )
    print(f"{name}: batch {job.shape.batch}, {'-'.join(map(str, job.shape.sizes))}")
    print("\n".join(cells), flush=True)


if __name__ == "__main__":
    main()
