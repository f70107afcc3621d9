"""Compiled loops on the threads of the BLAS: the same numbers as on one, or not on them at all."""

import ctypes
import math
import os
import subprocess
import sys
import threading
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

import blas
from optim import SGD, Adam, Optimizer, RMSProp, compiled
from optim.in_parts import InParts

pytest.importorskip("numba")
pytestmark = pytest.mark.skipif(blas.threads() < 2, reason="one thread, or another BLAS")

ROOT = Path(__file__).parent.parent.parent
NUMBERS = {Adam: (0.01, 0.9, 0.9, 0.99, 0.1, 1e-3), RMSProp: (0.01, 0.9, 0.1, 1e-3),
           SGD: (0.01, 0.9, 0.1, 1.0)}  # fmt: skip


@lru_cache
def ready(loop, vectors, numbers, kind="f"):
    """The loop by itself, and in parts."""
    alone = compiled.compiled(loop)._machine_code
    return alone, InParts(alone, np.dtype(kind), vectors, numbers)


def same_numbers(a, b):
    """To the last bit and the sign of a zero; of what is not a number the bits are nobody's."""
    kind = {4: np.int32, 8: np.int64}[a.itemsize]
    a, b = (np.where(np.isnan(v), 0, v.view(kind)) + np.isnan(v) for v in (a, b))
    np.testing.assert_array_equal(a, b)


EDGES = (0.0, -0.0, math.inf, -math.inf, math.nan, 1e-40, -1e-310, 1e38)


@given(
    rule=st.sampled_from([Adam, RMSProp, SGD]),
    kind=st.sampled_from("fd"),
    size=st.integers(1, 700),
    first=st.integers(0, 17),
    edges=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 699), st.sampled_from(EDGES))),
    seed=st.integers(0, 2**32 - 1),
)
def test_parts_are_the_whole_bit_by_bit(rule, kind, size, first, edges, seed):
    """From wherever in memory the vectors begin; nothing beside them is touched."""
    rng, count = np.random.default_rng(seed), 4 if rule is Adam else 3
    alone, in_parts = ready(rule.loop, count, len(NUMBERS[rule]), kind)
    assert in_parts.works
    whole = [rng.normal(size=size + first + 5).astype(kind) for _ in range(count)]
    whole[-1] **= 2
    with np.errstate(under="ignore"):
        for vector, entry, value in edges:
            whole[vector % count][entry % whole[0].size] = value
    parts = [vector.copy() for vector in whole]
    numbers = [*map(np.dtype(kind).type, NUMBERS[rule])]
    alone(*[vector[first : first + size] for vector in whole], *numbers)
    in_parts.run([vector[first : first + size] for vector in parts], numbers, blas.threads())
    for a, b in zip(whole, parts, strict=True):
        same_numbers(a, b)


@pytest.fixture
def in_parts_ran(monkeypatch):
    """The entries and threads of each loop that was run in parts, here from 200 entries on."""
    ran = []
    run = InParts.run

    def counted(self, vectors, numbers, threads):
        ran.append((vectors[0].size, threads))
        run(self, vectors, numbers, threads)

    monkeypatch.setattr(InParts, "run", counted)
    monkeypatch.setattr(compiled, "LEAST_PART", 100)
    monkeypatch.setattr(Adam, "loop_from", 1)
    return ran


def test_a_long_vector_is_for_all_threads_and_a_short_one_for_this(in_parts_ran):
    Adam().update(np.ones(1200), np.ones(1200), 1001)  # the rest, 199 entries, is less than two
    assert in_parts_ran[-1] == (1001, min(blas.threads(), 10))
    in_parts_ran.clear()
    Adam().update(np.ones(199), np.ones(199))
    with threadpool_limits(1):
        Adam().update(np.ones(1200), np.ones(1200))
    assert in_parts_ran == []


def test_on_another_blas_all_is_done_here(in_parts_ran, monkeypatch):
    monkeypatch.setattr(blas.parts, "splitter", lambda: None)
    theta = np.ones(1200)
    Adam(0.1).update(theta, np.ones(1200))
    np.testing.assert_allclose(theta, 0.9)
    assert in_parts_ran == []
    with pytest.raises(RuntimeError, match="cannot be given work"):
        blas.in_parts(0, 1, 0, 2)


def total(theta, grad, lr):
    """Not entry by entry."""
    s = 0.0
    for i in range(grad.size):
        s += grad[i]
    for i in range(grad.size):
        theta[i] -= lr * s


