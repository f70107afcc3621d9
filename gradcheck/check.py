"""One check from end to end: contract, exact algebra, values, other points, verdict."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gradcheck.algebra import exact_findings
from gradcheck.arrays import Array, is_real, peak
from gradcheck.compare import Comparison, compare_leaf, joint_direction
from gradcheck.containers import children_of, flows
from gradcheck.contract import call_once
from gradcheck.diagnosis import diagnose
from gradcheck.evidence import Evidence
from gradcheck.narrow import rounding_bounds
from gradcheck.oracle import Oracle
from gradcheck.points import Point, other_points
from gradcheck.report import Finding, Report, Row
from gradcheck.subject import (
    ContractError,
    Counts,
    FunctionLayer,
    Kind,
    LayerRaisedError,
    Subject,
    UnusableError,
    build,
)
from gradcheck.upstream import signed

ALGEBRA_ENTRIES = 2_000_000  # beyond, the exact laws are tried on fewer vectors


def check_layer(layer_or_factory: Any, *xs: Any, seed: int = 0) -> Report:
    """Prove a layer's backward right at `xs`, or say what is wrong with it.

    `layer_or_factory` is any object with forward(*xs) and backward(dout) -> (dx, grads), or a
    class or function that makes one. It is copied, and left as it was.
    Raises TypeError for an object without forward and backward.
    """
    layer = build(layer_or_factory)
    return _check(layer, tuple(_as_input(x) for x in xs), "layer", seed)


def check_loss(loss: Any, scores: Any, *targets: Any, seed: int = 0) -> Report:
    """The same for a loss: forward(scores, y) -> float, backward() -> dscores."""
    return _check(build(loss), tuple(_as_input(x) for x in (scores, *targets)), "loss", seed)


def check_function(
    f: Callable[..., Any], df: Callable[..., Any], *xs: Any, seed: int = 0
) -> Report:
    """The same for a function f(x) and its derivative df(x), or df(x, dout)."""
    inputs = tuple(_as_input(x) for x in xs)
    report = _check(FunctionLayer(f, df, len(inputs)), inputs, "layer", seed)
    report.name = getattr(df, "__name__", "function")
    return report


def assert_right(layer_or_factory: Any, *xs: Any, seed: int = 0) -> None:
    """Raise AssertionError, with the printed report, unless the layer is proved right."""
    report = check_layer(layer_or_factory, *xs, seed=seed)
    if report.verdict != "right":
        raise AssertionError(f"\n{report}")


def _as_input(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        return x
    if isinstance(x, float):
        return np.array(x)
    if isinstance(x, list | tuple):
        return np.asarray(x)
    return x


def _check(layer: Any, xs: tuple[Any, ...], kind: Kind, seed: int) -> Report:
    start = time.perf_counter()
    report = Report(type(layer).__name__)
    counts = Counts()
    try:
        with _quiet():
            Check(layer, xs, kind, seed, counts, report).run()
    except UnusableError as error:
        report.verdict, report.reason = "inconclusive", str(error)
    except RecursionError:
        report.verdict, report.reason = "inconclusive", "the layer refers to itself too deeply"
    if report.findings:
        report.verdict = "wrong"
        report.findings = _first_first(report.findings)
    report.forwards, report.backwards = counts.forwards, counts.backwards
    report.seconds = time.perf_counter() - start
    return report


@contextmanager
def _quiet() -> Iterator[None]:
    """The layer's warnings at the checker's own points are nobody's concern."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


