"""What must hold exactly, with no differencing: repeatability, linearity, independence of history."""

import copy
from collections.abc import Iterator

import numpy as np

from gradcheck.arrays import EPS, Array, peak
from gradcheck.report import Finding
from gradcheck.subject import LayerRaisedError, Subject
from gradcheck.upstream import signed

Found = dict[str, Array]


def exact_findings(
    subject: Subject, dout: Array, base: Found, values_right: bool
) -> Iterator[Finding]:
    """Every exact law that is broken; `base` holds the gradients for `dout`, of a fresh forward."""
    if subject.kind == "layer":
        yield from _upstream(subject, dout, base)
    yield from _again(subject, dout, base)
    if values_right and subject.snapshot.random():
        yield from _two_masks(subject, dout)
    yield from _history(subject, dout, base)


def close(a: Array, b: Array, factor: float = 1e4, scale: float | None = None) -> bool:
    """Whether two computations of one number differ by rounding alone."""
    if a.shape != b.shape:
        return False
    with np.errstate(all="ignore"):
        top = max(peak(a), peak(b)) if scale is None else scale
        if not np.isfinite(top):
            return bool(np.array_equal(a, b, equal_nan=True))
        return bool(np.all(np.abs(a - b) <= factor * EPS * top))


def _get(subject: Subject, dout: Array) -> Found | None:
    try:
        with np.errstate(all="ignore"):
            return subject.gradients(dout)
    except Exception:
        return None


def _upstream(subject: Subject, dout: Array, base: Found) -> Iterator[Finding]:
    """dout enters linearly: backward(a d₁ + b d₂) = a backward(d₁) + b backward(d₂)."""
    rng = np.random.default_rng(1)
    zero = _get(subject, np.zeros_like(dout))
    other = signed(dout.shape, rng)
    second = _get(subject, other)
    tests = [
        (2.0, -3.0, "2 d₁ − 3 d₂"),
        (-1.0, 0.0, "−d₁"),
        (1e3, 0.0, "1000 d₁"),
        (1e-3, 0.0, "0.001 d₁"),
    ]
    sums = [(a, b, text, _get(subject, a * dout + b * other)) for a, b, text in tests]
    positive = np.abs(dout)
    sums_positive = _get(subject, positive)
    negative = _get(subject, -positive)
    for about, g in base.items():
        z = zero.get(about) if zero is not None else None
        if z is None or second is None or about not in second:
            continue
        g2 = second[about]
        leak = peak(z)
        scale = max(peak(g), peak(g2))
        if scale > 0 and close(g, g2, 1.0) and np.array_equal(g, g2):
            yield Finding(about, "upstream-ignored", "the gradient is the same whatever dout is")
            continue
        if leak > 0:
            # A part that does not scale: constant, or a whole term without dout.
            rest_linear = True
            for a, b, _, got in sums:
                if got is None or about not in got:
                    continue
                wanted = z + a * (g - z) + b * (g2 - z)
                if not close(got[about], wanted, 1e4, (abs(a) + abs(b)) * scale + leak):
                    rest_linear = False
            finding = Finding(
                about, "upstream-partial", f"backward(0) is not 0 but as large as {leak:.3g}"
            )
            if rest_linear:
                flat = np.ptp(z) <= 1e-9 * leak
                small = leak < 1e-3 * scale
                order = (
                    ["constant-leak", "upstream-partial"]
                    if flat or small
                    else ["upstream-partial", "constant-leak"]
                )
            else:
                order = ["upstream-nonlinear", "upstream-partial"]
            leaf = next(leaf for leaf in subject.leaves if leaf.about == about)
            value = np.array(subject.value(leaf), np.float64)
            if not leaf.is_input and _of_parameter(z, value):
                bias = ["bias-penalized"] if value.ndim < 2 else []
                order = [*bias, "penalty-extra", *order]
                finding.message = "it holds a multiple of the parameter, even where dout is 0"
            finding.cause, finding.causes = order[0], order
            index = np.unravel_index(int(np.argmax(np.abs(z))), z.shape)
            finding.index = tuple(int(i) for i in index)
            finding.expected, finding.got = 0.0, float(z[index])
            finding.error, finding.bound = leak, 0.0
            yield finding
            continue
        for a, b, text, got in sums:
            if got is None or about not in got:
                continue
            wanted = a * g + b * g2
            if not close(got[about], wanted, 1e4, (abs(a) + abs(b)) * scale):
                gap = np.abs(got[about] - wanted)
                index = np.unravel_index(int(np.nanargmax(gap)), gap.shape)
                lost = _narrow(g) and peak(gap) < 1e-2 * (abs(a) + abs(b)) * scale
                yield Finding(
                    about,
                    "precision-lost" if lost else "upstream-nonlinear",
                    "it is computed or returned in a type narrower than the layer's"
                    if lost
                    else f"backward({text}) is not what linearity in dout demands",
                    index=tuple(int(i) for i in index),
                    expected=float(wanted[index]),
                    got=float(got[about][index]),
                    error=float(gap[index]),
                    bound=1e4 * EPS * (abs(a) + abs(b)) * scale,
                )
                break
        else:
            if sums_positive is not None and negative is not None and about in sums_positive:
                p, n = sums_positive[about], negative[about]
                if not close(p, -n, 1e4):
                    yield Finding(
                        about,
                        "upstream-nonlinear",
                        "backward(−d) is not −backward(d) when all of d has one sign",
                    )


