"""What must hold exactly, with no differencing: so no tolerance but that of rounding.

A right backward gives the same answer twice, is linear in `dout`, gives nothing for nothing,
hands out arrays of its own, and answers for the last forward of its own instance.
"""

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from gradcheck.arrays import EPS, Array, is_real, length, peak
from gradcheck.diagnosis.penalty import added
from gradcheck.evidence import Evidence, Trial
from gradcheck.report import Finding
from gradcheck.subject import LayerRaisedError, Subject, as_float
from gradcheck.upstream import signed

Found = dict[str, Array]

# The first is exact even in a narrower type, and telling where dout enters squared.
SCALES = (2.0**8, -1.0, 2.0**-20, 2.0**-8, 2.0**20)
THIRDS = (3.0, 5.0 / 3.0, -7.0 / 3.0)
MOST_COPIED = 2_000_000  # entries of which whole copies are made
NARROW = 2.0**-8  # what half precision may be off by
_LEAST = 1e-280


def exact_findings(subject: Subject, dout: Array, base: Found) -> Iterator[Finding]:
    """Every exact law that is broken; `base` holds the gradients for `dout`, of a fresh forward."""
    again = list(repeats(subject, dout, base))
    yield from again
    told = {f.about for f in again if f.cause != "aliased-result"}
    if subject.kind == "layer":
        for finding in linearity(subject, dout, afresh=bool(again)):
            if finding.about not in told:
                yield finding
    if not again:
        yield from history(subject, dout, base)


def close(a: Array, b: Array, factor: float = 256.0) -> bool:
    """Whether two computations of one number differ by rounding alone."""
    if a.shape != b.shape:
        return False
    if not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return False
    sure = np.isfinite(a)
    top = max(peak(a[sure]), peak(b[sure]))
    return bool(np.all(np.abs(a[sure] - b[sure]) <= factor * EPS * top))


def floats(found: Mapping[str, Array | None]) -> Found:
    """The gradients that are there, as fresh float64 arrays."""
    return {about: as_float(g) for about, g in found.items() if g is not None}


def differs(about: str, cause: str, message: str, expected: Array, got: Array) -> Finding:
    """A finding with the entry where the two differ most."""
    finding = Finding(about, cause, message)
    if expected.shape == got.shape and got.size:
        gap = np.nan_to_num(np.abs(got - expected), nan=np.inf)
        at = int(np.argmax(gap))
        finding.index = tuple(int(i) for i in np.unravel_index(at, got.shape))
        finding.expected, finding.got = float(expected.flat[at]), float(got.flat[at])
        finding.error, finding.bound = float(gap.flat[at]), 0.0
    return finding


# ---- the same answer again ---------------------------------------------------------------


def repeats(subject: Subject, dout: Array, base: Found) -> Iterator[Finding]:
    """A second backward after one forward gives the same, and spoils no earlier result."""
    subject.forward()
    given = np.array(dout, dtype=subject.output_dtype())
    try:
        results = subject.sorted_out(subject.backward_raw(given))
        first = floats(results)
        second = floats(subject.backward(dout))
    except LayerRaisedError as error:
        yield Finding("contract", "raises", f"a second backward after one forward: {error}")
        return
    if not any(_differ(second, about, g) for about, g in first.items()):
        with contextlib.suppress(LayerRaisedError):
            second = floats(subject.backward(dout))  # a third time
    broken = [about for about, g in first.items() if _differ(second, about, g)]
    for about in broken:
        yield _not_repeated(subject, dout, about, first[about], second[about])
    if broken:
        return
    late = [about for about, g in base.items() if _differ(first, about, g)]
    for about in late:
        message = "the same forward and backward once more give another gradient"
        yield differs(about, "accumulates", message, base[about], first[about])
    if not late:
        yield from _overwritten(subject, dout, results, first)


def _differ(found: Found, about: str, g: Array) -> bool:
    return about in found and not close(found[about], g)


def _not_repeated(
    subject: Subject, dout: Array, about: str, first: Array, second: Array
) -> Finding:
    third = floats(subject.backward(dout)).get(about, second)
    step = second - first if first.shape == second.shape else second
    if step.shape == third.shape and close(third - second, step, 1e5):
        message = "a second backward returns more: it adds to the last gradient"
        return differs(about, "accumulates", message, first, second)
    if _redrawn(subject, dout, about):
        message = "two backwards after one forward differ: it draws random numbers again"
        return differs(about, "randomness-redrawn", message, first, second)
    message = "a second backward after one forward gives another gradient"
    return differs(about, "accumulates", message, first, second)


