"""What the second corpus shares: input makers, registration in one line, behaviours."""

import numpy as np

from tests.gradcheck.corpus.case import Case, Family  # noqa: F401


def n(*shape, scale=1.0, shift=0.0, dtype=np.float64):
    return lambda rng: (shift + scale * rng.normal(size=shape)).astype(dtype)


def u(*shape, lo=0.0, hi=1.0, dtype=np.float64):
    return lambda rng: rng.uniform(lo, hi, size=shape).astype(dtype)


def away(*shape, gap=0.05, dtype=np.float64):
    """Normal values kept away from zero."""

    def make(rng):
        x = rng.normal(size=shape)
        return (x + np.where(x < 0, -gap, gap)).astype(dtype)

    return make


def grid(*shape, step=0.37, dtype=np.float64):
    """Well separated distinct values in random order (no ties, none at zero)."""

    def make(rng):
        k = int(np.prod(shape))
        return ((rng.permutation(k) - k / 2 + 0.31) * step).reshape(shape).astype(dtype)

    return make


def ints(*shape, high, low=0):
    return lambda rng: rng.integers(low, high, size=shape)


def const(value):
    return lambda rng: np.array(value)


def at(*makers):
    return lambda rng: tuple(m(rng) for m in makers)


def w(*shape, seed=0, scale=0.5, dtype=np.float64):
    return (scale * np.random.default_rng(1000 + seed).normal(size=shape)).astype(dtype)


class Fam(Family):
    def bad(self, slug, about, name, right, backward=None, *, forward=None, methods=None, **fields):
        body = dict(methods or {})
        if backward is not None:
            body["backward"] = backward
        if forward is not None:
            body["forward"] = forward
        if "behaviour" not in fields and slug in BEHAVIOUR:
            fields["behaviour"] = BEHAVIOUR[slug]
        cls = type(name, (right,), body)
        self.wrong(slug, about, name=name, **fields)(cls)
        return cls


# ---- behaviours -------------------------------------------------------------------------------


def flat(result):
    if result is None:
        return []
    if isinstance(result, dict):
        return [a for k in sorted(result) for a in flat(result[k])]
    if isinstance(result, (tuple, list)):
        return [a for one in result for a in flat(one)]
    return [np.asarray(result)]


def upstream(y, rng):
    y = np.asarray(y)
    return rng.normal(size=y.shape).astype(y.dtype)


def back(case, layer, d):
    return layer.backward() if case.kind == "loss" else layer.backward(d)


def same(a, b):
    a, b = flat(a), flat(b)
    return len(a) == len(b) and all(
        p.shape == q.shape and np.allclose(p, q, rtol=1e-9, atol=1e-12)
        for p, q in zip(a, b, strict=False)
    )


def copied(result):
    return [a.copy() for a in flat(result)]


def started(case, rng):
    layer = case.make()
    args = case.inputs(rng)
    y = layer.forward(*args)
    return layer, args, y, upstream(y, rng)


def accumulates(case, rng):
    layer, args, _y, d = started(case, rng)
    first = copied(back(case, layer, d))
    second = copied(back(case, layer, d))
    if hasattr(layer, "rng"):
        return not same(first, second)
    layer.forward(*args)
    third = copied(back(case, layer, d))
    return not same(first, second) or not same(first, third)


def stale(case, rng):
    a, b = case.make(), case.make()
    x1, x2 = case.inputs(rng), case.inputs(rng)
    a.forward(*x1)
    y = a.forward(*x2)
    d = upstream(y, rng)
    got = copied(back(case, a, d))
    right = case.truth()
    right.forward(*x2)
    want = copied(back(case, right, d))
    if not same(got, want):
        return True
    a, b = case.make(), case.make()
    a.forward(*x2)
    b.forward(*x1)
    return not same(copied(back(case, a, d)), want)


def redrawn(case, rng):
    layer, _args, _y, d = started(case, rng)
    return not same(copied(back(case, layer, d)), copied(back(case, layer, d)))


def arrays(args):
    return [a for a in args if isinstance(a, np.ndarray)]


def input_mutated(case, rng):
    layer = case.make()
    args = case.inputs(rng)
    before = [a.copy() for a in arrays(args)]
    y = layer.forward(*args)
    back(case, layer, upstream(y, rng))
    return any(not np.array_equal(p, q) for p, q in zip(before, arrays(args), strict=False))


def upstream_mutated(case, rng):
    layer, _args, _y, d = started(case, rng)
    before = d.copy()
    back(case, layer, d)
    return not np.array_equal(before, d)


def parameters_mutated(case, rng):
    layer = case.make()
    before = {k: v.copy() for k, v in layer.params.items()}
    y = layer.forward(*case.inputs(rng))
    back(case, layer, upstream(y, rng))
    return any(not np.array_equal(before[k], layer.params[k]) for k in before)


def aliased(case, rng):
    layer, args, y, d = started(case, rng)
    results = flat(back(case, layer, d))
    if any(np.shares_memory(r, o) for r in [*results, np.asarray(y)] for o in [d, *arrays(args)]):
        return True
    later = np.asarray(layer.forward(*args))
    again = flat(back(case, layer, d))
    return any(
        np.shares_memory(p, q) for p, q in zip(results, again, strict=False)
    ) or np.shares_memory(np.asarray(y), later)


def outcome(case, rng):
    layer, args, _y, d = started(case, rng)
    got = back(case, layer, d)
    right = case.truth()
    right.forward(*args)
    return got, back(case, right, d)


def shape_differs(case, rng):
    got, want = outcome(case, rng)
    return any(p.shape != q.shape for p, q in zip(flat(got), flat(want), strict=False))


def dtype_differs(case, rng):
    got, want = outcome(case, rng)
    return any(p.dtype != q.dtype for p, q in zip(flat(got), flat(want), strict=False))


def grads_missing(case, rng):
    got, want = outcome(case, rng)
    if isinstance(got[0], tuple) and any(dx is None for dx in got[0]):
        return True
    return any(got[1].get(k) is None for k in want[1])


def grads_extra(case, rng):
    got, want = outcome(case, rng)
    return bool(set(got[1]) - set(want[1]))


def not_finite(case, rng):
    got, want = outcome(case, rng)
    return all(np.isfinite(q).all() for q in flat(want)) and not all(
        np.isfinite(p).all() for p in flat(got)
    )


def raises(case, rng):
    layer, _args, _y, d = started(case, rng)
    try:
        back(case, layer, d)
    except Exception:
        return True
    return False


def leaks(case, rng):
    layer, _args, _y, d = started(case, rng)
    return any(np.any(g != 0) for g in flat(back(case, layer, np.zeros_like(d))))


def function_shape(case, rng):
    (x,) = case.inputs(rng)
    return np.shape(case.make()[1](x)) != x.shape


BEHAVIOUR = {
    "accumulates": accumulates,
    "stale-cache": stale,
    "randomness-redrawn": redrawn,
    "input-mutated": input_mutated,
    "upstream-mutated": upstream_mutated,
    "parameters-mutated": parameters_mutated,
    "aliased-result": aliased,
    "shape": shape_differs,
    "dtype": dtype_differs,
    "gradient-missing": grads_missing,
    "gradient-extra": grads_extra,
    "not-finite": not_finite,
    "raises": raises,
}
