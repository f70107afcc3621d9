"""One forward and one backward, looked at from outside: what they return and what they touch."""

import itertools
from typing import Any

import numpy as np

from gradcheck.arrays import Array, is_real
from gradcheck.report import Finding
from gradcheck.subject import ContractError, LayerRaisedError, Subject

Raw = dict[str, Any]


def call_once(subject: Subject, dout: Array) -> tuple[list[Finding], dict[str, Array] | None]:
    """Everything that one forward and one backward do wrong, and the gradients by name.

    The gradients are None when there is nothing to compare: an exception, a wrong shape.
    """
    subject.snapshot.restore()
    xs = [x.copy("K") if isinstance(x, np.ndarray) else x for x in subject.xs]
    before = [x.copy("K") if isinstance(x, np.ndarray) else x for x in xs]
    params = {name: value.copy() for name, value in subject.params.items()}
    findings: list[Finding] = []
    y = subject.forward_raw(xs)
    findings += _touched(xs, before, "forward", subject)
    findings += _params_touched(subject, params, "forward")
    given = dout.astype(subject.output_dtype())
    kept = given.copy()
    try:
        raw = subject.backward_raw(given)
    except LayerRaisedError as error:
        return [*findings, _raised(error)], None
    if not np.array_equal(given, kept, equal_nan=True):
        findings.append(
            Finding(
                "contract", "upstream-mutated", "backward writes into dout, which is not its own"
            )
        )
    if not any(f.cause == "input-mutated" for f in findings):
        findings += _touched(xs, before, "backward", subject)
    if not any(f.cause == "parameters-mutated" for f in findings):
        findings += _params_touched(subject, params, "backward")
    try:
        found = subject.sorted_out(raw)
    except ContractError as error:
        return [*findings, Finding(error.about, error.cause, str(error))], None
    findings += _keys(subject, found)
    good: dict[str, Array] = {}
    for leaf in subject.leaves:
        g = found.get(leaf.about)
        if g is None:
            continue
        finding = _form(subject, leaf.about, g, subject.value(leaf), dout)
        if finding is not None:
            findings.append(finding)
        else:
            good[leaf.about] = np.array(g, np.float64)
            findings += _aliases(subject, leaf.about, g, given, xs, y)
    return findings, good


def _raised(error: LayerRaisedError) -> Finding:
    return Finding("contract" if error.where == "backward" else "forward", "raises", str(error))


def _touched(xs: list[Any], before: list[Any], where: str, subject: Subject) -> list[Finding]:
    for k, (x, old) in enumerate(zip(xs, before, strict=True)):
        if isinstance(x, np.ndarray) and not np.array_equal(x, old, equal_nan=x.dtype.kind in "fc"):
            name = subject.input_name(k)[1:]
            return [
                Finding(
                    "forward" if where == "forward" else "contract",
                    "input-mutated",
                    f"{where} writes into {name}, which is not its own",
                )
            ]
    return []


def _params_touched(subject: Subject, before: dict[str, Array], where: str) -> list[Finding]:
    held = getattr(subject.layer, "params", None)
    now = held if isinstance(held, dict) else subject.params
    for name, old in before.items():
        value = now.get(name, subject.params.get(name)) if hasattr(now, "get") else None
        if value is None or not np.array_equal(np.asarray(value), old, equal_nan=True):
            return [
                Finding(
                    f"d{name}" if where == "backward" else "forward",
                    "parameters-mutated",
                    f"{where} changes the parameter {name}; only an optimizer may",
                )
            ]
    return []


def _keys(subject: Subject, found: dict[str, Array | None]) -> list[Finding]:
    findings = []
    for leaf in subject.leaves:
        if found.get(leaf.about) is None:
            given = ", ".join(sorted(a for a, g in found.items() if g is not None)) or "none"
            what = "the input" if leaf.is_input else "the parameter"
            findings.append(
                Finding(
                    leaf.about,
                    "gradient-missing",
                    f"there is no gradient of {what} {leaf.noun} (backward gives: {given})",
                )
            )
    known = {leaf.about for leaf in subject.leaves}
    for about, g in found.items():
        if about not in known and g is not None and not about.startswith("dx"):
            findings.append(
                Finding(
                    about,
                    "gradient-extra",
                    f"there is a gradient of {about[1:]}, which is no parameter",
                )
            )
    return findings


def _form(subject: Subject, about: str, g: Array, value: Array, dout: Array) -> Finding | None:
    """A wrong dtype or shape, or numbers that are none."""
    if g.dtype.kind not in "fiu" or g.dtype.kind == "O":
        return Finding(about, "dtype", f"the gradient has dtype {g.dtype}, expected {value.dtype}")
    if g.shape != value.shape:
        extra = Finding(
            about,
            "shape",
            f"the gradient has shape {g.shape}, expected {value.shape} as {about[1:]}",
        )
        axes = _summed_to(g, value.shape)
        if axes is not None:
            extra.causes = ["not-summed", "shape"]
            extra.cause = "not-summed"
            extra.message += f": it is not summed over axis {', '.join(map(str, axes))}"
        return extra
    if g.dtype.kind != "f":
        return Finding(about, "dtype", f"the gradient has dtype {g.dtype}, expected {value.dtype}")
    if g.dtype.itemsize > value.dtype.itemsize:
        return Finding(about, "dtype", f"the gradient has dtype {g.dtype}, expected {value.dtype}")
    return None


def _summed_to(g: Array, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The axes, longer than 1, which summed over give this shape; None if none do."""
    long = [axis for axis in range(g.ndim) if g.shape[axis] > 1]
    for count in range(1, len(long) + 1):
        for axes in itertools.combinations(long, count):
            rest = tuple(n for axis, n in enumerate(g.shape) if axis not in axes)
            kept = tuple(1 if axis in axes else n for axis, n in enumerate(g.shape))
            if shape in (rest, kept):
                return axes
    return None


def _aliases(
    subject: Subject, about: str, g: Array, dout: Array, xs: list[Any], y: Any
) -> list[Finding]:
    """A result that is somebody else's memory.

    A re-shaped view of dout is right where forward itself re-shapes: nothing else can be meant.
    """
    views = isinstance(y, np.ndarray) and any(
        isinstance(x, np.ndarray) and np.shares_memory(x, y) for x in xs
    )
    if g is dout or (g.shape == dout.shape and not views and _shares(g, dout)):
        return [
            Finding(about, "aliased-result", "the gradient is dout itself, not an array of its own")
        ]
    for k, x in enumerate(xs):
        if is_real(x) and _shares(g, x):
            name = subject.input_name(k)[1:]
            return [
                Finding(about, "aliased-result", f"the gradient is the memory of {name} itself")
            ]
    for name, value in subject.params.items():
        if _shares(g, value):
            return [
                Finding(about, "aliased-result", f"the gradient is the parameter {name} itself")
            ]
    return []


def _shares(a: Array, b: Array) -> bool:
    return bool(np.may_share_memory(a, b)) and a.size > 0
