"""What the checker has to say: findings, a table, a verdict."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["right", "wrong", "inconclusive"]


@dataclass
class Finding:
    """One thing that is wrong, what it is about, and why."""

    about: str
    cause: str
    message: str
    causes: list[str] = field(default_factory=list)
    index: tuple[int, ...] | None = None
    expected: float | None = None
    got: float | None = None
    error: float | None = None
    bound: float | None = None

    def __post_init__(self) -> None:
        if not self.causes:
            self.causes = [self.cause]

    def __str__(self) -> str:
        worst = ""
        if self.expected is not None and self.got is not None:
            where = f"at [{', '.join(map(str, self.index))}] " if self.index else ""
            worst = f"\n    {where}expected {self.expected:.6g}, got {self.got:.6g}"
        return f"{self.about}: {self.message} [{self.cause}]{worst}"


@dataclass
class Row:
    """One line of the table: how far one gradient is from the truth."""

    about: str
    error: float
    bound: float
    verdict: Verdict
    entries: int = 0


@dataclass
class Report:
    """The outcome of a check; print it to read it."""

    name: str
    verdict: Verdict = "right"
    reason: str = ""
    findings: list[Finding] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    forwards: int = 0
    backwards: int = 0
    seconds: float = 0.0

    def __bool__(self) -> bool:
        return self.verdict == "right"

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.verdict}" + (f" ({self.reason})" if self.reason else "")]
        if self.rows:
            width = max(8, *(len(r.about) for r in self.rows))
            lines.append(f"  {'gradient':<{width}}  largest error       bound  verdict")
            lines.extend(
                f"  {r.about:<{width}}  {r.error:>13.2e}  {r.bound:>10.2e}  {r.verdict}"
                for r in self.rows
            )
        lines.extend(f"  {finding}" for finding in self.findings)
        lines.extend(f"  note: {note}" for note in self.notes)
        lines.append(
            f"  {self.forwards} forwards, {self.backwards} backwards, {self.seconds:.3f} s"
        )
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values; numbers that are not finite become strings."""
        plain: dict[str, Any] = _finite(asdict(self))
        return plain

    def to_json(self) -> str:
        """The report as one JSON object."""
        return json.dumps(self.as_dict())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not (float("-inf") < value < float("inf")):
        return str(value)
    return value
