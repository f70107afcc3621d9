"""A trained network on disk: `weights.safetensors` and the `manifest.json` that rebuilds it.

Both may come from a stranger. They hold numbers, names and nothing that runs; neither names another
file, and neither may be a symbolic link. What they claim is checked before memory is taken for it.
"""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

import layers
from data import Standardize, decode_labels
from experiment import schema
from experiment.build import Parts, build_loss
from experiment.config import check_net
from experiment.errors import ConfigError, inert
from experiment.memory import size_of
from experiment.network import STANDARDIZE, build_net, resolved, with_standardize

Array = npt.NDArray[Any]

FORMAT = 1
MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
MAX_MANIFEST = 2**24
MAX_WEIGHTS = 2**30
MAX_HEADER = 2**22
PREDICTION_BATCH = 1024
PREDICTION_NUMBERS = 2**25  # made at once by all layers


class Manifest(schema.Section):
    """All that is needed, beside the weights, to rebuild a network and read its answers."""

    format: int
    net: schema.Net
    loss: schema.Loss
    features: schema.Count
    feature_shape: Annotated[list[schema.Count], msgspec.Meta(max_length=32)]
    outputs: schema.Count
    labels: list[int | str] | None
    standardize: bool
    target: str | int | None = None
    delimiter: str = ","
    header: bool | None = None


class Model(layers.Sequential):
    """A trained network that takes raw data: its first layer standardizes.

    `forward(x)` gives scores (N, C); `predict(x)` gives the labels as the data had them.
    `manifest` says what it was made of.
    """

    def __init__(self, net: layers.Sequential, manifest: Manifest) -> None:
        super().__init__(**net.children)
        self.manifest = manifest
        self.training = False

    def predict(self, x: Array) -> Array:
        """For each sample (N, D) its label; for a regression its numbers (N, K).

        Errors: ValueError for a wrong shape, and for scores that are not finite.
        """
        x = np.asarray(x)
        x = x.reshape(len(x), -1) if x.ndim > 2 else x
        if x.ndim != 2 or x.shape[1] != self.manifest.features:
            raise ValueError(
                f"predict: x has shape {x.shape}, expected (N, {self.manifest.features}) "
                "as in training"
            )
        made = size_of(self.manifest.net, self.manifest.features, self.manifest.outputs).outputs
        batch = max(1, min(PREDICTION_BATCH, PREDICTION_NUMBERS // max(made, 1)))
        with self.evaluating(), np.errstate(all="ignore"):
            scores = np.concatenate(
                [
                    self.forward(x[start : start + batch])
                    for start in range(0, max(len(x), 1), batch)
                ]
            )
        finite = np.isfinite(scores).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"predict: the scores of sample {int(np.argmin(finite))} are not finite; "
                "are its numbers as large as those in training?"
            )
        loss = build_loss(self.manifest.loss, None)
        answer = loss.predict(scores)
        if self.manifest.labels is None:
            return answer
        names = decode_labels(answer.reshape(len(x)), tuple(self.manifest.labels))
        return np.asarray(names, None if len(names) == 0 or _plain(names) else object)


def _plain(names: list[int | str]) -> bool:
    """Whether an array of NumPy's own types holds these labels unchanged."""
    return all(isinstance(name, str) for name in names) or all(
        isinstance(name, int) and abs(name) < 2**63 for name in names
    )


def save(folder: Path, parts: Parts) -> None:
    """Write the network of a run into its folder."""
    from safetensors.numpy import save_file

    train, section = parts.sets.train, parts.config.data
    manifest = Manifest(
        format=FORMAT,
        net=resolved(parts.config.net),
        loss=parts.config.loss,
        features=train.n_features,
        feature_shape=list(train.feature_shape),
        outputs=parts.outputs,
        labels=None if train.labels is None else list(train.labels),
        standardize=parts.standardize is not None,
        target=getattr(section, "target", None),
        delimiter=getattr(section, "delimiter", ","),
        header=getattr(section, "header", None),
    )
    net = parts.net
    if parts.standardize is not None and STANDARDIZE not in net.children:
        net = with_standardize(net, parts.standardize)
    arrays = {name: np.ascontiguousarray(value) for name, value in (net.params | net.state).items()}
    save_file(arrays, folder / WEIGHTS)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST).write_bytes(text + b"\n")


