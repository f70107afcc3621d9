"""The training loop: what it does with the data, the weights, and the randomness."""

import copy
import math

import numpy as np
import pytest

from layers import BatchNorm, Dropout, Graph, Linear, ReLU, Sequential
from losses import L2, MSE, SoftmaxCrossEntropy
from losses.objective import Objective
from optim import LBFGS, SGD, Adam, CosineDecay, PlateauDecay, StepDecay
from solver import Diverged, Solver

rng = np.random.default_rng(0)
CENTRES = 2 * rng.standard_normal((3, 5))
Y = np.arange(90) % 3
X = (CENTRES[Y] + rng.standard_normal((90, 5))).astype(np.float32)
TRAIN, VALIDATION = (X[:60], Y[:60]), (X[60:], Y[60:])


def make(*extra, seed=0, optimizer=None, penalties=(), **options):
    net = Sequential(Linear(5, 8, rng=seed), ReLU(), *extra, Linear(8, 3, rng=seed + 1))
    objective = Objective(net, SoftmaxCrossEntropy(), penalties)
    options = {"epochs": 5, "batch_size": 16, "quiet": True} | options
    return Solver(objective, optimizer or SGD(0.1, momentum=0.9), **options)


class Spy:
    """A loss that notes which labels it was shown, and otherwise does nothing."""

    score_name = "accuracy"
    total_weight = 1.0

    def __init__(self):
        self.seen = []

    def forward(self, scores, y, weights=None):
        self.seen.append(y.tolist())
        self.total_weight = len(y)
        self.dscores = np.zeros_like(scores)
        return 0.0

    def backward(self):
        return self.dscores

    def score(self, scores, y):
        return 0.0


