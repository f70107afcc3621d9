"""What a case is, and how a family of layers collects its cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Inputs = Callable[[np.random.Generator], tuple[Any, ...]]

SLUGS = (
    "batch-mean-missing",
    "batch-mean-doubled",
    "dimension-scale",
    "factor-of-two",
    "sign-flipped",
    "keep-probability",
    "constant-scale",
    "penalty-missing",
    "penalty-factor",
    "penalty-extra",
    "bias-penalized",
    "transposed",
    "flipped",
    "axes-permuted",
    "not-summed",
    "wrong-axis",
    "summed-everything",
    "part-of-batch",
    "upstream-ignored",
    "upstream-partial",
    "upstream-nonlinear",
    "constant-leak",
    "precision-lost",
    "evaluated-at-output",
    "evaluated-at-input",
    "derivative-missing",
    "derivative-doubled",
    "mask-inverted",
    "mask-threshold",
    "slope-missing",
    "diagonal-only",
    "path-missing",
    "label-term",
    "epsilon",
    "degrees-of-freedom",
    "statistics-axis",
    "parameter-missing",
    "wrong-operand",
    "overlap-overwritten",
    "duplicates-lost",
    "ties",
    "padding-or-stride",
    "accumulates",
    "stale-cache",
    "randomness-redrawn",
    "mask-from-values",
    "input-mutated",
    "upstream-mutated",
    "parameters-mutated",
    "aliased-result",
    "shape",
    "dtype",
    "gradient-missing",
    "gradient-extra",
    "not-finite",
    "raises",
    "unexplained",
)


@dataclass(frozen=True)
class Case:
    """One layer, loss or function at a family of points, right or wrong in a known way.

    kind       "layer" (forward, backward(dout) -> (dx, grads)), "loss" (forward(scores, y),
               backward() -> dscores) or "function" (`make` returns the pair f, df; f is scalar).
    make       a new instance, always with the same parameters.
    inputs     forward's arguments at a point drawn from the generator; shapes never change.
    slug       the mistake made, None if the case is right.
    also       other slugs that describe the very same behaviour.
    about      what is wrong: dx, dx[1], dW, db, dscores, forward, contract.
    truth      a right layer with the same forward; for a right float32 case, its float64 twin.
    shown_at   arguments at which the mistake shows, when it does not show at `inputs`.
    shown_by   the upstream gradient at which it shows: (output, generator) -> dout.
    behaviour  for what is not a number: (case, generator) -> True if the mistake shows.
    kinks      the point lies on a kink or a tie: any slope between the one-sided ones is right.
    child      the child at fault, in a container.
    """

    name: str
    kind: str
    make: Callable[[], Any]
    inputs: Inputs
    slug: str | None = None
    also: tuple[str, ...] = ()
    about: str | None = None
    truth: Callable[[], Any] | None = None
    shown_at: Inputs | None = None
    shown_by: Callable[[Any, np.random.Generator], Any] | None = None
    behaviour: Callable[[Case, np.random.Generator], bool] | None = None
    kinks: bool = False
    child: str | None = None


def _maker(cls: type, kind: str, args: dict[str, Any]) -> Callable[[], Any]:
    if kind == "function":

        def make() -> Any:
            one = cls(**args)
            return one.f, one.df

        return make
    return lambda: cls(**args)


class Family:
    """The cases of one file: a right class, then subclasses that override the mistaken lines."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cases: list[Case] = []
        self._known: dict[type, tuple[Inputs, str, dict[str, Any]]] = {}

    def _add(self, name: str, **fields: Any) -> None:
        self.cases.append(Case(name=f"{self.name}: {name}", **fields))

    def right(
        self, inputs: Inputs, kind: str = "layer", kinks: bool = False, **args: Any
    ) -> Callable[[type], type]:
        """Register a right class at `inputs`, built with `args`."""

        def register(cls: type) -> type:
            self._known[cls] = inputs, kind, args
            make = _maker(cls, kind, args)
            self._add(cls.__name__, kind=kind, make=make, inputs=inputs, kinks=kinks)
            return cls

        return register

    def right_at(
        self,
        name: str,
        cls: type,
        inputs: Inputs,
        kinks: bool = False,
        double: dict[str, Any] | None = None,
        **args: Any,
    ) -> None:
        """Register a known right class at another point; `double`: arguments of a float64 twin."""
        kind = self._known[cls][1]
        truth = None if double is None else _maker(cls, kind, {**args, **double})
        make = _maker(cls, kind, args)
        self._add(name, kind=kind, make=make, inputs=inputs, kinks=kinks, truth=truth)

    def wrong(
        self,
        slug: str,
        about: str | None,
        *,
        inputs: Inputs | None = None,
        args: dict[str, Any] | None = None,
        of: type | None = None,
        name: str | None = None,
        **fields: Any,
    ) -> Callable[[type], type]:
        """Register a wrong class; its truth is the nearest right class it derives from, or `of`."""

        def register(cls: type) -> type:
            right = of or next(base for base in cls.__mro__ if base in self._known)
            known_inputs, kind, known_args = self._known[right]
            chosen = known_args if args is None else args
            self._add(
                name or cls.__name__,
                kind=kind,
                make=_maker(cls, kind, chosen),
                inputs=inputs or known_inputs,
                slug=slug,
                about=about,
                truth=_maker(right, kind, chosen),
                **fields,
            )
            return cls

        return register
