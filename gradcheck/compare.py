"""The gradients a layer gives, beside the slopes it really has, at one point."""

from dataclasses import dataclass

import numpy as np

from gradcheck.arrays import EPS, Array, peak
from gradcheck.oracle import Oracle, Slope, Slopes
from gradcheck.subject import Leaf

ENTRIES = 400  # up to so many entries of one array are looked at one by one
CLOSE_LOOKS = 8  # entries of one array that are looked at with many steps
DIRECTIONS = 3
WANTED = 1e-6  # a bound this small, relative to the gradient, is good
NEEDED = 1e-3  # a bound above this decides nothing


@dataclass
class Entry:
    """The entry that is furthest from the truth, measured in its bound."""

    index: tuple[int, ...]
    expected: float
    got: float
    bound: float

    @property
    def error(self) -> float:
        return abs(self.got - self.expected)


@dataclass
class Comparison:
    """One array's gradient beside the truth.

    `wrong` is the worst wrong entry, if any. `expected` and `bound` are full arrays where every
    entry was looked at, else None. `unknown` tells how many entries could not be decided.
    """

    leaf: Leaf
    got: Array
    wrong: Entry | None = None
    expected: Array | None = None
    bound: Array | None = None
    half: Array | None = None
    error: float = 0.0
    largest_bound: float = 0.0
    unknown: int = 0
    looked: int = 0
    group: Array | None = None  # a direction through tied entries that does not fit

    @property
    def ties(self) -> bool:
        """Whether the entries are right one by one and wrong together."""
        return self.group is not None


def at_a_kink(comparison: Comparison) -> bool:
    """Whether an entry lies at a kink: the right backward of a net of kinked layers need not lie
    between the net's own slopes there."""
    return comparison.ties or (comparison.half is not None and bool(np.any(comparison.half > 0)))


def reference(oracle: Oracle, leaf: Leaf, got: Array) -> float:
    """The size of slope that matters: the gradient's own, or a small part of what one unit does."""
    output = float(np.sum(np.abs(oracle.dout * oracle.y)))
    unit = max(oracle.scales[leaf.about], 1e-300)
    return max(peak(got), 1e-4 * output / unit, 1e-4 * oracle.swing)


def compare_leaf(oracle: Oracle, leaf: Leaf, got: Array) -> Comparison:
    """Entry by entry where there are few, by random directions where there are many."""
    if got.size <= ENTRIES:
        return _by_entries(oracle, leaf, got)
    return _by_directions(oracle, leaf, got)


def slack_of(oracle: Oracle, leaf: Leaf, got: Array) -> Array:
    """The rounding that a float64 backward may have, for each entry."""
    noise = oracle.noise_got.get(leaf.about)
    slack = np.full(got.shape, 16.0 * EPS * peak(got) + saturated(oracle, leaf.about, got))
    if noise is not None and noise.shape == got.shape:
        # Noise is wanted, not the jump at a kink that the points came across; but where the true
        # gradient is 0 by cancellation, all that is left is noise of the size of what cancelled.
        output = float(np.sum(np.abs(oracle.dout * oracle.y)))
        cancelled = 1e-6 * output / max(oracle.scales[leaf.about], 1e-3)
        slack += 16.0 * np.minimum(noise, 5e-10 * max(peak(got), cancelled))
    return slack


def saturated(oracle: Oracle, about: str, got: Array) -> float:
    """The rounding of a gradient that is next to nothing beside what it is at plainer points."""
    natural = oracle.natural.get(about, 0.0)
    return 4.0 * EPS * natural if peak(got) < 1e-6 * natural else 0.0