def _redrawn(subject: Subject, dout: Array, about: str) -> bool:
    """Whether backward repeats itself as soon as the generators are put back, or draws globally."""
    if not subject.snapshot.random():
        before = str(np.random.get_state())  # noqa: NPY002
        subject.backward(dout)
        return str(np.random.get_state()) != before  # noqa: NPY002
    subject.forward()
    subject.snapshot.restore_randomness()
    a = floats(subject.backward(dout)).get(about)
    subject.snapshot.restore_randomness()
    b = floats(subject.backward(dout)).get(about)
    return a is not None and b is not None and close(a, b)


def _overwritten(
    subject: Subject, dout: Array, results: Mapping[str, Array | None], first: Found
) -> Iterator[Finding]:
    """Whether a later call changes an earlier result, or writing into one spoils a later call."""

    def spoilt(call: str) -> list[Finding]:
        return [
            Finding(about, "aliased-result", f"a later {call} overwrites the gradient given before")
            for about, g in results.items()
            if isinstance(g, np.ndarray) and not _same(g, first[about])
        ]

    try:
        subject.backward(-0.5 * dout)
        found = spoilt("backward")
        if not found:
            subject.forward([shifted(x) for x in subject.xs], restore=False)
            subject.backward(3.0 * dout)
            found = spoilt("forward and backward")
    except Exception:
        found = []
    yield from found
    if found:
        return
    try:
        subject.forward()
        handed = subject.sorted_out(subject.backward_raw(_typed(subject, dout)))
        for g in handed.values():
            if is_real(g) and g.flags.writeable:
                g[...] = 0.125
        again = floats(subject.backward(dout))
    except Exception:
        return
    finally:
        subject.snapshot.restore_all()
    for about, g in first.items():
        if _differ(again, about, g):
            message = "writing into the gradient spoils the next backward: it is the layer's own"
            yield Finding(about, "aliased-result", message)


def _same(raw: Array, kept: Array) -> bool:
    return bool(np.array_equal(as_float(raw), kept, equal_nan=True))


def _typed(subject: Subject, dout: Array) -> Array:
    return np.array(dout, dtype=subject.output_dtype())


# ---- linear in dout ----------------------------------------------------------------------


def linearity(subject: Subject, dout: Array, afresh: bool = False) -> Iterator[Finding]:
    """Backward of zero, of scaled, negated, split and summed upstream gradients.

    Scaling by a power of two is exact in every linear computation, whatever cancels in it;
    scaling by thirds shows how large the rounding is, which sums are then allowed.
    """
    y = subject.forward()
    natural = {
        leaf.about: 64 * EPS * float(np.sum(np.abs(dout * y))) / length(subject.value(leaf))
        for leaf in subject.leaves
    }

    def back(d: Array) -> Found:
        if afresh:
            subject.forward()
        return floats(subject.backward(d))

    try:
        zero, base = back(np.zeros_like(dout)), back(dout)
        known = [a for a, g in base.items() if a in natural and np.all(np.isfinite(g))]
        left = {about for about in known if about in zero and peak(zero[about]) > 0}
        if left:
            thirds = {s: back(s * dout) for s in THIRDS}
            second = back(_other(dout))
            for about in left:
                linear = all(
                    _nearly(a[about] - zero[about], s * (base[about] - zero[about]))
                    for s, a in thirds.items()
                )
                yield _left_over(
                    subject, dout, about, zero[about], base[about], second[about], linear
                )
        del zero
        base = {about: base[about] for about in known if about not in left}
        rounding = dict.fromkeys(base, 0.0)
        for s in (SCALES[0], *THIRDS, *SCALES[1:]):
            scaled = back(s * dout)
            for about in list(rounding):
                g, a = base[about], scaled.get(about)
                if a is None or a.shape != g.shape:
                    continue
                finding = _not_scaled(about, s, g, a, natural[about])
                if finding is not None:
                    del rounding[about]
                    yield finding
                elif s in THIRDS:
                    rounding[about] = max(rounding[about], peak(a / s - g))
        allowed = {about: 128 * r + natural[about] for about, r in rounding.items()}
        yield from _not_added(dout, {about: base[about] for about in rounding}, allowed, back)
    except LayerRaisedError as error:
        yield Finding("contract", "raises", f"with another dout, {error}")


