"""What an object holds: found, put back, and turned into float64."""

import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gradcheck.arrays import Array

_LEAF = (
    str, bytes, int, float, complex, bool, type, types.ModuleType, types.FunctionType,
    types.BuiltinFunctionType, types.MethodType, np.dtype, np.generic,
)  # fmt: skip
_MOST_OBJECTS = 100_000
_SMALL = 20_000


def attributes(node: Any) -> dict[str, Any]:
    """The attributes stored on an object, whether in its dict or its slots."""
    found: dict[str, Any] = {}
    for cls in type(node).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(node, name):
                found[name] = getattr(node, name)
    found.update(getattr(node, "__dict__", {}))
    return found


def walk(root: Any) -> Iterator[Any]:
    """Every object reachable from `root` through attributes and containers, once."""
    seen: set[int] = set()
    stack: list[Any] = [root]
    while stack and len(seen) < _MOST_OBJECTS:
        node = stack.pop()
        if node is None or isinstance(node, _LEAF) or id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, dict):
            stack.extend(node.values())
        elif isinstance(node, list | tuple | set | frozenset):
            stack.extend(node)
        elif not isinstance(node, np.ndarray | np.random.Generator | np.random.RandomState):
            stack.extend(attributes(node).values())


def whole_numbers(node: Any) -> set[int]:
    """The whole numbers that an object or container holds itself."""
    if isinstance(node, np.ndarray | np.random.Generator | np.random.RandomState):
        return set()
    if isinstance(node, dict):
        values: Any = node.values()
    elif isinstance(node, list | tuple | set | frozenset):
        values = node
    else:
        values = attributes(node).values()
    return {value for value in values if type(value) is int}


class Snapshot:
    """All that a layer holds at one moment, so that each probe starts from the same point.

    The identity of every object is kept: an array that is both `layer.W` and
    `layer.params["W"]` stays one array.
    """

    def __init__(self, root: Any) -> None:
        self._puts: list[Callable[[], Any]] = []
        self._arrays: list[tuple[Array, Array]] = []
        self._generators: list[tuple[Any, Any]] = []
        self._whole: set[int] = set()
        for node in walk(root):
            if isinstance(node, np.ndarray):
                if node.dtype.kind != "O" and node.flags.writeable:
                    self._arrays.append((node, node.copy()))
            elif isinstance(node, np.random.Generator):
                self._generators.append((node.bit_generator, node.bit_generator.state))
            elif isinstance(node, np.random.RandomState):
                self._puts.append(_putter(node.set_state, node.get_state()))
            elif isinstance(node, dict):
                self._puts.append(_dict_putter(node, dict(node)))
            elif isinstance(node, list):
                self._puts.append(_putter(node.__setitem__, slice(None), list(node)))
            elif isinstance(node, set):
                self._puts.append(_set_putter(node, set(node)))
            elif not isinstance(node, tuple | frozenset):
                self._keep_object(node)
            self._whole |= whole_numbers(node)
        self._volatile = self._arrays

    def _keep_object(self, node: Any) -> None:
        stored = getattr(node, "__dict__", None)
        if isinstance(stored, dict):
            self._puts.append(_dict_putter(stored, dict(stored)))
            return
        kept = attributes(node)
        if kept:
            self._puts.append(_slot_putter(node, kept))

    def random(self) -> bool:
        """Whether a generator is among what the layer holds."""
        return bool(self._generators)

    def mentions(self, n: int) -> bool:
        """Whether `n` is a whole number that was there before any forward."""
        return n in self._whole

    def settle(self) -> None:
        """After a first forward: large arrays that it left alone need no putting back."""
        self._volatile = [
            (array, kept)
            for array, kept in self._arrays
            if array.size <= _SMALL or not np.array_equal(array, kept, equal_nan=True)
        ]

    def restore(self) -> None:
        """Put everything back as it was."""
        for put in self._puts:
            put()
        for array, kept in self._volatile:
            array[...] = kept
        self.restore_randomness()

    def restore_all(self) -> None:
        """Put everything back, large arrays included."""
        self.restore()
        for array, kept in self._arrays:
            array[...] = kept

    def restore_randomness(self) -> None:
        """Put back the generators alone."""
        for generator, state in self._generators:
            generator.state = state


def _putter(call: Callable[..., Any], *values: Any) -> Callable[[], Any]:
    return lambda: call(*values)


def _dict_putter(target: dict[Any, Any], kept: dict[Any, Any]) -> Callable[[], None]:
    def put() -> None:
        target.clear()
        target.update(kept)

    return put


def _set_putter(target: set[Any], kept: set[Any]) -> Callable[[], None]:
    def put() -> None:
        target.clear()
        target.update(kept)

    return put


def _slot_putter(node: Any, kept: dict[str, Any]) -> Callable[[], None]:
    def put() -> None:
        for name, value in kept.items():
            object.__setattr__(node, name, value)

    return put


_NARROW = (np.dtype(np.float32), np.dtype(np.float16))


def widen(root: Any) -> None:
    """Turn every narrower float array, scalar and dtype that `root` holds into float64, in place.

    Arrays that were views of one buffer stay views of one buffer.
    """
    wide: dict[int, Array] = {}
    keep: list[Any] = []

    def convert(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return wide_array(value) if value.dtype in _NARROW else value
        if isinstance(value, np.float32 | np.float16):
            return np.float64(value)
        if value in (np.float32, np.float16) if isinstance(value, type) else False:
            return np.float64
        if isinstance(value, np.dtype) and value in _NARROW:
            return np.dtype(np.float64)
        if type(value) is tuple:
            return tuple(convert(item) for item in value)
        return value

    def wide_array(array: Array) -> Array:
        if id(array) in wide:
            return wide[id(array)]
        base = array.base
        if isinstance(base, np.ndarray) and base.dtype == array.dtype and base.size > 0:
            root_array = wide_array(base)
            offset = (_address(array) - _address(base)) // array.itemsize
            strides = tuple(s // array.itemsize * 8 for s in array.strides)
            if root_array.flags.c_contiguous:
                made = np.ndarray(array.shape, np.float64, root_array, offset * 8, strides)
            else:
                made = array.astype(np.float64)
        else:
            made = array.astype(np.float64)
        wide[id(array)] = made
        keep.append(array)
        return made

    for node in list(walk(root)):
        if isinstance(node, dict):
            for key in node:
                node[key] = convert(node[key])
        elif isinstance(node, list):
            node[:] = [convert(item) for item in node]
        elif not isinstance(node, tuple | np.ndarray | set | frozenset):
            for name, value in attributes(node).items():
                changed = convert(value)
                if changed is not value:
                    object.__setattr__(node, name, changed)


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])
