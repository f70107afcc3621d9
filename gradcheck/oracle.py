"""The true slope of a layer along one direction, with a bound on its own error.

Ridders' method: central differences over halving steps, extrapolated to step zero, on the
difference of outputs projected on `dout`. The tolerance is not tuned: each cell of the
extrapolation carries its truncation estimate and the noise of the outputs in it, and the cell
with the smallest `2 * estimate + 6 * noise` is taken; that sum is the bound.

Where the slopes from the left and from the right differ, the layer has a kink, and any slope
between them is right.

Source: C. J. F. Ridders, Accurate computation of F'(x) and F'(x) F''(x), 1982; J. J. Moré and
S. M. Wild, Estimating computational noise, 2011, for measuring noise along a line.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from gradcheck.arrays import EPS, Array, length, power_of_two
from gradcheck.subject import Leaf, Subject

FIRST_LEVELS = 4
FIRST_STEP = 2.0**-4
NEAR, LONG = range(6, 13), range(-3, 28)
LINE = 2.0**-27  # in lengths of each array
POINTS = 9


@dataclass
class Slope:
    """A directional derivative: `value` within `bound`, or anything within `half` at a kink."""

    value: float
    bound: float
    half: float = 0.0
    jump: bool = False

    def admits(self, got: float, slack: float = 0.0) -> bool:
        """Whether `got` is a right slope; not a number never is."""
        return bool(abs(got - self.value) <= self.half + self.bound + slack)


@dataclass
class Slopes:
    """The derivatives of one array's entries, flat; NaN and an infinite bound where unknown."""

    value: Array
    bound: Array
    half: Array
    jump: Array