def _not_added(
    dout: Array, base: Found, allowed: dict[str, float], back: Callable[[Array], Found]
) -> Iterator[Finding]:
    """The gradient of a sum is the sum of the gradients."""
    parts, other = back(np.maximum(dout, 0)), _other(dout)
    negative = back(np.minimum(dout, 0))
    told: set[str] = set()
    for about, g in base.items():
        p, n = parts.get(about), negative.get(about)
        if p is not None and n is not None and p.shape == n.shape == g.shape:
            message = "the parts of dout above and below zero do not add up"
            within = allowed[about] + 8192 * EPS * max(peak(p), peak(n))
            found = _unequal(about, message, p + n, g, within)
            told |= {about} if found else set()
            yield from found
    del parts, negative
    second, mixed = back(other), back(2.0 * dout - 3.0 * other)
    for about, g in base.items():
        h, m = second.get(about), mixed.get(about)
        if about not in told and h is not None and m is not None and h.shape == m.shape == g.shape:
            message = "backward(2 d1 - 3 d2) is not 2 backward(d1) - 3 backward(d2)"
            within = 5 * allowed[about] + 8192 * EPS * max(peak(g), peak(h))
            yield from _unequal(about, message, 2 * g - 3 * h, m, within)


def _unequal(
    about: str, message: str, expected: Array, got: Array, allowed: float
) -> list[Finding]:
    if peak(expected - got) <= allowed:
        return []
    return [differs(about, "upstream-nonlinear", message, expected, got)]


def _other(dout: Array) -> Array:
    return signed(dout.shape, np.random.default_rng(1))


def _nearly(a: Array, b: Array) -> bool:
    return peak(a - b) <= 1e-6 * max(peak(a), peak(b))


def _not_scaled(about: str, s: float, g: Array, a: Array, natural: float) -> Finding | None:
    """Scaling dout scales the answer; off by little at a third, it is rounded to fewer digits."""
    top = max(peak(g), peak(a / s))
    if not np.all(np.isfinite(a)) or 0 < peak(g) * min(abs(s), 1.0) < _LEAST:
        return None
    gap = peak(a / s - g)
    if gap <= (64 * EPS * top if s in SCALES else 1e-9 * top + natural):
        return None
    message = f"backward({s:g} dout) is not {s:g} backward(dout)"
    finding = differs(about, "upstream-nonlinear", message, s * g, a)
    if s in THIRDS and gap < NARROW * top:
        finding.causes = ["precision-lost", "upstream-nonlinear"]
        finding.cause = "precision-lost"
        finding.message += ": it is rounded to a narrower type"
    return finding


def _left_over(
    subject: Subject, dout: Array, about: str, zero: Array, one: Array, two: Array, linear: bool
) -> Finding:
    """Name what backward(0) leaves over."""
    worst = float(zero.flat[int(np.argmax(np.abs(zero)))])

    def named(message: str, *causes: str) -> Finding:
        finding = differs(about, causes[0], message, np.zeros_like(zero), zero)
        finding.causes = list(causes)
        return finding

    if close(zero, one) and close(zero, two):
        return named("the gradient is the same whatever dout is", "upstream-ignored")
    if not linear:
        message = f"backward(0) is {worst:.3g}, and the rest is not linear in dout either"
        return named(message, "upstream-nonlinear", "upstream-partial")
    if abs(worst) > 1e-4 * peak(one) and _right_at_ones(subject, dout, about):
        message = f"backward(0) is up to {worst:.3g}: one term is not multiplied by dout"
        return named(message, "upstream-partial", "constant-leak")
    left = zero[zero != 0]
    if left.size > 1 and np.ptp(left) <= 1e-6 * abs(worst):
        message = f"backward(0) is {worst:.3g}: a constant is added"
        return named(message, "constant-leak", "upstream-partial")
    leaf = next(leaf for leaf in subject.leaves if leaf.about == about)
    value = np.asarray(subject.value(leaf), np.float64)
    if not leaf.is_input and value.size > 1:
        for shape, noun in ((value, "the parameter"), (np.sign(value), "its sign")):
            factor = float(np.vdot(zero, shape)) / max(float(np.vdot(shape, shape)), 1e-300)
            if factor != 0 and peak(zero - factor * shape) <= 1e-9 * peak(zero):
                message = f"backward(0) is {factor:.3g} times {noun}: a penalty forward has not"
                if _added_on(subject, dout, about):
                    return named(message, "bias-penalized", "penalty-extra")
                return named(message, "penalty-extra")
    message = f"backward(0) is not 0 but up to {worst:.3g}: a part does not scale with dout"
    if abs(worst) < 1e-3 * peak(one):
        return named(message, "constant-leak", "upstream-partial")
    return named(message, "upstream-partial", "constant-leak")


def _right_at_ones(subject: Subject, dout: Array, about: str) -> bool:
    """Whether the gradient is right for a dout of ones: what is left over belongs to it."""
    try:
        ones = Trial(subject.moved(), np.ones_like(dout))
        return ones.is_gradient(about, ones.got[about])
    except Exception:
        return False
    finally:
        subject.forward()


