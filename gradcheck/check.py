"""What a user calls: a layer, a loss or a function in, a report out."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gradcheck.examination import Examination
from gradcheck.report import Finding, Report
from gradcheck.subject import Counts, FunctionLayer, Kind, Subject, UnusableError, build


def check_layer(layer_or_factory: Any, *xs: Any, seed: int = 0) -> Report:
    """Prove a layer's backward right at `xs`, or say what is wrong with it.

    `layer_or_factory` is any object with forward(*xs) and backward(dout) -> (dx, grads), or a
    class or function that makes one. It is copied, and left as it was.
    Raises TypeError for an object without forward and backward.
    """
    return _check(build(layer_or_factory), xs, "layer", seed)


def check_loss(loss: Any, scores: Any, *targets: Any, seed: int = 0) -> Report:
    """The same for a loss: forward(scores, y) -> float, backward() -> dscores."""
    return _check(build(loss), (scores, *targets), "loss", seed)


def check_function(
    f: Callable[..., Any], df: Callable[..., Any], *xs: Any, seed: int = 0
) -> Report:
    """The same for a function f(x) and its derivative df(x), or df(x, dout)."""
    whole = [np.asarray(x).dtype.kind in "iub" for x in xs]
    if all(whole):  # a slope at 3 is one at 3.0
        xs = tuple(np.asarray(x, np.float64) for x in xs)
    report = _check(FunctionLayer(f, df, len(xs)), xs, "layer", seed)
    report.name = getattr(f, "__name__", "function")
    return report


def assert_right(layer_or_factory: Any, *xs: Any, seed: int = 0) -> None:
    """Raise AssertionError, with the printed report, unless the layer is proved right."""
    report = check_layer(layer_or_factory, *xs, seed=seed)
    if report.verdict != "right":
        raise AssertionError(f"\n{report}")


def _check(layer: Any, xs: tuple[Any, ...], kind: Kind, seed: int) -> Report:
    start = time.perf_counter()
    report = Report(type(layer).__name__)
    counts = Counts()
    with _undisturbed():
        try:
            subject = Subject(layer, [_as_input(x) for x in xs], kind, counts)
            Examination(subject, report, seed).run()
        except UnusableError as error:
            report.verdict, report.reason = "inconclusive", str(error)
        except Exception as error:
            report.verdict = "inconclusive"
            report.reason = f"the checker's own probing failed: {type(error).__name__}: {error}"
    for cause, message in counts.written.items():
        report.findings.append(Finding("contract", cause, message))
    if report.findings:
        report.verdict, report.reason = "wrong", ""
        report.findings = in_order(report.findings)
    report.forwards, report.backwards = counts.forwards, counts.backwards
    report.seconds = time.perf_counter() - start
    return report


def _as_input(x: Any) -> Any:
    """Lists and floats become arrays; anything else is passed on as it is."""
    return np.asarray(x) if isinstance(x, float | list | tuple) else x


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Warnings at the checker's own points are nobody's concern, nor is its global randomness."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


FIRST = (
    "raises",
    "parameters-mutated",
    "input-mutated",
    "upstream-mutated",
    "gradient-missing",
    "dtype",
    "not-summed",
    "shape",
    "not-finite",
    "randomness-redrawn",
    "accumulates",
)
# A gradient that is a multiple of the right one is its own mistake, not another's consequence.
EXACT = (
    "batch-mean-missing",
    "batch-mean-doubled",
    "factor-of-two",
    "sign-flipped",
    "keep-probability",
)
LAST = ("unexplained", "gradient-extra", "aliased-result")


def in_order(findings: list[Finding]) -> list[Finding]:
    """What to mend first comes first; one finding for each gradient and cause."""
    kept: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        kept.setdefault((finding.about, finding.cause), finding)
    rank = {cause: i - len(FIRST) - 1 for i, cause in enumerate(FIRST)}
    rank |= dict.fromkeys(EXACT, -1) | {cause: i + 1 for i, cause in enumerate(LAST)}
    return sorted(kept.values(), key=lambda finding: rank.get(finding.cause, 0))
