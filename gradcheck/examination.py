"""One check from end to end: contract, values, exact laws, other points, the child at fault."""

import numpy as np

from gradcheck.algebra import MOST_COPIED, close, exact_findings
from gradcheck.arrays import Array, is_real, peak
from gradcheck.compare import Comparison, at_a_kink, compare_leaf, joint_direction
from gradcheck.containers import children_of, flows
from gradcheck.contract import call_once
from gradcheck.elsewhere import Elsewhere
from gradcheck.explain import at_ties, explained, inside, not_finite
from gradcheck.narrow import rounding_bounds
from gradcheck.nearby import Nearby
from gradcheck.oracle import Oracle
from gradcheck.report import Finding, Report, Row, Verdict
from gradcheck.subject import ContractError, Counts, LayerRaisedError, Subject
from gradcheck.upstream import signed

HARMLESS = ("aliased-result", "gradient-extra")


class Examination:
    """The stages of one check, on one layer at one point; what is found goes into the report."""

    def __init__(self, subject: Subject, report: Report, seed: int) -> None:
        self.subject = subject
        self.report = report
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.dout: Array = np.ones(())

    def run(self) -> None:
        """From the first forward to the last probe."""
        y = self._first_forwards()
        if y is None:
            return
        subject, report = self.subject, self.report
        if subject.leaves and not subject.sizes():
            self._undecided("there is not one entry to check")
            return
        findings, got = call_once(subject, self.dout)
        report.findings += findings
        if silent := subject.not_checked():
            names = ", ".join(silent)
            report.notes.append(f"not checked, as there is no gradient of it: {names}")
        if got is None:
            report.findings[:0] = blame_children(subject, self.dout, self.seed)
            return
        report.findings += children_writing(subject, self.dout)
        if not subject.leaves:
            self._undecided("nothing here has a gradient")
            return
        if subject.counts.written.keys() & {"input-mutated", "parameters-mutated"}:
            return  # nothing that is computed afterwards means anything
        wide = self._widened(y) if subject.narrow() else subject
        if wide is None:
            return
        base = self._base(wide, got)
        if base is None:
            return
        if wide is not subject:
            self._narrow(got, wide, base)
        self._values(wide, base)
        self._laws(wide, base)
        serious = any(finding.cause not in HARMLESS for finding in report.findings)
        if not serious and wide.sizes() <= MOST_COPIED:
            elsewhere = Elsewhere(wide, report, base, self.rng, self.seed, blame_children)
            elsewhere.run()
            if report.verdict == "right" and not report.findings:
                elsewhere.in_the_other_mode()
                elsewhere.far_out()

    def _undecided(self, reason: str) -> None:
        if self.report.verdict == "right":
            self.report.verdict, self.report.reason = "inconclusive", reason

    # ---- may it be checked at all ------------------------------------------------------

    def _first_forwards(self) -> Array | None:
        subject, report = self.subject, self.report
        try:
            y = subject.forward()
            subject.snapshot.settle()
            again = subject.forward()
        except LayerRaisedError as error:
            report.findings.append(Finding("forward", "raises", str(error)))
            return None
        except ContractError as error:
            report.findings.append(Finding(error.about, error.cause, str(error)))
            return None
        if subject.kind == "loss" and y.size != 1:
            message = f"forward returns shape {y.shape}, expected one number"
            report.findings.append(Finding("forward", "shape", message))
            return None
        self.dout = np.ones(y.shape) if subject.kind == "loss" else signed(y.shape, self.rng)
        if not np.all(np.isfinite(y)):
            self._undecided("forward gives NaN or inf at this point")
            return None
        if y.shape == again.shape and close(y, again):
            return y
        self._undecided("two forwards at one point differ: its randomness is not in layer.rng")
        try:
            findings, _ = call_once(subject, self.dout)
        except LayerRaisedError:
            return None
        report.findings += findings
        return None

    def _base(self, wide: Subject, got: dict[str, Array]) -> dict[str, Array] | None:
        """The gradients in float64 that have the right shape."""
        if wide is self.subject:
            return got
        try:
            found = wide.gradients(self.dout)
        except Exception as error:
            self._undecided(f"the checker's own probing failed: {error}")
            return None
        return {
            about: g for about, g in found.items() if about in got and g.shape == got[about].shape
        }

    # ---- float32 -------------------------------------------------------------------------

    def _widened(self, y: Array) -> Subject | None:
        try:
            wide = self.subject.widened()
            there = wide.forward()
            wide.snapshot.settle()
        except Exception as error:
            self._undecided(f"no float64 copy of the layer could be made ({error})")
            return None
        if there.shape != y.shape or not np.allclose(there, y, rtol=1e-2, atol=1e-2 * peak(y)):
            self._undecided("a float64 copy of the layer does not give the same output")
            return None
        return wide

    def _narrow(self, got: dict[str, Array], wide: Subject, truth: dict[str, Array]) -> None:
        """The narrow backward beside the wide one."""
        held = [p.dtype for p in self.subject.params.values() if is_real(p)]
        held += [x.dtype for x in self.subject.xs if is_real(x)]
        eps = max(float(np.finfo(dtype).eps) for dtype in held)
        bounds = rounding_bounds(wide, self.dout, truth, eps)
        for about, g in truth.items():
            gap = np.abs(got[about] - g)
            if not np.all(np.isfinite(got[about])) and np.all(np.isfinite(g)):
                self.report.findings.append(not_finite(about, got[about], g))
            elif np.any(gap > bounds[about]):
                at = np.unravel_index(int(np.argmax(gap - bounds[about])), gap.shape)
                message = f"in {held[0]} it is further from its float64 value than rounding goes"
                finding = Finding(about, "precision-lost", message)
                finding.index = tuple(int(k) for k in at)
                finding.expected, finding.got = float(g[at]), float(got[about][at])
                finding.error, finding.bound = float(gap[at]), float(bounds[about][at])
                self.report.findings.append(finding)

    # ---- values and laws -------------------------------------------------------------------

    def _values(self, wide: Subject, base: dict[str, Array]) -> None:
        """Every gradient beside the oracle at the given point."""
        oracle = Oracle(wide, self.dout, self.seed)
        undecided: list[str] = []
        wrong: list[Comparison] = []
        kinked: list[str] = []
        told = {f.about for f in self.report.findings if f.cause not in HARMLESS}
        for leaf in wide.leaves:
            if leaf.about not in base:
                continue
            g = base[leaf.about]
            if not np.all(np.isfinite(g)):
                if leaf.about not in told:
                    self.report.findings.append(not_finite(leaf.about, g))
                continue
            comparison = compare_leaf(oracle, leaf, g)
            verdict: Verdict = "wrong" if comparison.wrong else "right"
            if not comparison.wrong and comparison.unknown >= min(comparison.looked, 3) > 0:
                verdict = "inconclusive"
                undecided.append(leaf.about)
            row = Row(leaf.about, comparison.error, comparison.largest_bound, verdict, g.size)
            self.report.rows.append(row)
            if comparison.wrong and leaf.about not in told:
                wrong.append(comparison)
            if at_a_kink(comparison) and leaf.is_input:
                kinked.append(leaf.about)
        if wrong:
            nearby = Nearby(oracle, self.seed)
            for comparison in [comparison for comparison in wrong if nearby.excuses(comparison)]:
                wrong.remove(comparison)
                self._row(comparison.leaf.about).verdict = "right"
        blamed = blame_children(wide, self.dout, self.seed) if wrong else []
        self.report.findings += blamed
        if wrong and not blamed:
            if children_of(wide.layer):  # each of them right: at a kink so is the whole
                for comparison in [comparison for comparison in wrong if at_a_kink(comparison)]:
                    wrong.remove(comparison)
                    self._row(comparison.leaf.about).verdict = "right"
            for comparison in wrong:
                self.report.findings.append(explained(wide, self.dout, comparison, self.seed))
        elif not wrong and len(kinked) > 1:
            self._ties_across(oracle, {about: base[about] for about in kinked})
        elif undecided:
            self._undecided(
                f"the slope of {', '.join(undecided)} could not be measured well enough"
            )

    def _ties_across(self, oracle: Oracle, got: dict[str, Array]) -> None:
        """Entries of one value in several inputs, moved together."""
        outcome = joint_direction(oracle, got, ties=True)
        if outcome is None or outcome.fits or outcome.slope.half > 0:
            return
        if Nearby(oracle, self.seed).sums_agree(outcome.move):
            self.report.findings.append(at_ties(oracle.subject, outcome))

    def _row(self, about: str) -> Row:
        return next(row for row in self.report.rows if row.about == about)

    def _laws(self, wide: Subject, base: dict[str, Array]) -> None:
        """The exact laws; what a law tells about a gradient takes the place of its values."""
        found = list(exact_findings(wide, self.dout, base))
        told = {f.about for f in found if f.cause not in HARMLESS}
        self.report.findings = [
            f for f in self.report.findings if f.about not in told or f.bound is None
        ] + found


def blame_children(subject: Subject, dout: Array, seed: int) -> list[Finding]:
    """What is wrong with the children of a container, each checked on what flowed into it."""
    findings: list[Finding] = []
    children = children_of(subject.layer)
    for name, flow in flows(subject, dout).items() if children else ():
        report = Report(name)
        counts = Counts()
        try:
            child = Subject(children[name], flow.xs or (), "layer", counts)
            Examination(child, report, seed).run()
        except Exception:
            continue
        subject.counts.add(counts)
        told = [Finding("contract", c, message) for c, message in counts.written.items()]
        for finding in [*told, *report.findings]:
            if finding.cause not in HARMLESS:
                findings.append(inside(name, finding))
    subject.snapshot.restore_all()
    return findings


def children_writing(subject: Subject, dout: Array) -> list[Finding]:
    """The children of a container that write into what they are given."""
    findings: list[Finding] = []
    for name, flow in flows(subject, dout).items() if children_of(subject.layer) else ():
        for method in dict.fromkeys(flow.written):
            cause = "input-mutated" if method == "forward" else "upstream-mutated"
            message = f"{method} writes into what it is given, which is not its own"
            findings.append(inside(name, Finding("contract", cause, message)))
    return findings
