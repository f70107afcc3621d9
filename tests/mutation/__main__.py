"""Mutation testing of the gradient checker: break a line of it, and a test must fail.

    python -m tests.mutation gradcheck/oracle.py --sample 20 --seed 1

makes mutants of one file (see `mutants`), runs the tests that concern the file on each, in a
temporary copy of the repository (see `trial`), and prints the survivors and the score. A timeout
counts as caught. `accepted.toml` lists survivors that cannot matter, each with its reason; they
are left out of the count, and so need no trial. It is slow, and no part of the test run.
"""

import argparse
import contextlib
import random
import time
import tomllib
from pathlib import Path

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.trial import ROOT, Trial

SUMMARY = (__doc__ or "").splitlines()[0]
ACCEPTED = Path(__file__).with_name("accepted.toml")


def accepted(source: Path) -> dict[str, str]:
    """The changes to one file that need not be noticed, and why."""
    lists = tomllib.loads(ACCEPTED.read_text()).get(source.name, [])
    return {entry["change"]: entry["reason"] for entry in lists}


def listed(text: str) -> list[int]:
    """The numbers in a text such as 3,17."""
    return [int(word) for word in text.split(",")]


def numbers_of(
    found: list[Mutant], known: dict[str, str], options: argparse.Namespace
) -> list[int]:
    """Which mutants to try: those named, or a sample of all that are not accepted."""
    if options.only:
        return sorted({n for n in options.only if 0 <= n < len(found)})
    order = list(range(len(found)))
    random.Random(options.seed).shuffle(order)  # so a larger sample holds the smaller one
    return sorted([n for n in order if found[n].change not in known][: options.sample])


def survivors(trial: Trial, source: Path, found: list[Mutant], numbers: list[int]) -> int:
    """Try mutants of one file, and tell of each; the number that nothing noticed."""
    trial.take(source)
    print(f"{source}: {len(numbers)} of {len(found)} mutants", flush=True)
    lived = 0
    for n in numbers:
        start = time.perf_counter()
        told = trial.caught(found[n].source())
        lived += told is None
        what = "SURVIVED" if told is None else "caught"
        end = f"({time.perf_counter() - start:.0f} s) {told or ''}".strip()
        print(f"{what} {n} {source}:{found[n].line} {found[n].change} {end}", flush=True)
    print(f"{source}: {len(numbers) - lived} of {len(numbers)} caught", flush=True)
    return lived


def main() -> int:
    """Try mutants of each file given; exit code 1 when one survives."""
    words = argparse.ArgumentParser(prog="python -m tests.mutation", description=SUMMARY)
    words.add_argument("files", type=Path, nargs="+", help="such as gradcheck/oracle.py")
    words.add_argument("--sample", type=int, help="try so many of each file, chosen at random")
    words.add_argument("--seed", type=int, default=0, help="of the choice (default 0)")
    words.add_argument("--only", type=listed, help="try these alone, by number, as in 3,17")
    words.add_argument("--quick", action="store_true", help="run test_FILE*.py alone")
    words.add_argument("--list", action="store_true", help="print the mutants, try none")
    options = words.parse_args()
    for path in options.files:
        inside = (ROOT / path).resolve().is_relative_to(ROOT)
        if not (inside and (ROOT / path).is_file() and path.suffix == ".py"):
            words.error(f"{path} is no source file of the repository")
    lived = 0
    with contextlib.nullcontext() if options.list else Trial(options.quick) as trial:
        for path in options.files:
            source = (ROOT / path).resolve().relative_to(ROOT)
            found = mutants(((trial.folder if trial else ROOT) / source).read_text())
            known = accepted(source)
            for change in sorted(known.keys() - {mutant.change for mutant in found}):
                print(f"accepted, but no longer a mutant of {source}: {change}")
            numbers = numbers_of(found, known, options)
            if trial is None:
                for n in numbers:
                    print(f"{n:4} {source}:{found[n].line} {found[n].change}")
            else:
                lived += survivors(trial, source, found, numbers)
    return 1 if lived else 0


if __name__ == "__main__":
    raise SystemExit(main())