def _by_entries(oracle: Oracle, leaf: Leaf, got: Array) -> Comparison:
    size = got.size
    flat, slack = got.ravel(), slack_of(oracle, leaf, got).ravel()
    slopes = oracle.entries(leaf, np.arange(size))
    scale = max(reference(oracle, leaf, got), peak(slopes.value[np.isfinite(slopes.value)]))
    goal = WANTED * scale
    with np.errstate(all="ignore"):
        fits = np.abs(flat - slopes.value) <= slopes.bound + slack
        doubtful = np.flatnonzero(~(fits & (slopes.bound <= goal)))
    if len(doubtful):
        oracle.measure_noise()
        slack = slack_of(oracle, leaf, got).ravel()
    result = Comparison(leaf, got, looked=size)
    wrong: list[tuple[float, int, Slope]] = []
    # First those that look worst, then those that are merely unclear.
    with np.errstate(all="ignore"):
        excess = np.abs(flat - slopes.value) / (slopes.bound + slack + 1e-300)
    order = doubtful[np.argsort(-np.nan_to_num(excess[doubtful], nan=np.inf), kind="stable")]
    for count, i in enumerate(order):
        if count >= CLOSE_LOOKS and wrong:
            break
        slope = oracle.closely(leaf, int(i), float(flat[i]), float(slack[i]), goal)
        slopes.value[i], slopes.bound[i], slopes.half[i] = slope.value, slope.bound, slope.half
        slopes.jump[i] = slope.jump
        if slope.jump or not np.isfinite(slope.value) or slope.bound > NEEDED * scale:
            result.unknown += 1
        elif not slope.admits(float(flat[i]), float(slack[i])):
            excess_i = abs(float(flat[i]) - slope.value) - slope.half
            wrong.append((excess_i, int(i), slope))
    for i in _sharpen(oracle, leaf, got, slopes):
        slope = Slope(float(slopes.value[i]), float(slopes.bound[i]))
        if not slope.admits(float(flat[i]), float(slack[i])) and slope.bound <= NEEDED * scale:
            wrong.append((abs(float(flat[i]) - slope.value), i, slope))
    known = ~slopes.jump & np.isfinite(slopes.value)
    result.expected = slopes.value.reshape(got.shape)
    result.bound = (slopes.bound + slack).reshape(got.shape)
    result.half = slopes.half.reshape(got.shape)
    if known.any():
        with np.errstate(all="ignore"):
            gaps = np.maximum(np.abs(flat - slopes.value) - slopes.half, 0)[known]
        result.error = float(np.nanmax(gaps))
        result.largest_bound = float(np.max((slopes.bound + slack)[known]))
    if wrong:
        _, i, slope = max(wrong, key=lambda item: item[0])
        index = tuple(int(k) for k in np.unravel_index(i, got.shape))
        result.wrong = Entry(index, slope.value, float(flat[i]), slope.bound + float(slack[i]))
    else:
        _ties(oracle, leaf, got, slopes.half.reshape(got.shape), result)
    return result


def _sharpen(oracle: Oracle, leaf: Leaf, got: Array, slopes: Slopes) -> list[int]:
    """Entries that fit a bound which is wide beside the gradient: longer steps may narrow it."""
    sharper: list[int] = []
    goal = NEEDED * peak(got)
    if goal > 0 and np.any(slopes.bound > goal):
        oracle.measure_noise()
    vague = np.flatnonzero((slopes.bound > goal) & ~slopes.jump & (slopes.half == 0))
    for count, i in enumerate(vague if goal > 0 else ()):
        slope = oracle.farther(leaf, int(i), float(slopes.bound[i]), WANTED * peak(got))
        if slope.bound < slopes.bound[i] and not slope.jump and slope.half == 0:
            slopes.value[i], slopes.bound[i] = slope.value, slope.bound
            sharper.append(int(i))
        elif count >= 2:
            break
    return sharper


def _ties(oracle: Oracle, leaf: Leaf, got: Array, half: Array, result: Comparison) -> None:
    """Where kinks are, entries of one value are also moved together: ties that share a maximum."""
    value = oracle.subject.value(leaf)
    kinked = half > 0
    if np.count_nonzero(kinked) < 2:
        return
    groups: list[Array] = []
    values, counts = np.unique(value[kinked], return_counts=True)
    for shared in values[counts >= 2][:8]:
        together = kinked & (value == shared)
        groups.append(together)
        if together.ndim > 1:
            for row in range(min(len(together), 8)):
                part = np.zeros_like(together)
                part[row] = together[row]
                if np.count_nonzero(part) >= 2:
                    groups.append(part)
    for group in groups[:24]:
        move = {leaf.about: group * oracle.scales[leaf.about]}
        total = float(np.sum(got * move[leaf.about]))
        size = float(np.sum(np.abs(got * move[leaf.about]))) + float(
            np.sum(half[group]) * oracle.scales[leaf.about]
        )
        slope = oracle.direction(move, total, 1e-11 * size, 1e-6 * size)
        if slope.jump or slope.bound > NEEDED * size:
            continue
        if not slope.admits(total, 1e-11 * size):
            i = tuple(int(k) for k in np.argwhere(group)[0])
            unit = oracle.scales[leaf.about]
            result.wrong = Entry(i, slope.value / unit, total / unit, slope.bound / unit)
            result.group = move[leaf.about]
            return


def _by_directions(oracle: Oracle, leaf: Leaf, got: Array) -> Comparison:
    result = Comparison(leaf, got, looked=got.size)
    for _ in range(DIRECTIONS):
        move = oracle.random_direction(leaf.about)[leaf.about]
        bad = _direction(oracle, leaf, got, move, result)
        if bad:
            result.wrong = _bisect(oracle, leaf, got, move)
            return result
    return result


