"""The one exception of the data package, and text made safe to print."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return text with control, format and line-break characters escaped, so it prints inert."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def cut(text: str, limit: int) -> str:
    """Return the text, its end left out if it is longer than `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def shown(value: object, limit: int = 60) -> str:
    """Return a value quoted, escaped and cut to `limit` characters, for an error message."""
    try:
        text = str(value)
    except ValueError:  # Python writes no integer of thousands of digits
        text = "a number of thousands of digits"
    return f"'{printable(cut(text, limit))}'"


def nearest(name: str, valid: list[str]) -> str:
    """Return `; did you mean 'x'?` for the valid name closest to `name`, or nothing.

    Of very many or very long names only some are compared, for that takes time.
    """
    from difflib import get_close_matches

    short = [other for other in valid[:1000] if len(other) <= 100]
    close = get_close_matches(name[:100], short, n=1)
    return f"; did you mean {shown(close[0])}?" if close else ""


def in_one_line(message: str, limit: int = 2000) -> str:
    """Return a message escaped, its middle left out if it is longer than `limit` characters."""
    text = printable(message)
    return text if len(text) <= limit else f"{text[: limit // 2]} … {text[-limit // 2 + 3 :]}"


class DataError(ValueError):
    """Says in one line which file or value is wrong, where, and what would be right."""

    def __init__(self, message: str) -> None:
        super().__init__(in_one_line(message))
