"""A user's mistake, told in one line, and the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """A mistake in a configuration: the file, the key, what is wrong, what would be right."""


def choices(given: str, valid: Iterable[str]) -> str:
    """`; did you mean 'relu'? (valid: elu, relu, …)`: the end of a message about a wrong name."""
    names = sorted(valid)
    near = difflib.get_close_matches(given.lower(), names, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{hint} (valid: {', '.join(names)})"


def inert(text: str) -> str:
    """`text` on one line, with every control character escaped, for a message on a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
