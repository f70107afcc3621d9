"""Update rules: steps worked by hand, blocks, types, errors, saving and going on.

Each test runs four times: with the rule in vector operations, with its loop over the entries as
Python runs it, and, if Numba is installed, with this loop compiled, whole and in parts.
"""

import copy
import math

import numpy as np
import pytest

import blas
import optim.base
from losses import L1, L2
from optim import SGD, Adam, AdamW, Optimizer, RMSProp, compiled

RULES = {
    "plain": lambda: SGD(0.1),
    "momentum": lambda: SGD(0.1, momentum=0.9),
    "nesterov": lambda: SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda: RMSProp(0.1),
    "adam": lambda: Adam(0.1),
    "adamw": lambda: AdamW(0.1, weight_decay=0.3),
}


def in_python(loop):
    return lambda vectors, numbers: loop(*vectors, *numbers)


@pytest.fixture(params=["vectors", "loop", "compiled", "in parts"], autouse=True)
def way(request, monkeypatch):
    if request.param in ("compiled", "in parts"):
        pytest.importorskip("numba")
    if request.param == "loop":
        monkeypatch.setattr(compiled, "compiled", in_python)
    if request.param == "in parts":
        if blas.threads() < 2:
            pytest.skip("one thread, or another BLAS")
        monkeypatch.setattr(compiled, "LEAST_PART", 1)
    for kind in Optimizer, SGD:
        monkeypatch.setattr(kind, "loop_from", 10**9 if request.param == "vectors" else 1)
    return request.param


@pytest.fixture(params=RULES)
def make(request):
    return RULES[request.param]


def run(rule, gradients, theta, n_decayed=None):
    for grad in gradients:
        rule.update(theta, grad, n_decayed)
    return theta


def test_plain_sgd():
    theta = run(SGD(0.5), [np.array([2.0, -4])], np.array([1.0, 1]))
    np.testing.assert_array_equal(theta, [0, 3])


def test_momentum():
    # v = 1, then 0.5·1 + 2 = 2.5; θ = 0 − 0.1·1 − 0.1·2.5
    rule = SGD(0.1, momentum=0.5)
    theta = run(rule, [np.array([1.0]), np.array([2.0])], np.zeros(1))
    assert theta[0] == pytest.approx(-0.35, rel=1e-15)
    assert rule.state["velocity"][0] == 2.5
    assert rule.steps == 2


def test_nesterov():
    # v = 1, step 1 + 0.5·1 = 1.5; v = 2.5, step 2 + 0.5·2.5 = 3.25
    theta = run(SGD(0.1, 0.5, nesterov=True), [np.array([1.0]), np.array([2.0])], np.zeros(1))
    assert theta[0] == pytest.approx(-0.475, rel=1e-15)


def test_rmsprop():
    # v = 0.25·16 = 4, then 0.75·4 + 0.25·4 = 4: both roots are 2
    rule = RMSProp(0.1, decay=0.75, epsilon=0.5)
    theta = run(rule, [np.array([4.0]), np.array([2.0])], np.zeros(1))
    assert theta[0] == pytest.approx(-0.1 * (4 / 2.5 + 2 / 2.5), rel=1e-14)
    assert rule.state["square"][0] * (1 - 0.75) == pytest.approx(4)


def test_adam():
    # g = 2: m = 1, v = 2, and with β₁ = β₂ = ½: m̂ = 1/½ = 2, v̂ = 2/½ = 4
    # g = 0: m = ½, v = 1, m̂ = ½/¾ = 2/3, v̂ = 1/¾ = 4/3
    rule = Adam(0.1, beta1=0.5, beta2=0.5, epsilon=1.0)
    theta = run(rule, [np.array([2.0]), np.array([0.0])], np.zeros(1))
    expected = -0.1 * 2 / (2 + 1) - 0.1 * (2 / 3) / (math.sqrt(4 / 3) + 1)
    assert theta[0] == pytest.approx(expected, rel=1e-14)


