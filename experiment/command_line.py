"""The options of `python -m solver`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from experiment.errors import inert


class OneLine(argparse.ArgumentParser):
    """Says what is wrong with the options in one line."""

    def error(self, message: str) -> NoReturn:
        print(f"error: {inert(message)} (--help lists the options)", file=sys.stderr)
        raise SystemExit(2)


def command_line() -> argparse.ArgumentParser:
    parser = OneLine(
        prog="python -m solver",
        description="Train the network that a TOML file describes, or predict with a trained one.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", metavar="FILE", help="train what this file describes")
    what.add_argument("--predict", metavar="RUN", help="predict with the network in a run's folder")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="e.g. optim.lr=0.05"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="the run's folder (default: runs/…)"
    )
    parser.add_argument("--seed", metavar="N", type=int, help="the same as --set solver.seed=N")
    parser.add_argument("--sanity", action="store_true", help="check before training, and stop")
    parser.add_argument(
        "--dry-run", action="store_true", help="print the network's table, and stop"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--input", metavar="FILE", help="samples to predict: csv, npy, npz or idx")
    parser.add_argument("--output", metavar="FILE", help="where predictions go (default: here)")
    return parser