def _direction(
    oracle: Oracle, leaf: Leaf, got: Array, move: Array, result: Comparison | None
) -> bool:
    """Whether the slope along `move` is not what `got` says."""
    total = float(np.vdot(got, move))
    top = peak(got) * oracle.scales[leaf.about]
    size = top * float(np.sqrt(np.count_nonzero(move)))
    slack = 64 * EPS * size + 16 * EPS * abs(total)
    noise = oracle.noise_got.get(leaf.about)
    if noise is not None and noise.shape == got.shape:
        slack += 10.0 * float(np.sqrt(np.sum((noise * move) ** 2)))
    scale = max(size, 1e-4 * float(np.sum(np.abs(oracle.dout * oracle.y))))
    slope = oracle.direction({leaf.about: move}, total, slack, WANTED * scale)
    if slope.jump or not np.isfinite(slope.bound) or slope.bound > NEEDED * scale:
        if result is not None:
            result.unknown += 1
        return False
    if result is not None:
        result.error = max(result.error, max(abs(total - slope.value) - slope.half, 0.0))
        result.largest_bound = max(result.largest_bound, slope.bound + slack)
    return not slope.admits(total, slack)


def _bisect(oracle: Oracle, leaf: Leaf, got: Array, move: Array, rough: bool = True) -> Entry:
    """Halve the set of moved entries until one that is wrong is left."""
    where = np.arange(got.size)
    flat = move.ravel()
    excess = np.inf
    while len(where) > 1:
        left, right = where[: len(where) // 2], where[len(where) // 2 :]
        part = np.zeros(got.size)
        part[left] = flat[left]
        move = part.reshape(got.shape)
        total = float(np.vdot(got, move))
        gap = abs(oracle.glance({leaf.about: move}) - total) if rough else np.inf
        # A half that holds the wrong entries holds about all of what does not fit.
        if 1e-2 * excess < gap < np.inf and np.isfinite(excess):
            where = left
        elif _direction(oracle, leaf, got, move, None):
            where, excess = left, gap
        else:
            where = right
    i = int(where[0])
    value = float(got.flat[i])
    slope = oracle.closely(leaf, i, value, 0.0, WANTED * max(abs(value), peak(got)))
    if rough and slope.admits(value):  # the glances led astray
        return _bisect(oracle, leaf, got, flat.reshape(got.shape), rough=False)
    index = tuple(int(k) for k in np.unravel_index(i, got.shape))
    return Entry(index, slope.value, value, slope.bound)


@dataclass
class Outcome:
    """A direction through all arrays: its slope, what the gradients say of it, do they fit."""

    move: dict[str, Array]
    slope: Slope
    said: float

    @property
    def fits(self) -> bool:
        """Whether the gradients are right along it."""
        return self.slope.admits(self.said)


def joint_direction(oracle: Oracle, got: dict[str, Array], ties: bool = False) -> Outcome | None:
    """One probe along a random direction through all arrays.

    None when the point decides nothing. At `ties`, entries of one value move together.
    """
    move = {about: m for about, m in oracle.random_direction().items() if about in got}
    subject = oracle.subject
    tied = [leaf.about for leaf in subject.leaves if ties and leaf.is_input and leaf.about in move]
    for leaf in subject.leaves:
        if leaf.about in move and leaf.about not in tied:
            move[leaf.about] *= _lengths(subject.value(leaf), oracle.scales[leaf.about])
    if tied:
        values = [subject.value(leaf) for leaf in subject.leaves if leaf.about in tied]
        move |= dict(zip(tied, _together(values, [move[a] for a in tied]), strict=True))
    if not move:
        return None
    parts = [(got[about], m) for about, m in move.items()]
    total = sum(float(np.vdot(g, m)) for g, m in parts)
    size = sum(peak(g) * peak(m) * float(np.sqrt(m.size)) for g, m in parts)
    if not np.isfinite(total):
        return None
    scale = max(size, 1e-4 * float(np.sum(np.abs(oracle.dout * oracle.y))))
    slack = 1024 * EPS * size
    slope = oracle.direction(move, total, slack, 1e-5 * scale, levels=3)
    if slope.jump or not np.isfinite(slope.bound) or slope.bound > NEEDED * scale:
        return None
    slope.bound += slack + sum(
        saturated(oracle, about, got[about]) * peak(m) * float(np.sqrt(m.size))
        for about, m in move.items()
    )
    return Outcome(move, slope, total)


def _lengths(value: Array, scale: float) -> Array:
    """The size of each entry beside the typical one, a power of two, between 1/16 and 8."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp2(np.clip(np.floor(np.log2(np.abs(value) / scale)), -4, 3)))


def _together(values: list[Array], moves: list[Array]) -> list[Array]:
    """A direction in which equal entries of all arrays move equally."""
    flat = np.concatenate([v.reshape(-1) for v in values])
    move = np.concatenate([m.reshape(-1) for m in moves])
    _, first, inverse = np.unique(flat, return_index=True, return_inverse=True)
    joint = np.split(move[first][inverse.reshape(-1)], np.cumsum([v.size for v in values])[:-1])
    return [m.reshape(v.shape) for m, v in zip(joint, values, strict=True)]
