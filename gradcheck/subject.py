"""Somebody's layer or loss, called without trusting it."""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from gradcheck.arrays import Array, is_real
from gradcheck.objects import Snapshot, attributes, walk, widen
from gradcheck.touch import MOST, Watch, unchanged

Kind = Literal["layer", "loss"]


class UnusableError(Exception):
    """What was given cannot be checked; the text says why."""


class LayerRaisedError(Exception):
    """The layer raised an exception of its own; `where` is "forward" or "backward"."""

    def __init__(self, where: str, error: BaseException) -> None:
        super().__init__(f"{where} raises {type(error).__name__}: {_first_line(error)}")
        self.where = where
        self.error = error


class ContractError(Exception):
    """The layer returned something that is no gradient at all."""

    def __init__(self, about: str, cause: str, message: str) -> None:
        super().__init__(message)
        self.about = about
        self.cause = cause


@dataclass
class Counts:
    """How often the layer has been called, and what its calls wrote into, by cause."""

    forwards: int = 0
    backwards: int = 0
    written: dict[str, str] = field(default_factory=dict)

    def add(self, other: "Counts") -> None:
        """Count another's calls as well."""
        self.forwards += other.forwards
        self.backwards += other.backwards

    def note(self, cause: str, message: str) -> None:
        """Remember the first time that a call writes into what is not its own."""
        self.written.setdefault(cause, message)


@dataclass(frozen=True)
class Leaf:
    """One array that can be moved: an input or a parameter."""

    about: str
    is_input: bool
    key: Any

    @property
    def noun(self) -> str:
        """What the array is called in a sentence."""
        return self.about[1:]


