"""Pictures of a run; needs the `plots` extra."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np

from experiment.build import STANDARDIZE, Parts

UNITS = 100  # at most so many in the picture of the first layer


def available() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def curves(history: list[dict[str, Any]], score_name: str, path: Path) -> None:
    """Loss and score by epoch, training and validation, as a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [record["epoch"] for record in history]
    left.plot(epochs, [record["data_loss"] for record in history], label="training")
    right.plot(epochs, [record["train_score"] for record in history], label="training")
    if "validation_loss" in history[0]:
        left.plot(epochs, [record["validation_loss"] for record in history], label="validation")
        right.plot(epochs, [record["validation_score"] for record in history], label="validation")
    if min(record["data_loss"] for record in history) > 0:
        left.set_yscale("log")
    left.set(xlabel="epoch", title="data loss")
    right.set(xlabel="epoch", title=score_name)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def first_layer(parts: Parts, path: Path) -> None:
    """Each unit's weights as an image: red positive, blue negative. Only for image data."""
    shape = parts.sets.train.feature_shape
    first = next(layer for name, layer in parts.net.children.items() if name != STANDARDIZE)
    W = first.params.get("W")
    if len(shape) not in (2, 3) or W is None:
        return
    from matplotlib.figure import Figure

    images = np.moveaxis(W.reshape(-1, *shape, W.shape[-1])[0], -1, 0)[:UNITS]
    if len(shape) == 3:  # colour first: one image of the mean over colours
        images = images.mean(axis=1)
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    figure = Figure(figsize=(0.8 * columns, 0.8 * rows + 0.3), layout="constrained")
    figure.suptitle("first layer's weights, a picture a unit", fontsize=9)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, image in zip(grid, images, strict=False):
        limit = float(np.abs(image).max()) or 1.0
        axes.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit)
    figure.savefig(path, dpi=120)
