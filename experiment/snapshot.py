"""From a Solver to a checkpoint, and back."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from experiment.checkpoint import Best, Checkpoint, Facts, Place
from experiment.errors import ConfigError, inert
from experiment.threads import numerics
from optim import LBFGS

Array = npt.NDArray[Any]
DIGEST_BYTES = 2**24  # read at once

STARTS_OVER = "L-BFGS keeps its memory to itself: its iterations are computed again from the start"


class Setting:
    """What of a run stays the same from its first checkpoint to its last.

    x, y, validation: the data as the Solver got it; digested and asked for only when needed.
    """

    def __init__(self, sets: Iterable[Any]) -> None:
        self._sets = list(sets)
        self._data: str | None = None
        self._numerics: dict[str, str] | None = None

    @property
    def data(self) -> str:
        """A checksum of every number in the data, its shape and its type."""
        if self._data is None:
            self._data = digest(self._sets)
        return self._data

    @property
    def numerics(self) -> dict[str, str]:
        if self._numerics is None:
            self._numerics = numerics()
        return self._numerics


def check_can_be_kept(optimizer: Any, schedule: Any) -> None:
    """Raise unless a checkpoint can hold the optimizer's and the schedule's state."""
    if not isinstance(optimizer, LBFGS):
        for name in ("state", "steps", "load"):
            if not hasattr(optimizer, name):
                raise TypeError(
                    f"Solver: {type(optimizer).__name__} has no `{name}`, which checkpoints need"
                )
    for name in ("state_dict", "load_state_dict"):
        if schedule is not None and not hasattr(schedule, name):
            raise TypeError(
                f"Solver: {type(schedule).__name__} has no `{name}`, which checkpoints need"
            )


def digest(sets: Iterable[Any]) -> str:
    """The CRC-32 of arrays, read piece by piece: they may lie in files larger than the memory."""
    found = 0
    for array in sets:
        found = zlib.crc32(repr((array.shape, np.dtype(array.dtype).str)).encode(), found)
        row = max(1, array.dtype.itemsize * int(np.prod(array.shape[1:])))
        rows = max(1, DIGEST_BYTES // row)
        for start in range(0, len(array), rows):
            piece = np.ascontiguousarray(array[start : start + rows])
            found = zlib.crc32(piece.reshape(-1).view(np.uint8).data, found)
    return f"{found:08x}"


def take(solver: Any, place: Place, setting: Setting, start: dict[str, Array]) -> Checkpoint:
    """Everything that the run needs to go on from `place`.

    start: for an optimizer whose memory nobody can read, what the run began with.
    """
    objective, optimizer = solver.objective, solver.optimizer
    arrays = present(objective) | {f"start/{name}": value for name, value in start.items()}
    for moment, vector in getattr(optimizer, "state", {}).items():
        arrays |= _named(objective, f"moments/{moment}", vector)
    best = None
    if solver.best_epoch:
        best = Best(solver.best_epoch, float(solver.best_score), float(solver.best_loss))
    if solver.best is not None:
        theta, state = solver.best
        arrays |= _named(objective, "best/params", theta)
        arrays |= {f"best/state/{name}": value for name, value in state.items()}
    facts = Facts(
        place=place,
        seed=solver.seed,
        batch_size=solver.batch_size,
        samples=solver.samples,
        data=setting.data,
        optimizer=type(optimizer).__name__,
        updates=int(getattr(optimizer, "steps", 0)),
        schedule=dict(solver.schedule.state_dict()),
        rngs={n: dict(rng.bit_generator.state) for n, rng in random_states(objective.net)},
        best=best,
        seconds=solver.seconds(),
        numerics=setting.numerics,
        config=solver.checkpoints.config,
    )
    return Checkpoint(arrays, facts, solver.history)


def put_back(solver: Any, checkpoint: Checkpoint, setting: Setting) -> Place:
    """Make the solver what it was; where it goes on.

    Errors: ConfigError when the checkpoint does not fit the network, the optimizer or the data.
    """
    facts, objective, optimizer = checkpoint.facts, solver.objective, solver.optimizer
    allow = solver.checkpoints is not None and solver.checkpoints.allow_other_data
    _check_run(solver, facts, setting, allow)
    origin = "start/" if checkpoint.starts_over else ""
    arrays = checkpoint.arrays
    now = present(objective)
    for name in sorted(arrays):
        own = name.removeprefix(origin)
        if own.startswith(("params/", "state/")) and own not in now:
            raise ConfigError(f"the checkpoint has {inert(name)}, which the network has not")
    found = _part(arrays, origin, now, "the network")
    moments: dict[str, dict[str, Array]] = {}
    like = _named(objective, "", objective.theta)
    for name in sorted({name.split("/")[1] for name in arrays if name.startswith("moments/")}):
        moments[name] = _part(arrays, f"moments/{name}", like, f"{facts.optimizer}'s {name}")
    best = None
    if any(name.startswith("best/") for name in arrays):
        best = _part(arrays, "best/", now, "the best network")
    rngs = dict(random_states(objective.net))
    if sorted(rngs) != sorted(facts.rngs):
        raise ConfigError(
            f"the checkpoint has random states of {sorted(facts.rngs)}, "
            f"the network of {sorted(rngs)}"
        )
    try:
        if hasattr(optimizer, "load"):
            vectors = {name: _joined(objective, parts) for name, parts in moments.items()}
            optimizer.load(vectors, facts.updates)
        if not checkpoint.starts_over:
            solver.schedule.load_state_dict(facts.schedule)
        for name, rng in rngs.items():
            rng.bit_generator.state = _with_arrays(facts.rngs[name])
    except (ValueError, TypeError, LookupError, OverflowError, AttributeError) as error:
        raise ConfigError(f"the checkpoint does not fit: {inert(str(error))}") from None
    for name, value in now.items():
        value[...] = found[name]
    if checkpoint.starts_over:
        return Place()
    solver.history[:] = checkpoint.history
    if facts.best is not None:
        solver.best_epoch = facts.best.epoch
        solver.best_score, solver.best_loss = facts.best.score, facts.best.loss
    if best is not None:
        theta = np.empty_like(objective.theta)
        for name, (_, part) in objective.beside(theta).items():
            part[...] = best[f"params/{name}"]
        states = {name: best[f"state/{name}"] for name in objective.net.state}
        solver.best = theta, states
    return facts.place


def present(objective: Any) -> dict[str, Array]:
    """The network's own arrays: `params/linear1.W`, `state/batchnorm1.running_mean`, …"""
    state = {f"state/{name}": value for name, value in objective.net.state.items()}
    return _named(objective, "params", objective.theta) | state


