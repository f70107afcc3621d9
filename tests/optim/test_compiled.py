"""Rules as compiled loops: which rules take theirs, and the same steps as in vector operations."""

import copy
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from losses import L1, L2
from optim import SGD, Adam, AdamW, RMSProp, compiled

RULES = {
    "momentum": lambda: SGD(0.1, momentum=0.9),
    "nesterov": lambda: SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda: RMSProp(0.1, epsilon=0.01),
    "adam": lambda: Adam(0.1, epsilon=0.01),
    "adamw": lambda: AdamW(0.1, epsilon=0.01, weight_decay=0.3),
}


@pytest.fixture
def ran(monkeypatch):
    """The names of the loops that were run; they are run by Python."""
    names = []

    def in_python(loop):
        def run(*arguments):
            names.append(loop.__name__)
            loop(*arguments)

        return run

    monkeypatch.setattr(compiled, "compiled", in_python)
    monkeypatch.setattr(compiled, "LEAST", 10)
    return names


def test_a_loop_is_run_from_so_many_parameters_on(ran):
    for size, expected in (9, []), (10, ["adam"]), (11, ["adam", "adam"]):
        Adam().update(np.ones(size), np.ones(size))
        assert ran == expected


def test_weights_and_the_rest_are_two_runs(ran):
    Adam().update(np.ones(12), np.ones(12), 5)
    assert ran == ["adam", "adam"]


def test_plain_descent_has_no_loop(ran):
    SGD(0.1).update(np.ones(12), np.ones(12))
    assert ran == []


def halve(self, theta, grad, moments, scratch, decayed):
    np.multiply(theta, 0.5, out=theta)


def test_a_rule_of_somebodys_own_is_not_replaced_by_the_loop(ran):
    class Halving(Adam):
        update_block = halve

    put_in, theta = Adam(), np.ones(12)
    put_in.update_block = halve.__get__(put_in)
    for rule in Halving(), put_in:
        rule.update(theta, np.ones(12))
    assert ran == []
    np.testing.assert_array_equal(theta, np.full(12, 0.25))


def test_a_rule_with_numbers_of_its_own_keeps_the_loop(ran):
    class Slower(Adam):
        def begin_step(self):
            super().begin_step()
            self._rate /= 2

    theta = np.zeros(12)
    Slower(0.1).update(theta, np.ones(12))
    assert ran == ["adam"]
    np.testing.assert_allclose(theta, -0.05)


def test_a_copy_finds_its_own_loop(ran):
    rule = Adam()
    rule.update(np.ones(12), np.ones(12))
    twin = copy.deepcopy(rule)
    twin.update(np.ones(12), np.ones(12))
    assert ran == ["adam", "adam"]


def test_without_numba_there_is_no_loop(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "numba", None)
    assert compiled.compiled.__wrapped__(print) is None
    monkeypatch.setattr(compiled, "compiled", compiled.compiled.__wrapped__)
    monkeypatch.setattr(compiled, "LEAST", 1)
    theta = np.zeros(3)
    Adam(0.1).update(theta, np.ones(3))
    np.testing.assert_allclose(theta, -0.1)


@given(
    rule=st.sampled_from(sorted(RULES)),
    size=st.integers(1, 200),
    first=st.integers(0, 3),
    share=st.floats(0, 1),
    kind=st.sampled_from("fd"),
    penalties=st.lists(st.sampled_from([L2(0.1), L2(1e-9), L1(0.02)]), max_size=2),
    seed=st.integers(0, 2**32 - 1),
)
def test_compiled_steps_are_those_in_vector_operations(
    rule, size, first, share, kind, penalties, seed
):
    """From wherever in memory the vectors begin.

    ε is large: where a gradient and a penalty cancel, g / (|g| + ε) enlarges their rounding.
    """
    pytest.importorskip("numba")
    rng = np.random.default_rng(seed)
    start, n = rng.normal(size=size + first).astype(kind), int(share * size)
    gradients = rng.normal(size=(3, size)).astype(kind)
    thetas = []
    for least in 10**9, 1:
        theta, optimizer = start.copy()[first:], RULES[rule]()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compiled, "LEAST", least)
            for grad in gradients:
                optimizer.update(theta, grad, n, penalties)
        assert theta.dtype == kind
        thetas.append(theta)
    eps = np.finfo(kind).eps
    np.testing.assert_allclose(thetas[1], thetas[0], rtol=100 * eps, atol=1000 * eps)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_stays_so(rule, value, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr(compiled, "LEAST", 1)
    theta, grad = np.ones(40, np.float32), np.ones(40, np.float32)
    grad[7] = value
    with np.errstate(invalid="ignore"):
        RULES[rule]().update(theta, grad)
    assert not np.isfinite(theta[7])
    assert np.isfinite(np.delete(theta, 7)).all()
