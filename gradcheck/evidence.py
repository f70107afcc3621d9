"""What a diagnosis may look at: the wrong gradient, the right one, and the layer to try again."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from gradcheck.arrays import Array, is_real, peak, same
from gradcheck.oracle import Oracle, Slopes
from gradcheck.subject import Leaf, Subject
from gradcheck.upstream import signed

MOST_ENTRIES = 400
MOST_NUMBERS = 400_000
MOST_SETTLED = 60  # entries beside a kink, perhaps, that are looked at again
FEW_WRONG = 8  # so few wrong ones may lie at kinks
ROUGHLY = 1e-2  # a gradient that is further off along one direction is another


class Trial:
    """The layer at one point with one upstream gradient: what it gives and what is right.

    got[about]       what backward gives
    expected(about)  the true gradient, entry by entry, with `bound(about)`
    """

    def __init__(self, subject: Subject, dout: Array, seed: int = 0) -> None:
        self.subject = subject
        self.dout = dout
        self.xs = subject.xs
        self.params = {name: np.array(value, np.float64) for name, value in subject.params.items()}
        self.got = subject.gradients(dout)
        self.oracle = Oracle(subject, dout, seed)
        self.y = self.oracle.y
        self._expected: dict[str, tuple[Array, Array, Array]] = {}
        self._jacobians: dict[str, Array] = {}
        self._given: dict[str, Array] = {}

    def leaf(self, about: str) -> Leaf:
        return next(leaf for leaf in self.subject.leaves if leaf.about == about)

    def value(self, about: str) -> Array:
        """The input or parameter whose gradient this is."""
        return np.array(self.subject.value(self.leaf(about)), np.float64)

    def expected(self, about: str) -> Array:
        return self._truth(about)[0]

    def jacobian(self, about: str) -> Array:
        """∂y/∂value, flat: (outputs, entries), by differences of fourth order."""
        if about not in self._jacobians:
            leaf = self.leaf(about)
            value = self.subject.value(leaf)
            if value.size > MOST_ENTRIES or value.size * self.y.size > MOST_NUMBERS:
                raise TooLargeError
            columns = np.empty((self.y.size, value.size))
            for i in range(value.size):
                start = float(value.flat[i])
                step = self.oracle.entry_scale(leaf, start) * 2.0**-10
                near, far = (
                    self.subject.at_entry(leaf, i, start + k * step)
                    - self.subject.at_entry(leaf, i, start - k * step)
                    for k in (1, 2)
                )
                columns[:, i] = ((8 * near - far) / (12 * step)).ravel()
            self._jacobians[about] = columns
        return self._jacobians[about]

    def given(self, about: str) -> Array:
        """What backward gives for each output's own dout, flat: (outputs, entries)."""
        if self.subject.kind != "layer":
            raise TooLargeError
        if about not in self._given:
            size = self.subject.value(self.leaf(about)).size
            if self.y.size > MOST_ENTRIES or size * self.y.size > MOST_NUMBERS:
                raise TooLargeError
            leaves = [leaf.about for leaf in self.subject.leaves]
            rows: dict[str, list[Array]] = {name: [] for name in leaves}
            for k in range(self.y.size):
                unit = np.zeros(self.y.shape)
                unit.flat[k] = 1
                found = self.subject.gradients(unit)
                for name in leaves:
                    if name in found:
                        rows[name].append(found[name].ravel())
            self._given = {name: np.array(r) for name, r in rows.items() if len(r) == self.y.size}
        return self._given[about]

    def held(self) -> list[Array]:
        """The arrays of numbers that the layer keeps after a forward: its cache."""
        self.subject.forward()
        arrays: list[Array] = []
        known = [np.asarray(x) for x in self.xs if isinstance(x, np.ndarray)]
        known += [*self.params.values(), self.y]
        for value in _flattened(vars(self.subject.layer)):
            if value.dtype.kind not in "fiub" or not value.size:
                continue
            array = np.array(value, np.float64)
            if not any(k.shape == array.shape and np.array_equal(k, array) for k in known):
                arrays.append(array)
                known.append(array)
        return arrays[:16]

    def share(self, about: str, mask: Array) -> Array:
        """The true gradient's part that comes through the outputs where `mask` is true."""
        return self.with_upstream(about, self.dout * mask)

    def with_upstream(self, about: str, dout: Array) -> Array:
        """The true gradient with another dout."""
        part: Array = dout.ravel() @ self.jacobian(about)
        return part.reshape(self.subject.value(self.leaf(about)).shape)

    def bound(self, about: str) -> Array:
        return self._truth(about)[1]

    def is_gradient(self, about: str, candidate: Array) -> bool:
        """Whether `candidate` is the true gradient; most others are refused by one direction."""
        leaf = self.leaf(about)
        value = self.subject.value(leaf)
        if candidate.shape != value.shape:
            return False
        move = (
            np.asarray(np.random.default_rng(3).normal(size=value.shape))
            * self.oracle.scales[about]
        )
        rough = self.oracle.glance({about: move})
        size = float(np.linalg.norm(candidate) * np.linalg.norm(move))
        if abs(rough - float(np.sum(candidate * move))) > ROUGHLY * size:
            return False
        return same(candidate, self.expected(about))

    def error_at(self, about: str, index: int) -> float:
        """How far one entry of what is given is off, beside the truth."""
        true = float(self.oracle.entries(self.leaf(about), np.array([index])).value[0])
        return abs(float(self.got[about].flat[index]) - true) / abs(true)

    def kinked(self, about: str) -> Array:
        """Where the slopes from left and right were seen to differ."""
        return self._truth(about)[2] > 0

    def _truth(self, about: str) -> tuple[Array, Array, Array]:
        if about not in self._expected:
            leaf = self.leaf(about)
            value = self.subject.value(leaf)
            if value.size > MOST_ENTRIES:
                raise TooLargeError
            slopes = self.oracle.entries(leaf, np.arange(value.size))
            self._settle(leaf, slopes)
            self._expected[about] = (
                slopes.value.reshape(value.shape),
                slopes.bound.reshape(value.shape),
                slopes.half.reshape(value.shape),
            )
        return self._expected[about]

    def _settle(self, leaf: Leaf, slopes: Slopes) -> None:
        """Look again where a step may have met a kink; at one, what is given is right if it may."""
        got = self.got.get(leaf.about)
        if got is None or got.size != slopes.value.size:
            return
        flat = got.ravel()
        with np.errstate(all="ignore"):
            top = np.nanmax(np.abs(slopes.value), initial=0.0)
            loose = ~(slopes.bound <= 1e-7 * top)
            wrong = np.abs(flat - slopes.value) > 1e-6 * top
        if np.count_nonzero(wrong) <= FEW_WRONG:  # at a symmetric kink central slopes agree
            loose |= wrong
        for i in np.flatnonzero(loose & (flat != slopes.value))[:MOST_SETTLED]:
            slope = self.oracle.closely(leaf, int(i), float(flat[i]), 0.0, float(slopes.bound[i]))
            admitted = slope.half > 0 and slope.admits(float(flat[i]))
            slopes.value[i] = flat[i] if admitted else slope.value
            slopes.bound[i] = slope.bound
            slopes.half[i] = slope.half


