"""One training step of the same fully connected net, in this project and in its peers.

Every program is given the same data, first weights, batches, loss (softmax), penalty (λ Σ W² on the
weights) and learning rate, and has two methods: `run(orders)` trains on the batches whose sample
indices are the rows of `orders` and returns the seconds it took; `parameters()` gives the
weights and biases. None computes the gradient of its input; all read the loss of every step.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

import blas
import data

LEARNING_RATE = 0.01
PENALTY = 1e-3


class Shape(NamedTuple):
    """A network's layer sizes, its batch, and how many batches make the benchmark's epoch."""

    batch: int
    sizes: tuple[int, ...]
    steps: int


SHAPES = {
    "digits": Shape(64, (64, 100, 10), 400),
    "mnist": Shape(64, (784, 128, 10), 200),
    "mnist256": Shape(256, (784, 256, 10), 60),
    "cifar2": Shape(200, (3072, 50, 10), 60),
    "cifar3": Shape(200, (3072, 100, 100, 10), 60),
    "wide": Shape(256, (3072, 1024, 1024, 10), 20),
    "slide": Shape(64, (4096, 4096, 10), 20),
    "deep": Shape(128, (256, *(8 * (256,)), 10), 80),
}


class Job(NamedTuple):
    """What every program is given: a data set and the first weights."""

    shape: Shape
    x: Any
    y: Any
    W: list[Any]

    @classmethod
    def make(cls, shape: Shape, seed: int = 0) -> Job:
        rng = np.random.default_rng(seed)
        n = shape.batch * shape.steps
        x = rng.standard_normal((n, shape.sizes[0]), np.float32)
        y = rng.integers(0, shape.sizes[-1], n)
        pairs = zip(shape.sizes[:-1], shape.sizes[1:], strict=True)
        W = [rng.standard_normal((D, M), np.float32) * np.float32((2 / D) ** 0.5) for D, M in pairs]
        return cls(shape, x, y, W)

    def orders(self, steps: int | None = None) -> Any:
        """The batches of the first epoch over the samples of so many steps, as a Solver draws
        them from seed 0."""
        steps = self.shape.steps if steps is None else min(steps, self.shape.steps)
        order = np.random.default_rng([0, 0]).permutation(steps * self.shape.batch)
        return order.reshape(steps, self.shape.batch)

    def loss_of(self, parameters: list[tuple[Any, Any]], steps: int) -> float:
        """The data loss of these weights and biases on the samples of so many steps, in float64."""
        n = min(steps, self.shape.steps) * self.shape.batch
        a = self.x[:n].astype(np.float64)
        for i, (W, b) in enumerate(parameters):
            a = a @ np.asarray(W, np.float64) + np.asarray(b, np.float64)
            if i < len(parameters) - 1:
                a = np.maximum(a, 0)
        a -= a.max(axis=1, keepdims=True)
        log_p = a - np.log(np.exp(a).sum(axis=1, keepdims=True))
        return float(-log_p[np.arange(n), self.y[:n]].mean())


class Floor:
    """The matrix products of a step and the gather of its batch, nothing else.

    On arrays that begin at a cache line, as handgrad's do.
    """

    def __init__(self, job: Job) -> None:
        N, sizes = job.shape.batch, job.shape.sizes
        self.x, self.W = job.x, [blas.at_line(W) for W in job.W]
        self.a = [blas.aligned((N, size), np.float32) for size in sizes]
        self.d = [blas.at_line(np.ones((N, size), np.float32)) for size in sizes]
        self.dW = [blas.aligned(W.shape, np.float32) for W in self.W]

    def run(self, orders: Any) -> float:
        start = time.perf_counter()
        a, d = self.a, self.d
        last = len(self.W) - 1
        for index in orders:
            np.take(self.x, index, axis=0, out=a[0], mode="clip")
            for i, W in enumerate(self.W):
                np.matmul(a[i], W, out=a[i + 1])
            for i in range(last, -1, -1):
                np.matmul(a[i].T, d[i + 1], out=self.dW[i])
                if i:
                    np.matmul(d[i + 1], self.W[i].T, out=d[i])
        return time.perf_counter() - start


class Handgrad:
    """The real Solver: loss, penalty, history and the look for NaN included.

    `run` returns the seconds of an epoch's steps. What is done once an epoch, of which the peers
    do nothing, is apart: in `evaluation` the look at 1,000 samples, in `between` the rest (the
    order, the history, the look at all parameters). An epoch is a few dozen steps here; of a real
    one, of hundreds or thousands, these are a small part.
    """

    def __init__(self, job: Job, net: Any = None, loss: Any = None, optimizer: Any = None) -> None:
        from losses import L2, SoftmaxCrossEntropy
        from losses.objective import Objective
        from optim import SGD

        self.job, self.evaluation, self.between = job, 0.0, 0.0
        net = our_net(job) if net is None else net
        loss = SoftmaxCrossEntropy() if loss is None else loss
        self.objective = Objective(net, loss, [L2(PENALTY)])
        self.optimizer = SGD(LEARNING_RATE) if optimizer is None else optimizer

    def run(self, orders: Any) -> float:
        """One epoch through Solver.train, which draws `orders` itself from its seed."""
        from solver import Solver

        start = time.perf_counter()
        solver = Solver(
            self.objective, self.optimizer, epochs=1, batch_size=orders.shape[1], quiet=True
        )
        evaluate, driven = solver.evaluate, self.objective.driven
        spent = {"evaluation": 0.0, "steps": 0.0}

        def timed_evaluate(x: Any, y: Any) -> Any:
            began = time.perf_counter()
            value = evaluate(x, y)
            spent["evaluation"] += time.perf_counter() - began
            return value

        @contextmanager
        def timed_steps() -> Iterator[None]:
            with driven():
                began = time.perf_counter()
                yield
                spent["steps"] += time.perf_counter() - began

        n = orders.size
        with (
            patch.object(solver, "evaluate", timed_evaluate),
            patch.object(self.objective, "driven", timed_steps),
        ):
            self.data_loss = solver.train((self.job.x[:n], self.job.y[:n]))[0]["data_loss"]
        self.evaluation = spent["evaluation"]
        self.between = time.perf_counter() - start - sum(spent.values())
        return spent["steps"]

    def parameters(self) -> list[tuple[Any, Any]]:
        params = self.objective.net.params
        return [(params[name], params[f"{name[:-2]}.b"]) for name in params if name.endswith(".W")]


def our_net(job: Job, activation: str = "ReLU") -> Any:
    """The network of layers, with the job's first weights."""
    import layers

    chain: list[Any] = []
    for W in job.W:
        linear = layers.Linear(*W.shape, rng=0)
        linear.params["W"][...] = W
        chain += [linear, getattr(layers, activation)()]
    return layers.Sequential(*chain[:-1])


