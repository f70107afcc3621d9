"""What may change when a run goes on, and what may not."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import msgspec

from experiment.checkpoint import Place
from experiment.errors import ConfigError, choices, inert
from experiment.schema import Config, Lbfgs

FREE = ("solver.checkpoint_every", "solver.memory_limit")  # change nothing of what is computed


def table(config: Config) -> dict[str, Any]:
    """The configuration as plain tables, for a checkpoint to hold."""
    plain: dict[str, Any] = msgspec.to_builtins(config)
    return plain


def check_changes(stored: dict[str, Any] | None, asked: Config, allowed: Iterable[str]) -> None:
    """Raise ConfigError if the run was another, in a key that `allowed` does not name.

    A key names itself and what is inside it: `optim` allows optim.lr.
    """
    if stored is None:
        raise ConfigError("the checkpoint was not made by `python -m solver`")
    with suppress(msgspec.ValidationError):  # else as it is: what no configuration has differs
        stored = table(msgspec.convert(stored, Config))  # with the defaults that have come since
    before, now = flat(stored), flat(table(asked))
    for name in allowed:
        if not any(is_inside(key, name) for key in before.keys() | now.keys()):
            raise ConfigError(f"--allow-change {inert(name)}: no such key{choices(name, now)}")
    allowed = (*allowed, *FREE)
    changes, keys = [], []
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) == now.get(key) or any(is_inside(key, name) for name in allowed):
            continue
        changes.append(f"{key} was {_shown(before.get(key))}, is now {_shown(now.get(key))}")
        keys.append(key)
    if changes:
        options = " ".join(f"--allow-change {key}" for key in keys)
        raise ConfigError(inert(f"{'; '.join(changes)}; expected the same, or {options}"))


def check_epochs(done: Place, asked: Config) -> None:
    """Raise ConfigError if the run has come further than it is asked to."""
    epochs = done.epoch + (done.step > 0)
    if not isinstance(asked.optim, Lbfgs) and asked.solver.epochs < epochs:
        raise ConfigError(
            f"solver.epochs is {asked.solver.epochs}, but the run has come to epoch {epochs}: "
            f"expected at least {epochs}"
        )


def flat(value: Any, key: str = "") -> dict[str, Any]:
    """`{"optim.lr": 0.1, "net.layers[0].units": 100, …}`"""
    if isinstance(value, dict) and value:
        return {
            k: v for name, item in value.items() for k, v in flat(item, f"{key}.{name}").items()
        }
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return {k: v for i, item in enumerate(value) for k, v in flat(item, f"{key}[{i}]").items()}
    return {key.lstrip("."): value}


def is_inside(key: str, name: str) -> bool:
    return key == name or key.startswith((f"{name}.", f"{name}["))


def _shown(value: Any) -> str:
    return "not given" if value is None else repr(value)[:60]
