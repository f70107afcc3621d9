"""What a gradient may be at a kink: judged by the gradients right beside it.

A layer of several kinks need not lie between its own one-sided slopes: relu(x) − relu(−x) has
slope 1 at 0, and the chain rule, right at every step, gives 0. Such a gradient is held against
nothing. One that is beyond all that the layer itself gives beside the kink is wrong.

Source: F. H. Clarke, Optimization and Nonsmooth Analysis, 1983: generalized gradients are made
of limits of gradients nearby.
"""

import numpy as np

from gradcheck.arrays import Array
from gradcheck.compare import Comparison, joint_direction
from gradcheck.oracle import Oracle
from gradcheck.subject import Subject

POINTS, MORE_POINTS = 12, 60
DISTANCE = 2.0**-24  # relative to each entry
TOLERANCE = 1e-4
MOST = 2_000_000  # entries beyond which no copies are made


class Nearby:
    """A layer's gradients at points right beside one at a kink."""

    def __init__(self, oracle: Oracle, seed: int) -> None:
        self.oracle = oracle
        self.rng = np.random.default_rng(seed)
        self.rows: list[dict[str, Array]] = []
        self.sound = self._is_sound(seed)

    def _is_sound(self, seed: int) -> bool:
        """Whether backward is right beside the point at all."""
        if self.oracle.subject.sizes() > MOST:
            return False
        try:
            twin, got = self._one()
            outcome = joint_direction(Oracle(twin, self.oracle.dout, seed), got)
        except Exception:
            return False
        return outcome is not None and outcome.fits

    def _one(self) -> tuple[Subject, dict[str, Array]]:
        twin = self._beside()
        found = twin.gradients(self.oracle.dout)
        return twin, {leaf.about: found[leaf.about] for leaf in twin.leaves if leaf.about in found}

    def _gather(self, n: int) -> bool:
        try:
            while len(self.rows) < n:
                self.rows.append(self._one()[1])
        except Exception:
            self.sound = False
        return self.sound

    def _near(self, about: str) -> Array:
        return np.array([row[about] for row in self.rows])

    def _beside(self) -> Subject:
        subject = self.oracle.subject
        xs = list(subject.xs)
        params = {}
        for leaf in subject.leaves:
            value = subject.value(leaf)
            size = np.where(value == 0, self.oracle.scales[leaf.about], np.abs(value))
            there = value + DISTANCE * size * self.rng.uniform(-1.0, 1.0, value.shape)
            if leaf.is_input:
                xs[leaf.key] = there
            else:
                params[leaf.key] = there
        return subject.moved(xs, params)

    def excuses(self, comparison: Comparison) -> bool:
        """Whether every entry that does not fit its slopes fits the gradients beside it."""
        about = comparison.leaf.about
        if comparison.group is not None:
            return self.sound and not self.sums_agree({about: comparison.group})
        if comparison.expected is None or comparison.bound is None or comparison.half is None:
            return False
        off = np.abs(comparison.got - comparison.expected)
        wrong = ~(off <= comparison.half + comparison.bound)
        for n in (POINTS, MORE_POINTS):  # a rare choice among many ties needs more of them
            if not self.sound or not self._gather(n) or about not in self.rows[0]:
                return False
            near = self._near(about)[:, wrong]
            if np.all(_within(comparison.got[wrong], near)):
                return True
            if not np.any(np.ptp(near, axis=0) > 0):
                return False
        return False

    def sums_agree(self, move: dict[str, Array]) -> bool:
        """Whether all gradients nearby say the same about a direction, as they do at mere ties."""
        if not self.sound or not self._gather(POINTS):
            return False
        sums = sum(
            np.tensordot(self._near(about), m, axes=m.ndim)
            for about, m in move.items()
            if about in self.rows[0]
        )
        return bool(np.ptp(sums) <= TOLERANCE * np.max(np.abs(sums)))


def _within(got: Array, near: Array) -> Array:
    """Whether each number lies among others that differ, or not far off where there are many."""
    low, high = near.min(axis=0), near.max(axis=0)
    unit = TOLERANCE * np.max(np.abs(near), axis=0)
    several = np.any(np.minimum(near - low, high - near) > unit, axis=0)
    spread = np.where(several, high - low, 0.0) + unit
    differ = high - low > unit
    return np.asarray(differ & (got >= low - spread) & (got <= high + spread))
