"""Pictures of a run; needs the `plots` extra."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiment.build import Parts
from experiment.network import STANDARDIZE

Array = npt.NDArray[Any]

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
    if len(shape) not in (2, 3) or W is None or max(shape[-2:]) > 8 * min(shape[-2:]):
        return
    from matplotlib.figure import Figure

    images = np.moveaxis(W[0] if W.ndim == 3 else W, -1, 0)[:UNITS].reshape(-1, *shape)
    if len(shape) == 3:  # colours first: one image of their mean
        images = images.mean(axis=1)
    sheet = _mosaic(images)
    figure = Figure(figsize=(6, 6 * sheet.shape[0] / sheet.shape[1] + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(sheet, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_title("first layer's weights, an image a unit (red > 0, blue < 0)", fontsize=9)
    axes.axis("off")
    figure.savefig(path, dpi=120)


def _mosaic(images: Array) -> Array:
    """Images (K, H, W), each scaled to its largest weight, side by side with a line between."""
    K, height, width = images.shape
    columns = math.ceil(math.sqrt(K))
    sheet = np.full((math.ceil(K / columns) * (height + 1), columns * (width + 1)), np.nan)
    for k, image in enumerate(images):
        row, column = k // columns * (height + 1), k % columns * (width + 1)
        largest = float(np.abs(image).max()) or 1.0
        sheet[row : row + height, column : column + width] = image / largest
    return sheet[:-1, :-1]
