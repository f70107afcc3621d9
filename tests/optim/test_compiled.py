"""Rules as compiled loops: which rules take theirs, and the same steps as in vector operations."""

import math
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment.threads import numerics
from losses import L1, L2
from optim import SGD, Adam, AdamW, Optimizer, RMSProp, compiled

ROOT = Path(__file__).parent.parent.parent
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
        def run(vectors, numbers):
            names.append(loop.__name__)
            loop(*vectors, *numbers)

        return run

    monkeypatch.setattr(compiled, "compiled", in_python)
    loop_from(10, monkeypatch)
    return names


def loop_from(entries, monkeypatch):
    for kind in Optimizer, SGD:
        monkeypatch.setattr(kind, "loop_from", entries)


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


class Halving(Adam):
    update_block = halve


class Cooperative(AdamW, Halving):
    """AdamW's rule asks Python for the next one, which is Halving's."""


class Mixin:
    """Not an Optimizer."""

    update_block = halve


class Mixed(Mixin, Adam):
    """Python finds the mixin's rule."""


class LoopAlone(Adam):
    """A loop that stands beside no `update_block`."""

    loop = staticmethod(Adam.loop)


@pytest.mark.parametrize("kind", [Halving, Cooperative, Mixed])
def test_a_rule_of_somebodys_own_is_not_replaced_by_the_loop(ran, kind):
    theta = np.ones(12)
    kind().update(theta, np.ones(12), 0)
    assert ran == []
    np.testing.assert_array_equal(theta, np.full(12, 0.5))


def test_nor_is_one_put_into_an_object_or_a_class_at_any_time(ran, monkeypatch):
    rule, theta = Adam(), np.ones(12)
    rule.update(theta, np.ones(12))
    theta[...] = 1
    rule.update_block = halve.__get__(rule)
    rule.update(theta, np.ones(12))
    monkeypatch.setattr(Adam, "update_block", halve)
    Adam().update(theta, np.ones(12))
    assert ran == ["adam"]
    np.testing.assert_array_equal(theta, np.full(12, 0.25))


def test_a_loop_alone_is_not_run(ran):
    LoopAlone().update(np.ones(12), np.ones(12))
    assert ran == []


class Unweighed(AdamW):
    """Its own rule leaves AdamW's decay out."""

    def update_block(self, *arguments):
        Adam.update_block(self, *arguments)


def test_adams_rule_decays_nothing(ran):
    for kind, size in (Adam, 4), (Adam, 12), (Unweighed, 12):
        rule, theta = kind(0.1), np.full(size, 100.0)
        rule.weight_decay = 0.5  # Adam has none: a subclass's own
        rule.update(theta, np.ones(size))
        np.testing.assert_allclose(theta, 99.9)
    assert ran == ["adam"]


class OwnLoop(Optimizer):
    """A rule of somebody's own, written twice; its loop is a plain function of the class."""

    moments = ("seen",)

    def loop(theta, grad, seen, lr):
        for i in range(theta.size):
            theta[i] -= lr * grad[i]
            seen[i] += 1

    def numbers(self, decay, decayed):
        return (self.lr,)

    def update_block(self, theta, grad, moments, scratch, decayed):
        theta -= self.lr * grad
        moments[0][...] += 1


def test_a_loop_of_somebodys_own_is_run(ran):
    rule, theta = OwnLoop(0.5), np.zeros(12)
    rule.update(theta, np.ones(12))
    assert ran == ["loop"]
    np.testing.assert_array_equal(theta, -0.5)
    np.testing.assert_array_equal(rule.state["seen"], 1)


def test_a_class_made_with_words_is_made(ran):
    class Named:
        def __init_subclass__(cls, name, **options):
            super().__init_subclass__(**options)
            cls.called = name

    class Mine(Adam, Named, name="mine"):
        pass

    assert Mine.called == "mine"
    Mine().update(np.ones(12), np.ones(12))
    assert ran == ["adam"]


