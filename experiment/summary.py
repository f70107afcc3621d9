"""The plain-text summary of a run."""

from __future__ import annotations

from typing import Any

from experiment.build import Parts
from experiment.errors import inert


def summarize(parts: Parts, solver: Any, test: tuple[float, float] | None, seconds: float) -> str:
    """What a person wants to know of a run."""
    name, sets, last = parts.objective.loss.score_name, parts.sets, solver.history[-1]
    lines = [
        f"data        {inert(sets.train.name)}: {len(sets.train)} training, "
        f"{len(sets.validation)} validation, {len(sets.test)} test samples",
        f"network     {' → '.join(type(layer).__name__ for _, layer in parts.net.leaves())}, "
        f"{parts.objective.theta.size:,} parameters",
        f"training    {last['epoch']} epochs in {seconds:.2f} s, "
        f"data loss {last['data_loss']:.4g}, penalty {last['penalty']:.4g}, "
        f"training {name} {_percent(name, last['train_score'])}",
    ]
    if "validation_score" in last:
        lines.append(
            f"validation  {name} {_percent(name, solver.best_score)} "
            f"in epoch {solver.best_epoch}, whose weights are kept"
        )
    if test is not None:
        lines.append(f"test        {name} {_percent(name, test[1])}, data loss {test[0]:.4g}")
    return "\n".join(lines)


def _percent(name: str, score: float) -> str:
    return f"{100 * score:.2f} %" if name == "accuracy" else f"{score:.4f}"
