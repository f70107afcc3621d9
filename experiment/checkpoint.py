"""Checkpoints: one file that holds everything a run needs to go on as if nothing had happened.

A checkpoint is a safetensors file. Its arrays are the parameters, the optimizer's moments, the
running statistics, the best weights and the history; the rest is JSON in its header, with a
SHA-256 of the whole file, so that a byte changed anywhere is noticed.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec
import numpy as np
import numpy.typing as npt

from experiment.errors import ConfigError, inert
from experiment.folder import locked, read_whole, write_whole

Array = npt.NDArray[Any]
Record = dict[str, Any]

FORMAT = 1
MAX_BYTES = 2**30  # of a checkpoint, beside what the network's size explains
ANY_SIZE = 2**40
NO_SUM = b"0" * 64  # stands where the checksum goes while it is computed
FILE_NAME = re.compile(r"(\d{6,})-(\d{8,})\.safetensors")
HISTORY = "history"

UNITS = {"epoch": 1, "step": 1, "second": 1, "minute": 60}


# -- what is in one --------------------------------------------------------------------------


Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a run stands: so many whole epochs, so many steps of the next.

    total, weight: the sums, over those steps, that its `data_loss` is made of.
    """

    epoch: Count = 0
    step: Count = 0
    total: float = 0.0
    weight: float = 0.0


