"""Losses, activations, dropout and batch norm: a step with each, beside PyTorch; evaluation.

python -m benchmarks.parts [--shape mnist] [--threads 2] [--rounds 9] [--steps N] [--samples 10000]
                           [--out DIR]

A step is one of a shape with one hidden layer, through the real Solver; PyTorch is eager, with its
fused rules beside momentum and Adam. Adam is a compiled loop where Numba is installed, and *Adam,
NumPy alone* the same without. But for dropout, whose masks are random, the weights after 20 steps
must agree before anything is timed. Evaluation is the scores of samples of the shape, 1,024 at a
time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import layers
from benchmarks.programs import (
    LEARNING_RATE,
    SHAPES,
    Handgrad,
    Job,
    ScikitLearn,
    Torch,
    our_net,
    torch_net,
)
from benchmarks.table import (
    Report,
    Times,
    interleaved,
    limit_threads,
    micro,
    parser,
    peers,
    positive,
    ratios,
    spread,
    summary,
    tell,
)
from losses import MulticlassHinge, SoftmaxCrossEntropy
from optim import SGD, Adam

CHECKED_STEPS = 20
CHANGE_AGREES = 5e-3
ADAM_AGREES = 2e-2  # of a gradient near 0 Adam takes the sign, which is rounding's
EVALUATION_BATCH = 1024
DROP = 0.5

ACTIVATIONS = ("ReLU", "LeakyReLU", "ELU", "Sigmoid", "Tanh")
PARTS = (
    *("softmax loss", "hinge loss", *ACTIVATIONS[1:]),
    *("Maxout", "Dropout", "BatchNorm", "LayerNorm", "momentum", "Adam", "Adam, NumPy alone"),
)
ONE_HIDDEN = [name for name, shape in SHAPES.items() if len(shape.sizes) == 3]


def ours(part: str, job: Job) -> Any:
    """Our program with this part."""
    if part == "hinge loss":
        return Handgrad(job, loss=MulticlassHinge())
    if part in ACTIVATIONS:
        return Handgrad(job, net=our_net(job, part))
    if part == "softmax loss":
        return Handgrad(job)
    if part == "momentum":
        return Handgrad(job, optimizer=SGD(LEARNING_RATE, momentum=0.9))
    if part.startswith("Adam"):
        rule = Adam(LEARNING_RATE)
        if part != "Adam":
            rule.loop = None
        return Handgrad(job, optimizer=rule)
    return Handgrad(job, net=our_net_with(part, job), loss=SoftmaxCrossEntropy())


def our_net_with(part: str, job: Job) -> Any:
    """Two linear layers, and between them the part."""
    (D, H), (_, C) = (W.shape for W in job.W)
    first: Any = layers.Linear(D, H, rng=0)
    last = layers.Linear(H, C, rng=0)
    last.params["W"][...] = job.W[1]
    if part == "Maxout":
        first = layers.Maxout(D, H, rng=0)
        first.params["W"][...] = [job.W[0], -job.W[0]]
        return layers.Sequential(first, last)
    first.params["W"][...] = job.W[0]
    if part == "Dropout":
        return layers.Sequential(first, layers.ReLU(), layers.Dropout(DROP, rng=0), last)
    return layers.Sequential(first, getattr(layers, part)(H), layers.ReLU(), last)


def torchs(part: str, job: Job) -> Any:
    """PyTorch's program with the same part."""
    import torch
    from torch import nn

    if part == "softmax loss":
        return Torch(job)
    if part == "momentum":
        return Torch(job, fused=True, momentum=0.9)
    if part.startswith("Adam"):
        return Torch(job, fused=True, rule="Adam")
    if part == "hinge loss":  # theirs is divided by the number of classes
        margin, classes = nn.MultiMarginLoss(), job.shape.sizes[-1]
        return Torch(job, loss=lambda scores, y: classes * margin(scores, y))
    if part == "LeakyReLU":
        return Torch(job, net=torch_net(job, lambda: nn.LeakyReLU(0.1)))
    if part in ACTIVATIONS:
        return Torch(job, net=torch_net(job, getattr(nn, part)))
    first, relu, last = torch_net(job)
    if part == "Dropout":
        return Torch(job, net=nn.Sequential(first, relu, nn.Dropout(DROP), last))
    if part.endswith("Norm"):
        kind = nn.BatchNorm1d if part == "BatchNorm" else nn.LayerNorm
        norm = kind(job.shape.sizes[1])
        return Torch(job, net=nn.Sequential(first, norm, relu, last))

    class Maxout(nn.Module):
        """The larger of two affine maps, which are one product."""

        def __init__(self) -> None:
            super().__init__()
            D, H = job.W[0].shape
            self.both, self.units = nn.Linear(D, 2 * H), H
            with torch.no_grad():
                W = np.concatenate([job.W[0], -job.W[0]], axis=1)
                self.both.weight.copy_(torch.from_numpy(W.T.copy()))
                self.both.bias.zero_()

        def forward(self, x: Any) -> Any:
            return self.both(x).view(-1, 2, self.units).amax(dim=1)

    return Torch(job, net=nn.Sequential(Maxout(), last))


