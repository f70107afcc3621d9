"""Findings: from a wrong entry to a cause and a sentence."""

import numpy as np

from gradcheck.arrays import Array
from gradcheck.compare import Comparison, Outcome
from gradcheck.diagnosis import diagnose
from gradcheck.evidence import Evidence
from gradcheck.report import Finding
from gradcheck.subject import Subject
from gradcheck.words import sentence

MOST = 2_000_000  # entries beyond which no evidence is gathered


def explained(subject: Subject, dout: Array, comparison: Comparison, seed: int) -> Finding:
    """A finding about a gradient with a wrong entry, its causes ranked."""
    entry = comparison.wrong
    assert entry is not None
    about = comparison.leaf.about
    ranked = ["ties"] if comparison.ties else causes(subject, dout, about, seed)
    return Finding(
        about,
        ranked[0],
        sentence(ranked[0]),
        causes=ranked,
        index=entry.index,
        expected=entry.expected,
        got=entry.got,
        error=entry.error,
        bound=entry.bound,
    )


def causes(subject: Subject, dout: Array, about: str, seed: int) -> list[str]:
    """What the evidence fits, the best first; `unexplained` if it cannot even be gathered."""
    if subject.sizes() > MOST:
        return ["unexplained"]
    try:
        return diagnose(Evidence(subject.moved(), dout, about, seed))
    except Exception:
        return ["unexplained"]


def at_ties(subject: Subject, outcome: Outcome, where: str = "") -> Finding:
    """A finding about inputs that tie: right one by one, wrong when they move together."""
    about = next(leaf.about for leaf in subject.leaves if leaf.is_input)
    return Finding(
        about,
        "ties",
        f"{where}moving equal inputs together changes the output otherwise than the gradient says",
        expected=outcome.slope.value,
        got=outcome.said,
        error=abs(outcome.slope.value - outcome.said),
        bound=outcome.slope.bound,
    )


def not_finite(about: str, g: Array, truth: Array | None = None) -> Finding:
    """A finding about a gradient that holds NaN or inf."""
    index = tuple(int(k) for k in np.argwhere(~np.isfinite(g))[0])
    return Finding(
        about,
        "not-finite",
        f"the gradient holds {g[index]}",
        index=index,
        got=float(g[index]),
        expected=None if truth is None else float(truth[index]),
    )


def inside(name: str, finding: Finding) -> Finding:
    """A child's finding under the container's names: `dW` of fc1 is `dfc1.W`."""
    about = finding.about
    finding.message = f"in {name}, {finding.message}"
    if about in ("contract", "forward"):
        return finding
    parameter = about.startswith("d") and about not in ("dx", "dscores") and "[" not in about
    finding.about = f"d{name}.{about[1:]}" if parameter else f"{name}.{about}"
    return finding