class Oracle:
    """Slopes of one subject at one point for one upstream gradient."""

    def __init__(
        self, subject: Subject, dout: Array, seed: int = 0, y: Array | None = None
    ) -> None:
        self.subject = subject
        self.dout = dout
        self.weight = np.abs(dout)
        self.rng = np.random.default_rng(seed)
        self.y = subject.forward() if y is None else y
        self.measured = False
        self.swing = 0.0  # the largest slope of all outputs together over a long step
        self.scales = {leaf.about: length(subject.value(leaf)) for leaf in subject.leaves}
        self.noise_y = np.abs(self.y) * (0.3 * EPS)
        self.noise_joint = float(np.sqrt(np.sum((self.weight * self.noise_y) ** 2)))
        self.noise_got: dict[str, Array] = {}
        self.natural: dict[str, float] = {}

    # ---- noise ---------------------------------------------------------------------

    def measure_noise(self, with_backward: bool = True) -> None:
        """Fill in, once, the noise of outputs and of gradients: what is not straight on a line."""
        if self.measured or not self.subject.leaves:
            return
        self.measured = True
        if with_backward:
            self._find_natural()
        times: list[float] = []
        outputs: list[Array] = []
        gots: list[dict[str, Array]] = []
        for t, point in self._close_points():
            y, got = self._outputs_and_gradients(point, with_backward)
            if y.shape != self.y.shape or not np.all(np.isfinite(y)):
                return
            times.append(t)
            outputs.append(y)
            gots.append(got)
        at = np.array(times)
        self.noise_y = np.maximum(self.noise_y, _noise(at, np.array(outputs), self.y))
        projected = np.array([np.sum(self.dout * (y - self.y)) for y in outputs])
        self.noise_joint = max(
            float(np.sqrt(np.sum((self.weight * self.noise_y) ** 2))),
            float(_noise(at, projected[:, None], projected[:1])[0]),
        )
        for about in gots[0]:
            rows = [g[about] for g in gots if about in g]
            if len(rows) == len(gots) and all(r.shape == rows[0].shape for r in rows):
                self.noise_got[about] = _noise(at, np.array(rows), rows[0])

    def _find_natural(self) -> None:
        """How large the gradients are at plainer points; beside that, tiny ones are nothing."""
        for factor in (2.0**-6, -0.5):
            xs = list(self.subject.xs)
            for leaf in self.subject.leaves:
                if leaf.is_input:
                    xs[leaf.key] = xs[leaf.key] * factor
            try:
                found = self.subject.gradients(self.dout, xs)
            except Exception:
                continue
            for about, g in found.items():
                size = float(np.max(np.abs(g), initial=0.0))
                if np.isfinite(size):
                    self.natural[about] = max(self.natural.get(about, 0.0), size)

    def _close_points(self) -> Iterator[tuple[float, dict[str, Array]]]:
        """Points at random on a line so short that all is straight along it but for rounding.

        They lie to one side of the given point, where kinks often are, and the last bits of
        every entry are random: equal or round steps would leave rounding as it was.
        """
        move = self.random_direction()
        for t in np.sort(self.rng.uniform(0.0, LINE, POINTS)):
            point = {}
            for leaf in self.subject.leaves:
                value = self.subject.value(leaf)
                unit = np.spacing(np.maximum(np.abs(value), self.scales[leaf.about]))
                last = unit * self.rng.integers(-1, 2, value.shape)
                point[leaf.about] = value + (t * move[leaf.about] + last)
            yield float(t), point

    def _outputs_and_gradients(
        self, point: Mapping[str, Array], with_backward: bool
    ) -> tuple[Array, dict[str, Array]]:
        subject = self.subject
        small = sum(subject.value(leaf).size for leaf in subject.leaves) <= 20_000
        if not (with_backward and small):
            return subject.at(point), {}
        kept = {n: p.copy() for n, p in subject.params.items()}
        xs = list(subject.xs)
        try:
            subject.snapshot.restore()
            for leaf in subject.leaves:
                if leaf.is_input:
                    xs[leaf.key] = point[leaf.about]
                else:
                    subject.write(leaf, point[leaf.about])
            y = subject.forward(xs, restore=False)
            got = subject.backward(self.dout)
            return y, {a: np.asarray(g, np.float64) for a, g in got.items() if g is not None}
        except Exception:
            return self.y * np.nan, {}
        finally:
            subject.snapshot.restore()
            for leaf in subject.leaves:
                if not leaf.is_input:
                    subject.write(leaf, kept[leaf.key])

    def noise_where(self, changed: Array) -> float:
        """The noise of the projected output, summed over the outputs that a step changes."""
        parts = (self.weight * self.noise_y)[changed]
        return float(min(np.sum(parts), 4.0 * np.sqrt(np.sum(parts * parts))))

    # ---- directions ----------------------------------------------------------------

    def random_direction(self, only: str | None = None) -> dict[str, Array]:
        """A random direction through one array or all of them, of eighths, signed, in scale.

        Eighths times a power of two keep the steps exact; unequal magnitudes keep two opposite
        errors from hiding each other.
        """
        move: dict[str, Array] = {}
        for leaf in self.subject.leaves:
            if only is None or leaf.about == only:
                shape = self.subject.value(leaf).shape
                signed = self.rng.integers(4, 9, shape) * self.rng.choice((-1, 1), shape)
                move[leaf.about] = signed * (self.scales[leaf.about] / 8)
        return move

    def along(self, move: Mapping[str, Array], t: float) -> Array:
        """The output after a step of `t` along a direction."""
        moved = {}
        for leaf in self.subject.leaves:
            if leaf.about in move:
                step = move[leaf.about] * t
                step += self.subject.value(leaf)
                moved[leaf.about] = step
        return self.subject.at(moved)

    def glance(self, move: Mapping[str, Array]) -> float:
        """A rough slope along a direction, from one pair of steps."""
        step = FIRST_STEP * 2.0**-6
        difference = self.along(move, step) - self.along(move, -step)
        return float(np.sum(self.dout * difference)) / (2 * step)

    def direction(
        self,
        move: Mapping[str, Array],
        got: float,
        slack: float,
        goal: float,
        levels: int = FIRST_LEVELS,
    ) -> Slope:
        """The slope along a direction; looked at closely when `got` does not fit it."""

        def evaluate(t: float) -> tuple[Array, float]:
            return self.along(move, t), t

        steps = [FIRST_STEP * 2.0**-s for s in range(levels)]
        first = self._smooth(*self._probe(evaluate, steps, joint=True)[:2])
        if first.admits(got, slack) and first.bound <= goal:
            return first
        self.measure_noise()
        return self.look_closely(evaluate, 1.0, got, slack, goal, joint=True)

    # ---- entries -------------------------------------------------------------------

    def entries(self, leaf: Leaf, indices: Array) -> Slopes:
        """First pass over single entries: smooth slopes and their bounds."""
        n = len(indices)
        central = np.full((FIRST_LEVELS, n), np.nan)
        noise = np.full((FIRST_LEVELS, n), np.inf)
        values = self.subject.value(leaf)
        for column, index in enumerate(indices):
            evaluate = self._entry(leaf, int(index), values)
            scale = self.entry_scale(leaf, float(values.flat[int(index)]))
            steps = [scale * FIRST_STEP * 2.0**-s for s in range(FIRST_LEVELS)]
            central[:, column], noise[:, column], _ = self._probe(evaluate, steps)
        value, bound = extrapolate(central, noise, 4.0)
        return Slopes(value, bound, np.zeros(n), np.zeros(n, bool))

    def closely(self, leaf: Leaf, index: int, got: float, slack: float, goal: float) -> Slope:
        """One entry over a long ladder of steps: is there a kink, a jump, a better step?"""
        values = self.subject.value(leaf)
        scale = self.entry_scale(leaf, float(values.flat[index]))
        return self.look_closely(self._entry(leaf, index, values), scale, got, slack, goal)

    def farther(self, leaf: Leaf, index: int, bound: float, goal: float) -> Slope:
        """One entry over steps so long that the noise in `bound` shrinks to `goal`."""
        values = self.subject.value(leaf)
        scale = self.entry_scale(leaf, float(values.flat[index])) * 2.0**-NEAR.start
        steps = [scale * 2.0**-s for s in _far(bound / goal)]
        evaluate = self._within(self._entry(leaf, index, values))
        return self._judge(*self._probe(evaluate, steps))

    def _within(
        self, evaluate: Callable[[float], tuple[Array, float]]
    ) -> Callable[[float], tuple[Array, float]]:
        """Refuse steps so long that the output, and with it perhaps its noise, is another."""
        most = 8.0 * float(np.sum(self.weight * np.abs(self.y)))

        def near(t: float) -> tuple[Array, float]:
            y, step = evaluate(t)
            if not np.sum(self.weight * np.abs(y - self.y)) <= most:
                raise ValueError("too far")
            return y, step

        return near

    def entry_scale(self, leaf: Leaf, value: float) -> float:
        """The length over which an entry is moved: its own size or the array's, if larger."""
        own = power_of_two(max(min(abs(value), 1e3), abs(value) * 2.0**-20))
        return max(own, self.scales[leaf.about])

    def _entry(
        self, leaf: Leaf, index: int, values: Array
    ) -> Callable[[float], tuple[Array, float]]:
        start = float(values.flat[index])

        def evaluate(t: float) -> tuple[Array, float]:
            there = start + t
            return self.subject.at_entry(leaf, index, there), there - start

        return evaluate

    # ---- one line through the layer ---------------------------------------------------

    def _probe(
        self,
        evaluate: Callable[[float], tuple[Array, float]],
        steps: list[float],
        joint: bool = False,
    ) -> tuple[Array, Array, Array]:
        """Central slopes, their noise, and the gaps between right and left slopes."""
        central = np.full(len(steps), np.nan)
        noise = np.full(len(steps), np.inf)
        gap = np.full(len(steps), np.nan)
        changed: Array | None = None
        largest = 0.0
        raw: list[tuple[int, float]] = []
        for s, step in enumerate(steps):
            try:
                up, a = evaluate(step)
                down, b = evaluate(-step)
            except Exception:
                continue
            width = a - b
            if up.shape != self.y.shape or down.shape != self.y.shape or width <= 0:
                continue
            difference = up - down
            slope = float(np.sum(self.dout * difference)) / width
            if not np.isfinite(slope):
                continue
            central[s] = slope
            right, left = (up - self.y) / a, (self.y - down) / -b
            gap[s] = float(np.sum(self.weight * np.abs(right - left)))
            moved = difference != 0
            if not raw:
                self.swing = max(
                    self.swing, float(np.sum(self.weight * np.abs(difference))) / width
                )
            largest = max(largest, float(np.sum(self.weight * np.abs(difference))))
            changed = moved if changed is None else changed | moved
            raw.append((s, width))
        if changed is not None:
            # What is lost in the rounding of outputs that did not change is noise as well.
            everything = self.noise_where(np.ones(self.y.shape, bool))
            unseen = largest <= 64.0 * everything
            sigma = everything if unseen else self.noise_where(changed)
            if joint:
                sigma = max(self.noise_joint, min(sigma, 4 * self.noise_joint))
            for s, width in raw:
                noise[s] = 2.0 * sigma / width
        return central, noise, gap

    def _smooth(self, central: Array, noise: Array) -> Slope:
        value, bound = extrapolate(central[:, None], noise[:, None], 4.0)
        return Slope(float(value[0]), float(bound[0]))

    def look_closely(
        self,
        evaluate: Callable[[float], tuple[Array, float]],
        scale: float,
        got: float,
        slack: float,
        goal: float,
        joint: bool = False,
    ) -> Slope:
        """Slopes over one ladder of steps, then a longer one if that does not decide."""
        seen: list[Slope] = []
        ladders = [NEAR, LONG]
        while ladders:
            steps = [scale * 2.0**-s for s in ladders.pop(0)]
            central, noise, gap = self._probe(evaluate, steps, joint)
            slope = self._judge(central, noise, gap)
            if not slope.jump and slope.bound <= goal:
                if slope.half == 0:
                    return slope
                reach = _resolution(steps, noise, slope.half)
                if slope.admits(got, slack) and self._at_the_point(evaluate, reach, slope, joint):
                    return slope
                if not seen[1:]:
                    end = min(max(LONG.stop, int(np.log2(scale / reach)) + 1), 80)
                    ladders = [range(LONG.start, end)]
            elif not seen and np.isfinite(noise[0]) and 0 < goal < np.min(noise):
                far = _far(float(noise[0]) / goal)
                ladders.insert(0, range(NEAR.start + far.start, NEAR.start + far.stop))
                evaluate = self._within(evaluate)
            seen.append(slope)
        return min(reversed(seen), key=lambda slope: (slope.jump, max(slope.bound, goal)))

    def _at_the_point(
        self,
        evaluate: Callable[[float], tuple[Array, float]],
        reach: float,
        slope: Slope,
        joint: bool,
    ) -> bool:
        """Whether a kink that longer steps saw is still there at the shortest that resolve it."""
        steps = [reach * 2.0**-s for s in range(2)]
        _, _, gap = self._probe(evaluate, steps, joint)
        return bool(np.nanmax(gap) > slope.half)

    def _judge(self, central: Array, noise: Array, gap: Array) -> Slope:
        smooth, smooth_bound = extrapolate(central[:, None], noise[:, None], 4.0)
        kinked, kinked_bound = extrapolate(central[:, None], noise[:, None], 2.0)
        size, size_bound = extrapolate(gap[:, None], 2.0 * noise[:, None], 2.0)
        jump = _is_jump(gap, noise)
        if size[0] > 2.0 * size_bound[0]:
            half = (float(size[0]) + float(size_bound[0])) / 2
            return Slope(float(kinked[0]), float(kinked_bound[0]), half, jump)
        if smooth_bound[0] <= kinked_bound[0]:
            return Slope(float(smooth[0]), float(smooth_bound[0]), 0.0, jump)
        return Slope(float(kinked[0]), float(kinked_bound[0]), 0.0, jump)


