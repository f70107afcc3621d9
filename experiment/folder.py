"""The folder of one run: configuration, metrics, weights, summary, pictures."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from experiment import model, plots
from experiment.build import Parts
from experiment.config import as_toml
from experiment.errors import ConfigError, inert


def make_folder(out: Path | None, name: str) -> Path:
    """An empty folder: `out`, or a new one in `runs/` with the configuration's name and the time.

    Errors: ConfigError when there is something in it already, or it cannot be made.
    """
    if out is None:
        stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        out = Path("runs") / stem
        number = 1
        while out.exists():
            number += 1
            out = Path("runs") / f"{stem}-{number}"
    where = inert(str(out))
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise ConfigError(f"--out {where}: is not empty, expected a new folder")
    except OSError as error:
        raise ConfigError(f"--out {where}: cannot be made: {error.strerror}") from None
    return out


class RunFolder:
    """Writes what a run produces, as it is produced.

    config.toml           the configuration with every default written out; runs again as it is
    metrics.jsonl         a line of JSON per epoch
    weights.safetensors   the best weights, with manifest.json to rebuild the network
    summary.txt           what a person wants to know
    curves.png            loss and score by epoch, if matplotlib is installed
    first_layer.png       each unit's weights as an image, for image data
    """

    def __init__(self, path: Path, parts: Parts) -> None:
        self.path = path
        self.parts = parts
        (path / "config.toml").write_text(as_toml(parts.config), encoding="utf-8")
        self.metrics = path / "metrics.jsonl"
        self.metrics.touch()

    def add(self, record: dict[str, Any]) -> None:
        """One line of metrics, on disk when this returns."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def finish(self, history: list[dict[str, Any]], summary: str) -> list[str]:
        """Write weights, summary and pictures; the names of what was written."""
        model.save(self.path, self.parts)
        (self.path / "summary.txt").write_text(summary + "\n", encoding="utf-8")
        if plots.available():
            plots.curves(history, self.parts.objective.loss.score_name, self.path / "curves.png")
            plots.first_layer(self.parts, self.path / "first_layer.png")
        return sorted(path.name for path in self.path.iterdir())
