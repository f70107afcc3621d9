"""How mistakes that are no number are shown: each function says whether the case behaves so."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from .case import Case


def freeze(layer: Any) -> Any:
    """The state of the layer's generator, to be put back with `thaw`."""
    rng = getattr(layer, "rng", None)
    return None if rng is None else copy.deepcopy(rng.bit_generator.state)


def thaw(layer: Any, state: Any) -> None:
    if state is not None:
        layer.rng.bit_generator.state = copy.deepcopy(state)


class FunctionAsLayer:
    """f and its gradient df under the contract of a layer."""

    def __init__(self, f: Any, df: Any) -> None:
        self.f, self.df = f, df

    def forward(self, x: Any) -> Any:
        self.x = x
        return self.f(x)

    def backward(self, dout: Any) -> Any:
        return dout * self.df(self.x), {}


def new(case: Case) -> Any:
    """A new instance of the case, whatever its kind."""
    made = case.make()
    return FunctionAsLayer(*made) if case.kind == "function" else made


def new_truth(case: Case) -> Any:
    made = case.truth()
    return FunctionAsLayer(*made) if case.kind == "function" else made


def params_of(layer: Any) -> dict[str, Any]:
    return dict(getattr(layer, "params", {}))


def upstream(case: Case, y: Any, rng: np.random.Generator) -> Any:
    if case.shown_by is not None:
        return case.shown_by(y, rng)
    dout = rng.normal(size=np.shape(y))
    return dout.astype(y.dtype) if isinstance(y, np.ndarray) else np.float64(dout)


def run(case: Case, layer: Any, args: tuple[Any, ...], dout: Any) -> tuple[Any, dict[str, Any]]:
    """backward's answer as (dx, grads), whatever the kind."""
    return (layer.backward(), {}) if case.kind == "loss" else layer.backward(dout)


def arguments(case: Case, rng: np.random.Generator) -> tuple[Any, ...]:
    return (case.shown_at or case.inputs)(rng)


def started(case: Case, rng: np.random.Generator) -> tuple[Any, tuple[Any, ...], Any]:
    layer, args = new(case), arguments(case, rng)
    y = layer.forward(*args)
    return layer, args, upstream(case, y, rng)


def arrays(result: tuple[Any, dict[str, Any]]) -> list[tuple[str, np.ndarray]]:
    dx, grads = result
    xs = [(f"dx[{i}]", a) for i, a in enumerate(dx)] if isinstance(dx, tuple) else [("dx", dx)]
    named = xs + [(f"d{name}", a) for name, a in grads.items()]
    return [(name, a) for name, a in named if a is not None]


def same(a: tuple[Any, dict[str, Any]], b: tuple[Any, dict[str, Any]]) -> bool:
    return all(
        np.shape(p) == np.shape(q) and np.allclose(p, q, rtol=1e-9, atol=0)
        for (_, p), (_, q) in zip(arrays(a), arrays(b), strict=True)
    )


def second_call_differs(case: Case, rng: np.random.Generator) -> bool:
    layer, args, dout = started(case, rng)
    first = copy.deepcopy(run(case, layer, args, dout))
    return not same(first, run(case, layer, args, dout))


def second_round_differs(case: Case, rng: np.random.Generator) -> bool:
    """The same forward and backward once more (the generator put back) give another answer."""
    layer, args = new(case), arguments(case, rng)
    state = freeze(layer)
    dout = upstream(case, layer.forward(*args), rng)
    first = copy.deepcopy(run(case, layer, args, dout))
    thaw(layer, state)
    layer.forward(*args)
    return not same(first, run(case, layer, args, dout))


def accumulates(case: Case, rng: np.random.Generator) -> bool:
    return second_call_differs(case, rng) or second_round_differs(case, rng)


def stale(case: Case, rng: np.random.Generator) -> bool:
    """Another forward, or another instance, gets into the answer."""
    layer, other, truth = new(case), new(case), new_truth(case)
    x1, x2 = arguments(case, rng), arguments(case, rng)
    truth.forward(*x1)
    y = truth.forward(*x2)
    layer.forward(*x1)
    layer.forward(*x2)
    dout = upstream(case, y, rng)
    if not same(run(case, layer, x2, dout), run(case, truth, x2, dout)):
        return True
    other.forward(*x1)
    return not same(run(case, layer, x2, dout), run(case, truth, x2, dout))


