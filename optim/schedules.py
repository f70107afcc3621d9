"""How the learning rate changes over a run: factors that multiply the base rate."""

from __future__ import annotations

import math
from collections.abc import Mapping

from optim.options import count, number


class Schedule:
    """A factor of the base learning rate for every moment of a run.

    `factor(epoch)` is it; epoch starts at 0 and is fractional within an epoch, so that the rate
    may change at every step. After each epoch the training loop tells `observe` the validation
    score (higher is better); only `PlateauDecay` listens. `state_dict` is what a checkpoint must
    keep: plain numbers by name, often none.
    """

    def factor(self, epoch: float) -> float:
        raise NotImplementedError

    def observe(self, score: float) -> None:
        """Take note of the score after an epoch."""

    def state_dict(self) -> dict[str, float]:
        return {}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from what `state_dict` gave."""
        if state:
            raise ValueError(f"{type(self).__name__}: has no state, got {sorted(state)}")


class Constant(Schedule):
    """The base learning rate throughout: factor 1."""

    def factor(self, epoch: float) -> float:
        return 1.0


class StepDecay(Schedule):
    """Multiplies the rate by `factor` after every `every` epochs: factor^⌊epoch / every⌋."""

    def __init__(self, every: float, factor: float = 0.1) -> None:
        self.every = number(self, "every", every, above=0)
        self.decay = number(self, "factor", factor, above=0, most=1)

    def factor(self, epoch: float) -> float:
        return float(self.decay ** math.floor(epoch / self.every))


class ExponentialDecay(Schedule):
    """Multiplies the rate by `factor` per epoch, smoothly: factor^epoch."""

    def __init__(self, factor: float) -> None:
        self.decay = number(self, "factor", factor, above=0, most=1)

    def factor(self, epoch: float) -> float:
        return float(self.decay**epoch)


class CosineDecay(Schedule):
    """Half a cosine wave from 1 down to `final` over `epochs`, after a linear warm-up.

    Factor: epoch / warmup for epoch < warmup, then
            final + (1 − final) · ½ (1 + cos(π (epoch − warmup) / (epochs − warmup))),
            then `final` from `epochs` on.
    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts" (2017),
            without restarts; warm-up as in Goyal et al., "Accurate, large minibatch SGD" (2017).
    """

    def __init__(self, epochs: float, warmup: float = 0.0, final: float = 0.0) -> None:
        self.epochs = number(self, "epochs", epochs, above=0)
        self.warmup = number(self, "warmup", warmup, least=0, below=self.epochs)
        self.final = number(self, "final", final, least=0, most=1)

    def factor(self, epoch: float) -> float:
        if epoch < self.warmup:
            return epoch / self.warmup
        if epoch >= self.epochs:
            return self.final
        share = (epoch - self.warmup) / (self.epochs - self.warmup)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * share))


class PlateauDecay(Schedule):
    """Multiplies the rate by `factor` whenever `patience` epochs in a row brought nothing better.

    Better is a score above the best so far by more than `min_improvement`; the first score is,
    NaN never is. The factor does not go below `minimum`.
    """

    def __init__(
        self,
        patience: int = 5,
        factor: float = 0.5,
        min_improvement: float = 0.0,
        minimum: float = 0.0,
    ) -> None:
        self.patience = count(self, "patience", patience, least=1)
        self.decay = number(self, "factor", factor, above=0, below=1)
        self.min_improvement = number(self, "min_improvement", min_improvement, least=0)
        self.minimum = number(self, "minimum", minimum, least=0, most=1)
        self._best = -math.inf
        self._waited = 0
        self._current = 1.0

    def factor(self, epoch: float) -> float:
        return self._current

    def observe(self, score: float) -> None:
        if score > self._best + self.min_improvement:
            self._best, self._waited = float(score), 0
            return
        self._waited += 1
        if self._waited >= self.patience:
            self._current, self._waited = max(self.minimum, self._current * self.decay), 0

    def state_dict(self) -> dict[str, float]:
        """`current` (the factor) and `waited`; `best` once there is one (JSON has no −∞)."""
        state = {"current": self._current, "waited": float(self._waited)}
        return state if self._best == -math.inf else {**state, "best": self._best}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        if not {"current", "waited"} <= set(state) <= {"current", "waited", "best"}:
            raise ValueError(
                f"PlateauDecay: state has {sorted(state)}, expected current, waited, best"
            )
        self._current, self._waited = float(state["current"]), int(state["waited"])
        self._best = float(state.get("best", -math.inf))
