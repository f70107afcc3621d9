"""How much memory a network needs, counted before any of it is taken."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data import Split
from experiment import schema
from experiment.errors import ConfigError
from experiment.graph import INPUT, reads
from experiment.network import plan_of

EVALUATION_BATCH = 1024
COPIES = 6  # of the parameters: the gradient, two moments, the best, those before a step
CACHES = 4  # of each layer's output: the cache, the gradient, what is made on the way


class Size(NamedTuple):
    """The numbers that a network holds: parameters; and outputs of all layers for one sample."""

    parameters: int
    outputs: int


def size_of(net: schema.Net, D: int, outputs: int) -> Size:
    """The size of the network that `build_net` would make."""
    widths = {INPUT: D}
    parameters = total = 0
    last = INPUT
    for i, section in enumerate(plan_of(net)):
        inputs = [widths.get(name, D) for name in reads(section)] or [widths[last]]
        width = sum(inputs) if isinstance(section, schema.ConcatNode) else inputs[0]
        count, held, width = _layer(section, width, outputs)
        parameters += count + len(inputs)
        total += held
        last = section.name or str(i)
        widths[last] = width
    return Size(parameters, total)


def _layer(section: schema.AnyNode, width: int, outputs: int) -> tuple[int, int, int]:
    """Of one layer: its parameters, the numbers it makes for a sample, the features it gives."""
    match section:
        case schema.LinearLayer(units):
            M = units or outputs
            return (width + 1) * M, M, M
        case schema.MaxoutLayer(units, pieces):
            M = units or outputs
            return pieces * (width + 1) * M, pieces * M, M
        case schema.BatchNormLayer() | schema.LayerNormLayer():
            return 4 * width, width, width
        case _:
            return 0, width, width


def needed(config: schema.Config, sets: Split, outputs: int) -> int:
    """About how many bytes training takes beside the data."""
    size = size_of(config.net, sets.train.n_features, outputs)
    evaluated = max(len(sets.validation), len(sets.test))
    numbers = COPIES * size.parameters
    numbers += CACHES * (_batch(config, sets) * size.outputs + evaluated * outputs)
    n_bytes = numbers * np.dtype(config.net.dtype).itemsize
    if isinstance(config.optim, schema.Lbfgs):  # SciPy works in float64
        history = config.optim.history
        n_bytes += 8 * ((2 * history + COPIES) * size.parameters + 11 * history**2)
    return n_bytes


def check_memory(config: schema.Config, sets: Split, outputs: int) -> None:
    """Raise ConfigError if training would need more memory than `solver.memory_limit`."""
    n_bytes, limit = needed(config, sets, outputs), config.solver.memory_limit
    if n_bytes > limit * 1e9:
        size = size_of(config.net, sets.train.n_features, outputs)
        raise ConfigError(
            f"net: needs about {_gigabytes(n_bytes)} ({_count(size.parameters)} parameters, "
            f"{_count(size.outputs)} numbers a sample, batches of {_batch(config, sets):,}); "
            f"solver.memory_limit is {limit:g} GB"
        )


def _batch(config: schema.Config, sets: Split) -> int:
    """The most samples that go through the network at once."""
    samples = len(sets.train)
    if isinstance(config.optim, schema.Lbfgs):
        return samples
    return min(samples, max(config.solver.batch_size, EVALUATION_BATCH))


def _gigabytes(n: int) -> str:
    return f"{n / 1e9:,.1f} GB" if n < 10**15 else "millions of GB"


def _count(n: int) -> str:
    return f"{n:,}" if n < 10**15 else "very many"
