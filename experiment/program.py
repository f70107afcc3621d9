"""What `python -m solver` does: train, resume, check and predict, as the command line says."""

from __future__ import annotations

import copy
import math
import os
import shlex
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from data import DataError
from experiment.build import Parts, build, build_optimizer, build_schedule
from experiment.checkpoint import MAX_BYTES, Checkpoint, Checkpoints, parse_every
from experiment.command_line import check_options, command_line
from experiment.config import read
from experiment.divergence import Diverged
from experiment.errors import ConfigError, inert
from experiment.folder import (
    CHECKPOINTS,
    CONFIG,
    RunFolder,
    files_of,
    is_finished,
    new_folder,
    old_folder,
    put_back_files,
)
from experiment.prediction import predict
from experiment.resume import check_changes, check_epochs, table
from experiment.sanity import checks
from experiment.schema import Config, Lbfgs
from experiment.signals import Interrupted, StoppedAtOnce, finishing_steps
from experiment.summary import summarize
from experiment.threads import blas_threads
from losses.objective import Objective
from optim import Constant

Maker = Callable[..., Any]  # the class Solver, which stands a floor above

OVERFIT_EPOCHS = 2000


def main(arguments: list[str] | None, make: Maker) -> int:
    """0 done, 2 a mistake in config or data, 3 diverged, 130 or 143 stopped."""
    options = command_line().parse_args(arguments)
    try:
        check_options(options)
        if options.predict is not None:
            predict(options)
            return 0
        return resume(options, make) if options.resume is not None else run(options, make)
    except (ConfigError, DataError) as error:
        print(f"error: {inert(str(error))}", file=sys.stderr)
        return 2
    except Diverged as error:
        print(f"diverged: {error}", file=sys.stderr)
        return 3
    except StoppedAtOnce as stop:
        return 128 + stop.signum
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except MemoryError:
        print("error: not enough memory for this network or batch", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read our output has gone: nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"error: {_os_error(error)}", file=sys.stderr)
        return 2


def _os_error(error: OSError) -> str:
    where = f"{inert(str(error.filename))}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def run(options: Any, make: Maker) -> int:
    """Train, or check, what a configuration describes."""
    config = read(options.config, _settings(options))
    with _threads(config), np.errstate(all="ignore"):  # NaN is looked for
        try:
            parts = build(config)
            solver = from_config(parts, make, options.quiet)
        except (ConfigError, DataError) as error:
            raise ConfigError(f"{options.config}: {error}") from None
        if options.dry_run:
            batch = max(2, min(config.solver.batch_size, len(parts.sets.train)))
            print(parts.net.summary((parts.sets.train.n_features,), batch), flush=True)
            return 0
        if options.sanity:
            return sanity(parts, make)
        with new_folder(options.out, Path(options.config).stem) as path:
            solver.checkpoints = _checkpoints(path, parts)
            return train(solver, parts, RunFolder(path, parts))


def resume(options: Any, make: Maker) -> int:
    """Go on with the run in a folder, to the weights it would have had."""
    with old_folder(Path(options.resume)) as path:
        stored = path / CONFIG
        config = read(options.config or stored, _settings(options))
        with _threads(config), np.errstate(all="ignore"):  # NaN is looked for
            try:
                parts = build(config)
                solver = from_config(parts, make, options.quiet)
                checkpoints = _checkpoints(path, parts, options.allow_change)
                finished = is_finished(path)
                if finished and table(read(stored)) == table(config):
                    print(f"{inert(str(path))}: this run is finished", flush=True)
                    return 0
                largest = MAX_BYTES + 8 * parts.objective.theta.nbytes
                checkpoint = checkpoints.newest(largest)
                check_epochs(checkpoint.facts.place, config)
                check_changes(checkpoint.facts.config, config, options.allow_change)
            except (ConfigError, DataError) as error:
                raise ConfigError(f"--resume {path}: {error}") from None
            solver.checkpoints = checkpoints
            done = [] if checkpoint.starts_over else checkpoint.history
            kept = files_of(path)
            try:
                return train(solver, parts, RunFolder(path, parts, done), checkpoint)
            except ConfigError:
                if not solver.placed:  # the checkpoint does not fit: the run stays as it was
                    put_back_files(path, kept)
                raise