class Subject:
    """A layer at one point: its inputs, its parameters, and a way to call it there again.

    Each forward starts from the same snapshot of all that the layer holds, its random
    generators included. Parameters are moved in place, so every alias of them follows.
    """

    def __init__(
        self, layer: Any, xs: Sequence[Any], kind: Kind = "layer", counts: Counts | None = None
    ) -> None:
        self.layer = layer
        self.kind: Kind = kind
        self.xs = tuple(xs)
        self.counts = counts if counts is not None else Counts()
        self.snapshot = Snapshot(layer)
        self.param_names: tuple[str, ...] | None = None
        self._scalars: dict[str, float] = {}
        self._own = {name: a for name, a in attributes(layer).items() if is_real(a)}
        self.params = self._read_params()
        self.leaves = self._find_leaves()
        self.last_y: Any = None
        self._given: Sequence[Any] = ()

    # ---- what there is -------------------------------------------------------------

    def _read_params(self) -> dict[str, Array]:
        held = getattr(self.layer, "params", None)
        if held is None or callable(held):
            held = {}
        if not isinstance(held, Mapping):
            raise UnusableError(f"params is a {type(held).__name__}, not a dict of arrays")
        params: dict[str, Array] = {}
        for name, value in held.items():
            if isinstance(value, float | np.floating):
                self._scalars[str(name)] = float(value)
                params[str(name)] = np.array(value, dtype=np.float64)
            elif isinstance(value, np.ndarray):
                if not value.flags.writeable:
                    raise UnusableError(f"params[{name!r}] is read-only, so it cannot be moved")
                params[str(name)] = value
            else:
                raise UnusableError(
                    f"params[{name!r}] is a {type(value).__name__}, not an array of floats"
                )
        again = getattr(self.layer, "params", None) or {}
        for name, array in params.items():
            if name not in self._scalars and not np.may_share_memory(again[name], array):
                raise UnusableError("params gives copies, so the parameters cannot be moved")
        for name in self.param_names or ():
            value = getattr(self.layer, name, None)
            if name not in params and isinstance(value, np.ndarray):
                params[name] = value
        return params

    def adopt(self, names: Sequence[str]) -> None:
        """Take attributes as parameters, for a layer that has gradients but no `params`."""
        self.param_names = tuple(names)
        self.params = self._read_params()
        self.leaves = self._find_leaves()

    def _find_leaves(self) -> list[Leaf]:
        leaves: list[Leaf] = []
        several = len(self.xs) > 1
        for k, x in enumerate(self.xs):
            if is_real(x) and (self.kind == "layer" or k == 0):
                leaves.append(Leaf(self.input_name(k, several), True, k))
        leaves.extend(Leaf(f"d{n}", False, n) for n, p in self.params.items() if is_real(p))
        return leaves

    def input_name(self, k: int, several: bool | None = None) -> str:
        """`dx`, `dx[1]` or `dscores`."""
        if self.kind == "loss":
            return "dscores" if k == 0 else f"darg[{k}]"
        several = len(self.xs) > 1 if several is None else several
        return f"dx[{k}]" if several else "dx"

    def value(self, leaf: Leaf) -> Array:
        """The array of a leaf, as it stands."""
        return self.xs[leaf.key] if leaf.is_input else self.params[leaf.key]

    def sizes(self) -> int:
        """The number of entries that have a gradient."""
        return sum(self.value(leaf).size for leaf in self.leaves)

    # ---- calling -------------------------------------------------------------------

    def forward(self, xs: Sequence[Any] | None = None, *, restore: bool = True) -> Array:
        """The output at `xs` (by default its own), as a fresh float64 array."""
        if restore:
            self.snapshot.restore()
        for name in self._scalars:
            self.params[name][...] = self.layer.params[name]
        inputs = [x.copy("K") if isinstance(x, np.ndarray) else x for x in xs or self.xs]
        watch = self._watch(inputs)
        y = self.forward_raw(inputs)
        self.note("forward", watch)
        self._given = inputs
        return as_output(y)

    def _watch(self, given: Sequence[Any]) -> Watch | None:
        size = sum(x.size for x in given if isinstance(x, np.ndarray))
        size += sum(p.size for p in self.params.values())
        return Watch(given, self.params) if size <= MOST else None

    def note_upstream(self) -> None:
        """Remember that backward wrote into dout."""
        self.counts.note("upstream-mutated", "backward writes into dout, which is not its own")

    def note(self, where: str, watch: Watch | None) -> None:
        """Remember what a call wrote into."""
        if watch is None:
            return
        for k in watch.inputs():
            noun = self.input_name(k)[1:]
            self.counts.note("input-mutated", f"{where} writes into {noun}, which is not its own")
        for name in watch.parameters(self.layer, self.params):
            self.counts.note(
                "parameters-mutated",
                f"{where} changes the parameter {name}; only an optimizer may",
            )

    def forward_raw(self, inputs: Sequence[Any]) -> Any:
        """What the layer's forward returns for exactly these objects."""
        self.counts.forwards += 1
        try:
            self.last_y = self.layer.forward(*inputs)
        except Exception as error:
            raise LayerRaisedError("forward", error) from error
        return self.last_y

    def output_dtype(self) -> Any:
        """The type an upstream gradient has: that of the last output."""
        dtype = getattr(self.last_y, "dtype", None)
        return dtype if dtype is not None and dtype.kind == "f" else np.dtype(np.float64)

    def generators(self) -> list[np.random.Generator]:
        """The random generators that the layer holds, in the order they are found."""
        return [node for node in walk(self.layer) if isinstance(node, np.random.Generator)]

    def backward(self, dout: Array | None) -> dict[str, Array | None]:
        """The gradients by name after a forward; None where the layer gives none."""
        given = np.array(1.0 if dout is None else dout, dtype=self.output_dtype())
        watch, passed = self._watch(self._given), given.copy()
        raw = self.backward_raw(given)
        if not unchanged(given, passed):
            self.note_upstream()
        self.note("backward", watch)
        return self.sorted_out(raw)

    def backward_raw(self, dout: Array) -> Any:
        """What the layer's backward returns for exactly this `dout`."""
        self.counts.backwards += 1
        try:
            return self.layer.backward() if self.kind == "loss" else self.layer.backward(dout)
        except Exception as error:
            raise LayerRaisedError("backward", error) from error

    def gradients(self, dout: Array | None, xs: Sequence[Any] | None = None) -> dict[str, Array]:
        """The gradients after a fresh forward, as float64 arrays, absent ones left out."""
        self.forward(xs)
        found = self.backward(dout)
        return {about: as_float(g) for about, g in found.items() if g is not None}

    def sorted_out(self, raw: Any) -> dict[str, Array | None]:
        """Name what backward returned."""
        dxs, grads = self._split(raw)
        found: dict[str, Array | None] = {}
        several = len(self.xs) > 1
        for k, x in enumerate(self.xs):
            if k >= len(dxs):
                break
            if is_real(x) or dxs[k] is not None:
                found[self.input_name(k, several)] = _as_array(dxs[k])
        for name, g in grads.items():
            about = f"d{name}"
            if name not in self.params and about in found:
                about = f"grads[{name!r}]"  # a key that only sounds like an input's
            found[about] = _as_array(g)
        return found

    def _split(self, raw: Any) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        grads: Mapping[str, Any] = {}
        dx = raw
        if isinstance(raw, tuple | list) and len(raw) == 2 and isinstance(raw[1], Mapping):
            dx, grads = raw
        elif self.kind == "layer":
            kept = getattr(self.layer, "grads", None)
            grads = kept if isinstance(kept, Mapping) else self._attributes_of_gradients()
        if self.kind == "loss":
            return (dx[0] if isinstance(dx, tuple | list) and dx else dx,), grads
        if len(self.xs) == 1:
            if isinstance(dx, tuple) and len(dx) == 1:
                dx = dx[0]
            return (dx,), grads
        if isinstance(dx, tuple | list) and len(dx) == len(self.xs):
            return tuple(dx), grads
        real = [k for k, x in enumerate(self.xs) if is_real(x)]
        if len(real) == 1 and not isinstance(dx, tuple | list):
            return tuple(dx if k == real[0] else None for k in range(len(self.xs))), grads
        raise ContractError(
            "contract",
            "shape",
            f"backward returns {_describe(dx)} for {len(self.xs)} inputs; "
            f"right would be ((dx1, …, dx{len(self.xs)}), grads)",
        )

    def _attributes_of_gradients(self) -> dict[str, Any]:
        """The gradients that a layer without `params` keeps beside W: dW, d_W, grad_W or W_grad."""
        if getattr(self.layer, "params", None):
            return {}
        held = attributes(self.layer)
        return {
            name: held[other]
            for name in self._lasting()
            for other in (f"d{name}", f"d_{name}", f"grad_{name}", f"{name}_grad")
            if isinstance(held.get(other), np.ndarray)
        }

    def _lasting(self) -> list[str]:
        """The layer's own arrays: what forward replaces is its cache."""
        held = attributes(self.layer)
        return [name for name, value in self._own.items() if held.get(name) is value]

    def not_checked(self) -> list[str]:
        """Arrays of a layer that says nothing of `params`, for which it gives no gradient."""
        silent = getattr(self.layer, "params", None) is None and self.kind == "layer"
        return [name for name in self._lasting() if name not in self.params] if silent else []

    # ---- moving --------------------------------------------------------------------

    def write(self, leaf: Leaf, values: Array) -> None:
        """Set a parameter, in place."""
        if leaf.key in self._scalars:
            value = float(values)
            self.layer.params[leaf.key] = value
            self.params[leaf.key][...] = value
            if isinstance(getattr(self.layer, leaf.key, None), float):
                setattr(self.layer, leaf.key, value)
        else:
            self.params[leaf.key][...] = values

    def at_entry(self, leaf: Leaf, index: int, value: float) -> Array:
        """The output with one entry of one array set to `value`."""
        if leaf.is_input:
            xs = list(self.xs)
            moved = xs[leaf.key].copy("K")
            moved.flat[index] = value
            xs[leaf.key] = moved
            return self._forward_fresh(xs)
        if leaf.key in self._scalars:
            return self.at({leaf.about: np.array(value)})
        self.snapshot.restore()
        array = self.params[leaf.key]
        before = array.flat[index]
        array.flat[index] = value
        try:
            return as_output(self.forward_raw(self._copies()))
        finally:
            array.flat[index] = before

    def at(self, moved: Mapping[str, Array]) -> Array:
        """The output with whole arrays replaced, by the names of their gradients."""
        self.snapshot.restore()
        xs = list(self.xs)
        before: list[tuple[Leaf, Array]] = []
        for leaf in self.leaves:
            if leaf.about not in moved:
                continue
            if leaf.is_input:
                xs[leaf.key] = np.array(moved[leaf.about], dtype=xs[leaf.key].dtype)
            else:
                before.append((leaf, self.params[leaf.key].copy()))
                self.write(leaf, moved[leaf.about])
        try:
            return as_output(
                self.forward_raw([x.copy() if isinstance(x, np.ndarray) else x for x in xs])
            )
        finally:
            for leaf, kept in before:
                self.write(leaf, kept)

    def _copies(self) -> list[Any]:
        return [x.copy("K") if isinstance(x, np.ndarray) else x for x in self.xs]

    def _forward_fresh(self, xs: Sequence[Any]) -> Array:
        self.snapshot.restore()
        inputs = [x.copy("K") if isinstance(x, np.ndarray) else x for x in xs]
        return as_output(self.forward_raw(inputs))

    def moved(
        self, xs: Sequence[Any] | None = None, params: Mapping[str, Array] | None = None
    ) -> "Subject":
        """The same layer, another instance, at another point."""
        self.snapshot.restore()
        twin = Subject(copy.deepcopy(self.layer), xs or self.xs, self.kind, self.counts)
        if self.param_names:
            twin.adopt(self.param_names)
        if params:
            for leaf in twin.leaves:
                if not leaf.is_input and leaf.key in params:
                    twin.write(leaf, params[leaf.key])
            names = twin.param_names
            twin = Subject(twin.layer, twin.xs, self.kind, self.counts)
            if names:
                twin.adopt(names)
        return twin

    def widened(self) -> "Subject":
        """The same code on a float64 copy of everything."""
        self.snapshot.restore()
        own = getattr(self.layer, "astype", None)
        layer: Any = None
        if callable(own):
            try:
                layer = own(np.float64)
            except Exception:
                layer = None
            if layer is self.layer or not is_layer(layer):
                layer = None
                self.snapshot.restore_all()
        if layer is None:
            layer = copy.deepcopy(self.layer)
        widen(layer)
        xs = [x.astype(np.float64) if is_real(x) else x for x in self.xs]
        twin = Subject(layer, xs, self.kind, self.counts)
        if self.param_names:
            twin.adopt(self.param_names)
        return twin

    def narrow(self) -> bool:
        """Whether the layer works in a narrower type than float64."""
        held = [*self.params.values(), *self.xs]
        return any(is_real(a) and a.dtype.itemsize < 8 for a in held)


