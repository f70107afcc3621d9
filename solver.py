"""The training loop, and `python -m solver --config FILE`."""

from __future__ import annotations

import os
import signal

if __name__ == "__main__":  # Ctrl-C while the rest is being imported ends quietly
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import copy
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data import batches, epoch_order, gather, room
from experiment import program
from experiment.checkpoint import Checkpoint, Checkpoints, Place, never, warn
from experiment.divergence import Diverged, Examiner
from experiment.model import load
from experiment.signals import Interrupted
from experiment.snapshot import (
    STARTS_OVER,
    Setting,
    check_can_be_kept,
    notes,
    present,
    put_back,
    take,
)
from losses.objective import Objective
from optim import LBFGS, Constant, Optimizer, clip_by_norm

Array = npt.NDArray[Any]
Record = dict[str, Any]
Callback = Callable[["Solver", Record], bool | None]

EVALUATION_BATCH = 1024
TRAINING_SAMPLE = 1000

__all__ = ["Checkpoints", "Diverged", "Interrupted", "Solver", "load", "main"]


class Solver:
    """Minimises an objective on training data, epoch by epoch.

    An epoch is one seeded permutation of the samples, each exactly once, in batches. After it a
    record is added to `history`:

    epoch            1, 2, … (an iteration of L-BFGS)
    data_loss        mean over the epoch's samples, as training met them
    penalty          the penalties at the end of the epoch
    train_score      accuracy (R² for MSE) on up to 1,000 training samples, in evaluation mode
    validation_score, validation_loss   the same on the validation set, if there is one
    learning_rate    at the last step
    update_ratio     ‖Δθ‖ / ‖θ‖ of the last step, by parameter; about 1e-3 is healthy
    seconds          since training began

    The weights (and running statistics) with the best validation score are put back at the end;
    of equal scores the one with the lower loss is better.
    Evaluation draws no random numbers: asking for more of it changes no weight.
    An epoch's steps repeat the calls of its first: change what a layer is between epochs only.

    objective   Objective(net, loss, penalties)
    optimizer   SGD(0.1), Adam(), … or LBFGS() on the whole set at once
    schedule    multiplies the learning rate, by epoch
    clip_norm   longest gradient allowed
    patience    stop after so many epochs without a better validation score
    callbacks   called as callback(solver, record) after each epoch; true stops the training
    checkpoints Checkpoints("folder", every="1 epoch"), or the folder: what `train` can go on from
    quiet       no progress bar, which shows on a terminal only anyway

    `train` goes on from the present weights and the optimizer's moments: make a new optimizer to
    start afresh. L-BFGS has `max_iterations` of its own; epochs, batch_size, schedule and
    clip_norm do not concern it. A loss of your own needs forward and backward; without `score`,
    minus the loss is the score.

    `train(…, resume=checkpoints.newest())` goes on where a run ended, to the same bits: make the
    Solver as it was made then. `interrupt()`, from a signal handler or another thread, has `train`
    finish its step, write a checkpoint and raise Interrupted.

    Errors: Diverged when loss, gradient, parameters or outputs are NaN or infinite, naming the
    first layer that was. The best weights so far are put back then, too.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: Any,
        *,
        schedule: Any = None,
        epochs: int = 10,
        batch_size: int = 64,
        seed: int = 0,
        clip_norm: float | None = None,
        patience: int | None = None,
        callbacks: Iterable[Callback] = (),
        checkpoints: Checkpoints | Path | str | None = None,
        quiet: bool = False,
    ) -> None:
        counts = {"epochs": epochs, "batch_size": batch_size, "patience": patience or 1}
        for name, value in counts.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"Solver: {name} is {value!r}, expected a whole number ≥ 1")
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ValueError(f"Solver: seed is {seed!r}, expected a whole number ≥ 0")
        if not isinstance(optimizer, LBFGS) and not callable(getattr(optimizer, "update", None)):
            raise TypeError(
                f"Solver: optimizer is {optimizer!r}, expected one: SGD(0.1), Adam(), …"
            )
        if isinstance(optimizer, type):
            raise TypeError(
                f"Solver: optimizer is the class, expected one: {optimizer.__name__}(…)"
            )
        if schedule is not None and not callable(getattr(schedule, "factor", None)):
            raise TypeError(f"Solver: schedule is {schedule!r}, expected one: CosineDecay(10), …")
        if isinstance(checkpoints, str | Path):
            checkpoints = Checkpoints(checkpoints)
        if checkpoints is not None:
            check_can_be_kept(optimizer, schedule)
        self.objective = objective
        self.net = objective.net
        self.loss = objective.loss
        self.optimizer = optimizer
        self.schedule = Constant() if schedule is None else schedule
        self.epochs = epochs
        self.batch_size = batch_size
        self.seed = seed
        self.clip_norm = clip_norm
        self.patience = patience
        self.callbacks = tuple(callbacks)
        self.checkpoints = checkpoints
        self.quiet = quiet
        self._asked: int | None = None
        self._begin()

    def _begin(self) -> None:
        """Nothing is done yet, and nothing is the best."""
        self.history: list[Record] = []
        self.best: tuple[Array, dict[str, Array]] | None = None  # weights, running statistics
        self.best_score, self.best_loss = -math.inf, math.inf
        self.best_epoch = 0
        self.placed = False  # where a checkpoint was made, if training went on from one
        self._setting = Setting(())
        self._started = time.perf_counter()

    def train(
        self,
        train: tuple[Any, Array],
        validation: tuple[Any, Array] | None = None,
        *,
        resume: Checkpoint | None = None,
    ) -> list[Record]:
        """Train on (x, y), choosing the best weights on the validation set; returns `history`.

        resume: a checkpoint of this run, from where it goes on.
        """
        x, y = self._checked("train", *train)
        if validation is not None:
            validation = self._checked("validation", *validation)
        self._check_targets(x, y)
        sample = self._sample(x, y)
        self._begin()
        self.samples = len(y)
        self._setting = Setting((x, y, *(validation or ())))

        def after_epoch(record: Record) -> bool:
            """Measure, remember the best, tell the callbacks; whether to stop."""
            loss, score = self.evaluate(*sample)
            record["train_score"] = score
            if validation is not None:
                loss, score = self.evaluate(*validation)
                record["validation_loss"], record["validation_score"] = loss, score
                if not math.isfinite(loss):
                    raise self._examiner.validation(loss, validation[0], record["epoch"])
            record["seconds"] = self.seconds()
            self.history.append(record)
            self.schedule.observe(score)
            if (score, -loss) > (self.best_score, -self.best_loss):
                self.best_score, self.best_loss = score, loss
                self.best_epoch = record["epoch"]
                if validation is not None:
                    self.best = self.objective.theta.copy(), copy.deepcopy(self.net.state)
            stops = [callback(self, record) for callback in self.callbacks]
            return any(stops) or self._out_of_patience(record["epoch"])

        with ExitStack() as inside:
            if self.checkpoints is not None:
                inside.enter_context(self.checkpoints.at_work(resume is not None))
            place = Place() if resume is None else self._go_on(resume)
            inside.enter_context(np.errstate(over="ignore", invalid="ignore", divide="ignore"))
            self._examiner = Examiner(self.objective, self.optimizer)
            self.net.training = True
            try:
                if isinstance(self.optimizer, LBFGS):
                    self._whole_set(self.optimizer, x, y, after_epoch)
                else:
                    self._minibatches(x, y, after_epoch, place)
            except (Diverged, Interrupted):
                self._put_best_back()
                raise
            finally:
                self.net.training = False
                self._asked = None
                self._setting = Setting(())  # keeps no data from being freed
        self._put_best_back()
        return self.history

    def interrupt(self, signum: int = signal.SIGINT) -> None:
        """Ask `train` to finish its step, write a checkpoint and raise Interrupted."""
        self._asked = signum

    def seconds(self) -> float:
        """Since training began, without the time between an interruption and going on."""
        return time.perf_counter() - self._started

    def overfit(
        self, train: tuple[Any, Array], samples: int = 20, *, resume: Checkpoint | None = None
    ) -> list[Record]:
        """Train on a few samples alone, until they are all right: a net that cannot is broken."""
        x, y = self._checked("train", *train)
        rows = np.random.default_rng(self.seed).permutation(len(y))[:samples]
        callbacks = self.callbacks
        self.callbacks = (*callbacks, lambda _, record: record["train_score"] == 1)
        try:
            return self.train((gather(x, rows), y[rows]), resume=resume)
        finally:
            self.callbacks = callbacks

    def evaluate(self, x: Any, y: Array) -> tuple[float, float]:
        """Data loss and score on a whole set, in evaluation mode, batch by batch."""
        scores = self.scores(x)
        loss = copy.copy(self.loss)  # whose cache is its own
        value = float(loss.forward(scores, y))
        return value, loss.score(scores, y) if hasattr(loss, "score") else -value

    def scores(self, x: Any) -> Array:
        """The network's scores for every sample, in evaluation mode."""
        with self.net.evaluating():
            rows = np.arange(len(x))
            parts = [
                self.net.forward(gather(x, index)) for index in batches(rows, EVALUATION_BATCH)
            ]
        return np.concatenate(parts)

    # -- two ways to go through the data ---------------------------------------------------

    def _minibatches(
        self, x: Any, y: Array, after_epoch: Callable[[Record], bool], place: Place
    ) -> None:
        """Epochs of seeded permutations, an update a batch, from `place` on."""
        objective, optimizer, theta = self.objective, self.optimizer, self.objective.theta
        base_rate, steps = optimizer.lr, math.ceil(len(y) / self.batch_size)
        rooms: dict[int, tuple[Array, Array]] = {}  # by size, where a batch is gathered
        each_looked_at = not ordinary(x)
        biases, all_watched = slice(objective.n_weights, None), self._examiner.watched
        before = theta.copy()
        due = never if self.checkpoints is None else self.checkpoints.due
        try:
            with self._progress(self.epochs * steps, place.epoch * steps + place.step) as advance:
                for epoch in range(place.epoch, self.epochs):
                    order = epoch_order(len(y), np.random.default_rng([self.seed, epoch]))
                    rest = order[place.step * self.batch_size :]
                    total, weight = place.total, place.weight
                    self._examiner.begin(epoch)
                    with objective.driven():
                        for step, index in enumerate(batches(rest, self.batch_size), place.step):
                            if self._asked is not None or due(epoch, step, steps):
                                self._pause(Place(epoch, step, total, weight))
                            optimizer.lr = base_rate * self.schedule.factor(epoch + step / steps)
                            n = len(index)
                            if n not in rooms:
                                rooms[n] = room(x, n), room(y, n)
                            batch, labels = rooms[n]
                            gather(x, index, out=batch)
                            y.take(index, axis=0, out=labels, mode="clip")
                            loss, grad, how = self._gradient(batch, labels)
                            products = objective.products
                            watched = grad[biases if products else all_watched]
                            looked = loss + np.dot(watched, watched)
                            if products and each_looked_at:
                                looked += np.vdot(batch, batch)
                            if not math.isfinite(looked):
                                for product in products:
                                    product.add_to(grad, 1.0, 0.0)
                                self._examiner.step(loss, grad, batch, index, step)
                            batch_weight = getattr(self.loss, "total_weight", len(index))
                            total += float(objective.data_loss) * batch_weight
                            weight += batch_weight
                            if self.clip_norm is not None:
                                clip_by_norm(grad, self.clip_norm)
                            if step == steps - 1:
                                before[...] = theta
                            optimizer.update(theta, grad, objective.n_weights, *how)
                            advance(1)
                    self._examiner.epoch(batch, index, steps)
                    record = {
                        "epoch": epoch + 1,
                        "data_loss": total / weight if weight else 0.0,
                        "penalty": objective.penalty_value(),
                        "learning_rate": optimizer.lr,
                        "update_ratio": self._update_ratio(before),
                    }
                    place = Place(epoch + 1)
                    if after_epoch(record):
                        return
                if self._asked is not None or due(self.epochs, 0, steps):
                    self._pause(place)
        finally:
            optimizer.lr = base_rate

    def _gradient(self, x: Array, y: Array) -> tuple[float, Array, tuple[Any, ...]]:
        """Loss and gradient of a batch, and what the update must know of the gradient.

        Where nobody reads it before, an update of ours applies the penalties, and may have the
        weights' part put off.
        """
        objective, optimizer = self.objective, self.optimizer
        if self.clip_norm is not None or not isinstance(optimizer, Optimizer):
            return *objective.value_and_grad(x, y), ()
        penalties = objective.penalties
        put_off = optimizer.ready_for_products(penalties, objective.theta.dtype)
        loss, grad = objective.data_loss_and_grad(x, y, put_off=put_off)
        products = objective.products
        return loss, grad, (penalties, products) if products else (penalties,)

    def _whole_set(
        self, optimizer: LBFGS, x: Any, y: Array, after_epoch: Callable[[Record], bool]
    ) -> None:
        """L-BFGS: the whole set in every step; an iteration is an epoch."""
        for name, layer in self.net.leaves():
            if hasattr(layer, "rng"):
                raise ValueError(
                    f"{name}: LBFGS needs the same loss twice, which {type(layer).__name__} "
                    "does not give; expected SGD, Adam, … or a net without it"
                )
        x = gather(x, np.arange(len(x)))
        before = self.objective.theta.copy()
        start = {name: value.copy() for name, value in present(self.objective).items()}
        due = never if self.checkpoints is None else self.checkpoints.due

        def after_iteration(iteration: int, value: float, theta: Array) -> bool:
            penalty = self.objective.penalty_value()
            record = {
                "epoch": iteration,
                "data_loss": value - penalty,
                "penalty": penalty,
                "learning_rate": None,
                "update_ratio": self._update_ratio(before),
            }
            before[...] = theta
            advance(1)
            stop = after_epoch(record)
            if self._asked is not None or due(iteration, 0, 1):
                self._pause(Place(iteration), start)
            return stop

        with self._progress(optimizer.max_iterations) as advance:
            if due(0, 0, 1):
                self._pause(Place(), start)
            self._examiner.begin(0)
            try:
                result = optimizer.minimize(
                    lambda _: self.objective.value_and_grad(x, y),
                    self.objective.theta,
                    after_iteration,
                )
            except FloatingPointError as error:
                raise self._examiner.whole_set(str(error), x) from None
            if not self.history:  # the start was the end
                after_iteration(0, result.value, self.objective.theta)

    # -- runs that survive -----------------------------------------------------------------

    def _pause(self, place: Place, start: dict[str, Array] | None = None) -> None:
        """Write a checkpoint; if somebody asked, stop."""
        if self.checkpoints is not None:
            self._examiner.parameters(place.epoch, place.step)
            self.checkpoints.save(take(self, place, self._setting, start or {}))
        if self._asked is not None:
            raise Interrupted(self._asked, place.epoch, place.step)

    def _go_on(self, checkpoint: Checkpoint) -> Place:
        """Be where the checkpoint was made."""
        place = put_back(self, checkpoint, self._setting)
        self.placed = True
        tell = warn if self.checkpoints is None else self.checkpoints.tell
        for note in notes(checkpoint.facts, self._setting):
            tell(note)
        if checkpoint.starts_over:
            tell(STARTS_OVER)
        else:
            self._started = time.perf_counter() - checkpoint.facts.seconds
        return place

    def _put_best_back(self) -> None:
        """Make the best weights so far the network's, if a validation set chose some."""
        if self.best is None:
            return
        self.objective.theta[...], state = self.best
        for name, value in self.net.state.items():
            value[...] = state[name]

    def _update_ratio(self, before: Array) -> dict[str, float]:
        """‖Δθ‖ / ‖θ‖ of each parameter, since it was `before`."""
        ratios = {}
        for name, (value, old) in self.objective.beside(before).items():
            size = float(np.linalg.norm(old))
            step = float(np.linalg.norm(value - old))
            ratios[name] = step / size if size else 0.0
        return ratios

    def _out_of_patience(self, epoch: int) -> bool:
        return self.patience is not None and epoch - self.best_epoch >= self.patience

    def _sample(self, x: Any, y: Array) -> tuple[Any, Array]:
        """The training samples that `train_score` is measured on: the same in each epoch."""
        if len(y) <= TRAINING_SAMPLE:
            return x, y
        rng = np.random.default_rng(self.seed)
        rows = np.sort(rng.choice(len(y), TRAINING_SAMPLE, replace=False))
        return gather(x, rows), y[rows]

    def _checked(self, what: str, x: Any, y: Array) -> tuple[Any, Array]:
        x = x if hasattr(x, "shape") else np.asarray(x)
        y = np.asarray(y)
        if len(x) != len(y) or len(y) == 0:
            raise ValueError(f"Solver: {what} has {len(x)} samples and {len(y)} labels")
        return x, np.ascontiguousarray(y, np.intp if y.dtype.kind in "iu" else None)

    def _check_targets(self, x: Any, y: Array) -> None:
        """Raise unless all fit the scores. In a replayed step nobody looks at them."""
        first = gather(x, np.arange(1))
        if self.objective.replays(first, y):
            with np.errstate(all="ignore"):
                scores = self.scores(first)
            self.loss.check_targets(np.broadcast_to(scores, (len(y), *scores.shape[1:])), y)

    @contextmanager
    def _progress(self, steps: int, done: int = 0) -> Iterator[Callable[[int], Any]]:
        """A bar on the terminal; nothing elsewhere, or when quiet."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda _: None
            return
        from tqdm import tqdm

        with tqdm(total=steps, initial=done, unit="step", leave=False, dynamic_ncols=True) as bar:
            yield bar.update


def ordinary(x: Any) -> bool:
    """Whether one look shows that all samples are finite, and not huge.

    Then a weight's gradient xᵀ dout is finite if dout is, which the biases' gradients show. Samples
    in a file or not row by row are not looked at all at once.
    """
    if x.dtype.kind in "iub":
        return True
    if type(x) is not np.ndarray or x.dtype.char not in "fd" or not x.flags.c_contiguous:
        return False
    with np.errstate(all="ignore"):
        return math.isfinite(np.vdot(x, x))


def main(arguments: list[str] | None = None) -> int:
    """`python -m solver`: 0 done, 2 a mistake in config or data, 3 diverged, 130 or 143 stopped."""
    return program.main(arguments, Solver)


if __name__ == "__main__":
    # Under this name the file is a module of its own: run the one that others import.
    from solver import main as run_main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(run_main())