class Best(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The best epoch so far."""

    epoch: Count
    score: float
    loss: float


class Facts(msgspec.Struct, forbid_unknown_fields=True):
    """What a checkpoint says in numbers and words."""

    place: Place
    seed: int
    batch_size: Count
    samples: Count
    data: str
    optimizer: str
    updates: Count
    schedule: dict[str, float]
    rngs: dict[str, dict[str, Any]]
    best: Best | None
    seconds: float
    numerics: dict[str, str]
    config: dict[str, Any] | None
    format: int = FORMAT


class Line(TypedDict):
    """What every record of the history has; callbacks may have added more."""

    epoch: Count
    data_loss: float
    penalty: float
    train_score: float
    learning_rate: float | None
    update_ratio: dict[str, float]
    seconds: float
    validation_loss: NotRequired[float]
    validation_score: NotRequired[float]


@dataclass
class Checkpoint:
    """Arrays by name (`params/linear1.W`, `moments/mean/linear1.W`, …), facts, and the history."""

    arrays: dict[str, Array]
    facts: Facts
    history: list[Record]

    @property
    def starts_over(self) -> bool:
        """Whether it goes on by computing again from the start, as L-BFGS does."""
        return any(name.startswith("start/") for name in self.arrays)


# -- one file --------------------------------------------------------------------------------


def encode(checkpoint: Checkpoint) -> list[bytes | memoryview]:
    """The file's bytes in pieces: what precedes the checksum, the checksum, the rest."""
    from safetensors.numpy import save

    history = json.dumps(checkpoint.history, default=_plain).encode()
    arrays = {name: np.ascontiguousarray(value) for name, value in checkpoint.arrays.items()}
    arrays[HISTORY] = np.frombuffer(history, np.uint8)
    facts = json.dumps(msgspec.to_builtins(checkpoint.facts, enc_hook=_plain))
    data = save(arrays, metadata={"checkpoint": facts, "sha256": NO_SUM.decode()})
    start = data.index(b'"sha256":"') + len(b'"sha256":"')  # quotes in the facts are escaped
    whole = memoryview(data)
    checksum = hashlib.sha256(whole).hexdigest().encode()
    return [whole[:start], checksum, whole[start + len(NO_SUM) :]]


def decode(data: bytes) -> Checkpoint:
    """The checkpoint in a file's bytes.

    Errors: ConfigError in one line: what is wrong with them.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    facts = _checked_facts(data)
    try:
        arrays = load(data)
        history = json.loads(arrays.pop(HISTORY).tobytes())
        made = msgspec.convert(json.loads(facts), Facts)
        if made.format != FORMAT:
            raise ConfigError(f"has format {made.format}, expected {FORMAT}")
        msgspec.convert(history, list[Line])
        if len(history) != made.place.epoch:
            raise ConfigError(f"has {len(history)} records of {made.place.epoch} epochs")
        return Checkpoint(arrays, made, history)
    except (
        SafetensorError,
        msgspec.ValidationError,
        KeyError,
        ValueError,
        RecursionError,
    ) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"is no checkpoint: {inert(str(error))[:200]}") from None


def _checked_facts(data: bytes) -> str:
    """The facts, as JSON, in the header of a file whose checksum is right."""
    try:
        size = int.from_bytes(data[:8], "little")
        if len(data) < 8 or size > len(data) - 8:
            raise ConfigError("is truncated")
        metadata = json.loads(data[8 : 8 + size])["__metadata__"]
        claimed, facts = metadata["sha256"].encode(), str(metadata["checkpoint"])
        start = data.index(b'"sha256":"' + claimed + b'"', 8, 8 + size) + len(b'"sha256":"')
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError("is damaged: its header cannot be read") from None
    whole = memoryview(data)
    checksum = hashlib.sha256(whole[:start])
    checksum.update(NO_SUM)
    checksum.update(whole[start + len(claimed) :])
    if checksum.hexdigest().encode() != claimed:
        raise ConfigError("is damaged: its checksum is not that of its bytes")
    return facts


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays as JSON knows them."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}: {value!r}")


# -- a folder of them ------------------------------------------------------------------------


class Checkpoints:
    """The checkpoints of one run, in a folder of their own.

    folder   where they are; made when the first is written
    every    "1 epoch", "500 steps", "30 seconds", "2 minutes", or "never": only when interrupted
    keep     the last so many stay
    tell     called with a line of text when there is something that one should know

    allow_other_data: a run may go on with data that differs from what it began with.
    """

    def __init__(
        self,
        folder: Path | str,
        every: str = "1 epoch",
        keep: int = 3,
        *,
        config: dict[str, Any] | None = None,
        allow_other_data: bool = False,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
            raise ValueError(f"Checkpoints: keep is {keep!r}, expected a whole number ≥ 1")
        self.folder = Path(folder)
        self.count, self.unit = parse_every(every)
        self.keep = keep
        self.config = config
        self.allow_other_data = allow_other_data
        self.tell = tell or warn
        self._deadline = math.inf

    def due(self, epoch: int, step: int, steps: int) -> bool:
        """Whether a checkpoint is due before this step of this epoch, which has so many steps."""
        if self.unit == "epoch":
            return step == 0 and epoch % self.count == 0
        if self.unit == "step":
            return (epoch * steps + step) % self.count == 0
        return time.monotonic() >= self._deadline

    @contextmanager
    def at_work(self, resumed: bool) -> Iterator[None]:
        """While inside, the folder is this run's alone; a new run's has no checkpoints yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder):
            if not resumed and self.paths():
                raise ConfigError(
                    f"{inert(str(self.folder))}: holds the checkpoints of a run; go on from its "
                    "newest, or choose another folder"
                )
            self._set_deadline()
            try:
                yield
            finally:
                empty = not self.paths()
        if empty:
            with suppress(OSError):
                self.folder.rmdir()

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint; then, and only then, remove those that are too many.

        Errors: OSError when the disk is full or the folder has gone; the others are still whole.
        """
        place = checkpoint.facts.place
        path = self.folder / f"{place.epoch:06d}-{place.step:08d}.safetensors"
        write_whole(path, encode(checkpoint))
        for old in self.paths()[self.keep :]:
            with suppress(OSError):
                old.unlink()
        self._set_deadline()
        return path

    def newest(self, max_bytes: int = ANY_SIZE) -> Checkpoint:
        """The newest checkpoint that is whole; a damaged one is told of and put aside.

        Errors: ConfigError when there is none.
        """
        where, damaged = inert(str(self.folder)), 0
        for path in self.paths():
            try:
                return decode(read_whole(path, max_bytes))
            except ConfigError as error:
                damaged += 1
                self.tell(f"{inert(str(path))} {error}; going on from the one before it")
                with suppress(OSError):
                    path.rename(path.with_suffix(".damaged"))
        if damaged:
            raise ConfigError(f"{where}: all {damaged} checkpoints are damaged")
        raise ConfigError(f"{where}: no checkpoint to go on from, the run ended before its first")

    def paths(self) -> list[Path]:
        """The files, newest first."""
        found = []
        with suppress(FileNotFoundError, NotADirectoryError):
            for path in self.folder.iterdir():
                if match := FILE_NAME.fullmatch(path.name):
                    found.append((int(match[1]), int(match[2]), path))
        return [path for *_, path in sorted(found, reverse=True)]

    def _set_deadline(self) -> None:
        if self.unit in ("second", "minute"):
            self._deadline = time.monotonic() + self.count * UNITS[self.unit]


def never(epoch: int, step: int, steps: int) -> bool:
    """`due` of a run without checkpoints."""
    return False


def warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


def parse_every(text: str) -> tuple[float, str]:
    """`"500 steps"` as (500, "step").

    Errors: ConfigError for anything else than a number and a unit.
    """
    expected = 'expected e.g. "1 epoch", "500 steps", "30 seconds", "2 minutes" or "never"'
    if text == "never":
        return math.inf, "never"
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ([a-z]+?)s?", str(text))
    if match is None or match[2] not in UNITS or float(match[1]) == 0:
        raise ConfigError(f"is {inert(repr(text))[:80]}, {expected}")
    if match[2] in ("epoch", "step"):
        if "." in match[1]:
            raise ConfigError(f"is {inert(repr(text))}, expected a whole number of {match[2]}s")
        return int(match[1]), match[2]
    return float(match[1]), match[2]