def _flattened(value: Any) -> Iterator[Array]:
    """The arrays in a layer's attributes, in tuples, lists and dictionaries too."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict):
        for v in value.values():
            yield from _flattened(v)
    elif isinstance(value, tuple | list):
        for v in value:
            yield from _flattened(v)


class TooLargeError(Exception):
    """Too many entries to know the truth of each."""


class Evidence:
    """A wrong gradient `about` of a layer: the point it showed at, and others on demand.

    `main` is the trial at that point. `at(...)` makes another; None where the layer refuses it.
    """

    def __init__(self, subject: Subject, dout: Array, about: str, seed: int = 0) -> None:
        self.subject = subject
        self.about = about
        self.seed = seed
        self.main = Trial(subject, dout, seed)
        self._cache: dict[Any, Trial | None] = {}

    @property
    def got(self) -> Array:
        return self.main.got[self.about]

    @property
    def expected(self) -> Array:
        return self.main.expected(self.about)

    @property
    def value(self) -> Array:
        return self.main.value(self.about)

    @property
    def is_input(self) -> bool:
        return self.main.leaf(self.about).is_input

    def inputs(self, change: Callable[[Array], Any]) -> tuple[Any, ...]:
        """The inputs at the main point, each that holds real numbers changed."""
        return tuple(np.asarray(change(x)) if is_real(x) else x for x in self.main.xs)

    def telling(self) -> "Evidence":
        """This evidence, or where nothing at all is given, that of a point where something is."""
        for factor in (8.0, -8.0) if peak(self.got) == 0 else ():
            there = self.at(self.inputs(partial(np.multiply, factor)))
            if there is not None and peak(there.got[self.about]) > 0:
                moved = Evidence(there.subject, there.dout, self.about, self.seed)
                if peak(moved.got - moved.expected) > 1e-6 * peak(moved.expected):
                    return moved
        return self

    def batch(self, n: int) -> Trial | None:
        """The same layer with n samples (the given ones repeated, scaled a little)."""
        if ("batch", n) not in self._cache:
            self._cache["batch", n] = self._resized(n, jitter=True)
        return self._cache["batch", n]

    def tiled(self, times: int) -> Trial | None:
        """The same samples and the same dout, so many times over: no statistic changes."""
        if ("tiled", times) not in self._cache:
            old = batch_length(self.subject.xs)
            self._cache["tiled", times] = (
                None if old is None else self._resized(old * times, jitter=False)
            )
        return self._cache["tiled", times]

    def _resized(self, n: int, jitter: bool) -> Trial | None:
        rng = np.random.default_rng(n)
        old = batch_length(self.subject.xs)
        if old is None:
            return None
        take = np.arange(n) % old
        xs = []
        for x in self.subject.xs:
            if any(x is one for one in batched(self.subject.xs)):
                x = x[take]
                if jitter and is_real(x):
                    x = x * rng.uniform(0.6, 1.4, x.shape)
            xs.append(x)
        dout = self.main.dout
        if jitter or not dout.ndim or dout.shape[0] != old:
            return self.at(tuple(xs))
        return self.at(tuple(xs), dout=dout[take])

    def at(
        self,
        xs: tuple[Any, ...] | None = None,
        dout: Array | None = None,
        params: dict[str, Array] | None = None,
    ) -> Trial | None:
        """A trial elsewhere, or None if the layer raises or its answer does not fit there."""
        try:
            subject = self.subject.moved(xs, params)
            y = subject.forward()
            if not np.all(np.isfinite(y)):
                return None
            if dout is None or dout.shape != y.shape:
                dout = (
                    np.ones(())
                    if subject.kind == "loss"
                    else signed(y.shape, np.random.default_rng(self.seed + 7))
                )
            trial = Trial(subject, dout, self.seed)
            if self.about not in trial.got:
                return None
            if trial.got[self.about].shape != trial.value(self.about).shape:
                return None
            return trial
        except Exception:
            return None


def batch_length(xs: tuple[Any, ...]) -> int | None:
    """The length of the first axis, if all inputs with the most axes share it."""
    lengths = {x.shape[0] for x in batched(xs)}
    return lengths.pop() if len(lengths) == 1 else None


def batched(xs: tuple[Any, ...]) -> list[Array]:
    """The inputs that hold a batch: all if their first axes agree, else those of most axes."""
    arrays = [x for x in xs if isinstance(x, np.ndarray) and x.ndim]
    if len({x.shape[0] for x in arrays}) > 1:  # an input of one row may be broadcast
        arrays = [x for x in arrays if x.shape[0] > 1]
    if len({x.shape[0] for x in arrays}) > 1:
        most = max(x.ndim for x in arrays)
        arrays = [x for x in arrays if x.ndim == most]
    return arrays