def many(theta, grad, a, b, c, lr):
    for i in range(theta.size):
        theta[i] -= lr * (grad[i] + a[i] + b[i] + c[i])


def busy(theta, a, b, c, d, e, f, g, h, i):
    for k in range(theta.size):
        theta[k] -= a + b + c + d + e + f + g + h + i


@pytest.mark.parametrize(
    ("loop", "vectors", "numbers"), [(total, 2, 1), (many, 5, 1), (busy, 1, 9)]
)
def test_a_loop_that_does_not_work_in_parts_is_not_cut(loop, vectors, numbers):
    """One that is not entry by entry, or takes more than there is room for."""
    assert not ready(loop, vectors, numbers)[1].works


def test_nor_is_a_loop_of_somebodys_own(in_parts_ran):
    """What it raises is heard, too."""

    class Strict(Optimizer):
        moments = ("seen",)
        loop_from = 1

        def loop(theta, grad, seen, lr):
            for i in range(theta.size):
                if math.isnan(grad[i]):
                    raise ValueError("not a number")
                theta[i] -= lr * grad[i]

        def numbers(self, decay, decayed):
            return (self.lr,)

        def update_block(self, theta, grad, moments, scratch, decayed):
            raise AssertionError

    grad = np.ones(1200)
    theta = np.ones(1200)
    Strict(0.5).update(theta, grad)
    np.testing.assert_array_equal(theta, 0.5)
    grad[700] = math.nan
    with pytest.raises(ValueError, match="not a number"):
        Strict(0.5).update(theta, grad)
    assert in_parts_ran == []


def test_a_part_outside_the_vectors_is_not_touched():
    """Should a BLAS cut in other steps than was thought."""
    _, in_parts = ready(SGD.loop, 3, 4)
    called = []
    vectors = [np.ones(8, np.float32) for _ in range(3)]
    integer, address, real = ctypes.c_int64, ctypes.c_size_t, ctypes.c_float
    kinds = (integer, integer, integer, real, address, integer, address, integer, address, integer)
    part = ctypes.CFUNCTYPE(None, *kinds, address)(in_parts._part.address)

    def keep(address_, entries, data, threads):
        called.append(data)
        for count, begin in (
            (8, blas.parts.STEP),
            (4, 5 * blas.parts.STEP),
            (8, -8 * blas.parts.STEP),
        ):
            part(count, entries, 0, 0, begin % 2**64, 1, 0, 0, data, 0, 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blas, "in_parts", keep)
        in_parts.run(vectors, (0, 0.5, 0.5, 0), 2)
    assert called
    for vector in vectors:
        np.testing.assert_array_equal(vector, 1)


def test_a_blas_that_cuts_otherwise_is_found_out(monkeypatch):
    monkeypatch.setattr(blas, "in_parts", lambda *arguments: None)
    assert not InParts(ready(SGD.loop, 3, 4)[0], np.dtype(np.float32), 3, 4).works


def test_python_threads_may_update_at_once(in_parts_ran):
    rng = np.random.default_rng(0)
    thetas = [rng.normal(size=5000) for _ in range(4)]
    grads = [rng.normal(size=5000) for _ in range(4)]
    expected = [theta.copy() for theta in thetas]

    def work(theta, grad):
        rule = Adam(0.1)
        for _ in range(200):
            rule.update(theta, grad)

    workers = [threading.Thread(target=work, args=pair, daemon=True)
               for pair in zip(thetas, grads, strict=True)]  # fmt: skip
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive()
    assert in_parts_ran.count((5000, blas.threads())) == 4 * 200
    with threadpool_limits(1):
        for theta, expected_, grad in zip(thetas, expected, grads, strict=True):
            work(expected_, grad)
            np.testing.assert_array_equal(theta, expected_)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_updates_too():
    """In which the BLAS's threads are gone until it starts them again."""
    code = """
import os
import numpy as np
from optim import Adam
theta = np.ones(1_000_000, np.float32)
Adam(0.1).update(theta, theta.copy())
child = os.fork()
Adam(0.1).update(theta, theta.copy())
if child:
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(status, theta[0], theta[-1])
else:
    os._exit(0 if (theta == theta[0]).all() and theta[0] < 0.81 else 1)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          timeout=120, check=True)  # fmt: skip
    status, *ends = done.stdout.split()
    assert status == "0"
    assert all(math.isclose(float(end), 0.8, rel_tol=1e-5) for end in ends)
