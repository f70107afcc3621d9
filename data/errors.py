"""The one exception of the data package, and text made safe to print."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return text with control, format and line-break characters escaped, so it prints inert."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def shown(value: object, limit: int = 60) -> str:
    """Return a value quoted, escaped and cut to `limit` characters, for an error message."""
    text = value if isinstance(value, str) else str(value)
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return f"'{printable(text)}'"


def nearest(name: str, valid: list[str]) -> str:
    """Return `; did you mean 'x'?` for the valid name closest to `name`, or nothing."""
    from difflib import get_close_matches

    close = get_close_matches(name[:200], valid, n=1)
    return f"; did you mean {shown(close[0])}?" if close else ""


class DataError(ValueError):
    """Says in one line which file or value is wrong, where, and what would be right."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))