def _threads(config: Config) -> AbstractContextManager[None]:
    return blas_threads(config.solver.threads, scipy_too=isinstance(config.optim, Lbfgs))


def _settings(options: Any) -> list[str]:
    return [*options.set, *([] if options.seed is None else [f"solver.seed={options.seed}"])]


def _checkpoints(path: Path, parts: Parts, allowed: Iterable[str] = ()) -> Checkpoints:
    """Those of the run in this folder; a key of [data] that may change allows other data."""
    return Checkpoints(
        path / CHECKPOINTS,
        parts.config.solver.checkpoint_every,
        config=table(parts.config),
        allow_other_data=any(key.split(".")[0] == "data" for key in allowed),
        tell=lambda text: print(f"note: {inert(text)}", file=sys.stderr),
    )


def train(
    solver: Any, parts: Parts, folder: RunFolder, checkpoint: Checkpoint | None = None
) -> int:
    """Train, test, and write the run's folder; from a checkpoint on, if there is one."""
    solver.callbacks = (lambda _, record: folder.add(record),)
    sets, k = parts.sets, parts.config.solver.overfit
    how = f"python -m solver --resume {inert(shlex.quote(str(folder.path)))}"
    kept = Checkpoints(folder.path / CHECKPOINTS).paths
    try:
        with finishing_steps(solver.interrupt):
            if k is not None:
                solver.overfit(parts.inputs(sets.train), k, resume=checkpoint)
            else:
                validation = parts.inputs(sets.validation) if len(sets.validation) else None
                solver.train(parts.inputs(sets.train), validation, resume=checkpoint)
    except Interrupted as stop:
        print(f"{stop}; to go on: {how}", file=sys.stderr)
        folder.keep_weights()
        return 128 + stop.signum
    except Diverged as error:
        good = f"; the last good checkpoint: {inert(str(kept()[0]))}" if kept() else ""
        print(f"diverged: {error}{good}", file=sys.stderr)
        folder.keep_weights()
        return 3
    except OSError as error:  # no room for a checkpoint, or the folder has gone
        raise ConfigError(_os_error(error) + (f"; to go on: {how}" if kept() else "")) from None
    test = solver.evaluate(*parts.inputs(sets.test)) if len(sets.test) else None
    if test is not None and not math.isfinite(test[0]):
        print(f"diverged: test loss is {test[0]} after training that was finite", file=sys.stderr)
        folder.keep_weights()
        return 3
    summary = summarize(parts, solver, test, solver.history[-1]["seconds"])
    written = folder.finish(solver.history, summary)
    if not solver.quiet:
        print(f"{summary}\n{inert(str(folder.path))}: {inert(', '.join(written))}", flush=True)
    return 0


def from_config(parts: Parts, make: Maker, quiet: bool, objective: Objective | None = None) -> Any:
    """The Solver that `[optim]` and `[solver]` describe."""
    config = parts.config
    section = config.solver
    try:
        parse_every(section.checkpoint_every)
    except ConfigError as error:
        raise ConfigError(f"solver.checkpoint_every: {error}") from None
    return make(
        objective or parts.objective,
        build_optimizer(config.optim, section.epochs),
        schedule=build_schedule(config.optim, section.epochs),
        epochs=section.epochs,
        batch_size=section.batch_size,
        seed=section.seed,
        clip_norm=getattr(config.optim, "clip_norm", None),
        patience=section.patience,
        quiet=quiet,
    )


def sanity(parts: Parts, make: Maker) -> int:
    """Run the checks of experiment/sanity.py; 0 if all pass, 1 if one fails."""

    def overfit(samples: int) -> float:
        net = copy.deepcopy(parts.net)
        objective = Objective(net, copy.copy(parts.objective.loss))
        solver = from_config(parts, make, True, objective)
        solver.schedule, solver.patience, solver.epochs = Constant(), None, OVERFIT_EPOCHS
        return float(solver.overfit(parts.inputs(parts.sets.train), samples)[-1]["train_score"])

    failed = 0
    for check in checks(parts, overfit):
        failed += not check.passed
        print(f"{'pass' if check.passed else 'FAIL'}  {check.name:24}  {check.detail}", flush=True)
    return 1 if failed else 0