def random_states(net: Any) -> Iterator[tuple[str, np.random.Generator]]:
    """The generator of every layer that has one, by the layer's name."""
    for name, layer in net.leaves():
        rng = getattr(layer, "rng", None)
        if rng is None:
            continue
        if not isinstance(rng, np.random.Generator):
            raise TypeError(
                f"{name}: its rng is a {type(rng).__name__}, which no checkpoint can hold; "
                "expected a numpy.random.Generator"
            )
        yield name, rng


def notes(facts: Facts, setting: Setting) -> Iterator[str]:
    """What may make the last bits differ from those of an uninterrupted run."""
    for key in sorted(facts.numerics.keys() | setting.numerics.keys()):
        before, now = facts.numerics.get(key), setting.numerics.get(key)
        if before != now:
            yield f"{inert(key)} was {inert(str(before))}, is now {now}: the last bits may differ"


# -- arrays by name ------------------------------------------------------------------------


def _named(objective: Any, prefix: str, vector: Array) -> dict[str, Array]:
    """The parts of a vector laid out like theta, by the parameters' names."""
    parts = objective.beside(vector)
    return {f"{prefix}/{name}" if prefix else name: part for name, (_, part) in parts.items()}


def _joined(objective: Any, parts: dict[str, Array]) -> Array:
    """The vector laid out like theta, of its parts."""
    vector: Array = np.empty_like(objective.theta)
    for name, (_, part) in objective.beside(vector).items():
        part[...] = parts[name]
    return vector


def _part(
    arrays: dict[str, Array], prefix: str, like: dict[str, Array], what: str
) -> dict[str, Array]:
    """The arrays under a prefix, which must be named, shaped and typed as `like`."""
    prefix = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
    found = {}
    for name, value in like.items():
        array = arrays.get(prefix + name)
        if array is None:
            raise ConfigError(f"the checkpoint has no {prefix}{name}, which is of {what}")
        if array.shape != value.shape or array.dtype != value.dtype:
            raise ConfigError(
                f"the checkpoint's {prefix}{name} is {array.dtype} {array.shape}, but of {what} "
                f"it is {value.dtype} {value.shape}"
            )
        found[name] = array
    return found


def _with_arrays(state: Any) -> Any:
    """A generator's state as NumPy wants it: what JSON made lists, arrays."""
    if isinstance(state, dict):
        return {key: _with_arrays(value) for key, value in state.items()}
    return np.array(state, np.uint64) if isinstance(state, list) else state


def _check_run(solver: Any, facts: Facts, setting: Setting, allow_other_data: bool) -> None:
    """Raise unless this is the run that the checkpoint was made of, as far as it must be."""
    kind = type(solver.optimizer).__name__
    if facts.optimizer != kind:
        raise ConfigError(f"the checkpoint is of {inert(facts.optimizer)}, the optimizer is {kind}")
    if facts.data != setting.data and not allow_other_data:
        raise ConfigError(
            "the data is not what the run began with (a changed file, or another split); "
            "--allow-change data goes on all the same"
        )
    if facts.place.step == 0:
        return
    if facts.place.step * facts.batch_size >= facts.samples:
        raise ConfigError(f"the checkpoint is of step {facts.place.step}, beyond its epoch")
    for key in ("seed", "batch_size", "samples"):
        before, now = getattr(facts, key), getattr(solver, key)
        if before != now:
            raise ConfigError(
                f"{key} was {before}, is now {now}: it cannot change in the middle of an epoch, "
                f"and the checkpoint is of epoch {facts.place.epoch + 1}, step {facts.place.step}"
            )