class FunctionLayer:
    """A plain function and its derivative, as a layer."""

    def __init__(self, f: Callable[..., Any], df: Callable[..., Any], n_inputs: int) -> None:
        self.f = f
        self.df = df
        self.n_inputs = n_inputs
        self.takes_dout = _positional(df) > n_inputs

    def forward(self, *xs: Any) -> Any:
        """y = f(x)"""
        self.xs = xs
        y = self.f(*xs)
        self.y_shape = np.shape(y)
        return y

    def backward(self, dout: Any) -> Any:
        """df(x, dout), or df(x) times dout."""
        if self.takes_dout:
            g = self.df(*self.xs, dout)
        else:
            g = self.df(*self.xs)
            if self.n_inputs == 1:
                g = self._times(g, dout, self.xs[0])
            else:
                g = tuple(self._times(gi, dout, x) for gi, x in zip(g, self.xs, strict=True))
        if isinstance(g, tuple) and len(g) == 2 and isinstance(g[1], dict):
            return g
        return g, {}

    def _times(self, g: Any, dout: Any, x: Any) -> Any:
        g = np.asarray(g)
        if self.y_shape and g.shape == self.y_shape + np.shape(x):
            return np.tensordot(dout, g, axes=len(self.y_shape))
        return g * dout


def _positional(f: Callable[..., Any]) -> int:
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return 1
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds and p.default is inspect.Parameter.empty for p in parameters)