class Bare(Handgrad):
    """The objective and the update alone, without the Solver."""

    def run(self, orders: Any) -> float:
        start = time.perf_counter()
        objective, update = self.objective, self.optimizer.update
        x, y, n = self.job.x, self.job.y, objective.n_weights
        penalties = objective.penalties
        batch, labels = data.room(x, orders.shape[1]), data.room(y, orders.shape[1])
        total = 0.0
        objective.net.training = True
        with objective.driven():
            for index in orders:
                np.take(x, index, axis=0, out=batch, mode="clip")
                np.take(y, index, out=labels, mode="clip")
                put_off = self.optimizer.ready_for_products(penalties, np.dtype(np.float32))
                _, grad = objective.data_loss_and_grad(batch, labels, put_off=put_off)
                update(objective.theta, grad, n, penalties, objective.products)
                total += objective.data_loss
        return time.perf_counter() - start


class ByHand:
    """The same step in NumPy's calls for this one net: no layers, no Solver, no checks, every
    array made beforehand, the update over θ whole: what NumPy alone gives. What a step of ours
    takes above it is the price of layers; what it takes less, the BLAS's sums in place save."""

    def __init__(self, job: Job) -> None:
        N, sizes = job.shape.batch, job.shape.sizes
        self.job = job
        self.n = sum(W.size for W in job.W)
        self.theta = np.zeros(self.n + sum(sizes[1:]), np.float32)
        self.grad = np.zeros_like(self.theta)
        self.W, self.b = self.views(self.theta)
        self.dW, self.db = self.views(self.grad)
        for W, first in zip(self.W, job.W, strict=True):
            W[...] = first
        self.a, self.z, self.d, self.da = (
            [np.empty((N, size), np.float32) for size in sizes] for _ in range(4)
        )
        self.zeros = [np.zeros_like(a) for a in self.a]
        self.mask = [np.empty(a.shape, bool) for a in self.a]
        self.exp = np.empty((sizes[-1], N), np.float32)

    def views(self, vector: Any) -> tuple[list[Any], list[Any]]:
        """The weights in a vector that begins with them, and the biases."""
        W, b, at, after = [], [], 0, self.n
        for first in self.job.W:
            W.append(vector[at : at + first.size].reshape(first.shape))
            b.append(vector[after : after + first.shape[1]])
            at, after = at + first.size, after + first.shape[1]
        return W, b

    def run(self, orders: Any) -> float:
        start = time.perf_counter()
        x, labels, N = self.job.x, self.job.y, orders.shape[1]
        a, z, d, da, mask, zeros = self.a, self.z, self.d, self.da, self.mask, self.zeros
        last, exp, flat = len(self.W) - 1, self.exp, self.exp.reshape(-1)
        ones, counting = np.ones(N, np.float32), np.arange(N)
        rate, total = np.float32(LEARNING_RATE / N), 0.0
        for index in orders:
            x.take(index, axis=0, out=a[0], mode="clip")
            own = labels[index] * N
            own += counting
            for i, (W, b) in enumerate(zip(self.W, self.b, strict=True)):
                np.matmul(a[i], W, out=z[i + 1])
                z[i + 1] += b
                if i < last:
                    np.maximum(z[i + 1], zeros[i + 1], out=a[i + 1])
            np.copyto(exp, z[-1].T)
            exp -= np.maximum.reduce(exp)
            right = flat.take(own)
            np.exp(exp, out=exp)
            sums = np.add.reduce(exp)
            total += float(np.add.reduce(np.log(sums) - right))
            exp *= rate / sums
            flat[own] -= rate
            np.copyto(d[-1], exp.T)
            for i in range(last, -1, -1):
                np.matmul(a[i].T, d[i + 1], out=self.dW[i])
                np.dot(ones, d[i + 1], out=self.db[i])
                if i:
                    np.matmul(d[i + 1], self.W[i].T, out=da[i])
                    np.greater(a[i], zeros[i], out=mask[i])
                    np.multiply(da[i], mask[i], out=d[i])
            self.theta[: self.n] *= 1 - 2 * PENALTY * LEARNING_RATE
            self.theta -= self.grad
        return time.perf_counter() - start

    def parameters(self) -> list[tuple[Any, Any]]:
        return list(zip(self.W, self.b, strict=True))


