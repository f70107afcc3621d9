"""The layer at other points: one cheap probe along a direction through everything at each."""

from collections.abc import Callable

import numpy as np

from gradcheck.algebra import floats
from gradcheck.arrays import Array, peak
from gradcheck.compare import Outcome, compare_leaf, joint_direction
from gradcheck.explain import at_ties, explained, not_finite
from gradcheck.nearby import Nearby
from gradcheck.oracle import Oracle
from gradcheck.points import Point, batch_size, follows, other_points
from gradcheck.report import Finding, Report
from gradcheck.subject import ContractError, LayerRaisedError, Leaf, Subject, UnusableError
from gradcheck.upstream import signed
from gradcheck.words import sentence

REFUSED = (LayerRaisedError, ContractError, UnusableError, ValueError, IndexError)
SMALL = 400  # entries up to which probes are counted
WILD = 1e8  # a gradient so many times larger than at the given point tells nothing
PER_ENTRY, BESIDES = 12, 25
CONSTANTS = ("constant-scale", "dimension-scale", "factor-of-two", "sign-flipped")
LEAST = 30  # forwards spent here whatever the rest has cost


class Elsewhere:
    """Probes of one layer away from the given point; the first one that fails is reported."""

    def __init__(
        self,
        subject: Subject,
        report: Report,
        base: dict[str, Array],
        rng: np.random.Generator,
        seed: int,
        blame: Callable[[Subject, Array, int], list[Finding]],
    ) -> None:
        self.subject = subject
        self.report = report
        self.rng = rng
        self.seed = seed
        self.blame = blame
        self.sizes = {about: peak(g) for about, g in base.items() if peak(g) > 0}

    def run(self) -> None:
        """Every other point that the layer accepts, while the forwards allowed last."""
        subject = self.subject
        allowed = PER_ENTRY * min(subject.sizes(), SMALL) + BESIDES
        allowed = max(allowed, subject.counts.forwards + LEAST)
        for point in other_points(subject, self.seed):
            if subject.counts.forwards + 7 > allowed:
                return
            try:
                wrong = self._probe(point)
            except REFUSED:
                continue
            if wrong:
                return

    def in_the_other_mode(self) -> None:
        """The same point with `training` the other way round: worth a note, no more."""
        twin = self.subject.moved()
        mode = getattr(twin.layer, "training", None)
        if not isinstance(mode, bool):
            return
        try:
            twin.layer.training = not mode
            there = Subject(twin.layer, twin.xs, twin.kind, twin.counts)
            y = there.forward()
            dout = np.ones(y.shape) if there.kind == "loss" else signed(y.shape, self.rng)
            got = floats(there.backward(dout))
            outcome = joint_direction(Oracle(there, dout, self.seed, y), got)
        except (*REFUSED, AttributeError):
            return
        if outcome is not None and not outcome.fits:
            text = f"with training = {not mode} the gradient is another than that of the forward"
            self.report.notes.append(text)

    def far_out(self) -> None:
        """Inputs a thousand times larger, where an exp overflows: worth a note as well."""
        for factor in (1e3, -1e3):
            xs = list(self.subject.xs)
            for leaf in self.subject.leaves:
                if leaf.is_input:
                    xs[leaf.key] = np.asarray(xs[leaf.key] * factor, xs[leaf.key].dtype)
            try:
                there = self.subject.moved(xs)
                y = there.forward()
                found = floats(there.backward(np.ones(y.shape)))
            except REFUSED:
                continue
            bad = [about for about, g in found.items() if not np.all(np.isfinite(g))]
            if bad and np.all(np.isfinite(y)):
                text = f"with inputs {factor:g} times as large, {', '.join(bad)} holds NaN or inf"
                self.report.notes.append(f"{text} where forward is finite")
                return

    def _probe(self, point: Point) -> bool:
        subject = self.subject.moved(point.xs, point.params)
        y = subject.forward()
        if not np.all(np.isfinite(y)) or not self._comparable(point, y):
            return False
        dout = np.ones(y.shape) if subject.kind == "loss" else signed(y.shape, self.rng)
        try:
            found = subject.backward(dout)
        except LayerRaisedError as error:
            if point.special or (point.rows is not None and not y.ndim and subject.kind == "layer"):
                return False  # that axis need not be a batch
            return self._tell(Finding("contract", "raises", f"{point.what}, {error}"))
        except ContractError as error:
            return self._tell(Finding(error.about, error.cause, f"{point.what}, {error}"))
        got = floats(found)
        for leaf in subject.leaves:
            g = got.get(leaf.about)
            if g is None:
                continue
            if g.shape != subject.value(leaf).shape:
                message = (
                    f"{point.what}, the gradient has shape {g.shape}, "
                    f"expected {subject.value(leaf).shape}"
                )
                return self._tell(Finding(leaf.about, "shape", message))
            if not np.all(np.isfinite(g)):
                return self._not_finite(subject, dout, leaf, g, point)
        if any(
            peak(got[about]) > WILD * size for about, size in self.sizes.items() if about in got
        ):
            return False  # so steep that rounding decides
        oracle = Oracle(subject, dout, self.seed, y)
        outcome = joint_direction(oracle, got, point.ties)
        if outcome is None or outcome.fits:
            return False
        return self._locate(oracle, got, point, outcome)

    def _tell(self, finding: Finding) -> bool:
        self.report.findings.append(finding)
        return True

    def _comparable(self, point: Point, y: Array) -> bool:
        """Whether the layer took the point as meant, and did not silently broadcast it."""
        n = batch_size(self.subject)
        if point.rows is None or n is None:
            return True
        if self.subject.snapshot.mentions(n):
            return False
        return follows(self.subject.forward(), y, n, point.rows)

    def _not_finite(
        self, subject: Subject, dout: Array, leaf: Leaf, g: Array, point: Point
    ) -> bool:
        """NaN or inf at another point is wrong only where the true slope is finite."""
        if point.special:
            return False
        oracle = Oracle(subject, dout, self.seed)
        index = int(np.flatnonzero(~np.isfinite(g.ravel()))[0])
        slope = oracle.closely(leaf, index, 0.0, 0.0, 1.0)
        if slope.jump or not np.isfinite(slope.value) or slope.half > 0:
            return False
        if slope.bound > 1e-3 * max(abs(slope.value), 1.0):
            return False
        finding = not_finite(leaf.about, g)
        finding.expected = slope.value
        finding.message = f"{point.what}, {finding.message}"
        return self._tell(finding)

    def _told_apart(self, finding: Finding, point: Point) -> Finding:
        """A factor that is right at the given point is a constant nowhere.

        With inputs of other shapes it follows a dimension; with other numbers alone it is not
        known what it follows.
        """
        if finding.causes[0] in CONSTANTS:
            shapes = [np.shape(x) for x in point.xs]
            same = shapes == [np.shape(x) for x in self.subject.xs]
            rest = [cause for cause in finding.causes if cause not in CONSTANTS]
            finding.causes = [*rest, "unexplained"] if same else ["dimension-scale", *rest]
            finding.cause = finding.causes[0]
            finding.message = sentence(finding.cause)
        finding.message = f"{point.what}, {finding.message}"
        return finding

    def _locate(
        self, oracle: Oracle, got: dict[str, Array], point: Point, outcome: Outcome
    ) -> bool:
        """Which gradient is wrong at that point, entry by entry; or none alone, but ties."""
        subject, dout = oracle.subject, oracle.dout
        leaves = [leaf for leaf in subject.leaves if leaf.about in got]
        compared = [compare_leaf(oracle, leaf, got[leaf.about]) for leaf in leaves]
        nearby = Nearby(oracle, self.seed)
        wrong = [c for c in compared if c.wrong and not nearby.excuses(c)]
        if not wrong and not (point.ties and nearby.sums_agree(outcome.move)):
            return False
        findings = self.blame(subject, dout, self.seed)
        for finding in findings:
            finding.message = f"{point.what}, {finding.message}"
        if not findings:
            findings = [
                self._told_apart(explained(subject, dout, c, self.seed), point) for c in wrong
            ] or [at_ties(subject, outcome, f"{point.what}, ")]
        self.report.findings += findings
        return True