def test_adamw_decays_the_first_parameters_apart_from_the_gradient():
    rule = AdamW(0.1, weight_decay=0.5)
    theta = run(rule, [np.zeros(3)], np.array([1.0, 2, 3]), n_decayed=2)
    np.testing.assert_allclose(theta, [0.95, 1.9, 3], rtol=1e-15)
    theta = run(AdamW(0.1, weight_decay=0.5), [np.zeros(3)], np.array([1.0, 2, 3]))
    np.testing.assert_allclose(theta, [0.95, 1.9, 2.85], rtol=1e-15)
    theta = run(AdamW(0.1, weight_decay=0.5), [np.zeros(3)], np.array([1.0, 2, 3]), n_decayed=0)
    np.testing.assert_array_equal(theta, [1, 2, 3])


def test_learning_rate_may_change_between_steps():
    rule = SGD(1.0, momentum=0.5)
    theta = np.zeros(1)
    rule.update(theta, np.array([1.0]))
    rule.lr = 0.1
    rule.update(theta, np.array([1.0]))
    assert theta[0] == pytest.approx(-1 - 0.1 * 1.5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_decayed", [None, 0, 5, 16, 20, 61])
def test_blocks_make_no_difference(make, dtype, n_decayed, monkeypatch):
    rng = np.random.default_rng(0)
    start = rng.standard_normal(61).astype(dtype)
    gradients = [rng.standard_normal(61).astype(dtype) for _ in range(4)]
    whole_rule, blocked_rule = make(), make()
    whole = run(whole_rule, gradients, start.copy(), n_decayed)
    monkeypatch.setattr(optim.base, "BLOCK_BYTES", 8 * start.itemsize)
    blocked = run(blocked_rule, gradients, start.copy(), n_decayed)
    np.testing.assert_array_equal(blocked, whole)
    assert whole.dtype == dtype
    assert np.all(whole != start)
    for name, moment in whole_rule.state.items():
        assert moment.dtype == dtype
        np.testing.assert_array_equal(blocked_rule.state[name], moment)


def test_a_vector_of_many_real_blocks(make, way):
    """Entry by entry a long vector moves as a short one does, but for the rounding of its sums."""
    if way == "loop":
        pytest.skip("Python is slow")
    rng = np.random.default_rng(0)
    size = 3 * optim.base.BLOCK_BYTES // 4 + 7
    start = rng.standard_normal(size).astype(np.float32)
    gradients = [rng.standard_normal(size).astype(np.float32) for _ in range(2)]
    theta = run(make(), gradients, start.copy())
    some = rng.permutation(size)[:1000]
    few = run(make(), [grad[some] for grad in gradients], start[some])
    np.testing.assert_allclose(theta[some], few, rtol=1e-6, atol=1e-6)


def test_gradient_is_only_read(make):
    grad = np.arange(1.0, 6)
    grad.flags.writeable = False
    run(make(), [grad, grad], np.ones(5))
    np.testing.assert_array_equal(grad, np.arange(1.0, 6))


def test_zero_gradient_from_the_start_moves_nothing(make):
    rule = make()
    theta = run(rule, [np.zeros(3, np.float32)], np.ones(3, np.float32), n_decayed=0)
    np.testing.assert_array_equal(theta, np.ones(3))


def test_loaded_optimizer_goes_on_as_the_first(make):
    rng = np.random.default_rng(3)
    gradients = list(rng.standard_normal((6, 9)))
    straight = run(make(), gradients, np.ones(9))
    first, second = make(), make()
    theta = run(first, gradients[:3], np.ones(9))
    second.load(first.state, first.steps)
    twin = copy.deepcopy(first)
    for moment in first.state.values():
        moment[...] = np.nan  # the copies are copies
    copied = theta.copy()
    np.testing.assert_array_equal(run(second, gradients[3:], theta), straight)
    np.testing.assert_array_equal(run(twin, gradients[3:], copied), straight)
    assert second.steps == 6


def test_load_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"Adam: state has \['velocity'\], expected \['mean', 'sq"):
        Adam().load({"velocity": np.ones(2)}, 1)
    rule = SGD(0.1, momentum=0.9)
    rule.load({"velocity": np.ones(2)}, 1)
    with pytest.raises(
        ValueError, match=r"SGD: its velocity is float64 \(2,\), but theta .* \(3,\)"
    ):
        rule.update(np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match=r"but theta is float32 \(2,\)"):
        rule.update(np.ones(2, np.float32), np.ones(2, np.float32))
    used = SGD(0.1, momentum=0.9)
    used.update(np.ones(3), np.ones(3))
    used.load({"velocity": np.ones(1)}, 1)
    with pytest.raises(ValueError, match=r"SGD: its velocity is float64 \(1,\)"):
        used.update(np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="Adam: steps is -1"):
        Adam().load({}, -1)


