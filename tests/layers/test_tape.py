"""A step written down and played again."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import blas
import layers
from layers import BatchNorm, Flatten, Graph, LayerNorm, Linear, Maxout, ReLU, Sequential, Sigmoid
from layers.tape import Tape

REPLAYING = {
    "BatchNorm", "Dropout", "ELU", "Flatten", "LayerNorm", "LeakyReLU", "Linear", "Maxout", "ReLU",
    "Sigmoid", "Softmax", "Standardize", "Tanh",
}  # fmt: skip


def test_which_layers_replay():
    kinds = [kind for kind in vars(layers).values() if isinstance(kind, type)]
    assert {kind.__name__ for kind in kinds if getattr(kind, "replays", 0) is True} == REPLAYING


class Own(ReLU):
    """A subclass may do anything in Python, which nobody would do again."""


def test_a_chain_replays_if_all_its_layers_do():
    assert Sequential(Linear(2, 2, rng=0), Sequential(ReLU(), BatchNorm(2))).replays
    assert not Sequential(Linear(2, 2, rng=0), Own()).replays
    assert not Sequential(Linear(2, 2, rng=0), Sequential(Graph())).replays
    assert not Graph().replays


@pytest.mark.parametrize("order", ["C", "F"])
def test_samples_of_two_axes_replay_wherever_they_lie(order):
    """In column order a reshape is a copy, which must be made again."""
    rng = np.random.default_rng(0)
    net = Sequential(LayerNorm(4), Flatten()).astype(np.float64)
    x, dout = np.asarray(rng.standard_normal((5, 3, 4)), order=order), np.ones((5, 12))
    vector = net.gather()
    with vector.driven():
        tape = vector.write_tape()
        net.forward(x)
        net.parameter_gradients(dout)
        vector.write_no_tape()
        x[...], dout[...] = rng.standard_normal(x.shape), rng.standard_normal(dout.shape)
        tape.play()
        played = vector.grad.copy()
    net.forward(x)
    grads = net.backward(dout)[1]
    assert_allclose(played, np.concatenate([grads[name] for name in vector.views]), rtol=1e-13)


def test_the_same_name_again_is_the_same_place():
    tape = Tape()
    room = tape.room()
    x = np.array([1.0, 2.0])
    y = room.into("y", np.add, x, 1)
    z = room.into("z", np.multiply, y, 2)
    assert room.into("y", np.negative, y) is y
    x[...] = 3, 4
    tape.play()
    assert_array_equal(z, [8, 10])
    assert_array_equal(y, [-4, -5])


def test_without_a_tape_results_are_fresh_but_for_gradients():
    net = Sequential(Linear(3, 2, rng=0), ReLU())
    vector, x = net.gather(), np.ones((2, 3), np.float32)
    with vector.driven():
        y = net.forward(x)
        assert net.forward(x) is not y
        _, grads = net.backward(y)
        assert grads["linear1.W"] is vector.grad_views["linear1.W"]


def put_off(net):
    """The tape of a pass with the weights' gradients put off, and what backward gives by hand."""
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((7, 3)), rng.standard_normal((7, 2))
    net.training = True
    net.forward(x)
    _, expected = net.backward(dout)
    vector = net.gather()
    with vector.driven():
        tape = vector.write_tape(put_off=True)
        net.forward(x)
        net.parameter_gradients(dout)
        vector.write_no_tape()
    return tape, vector, expected


@pytest.mark.skipif(not blas.there(np.dtype("d")), reason="NumPy has another BLAS")
def test_weights_take_their_gradients_that_were_put_off():
    net = Sequential(Linear(3, 4, rng=0), BatchNorm(4), ReLU(), Linear(4, 2, rng=1))
    tape, vector, expected = put_off(net.astype(np.float64))
    before = {name: view.copy() for name, view in vector.views.items()}
    assert len(tape.products) == 2
    for product in tape.products:
        product.add_to(vector.theta, -0.5, 0.75)
    for name, view in vector.views.items():
        weights = name.endswith(".W")
        after = 0.75 * before[name] - 0.5 * expected[name] if weights else before[name]
        assert_allclose(view, after, rtol=1e-12, atol=1e-15)
        if not weights:
            assert_allclose(vector.grad_views[name], expected[name], rtol=1e-12)


@pytest.mark.parametrize(
    "net",
    [
        Sequential(Linear(3, 2, rng=0, bias=False)),  # nothing would show what is not finite
        Sequential(Maxout(3, 4, rng=0), Linear(4, 2, rng=1)),  # not one product
    ],
)
def test_what_is_not_put_off(net):
    tape, vector, expected = put_off(net.astype(np.float64))
    assert tape.products == []
    for name, view in vector.grad_views.items():
        assert_allclose(view, expected[name], rtol=1e-12)


def test_nothing_is_put_off_where_nothing_is_learned():
    assert not Sequential(Sigmoid()).gather().write_tape(put_off=True).put_off


def test_nothing_is_put_off_without_the_call(monkeypatch):
    monkeypatch.setattr(blas.library, "function", lambda name, dtype: None)
    tape, vector, expected = put_off(Sequential(Linear(3, 2, rng=0)).astype(np.float64))
    assert tape.products == []
    assert_allclose(vector.grad_views["linear1.W"], expected["linear1.W"], rtol=1e-12)


def test_a_result_is_written_over_only_where_no_layer_still_uses_it():
    """ReLU writes over what Linear gave, not over what Sigmoid keeps, nor over the samples."""
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((2, 4, 3))
    for first, over in ((Linear(3, 3, rng=0), True), (Sigmoid(), False), (Flatten(), False)):
        net = Sequential(first.astype(np.float64), ReLU(), Flatten(), ReLU())
        y, before = net.forward(x), x.copy()
        dx, grads = net.backward(dout)
        vector = net.gather()
        with vector.driven():
            tape = vector.write_tape()
            middle = net.children[next(iter(net.children))].forward(x)
            assert (net.children["relu1"].forward(middle) is middle) == over
            tape = vector.write_tape()
            played = net.forward(x)
            played_dx, played_grads = net.backward(dout)
            vector.write_no_tape()
            for _ in range(2):
                assert_array_equal(played, y)
                assert_array_equal(played_dx, dx)
                for name, value in grads.items():
                    assert_array_equal(played_grads[name], value)
                tape.play()
        assert_array_equal(x, before)


def test_an_operation_is_made_again_in_its_shorter_way():
    short = []

    def by(x, out):
        return lambda: short.append(np.negative(x, out=out))

    @blas.made_again(by)
    def minus(x, out=None):
        return np.negative(x, out=out)

    tape, x = Tape(), np.ones(3)
    y = tape.room().into("y", minus, x)
    assert_array_equal(y, [-1, -1, -1])
    assert short == []
    x[...] = 2
    tape.play()
    assert_array_equal(y, [-2, -2, -2])
    assert len(short) == 1