def main() -> None:
    made = parser("parts", __doc__, rounds=9, with_peers=True)
    made.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    made.add_argument("--shape", choices=ONE_HIDDEN, default="mnist")
    made.add_argument("--steps", type=positive, help="of an epoch, instead of the shape's own")
    made.add_argument("--samples", type=positive, default=10_000, help="evaluated (10000)")
    options = made.parse_args()
    there = peers(options, "torch", "scikit-learn")
    limit_threads(options.threads, there)
    report = Report("parts", options)
    shape = SHAPES[options.shape]
    which = f"{options.shape} ({shape.batch}, {'-'.join(map(str, shape.sizes))})"
    report.line(f"{options.rounds} interleaved rounds; µs per step at {which}")
    job = Job.make(shape._replace(steps=options.steps or shape.steps))
    report.data["seconds per step"] = steps = measure(job, options, "torch" in there)
    rows = []
    for part, times in steps.items():
        base = steps.get("softmax loss", times)["handgrad"]
        over = spread(ratios(times["handgrad"], base))
        cells = [part, micro(times["handgrad"]), over]
        if "torch" in times:
            ratio = spread(ratios(times["torch"], times["handgrad"]))
            cells += [micro(times["torch"]), ratio]
        rows.append(cells + ["–"] * (5 - len(cells)))
    report.table(["with", "handgrad", "over softmax, ReLU", "torch", "torch / handgrad"], rows)
    report.data["seconds of an evaluation"] = times = evaluation(
        job, options.samples, there, options.rounds
    )
    report.line(f"Evaluation of {options.samples:,} samples of this shape, samples a second")
    report.table(
        ["program", "samples / s", "over handgrad's"],
        [
            [
                name,
                f"{options.samples / summary(times)[name]:,.0f}",
                spread(ratios(times["handgrad"], values)),
            ]
            for name, values in times.items()
        ],
    )
    report.finish()


def measure(job: Job, options: Any, with_torch: bool) -> dict[str, Times]:
    """The seconds per step of each part in both programs, round by round."""
    programs: dict[str, dict[str, Any]] = {}
    for part in options.parts:
        tell(part)
        programs[part] = {"handgrad": ours(part, job)}
        if with_torch:
            programs[part]["torch"] = torchs(part, job)
        for program in programs[part].values():
            program.run(job.orders(CHECKED_STEPS))
        if with_torch and part != "Dropout":
            check(part, job, programs[part])
    orders = job.orders()
    runners = {
        f"{part}, {name}": partial(program.run, orders)
        for part, both in programs.items()
        for name, program in both.items()
    }
    times = interleaved(runners, options.rounds, per=len(orders))
    return {
        part: {name: times[f"{part}, {name}"] for name in both} for part, both in programs.items()
    }


def check(part: str, job: Job, programs: dict[str, Any]) -> None:
    """Raise unless the last layer's weights have changed alike."""
    ours_W, theirs_W = programs["handgrad"].objective.net.params, programs["torch"].net[-1].weight
    last = [W for name, W in ours_W.items() if name.endswith(".W")][-1] - job.W[-1]
    other = theirs_W.detach().numpy().T - job.W[-1]
    apart = float(np.linalg.norm(last - other) / np.linalg.norm(last))
    if not apart <= (ADAM_AGREES if part.startswith("Adam") else CHANGE_AGREES):
        raise SystemExit(f"{part}: PyTorch does other work, its change {100 * apart:.1f} % apart")


def evaluation(job: Job, samples: int, there: list[str], rounds: int) -> Times:
    """The seconds to score so many samples."""
    from solver import Solver

    tell("evaluation")
    x = np.random.default_rng(1).standard_normal((samples, job.shape.sizes[0]), np.float32)
    mine = Handgrad(job)
    solver = Solver(mine.objective, mine.optimizer, quiet=True)
    solver.net.training = False
    runs: dict[str, Callable[[], Any]] = {"handgrad": lambda: solver.scores(x)}
    if "torch" in there:
        import torch

        net, tensor = torch_net(job).eval(), torch.from_numpy(x)

        def score() -> Any:
            with torch.inference_mode():
                return torch.cat([net(part) for part in tensor.split(EVALUATION_BATCH)]).numpy()

        runs["torch"] = score
    if "scikit-learn" in there:
        peer = ScikitLearn(job).net
        runs["scikit-learn"] = lambda: peer.predict_proba(x)
    scores = runs["handgrad"]()
    for name, run in runs.items():
        if not (run().argmax(axis=1) == scores.argmax(axis=1)).mean() > 0.999:
            raise SystemExit(f"evaluation: {name} predicts something else")

    def untimed(run: Callable[[], Any]) -> Callable[[], None]:
        return lambda: (run(), None)[1]

    return interleaved({name: untimed(run) for name, run in runs.items()}, rounds)


if __name__ == "__main__":
    main()