def test_an_epoch_shows_every_sample_exactly_once_in_an_order_of_its_own():
    net = Sequential(Linear(1, 1, rng=0))
    orders = []
    for seed in (0, 0, 1):
        loss = Spy()
        solver = Solver(Objective(net, loss), SGD(0.1), epochs=3, batch_size=16, seed=seed)
        # Without evaluation the loss sees the training batches alone.
        solver.evaluate = lambda x, y: (0.0, 0.0)
        solver.train((np.zeros((50, 1), np.float32), np.arange(50)))
        assert [len(batch) for batch in loss.seen] == 3 * [16, 16, 16, 2]
        flat = [label for batch in loss.seen for label in batch]
        epochs = [flat[0:50], flat[50:100], flat[100:150]]
        for epoch in epochs:
            assert sorted(epoch) == list(range(50))
        assert epochs[0] != epochs[1] != epochs[2]
        orders.append(flat)
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_one_epoch_of_sgd_is_the_textbook_loop():
    """The lecture's loop in plain NumPy, in float64, written out here."""
    solver = make(penalties=[L2(0.01)], optimizer=SGD(0.1), epochs=2, seed=3)
    net = solver.net.astype(np.float64)
    objective = Objective(net, SoftmaxCrossEntropy(), [L2(0.01)])
    solver = Solver(objective, SGD(0.1), epochs=2, batch_size=16, seed=7, quiet=True)
    W1, b1, W2, b2 = (net.params[key].copy() for key in net.params)
    history = solver.train((X.astype(np.float64), Y))
    for epoch in range(2):
        order = np.random.default_rng([7, epoch]).permutation(90)
        loss_sum = 0.0
        for start in range(0, 90, 16):
            index = order[start : start + 16]
            x, y = X[index].astype(np.float64), Y[index]
            h = np.maximum(0, x @ W1 + b1)
            s = h @ W2 + b2
            p = np.exp(s) / np.exp(s).sum(1, keepdims=True)
            loss_sum += -np.log(p[np.arange(len(y)), y]).sum()
            ds = p.copy()
            ds[np.arange(len(y)), y] -= 1
            ds /= len(y)
            dh = ds @ W2.T * (h > 0)
            W2, b2 = W2 - 0.1 * (h.T @ ds + 0.02 * W2), b2 - 0.1 * ds.sum(0)
            W1, b1 = W1 - 0.1 * (x.T @ dh + 0.02 * W1), b1 - 0.1 * dh.sum(0)
        assert history[epoch]["data_loss"] == pytest.approx(loss_sum / 90, rel=1e-12)
        penalty = 0.01 * ((W1**2).sum() + (W2**2).sum())
        assert history[epoch]["penalty"] == pytest.approx(penalty, rel=1e-12)
    for got, expected in zip(net.params.values(), (W1, b1, W2, b2), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("penalties", [(), (L2(0.01),)])
def test_a_layer_whose_backward_adds_something_of_its_own_is_trained_as_it_says(penalties):
    """Not a gradient of the loss, but what its author wrote: the rate multiplies it once."""

    class Decaying(Linear):
        def backward(self, dout):
            dx, grads = super().backward(dout)
            return dx, grads | {"W": grads["W"] + 0.2 * self.params["W"]}

    def trained(**options):
        net = Sequential(Linear(5, 8, rng=0), ReLU(), Decaying(8, 3, rng=1)).astype(np.float64)
        objective = Objective(net, SoftmaxCrossEntropy(), penalties)
        Solver(objective, SGD(0.05), epochs=5, batch_size=16, quiet=True, **options).train(TRAIN)
        return objective.theta

    np.testing.assert_allclose(trained(), trained(clip_norm=1e9), rtol=1e-10, atol=1e-12)


def test_a_rule_of_ones_own_made_of_sgd_clips_the_gradient_itself():
    class Clipped(SGD):
        def update(self, theta, grad, n_decayed=None, penalties=()):
            super().update(theta, np.clip(grad, -0.01, 0.01), n_decayed, penalties)

    solver = make(optimizer=Clipped(0.5), epochs=1, batch_size=90)
    before = solver.objective.theta.copy()
    solver.train((X, Y))
    assert np.abs(solver.objective.theta - before).max() == pytest.approx(0.005, rel=1e-3)


def test_one_seed_gives_the_same_bits_and_another_does_not():
    thetas = []
    for seed in (0, 0, 1):
        solver = make(Dropout(0.3, rng=5), seed=0, epochs=3)
        solver.seed = seed
        solver.train(TRAIN, VALIDATION)
        thetas.append(solver.objective.theta.tobytes())
    assert thetas[0] == thetas[1]
    assert thetas[0] != thetas[2]


def test_evaluating_more_changes_no_weight():
    def many(solver, record):
        solver.evaluate(*VALIDATION)
        solver.scores(X)

    thetas = []
    for callbacks, validation in (((), None), ((many,), None)):
        solver = make(Dropout(0.3, rng=5), BatchNorm(8), callbacks=callbacks)
        solver.train(TRAIN, validation)
        thetas.append(
            (solver.objective.theta.tobytes(), solver.net.state["batchnorm1.running_var"].tobytes())
        )
    assert thetas[0] == thetas[1]


def test_the_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    make(Dropout(0.3, rng=5)).train(TRAIN, VALIDATION)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_the_best_weights_and_running_statistics_come_back():
    thetas, states = [], []

    def remember(solver, record):
        thetas.append(solver.objective.theta.copy())
        states.append(solver.net.state["batchnorm1.running_mean"].copy())

    solver = make(BatchNorm(8), callbacks=[remember], epochs=8, optimizer=SGD(0.5, momentum=0.9))
    history = solver.train(TRAIN, VALIDATION)
    scores = [record["validation_score"] for record in history]
    best = scores.index(max(scores))
    assert solver.best_epoch == best + 1
    assert solver.best_score == max(scores)
    assert best != len(scores) - 1, "the case shows nothing unless the last epoch is not the best"
    np.testing.assert_array_equal(solver.objective.theta, thetas[best])
    np.testing.assert_array_equal(solver.net.state["batchnorm1.running_mean"], states[best])
    assert solver.evaluate(*VALIDATION)[1] == max(scores)


def test_a_best_score_below_zero_is_still_the_best():
    """R² is negative at first: a best score that starts at 0 would keep nothing."""
    x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    net = Sequential(Linear(1, 1, rng=0, init=0.0))
    solver = Solver(Objective(net, MSE()), SGD(1e-4), epochs=2, quiet=True)
    solver.train((x, 5 + x), (x, 5 + x))
    assert solver.best_score < 0
    assert solver.best_epoch == 2


def test_patience_stops_early():
    solver = make(epochs=50, patience=3)
    scores = iter([0.1, 0.5, 0.4, 0.5, 0.3] + 50 * [0.0])
    solver.evaluate = lambda x, y: (0.0, next(scores) if len(y) == 30 else 0.0)
    history = solver.train(TRAIN, VALIDATION)
    assert len(history) == 5
    assert solver.best_epoch == 2


def test_a_callback_stops_the_training():
    solver = make(epochs=50, callbacks=[lambda solver, record: record["epoch"] == 4])
    assert len(solver.train(TRAIN)) == 4


def test_the_learning_rate_follows_the_schedule_and_is_put_back():
    optimizer = SGD(0.1)
    solver = make(optimizer=optimizer, schedule=StepDecay(every=2, factor=0.1), epochs=5)
    rates = [record["learning_rate"] for record in solver.train(TRAIN)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])
    assert optimizer.lr == 0.1
    last = make(schedule=CosineDecay(5), epochs=5).train(TRAIN)[-1]["learning_rate"]
    assert 0 < last < 0.01