def test_one_optimizer_serves_one_vector():
    rule = Adam()
    rule.update(np.ones(4), np.ones(4))
    with pytest.raises(ValueError, match="one optimizer serves one vector"):
        rule.update(np.ones(5), np.ones(5))


def test_vectors_that_do_not_fit(make):
    with pytest.raises(ValueError, match=r"theta has shape \(2,\), grad \(3,\)"):
        make().update(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match=r"theta has shape \(2, 2\)"):
        make().update(np.ones((2, 2)), np.ones((2, 2)))
    with pytest.raises(TypeError, match="theta is float64, grad float32"):
        make().update(np.ones(2), np.ones(2, np.float32))
    with pytest.raises(TypeError, match="theta is int64"):
        make().update(np.ones(2, np.int64), np.ones(2, np.int64))
    with pytest.raises(ValueError, match="must be contiguous"):
        make().update(np.ones(6)[::2], np.ones(3))
    with pytest.raises(ValueError, match="must be contiguous"):
        make().update(np.ones(3), np.ones(6)[::2])
    for n_decayed in (-1, 3):
        with pytest.raises(ValueError, match=rf"n_decayed is {n_decayed}, expected 0\.\.2"):
            make().update(np.ones(2), np.ones(2), n_decayed)


def test_a_refused_update_leaves_no_trace(make):
    rule = make()
    theta = np.ones(2)
    with pytest.raises(ValueError, match="n_decayed"):
        rule.update(theta, np.ones(2), 7)
    assert rule.steps == 0
    np.testing.assert_array_equal(theta, [1, 1])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SGD(0), r"SGD: lr is 0, expected a finite number > 0"),
        (lambda: SGD(-1), r"SGD: lr is -1"),
        (lambda: Adam(lr=math.nan), r"Adam: lr is nan"),
        (lambda: AdamW(lr=math.inf), r"AdamW: lr is inf"),
        (lambda: SGD(1, momentum=1), r"SGD: momentum is 1, expected a finite number ≥ 0 and < 1"),
        (lambda: SGD(1, momentum=-0.1), r"SGD: momentum is -0\.1"),
        (lambda: SGD(1, nesterov=True), r"SGD: nesterov needs momentum > 0"),
        (lambda: RMSProp(decay=1), r"RMSProp: decay is 1"),
        (lambda: RMSProp(epsilon=0), r"RMSProp: epsilon is 0, expected a finite number > 0"),
        (lambda: Adam(beta1=1), r"Adam: beta1 is 1"),
        (lambda: Adam(beta2=-0.5), r"Adam: beta2 is -0\.5"),
        (lambda: Adam(epsilon=0), r"Adam: epsilon is 0"),
        (lambda: AdamW(weight_decay=-1), r"AdamW: weight_decay is -1, expected .* ≥ 0"),
    ],
)
def test_bad_options(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("value", ["0.1", True, None, [0.1]])
def test_options_that_are_no_numbers(value):
    with pytest.raises(TypeError, match=r"SGD: lr is .*, expected a number"):
        SGD(value)
    with pytest.raises(TypeError, match=r"Adam: beta1 is .*, expected a number"):
        Adam(beta1=value)


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), np.int64(1)])
def test_numpy_numbers_are_options(value):
    rule = SGD(value)
    assert type(rule.lr) is float
    assert rule.lr == value


