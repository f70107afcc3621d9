"""Training by replayed steps is training by the layers, whatever is done to the parts."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest

import blas
import data
from layers import BatchNorm, Dropout, Flatten, Linear, ReLU, Sequential, Tanh
from losses import L2, MSE, SoftmaxCrossEntropy
from losses.objective import Objective
from optim import SGD
from solver import Diverged, Solver

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((150, 6)), rng.integers(0, 4, 150)


def linear(D, M, seed, **options):
    return Linear(D, M, rng=seed, dtype=np.float64, **options)


def chain(*middle, kind=Sequential):
    return kind(linear(6, 8, 0), *(middle or (ReLU(),)), linear(8, 4, 1))


def trained(net, *callbacks, momentum=0.0, penalties=(), loss=None, prepare=None, kind=Objective):
    """θ and the last loss after two epochs; `prepare(objective)` comes before."""
    objective = kind(net, loss or SoftmaxCrossEntropy(), penalties)
    if prepare is not None:
        prepare(objective)
    solver = Solver(objective, SGD(0.1, momentum), epochs=3, batch_size=32, quiet=True,
                    callbacks=callbacks)  # fmt: skip
    history = solver.train((X, Y))
    return np.append(objective.theta, history[-1]["data_loss"])


class Centred(Sequential):
    """A chain of somebody else's, with Python of its own."""

    def forward(self, x):
        return super().forward(x - 3)


class Ridge:
    """A penalty of somebody else's: what an update needs of it."""

    def value(self, W):
        return float(W @ W)

    def block_gradient(self, W, out):
        return np.multiply(W, 0.02, out=out)


def swap(solver, record):
    solver.net.children["relu1"] = Tanh()


def drop_more(solver, record):
    solver.net.children["dropout1"].drop = 0.5


def new_velocity(solver, record):
    if solver.optimizer.moments:
        solver.optimizer.state["velocity"] = np.zeros(solver.objective.theta.size)


def no_state(solver, record):
    solver.optimizer.state.clear()


def smaller_batches(solver, record):
    solver.batch_size = 20


def patched_layer(objective):
    layer = objective.net.children["linear2"]
    layer.forward = lambda x: 2 * type(layer).forward(layer, x)


def patched_loss(objective):
    loss = objective.loss
    loss.backward = lambda: 2 * type(loss).backward(loss)


def unpenalized(objective):
    objective.net.children["linear1"].weights = ()


def weighing(*names):
    """A chain whose first layer says which of its parameters are weights."""
    net = chain()
    net.children["linear1"].weights = names
    return net


def patched_gradients(objective):
    loss = objective.loss
    loss.sample_gradients = lambda factor: 2 * type(loss).sample_gradients(loss, factor)


class Scaled(Objective):
    """An objective of somebody else's, which scales what it gives."""

    def data_loss_and_grad(self, *args, **kwargs):
        loss, grad = super().data_loss_and_grad(*args, **kwargs)
        grad *= 0.5
        return loss, grad


def own_penalty(objective):
    (penalty,) = objective.penalties
    penalty.block_gradient = lambda W, out: np.multiply(W, 0.05, out=out)


CASES = {
    "no weights in a layer": lambda **o: trained(weighing(), **o),
    "a bias for a weight": lambda **o: trained(weighing("b"), penalties=[L2(0.1)], **o),
    "a bias a weight, too": lambda **o: trained(weighing("W", "b"), penalties=[L2(0.1)], **o),
    "a loss's gradients patched": lambda **o: trained(
        chain(), loss=SoftmaxCrossEntropy(), prepare=patched_gradients, **o
    ),
    "an objective of one's own": lambda **o: trained(chain(), kind=Scaled, **o),
    "a penalty's method patched": lambda **o: trained(
        chain(), penalties=[L2(0.1)], prepare=own_penalty, **o
    ),
    "a chain": lambda **o: trained(chain(), **o),
    "a chain of one's own": lambda **o: trained(chain(kind=Centred), **o),
    "a child swapped": lambda **o: trained(chain(), swap, **o),
    "more dropout": lambda **o: trained(chain(Dropout(0.1, rng=3)), drop_more, **o),
    "a new velocity": lambda **o: trained(chain(), new_velocity, **o),
    "no state": lambda **o: trained(chain(), no_state, **o),
    "smaller batches": lambda **o: trained(chain(), smaller_batches, **o),
    "a layer's method patched": lambda **o: trained(chain(), prepare=patched_layer, **o),
    "a loss's method patched": lambda **o: trained(
        chain(), loss=SoftmaxCrossEntropy(), prepare=patched_loss, **o
    ),
    "weights named anew": lambda **o: trained(chain(), prepare=unpenalized, **o),
    "a Linear without bias": lambda **o: trained(chain(linear(8, 8, 2, bias=False), ReLU()), **o),
    "a penalty of one's own": lambda **o: trained(chain(), penalties=[Ridge(), L2(0.1)], **o),
}


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("case", CASES)
def test_it_trains_as_the_layers_do(case, momentum, monkeypatch):
    got = CASES[case](momentum=momentum)
    monkeypatch.setattr(Sequential, "replays", False)
    np.testing.assert_allclose(got, CASES[case](momentum=momentum), rtol=1e-9, atol=1e-12)


