"""The options of `python -m solver`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from experiment.errors import ConfigError, inert


class OneLine(argparse.ArgumentParser):
    """Says what is wrong with the options in one line."""

    def error(self, message: str) -> NoReturn:
        print(f"error: {inert(message)} (--help lists the options)", file=sys.stderr)
        raise SystemExit(2)


def command_line() -> argparse.ArgumentParser:
    parser = OneLine(
        prog="python -m solver",
        description="Train the network that a TOML file describes, go on with a run, or predict.",
    )
    parser.add_argument("--config", metavar="FILE", help="train what this file describes")
    parser.add_argument("--resume", metavar="RUN", help="go on with the run in this folder")
    parser.add_argument(
        "--predict", metavar="RUN", help="predict with the network in a run's folder"
    )
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="e.g. optim.lr=0.05"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="the run's folder (default: runs/…)"
    )
    parser.add_argument("--seed", metavar="N", type=int, help="the same as --set solver.seed=N")
    parser.add_argument(
        "--allow-change",
        metavar="KEY",
        action="append",
        default=[],
        help="with --resume: this key may differ from the run's, e.g. solver.epochs",
    )
    parser.add_argument("--sanity", action="store_true", help="check before training, and stop")
    parser.add_argument(
        "--dry-run", action="store_true", help="print the network's table, and stop"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--input", metavar="FILE", help="samples to predict: csv, npy, npz or idx")
    parser.add_argument("--output", metavar="FILE", help="where predictions go (default: here)")
    return parser


TRAINING = ("config", "set", "seed", "quiet")  # what goes with more than one way to use it
GOES_WITH = {
    "config": (*TRAINING, "out", "sanity", "dry_run"),
    "resume": (*TRAINING, "resume", "allow_change"),
    "predict": ("predict", "input", "output", "quiet"),
}


def check_options(options: argparse.Namespace) -> None:
    """Raise ConfigError at an option that the others make meaningless."""
    ways = [name for name in ("resume", "predict", "config") if getattr(options, name) is not None]
    if not ways:
        raise ConfigError("expected --config FILE, --resume RUN or --predict RUN")
    for name, value in vars(options).items():
        if name not in GOES_WITH[ways[0]] and value not in (None, False, []):
            raise ConfigError(f"--{name.replace('_', '-')}: does not go with --{ways[0]}")