class Torch:
    """PyTorch, eager: the penalty as weight decay, which costs it least."""

    def __init__(
        self,
        job: Job,
        fused: bool = False,
        compiled: bool = False,
        net: Any = None,
        loss: Any = None,
        rule: str = "SGD",
        **settings: Any,
    ) -> None:
        import torch

        self.torch = torch
        self.net = torch_net(job) if net is None else net
        self.x, self.y = torch.from_numpy(job.x), torch.from_numpy(job.y)
        parameters = list(self.net.parameters())
        self.optimizer = getattr(torch.optim, rule)(
            [
                {"params": [p for p in parameters if p.ndim == 2], "weight_decay": 2 * PENALTY},
                {"params": [p for p in parameters if p.ndim == 1]},
            ],
            lr=LEARNING_RATE,
            fused=fused,
            **settings,
        )
        self.loss = torch.nn.CrossEntropyLoss() if loss is None else loss
        self.forward: Any = lambda x, y: self.loss(self.net(x), y)
        if compiled:
            self.forward = torch.compile(self.forward)

    def run(self, orders: Any) -> float:
        start = time.perf_counter()
        total = 0.0
        for index in self.torch.from_numpy(orders):
            loss = self.forward(self.x.index_select(0, index), self.y.index_select(0, index))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        self.data_loss = total / len(orders)
        return time.perf_counter() - start

    def parameters(self) -> list[tuple[Any, Any]]:
        held = [p.detach().numpy() for p in self.net.parameters()]
        return [(W.T, b) for W, b in zip(held[::2], held[1::2], strict=True)]