def test_some_of_these_do_replay():
    """Or the test above would show nothing."""
    for kind, net in ((True, chain()), (True, chain(Dropout(0.1, rng=3))),
                      (False, chain(kind=Centred))):  # fmt: skip
        objective = Objective(net, SoftmaxCrossEntropy())
        assert objective.replays(X[:8], Y[:8]) == kind
    patched_layer(objective)
    assert not objective.replays(X[:8], Y[:8])
    assert not objective.replays(X[:8].tolist(), Y[:8])
    patched_loss(objective := Objective(chain(), SoftmaxCrossEntropy()))
    assert not objective.replays(X[:8], Y[:8])


def test_rows_that_flatten_must_copy():
    x = rng.standard_normal((5, 3, 2)).transpose(0, 2, 1)
    net = Sequential(Flatten(), linear(6, 4, 0))
    objective, by_hand = Objective(net, MSE()), Objective(copy.deepcopy(net), MSE())
    y = rng.standard_normal((5, 4))
    with objective.driven():
        for _ in range(3):
            x[...] = rng.standard_normal(x.shape)
            value, grad = objective.data_loss_and_grad(x, y)
            expected, expected_grad = by_hand.data_loss_and_grad(x, y)
            assert value == pytest.approx(expected)
            np.testing.assert_allclose(grad, expected_grad)


def test_all_that_is_multiplied_begins_at_a_cache_line():
    objective, optimizer = Objective(chain(), SoftmaxCrossEntropy()), SGD(0.1, momentum=0.9)
    with objective.driven():
        _, grad = objective.data_loss_and_grad(X[:8], Y[:8])
        optimizer.update(objective.theta, grad)
        results = [*objective._recorded.tape.results.values()]
    assert len(results) > 5
    for array in (objective.theta, grad, optimizer.state["velocity"], data.room(X, 8), *results):
        assert array.ctypes.data % 64 == 0  # biases too: the sizes before them are multiples


def test_what_is_made_in_place_is_not_copied():
    """A running mean, wherever it begins."""
    net = Sequential(BatchNorm(6, dtype=np.float64), linear(6, 4, 0))
    layer = net.children["batchnorm1"]
    for name, value in layer.state.items():
        layer.state[name] = np.zeros(value.size + 1)[1:]
        layer.state[name][...] = value
    objective = Objective(net, SoftmaxCrossEntropy())
    net.training = True
    with objective.driven():
        for _ in range(3):
            objective.data_loss_and_grad(X[:8], Y[:8])
        results = objective._recorded.tape.results.values()
        for name in ("running_mean", "running_var"):
            assert any(result is layer.state[name] for result in results)


def test_one_loss_in_two_objectives():
    loss = SoftmaxCrossEntropy()
    one, two = Objective(chain(), loss), Objective(chain(Tanh()), loss)
    with one.driven(), two.driven():
        first = [objective.data_loss_and_grad(X[:8], Y[:8])[0] for objective in (one, two)]
        assert first[0] != first[1]
        x, y = X[:8], Y[:8]
        for objective, value in zip((one, two), first, strict=True):
            objective.data_loss_and_grad(x, y)
            two.value(X[8:20], Y[8:20])  # other data in between
            assert objective.data_loss_and_grad(x, y)[0] == value


def test_a_loss_that_is_not_finite_is_not_made_again_with_other_random_numbers():
    """Half of the masks make it infinite; whether they do is asked once."""
    diverged = []
    for seed in range(8):
        layer = Linear(2, 2, rng=0)
        layer.params["W"][...] = 1
        net = Sequential(Dropout(0.5, rng=seed), layer)
        solver = Solver(Objective(net, SoftmaxCrossEntropy()), SGD(1e-45), epochs=1, batch_size=1,
                        quiet=True)  # fmt: skip
        draws = copy.deepcopy(net.children["dropout1"])
        draws.training = True
        with np.errstate(over="ignore"):
            scores = layer.forward(draws.forward(np.full((1, 2), 1.2e38, np.float32)))
        try:
            solver.train((np.full((1, 2), 1.2e38, np.float32), np.zeros(1, int)))
            diverged.append(False)
        except Diverged:
            diverged.append(True)
        assert diverged[-1] == (not np.isfinite(scores).all())
    assert True in diverged
    assert False in diverged


@pytest.mark.skipif(not blas.there(np.dtype("d")), reason="NumPy has another BLAS")
def test_a_step_that_is_looked_at_is_made_once():
    """A gradient whose square overflows is looked at whole; BatchNorm's statistics move once."""

    def statistics(replays):
        net = chain(BatchNorm(8).astype(np.float64))
        net.children["linear2"].params["W"][...] *= 1e170
        objective = Objective(net, SoftmaxCrossEntropy())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Sequential, "replays", replays)
            Solver(objective, SGD(1e-300), epochs=1, batch_size=75, quiet=True).train((X, Y))
        return net.state["batchnorm1.running_mean"]

    np.testing.assert_array_equal(statistics(True), statistics(False))


