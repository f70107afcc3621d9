"""What the scripts share: printing matrices, the command line, an extra that is missing."""

import argparse
import importlib
import os
import sys
from pathlib import Path

import numpy as np

from data import printable
from experiment.threads import blas_threads

EXTRAS = {"matplotlib": "plots", "networkx": "graphs"}


def matrix(name, values, form=".10g"):
    """Print `name = [ … ]`, a row a line, the columns aligned."""
    cells = [[format(value, form) for value in row] for row in np.atleast_2d(values) + 0.0]
    width = max(len(cell) for row in cells for cell in row)
    for i, row in enumerate(cells):
        start = f"{name} = " if i == 0 else " " * len(f"{name} = ")
        print(f"{start}[{'  '.join(cell.rjust(width) for cell in row)}]")


def difference(one, other):
    """The largest difference between two arrays, or two lists of arrays."""
    pairs = zip(one, other, strict=True)
    return max(float(np.max(np.abs(np.subtract(a, b)), initial=0)) for a, b in pairs)


def has(package, for_what):
    """Whether a package of an extra is installed; if not, says so in one line."""
    try:
        importlib.import_module(package)
    except ImportError:
        extra = EXTRAS[package]
        print(
            f"{for_what} left out: needs {package}, which is in the extra `{extra}`: "
            f"pip install 'handgrad[{extra}]'"
        )
        return False
    return True


def present(show, draw, folder):
    """Print what a script shows, and write its picture if it has one."""
    show()
    if draw is not None and has("matplotlib", "picture"):
        folder.mkdir(parents=True, exist_ok=True)
        for path in draw(folder):
            print(f"picture: {path}")


def run(about, work):
    """The command line: `work(folder)`, with mistakes told in one line; returns the exit code."""
    program = getattr(sys.modules["__main__"].__spec__, "name", "").removesuffix(".__main__")
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs") / "lecture",
        help="the folder for pictures (default: runs/lecture)",
    )
    folder = parser.parse_args().out
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        parser.error(f"--out {printable(str(folder))}: {printable(str(there))} is not a folder")
    try:
        with blas_threads(1):  # small matrices: a second thread only waits for the first
            work(folder)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has gone: nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{printable(str(error.filename))}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        return 2
    return 0


def script(about, show, draw=None):
    """Run one script by itself."""
    sys.exit(run(about, lambda folder: present(show, draw, folder)))