def torch_net(job: Job, activation: Any = None) -> Any:
    """The same network of PyTorch's modules."""
    import torch

    modules: list[Any] = []
    for W in job.W:
        linear = torch.nn.Linear(*W.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W.T.copy()))
            linear.bias.zero_()
        modules += [linear, (activation or torch.nn.ReLU)()]
    return torch.nn.Sequential(*modules[:-1])


class Jax:
    """JAX: a jitted step, or a whole epoch compiled into one scan."""

    def __init__(self, job: Job, scan: bool = False) -> None:
        import jax
        import jax.numpy as jnp

        self.jnp, self.scan = jnp, scan
        self.params = [(jnp.asarray(W), jnp.zeros(W.shape[1], jnp.float32)) for W in job.W]
        self.x, self.y = jnp.asarray(job.x), jnp.asarray(job.y)

        def data_loss(params: Any, x: Any, y: Any) -> Any:
            for W, b in params[:-1]:
                x = jax.nn.relu(x @ W + b)
            scores = x @ params[-1][0] + params[-1][1]
            log_p = jax.nn.log_softmax(scores)
            return -jnp.take_along_axis(log_p, y[:, None], axis=1).mean()

        def total(params: Any, x: Any, y: Any) -> Any:
            loss = data_loss(params, x, y)
            return loss + PENALTY * sum(jnp.sum(W * W) for W, _ in params), loss

        def step(params: Any, index: Any, x: Any, y: Any) -> Any:
            (_, loss), grads = jax.value_and_grad(total, has_aux=True)(params, x[index], y[index])
            update = jax.tree.map(lambda p, g: p - LEARNING_RATE * g, params, grads)
            return update, loss

        def epoch(params: Any, orders: Any, x: Any, y: Any) -> Any:
            return jax.lax.scan(lambda p, index: step(p, index, x, y), params, orders)

        self.step = jax.jit(step, donate_argnums=0)
        self.epoch = jax.jit(epoch, donate_argnums=0)

    def run(self, orders: Any) -> float:
        start = time.perf_counter()
        indices = orders.astype(np.int32)
        if self.scan:
            self.params, losses = self.epoch(self.params, indices, self.x, self.y)
            self.data_loss = float(losses.mean())
        else:
            total = 0.0
            for index in indices:
                self.params, loss = self.step(self.params, index, self.x, self.y)
                total += float(loss)
            self.data_loss = total / len(orders)
        self.params[0][0].block_until_ready()
        return time.perf_counter() - start

    def parameters(self) -> list[tuple[Any, Any]]:
        return [(np.asarray(W), np.asarray(b)) for W, b in self.params]


class ScikitLearn:
    """MLPClassifier, one epoch a call; the batches are gathered at once."""

    def __init__(self, job: Job) -> None:
        from sklearn.neural_network import MLPClassifier

        shape = job.shape
        self.job = job
        self.net = MLPClassifier(
            hidden_layer_sizes=shape.sizes[1:-1],
            activation="relu",
            solver="sgd",
            learning_rate_init=LEARNING_RATE,
            momentum=0.0,
            alpha=2 * PENALTY * shape.batch,  # its penalty is alpha / (2 batch) Σ W²
            batch_size=shape.batch,
            shuffle=False,
        )
        few = job.y[: shape.batch]
        self.net.partial_fit(job.x[: shape.batch], few, classes=np.arange(shape.sizes[-1]))
        self.net.coefs_ = [W.copy() for W in job.W]
        self.net.intercepts_ = [np.zeros(W.shape[1], np.float32) for W in job.W]
        del self.net._optimizer  # its parameters are those of the first weights

    def run(self, orders: Any) -> float:
        start = time.perf_counter()
        index = orders.ravel()
        self.net.partial_fit(self.job.x[index], self.job.y[index])
        return time.perf_counter() - start

    def parameters(self) -> list[tuple[Any, Any]]:
        return list(zip(self.net.coefs_, self.net.intercepts_, strict=True))