def test_what_is_left_of_a_gradient_in_products_is_not_worth_a_loop(ran):
    """Momentum in a Solver: the biases alone."""

    class Part:
        def add_to(self, vector, a, c):
            vector[:11] *= c

    SGD(0.1, momentum=0.9).update(np.ones(12), np.ones(12), 11, (), [Part()])
    assert ran == []
    SGD(0.1, momentum=0.9).update(np.ones(32), np.ones(32), 11, (), [Part()])
    assert ran == ["momentum"]


def test_vectors_of_another_byte_order_do_without(ran):
    theta, swapped = np.ones(12), np.dtype(np.float64).newbyteorder()
    Adam(0.1).update(theta.astype(swapped), np.ones(12, swapped))
    assert ran == []


@pytest.mark.parametrize("locked", ["theta", "mean"])
def test_a_vector_that_may_not_be_written_is_refused_as_by_numpy(ran, locked):
    rule, theta = Adam(0.1), np.ones(12)
    rule.update(theta, np.ones(12))
    vector = theta if locked == "theta" else rule.state[locked]
    vector.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        rule.update(theta, np.ones(12))
    assert ran == ["adam"]


@pytest.mark.parametrize("rule", RULES)
def test_no_decay_of_what_is_infinite_is_none(rule, monkeypatch):
    for least in 10**9, 1:
        loop_from(least, monkeypatch)
        theta = np.array([-np.inf, 1.0])
        RULES[rule]().update(theta, np.zeros(2), 0)
        np.testing.assert_array_equal(theta, [-np.inf, 1])


def test_a_rule_with_numbers_of_its_own_keeps_the_loop(ran):
    class Slower(Adam):
        def begin_step(self):
            super().begin_step()
            self._rate /= 2

    theta = np.zeros(12)
    Slower(0.1).update(theta, np.ones(12))
    assert ran == ["adam"]
    np.testing.assert_allclose(theta, -0.05)


def in_fresh_python(*lines):
    """What the lines print, in a process of their own."""
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", "\n".join(lines)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip


UPDATE = (
    "import numpy as np",
    "from optim import Adam",
    "theta = np.zeros(100_000, np.float32)",
    "Adam(0.1).update(theta, np.ones_like(theta))",
    "print(theta[0], theta[-1])",
)


@pytest.mark.parametrize(
    ("stub", "warned"),
    [
        ("raise ModuleNotFoundError(name='numba')", ""),
        ("raise ImportError('an older NumPy')", "Numba cannot be used: an older NumPy"),
        ("raise OSError('no llvmlite')", "RuntimeWarning: Numba cannot be used: no llvmlite"),
    ],
)
def test_without_a_numba_that_works_there_is_no_loop(tmp_path, stub, warned):
    (tmp_path / "numba.py").write_text(stub)
    done = in_fresh_python("import sys", f"sys.path.insert(0, {str(tmp_path)!r})", *UPDATE)
    assert done.stdout == "-0.1 -0.1\n"
    assert warned in done.stderr
    assert bool(warned) == bool(done.stderr)


def test_where_numba_is_told_not_to_compile_there_is_no_loop():
    pytest.importorskip("numba")
    done = in_fresh_python(
        "import os", "os.environ['NUMBA_DISABLE_JIT'] = '1'", *UPDATE,
        "from optim import compiled",
        "print(compiled.compiled(Adam.loop))",
    )  # fmt: skip
    assert done.stdout == "-0.1 -0.1\nNone\n"


def test_a_checkpoint_says_which_numba_there_was(monkeypatch):
    pytest.importorskip("numba")
    assert numerics()["numba"] == version("numba")
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert numerics()["numba"] == f"{version('numba')}, off"


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
            loop_from(least, patch)
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
    loop_from(1, monkeypatch)
    theta, grad = np.ones(40, np.float32), np.ones(40, np.float32)
    grad[7] = value
    with np.errstate(invalid="ignore"):
        RULES[rule]().update(theta, grad)
    assert not np.isfinite(theta[7])
    assert np.isfinite(np.delete(theta, 7)).all()
