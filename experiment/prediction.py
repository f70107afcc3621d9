"""Predictions for a file of samples."""

from __future__ import annotations

import csv
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from data import read_features
from experiment.errors import ConfigError, inert
from experiment.folder import CONFIG, METRICS, SUMMARY
from experiment.model import MANIFEST, WEIGHTS, Manifest, load

OF_A_RUN = (CONFIG, METRICS, SUMMARY, MANIFEST, WEIGHTS)


def predict(options: Any) -> None:
    """Write the label of each sample in a file, one a line under the heading `prediction`.

    On standard output labels are escaped like all that is printed; in a file they are unchanged.
    """
    if options.input is None:
        raise ConfigError("--predict: needs --input FILE with the samples")
    given, out = Path(options.input), options.output or None
    if out and given.exists() and Path(out).exists() and given.samefile(out):
        raise ConfigError(f"--output {out}: is the input, expected another file")
    if out and Path(out).name in OF_A_RUN and Path(out).parent.samefile(options.predict):
        raise ConfigError(f"--output {out}: is a file of the run, expected another")
    model = load(options.predict)
    x, _ = read_features(options.input, **_as_in_training(model.manifest, str(options.input)))
    try:
        labels = list(model.predict(x))
    except ValueError as error:
        raise ConfigError(f"{options.input}: {error}") from None
    if out is None:  # perhaps a terminal, which labels must not steer
        labels = [inert(label) if isinstance(label, str) else label for label in labels]
    with open(out, "w", newline="", encoding="utf-8") if out else nullcontext(sys.stdout) as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["prediction"])
        rows.writerows([label] if np.ndim(label) == 0 else label for label in labels)


def _as_in_training(manifest: Manifest, path: str) -> dict[str, Any]:
    """How the training data's table was read, for another table."""
    if not path.lower().endswith((".csv", ".csv.gz")):
        return {}
    target = manifest.target if isinstance(manifest.target, str) else None
    return {"target": target, "delimiter": manifest.delimiter, "header": manifest.header}