def test_plateau_sees_the_validation_score():
    schedule = PlateauDecay(patience=1, factor=0.5)
    solver = make(schedule=schedule, epochs=4)
    solver.evaluate = lambda x, y: (0.0, 0.5)
    rates = [record["learning_rate"] for record in solver.train(TRAIN, VALIDATION)]
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.025])


def test_update_ratio_is_the_last_steps():
    solver = make(epochs=1, batch_size=60, optimizer=SGD(0.1))
    before = {name: value.copy() for name, value in solver.net.params.items()}
    ratios = solver.train(TRAIN)[0]["update_ratio"]
    for name, value in solver.net.params.items():
        moved = math.sqrt(((value - before[name]) ** 2).sum())
        size = math.sqrt((before[name] ** 2).sum())
        assert ratios[name] == pytest.approx(moved / size if size else 0, rel=1e-5)


def test_clipping_bounds_the_step():
    solver = make(epochs=1, batch_size=60, optimizer=SGD(1.0), clip_norm=0.01)
    before = solver.objective.theta.copy()
    solver.train(TRAIN)
    assert np.linalg.norm(solver.objective.theta - before) == pytest.approx(0.01, rel=1e-4)


def test_divergence_names_the_first_layer_and_tensor():
    solver = make(optimizer=SGD(1e30), epochs=5)
    with pytest.raises(Diverged, match=r"epoch 1, step 2: linear2: output holds"):
        solver.train(TRAIN)
    bad = X.copy()
    bad[3, 2] = np.nan
    with pytest.raises(Diverged, match="the input x holds nan"):
        make().train((bad, Y))


def test_divergence_says_where_and_what_the_numbers_support():
    with pytest.raises(Diverged) as caught:
        make(optimizer=SGD(1e30), seed=3).train(TRAIN)
    error = caught.value
    assert (error.epoch, error.step) == (1, 2)
    order = np.random.default_rng([0, 0]).permutation(60)
    assert error.samples == order[16:32].tolist()
    assert f"a batch of 16: samples {order[16]}, {order[17]}, {order[18]}, …" in str(error)
    assert "the parameters' norm went from " in str(error)
    assert "a learning rate below 1e+30 usually helps" in str(error)


def test_too_large_weights_at_the_start_are_told_from_too_large_a_rate():
    solver = make()
    for value in solver.net.params.values():
        value *= 1e30
    with pytest.raises(Diverged) as caught:
        solver.train(TRAIN)
    assert (caught.value.epoch, caught.value.step) == (1, 1)
    assert "smaller initial weights usually help" in str(caught.value)
    assert "learning rate" not in str(caught.value)


def test_a_bad_number_in_the_data_is_named_without_advice():
    bad = X[:60].copy()
    bad[33, 2] = np.inf
    with pytest.raises(Diverged, match="the input x holds inf in row") as caught:
        make().train((bad, Y[:60]))
    row = int(str(caught.value).split(" in row ")[1].split()[0])
    assert caught.value.samples[row - 1] == 33
    assert "usually" not in str(caught.value)


class Spoiled(Linear):
    """Its gradient, or what it makes of W, goes wrong in the tenth backward."""

    def __init__(self, D, M, spoil, rng):
        super().__init__(D, M, rng=rng)
        self.spoil, self.calls = spoil, 0

    def backward(self, dout):
        dx, grads = super().backward(dout)
        self.calls += 1
        if self.calls == 10:
            self.spoil(self, grads)
        return dx, grads


