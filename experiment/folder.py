"""The folder of one run: whole files, one run at a time, and what a run leaves in it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from experiment import model, plots
from experiment.build import Parts
from experiment.config import as_toml
from experiment.errors import ConfigError, inert

CONFIG, METRICS, SUMMARY = "config.toml", "metrics.jsonl", "summary.txt"
CHECKPOINTS = "checkpoints"
LOCK, UNFINISHED = ".lock", ".unfinished"
NO_LOCKS_HERE = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)  # some network file systems


# -- whole files ---------------------------------------------------------------------------


def write_whole(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file that is whole whatever happens: the old one, or the new one, or none.

    It is written beside its place, flushed to the disk, renamed, and the folder flushed too.
    Errors: OSError naming `path`; nothing unfinished is left behind.
    """
    unfinished = path.parent / UNFINISHED
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    try:
        file = os.open(unfinished, flags, 0o644)
        try:
            for part in parts:
                rest = memoryview(part)
                while len(rest):
                    rest = rest[os.write(file, rest) :]
            os.fsync(file)
        finally:
            os.close(file)
        os.replace(unfinished, path)
        flush(path.parent)
    except BaseException as error:
        with suppress(OSError):
            unfinished.unlink()
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def flush(path: Path) -> None:
    """Have the disk keep a file's bytes, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_whole(path: Path, max_bytes: int) -> bytes:
    """The bytes of a regular file, which is no symbolic link.

    Errors: ConfigError in one line without the path: what is wrong with the file.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        link = error.errno == errno.ELOOP
        raise ConfigError("is a symbolic link" if link else f"{error.strerror}") from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError("is no regular file")
        if status.st_size > max_bytes:
            raise ConfigError(f"has {status.st_size:,} bytes, more than the {max_bytes:,} expected")
        with open(handle, "rb", closefd=False) as file:
            return file.read(status.st_size)
    finally:
        os.close(handle)


# -- one run at a time -----------------------------------------------------------------------


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this run alone, until the end or until the process dies.

    The system gives up the lock of a process that is killed: none is ever stale.
    Errors: ConfigError naming the process that has it.
    """
    import fcntl

    path = folder / LOCK
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(handle, 20).decode("ascii", "replace").strip()
            os.close(handle)
            who = f" (process {inert(owner)})" if owner else ""
            raise ConfigError(f"{inert(str(folder))}: another run{who} is writing here") from None
        except OSError as error:
            if error.errno not in NO_LOCKS_HERE:
                os.close(handle)
                raise
        if _still_there(path, handle):
            break
        os.close(handle)  # the one who had it took the file away: try again
    try:
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(handle)


def _still_there(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(handle))
    except FileNotFoundError:
        return False


@contextmanager
def new_folder(out: Path | None, name: str) -> Iterator[Path]:
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
    with ExitStack() as held:
        try:
            out.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(out))
            empty = all(path.name == LOCK for path in out.iterdir())
        except OSError as error:
            raise ConfigError(f"--out {where}: cannot be made: {error.strerror}") from None
        if not empty:
            raise ConfigError(f"--out {where}: is not empty, expected a new folder")
        yield out


@contextmanager
def old_folder(run: Path) -> Iterator[Path]:
    """The folder of a run that is to go on.

    Errors: ConfigError when there is none, or it is not a run's, or another run is at work in it.
    """
    where = f"--resume {inert(str(run))}"
    if not run.is_dir():
        what = "is no folder" if run.exists() else "no such folder"
        raise ConfigError(f"{where}: {what}, expected the folder of a run")
    if not (run / CONFIG).is_file():
        raise ConfigError(f"{where}: not the folder of a run, it has no {CONFIG}")
    with ExitStack() as held:
        try:
            held.enter_context(locked(run))
        except OSError as error:
            raise ConfigError(f"{where}: cannot be written to: {error.strerror}") from None
        yield run


# -- what a run leaves -----------------------------------------------------------------------


def files_of(path: Path) -> dict[str, bytes]:
    """The files of a run that going on with it writes anew."""
    found = {}
    for name in (CONFIG, METRICS, SUMMARY):
        with suppress(FileNotFoundError):
            found[name] = (path / name).read_bytes()
    return found


def put_back_files(path: Path, kept: dict[str, bytes]) -> None:
    """Those files as they were."""
    for name, content in kept.items():
        write_whole(path / name, [content])


class RunFolder:
    """Writes what a run produces, as it is produced; each file is whole or not there.

    config.toml           the configuration with every default written out; runs again as it is
    metrics.jsonl         a line of JSON per epoch
    checkpoints/          where an interrupted run goes on from, see experiment/checkpoint.py
    weights.safetensors   the best weights, with manifest.json to rebuild the network
    curves.png            loss and score by epoch, if matplotlib is installed
    first_layer.png       each unit's weights as an image, for image data
    summary.txt           what a person wants to know; written last, so it says the run is finished
    """

    def __init__(self, path: Path, parts: Parts, history: Iterable[dict[str, Any]] = ()) -> None:
        self.path = path
        self.parts = parts
        self.metrics = path / METRICS
        with suppress(FileNotFoundError):
            (path / SUMMARY).unlink()
        write_whole(path / CONFIG, [as_toml(parts.config).encode()])
        write_whole(self.metrics, [_line(record) for record in history])

    def add(self, record: dict[str, Any]) -> None:
        """One line of metrics, in the file when this returns."""
        with self.metrics.open("ab") as file:
            file.write(_line(record))

    def keep_weights(self) -> None:
        """Write the network's present weights, with its manifest, unless they are not finite."""
        if not np.isfinite(self.parts.objective.theta).all():
            return
        unfinished = self.path / f"{UNFINISHED}-weights"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            model.save(unfinished, self.parts)
            for path in sorted(unfinished.iterdir()):
                flush(path)
                os.replace(path, self.path / path.name)
            flush(self.path)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def finish(self, history: list[dict[str, Any]], summary: str) -> list[str]:
        """Write weights, pictures and summary; the names of what was written."""
        self.keep_weights()
        if plots.available():
            plots.curves(history, self.parts.objective.loss.score_name, self.path / "curves.png")
            plots.first_layer(self.parts, self.path / "first_layer.png")
        write_whole(self.path / SUMMARY, [f"{summary}\n".encode()])
        return sorted(path.name for path in self.path.iterdir() if path.name != LOCK)


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def is_finished(run: Path) -> bool:
    return (run / SUMMARY).is_file()
