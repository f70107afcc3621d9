"""The process in which somebody's file is loaded and checked."""

import ast
import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from gradcheck import Report, check_layer
from gradcheck.command_line import INCONCLUSIVE, RIGHT, UNUSABLE, WRONG, parser

Case = tuple[str, Any, tuple[Any, ...]]


class CannotUse(Exception):
    """The file or the options are of no use; one line says why."""


def main() -> int:
    """Load, check, print; returns the exit code."""
    options = parser().parse_args()
    try:
        with _prints_apart():
            cases = list(find_cases(options))
            reports = {
                name: check_layer(layer, *xs, seed=options.seed) for name, layer, xs in cases
            }
    except CannotUse as error:
        print(f"error: {_inert(str(error))}", file=sys.stderr)
        return UNUSABLE
    if options.json:
        print(json.dumps({name: report.as_dict() for name, report in reports.items()}, indent=2))
    else:
        for name, report in reports.items():
            print(f"{name}\n{report}")
    return _exit_code(list(reports.values()))


def _exit_code(reports: list[Report]) -> int:
    verdicts = {report.verdict for report in reports}
    if "wrong" in verdicts:
        return WRONG
    return INCONCLUSIVE if "inconclusive" in verdicts else RIGHT


def find_cases(options: Any) -> Iterator[Case]:
    """What to check: a named or the only class with `--new` and `--x`, or the file's own cases."""
    path, _, name = (
        options.file.partition(":") if ":" in options.file[2:] else (options.file, "", "")
    )
    if options.new is not None:
        wanted, args, keywords = read_call(options.new)
        if name and name != wanted:
            raise CannotUse(f"--new makes {wanted}, but the file's class is given as {name}")
        name = wanted
    module = load(path)
    own = getattr(module, "gradcheck_cases", None)
    if own is not None and not name and not options.x:
        yield from _declared(own, path)
        return
    cls = _find_class(module, name, path)
    if not options.x:
        raise CannotUse(f"{path}: no input for {cls.__name__}; give its shape, e.g. --x 4,5")
    rng = np.random.default_rng(options.seed)
    xs = tuple(_random_input(text, rng) for text in options.x)
    try:
        layer = cls(*args, **keywords) if options.new is not None else cls()
    except Exception as error:
        hint = "" if options.new else f'; try --new "{cls.__name__}(…)"'
        raise CannotUse(
            f"{path}: {cls.__name__}() raises {type(error).__name__}: {error}{hint}"
        ) from None
    yield cls.__name__, layer, xs


def load(path: str) -> ModuleType:
    """The module in a file; its folder is importable, as when the file is run."""
    file = Path(path)
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "no such file"
        raise CannotUse(f"{path}: {what}, expected a Python file")
    spec = importlib.util.spec_from_file_location("checked_file", file)
    if spec is None or spec.loader is None:
        raise CannotUse(f"{path}: not a Python file (its name does not end in .py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules["checked_file"] = module
    sys.path.insert(0, str(file.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise CannotUse(f"{path}: line {error.lineno}: {error.msg}") from None
    except (Exception, SystemExit) as error:
        raise CannotUse(f"{path}: raises {type(error).__name__} when loaded: {error}") from None
    return module


def read_call(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """`Name(5, 3, bias=False)` as a name, arguments and keywords; literals only."""
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("not a call")
        arguments = [ast.literal_eval(argument) for argument in call.args]
        keywords = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise CannotUse(
            f'--new {text}: expected a class with numbers and words, e.g. --new "Linear(5, 3)"'
        ) from None
    return call.func.id, arguments, keywords


def _find_class(module: ModuleType, name: str, path: str) -> Any:
    classes = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type)
        and callable(getattr(value, "forward", None))
        and callable(getattr(value, "backward", None))
    }
    found = ", ".join(sorted(classes)) or "none"
    if name:
        if name not in classes:
            raise CannotUse(
                f"{path}: no class {name} with forward and backward (there are: {found})"
            )
        return classes[name]
    here = {key: value for key, value in classes.items() if value.__module__ == module.__name__}
    if len(here) != 1:
        raise CannotUse(f"{path}: which class? Name one, {path}:Name (there are: {found})")
    return next(iter(here.values()))


def _declared(own: Any, path: str) -> Iterator[Case]:
    expected = f"{path}: gradcheck_cases: expected {{name: (layer, x, …)}}"
    if not isinstance(own, Mapping) or not own:
        raise CannotUse(f"{expected}, got {type(own).__name__}")
    for name, case in own.items():
        if not isinstance(case, tuple) or len(case) < 2:
            raise CannotUse(f"{expected}; {name} is not a tuple of a layer and inputs")
        layer, *xs = case
        yield str(name), layer, tuple(np.asarray(x) for x in xs)


def _random_input(text: str, rng: np.random.Generator) -> Any:
    shape_text, _, kind = text.partition(":")
    try:
        shape = tuple(int(part) for part in shape_text.split(",") if part.strip())
        if any(size < 1 for size in shape) or kind not in ("", "int", "float32"):
            raise ValueError
        if np.prod(shape, dtype=float) > 1e8:
            raise ValueError
    except ValueError:
        raise CannotUse(f"--x {text}: expected a shape such as 4,5 or 4,5:int") from None
    if kind == "int":
        return rng.integers(0, 3, shape)
    return rng.standard_normal(shape).astype(kind or np.float64)


@contextlib.contextmanager
def _prints_apart() -> Iterator[None]:
    """What the file prints goes nowhere: this process's output is the report alone."""
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def _inert(text: str) -> str:
    """One line, without control characters, of a length for a terminal."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= 400 else line[:400] + "…"


if __name__ == "__main__":
    sys.exit(main())
