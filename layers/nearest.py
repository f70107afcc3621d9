"""The nearest valid name, for a message about a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice

SHOWN = 10


def nearest(given: str, valid: Iterable[str]) -> str:
    """`; did you mean 'fc1'? (there are: fc1, fc2, …)`: the end of such a message."""
    names = list(valid)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    shown = [*islice(names, SHOWN), *(["…"] if len(names) > SHOWN else [])]
    return f"{hint} (there are: {', '.join(shown) or 'none'})"