ORDER = (
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


def _first_first(findings: list[Finding]) -> list[Finding]:
    """The finding to mend first comes first; one finding for each gradient and cause."""
    kept: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        kept.setdefault((finding.about, finding.cause), finding)
    rank = {cause: i for i, cause in enumerate(ORDER)}
    last = {"aliased-result": 99, "gradient-extra": 98}
    return sorted(kept.values(), key=lambda f: rank.get(f.cause, last.get(f.cause, 50)))


class Check:
    """The stages of one check, on one layer at one point."""

    def __init__(
        self, layer: Any, xs: tuple[Any, ...], kind: Kind, seed: int, counts: Counts, report: Report
    ) -> None:
        self.seed = seed
        self.report = report
        self.subject = Subject(layer, xs, kind, counts)
        self.rng = np.random.default_rng(seed)

    def run(self) -> None:
        subject, report = self.subject, self.report
        try:
            y = subject.forward()
            again = subject.forward()
        except LayerRaisedError as error:
            report.findings.append(Finding("forward", "raises", str(error)))
            return
        except ContractError as error:
            report.findings.append(Finding(error.about, error.cause, str(error)))
            return
        if not np.array_equal(y, again, equal_nan=True):
            report.verdict = "inconclusive"
            report.reason = "two forwards at one point differ: the layer is random and has no rng"
            return
        if not np.all(np.isfinite(y)):
            report.verdict = "inconclusive"
            report.reason = "forward gives NaN or inf at this point"
            return
        self.dout = np.ones(()) if subject.kind == "loss" else signed(y.shape, self.rng)
        findings, got = call_once(subject, self.dout)
        report.findings += findings
        if got is None or any(f.cause in ("raises",) for f in findings):
            return
        if not subject.leaves:
            if not findings:
                report.verdict, report.reason = "inconclusive", "nothing here has a gradient"
            return
        wide = subject
        if subject.narrow():
            twin = self._widened(y)
            if twin is None:
                return
            wide = twin
            self._narrow(wide, got)
        self._values(wide)
        if any(
            f.cause == "input-mutated" or f.cause == "parameters-mutated" for f in report.findings
        ):
            return
        base = self._base(wide)
        if base is not None:
            self._laws(wide, base)
        if not self._serious():
            self._elsewhere(wide)

    def _serious(self) -> bool:
        return any(
            f.cause not in ("aliased-result", "gradient-extra") for f in self.report.findings
        )

    def _base(self, wide: Subject) -> dict[str, Array] | None:
        try:
            found = wide.gradients(self.dout)
        except Exception:
            return None
        known = {leaf.about: wide.value(leaf).shape for leaf in wide.leaves}
        return {a: g for a, g in found.items() if a in known and g.shape == known[a]}

    def _laws(self, wide: Subject, base: dict[str, Array]) -> None:
        """The exact laws; a law's finding takes the place of one about the same gradient's values."""
        right = not any(f.expected is not None for f in self.report.findings)
        found = list(exact_findings(wide, self.dout, base, right))
        told = {f.about for f in found}
        self.report.findings = [
            f
            for f in self.report.findings
            if not (f.about in told and f.expected is not None and f.about != "contract")
        ] + found

    # -- float32 -----------------------------------------------------------------------

    def _widened(self, y: Array) -> Subject | None:
        try:
            wide = self.subject.widened()
            there = wide.forward()
        except Exception as error:
            self.report.verdict = "inconclusive"
            self.report.reason = f"no float64 copy of the layer could be made ({error})"
            return None
        if there.shape != y.shape or not np.allclose(there, y, rtol=1e-2, atol=1e-2 * peak(y)):
            self.report.verdict = "inconclusive"
            self.report.reason = "a float64 copy of the layer does not give the same output"
            return None
        return wide

    def _narrow(self, wide: Subject, got: dict[str, Array]) -> None:
        """The narrow backward beside the wide one."""
        try:
            truth = wide.gradients(self.dout)
        except Exception:
            return
        held = [p.dtype for p in self.subject.params.values() if is_real(p)]
        held += [x.dtype for x in self.subject.xs if is_real(x)]
        eps = max(float(np.finfo(dtype).eps) for dtype in held)
        truth = {a: g for a, g in truth.items() if a in got and got[a].shape == g.shape}
        bounds = rounding_bounds(wide, self.dout, truth, eps)
        for about, g in truth.items():
            gap = np.abs(got[about] - g)
            if not np.all(np.isfinite(got[about])) and np.all(np.isfinite(g)):
                self.report.findings.append(_not_finite(about, got[about], g))
            elif np.any(gap > bounds[about]):
                i = np.unravel_index(int(np.argmax(gap - bounds[about])), gap.shape)
                self.report.findings.append(
                    Finding(
                        about,
                        "precision-lost",
                        f"in {held[0]} it is further from its float64 value than rounding explains",
                        index=tuple(int(k) for k in i),
                        expected=float(g[i]),
                        got=float(got[about][i]),
                        error=float(gap[i]),
                        bound=float(bounds[about][i]),
                    )
                )

    # -- values ------------------------------------------------------------------------

    def _values(self, wide: Subject) -> None:
        """Every gradient beside the oracle at the given point."""
        report = self.report
        try:
            got = wide.gradients(self.dout)
        except Exception as error:
            report.verdict, report.reason = (
                "inconclusive",
                f"the checker's own probing failed: {error}",
            )
            return
        oracle = Oracle(wide, self.dout, self.seed)
        oracle.measure_noise()
        undecided: list[str] = []
        wrong: list[Comparison] = []
        told = {f.about for f in report.findings if f.cause != "aliased-result"}
        for leaf in wide.leaves:
            g = got.get(leaf.about)
            if g is None or g.shape != wide.value(leaf).shape:
                continue
            if not np.all(np.isfinite(g)):
                if leaf.about not in told:
                    report.findings.append(_not_finite(leaf.about, g, None))
                continue
            comparison = compare_leaf(oracle, leaf, g)
            verdict = "wrong" if comparison.wrong else "right"
            if not comparison.wrong and comparison.unknown:
                every = comparison.unknown >= min(comparison.looked, 3)
                if every:
                    verdict = "inconclusive"
                    undecided.append(leaf.about)
            report.rows.append(
                Row(leaf.about, comparison.error, comparison.largest_bound, verdict, g.size)  # type: ignore[arg-type]
            )
            if comparison.wrong:
                wrong.append(comparison)
        if wrong:
            self._explain(wide, wrong)
        elif undecided:
            report.verdict = "inconclusive"
            report.reason = f"the slope of {', '.join(undecided)} could not be measured well enough"

    def _explain(self, wide: Subject, wrong: list[Comparison]) -> None:
        """A finding for each wrong gradient: of the container, or of the child at fault."""
        if self._child_at_fault(wide):
            return
        for comparison in wrong:
            self.report.findings.append(self._finding(wide, self.dout, comparison))

    def _finding(
        self, wide: Subject, dout: Array, comparison: Comparison, where: str = ""
    ) -> Finding:
        entry = comparison.wrong
        assert entry is not None
        about = comparison.leaf.about
        if comparison.ties:
            causes = ["ties"]
        else:
            causes = _causes(wide, dout, about, self.seed)
        return Finding(
            about,
            causes[0],
            _sentence(causes, where),
            causes=causes,
            index=entry.index,
            expected=entry.expected,
            got=entry.got,
            error=entry.error,
            bound=entry.bound,
        )

    # -- containers --------------------------------------------------------------------

    def _child_at_fault(self, wide: Subject) -> bool:
        """Check each child on what flowed into it; True if that explains the fault."""
        children = children_of(wide.layer)
        if not children:
            return False
        found = False
        for name, (xs, _) in flows(wide, self.dout).items():
            report = Report(name)
            inner = Check(children[name], xs, "layer", self.seed, wide.counts, report)
            inner.run()
            for finding in report.findings:
                if finding.cause == "aliased-result":
                    continue
                found = True
                self.report.findings.append(_inside(name, finding))
        wide.snapshot.restore_all()
        return found

    # -- other points ------------------------------------------------------------------

    def _elsewhere(self, wide: Subject) -> None:
        """A directional probe at each other point that the layer accepts."""
        size = wide.sizes()
        if size > ALGEBRA_ENTRIES:
            return
        budget = max(4 * size + 12, 30)
        used = wide.counts.forwards
        for point in other_points(wide, self.seed):
            if wide.counts.forwards - used > budget:
                break
            try:
                bad = self._probe(wide, point)
            except (LayerRaisedError, ContractError, UnusableError, ValueError, IndexError):
                continue
            if bad:
                return
        self._evaluation(wide)

    def _evaluation(self, wide: Subject) -> None:
        """The same layer with `training` false."""
        if not isinstance(getattr(wide.layer, "training", None), bool):
            return
        other = wide.moved()
        try:
            other.layer.training = not other.layer.training
            other = Subject(other.layer, other.xs, other.kind, other.counts)
            findings, _ = call_once(other, self.dout)
            for finding in findings:
                finding.message += " (with training = " + str(other.layer.training) + ")"
            told = {(f.about, f.cause) for f in self.report.findings}
            self.report.findings += [f for f in findings if (f.about, f.cause) not in told]
            point = Point(f"with training = {other.layer.training}", other.xs)
            self._probe(other, point)
        except (LayerRaisedError, ContractError, UnusableError, ValueError, AttributeError):
            return

    def _probe(self, wide: Subject, point: Point) -> bool:
        subject = wide.moved(point.xs, point.params)
        y = subject.forward()
        if not np.all(np.isfinite(y)):
            return False
        dout = np.ones(()) if subject.kind == "loss" else signed(y.shape, self.rng)
        try:
            subject.forward()
            found = subject.backward(dout)
        except LayerRaisedError as error:
            if error.where == "backward":
                self.report.findings.append(Finding("contract", "raises", f"{point.what}, {error}"))
                return True
            return False
        except ContractError as error:
            self.report.findings.append(Finding(error.about, error.cause, f"{point.what}, {error}"))
            return True
        got = {}
        for leaf in subject.leaves:
            g = found.get(leaf.about)
            if g is None or g.dtype.kind not in "fiu":
                continue
            if g.shape != subject.value(leaf).shape:
                self.report.findings.append(
                    Finding(
                        leaf.about,
                        "shape",
                        f"{point.what}, the gradient has shape {g.shape}, "
                        f"expected {subject.value(leaf).shape}",
                    )
                )
                return True
            if not np.all(np.isfinite(g)):
                return self._not_finite_there(subject, dout, leaf, np.array(g, float), point)
            got[leaf.about] = np.array(g, np.float64)
        outcome = joint_direction(subject, dout, got, self.seed, point.ones)
        if outcome is None or outcome[0]:
            return False
        return self._wrong_there(subject, dout, got, point, outcome)

    def _not_finite_there(
        self, subject: Subject, dout: Array, leaf: Any, g: Array, point: Point
    ) -> bool:
        """NaN or inf at another point is wrong only where the true slope is finite."""
        oracle = Oracle(subject, dout, self.seed)
        index = int(np.flatnonzero(~np.isfinite(g.ravel()))[0])
        slope = oracle.closely(leaf, index, 0.0, 0.0, 1.0)
        if slope.jump or not np.isfinite(slope.value) or slope.half > 0:
            return False
        if slope.bound > 1e-3 * max(abs(slope.value), 1.0):
            return False
        finding = _not_finite(leaf.about, g, None)
        finding.expected = slope.value
        finding.message = f"{point.what}, {finding.message}"
        self.report.findings.append(finding)
        return True

    def _wrong_there(
        self,
        subject: Subject,
        dout: Array,
        got: dict[str, Array],
        point: Point,
        outcome: tuple[bool, float, float, float],
    ) -> bool:
        """Which gradient is wrong at that point, entry by entry."""
        if point.ones:
            about = next(leaf.about for leaf in subject.leaves if leaf.is_input)
            self.report.findings.append(
                Finding(
                    about,
                    "ties",
                    f"{point.what}, moving them together changes the output otherwise than it says",
                    causes=["ties", *_causes(subject, dout, about, self.seed)],
                    expected=outcome[1],
                    got=outcome[2],
                    error=abs(outcome[1] - outcome[2]),
                    bound=outcome[3],
                )
            )
            return True
        oracle = Oracle(subject, dout, self.seed)
        oracle.measure_noise()
        wrong = []
        for leaf in subject.leaves:
            if leaf.about in got:
                comparison = compare_leaf(oracle, leaf, got[leaf.about])
                if comparison.wrong:
                    wrong.append(comparison)
        for comparison in wrong:
            self.report.findings.append(
                self._finding(subject, dout, comparison, where=f"{point.what}, ")
            )
        return bool(wrong)


def _causes(subject: Subject, dout: Array, about: str, seed: int) -> list[str]:
    try:
        return diagnose(Evidence(subject.moved(), dout, about, seed))
    except Exception:
        return ["unexplained"]


def _sentence(causes: list[str], where: str) -> str:
    from gradcheck.words import sentence

    return where + sentence(causes[0])


def _not_finite(about: str, g: Array, truth: Array | None) -> Finding:
    index = tuple(int(k) for k in np.argwhere(~np.isfinite(g))[0])
    return Finding(
        about,
        "not-finite",
        f"the gradient holds {g[index]}",
        index=index,
        got=float(g[index]),
        expected=None if truth is None else float(truth[index]),
    )


def _inside(name: str, finding: Finding) -> Finding:
    """A child's finding under the container's names: `dW` of fc1 is `dfc1.W`."""
    about = finding.about
    if about.startswith("d") and about not in ("dx", "dscores") and "[" not in about:
        finding.about = f"d{name}.{about[1:]}"
    elif about in ("forward", "contract"):
        finding.about = f"{name}.{about}"
    else:
        finding.about = f"{name}.{about}"
    finding.message = f"in {name}, {finding.message}"
    return finding