def load(run: Path | str, max_bytes: int = MAX_WEIGHTS) -> Model:
    """The trained network in a run's folder.

    Errors: ConfigError naming the file that is missing, damaged, too large, a symbolic link, or
            does not fit the other.
    """
    folder = Path(run)
    manifest = _read_manifest(folder)
    path = folder / WEIGHTS
    where = inert(str(path))
    _check_size(path, manifest, max_bytes)
    arrays = _read_arrays(path)
    net = build_net(manifest.net, manifest.features, manifest.outputs, seed=0)
    if manifest.standardize:
        D = manifest.features
        net = with_standardize(net, Standardize(np.zeros(D), np.ones(D)))
    wanted = net.params | net.state
    if wanted.keys() != arrays.keys():
        odd = sorted(wanted.keys() ^ arrays.keys())[0]
        missing = "is missing" if odd in wanted else "is not of this network"
        raise ConfigError(f"{where}: {inert(odd)} {missing} ({MANIFEST} and weights disagree)")
    for name, value in wanted.items():
        if value.shape != arrays[name].shape or value.dtype != arrays[name].dtype:
            raise ConfigError(
                f"{where}: {name} is {arrays[name].dtype} {arrays[name].shape}, "
                f"expected {value.dtype} {value.shape}"
            )
        if not np.isfinite(arrays[name]).all():
            raise ConfigError(f"{where}: {name} holds NaN or inf, expected finite numbers")
        value[...] = arrays[name]
    if manifest.standardize and not (arrays[f"{STANDARDIZE}.std"] > 0).all():
        raise ConfigError(f"{where}: {STANDARDIZE}.std holds 0 or less, expected more")
    return Model(net, manifest)


def _regular_size(path: Path) -> int:
    """The size of a file of a run, which must be one, and no link that leads elsewhere."""
    where = inert(str(path))
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        raise ConfigError(f"{where}: no such file, expected the folder of a run") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}: cannot be read: {inert(str(error))}") from None
    if stat.S_ISLNK(status.st_mode):
        raise ConfigError(f"{where}: is a symbolic link, expected the file itself")
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{where}: is no regular file")
    return status.st_size


def _check_size(path: Path, manifest: Manifest, max_bytes: int) -> None:
    """Raise ConfigError unless the weights can be those of the manifest's network."""
    where = inert(str(path))
    size = _regular_size(path)
    if size > max_bytes:
        raise ConfigError(
            f"{where}: holds {size:,} bytes, the limit is {max_bytes:,}; "
            "load(run, max_bytes=...) raises it if the file is to be trusted"
        )
    net = manifest.net
    claimed = size_of(net, manifest.features, manifest.outputs).parameters
    if manifest.standardize:
        claimed += 2 * manifest.features
    # A few parameters may be counted that are not there: biases, and weights of sums.
    if claimed * np.dtype(net.dtype).itemsize > 2 * size + MAX_HEADER:
        raise ConfigError(
            f"{where}: is too small for the network that {MANIFEST} describes ({size:,} bytes)"
        )


def _read_arrays(path: Path) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    where = inert(str(path))
    try:
        with path.open("rb") as file:
            if int.from_bytes(file.read(8), "little") > MAX_HEADER:
                raise ConfigError(f"{where}: its header claims more than {MAX_HEADER:,} bytes")
        arrays: dict[str, Array] = load_file(path)
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"{where}: not a readable safetensors file: {inert(str(error))}"
        ) from None
    return arrays


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    where = inert(str(path))
    if _regular_size(path) > MAX_MANIFEST:
        raise ConfigError(f"{where}: larger than {MAX_MANIFEST:,} bytes")
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        if manifest.format != FORMAT:
            raise ConfigError(f"format {manifest.format}, expected {FORMAT}")
        check_net(manifest.net)
        _check_manifest(manifest)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{where}: not a manifest: {inert(str(error))}") from None
    return manifest


def _check_manifest(manifest: Manifest) -> None:
    """Raise ConfigError unless the keys agree with one another."""
    if manifest.net.random is not None:
        raise ConfigError("net.random: expected the nodes that it stands for, written out")
    if math.prod(manifest.feature_shape) != manifest.features:
        raise ConfigError(
            f"feature_shape: {manifest.feature_shape} is not of {manifest.features} features"
        )
    if (manifest.labels is None) != isinstance(manifest.loss, schema.MeanSquared):
        raise ConfigError("labels: expected labels for classes, null for the loss mse")
    binary = isinstance(manifest.loss, schema.Binary)
    if binary and manifest.outputs != 1:
        raise ConfigError(f"outputs: is {manifest.outputs}, expected 1 for the loss binary")
    classes = 2 if binary else manifest.outputs
    if manifest.labels is not None and len(manifest.labels) != classes:
        raise ConfigError(f"labels: has {len(manifest.labels)}, expected {classes}")
