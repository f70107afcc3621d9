"""What every loss shares: checked shapes, the weighted mean, and the cache for `backward`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from blas import made_again

Array = npt.NDArray[Any]


def total_again(losses: Array, out: Array | None) -> Callable[[], Any]:
    return partial(np.add.reduce, losses, None, np.float64, out)


@made_again(total_again)
def total(losses: Array, out: Array | None = None) -> Array:
    """The sum of all, in float64."""
    sum_: Array = total_again(losses, out)()
    return sum_


class Loss:
    """The mean of one number per sample that says how wrong the scores are.

    Forward:  L = Σᵢ wᵢ Lᵢ / Σᵢ wᵢ,  wᵢ = 1 unless `weights` (or class weights) are given
    Backward: dscores = wᵢ / Σᵢ wᵢ · ∂Lᵢ/∂scoresᵢ
    Shapes:   scores (N, …) → one float; dscores has the shape and dtype of scores

    A subclass writes the maths, for all samples at once: `check_targets`, `sample_losses`
    (which may cache on `self`) and `sample_gradients`. The mean is accumulated in float64.
    After `forward`, `total_weight` is Σ wᵢ (N without weights), so that the means of several
    chunks of a data set combine: Σ L · total_weight / Σ total_weight. A batch whose weights are
    all 0 has loss 0 and gradient 0.

    A loss of your own need not inherit from this class: any object with
    `forward(scores, y) -> float` and `backward() -> dscores` will do.
    """

    score_name: ClassVar[str] = "accuracy"
    total_weight: float = 0.0

    # None: results are fresh arrays. While an Objective writes a step down: where they go.
    _room: Any = None

    _total: Array
    _size: int

    # The factor of each ∂Lᵢ/∂scores: a number, or one per entry of the losses.
    _factor: float | Array | None = None

    def forward(self, scores: Array, y: Array, weights: npt.ArrayLike | None = None) -> float:
        """The mean loss of the batch; `weights` (N,) are ≥ 0, one per sample."""
        scores = self.check_scores(scores)
        y = self.check_targets(scores, y)
        entry_weights = self.entry_weights(scores, y, weights)
        losses = self.sample_losses(scores, y)
        if entry_weights is None:
            self.total_weight = float(len(scores))
            self._factor = 1.0 / losses.size
            self._total, self._size = self.into("total", total, losses), losses.size
            return float(self._total) / self._size
        weight = float(np.add.reduce(entry_weights, axis=None))
        self.total_weight = weight * len(scores) / losses.size
        scale = 1.0 / weight if weight > 0 else 0.0
        self._factor = (entry_weights * scale).astype(scores.dtype)
        return float(np.vdot(entry_weights, losses)) * scale

    def backward(self) -> Array:
        """The gradient of the mean loss by the scores: a fresh array."""
        if self._factor is None:
            raise RuntimeError(f"{self.name}: backward before forward")
        return self.sample_gradients(self._factor)

    def replays_on(self, y: Array) -> bool:
        """Whether passes over such targets are always the same calls of `into`: layers/tape.py."""
        return False

    def into(self, name: str, operation: Callable[..., Any], *operands: Any) -> Array:
        """operation(*operands): a fresh array, or, driven, in the place of that name."""
        if self._room is None:
            return np.asarray(operation(*operands))
        place: Array = self._room.into(name, operation, *operands)
        return place

    def predict(self, scores: Array) -> Array:
        """What the scores say: for each sample the class with the highest score."""
        best: Array = np.asarray(scores).argmax(axis=1)
        return best

    def score(self, scores: Array, y: Array) -> float:
        """How good the predictions are, higher is better: here the share that is right.

        `score_name` says what it is. Give it a whole data set: a score need not be a mean over
        samples (R² is not).
        """
        scores = self.check_scores(scores)
        return float(np.mean(self.predict(scores) == self.check_targets(scores, y)))

    def expected_first_loss(self, classes: int) -> float | None:
        """The loss at scores of 0, where an untrained network starts; None if not known."""
        return None

    def check_targets(self, scores: Array, y: Array) -> Array:
        """`y` as an array that fits the scores, or an error that names what does not."""
        raise NotImplementedError

    def sample_losses(self, scores: Array, y: Array) -> Array:
        """Lᵢ for each sample (or for each entry of the scores); caches for the gradients."""
        raise NotImplementedError

    def sample_gradients(self, factor: float | Array) -> Array:
        """∂Lᵢ/∂scores times `factor`: a number, or an array of the shape of the losses."""
        raise NotImplementedError

    def check_scores(self, scores: Array) -> Array:
        scores = np.asarray(scores)
        if scores.dtype.char not in "fd":
            raise TypeError(
                f"{self.name}: scores have dtype {scores.dtype}, expected float32 or float64"
            )
        if scores.size == 0 or scores.ndim == 0:
            raise ValueError(f"{self.name}: scores have shape {scores.shape}, expected N ≥ 1 rows")
        return scores

    def entry_weights(
        self, scores: Array, y: Array, weights: npt.ArrayLike | None
    ) -> npt.NDArray[np.float64] | None:
        """The weight of each loss in float64, shaped like the losses; None if all are 1."""
        return None if weights is None else self.check_weights(weights, len(scores))

    def check_weights(self, weights: npt.ArrayLike, samples: int) -> npt.NDArray[np.float64]:
        checked = np.asarray(weights, np.float64)
        if checked.shape != (samples,):
            raise ValueError(
                f"{self.name}: weights have shape {checked.shape}, expected ({samples},)"
            )
        self._refuse_bad_weights("weights", checked)
        return checked

    def check_class_weights(
        self, class_weights: Sequence[float] | Array | None
    ) -> npt.NDArray[np.float64] | None:
        if class_weights is None:
            return None
        checked = np.array(class_weights, np.float64)
        if checked.ndim != 1 or checked.size == 0:
            raise ValueError(
                f"{self.name}: class_weights have shape {checked.shape}, expected one per class"
            )
        self._refuse_bad_weights("class_weights", checked)
        return checked

    def same_shape(self, y: Array, scores: Array) -> Array:
        """`y` in the shape of the scores; (N,) stands for (N, 1) and back, nothing else."""
        if y.shape == scores.shape:
            return y
        if {y.shape, scores.shape} == {(len(scores),), (len(scores), 1)}:
            return y.reshape(scores.shape)
        raise ValueError(
            f"{self.name}: y has shape {y.shape}, expected that of the scores, {scores.shape}"
        )

    def over_entries(
        self, weights: npt.NDArray[np.float64], scores: Array
    ) -> npt.NDArray[np.float64]:
        """One weight per sample, repeated for each entry of its scores."""
        column = weights.reshape(len(weights), *[1] * (scores.ndim - 1))
        return np.broadcast_to(column, scores.shape)

    def _refuse_bad_weights(self, what: str, weights: npt.NDArray[np.float64]) -> None:
        bad = ~((weights >= 0) & (weights < np.inf))
        if bad.any():
            first = int(bad.argmax())
            raise ValueError(
                f"{self.name}: {what}[{first}] is {weights[first]}, expected a finite number ≥ 0"
            )

    @property
    def name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{self.name}()"