def _resolution(steps: list[float], noise: Array, half: float) -> float:
    """The shortest step at which a kink of this size still stands out of the noise."""
    sigma = float(np.min(noise * np.asarray(steps)))
    return max(100.0 * sigma / half, steps[0] * 2.0**-70)


def _far(excess: float) -> range:
    """Halvings of steps so long that noise, so many times too large before, is harmless."""
    up = -4 - int(min(np.ceil(np.log2(excess)), 200))
    return range(up, up + 5)


def extrapolate(slopes: Array, noise: Array, ratio: float) -> tuple[Array, Array]:
    """The best cell of the extrapolation table of each column, and its bound.

    `slopes` and `noise` are (levels, n), the step halving from one level to the next; `ratio` is
    4 for errors in even powers of the step, 2 for errors in all powers. A level that could not
    be evaluated is NaN.
    """
    levels, n = slopes.shape
    rows: list[tuple[Array, Array]] = []
    before: list[tuple[Array, Array]] = []
    for k in range(levels):
        row = [(slopes[k], noise[k])]
        best, least = np.full(n, np.nan), np.full(n, np.inf)
        for j in range(1, len(before) + 1):
            factor = ratio**j
            fine, fine_noise = row[j - 1]
            coarse, coarse_noise = before[j - 1]
            with np.errstate(all="ignore"):
                value = fine + (fine - coarse) / (factor - 1)
                spread = (factor * fine_noise + coarse_noise) / (factor - 1)
                estimate = np.maximum(np.abs(value - fine), np.abs(value - coarse))
                bound = 2.0 * estimate + 6.0 * spread
            better = bound < least
            best = np.where(better, value, best)
            least = np.where(better, bound, least)
            row.append((value, spread))
        rows.append((best, least))
        before = row[: levels if ratio == 4.0 else 4]
    return _agreed(rows)


