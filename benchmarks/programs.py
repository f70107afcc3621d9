"""One training step of the same fully connected net, in this project and in its peers.

Every program is given the same data, first weights, batches, loss (softmax), penalty (λ Σ W² on the
weights) and learning rate, and has one method: `run(orders)` trains on the batches whose sample
indices are the rows of `orders` and returns the mean data loss.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LEARNING_RATE = 0.01
PENALTY = 1e-4


class Shape(NamedTuple):
    """A network's layer sizes, its batch, and how many batches make the benchmark's epoch."""

    batch: int
    sizes: tuple[int, ...]
    steps: int


SHAPES = {
    "digits": Shape(64, (64, 100, 10), 400),
    "mnist": Shape(64, (784, 128, 10), 200),
    "mnist256": Shape(256, (784, 256, 10), 60),
    "cifar2": Shape(200, (3072, 50, 10), 50),
    "cifar3": Shape(200, (3072, 100, 100, 10), 50),
    "wide": Shape(256, (3072, 1024, 1024, 10), 12),
    "slide": Shape(64, (4096, 4096, 10), 12),
    "deep": Shape(128, (256, *(8 * (256,)), 10), 100),
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

    def orders(self, seed: int, epoch: int) -> Any:
        """The batches of one epoch, as the Solver draws them."""
        order = np.random.default_rng([seed, epoch]).permutation(len(self.y))
        return order.reshape(self.shape.steps, self.shape.batch)


class Floor:
    """The matrix products of a step and the gather of its batch, nothing else."""

    def __init__(self, job: Job) -> None:
        N, sizes = job.shape.batch, job.shape.sizes
        self.x, self.W = job.x, [W.copy() for W in job.W]
        self.a = [np.empty((N, size), np.float32) for size in sizes]
        self.d = [np.ones((N, size), np.float32) for size in sizes]
        self.dW = [np.empty_like(W) for W in self.W]

    def run(self, orders: Any) -> float:
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
        return float("nan")


class Handgrad:
    """The real Solver: loss, penalty, evaluation and history included."""

    def __init__(self, job: Job, activation: str = "ReLU") -> None:
        import layers
        from layers import Linear, Sequential
        from losses import L2, SoftmaxCrossEntropy
        from losses.objective import Objective
        from optim import SGD

        chain: list[Any] = []
        for W in job.W:
            linear = Linear(*W.shape, rng=0)
            linear.params["W"][...] = W
            chain += [linear, getattr(layers, activation)()]
        self.job = job
        self.objective = Objective(Sequential(*chain[:-1]), SoftmaxCrossEntropy(), [L2(PENALTY)])
        self.optimizer = SGD(LEARNING_RATE)

    def run(self, orders: Any, seed: int = 0) -> float:
        """One epoch through Solver.train, which draws `orders` itself from its seed."""
        from solver import Solver

        batch = self.job.shape.batch
        solver = Solver(
            self.objective, self.optimizer, epochs=1, batch_size=batch, seed=seed, quiet=True
        )
        n = orders.size
        return float(solver.train((self.job.x[:n], self.job.y[:n]))[0]["data_loss"])


class Bare(Handgrad):
    """The objective and the update alone, without the Solver."""

    def run(self, orders: Any, seed: int = 0) -> float:
        objective, update = self.objective, self.optimizer.update
        x, y, n = self.job.x, self.job.y, objective.n_weights
        room = np.empty((orders.shape[1], x.shape[1]), np.float32)
        total = 0.0
        objective.net.training = True
        with objective.driven():
            for index in orders:
                batch = np.take(x, index, axis=0, out=room, mode="clip")
                _, grad = objective.value_and_grad(batch, y[index])
                update(objective.theta, grad, n)
                total += objective.data_loss
        return total / len(orders)


class Torch:
    """PyTorch, eager: the penalty as weight decay, which costs it least."""

    def __init__(self, job: Job, fused: bool = False, compiled: bool = False) -> None:
        import torch

        self.torch = torch
        modules: list[Any] = []
        for W in job.W:
            linear = torch.nn.Linear(*W.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(W.T.copy()))
                linear.bias.zero_()
            modules += [linear, torch.nn.ReLU()]
        self.net = torch.nn.Sequential(*modules[:-1])
        self.x, self.y = torch.from_numpy(job.x), torch.from_numpy(job.y)
        weights = [p for p in self.net.parameters() if p.ndim == 2]
        biases = [p for p in self.net.parameters() if p.ndim == 1]
        self.optimizer = torch.optim.SGD(
            [{"params": weights, "weight_decay": 2 * PENALTY}, {"params": biases}],
            lr=LEARNING_RATE,
            fused=fused,
        )
        self.loss = torch.nn.CrossEntropyLoss()
        self.forward: Any = lambda x, y: self.loss(self.net(x), y)
        if compiled:
            self.forward = torch.compile(self.forward)

    def run(self, orders: Any) -> float:
        torch, total = self.torch, 0.0
        for index in torch.from_numpy(orders):
            loss = self.forward(self.x[index], self.y[index])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total / len(orders)


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
        indices = self.jnp.asarray(orders)
        if self.scan:
            self.params, losses = self.epoch(self.params, indices, self.x, self.y)
            return float(losses.mean())
        total = 0.0
        for index in indices:
            self.params, loss = self.step(self.params, index, self.x, self.y)
            total += float(loss)
        return total / len(orders)


class ScikitLearn:
    """MLPClassifier, one epoch a call; it shuffles for itself."""

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
            alpha=2 * PENALTY * shape.batch,
            batch_size=shape.batch,
            shuffle=False,
        )
        few = job.y[: shape.batch]
        self.net.partial_fit(job.x[: shape.batch], few, classes=np.arange(shape.sizes[-1]))
        self.net.coefs_ = [W.copy() for W in job.W]
        self.net.intercepts_ = [np.zeros(W.shape[1], np.float32) for W in job.W]
        self.net._optimizer = None  # its parameters are those of the first weights
        del self.net._optimizer

    def run(self, orders: Any) -> float:
        index = orders.ravel()
        self.net.partial_fit(self.job.x[index], self.job.y[index])
        squares = sum(float((W * W).sum()) for W in self.net.coefs_)
        return float(self.net.loss_) - PENALTY * squares  # its loss has the penalty in it
