"""Check a layer in somebody's file: the options, the time limit, the exit code.

The file is loaded and checked in a process of its own (gradcheck/worker.py), so that code which
never ends, or ends the process, still gets one clear line.
"""

import argparse
import ast
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

RIGHT, WRONG, UNUSABLE, INCONCLUSIVE = 0, 1, 2, 3

EPILOG = """\
exit code: 0 right, 1 wrong, 2 the input cannot be used, 3 inconclusive

A file may declare its own cases, a layer (or a function that makes one) and its inputs each:
  gradcheck_cases = {"square": (Linear(3, 3), np.ones((2, 3))), "narrow": (make, x1, x2)}
"""


class CannotUse(Exception):
    """The file or the options are of no use; one line says why."""


class Call(NamedTuple):
    """How to make the layer: `Name(5, 3, bias=False)`."""

    name: str
    arguments: list[Any]
    keywords: dict[str, Any]


class Options(NamedTuple):
    """What to check and how, each option found to be of use."""

    path: str
    name: str
    call: Call | None
    inputs: list[tuple[tuple[int, ...], str]]
    seed: int
    json: bool
    timeout: float


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        options = read_options(given)
        done = _run_worker(given, options)
    except CannotUse as error:
        print(f"error: {_one_line(str(error))}", file=sys.stderr)
        return UNUSABLE
    sys.stdout.write(done["text"])
    return int(done["code"])


def read_options(arguments: list[str]) -> Options:
    """The options of a command line; raises CannotUse for what no check can be made of."""
    given = _parser().parse_args(arguments)
    path, name = given.file, ""
    before, _, after = path.rpartition(":")
    if before and after.isidentifier():
        path, name = before, after
    file = Path(path)
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "no such file"
        raise CannotUse(f"{path}: {what}, expected a Python file")
    if file.suffix != ".py":
        raise CannotUse(f"{path}: not a Python file (its name does not end in .py)")
    call = None if given.new is None else _read_call(given.new)
    if call is not None and name and name != call.name:
        raise CannotUse(f"--new makes {call.name}, but the file's class is given as {name}")
    inputs = [_read_input(text) for text in given.x]
    seed = _number(given.seed, int, "--seed", "a whole number from 0")
    timeout = _number(given.timeout, float, "--timeout", "a number of seconds above 0")
    if timeout == 0:
        raise CannotUse("--timeout 0: expected a number of seconds above 0")
    return Options(path, name, call, inputs, int(seed), given.json, timeout)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CannotUse(f"{message} (see --help)")


def _parser() -> argparse.ArgumentParser:
    options = _Parser(
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
    options.add_argument("--seed", default="0", help="of the random inputs (default 0)")
    options.add_argument("--json", action="store_true", help="print the report as JSON")
    options.add_argument(
        "--timeout", metavar="SECONDS", default="60", help="stop after (default 60)"
    )
    return options


def _read_call(text: str) -> Call:
    """`Name(5, 3, bias=False)` as a name, arguments and keywords; literals only."""
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("not a call")
        if any(keyword.arg is None for keyword in call.keywords):
            raise ValueError("not plain keywords")
        arguments = [ast.literal_eval(argument) for argument in call.args]
        keywords = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise CannotUse(
            f'--new {text}: expected a class with numbers and words, e.g. --new "Linear(5, 3)"'
        ) from None
    return Call(call.func.id, arguments, keywords)


def _read_input(text: str) -> tuple[tuple[int, ...], str]:
    shape_text, colon, kind = text.partition(":")
    try:
        shape = tuple(int(part) for part in shape_text.rstrip(",").split(","))
        if any(size < 1 for size in shape) or math.prod(shape) > 1e8:
            raise ValueError
        if colon and kind not in ("int", "float32", "float64"):
            raise ValueError
    except ValueError:
        raise CannotUse(f"--x {text}: expected a shape such as 4,5 or 4,5:int") from None
    return shape, kind


def _number(text: str, kind: type[int] | type[float], option: str, expected: str) -> float:
    try:
        value = kind(text)
        if not 0 <= value < 2**63:
            raise ValueError
    except ValueError:
        raise CannotUse(f"{option} {text}: expected {expected}") from None
    return value


def _run_worker(given: list[str], options: Options) -> dict[str, Any]:
    """The worker's answer; raises CannotUse when there is none."""
    with subprocess.Popen(
        [sys.executable, "-m", "gradcheck.worker", *given],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=options.timeout)
        except BaseException as error:
            _end(process)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            limit = f"{options.timeout:g} s (--timeout)"
            raise CannotUse(f"{options.path}: not done after {limit}") from None
    try:
        answer: dict[str, Any] = json.loads(said)
    except ValueError:
        ending = f"signal {-process.returncode}"
        if process.returncode >= 0:
            ending = f"exit code {process.returncode}"
        raise CannotUse(f"{options.path}: ended its process ({ending})") from None
    if answer["code"] == UNUSABLE:
        raise CannotUse(answer["text"])
    return answer


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the worker, and with it the processes it started, where the system can."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _one_line(text: str) -> str:
    """One line, without control characters, of a length for a terminal."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= 400 else line[:400] + "…"
