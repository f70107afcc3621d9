"""Predictions for a file of samples."""

from __future__ import annotations

import csv
import sys
from contextlib import nullcontext
from typing import Any

import numpy as np

from data import read_features
from experiment.errors import ConfigError
from experiment.model import load


def predict(options: Any) -> None:
    """Write the label of each sample in a file, one a line under the heading `prediction`."""
    if options.input is None:
        raise ConfigError("--predict: needs --input FILE with the samples")
    model = load(options.predict)
    target = model.manifest.target
    x, _ = read_features(options.input, target=target if isinstance(target, str) else None)
    try:
        labels = model.predict(x)
    except ValueError as error:
        raise ConfigError(f"{options.input}: {error}") from None
    with (
        open(options.output, "w", newline="") if options.output else nullcontext(sys.stdout) as out
    ):
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(["prediction"])
        rows.writerows([label] if np.ndim(label) == 0 else label for label in labels)
