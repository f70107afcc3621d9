"""A trained network on disk: `weights.safetensors` and the `manifest.json` that rebuilds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

import layers
from data import Standardize, decode_labels
from experiment import schema
from experiment.build import Parts, build_loss
from experiment.errors import ConfigError, inert
from experiment.network import STANDARDIZE, build_net, resolved, with_standardize

Array = npt.NDArray[Any]

FORMAT = 1
MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
PREDICTION_BATCH = 1024


class Manifest(schema.Section):
    """All that is needed, beside the weights, to rebuild a network and read its answers."""

    format: int
    net: schema.Net
    loss: schema.Loss
    features: int
    feature_shape: list[int]
    outputs: int
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
        """For each sample (N, D) its label; for a regression its numbers (N, K)."""
        x = np.asarray(x)
        x = x.reshape(len(x), -1) if x.ndim > 2 else x
        if x.ndim != 2 or x.shape[1] != self.manifest.features:
            raise ValueError(
                f"predict: x has shape {x.shape}, expected (N, {self.manifest.features}) "
                "as in training"
            )
        with self.evaluating():
            scores = np.concatenate(
                [
                    self.forward(x[start : start + PREDICTION_BATCH])
                    for start in range(0, max(len(x), 1), PREDICTION_BATCH)
                ]
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


def load(run: Path | str) -> Model:
    """The trained network in a run's folder.

    Errors: ConfigError naming the file that is missing, damaged, or does not fit the others.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder = Path(run)
    manifest = _read_manifest(folder)
    net = build_net(manifest.net, manifest.features, manifest.outputs, seed=0)
    if manifest.standardize:
        D = manifest.features
        net = with_standardize(net, Standardize(np.zeros(D), np.ones(D)))
    path = folder / WEIGHTS
    where = inert(str(path))
    try:
        arrays = load_file(path)
    except FileNotFoundError:
        raise ConfigError(f"{where}: no such file, expected the folder of a run") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise ConfigError(
            f"{where}: not a readable safetensors file: {inert(str(error))}"
        ) from None
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
        value[...] = arrays[name]
    return Model(net, manifest)


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    where = inert(str(path))
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise ConfigError(f"{where}: no such file, expected the folder of a run") from None
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{where}: not a manifest: {inert(str(error))}") from None
    if manifest.format != FORMAT:
        raise ConfigError(f"{where}: format {manifest.format}, expected {FORMAT}")
    return manifest