def _agreed(rows: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """The narrowest interval, among those that agree with what shorter steps say."""
    best, least = rows[-1]
    for value, bound in reversed(rows[:-1]):
        with np.errstate(all="ignore"):
            agrees = ~np.isfinite(least) | (np.abs(value - best) <= bound + least)
        better = agrees & (bound < least)
        best = np.where(better, value, best)
        least = np.where(better, bound, least)
    return best, least


def _is_jump(gap: Array, noise: Array) -> bool:
    """Whether the gap between right and left slope doubles each time the step halves."""
    sure = np.isfinite(gap) & (gap > 100.0 * noise)
    last = np.flatnonzero(sure)[-4:]
    if len(last) < 4 or last[-1] - last[0] != 3:
        return False
    return bool(np.all(gap[last[1:]] > 1.6 * gap[last[:-1]]))


def _noise(at: Array, rows: Array, values: Array) -> Array:
    """The noise of each column; where one half of the rows crosses a kink, that of the other."""
    half = len(rows) // 2 + 1
    one, other = _scatter(at[:half], rows[:half]), _scatter(at[-half:], rows[-half:])
    low, high = np.minimum(one, other), np.maximum(one, other)
    rounding = EPS * np.max(np.abs(rows), axis=0)
    noise = np.where(high > 100.0 * np.maximum(low, rounding), low, high)
    return _pooled(noise, values)


def _scatter(at: Array, rows: Array) -> Array:
    """How far each column's numbers lie from a straight line."""
    t = (at - at.mean()).reshape(-1, *(1,) * (rows.ndim - 1))
    rest = rows - rows[0]
    rest = rest - rest.mean(axis=0)
    rest = rest - t * (np.sum(t * rest, axis=0) / np.sum(t * t))
    return np.asarray(np.sqrt(np.sum(rest * rest, axis=0) / (len(at) - 2)))


def _pooled(noise: Array, values: Array) -> Array:
    """Nine samples may be quiet by chance: at least the median among numbers of like size."""
    with np.errstate(divide="ignore"):
        sizes = np.floor(np.log2(np.abs(values)) / 4)
    pooled = noise.copy()
    for size in np.unique(sizes)[:64]:
        alike = sizes == size
        pooled[alike] = np.maximum(noise[alike], np.median(noise[alike]))
    return pooled
