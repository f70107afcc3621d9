"""The corpus is what it says: right cases are right, wrong ones differ from the truth.

The judge here is short and of its own: central differences of order four over a range of steps,
of which the two that agree best are believed. Nothing of the checker is used.
"""

import copy
from collections import Counter

import numpy as np
import pytest

from tests.gradcheck.corpora import every_case
from tests.gradcheck.corpus import SLUGS
from tests.gradcheck.corpus.behaviour import (
    BY_SLUG,
    arguments,
    arrays,
    freeze,
    new,
    new_truth,
    params_of,
    run,
    thaw,
    upstream,
)

CASES = every_case()
RIGHT = [case for case in CASES if case.slug is None]
WRONG = [case for case in CASES if case.slug is not None]
STEPS = 10.0 ** np.arange(-1, -7, -1)


def name_of(case):
    return case.name


class Objective:
    """L = Σ dout · y as a function of the inputs and parameters of one layer."""

    def __init__(self, case, layer, args, dout):
        self.case, self.layer, self.dout = case, layer, np.asarray(dout, dtype=np.float64)
        self.args = [np.array(a, dtype=np.float64) if is_real(a) else a for a in args]
        self.state = freeze(layer)

    def __call__(self):
        thaw(self.layer, self.state)
        y = self.layer.forward(*[copy.copy(a) for a in self.args])
        return float((self.dout * y).sum())

    def variables(self):
        """Name -> the array that may be moved in place."""
        several = len(self.args) > 1 and self.case.kind != "loss"
        real = self.args[:1] if self.case.kind == "loss" else self.args
        inputs = {f"dx[{i}]" if several else "dx": a for i, a in enumerate(real) if is_real(a)}
        return inputs | {f"d{name}": p for name, p in params_of(self.layer).items()}

    def moved(self, array, direction, t):
        kept = array.copy()
        array += t * direction
        value = self()
        array[...] = kept
        return value

    def slope(self, array, direction):
        """dL/dt along the direction, and how far its last digits can be trusted."""
        length = np.abs(array[direction != 0]).max(initial=0.0) or 1.0
        estimates, noise = [], []
        for h in STEPS * length:
            a, b, c, d = (self.moved(array, direction, k * h) for k in (-2, -1, 1, 2))
            estimates.append((a - 8 * b + 8 * c - d) / (12 * h))
            noise.append(2e-16 * max(abs(a), abs(b), abs(c), abs(d)) / h)
        distance = np.abs(np.diff(estimates)) + noise[1:]
        best = int(np.argmin(distance))
        return estimates[best + 1], 10 * distance[best]

    def one_sided(self, array, direction):
        h = 1e-6
        here = self()
        right = (self.moved(array, direction, h) - here) / h
        left = (here - self.moved(array, direction, -h)) / h
        return min(left, right) - 1e-4, max(left, right) + 1e-4


def is_real(a):
    return np.asarray(a).dtype.kind == "f"


def entries(array, rng, most=16):
    """Unit directions (all, or some drawn), and two directions with every entry."""
    n = array.size
    chosen = range(n) if n <= most else rng.choice(n, most, replace=False)
    if n > 5000:
        chosen = chosen[:3]
    for i in chosen:
        e = np.zeros(array.shape)
        e.flat[i] = 1.0
        yield e
    if n > most:
        for _ in range(2):
            yield rng.choice([-1.0, 1.0], size=array.shape)


@pytest.mark.parametrize("case", RIGHT, ids=name_of)
def test_right_case_has_the_slopes_of_its_forward(case, capsys):
    rng = np.random.default_rng(3)
    args = case.inputs(rng)
    layer = new(case) if case.truth is None else new_truth(case)
    exact = tuple(np.array(a, dtype=np.float64) if is_real(a) else a for a in args)
    state = freeze(layer)
    y = layer.forward(*exact)
    dout = upstream(case, y, rng)
    if case.kinks:
        dout = np.abs(dout)  # L stays convex: a subgradient lies between the one-sided slopes
    result = dict(arrays(run(case, layer, exact, dout)))
    thaw(layer, state)
    objective = Objective(case, layer, exact, 1.0 if case.kind == "loss" else dout)
    variables = objective.variables()
    assert set(result) == set(variables)
    for name, array in variables.items():
        g = np.asarray(result[name])
        assert g.shape == array.shape
        size = np.abs(g).max(initial=0.0)
        for e in entries(array, rng):
            got = float((g * e).sum())
            if case.kinks:
                low, high = objective.one_sided(array, e)
                assert low <= got <= high, f"{name}: {got} outside [{low}, {high}]"
            else:
                expected, doubt = objective.slope(array, e)
                assert abs(got - expected) <= 1e-7 * size + doubt, f"{name}: {got} for {expected}"
        if case.kinks:
            low, high = objective.one_sided(array, np.ones(array.shape))
            assert low <= g.sum() <= high


