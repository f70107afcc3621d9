"""Several Solvers at once, in threads and in processes, do what each does alone."""

import multiprocessing
import threading

import numpy as np
import pytest

from layers import BatchNorm, Dropout, Linear, ReLU, Sequential
from losses import L2, SoftmaxCrossEntropy
from losses.objective import Objective
from optim import SGD, Adam
from solver import Checkpoints, Diverged, Solver

rng = np.random.default_rng(0)
X = rng.standard_normal((300, 20)).astype(np.float32)
Y = rng.integers(0, 3, 300)


def train(seed, folder=None):
    """The bytes of the weights after a training of its own."""
    net = Sequential(
        Linear(20, 30, rng=seed),
        BatchNorm(30),
        ReLU(),
        Dropout(0.3, rng=seed),
        Linear(30, 3, rng=1),
    )
    objective = Objective(net, SoftmaxCrossEntropy(), [L2(1e-3)])
    checkpoints = None if folder is None else Checkpoints(folder, "1 epoch")
    solver = Solver(
        objective, Adam(0.01), epochs=5, batch_size=16, seed=seed, checkpoints=checkpoints,
        quiet=True,
    )  # fmt: skip
    solver.train((X[:200], Y[:200]), (X[200:], Y[200:]))
    return objective.theta.tobytes()


def test_threads_do_not_disturb_each_other(tmp_path):
    alone = {seed: train(seed) for seed in range(6)}
    found, errors = {}, []

    def work(seed):
        try:
            found[seed] = train(seed, tmp_path / str(seed))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert found == alone


def test_a_solver_that_diverges_and_one_that_is_interrupted_leave_the_others_alone():
    alone, found = train(0), []
    thread = threading.Thread(target=lambda: found.append(train(0)))
    thread.start()
    for _ in range(3):
        net = Sequential(Linear(20, 5, rng=0), ReLU(), Linear(5, 3, rng=0))
        solver = Solver(Objective(net, SoftmaxCrossEntropy()), SGD(1e38), epochs=3, quiet=True)
        solver.interrupt()
        with pytest.raises(Exception, match="interrupted by Ctrl-C"):
            solver.train((X, Y))
        with pytest.raises(Diverged):
            solver.train((X, Y))
    thread.join()
    assert found == [alone]


def send(seed, pipe):
    pipe.send_bytes(train(seed))
    pipe.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_training_works_in_a_worker_process(method):
    """Also in a fork of a process whose BLAS has been at work."""
    alone = [train(seed) for seed in (0, 1)]
    context = multiprocessing.get_context(method)
    found = []
    workers = []
    for seed in (0, 1):
        here, there = context.Pipe(duplex=False)
        worker = context.Process(target=send, args=(seed, there))
        worker.start()
        there.close()
        workers.append((worker, here))
    for worker, here in workers:
        assert here.poll(60), "the worker hangs"
        found.append(here.recv_bytes())
        worker.join(60)
        assert worker.exitcode == 0
        here.close()
    assert found == alone