def stale_after_update(case: Case, rng: np.random.Generator) -> bool:
    """The answer is that of the parameters before they were updated."""
    layer, truth, args = new(case), new_truth(case), arguments(case, rng)
    dout = upstream(case, layer.forward(*args), rng)
    run(case, layer, args, dout)
    for one in (layer, truth):
        for value in one.params.values():
            value += 0.5
        one.forward(*args)
    return not same(run(case, layer, args, dout), run(case, truth, args, dout))


def mutates_input(case: Case, rng: np.random.Generator) -> bool:
    layer, args = new(case), arguments(case, rng)
    before = copy.deepcopy(args)
    dout = upstream(case, layer.forward(*args), rng)
    run(case, layer, args, dout)
    return any(not np.array_equal(a, b) for a, b in zip(before, args, strict=True))


def mutates_upstream(case: Case, rng: np.random.Generator) -> bool:
    layer, args, dout = started(case, rng)
    before = dout.copy()
    run(case, layer, args, dout)
    return not np.array_equal(before, dout)


def mutates_parameters(case: Case, rng: np.random.Generator) -> bool:
    layer = new(case)
    before = copy.deepcopy(params_of(layer))
    args = arguments(case, rng)
    dout = upstream(case, layer.forward(*args), rng)
    run(case, layer, args, dout)
    return any(not np.array_equal(before[k], v) for k, v in params_of(layer).items())


def shares_memory(case: Case, rng: np.random.Generator) -> bool:
    """A result shares memory with dout, an argument, a parameter, a later or another result."""
    layer, args, dout = started(case, rng)
    first = [a for _, a in arrays(run(case, layer, args, dout))]
    later = [a for _, a in arrays(run(case, layer, args, dout))]
    given = [a for a in (*args, dout, *params_of(layer).values()) if isinstance(a, np.ndarray)]
    pairs = [(a, b) for a in first for b in later + given]
    pairs += [(a, b) for i, a in enumerate(first) for b in first[:i]]
    return any(np.shares_memory(a, b) for a, b in pairs)


def wrong_shape(case: Case, rng: np.random.Generator) -> bool:
    layer, args, dout = started(case, rng)
    expected = dict(zip([f"dx[{i}]" for i in range(len(args))], args, strict=True))
    expected["dx"] = args[0]
    expected |= {f"d{k}": v for k, v in params_of(layer).items()}
    result = arrays(run(case, layer, args, dout))
    return any(np.shape(a) != np.shape(expected[name]) for name, a in result)


def wrong_dtype(case: Case, rng: np.random.Generator) -> bool:
    layer, args, dout = started(case, rng)
    expected = np.asarray(args[0]).dtype
    return any(np.asarray(a).dtype != expected for _, a in arrays(run(case, layer, args, dout)))


def gradient_missing(case: Case, rng: np.random.Generator) -> bool:
    layer, args, dout = started(case, rng)
    dx, grads = run(case, layer, args, dout)
    return dx is None or any(grads.get(name) is None for name in params_of(layer))


def gradient_extra(case: Case, rng: np.random.Generator) -> bool:
    layer, args, dout = started(case, rng)
    return bool(set(run(case, layer, args, dout)[1]) - set(params_of(layer)))


def not_finite(case: Case, rng: np.random.Generator) -> bool:
    layer, args, dout = started(case, rng)
    truth = new_truth(case)
    truth.forward(*args)
    finite = all(np.isfinite(a).all() for _, a in arrays(run(case, truth, args, dout)))
    with np.errstate(all="ignore"):
        mine = arrays(run(case, layer, args, dout))
    return finite and any(not np.isfinite(a).all() for _, a in mine)


def raises(case: Case, rng: np.random.Generator) -> bool:
    layer, args, dout = started(case, rng)
    try:
        run(case, layer, args, dout)
    except Exception:
        return True
    return False


BY_SLUG = {
    "accumulates": accumulates,
    "stale-cache": stale,
    "randomness-redrawn": second_call_differs,
    "input-mutated": mutates_input,
    "upstream-mutated": mutates_upstream,
    "parameters-mutated": mutates_parameters,
    "aliased-result": shares_memory,
    "shape": wrong_shape,
    "not-summed": wrong_shape,
    "dtype": wrong_dtype,
    "gradient-missing": gradient_missing,
    "gradient-extra": gradient_extra,
    "not-finite": not_finite,
    "raises": raises,
}