def _narrow(g: Array) -> bool:
    """Whether every number fits float32 exactly, and not all are whole: they came from there."""
    with np.errstate(all="ignore"):
        fits = np.array_equal(g, g.astype(np.float32).astype(np.float64))
    return fits and not np.array_equal(g, np.round(g))


def _of_parameter(z: Array, value: Array) -> bool:
    """Whether a gradient at dout = 0 is a multiple of its parameter, or of the parameter's sign."""
    if z.shape != value.shape or peak(value) == 0 or value.size < 2:
        return False
    for unit in (value, np.sign(value)):
        c = float(np.vdot(z, unit) / np.vdot(unit, unit))
        if close(z, c * unit, 1e6):
            return True
    return False


def _again(subject: Subject, dout: Array, base: Found) -> Iterator[Finding]:
    """A second backward after the one forward gives the same, and spoils no earlier result."""
    subject.forward()
    try:
        first_raw = subject.sorted_out(subject.backward_raw(_as_given(subject, dout)))
        first = {a: np.array(g, np.float64) for a, g in first_raw.items() if g is not None}
        second_raw = subject.sorted_out(subject.backward_raw(_as_given(subject, dout)))
    except LayerRaisedError as error:
        yield Finding("contract", "raises", f"a second backward after one forward: {error}")
        return
    except Exception:
        return
    random = bool(subject.snapshot.random())
    accumulated = False
    for about, g in first.items():
        again = second_raw.get(about)
        if again is None or about not in base:
            continue
        if not close(np.array(again, np.float64), g, 100.0):
            accumulated = True
            redrawn = random and not close(np.array(again, np.float64), 2 * g, 100.0)
            cause = "randomness-redrawn" if redrawn else "accumulates"
            text = (
                "two backwards after one forward differ: randomness is drawn again"
                if redrawn
                else "the second backward after one forward gives another answer"
            )
            yield Finding(about, cause, text)
        elif not close(g, base[about], 100.0):
            yield Finding(
                about, "accumulates", "the same call at the same point gives another answer"
            )
            accumulated = True
    if accumulated:
        return
    # Another upstream gradient, then another forward: the first results must stay as they were.
    try:
        subject.backward_raw(_as_given(subject, -2.0 * dout))
        changed = "backward"
        if all(_same(first_raw[a], first[a]) for a in first):
            subject.forward([_shifted(x) for x in subject.xs], restore=False)
            subject.backward_raw(_as_given(subject, 3.0 * dout))
            changed = "forward and backward"
    except Exception:
        return
    for about, g in first.items():
        if not _same(first_raw[about], g):
            yield Finding(
                about, "aliased-result", f"a later {changed} changes the gradient returned before"
            )
            return