def spoiled(spoil, optimizer, **options):
    net = Sequential(Linear(5, 8, rng=0), ReLU(), Spoiled(8, 3, spoil, rng=1))
    options = {"epochs": 5, "batch_size": 16, "quiet": True} | options
    return Solver(Objective(net, SoftmaxCrossEntropy()), optimizer, **options)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_stopped_before_it_changes_a_weight(value):
    def spoil(layer, grads):
        grads["b"][1] = value

    solver = spoiled(spoil, SGD(0.1))
    with pytest.raises(Diverged, match=f"spoiled1: gradient of b holds {value}") as caught:
        solver.train(TRAIN)
    assert (caught.value.epoch, caught.value.step) == (3, 2)
    assert np.isfinite(solver.objective.theta).all()
    assert "usually" not in str(caught.value)


def test_the_last_layer_comes_first_among_gradients():
    """As in backward: what is NaN in a later layer makes that of an earlier one NaN."""

    class NaNInside(Spoiled):
        def backward(self, dout):
            dx, grads = super().backward(dout)
            return (dx * np.nan if self.calls == 10 else dx), grads

    solver = spoiled(lambda layer, grads: grads["W"].fill(np.nan), SGD(0.1))
    solver.net.children["spoiled1"].__class__ = NaNInside
    with pytest.raises(Diverged, match="spoiled1: gradient of W holds nan"):
        solver.train(TRAIN)


def test_a_moment_that_overflows_is_found_at_the_end_of_the_epoch():
    """The gradient is finite, its square is not: Adam would never move this weight again."""

    def spoil(layer, grads):
        grads["b"][1] = 1e25

    with pytest.raises(Diverged, match="spoiled1: Adam's square of b holds inf") as caught:
        spoiled(spoil, Adam(0.01)).train(TRAIN)
    assert caught.value.epoch == 3
    spoiled(spoil, SGD(1e-30)).train(TRAIN)  # finite all along


def test_an_infinity_that_a_relu_hides_from_the_loss_is_found():
    def spoil(layer, grads):
        first.params["W"][:, 2] = 0
        first.params["W"][0, 2] = -3e38

    solver = spoiled(spoil, SGD(1e-3))
    first = solver.net.children["linear1"]
    x = TRAIN[0].copy()
    x[:, 0] = 5.0
    with pytest.raises(Diverged, match="linear1: output holds -inf") as caught:
        solver.train((x, TRAIN[1]))
    assert caught.value.epoch == 3


class Halves:
    """A layer with two outputs."""

    n_outputs = 2

    def forward(self, x):
        self.x = x
        return x[:, :3].copy(), x[:, 3:].copy()

    def backward(self, douts):
        return np.concatenate(douts, axis=1), {}


class Descent:
    """An update rule of a user's own, whose `state` is its own business."""

    lr = 0.1
    state = ("anything", None)

    def update(self, theta, grad, n_decayed=None):
        theta -= self.lr * grad


def test_layers_of_several_outputs_and_rules_of_ones_own_are_looked_at_too():
    graph = Graph()
    x = graph.input("x")
    one, other = graph.add(Halves(), x)
    graph.output(graph.add(Linear(3, 3, rng=0), one) + graph.add(Linear(2, 3, rng=1), other))
    solver = Solver(Objective(graph, SoftmaxCrossEntropy()), Descent(), epochs=2, quiet=True)
    assert len(solver.train(TRAIN)) == 2
    graph.params["linear2.W"][...] = 3e38
    with pytest.raises(Diverged, match="linear2: output holds"):
        solver.train((1e3 * TRAIN[0], TRAIN[1]))


def test_the_best_weights_come_back_when_training_diverges():
    thetas = []

    def remember(solver, record):
        thetas.append(solver.objective.theta.copy())

    def spoil(layer, grads):
        layer.params["W"][...] = np.nan

    solver = spoiled(spoil, SGD(0.1), callbacks=[remember])
    with pytest.raises(Diverged):
        solver.train(TRAIN, VALIDATION)
    assert len(thetas) == 2
    np.testing.assert_array_equal(solver.objective.theta, thetas[solver.best_epoch - 1])


def test_overfit_learns_a_few_samples_by_heart():
    solver = make(epochs=500)
    history = solver.overfit((X, np.random.default_rng(1).integers(0, 3, 90)), samples=10)
    assert history[-1]["train_score"] == 1
    assert len(history) < 500