@pytest.mark.parametrize("case", [c for c in RIGHT if c.truth is not None], ids=name_of)
def test_right_single_precision_case_agrees_with_its_double(case, capsys):
    rng = np.random.default_rng(4)
    args = case.inputs(rng)
    single, double = new(case), new_truth(case)
    y = single.forward(*args)
    double.forward(*[a.astype(np.float64) if is_real(a) else a for a in args])
    dout = upstream(case, np.asarray(y) if case.kind == "loss" else y, rng)
    pairs = zip(
        arrays(run(case, single, args, dout)),
        arrays(run(case, double, args, np.asarray(dout, np.float64))),
        strict=True,
    )
    for (name, a), (_, b) in pairs:
        assert a.dtype == np.float32, name
        assert np.abs(a - b).max() <= 2e-5 * np.abs(b).max(), name


@pytest.mark.parametrize("case", RIGHT, ids=name_of)
def test_right_case_keeps_the_contract(case, capsys):
    rng = np.random.default_rng(5)
    for _ in range(3):
        args = case.inputs(rng)
        layer = new(case)
        before = copy.deepcopy((args, params_of(layer)))
        dout = upstream(case, layer.forward(*args), rng)
        kept = np.copy(dout)
        first = arrays(run(case, layer, args, dout))
        copies = [a.copy() for _, a in first]
        second = arrays(run(case, layer, args, dout))
        for (name, a), (_, b), c in zip(first, second, copies, strict=True):
            assert np.array_equal(a, b), name
            assert np.array_equal(a, c), name
            assert not (np.shares_memory(a, dout) and a.shape == dout.shape), name
            assert np.isfinite(a).all(), name
        assert np.array_equal(dout, kept)
        for a, b in zip(args, before[0], strict=True):
            assert np.array_equal(a, b)
        assert all(np.array_equal(before[1][k], p) for k, p in params_of(layer).items())


def same_forward(case, layer, truth, args):
    y = layer.forward(*[copy.copy(a) for a in args])
    return y, np.allclose(y, truth.forward(*[copy.copy(a) for a in args]), rtol=1e-12, atol=0)


def differs(case, rng):
    """The named gradient is not the right class's, on the same forward."""
    layer, truth, args = new(case), new_truth(case), arguments(case, rng)
    y, agree = same_forward(case, layer, truth, args)
    assert agree, "the forwards differ"
    dout = upstream(case, y, rng)
    mine = dict(arrays(run(case, layer, args, copy.copy(dout))))
    right = dict(arrays(run(case, truth, args, copy.copy(dout))))
    wrong = set()
    for name, expected in right.items():
        size = np.abs(expected).max(initial=1e-300)
        got = mine.get(name)
        narrow = np.asarray(expected).dtype == np.float32
        bound = (1e-4 if narrow else 1e-11) * size
        fits = np.shape(got) == np.shape(expected)
        if not fits or np.abs(got - expected).max(initial=0.0) > bound:
            wrong.add(name)
    about = "dx" if case.about == "dscores" else case.about
    return bool(wrong) if about is None else about in wrong


@pytest.mark.parametrize("case", WRONG, ids=name_of)
def test_wrong_case_shows_its_mistake(case, capsys):
    shows = case.behaviour or BY_SLUG.get(case.slug)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        assert shows(case, rng) if shows else differs(case, rng), f"seed {seed}"


HIDDEN = [c for c in WRONG if c.shown_at is not None or c.shown_by is not None]