def _history(subject: Subject, dout: Array, base: Found) -> Iterator[Finding]:
    """What other calls and other instances did before must not matter."""
    others = [_shifted(x) for x in subject.xs]
    results: list[tuple[str, str, Found]] = []
    try:
        y1 = np.array(subject.forward(others), copy=True)
        kept = subject.forward_raw([_copy(x) for x in others])
        snapshot = np.array(kept, np.float64, copy=True)
        subject.snapshot.restore_randomness()
        subject.forward(restore=False)
        if isinstance(kept, np.ndarray) and not _same(kept, snapshot):
            yield Finding(
                "forward", "aliased-result", "a later forward changes the output returned before"
            )
        subject.snapshot.restore()
        subject.forward(others, restore=False)
        subject.backward(dout if y1.shape == dout.shape else np.ones_like(y1))
        subject.forward(others, restore=False)
        subject.snapshot.restore_randomness()
        subject.forward(restore=False)
        results.append(
            ("stale-cache", "earlier calls with other inputs change it", _now(subject, dout))
        )
    except Exception:
        pass
    try:
        subject.snapshot.restore()
        twin = Subject(copy.deepcopy(subject.layer), subject.xs, subject.kind, subject.counts)
        subject.forward()
        twin.forward(others)
        results.append(
            ("stale-cache", "another instance's forward changes it", _now(subject, dout))
        )
    except Exception:
        pass
    seen = set()
    for cause, text, found in results:
        for about, g in base.items():
            if about in found and about not in seen:
                if not close(found[about], g, 1e5):
                    seen.add(about)
                    yield Finding(about, cause, f"the gradient depends on history: {text}")


def _two_masks(subject: Subject, dout: Array) -> Iterator[Finding]:
    """With randomness running on, the gradient belongs to the last forward's draw."""
    from gradcheck.oracle import Oracle

    try:
        subject.forward()
        # Where the second draw starts; its gradient is judged by differences from there.
        starts = [(g, g.bit_generator.state) for g in subject.generators()]
        subject.forward(restore=False)
        got = subject.backward(dout)
    except Exception:
        return
    twin = subject.moved()
    for (_, at), generator in zip(starts, twin.generators(), strict=False):
        generator.bit_generator.state = at
    twin = Subject(twin.layer, twin.xs, twin.kind, twin.counts)
    try:
        oracle = Oracle(twin, dout)
        move = oracle.random_direction()
        total = sum(
            float(np.sum(np.asarray(got[a]) * m)) for a, m in move.items() if got.get(a) is not None
        )
        size = sum(
            float(np.sum(np.abs(np.asarray(got[a]) * m)))
            for a, m in move.items()
            if got.get(a) is not None
        )
        slope = oracle.direction(move, total, 1e-9 * size, 1e-6 * size)
    except Exception:
        return
    if not slope.jump and np.isfinite(slope.bound) and slope.bound <= 1e-3 * size:
        if not slope.admits(total, 1e-9 * size):
            about = subject.leaves[0].about
            yield Finding(
                about,
                "stale-cache",
                "after a second forward with new randomness the gradient is not that forward's",
                causes=["stale-cache", "randomness-redrawn"],
            )


def _now(subject: Subject, dout: Array) -> Found:
    found = subject.backward(dout)
    return {a: np.array(g, np.float64) for a, g in found.items() if g is not None}


def _as_given(subject: Subject, dout: Array) -> Array:
    return np.array(dout, dtype=subject.output_dtype())


def _same(raw: Array | None, kept: Array) -> bool:
    return raw is not None and np.array_equal(np.array(raw, np.float64), kept, equal_nan=True)


def _copy(x: object) -> object:
    return x.copy("K") if isinstance(x, np.ndarray) else x


def _shifted(x: object) -> object:
    """Another input of the same kind: floats scaled and turned round, whole numbers as they are."""
    if isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.size:
        return (0.5 * np.flip(x) + 0.25 * x + 0.125 * np.sign(x)).astype(x.dtype)
    if isinstance(x, np.ndarray) and x.ndim:
        return np.flip(x).copy()
    return x
