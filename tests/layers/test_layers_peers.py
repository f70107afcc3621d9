"""Forward and every gradient agree with PyTorch, in float64, to 1e-10 relative."""

import math

import numpy as np
import pytest

from layers import (
    ELU,
    BatchNorm,
    Dropout,
    Flatten,
    LayerNorm,
    LeakyReLU,
    Linear,
    Maxout,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Standardize,
    Tanh,
)

torch = pytest.importorskip("torch")
F = torch.nn.functional


def agree(got, expected, what):
    expected = expected.detach().numpy()
    assert got.shape == expected.shape, what
    size = np.abs(expected).max(initial=1e-300)
    assert np.abs(got - expected).max(initial=0) <= 1e-10 * size, what


def compare(layer, peer, shape, seed=0, scale=2.0):
    """peer(x, params): the same in PyTorch, from tensors that share the numbers."""
    rng = np.random.default_rng(seed)
    x = scale * rng.standard_normal(shape)
    for value in layer.params.values():
        value += rng.standard_normal(value.shape) * 0.5
    tx = torch.tensor(x, requires_grad=True)
    params = {n: torch.tensor(v, requires_grad=True) for n, v in layer.params.items()}
    y = layer.forward(x)
    ty = peer(tx, params)
    agree(y, ty, "y")
    dout = rng.standard_normal(y.shape)
    dx, grads = layer.backward(dout)
    ty.backward(torch.tensor(dout))
    agree(dx, tx.grad, "dx")
    assert grads.keys() == params.keys()
    for name, value in grads.items():
        agree(value, params[name].grad, f"d{name}")


ELEMENTWISE = {
    "ReLU": (ReLU(), F.relu),
    "LeakyReLU": (LeakyReLU(), lambda x: F.leaky_relu(x, 0.1)),
    "LeakyReLU 0.3": (LeakyReLU(0.3), lambda x: F.leaky_relu(x, 0.3)),
    "ELU": (ELU(), F.elu),
    "ELU 0.4": (ELU(0.4), lambda x: F.elu(x, 0.4)),
    "ELU 2.5": (ELU(2.5), lambda x: F.elu(x, 2.5)),
    "Sigmoid": (Sigmoid(), torch.sigmoid),
    "Tanh": (Tanh(), torch.tanh),
    "Softmax": (Softmax(), lambda x: F.softmax(x, dim=-1)),
    "Flatten": (Flatten(), lambda x: torch.flatten(x, 1)),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 4), (1, 1)])
def test_without_parameters(name, shape):
    layer, peer = ELEMENTWISE[name]
    compare(layer, lambda x, params: peer(x), shape)