@pytest.mark.parametrize("case", [c for c in WRONG if c.slug == "ties"], ids=name_of)
def test_wrong_tie_fails_along_the_direction_that_moves_all_together(case):
    rng = np.random.default_rng(6)
    layer, args = new(case), arguments(case, rng)
    dout = rng.uniform(0.5, 1.5, size=layer.forward(*args).shape)
    dx, _ = layer.backward(dout)
    total = sum(np.sum(d) for d in dx) if isinstance(dx, tuple) else dx.sum()
    assert abs(total - dout.sum()) > 0.1


def test_names_are_unique():
    assert [n for n, count in Counter(c.name for c in CASES).items() if count > 1] == []


def test_labels_are_in_the_vocabulary():
    assert {c.slug for c in WRONG} == set(SLUGS)
    assert {s for c in WRONG for s in c.also} <= set(SLUGS)
    assert all(c.slug not in c.also for c in WRONG)


def test_every_slug_is_made_at_least_four_times_on_two_layers():
    for slug in SLUGS:
        mine = [c for c in WRONG if c.slug == slug]
        assert len(mine) >= 4, slug
        assert len({type(new_truth(c)) for c in mine}) >= 2, slug


NUMBERS = [c for c in WRONG if c.behaviour is None and c.slug not in BY_SLUG]


@pytest.mark.parametrize("case", NUMBERS, ids=name_of)
def test_wrong_number_is_the_only_fault(case, capsys):
    rng = np.random.default_rng(7)
    layer, args = new(case), arguments(case, rng)
    before = copy.deepcopy((args, params_of(layer)))
    dout = upstream(case, layer.forward(*args), rng)
    kept = np.copy(dout)
    first = copy.deepcopy(run(case, layer, args, dout))
    second = run(case, layer, args, dout)
    shapes = {f"d{k}": p for k, p in params_of(layer).items()}
    shapes |= {f"dx[{i}]": a for i, a in enumerate(args)} | {"dx": args[0]}
    for (name, a), (_, b) in zip(arrays(first), arrays(second), strict=True):
        assert np.array_equal(a, b), name
        assert np.isfinite(b).all(), name
        if isinstance(dout, np.ndarray):
            assert not (np.shares_memory(b, dout) and b.shape == dout.shape), name
        if "shape" not in case.also:
            assert np.shape(b) == np.shape(shapes[name]), name
        if "dtype" not in case.also and is_real(shapes[name]):
            assert np.asarray(b).dtype == np.asarray(shapes[name]).dtype, name
    assert np.array_equal(dout, kept)
    assert all(np.array_equal(a, b) for a, b in zip(args, before[0], strict=True))
    assert all(np.array_equal(before[1][k], p) for k, p in params_of(layer).items())
    expected = {f"d{name}" for name in params_of(layer)}
    assert expected <= {name for name, _ in arrays(first)}


RATIO = {
    "sign-flipped": lambda N: (-1.0,),
    "factor-of-two": lambda N: (2.0, 0.5),
    "batch-mean-missing": lambda N: (N,),
    "batch-mean-doubled": lambda N: (1 / N,),
    "dimension-scale": lambda N: None,
    "constant-scale": lambda N: None,
    "keep-probability": lambda N: None,
}


@pytest.mark.parametrize(
    "case",
    [c for c in NUMBERS if c.slug in RATIO and "unexplained" not in c.also and c.about],
    ids=name_of,
)
def test_scale_label_is_one_ratio(case):
    rng = np.random.default_rng(8)
    layer, truth, args = new(case), new_truth(case), arguments(case, rng)
    dout = upstream(case, layer.forward(*args), rng)
    truth.forward(*args)
    about = "dx" if case.about == "dscores" else case.about
    got = dict(arrays(run(case, layer, args, dout)))[about]
    expected = dict(arrays(run(case, truth, args, dout)))[about]
    ratios = got[expected != 0] / expected[expected != 0]
    assert np.ptp(ratios) < 1e-6 * abs(ratios.flat[0])
    allowed = RATIO[case.slug](len(np.atleast_1d(args[0])))
    assert allowed is None or np.isclose(ratios.flat[0], allowed).any()


def test_the_corpus_is_large_enough():
    assert len(RIGHT) >= 170
    assert len(WRONG) >= 340
    assert len(HIDDEN) >= 20


def test_inputs_have_the_same_shapes_at_every_point():
    for case in CASES:
        shapes = {
            tuple(np.shape(a) for a in case.inputs(np.random.default_rng(seed)))
            for seed in range(3)
        }
        assert len(shapes) == 1, case.name
