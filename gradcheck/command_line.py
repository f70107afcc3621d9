"""Check a layer in somebody's file: the options, the time limit, the exit code.

The file is loaded and checked in a process of its own (gradcheck/worker.py), so that code which
never ends, or ends the process, still gets one clear line.
"""

import argparse
import subprocess
import sys

RIGHT, WRONG, UNUSABLE, INCONCLUSIVE = 0, 1, 2, 3

EPILOG = """\
exit code: 0 right, 1 wrong, 2 the input cannot be used, 3 inconclusive

A file may declare its own cases, a layer (or a function that makes one) and its inputs each:
  gradcheck_cases = {"square": (Linear(3, 3), np.ones((2, 3))), "narrow": (make, x1, x2)}
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(given)
    command = [sys.executable, "-m", "gradcheck.worker", *given]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=options.timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _unusable(f"{options.file}: not done after {options.timeout:g} s (--timeout)")
    if done.returncode not in (RIGHT, WRONG, UNUSABLE, INCONCLUSIVE) or (
        done.returncode != UNUSABLE and not done.stdout
    ):
        return _unusable(f"{options.file}: ended its process ({_ending(done.returncode)})")
    sys.stdout.write(done.stdout.decode(errors="replace"))
    sys.stderr.write(done.stderr.decode(errors="replace"))
    return done.returncode


def parser() -> argparse.ArgumentParser:
    """The command's options, which the worker reads too."""
    options = argparse.ArgumentParser(
        prog="python -m gradcheck",
        description="Prove a hand-written backward right, or say what is wrong with it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("file", metavar="FILE.py[:Name]", help="the file, and a class in it")
    options.add_argument("--new", metavar='"Name(5, 3)"', help="how to make the layer")
    options.add_argument(
        "--x",
        metavar="4,5",
        action="append",
        default=[],
        help="the shape of an input, again for each further one; `4,5:int` for whole numbers",
    )
    options.add_argument("--seed", type=int, default=0, help="of the random inputs (default 0)")
    options.add_argument("--json", action="store_true", help="print the report as JSON")
    options.add_argument(
        "--timeout", metavar="SECONDS", type=float, default=60.0, help="stop after (default 60)"
    )
    return options


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _unusable(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return UNUSABLE