def test_quadratic_bowl_is_descended(make):
    """½ Σ cᵢ (θᵢ − 1)², curvatures 1 to 10."""
    curvature = np.linspace(1, 10, 10)
    theta, rule = np.zeros(10), make()
    for step in range(600):
        rule.lr = 0.1 * 0.985**step
        rule.update(theta, curvature * (theta - 1), n_decayed=0)
    np.testing.assert_allclose(theta, 1, atol=2e-3)


def test_reprs_can_be_evaluated(make):
    rule = make()
    names = {"SGD": SGD, "RMSProp": RMSProp, "Adam": Adam, "AdamW": AdamW}
    kind, _, options = repr(rule)[:-1].partition("(")
    again = names[kind](
        **{
            k: float(v) if v != "True" else True
            for k, v in (item.split("=") for item in options.split(", ") if "False" not in item)
        }
    )
    assert {k: v for k, v in vars(again).items() if isinstance(v, float)} == {
        k: v for k, v in vars(rule).items() if isinstance(v, float)
    }


def test_every_rule_is_tested_here():
    def below(kind):
        return {kind}.union(*(below(sub) for sub in kind.__subclasses__()))

    public = {kind for kind in below(Optimizer) if kind.__module__.startswith("optim.")}
    assert public - {Optimizer} == {type(make()) for make in RULES.values()}