def is_layer(thing: Any) -> bool:
    """Whether `thing` has a forward and a backward to call."""
    return (
        not isinstance(thing, type)
        and callable(getattr(thing, "forward", None))
        and callable(getattr(thing, "backward", None))
    )


def build(layer_or_factory: Any) -> Any:
    """The layer itself, or what the factory (a class or a function) makes.

    Raises TypeError when that has no `forward` and `backward`.
    """
    layer = layer_or_factory
    made = isinstance(layer, type) or (callable(layer) and not is_layer(layer))
    if made:
        layer = layer_or_factory()
    if not is_layer(layer):
        lacks = [n for n in ("forward", "backward") if not callable(getattr(layer, n, None))]
        raise TypeError(
            f"{type(layer).__name__} has no {' and no '.join(lacks)}; "
            "right would be an object with forward(x) and backward(dout)"
        )
    if made:
        return layer
    try:
        return copy.deepcopy(layer)
    except Exception:
        return layer


def as_output(y: Any) -> Array:
    """An output as a fresh float64 array; raises ContractError when it is none."""
    if isinstance(y, tuple | dict) or y is None:
        raise ContractError(
            "forward", "dtype", f"forward returns {_describe(y)}; right would be one array"
        )
    try:
        array = np.asarray(y)
    except Exception as error:
        raise ContractError("forward", "dtype", "forward returns no array") from error
    if array.dtype.kind not in "fiub":
        raise ContractError(
            "forward", "dtype", f"forward returns dtype {array.dtype}; right would be floats"
        )
    return np.array(array, dtype=np.float64)


def as_float(g: Array) -> Array:
    """A gradient as float64; raises ContractError when it is not real."""
    return np.array(g, dtype=np.float64) if g.dtype.kind in "fiub" else np.full(g.shape, np.nan)


def _as_array(g: Any) -> Array | None:
    if g is None or isinstance(g, np.ndarray):
        return g
    try:
        return np.asarray(g)
    except Exception:
        return np.array(None, dtype=object)


def _describe(thing: Any) -> str:
    if isinstance(thing, tuple | list):
        return f"a {type(thing).__name__} of {len(thing)}"
    return f"a {type(thing).__name__}" if thing is not None else "None"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else ""