def _added_on(subject: Subject, dout: Array, about: str) -> bool:
    """Whether forward adds the parameter, as it does a bias."""
    try:
        return added(Evidence(subject.moved(), dout, about))
    except Exception:
        return False
    finally:
        subject.forward()  # backward's cache is back


# ---- other calls and other instances -----------------------------------------------------


def history(subject: Subject, dout: Array, base: Found) -> Iterator[Finding]:
    """What other calls and other instances did before must not matter."""
    told: set[str] = set()
    if subject.snapshot.random():
        for finding in _two_draws(subject, dout):
            told.add(finding.about)
            yield finding
    laws = (_earlier_call, _other_instance, _moved_parameters)
    for law in laws if subject.sizes() <= MOST_COPIED else laws[:1]:
        try:
            found = list(law(subject, dout, base))
        except Exception:
            found = []
        finally:
            subject.snapshot.restore_all()
        for finding in found:
            if finding.about not in told:
                told.add(finding.about)
                yield finding


def _stale(base: Found, got: Found, message: str) -> Iterator[Finding]:
    for about, g in base.items():
        if about in got and not close(got[about], g, 1e5):
            yield differs(about, "stale-cache", message, g, got[about])


def _earlier_call(subject: Subject, dout: Array, base: Found) -> Iterator[Finding]:
    others = [shifted(x) for x in subject.xs]
    y = subject.forward()
    subject.snapshot.restore()
    kept = subject.forward_raw(others)
    snapshot = np.array(kept, np.float64, copy=True)
    subject.backward(dout if snapshot.shape == dout.shape else np.ones_like(snapshot))
    subject.snapshot.restore_randomness()
    now = subject.forward(restore=False)
    if isinstance(kept, np.ndarray) and not _same(kept, snapshot):
        message = "a later forward overwrites the output given before"
        yield Finding("forward", "aliased-result", message)
    if not close(now, y):
        return  # its state is meant to enter the output, and so the gradient
    got = floats(subject.backward(dout))
    yield from _stale(base, got, "a call with other inputs before it changes the gradient")


def _other_instance(subject: Subject, dout: Array, base: Found) -> Iterator[Finding]:
    subject.snapshot.restore()
    twin = Subject(copy.deepcopy(subject.layer), subject.xs, subject.kind, subject.counts)
    subject.forward()
    y = twin.forward([shifted(x) for x in subject.xs])
    twin.backward(dout if y.shape == dout.shape else np.ones_like(y))
    got = floats(subject.backward(dout))
    yield from _stale(base, got, "another instance's forward changes the gradient")


def _moved_parameters(subject: Subject, dout: Array, base: Found) -> Iterator[Finding]:
    """After an update in place, the gradient is that of the new parameters."""
    moved = {
        leaf.key: np.asarray(subject.value(leaf) * 1.25 + 0.0625, subject.value(leaf).dtype)
        for leaf in subject.leaves
        if not leaf.is_input
    }
    if not moved:
        return
    fresh = subject.moved(params=moved)
    y = fresh.forward()
    right = floats(fresh.backward(dout))
    subject.forward()
    subject.backward(dout)
    for leaf in subject.leaves:
        if leaf.key in moved:
            subject.write(leaf, moved[leaf.key])
    subject.snapshot.restore_randomness()
    now = subject.forward(restore=False)
    if close(now, y):
        got = floats(subject.backward(dout))
        yield from _stale(right, got, "after an update the gradient is that of older parameters")


def _two_draws(subject: Subject, dout: Array) -> Iterator[Finding]:
    """With randomness running on, the gradient belongs to the last forward's draw."""
    subject.forward()
    starts = [generator.bit_generator.state for generator in subject.generators()]
    subject.forward(restore=False)
    try:
        got = floats(subject.backward(dout))
        twin = subject.moved()
        for start, generator in zip(starts, twin.generators(), strict=True):
            generator.bit_generator.state = start
        twin = Subject(twin.layer, twin.xs, twin.kind, twin.counts)
        right = twin.gradients(dout)
    except Exception:
        return
    finally:
        subject.snapshot.restore_all()
    for about, g in right.items():
        if about in got and not close(got[about], g, 1e5):
            message = "after a second forward the gradient is not that of its new random numbers"
            finding = differs(about, "stale-cache", message, g, got[about])
            finding.causes = ["stale-cache", "randomness-redrawn"]
            yield finding


def shifted(x: Any) -> Any:
    """Another input of the same kind and shape."""
    if is_real(x) and x.size:
        return np.asarray(0.5 * np.flip(x) + 0.25 * x + 0.125 * np.sign(x), x.dtype)
    if isinstance(x, np.ndarray) and x.ndim:
        return np.flip(x).copy()
    return x
