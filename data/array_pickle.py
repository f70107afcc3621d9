"""Reads the arrays, strings and numbers of a pickle without running any of it.

A pickle is a program. This reader walks its instructions and knows only those that build plain
values; it imports nothing, looks nothing up, and calls nothing that the file names. A NumPy array
is recognised by the names NumPy writes, and kept as its bytes. Everything else is an error.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError, shown

MAX_INSTRUCTIONS = 500_000

ARRAY, DTYPE, MAKE_ARRAY, ENCODE = "numpy ndarray", "numpy dtype", "numpy _reconstruct", "encode"
"""What the few admitted names mean, so that each can be written in one way only."""

NAMES = {
    ("numpy", "ndarray"): ARRAY,
    ("numpy", "dtype"): DTYPE,
    ("numpy.core.multiarray", "_reconstruct"): MAKE_ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): MAKE_ARRAY,
    ("_codecs", "encode"): ENCODE,
}

CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Refused(Exception):
    """An instruction or value that plain arrays do not need."""


@dataclass(frozen=True)
class Name:
    meaning: str


@dataclass
class PickledDtype:
    code: str


@dataclass
class PickledArray:
    value: NDArray[Any] | None = None


class Mark:
    """Stands on the stack where a MARK instruction was."""


def read_array_pickle(content: bytes, where: str) -> object:
    """Return the value of a pickle made of dicts, lists, tuples, strings, numbers and arrays.

    Python 2's strings come back as str by latin-1. Arrays must hold plain numbers.
    Errors:   DataError for anything else, first of all for anything that would run.
    """
    import pickletools

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken escapes in broken strings
            return _Reader(len(content)).run(pickletools.genops(BytesIO(content)))
    except Refused as error:
        raise DataError(f"{where}: {error}; only arrays, strings and numbers are read") from None
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise DataError(f"{where}: not a whole pickle: {shown(error, 100)}") from None


class _Reader:
    def __init__(self, n_bytes: int) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.budget = n_bytes  # of bytes that may still be made from strings

    def run(self, instructions: Any) -> object:
        for count, (opcode, argument, _) in enumerate(instructions):
            if count > MAX_INSTRUCTIONS:
                raise Refused(f"more than {MAX_INSTRUCTIONS:,} instructions")
            name = opcode.name
            if name == "STOP":
                return plain(*self.take(1))
            self.step(name, argument)
        raise ValueError("no STOP")

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in VALUES:
            stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[argument])
        elif name in ("PROTO", "FRAME"):
            pass
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name == "MARK":
            stack.append(Mark)
        elif name in TUPLES:
            stack.append(tuple(self.take(TUPLES[name])))
        elif name == "TUPLE":
            stack.append(tuple(self.take_marked()))
        elif name == "LIST":
            stack.append(self.take_marked())
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "APPEND":
            self.extend(self.take(1))
        elif name == "APPENDS":
            self.extend(self.take_marked())
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "DICT":
            items = self.take_marked()
            stack.append({})
            self.update(items)
        elif name == "SETITEM":
            self.update(self.take(2))
        elif name == "SETITEMS":
            self.update(self.take_marked())
        elif name == "GLOBAL":
            stack.append(admitted(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            stack.append(admitted(*self.take(2)))
        elif name == "REDUCE":
            stack.append(self.made(*self.take(2)))
        elif name == "BUILD":
            self.build(*self.take(1))
        else:
            raise Refused(f"holds the instruction {name}")

    def take(self, count: int) -> list[Any]:
        if count > len(self.stack):
            raise ValueError("stack underflow")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        if any(item is Mark for item in taken):
            raise ValueError("unexpected mark")
        return taken

    def take_marked(self) -> list[Any]:
        at = len(self.stack) - 1
        while at >= 0 and self.stack[at] is not Mark:
            at -= 1
        if at < 0:
            raise ValueError("no mark")
        taken = self.stack[at + 1 :]
        del self.stack[at:]
        return taken

    def extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError("items for what is no list")
        self.stack[-1].extend(items)

    def update(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not dict or len(items) % 2:
            raise ValueError("items for what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, bytes, int):
                raise Refused("holds a dict key that is no string")
            self.stack[-1][key] = value

    def made(self, function: Any, arguments: Any) -> Any:
        """Stand in for a call, of the three functions NumPy writes into a pickle."""
        meaning = function.meaning if type(function) is Name else None
        if type(arguments) is not tuple:
            raise ValueError("a call without arguments")
        if meaning == MAKE_ARRAY and arguments[:1] == (Name(ARRAY),):
            return PickledArray()
        if meaning == DTYPE and arguments and type(arguments[0]) is str:
            if not re.fullmatch(r"[uif][1248]|b1", arguments[0]):
                raise Refused(f"holds an array of {shown(arguments[0])}")
            return PickledDtype("|" + arguments[0])
        if meaning == ENCODE and len(arguments) == 2 and arguments[1] in ("latin1", "latin-1"):
            return self.encode(arguments[0])
        if meaning is None:
            raise Refused("calls something")
        raise Refused(f"calls {meaning} in an unknown way")

    def build(self, state: Any) -> None:
        """Fill in the dtype's byte order or the array's shape, dtype and bytes."""
        target = self.stack[-1]
        if type(state) is not tuple:
            raise Refused("sets the state of an object")
        if type(target) is PickledDtype:
            if len(state) < 2 or state[1] not in ("<", ">", "|", "=") or any(state[2:5]):
                raise Refused("holds an array of an unknown dtype")
            target.code = state[1] + target.code[1:]
        elif type(target) is PickledArray:
            if len(state) != 5:
                raise ValueError("an array's state is damaged")
            _, shape, dtype, fortran, content = state
            if type(content) is str:
                content = self.encode(content)  # Python 2 wrote bytes as strings
            target.value = array_of(shape, dtype, bool(fortran is True or fortran == 1), content)
        else:
            raise Refused("sets the state of an object")

    def encode(self, text: Any) -> bytes:
        if type(text) is not str:
            raise Refused("encodes what is no string")
        self.budget -= len(text)
        if self.budget < 0:
            raise Refused("unpacks to more than its own size")
        return text.encode("latin-1")


def admitted(module: Any, name: Any) -> Name:
    """Return what a dotted name means if it is one of NAMES."""
    if type(module) is not str or type(name) is not str or (module, name) not in NAMES:
        raise Refused(f"names {shown(f'{module}.{name}')}")
    return Name(NAMES[module, name])


def array_of(shape: Any, dtype: Any, fortran: bool, content: Any) -> NDArray[Any]:
    """Make an array over the bytes of a pickled one."""
    if type(content) is not bytes or type(dtype) is not PickledDtype or type(shape) is not tuple:
        raise Refused("holds an array of objects")
    kind = np.dtype(dtype.code)
    if not all(type(size) is int and 1 <= size <= len(content) for size in shape[:32]):
        raise ValueError("an array's shape does not fit its bytes")
    if len(shape) > 32 or math.prod(shape) * kind.itemsize != len(content):
        raise ValueError("an array's shape does not fit its bytes")
    return np.frombuffer(content, kind).reshape(shape, order="F" if fortran else "C")


def plain(value: Any) -> object:
    """Put the arrays themselves into the outermost dict, list or place."""
    if type(value) is PickledArray:
        return value.value
    if type(value) is dict:
        return {key: v.value if type(v) is PickledArray else v for key, v in value.items()}
    if type(value) is list:
        return [v.value if type(v) is PickledArray else v for v in value]
    return value
