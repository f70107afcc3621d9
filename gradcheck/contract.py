"""One forward and one backward, looked at from outside: what they return and what they touch."""

import itertools
from typing import Any

import numpy as np

from gradcheck.arrays import Array, is_real
from gradcheck.report import Finding
from gradcheck.subject import ContractError, LayerRaisedError, Subject
from gradcheck.touch import Watch, unchanged

Raw = dict[str, Any]


def call_once(subject: Subject, dout: Array) -> tuple[list[Finding], dict[str, Array] | None]:
    """Everything that one forward and one backward do wrong, and the gradients by name.

    The gradients are None when there is nothing to compare: an exception, a wrong shape.
    """
    subject.snapshot.restore()
    xs = [x.copy("K") if isinstance(x, np.ndarray) else x for x in subject.xs]
    watch = Watch(xs, subject.params)
    y = subject.forward_raw(xs)
    subject.note("forward", watch)
    given = np.array(dout, dtype=subject.output_dtype())
    kept = given.copy()
    try:
        raw = subject.backward_raw(given)
    except LayerRaisedError as error:
        return [_raised(error)], None
    if not unchanged(given, kept):
        subject.note_upstream()
    subject.note("backward", watch)
    try:
        found = subject.sorted_out(raw)
    except ContractError as error:
        return [Finding(error.about, error.cause, str(error))], None
    adopt_attributes(subject, found)
    findings = _keys(subject, found)
    kept_type = _one_type(subject, y)
    good: dict[str, Array] = {}
    for leaf in subject.leaves:
        g = found.get(leaf.about)
        if g is None:
            continue
        finding = _form(leaf.about, g, subject.value(leaf), kept_type)
        if finding is not None:
            findings.append(finding)
        else:
            good[leaf.about] = np.array(g, np.float64)
    if subject.kind == "layer":
        findings += _aliases(subject, found, given, xs, y)
    return findings, good


def adopt_attributes(subject: Subject, found: dict[str, Array | None]) -> None:
    """A layer without `params` whose gradients are named after its arrays: take those."""
    if subject.params or subject.kind == "loss":
        return
    known = {subject.input_name(k) for k in range(len(subject.xs))}
    names = [about[1:] for about in found if about not in known]
    names = [name for name in names if is_real(getattr(subject.layer, name, None))]
    if names:
        subject.adopt(names)


def _one_type(subject: Subject, y: Any) -> Any:
    """The float type of a layer that has the same one throughout, else None."""
    types = {subject.value(leaf).dtype for leaf in subject.leaves}
    types |= {y.dtype} if isinstance(y, np.ndarray) else set()
    return types.pop() if len(types) == 1 else None


def _raised(error: LayerRaisedError) -> Finding:
    return Finding("contract" if error.where == "backward" else "forward", "raises", str(error))


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
    inputs = {subject.input_name(k) for k in range(len(subject.xs))}
    for about, g in found.items():
        if about in known or (g is None and (about in inputs or about == "dx")):
            continue
        if about in inputs and g is not None:
            if g.dtype.kind not in "fiub" or np.any(g):
                text = f"there is a gradient of {about[1:]}, an input of whole numbers"
                findings.append(Finding(about, "gradient-extra", f"{text}; right would be None"))
        else:
            noun = about[1:] if about.startswith("d") else about
            text = f"there is a gradient of {noun}, which is no parameter"
            findings.append(Finding(about, "gradient-extra", text))
    return findings


def _form(about: str, g: Array, value: Array, kept_type: Any) -> Finding | None:
    """A wrong dtype or shape, or numbers that are none."""
    wrong_type = Finding(
        about, "dtype", f"the gradient has dtype {g.dtype}, expected {value.dtype}"
    )
    if g.dtype.kind not in "fiub":
        return wrong_type
    if g.shape != value.shape:
        finding = Finding(
            about,
            "shape",
            f"the gradient has shape {g.shape}, expected {value.shape} as {about[1:]}",
        )
        axes = _summed_to(g, value.shape)
        if axes is not None:
            finding.causes = ["not-summed", "shape"]
            finding.cause = "not-summed"
            words = "axis" if len(axes) == 1 else "axes"
            listed = ", ".join(map(str, axes))
            finding.message += f": the gradient is not summed over the broadcast {words} {listed}"
        return finding
    if g.dtype.kind != "f":
        return wrong_type
    if kept_type is not None and g.dtype.itemsize > kept_type.itemsize:
        return wrong_type
    return None


def _summed_to(g: Array, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The axes which, summed over, give this shape; None if none do, or each has one entry."""
    for count in range(1, g.ndim + 1):
        for axes in itertools.combinations(range(g.ndim), count):
            if all(g.shape[axis] == 1 for axis in axes):
                continue
            rest = tuple(n for axis, n in enumerate(g.shape) if axis not in axes)
            kept = tuple(1 if axis in axes else n for axis, n in enumerate(g.shape))
            if shape in (rest, kept):
                return axes
    return None


def _aliases(
    subject: Subject, found: dict[str, Array | None], dout: Array, xs: list[Any], y: Any
) -> list[Finding]:
    """Results that are somebody else's memory.

    A view of dout in another shape, order or part is what a layer that only moves numbers gives;
    dout as it stands is not, unless forward hands on x as a view in the same way.
    """
    views = isinstance(y, np.ndarray) and any(_share(x, y) for x in xs)
    findings: list[Finding] = []
    earlier: list[tuple[str, Array]] = []
    for about, g in found.items():
        if g is None or g.size == 0:
            continue
        whose = ""
        if g is dout or (_as_it_stands(g, dout) and not views):
            whose = "dout itself"
        for k, x in enumerate(xs):
            if is_real(x) and _share(g, x):
                whose = f"the memory of {subject.input_name(k)[1:]}"
        for name, value in subject.params.items():
            if _share(g, value):
                whose = f"the parameter {name} itself"
        for other, h in earlier:
            if _as_it_stands(g, h):
                whose = f"the same array as {other}"
        where = "contract" if whose and not whose.startswith("the parameter") else about
        if whose:
            message = f"{about} is {whose}, not an array of its own"
            findings.append(Finding(where, "aliased-result", message))
        earlier.append((about, g))
    return findings


def _as_it_stands(a: Array, b: Array) -> bool:
    """Whether two arrays are one: the same memory in the same shape and order."""
    here, there = a.__array_interface__, b.__array_interface__
    return bool(
        a.dtype.kind == "f"
        and here["data"][0] == there["data"][0]
        and a.shape == b.shape
        and a.strides == b.strides
    )


def _share(a: Any, b: Any) -> bool:
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)) or a.size == 0 or b.size == 0:
        return False
    return bool(np.may_share_memory(a, b))
