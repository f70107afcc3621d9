"""How an operation is made again on the same arrays, where there is a shorter way than a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Operation = TypeVar("Operation", bound=Callable[..., Any])


def made_again(by: Callable[..., Callable[[], Any]]) -> Callable[[Operation], Operation]:
    """Of an operation: `by(*operands, out)` is the call operation(*operands, out=out)."""

    def mark(operation: Operation) -> Operation:
        vars(operation)["again"] = by
        return operation

    return mark


def again(operation: Any) -> Callable[..., Callable[[], Any]] | None:
    """The way it is made again; None if it is called as ever."""
    by: Callable[..., Callable[[], Any]] | None = getattr(operation, "again", None)
    return by
