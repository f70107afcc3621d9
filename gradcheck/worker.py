"""The process in which somebody's file is loaded and checked.

Its answer, one JSON document, goes to the output it was started with; the file's own output, of
whatever kind, goes nowhere.
"""

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
from gradcheck.command_line import (
    INCONCLUSIVE,
    RIGHT,
    UNUSABLE,
    WRONG,
    CannotUse,
    Options,
    read_options,
)

Case = tuple[str, Any, tuple[Any, ...]]


def main() -> None:
    """Load, check, answer."""
    channel = _own_output()
    try:
        options = read_options(sys.argv[1:])
        reports = check(options)
        answer = {"code": exit_code(list(reports.values())), "text": written(reports, options.json)}
    except CannotUse as error:
        answer = {"code": UNUSABLE, "text": str(error)}
    with os.fdopen(channel, "wb") as output:
        output.write(json.dumps(answer).encode())


def _own_output() -> int:
    """A descriptor of this process's output that nobody else writes to."""
    channel = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return channel


def check(options: Options) -> dict[str, Report]:
    """The report of each case, by its name."""
    reports = {}
    for name, layer, xs in find_cases(options):
        try:
            reports[name] = check_layer(layer, *xs, seed=options.seed)
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            raise CannotUse(f"{options.path}: {name} {_raises(error)}") from None
    return reports


def written(reports: Mapping[str, Report], as_json: bool) -> str:
    """The reports as they are printed."""
    if as_json:
        plain = {name: report.as_dict() for name, report in reports.items()}
        return json.dumps(plain, indent=2, allow_nan=False) + "\n"
    named = (
        f"{report}\n" if name == report.name else f"{name}\n{report}\n"
        for name, report in reports.items()
    )
    return "".join(named)


def exit_code(reports: list[Report]) -> int:
    """Wrong if one is wrong, else inconclusive if one is inconclusive, else right."""
    verdicts = {report.verdict for report in reports}
    if "wrong" in verdicts:
        return WRONG
    return INCONCLUSIVE if "inconclusive" in verdicts else RIGHT


def find_cases(options: Options) -> Iterator[Case]:
    """What to check: a named or the only class with `--new` and `--x`, or the file's own cases."""
    path, call = options.path, options.call
    name = options.name if call is None else call.name
    module = load(path)
    own = getattr(module, "gradcheck_cases", None)
    if hasattr(module, "gradcheck_cases") and not name and not options.inputs:
        yield from _declared(own, path)
        return
    cls = _find_class(module, name, path)
    if not options.inputs:
        raise CannotUse(f"{path}: no input for {cls.__name__}; give its shape, e.g. --x 4,5")
    rng = np.random.default_rng(options.seed)
    xs = tuple(_random_input(shape, kind, rng) for shape, kind in options.inputs)
    try:
        layer = cls() if call is None else cls(*call.arguments, **call.keywords)
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        made = f"{cls.__name__}()"
        hint = f'; try --new "{cls.__name__}(…)"'
        if call is not None:
            words = [repr(a) for a in call.arguments]
            words += [f"{key}={a!r}" for key, a in call.keywords.items()]
            made, hint = f"{cls.__name__}({', '.join(words)})", ""
        raise CannotUse(f"{path}: {made} {_raises(error)}{hint}") from None
    yield cls.__name__, layer, xs


def load(path: str) -> ModuleType:
    """The module in a file; its folder is importable, as when the file is run."""
    file = Path(path)
    spec = importlib.util.spec_from_file_location("checked_file", file)
    if spec is None or spec.loader is None:
        raise CannotUse(f"{path}: not a Python file (its name does not end in .py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules["checked_file"] = module
    sys.path.insert(0, str(file.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        where = "" if error.lineno is None else f"line {error.lineno}: "
        raise CannotUse(f"{error.filename or path}: {where}{error.msg}") from None
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        raise CannotUse(f"{path}: {_raises(error)} when loaded") from None
    return module


def _raises(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = ""
    return f"raises {type(error).__name__}" + (f": {text}" if text else "")


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
    if not classes:
        raise CannotUse(f"{path}: no class with forward and backward in it")
    if len(here) != 1:
        raise CannotUse(f"{path}: which class? Name one, {path}:Name (there are: {found})")
    return next(iter(here.values()))


def _declared(own: Any, path: str) -> Iterator[Case]:
    expected = f"{path}: gradcheck_cases: expected {{name: (layer, x, …)}}"
    if not isinstance(own, Mapping):
        raise CannotUse(f"{expected}, got {type(own).__name__}")
    if not own:
        raise CannotUse(f"{expected}, got none")
    for name, case in own.items():
        if not isinstance(case, tuple) or len(case) < 2:
            raise CannotUse(f"{expected}; {name} is not a tuple of a layer and inputs")
        layer, *xs = case
        yield str(name), layer, tuple(np.asarray(x) for x in xs)


def _random_input(shape: tuple[int, ...], kind: str, rng: np.random.Generator) -> Any:
    if kind == "int":
        return rng.integers(0, 3, shape)
    return rng.standard_normal(shape).astype(kind or np.float64)


if __name__ == "__main__":
    main()
