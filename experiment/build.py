"""From a checked configuration to the parts of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import layers
import losses
import optim
from data import Dataset, MappedRows, Split, Standardize, load, split
from experiment import schema
from experiment.errors import ConfigError
from experiment.memory import check_memory
from experiment.network import build_net, with_standardize
from losses.objective import Objective

Array = npt.NDArray[Any]


# -- data --------------------------------------------------------------------------------


def build_data(config: schema.Config) -> tuple[Split, Standardize | None]:
    """The three sets, and the standardisation fitted on the training set alone."""
    section = config.data
    regression = isinstance(config.loss, schema.MeanSquared)
    dataset = _load(section, regression)
    if not regression and dataset.n_classes < 2:
        raise ConfigError(f"data: {dataset.name} has one class, expected two or more")
    if isinstance(config.loss, schema.Binary) and dataset.n_classes != 2:
        raise ConfigError(
            f"loss.name: binary needs two classes, {dataset.name} has {dataset.n_classes}; "
            "expected softmax or hinge"
        )
    own = _own_test(section, dataset)
    test = 0.0 if own is not None else section.test
    sets = split(
        dataset, (1 - section.validation - test, section.validation, test), section.split_seed
    )
    if own is not None:
        sets = sets._replace(test=own)
    return sets, Standardize.fit(sets.train.x) if section.standardize else None


def _own_test(section: schema.Data, train: Dataset) -> Dataset | None:
    """The test set that comes with the data, if one does."""
    if isinstance(section, schema.Idx) and section.test_path is not None:
        return load(
            "idx",
            path=section.test_path,
            y_path=section.test_labels,
            labels=train.labels,
            max_bytes=section.max_bytes,
        )
    if isinstance(section, schema.Cifar10) and section.own_test:
        return load("cifar10", path=section.path, part="test", max_bytes=section.max_bytes)
    return None


def _load(section: schema.Data, regression: bool) -> Dataset:
    kind = section.__struct_config__.tag
    file: dict[str, Any] = {}
    if isinstance(section, schema.FileSection):
        file = {"path": section.path, "max_bytes": section.max_bytes}
    if isinstance(section, schema.Csv):
        return load(
            "csv",
            target=section.target,
            delimiter=section.delimiter,
            header=section.header,
            regression=regression,
            **file,
        )
    if isinstance(section, schema.Npy):
        if section.labels is None:
            return load("npz", regression=regression, **file)
        return load(
            "npy", y_path=section.labels, mapped=section.mapped, regression=regression, **file
        )
    if regression:
        raise ConfigError(f"loss.name: mse needs numbers as targets, {kind} has classes")
    if isinstance(section, schema.Idx):
        return load("idx", y_path=section.labels, **file)
    if isinstance(section, schema.Cifar10):
        return load("cifar10", **file)
    options = {
        key: getattr(section, key)
        for key in ("samples", "classes", "noise", "turn", "seed")
        if hasattr(section, key)
    }
    return load(str(kind), **options)


# -- loss --------------------------------------------------------------------------------


def build_loss(section: schema.Loss, train: Dataset | None) -> losses.Loss:
    """The loss; balanced class weights n / (C · n_c) are those of the training set, if given."""
    weights = None
    if train is not None and getattr(section, "balanced", False):
        counts = np.bincount(train.y, minlength=train.n_classes)
        weights = len(train) / (train.n_classes * np.maximum(counts, 1))
    match section:
        case schema.Softmax():
            return losses.SoftmaxCrossEntropy(class_weights=weights)
        case schema.Hinge():
            return losses.MulticlassHinge(section.delta, class_weights=weights)
        case schema.Binary():
            return losses.BinaryCrossEntropy(class_weights=weights)
        case _:
            return losses.MSE()


def build_penalties(section: schema.Loss) -> list[losses.Penalty]:
    penalties: list[losses.Penalty] = []
    if section.l2:
        penalties.append(losses.L2(section.l2))
    if section.l1:
        penalties.append(losses.L1(section.l1))
    return penalties


def outputs_of(section: schema.Loss, dataset: Dataset) -> int:
    """How many scores the network gives for a sample."""
    if isinstance(section, schema.MeanSquared):
        return int(dataset.y.shape[1])
    return 1 if isinstance(section, schema.Binary) else dataset.n_classes


# -- optimizer ---------------------------------------------------------------------------


def build_optimizer(section: schema.Optim, epochs: int) -> optim.Optimizer | optim.LBFGS:
    match section:
        case schema.Lbfgs():
            return optim.LBFGS(epochs, section.history)
        case schema.Sgd():
            return optim.SGD(section.lr, section.momentum, section.nesterov)
        case schema.RmsProp():
            return optim.RMSProp(section.lr, section.decay, section.epsilon)
        case schema.AdamWRule():  # before Adam, of which it is a kind
            return optim.AdamW(
                section.lr, section.beta1, section.beta2, section.epsilon, section.weight_decay
            )
        case _:
            return optim.Adam(section.lr, section.beta1, section.beta2, section.epsilon)


def build_schedule(section: schema.Optim, epochs: int) -> optim.Schedule:
    schedule = getattr(section, "schedule", None)
    match schedule:
        case schema.StepRate():
            return optim.StepDecay(schedule.every, schedule.factor)
        case schema.ExponentialRate():
            return optim.ExponentialDecay(schedule.factor)
        case schema.CosineRate():
            if schedule.warmup >= epochs:
                raise ConfigError(
                    f"optim.schedule.warmup: is {schedule.warmup:g} epochs, "
                    f"expected fewer than solver.epochs = {epochs}"
                )
            return optim.CosineDecay(epochs, schedule.warmup, schedule.final)
        case schema.PlateauRate():
            return optim.PlateauDecay(patience=schedule.patience, factor=schedule.factor)
        case _:
            return optim.Constant()


# -- everything ----------------------------------------------------------------------------


@dataclass
class Parts:
    """What a configuration describes: the data, the network, and how it is trained."""

    config: schema.Config
    sets: Split
    standardize: Standardize | None
    objective: Objective
    outputs: int

    @property
    def net(self) -> layers.Sequential:
        net: layers.Sequential = self.objective.net
        return net

    def inputs(self, dataset: Dataset) -> tuple[Any, Array]:
        """A set as the network takes it: standardized, in the network's type.

        Samples that stay in their file are standardized by the network's own first layer.
        """
        x, y = dataset.x, dataset.y
        if self.standardize is not None and not isinstance(x, MappedRows):
            x = self.standardize.apply(x, dtype=np.dtype(self.config.net.dtype).type)
        if y.dtype.kind == "f":
            with np.errstate(over="ignore"):
                y = y.astype(self.config.net.dtype)
            if not np.isfinite(y).all():
                raise ConfigError(f"data: a target is too large for {self.config.net.dtype}")
        return x, y


def build(config: schema.Config) -> Parts:
    """Everything that `[data]`, `[net]` and `[loss]` describe.

    Errors: ConfigError or DataError, one line each.
    """
    sets, standardize = build_data(config)
    outputs = outputs_of(config.loss, sets.train)
    check_memory(config, sets, outputs)
    net = build_net(config.net, sets.train.n_features, outputs, config.solver.seed)
    if standardize is not None and isinstance(sets.train.x, MappedRows):
        net = with_standardize(net, standardize)
    _check_last_batch(config, net, len(sets.train))
    objective = Objective(net, build_loss(config.loss, sets.train), build_penalties(config.loss))
    return Parts(config, sets, standardize, objective, outputs)


def _check_last_batch(config: schema.Config, net: layers.Sequential, samples: int) -> None:
    """Batch normalisation has nothing to normalise in a batch of one."""
    samples = min(samples, config.solver.overfit or samples)
    size = samples if isinstance(config.optim, schema.Lbfgs) else config.solver.batch_size
    if 1 not in (size, samples, samples % size):
        return
    if any(isinstance(layer, layers.BatchNorm) for _, layer in net.leaves()):
        raise ConfigError(
            f"solver.batch_size: {size} leaves a batch of one of {samples} training samples, "
            f"which batch_norm cannot normalize; expected e.g. {size + 1}"
        )
