"""A forward seen operation by operation, so that one of them can be given another derivative."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from gradcheck.arrays import Array

MOST_OPERATIONS = 400

TRANSPARENT = {
    np.mean,
    np.var,
    np.std,
    np.sum,
    np.prod,
    np.max,
    np.min,
    np.amax,
    np.amin,
    np.shape,
    np.ndim,
    np.reshape,
    np.transpose,
    np.swapaxes,
    np.moveaxis,
    np.expand_dims,
    np.squeeze,
    np.broadcast_to,
    np.tensordot,
    np.stack,
    np.copy,
    np.array_equal,
    np.zeros_like,
    np.empty_like,
    np.ones_like,
    np.split,
    np.array_split,
}


class TooLongError(Exception):
    """More operations than are worth looking at."""


class Operation:
    """One operation of a forward: what went in, what came out, and from which line."""

    def __init__(
        self, name: str, line: tuple[str, int], run: Callable[..., Any], operands: list[Any]
    ) -> None:
        self.name = name
        self.line = line
        self.run = run
        self.operands = operands
        self.result: Any = None


Change = Callable[[int, list[Any]], Any]
Linear = Callable[[Operation, list[Any]], Any]  # an operation's result near the recorded one


class Tape:
    """The operations of the forward under way; `change` may give one another result."""

    current: "Tape | None" = None

    def __init__(self, change: Change | None = None) -> None:
        self.operations: list[Operation] = []
        self.change = change
        self.count = 0

    def apply(self, name: str, run: Callable[..., Any], operands: list[Any]) -> Any:
        k = self.count
        self.count += 1
        if k >= MOST_OPERATIONS:
            raise TooLongError
        if self.change is not None:
            return self.change(k, operands)
        kept = [np.array(o) if isinstance(o, np.ndarray) else o for o in operands]
        operation = Operation(name, _line(), run, kept)
        result = run(*operands)
        operation.result = result.copy() if isinstance(result, np.ndarray) else result
        self.operations.append(operation)
        return result


def _line() -> tuple[str, int]:
    """The line of the layer's own code that is being run."""
    frame = sys._getframe(2)
    while frame.f_back is not None:
        file = frame.f_code.co_filename
        if file != __file__ and "numpy" not in file:
            break
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


class Traced(np.ndarray):
    """An array whose operations are told to the tape."""

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **keywords: Any
    ) -> Any:
        tape = Tape.current
        operands = [plain(i) for i in inputs]
        keywords = {k: plain(v) for k, v in keywords.items()}

        def run(*given: Any) -> Any:
            return getattr(ufunc, method)(*given, **keywords)

        if tape is None or method == "at" or ufunc.nout > 1:
            outs = {} if out is None else {"out": tuple(plain(o) for o in out)}
            return getattr(ufunc, method)(*operands, **outs, **keywords)
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        axis = keywords.get("axis", 0)
        if method == "reduce":
            name += f" {axis} {keywords.get('keepdims', False)}"
        result = tape.apply(name, run, operands)
        if out is not None and out[0] is not None:
            out[0][...] = result
            return out[0]
        return traced(result)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        tape = Tape.current
        if tape is None or func in TRANSPARENT:
            return super().__array_function__(func, types, args, kwargs)
        places: list[tuple[int, int | None]] = []
        operands: list[Any] = []
        for k, arg in enumerate(args):
            if isinstance(arg, np.ndarray):
                places.append((k, None))
                operands.append(plain(arg))
            elif isinstance(arg, list | tuple) and any(isinstance(a, np.ndarray) for a in arg):
                for j, a in enumerate(arg):
                    places.append((k, j))
                    operands.append(plain(a))

        def run(*given: Any) -> Any:
            filled = [list(a) if isinstance(a, tuple) else a for a in args]
            filled = [a[:] if isinstance(a, list) else a for a in filled]
            for (k, j), value in zip(places, given, strict=True):
                if j is None:
                    filled[k] = value
                else:
                    filled[k][j] = value
            for k, a in enumerate(args):
                if isinstance(a, tuple):
                    filled[k] = tuple(filled[k])
            return func(*filled, **{k: plain(v) for k, v in kwargs.items()})

        if any(isinstance(v, Traced) for v in kwargs.values()) or "out" in kwargs:
            return run(*operands)
        result = run(*operands)
        if not isinstance(result, np.ndarray | np.floating):
            return result
        return traced(tape.apply(func.__name__, run, operands))


def replaced(place: int, other: Array, at: int | None = None) -> Linear:
    """The derivative by the operand at `place` takes `other` for the factor that stands `at`."""
    there = 1 - place if at is None else at

    def linear(operation: Operation, operands: list[Any]) -> Any:
        base = list(operation.operands)
        rest = list(operands)
        rest[place] = base[place]
        up, down = list(base), list(base)
        up[place] = operands[place]
        up[there] = down[there] = other
        return operation.run(*rest) + (operation.run(*up) - operation.run(*down))

    return linear


def plain(value: Any) -> Any:
    """The array without its tape."""
    return value.view(np.ndarray) if isinstance(value, Traced) else value


def traced(value: Any) -> Any:
    """The array with its operations seen."""
    if isinstance(value, np.ndarray | np.floating):
        return np.asarray(value).view(Traced)
    return value


def recorded(forward: Callable[[], Array]) -> list[Operation]:
    """The operations of one forward."""
    tape = Tape()
    Tape.current = tape
    try:
        forward()
    finally:
        Tape.current = None
    return tape.operations


def changed(forward: Callable[[], Array], change: Change) -> Array:
    """The output of a forward in which operations have been changed."""
    Tape.current = Tape(change)
    try:
        return np.array(plain(forward()), np.float64)
    finally:
        Tape.current = None