@pytest.mark.parametrize("name", ["ELU", "Sigmoid"])
def test_far_on_the_left_each_entry_keeps_its_digits(name):
    """Where y or dx is tiny: 1e-10 relative entry by entry, down to e⁻⁷⁰⁰."""
    layer, peer = ELEMENTWISE[name]
    x = -np.geomspace(1e-8, 700, 200)
    tx = torch.tensor(x, requires_grad=True)
    ty = peer(tx)
    ty.sum().backward()
    np.testing.assert_allclose(layer.forward(x), ty.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(layer.backward(np.ones(200))[0], tx.grad.numpy(), rtol=1e-10)


@pytest.mark.parametrize(("N", "D", "M"), [(4, 3, 5), (1, 1, 1), (64, 30, 10)])
def test_linear(N, D, M):
    layer = Linear(D, M, rng=0, dtype=np.float64)
    compare(layer, lambda x, p: F.linear(x, p["W"].T, p["b"]), (N, D))
    layer = Linear(D, M, rng=0, bias=False, dtype=np.float64)
    compare(layer, lambda x, p: x @ p["W"], (N, D))


@pytest.mark.parametrize("pieces", [1, 2, 3, 5])
def test_maxout(pieces):
    def peer(x, p):
        return (torch.einsum("nd,kdm->knm", x, p["W"]) + p["b"][:, None]).max(dim=0).values

    compare(Maxout(4, 6, pieces, rng=0, dtype=np.float64), peer, (5, 4))


@pytest.mark.parametrize("shape", [(4, 6), (1, 6), (2, 3, 6), (6,), (3, 2)])
def test_layer_norm(shape):
    D = shape[-1]
    for epsilon in (1e-5, 0.1):
        layer = LayerNorm(D, epsilon=epsilon, dtype=np.float64)
        compare(
            layer,
            lambda x, p, epsilon=epsilon: F.layer_norm(x, (D,), p["gamma"], p["beta"], epsilon),
            shape,
        )


@pytest.mark.parametrize("N", [2, 3, 50])
@pytest.mark.parametrize(("momentum", "epsilon"), [(0.1, 1e-5), (0.7, 0.1), (0, 1e-5), (1, 1e-3)])
def test_batch_norm(N, momentum, epsilon):
    """Training over several batches, the running statistics, then evaluation."""
    D = 4
    layer = BatchNorm(D, momentum=momentum, epsilon=epsilon, dtype=np.float64)
    mean, var = torch.zeros(D, dtype=torch.float64), torch.ones(D, dtype=torch.float64)

    def peer(x, p):
        return F.batch_norm(x, mean, var, p["gamma"], p["beta"], layer.training, momentum, epsilon)

    for seed in range(3):
        compare(layer, peer, (N, D), seed, scale=1 + seed)
        agree(layer.state["running_mean"], mean, "running_mean")
        agree(layer.state["running_var"], var, "running_var")
    layer.training = False
    compare(layer, peer, (N, D))
    compare(layer, peer, (1, D))
    agree(layer.state["running_var"], var, "running_var")


@pytest.mark.parametrize("drop", [0, 0.25, 0.5, 0.9])
def test_dropout_by_its_mask(drop):
    layer = Dropout(drop, rng=0)
    x = np.random.default_rng(1).standard_normal((40, 30))
    mask = torch.tensor((layer.forward(x) != 0).astype(float)) / (1 - layer.drop)
    layer = Dropout(drop, rng=0)
    compare(layer, lambda x, p: x * mask, (40, 30))
    layer.training = False
    compare(layer, lambda x, p: F.dropout(x, drop, training=False), (40, 30))


def test_standardize():
    mean, std = np.array([1.0, -2, 3]), np.array([0.5, 1, 9])
    layer = Standardize(mean, std, dtype=np.float64)
    compare(layer, lambda x, p: (x - torch.tensor(mean)) / torch.tensor(std), (4, 3))


def test_a_network():
    """Every layer in one chain; the parameters under the names of the children."""
    rng = np.random.default_rng(0)
    net = Sequential(
        Flatten(),
        Linear(6, 8, rng=rng, bias=False, dtype=np.float64),  # BatchNorm takes any bias away
        BatchNorm(8, dtype=np.float64),
        ELU(),
        Sequential(Maxout(8, 7, rng=rng, dtype=np.float64), Tanh()),
        LayerNorm(7, dtype=np.float64),
        LeakyReLU(),
        scores=Linear(7, 3, rng=rng, dtype=np.float64),
        softmax=Softmax(),
    )

    def peer(x, p):
        h = torch.flatten(x, 1) @ p["linear1.W"]
        h = F.elu(
            F.batch_norm(h, None, None, p["batchnorm1.gamma"], p["batchnorm1.beta"], training=True)
        )
        W, b = p["sequential1.maxout1.W"], p["sequential1.maxout1.b"]
        h = torch.tanh(torch.maximum(h @ W[0] + b[0], h @ W[1] + b[1]))
        h = F.layer_norm(h, (7,), p["layernorm1.gamma"], p["layernorm1.beta"])
        h = F.leaky_relu(h, 0.1) @ p["scores.W"] + p["scores.b"]
        return F.softmax(h, dim=1)

    compare(net, peer, (5, 2, 3))


def test_initial_scales():
    """He and Xavier as in torch.nn.init: the standard deviations within 2 %."""
    weight = torch.empty(300, 500)  # PyTorch keeps (M, D)
    torch.manual_seed(0)
    for init, peer in [
        ("he", lambda: torch.nn.init.kaiming_normal_(weight, nonlinearity="relu")),
        ("xavier", lambda: torch.nn.init.xavier_normal_(weight)),
    ]:
        peer()
        W = Linear(500, 300, rng=0, init=init).params["W"]
        assert math.isclose(W.std(), float(weight.std()), rel_tol=0.02)