def test_lbfgs_takes_the_whole_set():
    solver = make(optimizer=LBFGS(30), penalties=[L2(1e-3)])
    history = solver.train(TRAIN, VALIDATION)
    totals = [record["data_loss"] + record["penalty"] for record in history]
    assert totals == sorted(totals, reverse=True)
    assert history[-1]["train_score"] == 1
    with pytest.raises(ValueError, match="dropout1: LBFGS needs the same loss twice"):
        make(Dropout(0.5, rng=0), optimizer=LBFGS(3)).train(TRAIN)


class Affine:
    """A layer of a user's own, who knows nothing of this project."""

    def __init__(self, D, M, rng):
        self.W = rng.normal(0, 0.5, (D, M)).astype(np.float32)
        self.b = np.zeros(M, np.float32)
        self.params = {"W": self.W, "b": self.b}

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        return dout @ self.W.T, {"W": self.x.T @ dout, "b": dout.sum(axis=0)}


def test_a_layer_of_ones_own_trains_exactly_as_the_built_in_one():
    generator = np.random.default_rng(4)
    own = Affine(5, 3, generator)
    theirs = Linear(5, 3, rng=0)
    theirs.params["W"][...] = own.W
    results = []
    for layer in (own, theirs):
        objective = Objective(Sequential(layer), SoftmaxCrossEntropy(), [L2(0.01)])
        Solver(objective, Adam(0.01), epochs=3, batch_size=16, quiet=True).train(TRAIN)
        results.append(layer.params["W"].copy())
    np.testing.assert_allclose(results[0], results[1], rtol=1e-6)
    np.testing.assert_array_equal(own.W, own.params["W"])


@pytest.mark.parametrize("value", [0, -1, 2.5, True, None])
def test_epochs_and_batch_size_are_checked(value):
    with pytest.raises(ValueError, match="epochs"):
        make(epochs=value)
    with pytest.raises(ValueError, match="batch_size"):
        make(batch_size=value)


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="train has 90 samples and 60 labels"):
        make().train((X, Y[:60]))
    with pytest.raises(ValueError, match="linear1: Linear: x has shape"):
        make().train((X[:, :4], Y))


def test_of_equal_scores_the_lower_loss_is_better():
    solver = make(epochs=3)
    answers = iter([(0.5, 0.9), (0.2, 0.9), (0.4, 0.9)])
    solver.evaluate = lambda x, y: next(answers) if len(y) == 30 else (0.0, 0.0)
    solver.train(TRAIN, VALIDATION)
    assert solver.best_epoch == 2


class Squares:
    """A loss of a user's own: forward and backward, nothing more."""

    def forward(self, scores, y):
        self.d = scores - np.eye(3, dtype=scores.dtype)[y]
        return float((self.d**2).sum(axis=1).mean())

    def backward(self):
        return 2 * self.d / len(self.d)


def test_a_loss_of_ones_own_trains():
    net = Sequential(Linear(5, 8, rng=0), ReLU(), Linear(8, 3, rng=1))
    solver = Solver(Objective(net, Squares()), SGD(0.05), epochs=20, batch_size=16, quiet=True)
    history = solver.train(TRAIN, VALIDATION)
    assert history[-1]["data_loss"] < 0.5 * history[0]["data_loss"]
    assert history[-1]["validation_score"] == -history[-1]["validation_loss"]


class Composite:
    """Holds its parameters a second time, inside another layer."""

    def __init__(self):
        self.inner = Linear(5, 3, rng=0)
        self.params = {f"inner.{key}": value for key, value in self.inner.params.items()}

    def forward(self, x):
        return self.inner.forward(x)

    def backward(self, dout):
        dx, grads = self.inner.backward(dout)
        return dx, {f"inner.{key}": value for key, value in grads.items()}


def test_a_parameter_held_twice_is_trained_in_both_places():
    layer = Composite()
    before = layer.inner.params["W"].copy()
    solver = Solver(Objective(Sequential(layer), SoftmaxCrossEntropy()), SGD(0.1), quiet=True)
    solver.train(TRAIN)
    assert not np.array_equal(layer.inner.params["W"], before)
    np.testing.assert_array_equal(layer.inner.params["W"], layer.params["inner.W"])


