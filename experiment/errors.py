"""A user's mistake, told in one line, and the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from data.errors import printable as inert

__all__ = ["ConfigError", "choices", "inert"]


class ConfigError(ValueError):
    """A mistake in a configuration: the file, the key, what is wrong, what would be right."""


def choices(given: str, valid: Iterable[str]) -> str:
    """`; did you mean 'relu'? (valid: elu, relu, …)`: the end of a message about a wrong name."""
    names = sorted(valid)
    alike = [
        name
        for name in names
        if abs(len(name) - len(given)) <= 2 + len(given) // 4 or name.startswith(given)
    ]
    near = difflib.get_close_matches(given.lower(), alike, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{hint} (valid: {', '.join(names)})"