def test_a_layer_that_one_sample_would_spoil_is_asked_for_batches_alone():
    class Pairs(ReLU):
        def forward(self, x):
            if len(x) < 2:
                raise ValueError("at least two")
            return super().forward(x)

    trained(Sequential(linear(6, 8, 0), Pairs(), linear(8, 4, 1)))


def test_labels_that_are_a_column():
    objective = Objective(chain(), SoftmaxCrossEntropy())
    table = np.zeros((150, 50), np.int64)
    table[:, 0] = Y
    histories = []
    for y in (Y, table[:, 0]):
        net = Objective(copy.deepcopy(objective.net), SoftmaxCrossEntropy())
        histories.append(Solver(net, SGD(0.1), epochs=1, quiet=True).train((X, y))[0]["data_loss"])
    assert histories[0] == histories[1]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_a_copy_of_an_objective_is_whole_at_any_time(copied):
    objective = Objective(chain(), SoftmaxCrossEntropy(), [L2(0.1)])
    with objective.driven():
        expected = objective.value_and_grad(X[:8], Y[:8])[1].copy()
        twin = copied(objective)
    value = twin.value_and_grad(X[:8], Y[:8])
    np.testing.assert_allclose(value[1], expected)
    twin.theta[:] = 0
    assert not any(param.any() for param in twin.net.params.values())
    assert objective.theta.any()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_an_update_put_into_an_optimizer_reads_the_whole_gradient(momentum, monkeypatch):
    def theta():
        objective, optimizer, norms = (
            Objective(chain(), SoftmaxCrossEntropy()),
            SGD(0.1, momentum),
            [],
        )
        update = optimizer.update

        def noting(theta, grad, *rest):
            norms.append(float(np.linalg.norm(grad)))
            return update(theta, grad, *rest)

        optimizer.update = noting
        Solver(objective, optimizer, epochs=2, batch_size=32, quiet=True).train((X, Y))
        return np.append(objective.theta, norms)

    replayed = theta()
    monkeypatch.setattr(Sequential, "replays", False)
    np.testing.assert_allclose(replayed, theta(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("huge", [False, True])
def test_what_only_a_weights_gradient_would_show_is_found_before_it_changes_a_weight(huge):
    """Behind a ReLU, -inf in the samples is 0; and large samples make large gradients."""
    x, first, last = abs(X[:64]).astype(np.float32), Linear(6, 8, rng=0), Linear(8, 4, rng=1)
    if huge:
        x *= np.float32(1e30)
        first.params["W"][...] *= np.float32(1e-30)
        last.params["W"][...] *= np.float32(1e10)
    else:
        x[40, 3] = -np.inf
        first.params["W"][...] = abs(first.params["W"])
    objective = Objective(Sequential(first, ReLU(), last), SoftmaxCrossEntropy())
    with pytest.raises(Diverged, match=r"linear1: gradient of W holds (nan|-?inf)"):
        Solver(objective, SGD(0.01), epochs=2, batch_size=8, quiet=True).train((x, Y[:64]))
    assert np.isfinite(objective.theta).all()


def test_a_copy_of_an_objective_of_ones_own_keeps_what_it_has():
    objective = Scaled(chain(), SoftmaxCrossEntropy())
    objective.scale = 3
    objective.value(X, Y)
    twin = copy.deepcopy(objective)
    assert twin.scale == 3
    assert twin.data_loss == objective.data_loss


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_layers_are_as_by_hand_and_as_plain_products(dtype):
    """Whose products are made in halves where the BLAS can."""
    x = rng.standard_normal((101, 501)).astype(dtype)
    y = rng.integers(0, 4, 101)
    sizes = [501, 203, 107, 4]
    net = Sequential(*[
        Linear(D, M, rng=i, init=0.05, dtype=dtype)
        for i, (D, M) in enumerate(pairwise(sizes))
    ])  # fmt: skip
    objective = Objective(net, SoftmaxCrossEntropy())
    loss, expected = objective.data_loss_and_grad(x, y)
    with objective.driven():
        for _ in range(3):
            again, grad = objective.data_loss_and_grad(x, y)
            assert again == loss
            np.testing.assert_array_equal(grad, expected)
    params = {name: value.astype(float) for name, value in net.params.items()}
    h = [x.astype(float)]
    for i in (1, 2, 3):
        h.append(np.einsum("nd,dm->nm", h[-1], params[f"linear{i}.W"]) + params[f"linear{i}.b"])
    dout = np.exp(h[-1] - h[-1].max(axis=1, keepdims=True))
    dout /= dout.sum(axis=1, keepdims=True)
    dout[np.arange(101), y] -= 1
    dout /= 101
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    for i in (3, 2, 1):
        dW = np.einsum("nd,nm->dm", h[i - 1], dout)
        got = objective._vector.grad_views[f"linear{i}.W"]
        np.testing.assert_allclose(got, dW, atol=tolerance * np.abs(dW).max())
        dout = np.einsum("nm,dm->nd", dout, params[f"linear{i}.W"])