def test_a_replaced_parameter_is_an_error_not_a_frozen_layer():
    solver = make()
    solver.net.children["linear1"].params["W"] = np.ones((5, 8), np.float32)
    with pytest.raises(RuntimeError, match="a parameter of the net was replaced"):
        solver.train(TRAIN)


class WrongShape(Linear):
    """Inherits from a built-in layer, and gives a gradient that would broadcast."""

    def backward(self, dout):
        dx, grads = super().backward(dout)
        return dx, {"W": grads["W"][:1], "b": grads["b"]}


def test_a_wrong_gradient_of_a_subclass_is_named():
    net = Sequential(WrongShape(5, 3, rng=0))
    solver = Solver(Objective(net, SoftmaxCrossEntropy()), SGD(0.1), quiet=True)
    with pytest.raises(ValueError, match=r"wrongshape1: dW has shape \(1, 3\), expected \(5, 3\)"):
        solver.train(TRAIN)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": -1}, "patience"),
        ({"schedule": 0.1}, "schedule"),
        ({"optimizer": SGD}, "optimizer"),
        ({"optimizer": "sgd"}, "optimizer"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises((ValueError, TypeError), match=f"Solver: {message} is"):
        make(**options)


def test_lbfgs_that_has_nothing_to_do_still_leaves_a_record():
    x = np.zeros((20, 5), np.float32)
    net = Sequential(Linear(5, 2, rng=0, init=0.0))
    solver = Solver(Objective(net, SoftmaxCrossEntropy()), LBFGS(5), quiet=True)
    assert len(solver.train((x, np.arange(20) % 2))) >= 1


# -- replayed steps ----------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.1, momentum=0.9), Adam(0.01)], ids=repr)
@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_replayed_steps_train_as_the_layers_do(optimizer, clip_norm, monkeypatch):
    def trained():
        net = Sequential(
            Linear(5, 8, rng=0), BatchNorm(8), ReLU(), Dropout(0.2, rng=3), Linear(8, 3, rng=1)
        ).astype(np.float64)
        objective = Objective(net, SoftmaxCrossEntropy(), [L2(0.01)])
        solver = Solver(
            objective, copy.deepcopy(optimizer), epochs=3, batch_size=16, clip_norm=clip_norm,
            schedule=CosineDecay(3), quiet=True,
        )  # fmt: skip
        history = solver.train(TRAIN, VALIDATION)
        return objective.theta, [record["data_loss"] for record in history], net.state

    theta, losses, state = trained()
    monkeypatch.setattr(Sequential, "replays", False)
    by_layers, expected, expected_state = trained()
    np.testing.assert_allclose(theta, by_layers, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(losses, expected, rtol=1e-11)
    for name, value in expected_state.items():
        np.testing.assert_allclose(state[name], value, rtol=1e-10)


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_does_not_fit_is_told_before_the_first_step(label):
    solver = make()
    before = solver.objective.theta.copy()
    y = Y[:60].copy()
    y[50] = label
    with pytest.raises(ValueError, match=rf"label {label} at y\[50\] is not in 0..2"):
        solver.train((X[:60], y))
    np.testing.assert_array_equal(solver.objective.theta, before)


def test_labels_of_any_integer_type():
    histories = []
    for dtype in (np.int64, np.uint8, np.int16, ">i4"):
        solver = make()
        solver.train((X[:60], Y[:60].astype(dtype)))
        histories.append([record["data_loss"] for record in solver.history])
    assert all(history == histories[0] for history in histories)


def test_infinite_samples_end_a_replayed_run_too():
    x = X[:60].copy()
    x[57, 2] = np.inf
    with pytest.raises(Diverged, match="the input x holds inf in row"):
        make(optimizer=SGD(0.1)).train((x, Y[:60]))


def test_a_gradient_that_is_not_finite_is_named_though_it_was_put_off():
    solver = make(Linear(8, 8, rng=5), optimizer=SGD(0.1))
    backward = Linear._gradients

    def poisoned(self, x, dout):
        grads = backward(self, x, dout)
        if dout.shape[1] == 3:
            grads["b"] = self.into("db", np.add, grads["b"], np.nan)
        return grads

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Linear, "_gradients", poisoned)
        with pytest.raises(Diverged, match="linear3: gradient of b holds nan"):
            solver.train((X[:60], Y[:60]))
