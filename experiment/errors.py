"""A user's mistake, told in one line, and the nearest valid name."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable

from data.errors import cut, in_one_line
from data.errors import printable as inert

__all__ = ["ConfigError", "choices", "cut", "inert"]

COMPARED, SHOWN, LONGEST = 1000, 40, 100  # names, names, characters


class ConfigError(ValueError):
    """A mistake in a configuration: the file, the key, what is wrong, what would be right."""

    def __init__(self, message: str) -> None:
        super().__init__(in_one_line(message))


def choices(given: str, valid: Iterable[str]) -> str:
    """`; did you mean 'relu'? (valid: elu, relu, …)`: the end of a message about a wrong name.

    Of very many names only some are compared and shown, and none that is very long.
    """
    names = sorted(name for name in itertools.islice(valid, COMPARED) if len(name) <= LONGEST)
    given = given[:LONGEST]
    alike = [
        name
        for name in names
        if abs(len(name) - len(given)) <= 2 + len(given) // 4 or name.startswith(given)
    ]
    near = difflib.get_close_matches(given.lower(), alike, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    shown = ", ".join(names[:SHOWN]) + ", …" * (len(names) > SHOWN)
    return f"{hint} (valid: {shown})"
