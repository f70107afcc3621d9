"""In a container, the child at fault: each child is checked on what really flowed into it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradcheck.arrays import Array
from gradcheck.subject import Subject, is_layer
from gradcheck.touch import unchanged


@dataclass
class Flow:
    """What one child was given in a pass of its container, and what it wrote into."""

    xs: tuple[Any, ...] | None = None
    dout: Any = None
    written: list[str] = field(default_factory=list)


def children_of(layer: Any) -> dict[str, Any]:
    """The children by name, from `children` or `layers`, a dictionary or a list."""
    for name in ("children", "layers"):
        held = getattr(layer, name, None)
        if isinstance(held, Mapping):
            found = {str(key): value for key, value in held.items()}
        elif isinstance(held, list | tuple):
            found = {str(i): value for i, value in enumerate(held)}
        else:
            continue
        if found and all(is_layer(value) for value in found.values()):
            return found
    return {}


def flows(subject: Subject, dout: Array) -> dict[str, Flow]:
    """What flowed into each child and back into it, in one pass of the container."""
    subject.snapshot.restore()
    seen: dict[str, Flow] = {}
    originals: list[tuple[Any, str, Any]] = []
    for name, child in children_of(subject.layer).items():
        seen[name] = Flow()
        for method in ("forward", "backward"):
            original = getattr(child, method)
            own = method in getattr(child, "__dict__", {})
            originals.append((child, method, original if own else None))
            try:
                setattr(child, method, _recording(original, seen[name], method))
            except AttributeError:
                return {}
    try:
        subject.forward_raw([x.copy() if isinstance(x, np.ndarray) else x for x in subject.xs])
        subject.backward_raw(np.array(dout, dtype=subject.output_dtype()))
    except Exception:
        pass
    finally:
        for child, method, kept in originals:
            if kept is None:
                delattr(child, method)
            else:
                setattr(child, method, kept)
        subject.snapshot.restore()
    return {name: flow for name, flow in seen.items() if flow.xs is not None}


def _recording(original: Any, flow: Flow, method: str) -> Any:
    def call(*args: Any, **keywords: Any) -> Any:
        kept = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in args)
        if method == "forward":
            flow.xs = kept
        else:
            flow.dout = kept[0] if kept else None
        result = original(*args, **keywords)
        for given, copy in zip(args, kept, strict=True):
            if isinstance(given, np.ndarray) and not unchanged(given, copy):
                flow.written.append(method)
        return result

    return call