@pytest.mark.parametrize("size", [61, 300_007])  # one block; several, the last a short one
def test_penalties_of_an_update_are_those_of_the_gradient(make, way, size):
    if way == "loop" and size > 100:
        pytest.skip("Python is slow")
    rng = np.random.default_rng(0)
    start, grad = rng.normal(size=(2, size))
    penalties, n = [L2(0.1), L1(0.02)], size - 5
    apart, together = start.copy(), start.copy()
    full = grad.copy()
    for penalty in penalties:
        penalty.add_gradient(apart[:n], full[:n])
    make().update(apart, full, n)
    rule = make()
    rule.update(together, grad.copy(), n, penalties)
    np.testing.assert_allclose(together, apart, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("strength", [1e-6, 1e-5, 1e-4, 1e-3, 0.1])
def test_a_weak_penalty_is_not_lost_in_the_rounding_of_a_float32(strength):
    """1 − 2 λ lr is 1 in float32 for a small λ: the decay of many steps tells them apart."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=2000).astype(np.float32)
    start, rule, lr = theta.astype(np.float64), SGD(0.01), 0.01
    for _ in range(300):
        grad = rng.normal(size=theta.size).astype(np.float32)
        rule.update(theta, grad, None, [L2(strength)])
        start -= lr * grad
    exact = np.float64(theta) - start  # what the penalty did, and the rounding
    steps = 300 * 2 * strength * lr
    share = -np.dot(exact, start) / np.dot(start, start)
    assert share == pytest.approx(-np.expm1(-steps), rel=0.02)


class Part:
    """What blas.Product is to an update rule: a part of the gradient that can be added."""

    def __init__(self, gradient, start):
        self.gradient, self.part = gradient, slice(start, start + gradient.size)

    def add_to(self, vector, a, c):
        vector[self.part] = c * vector[self.part] + a * self.gradient


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("lr", [1e-3, 0.5, 3.0])
@pytest.mark.parametrize("penalties", [[], [L2(1e-9)], [L2(0.1)], [L2(0.1), L1(0.02)]], ids=repr)
def test_a_gradient_in_products_gives_the_same_step(lr, momentum, penalties):
    rng = np.random.default_rng(0)
    start = rng.normal(size=100)
    plain, other_rule = SGD(lr, momentum), SGD(lr, momentum)
    theta, other = start.copy(), start.copy()
    for _ in range(3):
        grad = rng.normal(size=100)
        plain.update(theta, grad, 90, penalties)
        products = ()
        if other_rule.ready_for_products(penalties, theta.dtype):
            products = Part(grad[:60].copy(), 0), Part(grad[60:90].copy(), 60)
            grad[:90] = np.nan  # is not there
        other_rule.update(other, grad, 90, penalties, products)
    assert bool(products) == (momentum > 0 or len(penalties) < 2)
    np.testing.assert_allclose(other, theta, rtol=1e-12, atol=1e-14)


def test_which_rules_take_products():
    taking = [name for name, make in RULES.items() if make().ready_for_products([], np.dtype("f"))]
    assert taking == [name for name in RULES if isinstance(RULES[name](), SGD)
                      and not RULES[name]().nesterov]  # fmt: skip


def test_a_rule_made_of_sgd_gets_the_gradient_and_its_penalties_whole():
    class Signs(SGD):
        def update_block(self, theta, grad, moments, scratch, decayed):
            np.subtract(theta, self.lr * np.sign(grad), out=theta)

    rule, theta = Signs(0.5), np.array([1.0, -1.0, 3.0])
    assert not rule.ready_for_products([], theta.dtype)
    rule.update(theta, np.array([1.0, 1.0, 1.0]), None, [L2(10)])
    assert theta.tolist() == [0.5, -0.5, 2.5]


def test_a_penalty_made_of_l2_is_applied_whole():
    class Elastic(L2):
        def block_gradient(self, W, out):
            return np.add(super().block_gradient(W, out), np.sign(W), out=out)

    rule, theta = SGD(0.5), np.array([1.0, -1.0])
    assert not rule.ready_for_products([Elastic(0.1)], theta.dtype)
    rule.update(theta, np.zeros(2), None, [Elastic(0.1)])
    np.testing.assert_allclose(theta, [0.4, -0.4])


def test_a_rule_that_overrides_the_update_gets_the_gradient_as_it_is():
    class Clipped(SGD):
        def update(self, theta, grad, n_decayed=None, penalties=()):
            super().update(theta, np.clip(grad, -0.01, 0.01), n_decayed, penalties)

    assert not Clipped(0.1).ready_for_products([], np.dtype(np.float64))


@pytest.mark.parametrize("strength", [1e-6, 1e-4])
def test_a_rate_in_float32_loses_no_penalty_in_float64(strength):
    rule, theta = SGD(0.01), np.ones(3)
    rule.lr = np.float32(0.01)
    rule.update(theta, np.zeros(3), None, [L2(strength)])
    np.testing.assert_allclose(1 - theta, 0.02 * strength, rtol=1e-6)


def test_a_rate_of_0_moves_nothing(make):
    """The end of a schedule."""
    rule, theta = make(), np.array([1.0, -2, 3])
    rule.lr = 0.0
    rule.update(theta, np.ones(3), 2, [L2(0.1), L1(0.1)])
    np.testing.assert_array_equal(theta, [1, -2, 3])


def test_a_penalty_on_another_float_type_is_added():
    theta = np.ones(3, np.float16)
    assert SGD(0.1).absorb([L2(0.1)], theta.dtype) != []


def test_moments_begin_where_theta_does_loaded_ones_too(make):
    theta = np.zeros(3000)[7:]
    rule = make()
    rule.update(theta, np.ones_like(theta))
    other = make()
    other.load(rule.state, rule.steps)
    thetas = [theta, theta.copy()]
    for each, vector in zip((rule, other), thetas, strict=True):
        each.update(vector, np.ones_like(theta))
        for moment in each.state.values():
            assert (moment.ctypes.data - vector.ctypes.data) % 4096 == 0
    np.testing.assert_array_equal(*thetas)
