"""What Sequential and Graph share: a container is a layer, made of layers."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from layers.base import Array, Layer
from layers.foreign import checked_forward, is_layer, naming, weights_of
from layers.summary import summary
from layers.vector import ParameterVector


class Step(NamedTuple):
    """One layer at work: its full name, what it read (nothing in a chain), what it gave."""

    name: str
    layer: Any
    inputs: tuple[str, ...]
    y: Any


class Wiring(NamedTuple):
    """How a container's children are joined: nodes are (child, wires read, wires written)."""

    inputs: tuple[str, ...]
    nodes: Sequence[tuple[str, tuple[str, ...], tuple[str, ...]]]
    outputs: tuple[str, ...]


class Container(Layer):
    """A layer made of layers, its `children` by name; parameters are named `child.param`."""

    children: dict[str, Any]
    _vector: ParameterVector | None = None

    def _taken(self, name: str, layer: Any) -> None:
        """Raise unless a child of this name may be added."""
        if isinstance(layer, type):
            kind = layer.__name__
            raise TypeError(f"{self.name}: {kind} is the class, expected a layer: {kind}(…)")
        if not is_layer(layer):
            raise TypeError(f"{self.name}: {name} is {layer!r}, expected forward and backward")
        if name in self.children:
            raise ValueError(f"{self.name}: two children named {name!r}")

    # -- the contract, passed on to the children ---------------------------------------

    def _owners(self) -> Iterable[tuple[str, Any]]:
        """The children whose parameters count: of those that share them, the first."""
        return self.children.items()

    @property
    def params(self) -> dict[str, Array]:  # type: ignore[override]
        return self._collected("params")

    @property
    def state(self) -> dict[str, Array]:  # type: ignore[override]
        return self._collected("state")

    @property
    def weights(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(f"{name}.{key}" for name, child in self._owners() for key in weights_of(child))

    def _collected(self, kind: str) -> dict[str, Array]:
        return {
            f"{name}.{key}": value
            for name, child in self._owners()
            for key, value in (getattr(child, kind, None) or {}).items()
        }

    @property
    def training(self) -> bool:
        return any(getattr(child, "training", False) for child in self.children.values())

    @training.setter
    def training(self, value: bool) -> None:
        for child in self.children.values():
            if hasattr(child, "training"):
                child.training = value

    # -- a network ---------------------------------------------------------------------

    def leaves(self) -> Iterator[tuple[str, Any]]:
        """Every layer that is not a container, with its full name.

        Of one layer at several nodes of a graph, every node's.
        """
        for name, child in self.children.items():
            if isinstance(child, Container):
                for key, leaf in child.leaves():
                    yield f"{name}.{key}", leaf
            else:
                yield name, child

    def steps(self, *xs: Array) -> Generator[Step, None, Any]:
        """`forward`, leaf by leaf: for whoever wants to watch. Returns what `forward` returns."""
        raise NotImplementedError

    def _steps_of(
        self, name: str, xs: tuple[Any, ...], inputs: tuple[str, ...] = ()
    ) -> Generator[Step, None, Any]:
        child = self.children[name]
        if not isinstance(child, Container):
            y = naming(name, checked_forward, child, *xs)
            yield Step(name, child, inputs, y)
            return y
        inside = child.steps(*xs)
        while True:
            try:
                step = next(inside)
            except StopIteration as end:
                return end.value
            read = tuple(f"{name}.{wire}" for wire in step.inputs)
            yield step._replace(name=f"{name}.{step.name}", inputs=read)

    def gather(self) -> ParameterVector:
        """Move the parameters into one vector, of which `params` are views from then on."""
        if self._vector is None or not self._vector.holds(self.params):
            self._vector = ParameterVector(self.leaves())
        self._vector.leaves = list(self.leaves())  # one without parameters may be another
        return self._vector

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """While inside, no layer is training; afterwards each is as it was."""
        layers = [layer for _, layer in self.leaves() if hasattr(layer, "training")]
        before = [layer.training for layer in layers]
        self.training = False
        try:
            yield
        finally:
            for layer, training in zip(layers, before, strict=True):
                layer.training = training

    def __getstate__(self) -> dict[str, Any]:
        """A copy has parameters of its own, in no vector yet."""
        return {**super().__getstate__(), "_vector": None}

    def summary(self, input_shape: tuple[Any, ...], batch_size: int = 64) -> str:
        """A table: layer, output shape, parameters, forward and backward rule, bytes cached."""
        return summary(self, input_shape, batch_size)

    # -- to look at --------------------------------------------------------------------

    def wiring(self) -> Wiring:
        """How the children are joined."""
        raise NotImplementedError

    def draw(self, path: Path | str, input_shape: tuple[Any, ...] | None = None) -> None:
        """Write a picture (.png, .svg, .pdf): values green above the wires, gradients red below.

        They are those of a graph's last pass; with the shape of one sample, `input_shape`, the
        shapes on the wires instead.
        """
        from layers.drawing import diagram, draw

        draw(diagram(self, input_shape), path)

    def to_dot(self, input_shape: tuple[Any, ...] | None = None) -> str:
        """The same picture as text for Graphviz."""
        from layers.drawing import diagram, to_dot

        return to_dot(diagram(self, input_shape))

    def to_mermaid(self, input_shape: tuple[Any, ...] | None = None) -> str:
        """The same picture as text for Mermaid, which Markdown pages show."""
        from layers.drawing import diagram, to_mermaid

        return to_mermaid(diagram(self, input_shape))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={child!r}" for name, child in self.children.items())
        return f"{self.name}({inside})"
