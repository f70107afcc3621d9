"""The gradient checker beside its peers, on two corpora of right and wrong backward passes.

python -m benchmarks.gradcheck [--right-seeds 2] [--limit 100] [--cases]

Every checker is given the same layers at the same points, and the same signed random dout where it
takes one:

gradcheck       this project's, as it is called by default
torch           torch.autograd.gradcheck with its documented defaults; the layer stands in a custom
                autograd Function of float64 tensors, its inputs and parameters
torch, best     the same with, of the settings in TORCH_SETTINGS, the one that does best here
scipy           scipy.optimize.check_grad on θ ↦ Σ dout · y, wrong if its error exceeds 1e-6 of
                the gradient's norm
spot check      CS231n's: 10 random entries of each array, central differences, h = 1e-5, wrong if
                |a − n| / max(|a|, |n|) > 1e-5

The peers ask for float64, so a float32 layer is not applicable to them. An exception on a wrong
layer counts as its detection, on a right one as not applicable. Some mistakes show only away from
the given point (at other inputs, other dout): they are counted apart. What a wrong layer costs
includes its diagnosis. Needs PyTorch (`peers`).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import check_grad

from gradcheck.objects import walk
from tests.gradcheck.corpora import checked, every_case
from tests.gradcheck.corpus import Case

LARGE = 2_000  # entries beyond which the peers' own modes for large inputs are used

TORCH_DEFAULT = {"eps": 1e-6, "atol": 1e-5, "rtol": 1e-3}
TORCH_SETTINGS = (
    {"eps": 1e-6, "atol": 1e-7, "rtol": 1e-5},
    {"eps": 1e-5, "atol": 1e-8, "rtol": 1e-6},
    {"eps": 1e-4, "atol": 1e-7, "rtol": 1e-6},
    {"eps": 1e-3, "atol": 1e-6, "rtol": 1e-5},
)


class NotApplicable(Exception):
    """The checker does not take such a layer."""


class Outcome(NamedTuple):
    """What a checker said of one case, and what it cost."""

    verdict: str
    forwards: int
    backwards: int
    seconds: float
    causes: tuple[str, ...] = ()


class Problem:
    """A case at one point as the peers see it: arrays in, an array out, gradients back."""

    def __init__(self, case: Case, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.kind = case.kind
        self.args = list(case.inputs(rng))
        made = case.make()
        self.layer = _Function(*made) if case.kind == "function" else made
        self.forwards = self.backwards = 0
        generators = [n for n in walk(self.layer) if isinstance(n, np.random.Generator)]
        self.states = [(g.bit_generator, g.bit_generator.state) for g in generators]
        self.params = _params(self.layer)
        self.real = [k for k, a in enumerate(self.args) if _is_real(a)]
        self.real = self.real[:1] if case.kind == "loss" else self.real
        self.names = [name for name, value in self.params.items() if _is_real(np.asarray(value))]
        start = [self.args[k] for k in self.real] + [self.params[n] for n in self.names]
        if not start:
            raise NotApplicable("nothing has a gradient")
        if any(np.asarray(a).dtype != np.float64 for a in start):
            raise NotApplicable("not float64")
        self.start = [np.array(a, dtype=np.float64) for a in start]
        y = self.forward(self.start)
        self.dout = np.ones(()) if case.kind == "loss" else rng.standard_normal(y.shape)
        self.forwards = 0

    def forward(self, arrays: list[Any]) -> Any:
        """The output at these inputs and parameters, drawing the same random numbers each time."""
        self.forwards += 1
        for generator, state in self.states:
            generator.state = state
        args = list(self.args)
        for k, a in zip(self.real, arrays, strict=False):
            args[k] = a.copy()
        for name, a in zip(self.names, arrays[len(self.real) :], strict=True):
            if isinstance(self.params[name], np.ndarray):
                self.params[name][...] = a
            else:
                self.layer.params[name] = float(a)
        y = self.layer.forward(*[a.copy() if isinstance(a, np.ndarray) else a for a in args])
        return np.array(y, dtype=np.float64)

    def backward(self, dout: Any) -> list[Any]:
        """The gradients of the same arrays, None where there is none."""
        self.backwards += 1
        if self.kind == "loss":
            return [float(dout) * np.asarray(self.layer.backward())]
        dx, grads = self.layer.backward(np.array(dout))
        dxs = dx if isinstance(dx, tuple) else (dx,)
        if len(dxs) != len(self.args):
            dxs = tuple(dxs[self.real.index(k)] if k in self.real else None for k in range(9))
        return [dxs[k] for k in self.real] + [grads.get(name) for name in self.names]

    def gradients(self) -> list[Any]:
        """The gradients at the given point and dout, each of the shape it must have."""
        self.forward(self.start)
        found = self.backward(self.dout)
        for g, a in zip(found, self.start, strict=True):
            if np.shape(g) != a.shape:
                raise ValueError(f"a gradient of shape {np.shape(g)} for an array of {a.shape}")
        return [np.array(g, dtype=np.float64) for g in found]

    def objective(self, arrays: list[Any]) -> float:
        """L = Σ dout · y."""
        return float((self.dout * self.forward(arrays)).sum())


class _Function:
    def __init__(self, f: Callable[..., Any], df: Callable[..., Any]) -> None:
        self.f, self.df = f, df

    def forward(self, x: Any) -> Any:
        self.x = x
        return self.f(x)

    def backward(self, dout: Any) -> Any:
        return dout * self.df(self.x), {}


def _params(layer: Any) -> dict[str, Any]:
    held = getattr(layer, "params", None)
    return dict(held) if isinstance(held, dict) else {}


def _is_real(a: Any) -> bool:
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


# -- the checkers --------------------------------------------------------------------------


def ours(case: Case, seed: int) -> Outcome:
    """This project's checker."""
    report = checked(case, seed)
    causes = tuple(report.findings[0].causes) if report.findings else ()
    return Outcome(report.verdict, report.forwards, report.backwards, report.seconds, causes)


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, problem: Problem, *tensors: Any) -> Any:
        ctx.problem = problem
        ctx.save_for_backward(*tensors)
        return torch.from_numpy(problem.forward([t.detach().numpy() for t in tensors]))

    @staticmethod
    def backward(ctx: Any, *douts: Any) -> Any:
        # The checker has moved the inputs since: the layer's caches are those of another point.
        ctx.problem.forward([t.detach().numpy() for t in ctx.saved_tensors])
        found = ctx.problem.backward(douts[0].numpy())
        tensors = [None if g is None else torch.tensor(np.array(g, np.float64)) for g in found]
        return (None, *tensors)


def torch_with(eps: float, atol: float, rtol: float) -> Callable[[Problem], bool]:
    """torch.autograd.gradcheck with these settings; its fast mode on large inputs."""

    def right(problem: Problem) -> bool:
        tensors = [torch.tensor(a, requires_grad=True) for a in problem.start]
        size = sum(a.size for a in problem.start) * max(problem.dout.size, 1)
        return torch.autograd.gradcheck(
            lambda *given: _Layer.apply(problem, *given),
            tensors,
            eps=eps,
            atol=atol,
            rtol=rtol,
            raise_exception=False,
            fast_mode=size > 100 * LARGE,
        )

    return right


def scipy_check(problem: Problem) -> bool:
    """scipy.optimize.check_grad over all arrays as one vector; one direction on large inputs."""
    sizes = np.cumsum([a.size for a in problem.start])[:-1]

    def arrays(theta: Any) -> list[Any]:
        parts = np.split(theta, sizes)
        return [p.reshape(a.shape) for p, a in zip(parts, problem.start, strict=True)]

    def f(theta: Any) -> float:
        return problem.objective(arrays(theta))

    found = np.concatenate([g.ravel() for g in problem.gradients()])
    theta = np.concatenate([a.ravel() for a in problem.start])
    how: dict[str, Any] = {}
    if theta.size > LARGE:
        how = {"direction": "random", "rng": np.random.default_rng(0)}
    error = check_grad(f, lambda _: found, theta, **how)
    return bool(error <= 1e-6 * max(float(np.linalg.norm(found)), 1e-12))


def spot_check(problem: Problem, h: float = 1e-5) -> bool:
    """The course's check of 10 random entries of each array."""
    rng = np.random.default_rng(0)
    for i, g in enumerate(problem.gradients()):
        for _ in range(10):
            index = tuple(int(rng.integers(m)) for m in g.shape)
            values = []
            for step in (h, -h):
                moved = [a.copy() for a in problem.start]
                moved[i][index] += step
                values.append(problem.objective(moved))
            numeric = (values[0] - values[1]) / (2 * h)
            largest = max(abs(numeric), abs(float(g[index])))
            if not abs(numeric - g[index]) <= 1e-5 * largest:
                return False
    return True


def peer(right: Callable[[Problem], bool]) -> Callable[[Case, int], Outcome]:
    """The peer's verdict on a case."""

    def check(case: Case, seed: int) -> Outcome:
        try:
            problem = Problem(case, seed)
        except NotApplicable:
            return Outcome("not applicable", 0, 0, 0.0)
        except Exception:
            return Outcome("not applicable" if case.slug is None else "wrong", 0, 0, 0.0)
        start = time.perf_counter()
        try:
            verdict = "right" if right(problem) else "wrong"
        except Exception:
            verdict = "not applicable" if case.slug is None else "wrong"
        seconds = time.perf_counter() - start
        return Outcome(verdict, problem.forwards, problem.backwards, seconds)

    return check


# -- the table -----------------------------------------------------------------------------


class Tally:
    """The outcomes of one checker over the corpus."""

    def __init__(self) -> None:
        self.right: list[tuple[Case, Outcome]] = []
        self.wrong: list[tuple[Case, Outcome]] = []

    def add(self, case: Case, outcome: Outcome) -> None:
        (self.right if case.slug is None else self.wrong).append((case, outcome))

    @property
    def false_alarms(self) -> int:
        return sum(o.verdict == "wrong" for _, o in self.right)

    @property
    def detected(self) -> int:
        return sum(o.verdict == "wrong" for _, o in self.wrong)

    @property
    def merit(self) -> float:
        """Detection rate less the rate of false alarms."""
        return self.detected / max(len(self.wrong), 1) - self.false_alarms / max(len(self.right), 1)

    def cells(self) -> list[str]:
        elsewhere = [(c, o) for c, o in self.wrong if c.shown_at or c.shown_by]
        here = [(c, o) for c, o in self.wrong if not (c.shown_at or c.shown_by)]
        every = [o for _, o in self.right + self.wrong]
        told = [({c.slug, *c.also}, o.causes) for c, o in self.wrong if o.verdict == "wrong"]
        cells = [
            _share(sum(o.verdict == "wrong" for _, o in here), len(here)),
            _share(sum(o.verdict == "wrong" for _, o in elsewhere), len(elsewhere)),
            _share(self.false_alarms, len(self.right)),
            _share(sum(o.verdict in ("inconclusive", "not applicable") for o in every), len(every)),
        ]
        if any(causes for _, causes in told):
            first = sum(causes[:1] != () and causes[0] in named for named, causes in told)
            third = sum(bool(named & set(causes[:3])) for named, causes in told)
            confident = sum(
                causes[:1] not in ((), ("unexplained",)) and causes[0] not in named
                for named, causes in told
            )
            cells += [_share(n, len(self.wrong)) for n in (first, third, confident)]
        else:
            cells += ["–"] * 3
        return [
            *cells,
            *_cost([o for _, o in self.right]),
            *_cost([o for _, o in self.wrong]),
        ]


ROWS = (
    "wrong at the point: detected",
    "wrong elsewhere: detected",
    "right: false alarms",
    "inconclusive, not applicable",
    "diagnosis right, first",
    "diagnosis right, in first three",
    "diagnosis confidently wrong",
    "right: forwards (median)",
    "right: backwards (median)",
    "right: time (median)",
    "wrong: forwards (median)",
    "wrong: backwards (median)",
    "wrong: time (median)",
)


def _share(n: int, of: int) -> str:
    return f"{n}/{of} {100 * n / of:.1f} %" if of else "–"


def _cost(outcomes: list[Outcome]) -> list[str]:
    ran = [o for o in outcomes if o.forwards]
    if not ran:
        return ["–"] * 3
    return [
        f"{np.median([o.forwards for o in ran]):.0f}",
        f"{np.median([o.backwards for o in ran]):.0f}",
        f"{1e3 * np.median([o.seconds for o in ran]):.1f} ms",
    ]


def table(tallies: dict[str, Tally]) -> str:
    """The table in Markdown."""
    columns = [tally.cells() for tally in tallies.values()]
    lines = [["", *tallies], *([name, *cells] for name, *cells in zip(ROWS, *columns, strict=True))]
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    text = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([text[0], rule, *text[1:]])


def chosen(limit: int | None) -> list[Case]:
    """Both corpora, or about `limit` cases spread over it."""
    every = every_case()
    if limit is None or limit >= len(every):
        return every
    return [every[int(k)] for k in np.linspace(0, len(every) - 1, limit)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gradcheck")
    parser.add_argument("--right-seeds", type=int, default=2, metavar="N", help="points per case")
    parser.add_argument("--limit", type=int, metavar="N", help="only about N cases of the corpus")
    parser.add_argument("--cases", action="store_true", help="list where our checker errs")
    options = parser.parse_args()
    checkers = {
        "gradcheck": ours,
        "torch": peer(torch_with(**TORCH_DEFAULT)),
        "scipy": peer(scipy_check),
        "spot check": peer(spot_check),
    }
    best = {f"torch, best ({_words(s)})": peer(torch_with(**s)) for s in TORCH_SETTINGS}
    tallies = {name: Tally() for name in (*checkers, *best)}
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with np.errstate(all="ignore"):
        for case in chosen(options.limit):
            for seed in range(options.right_seeds if case.slug is None else 1):
                for name, check in (checkers | best).items():
                    with contextlib.redirect_stdout(io.StringIO()):
                        outcome = check(case, seed)
                    tallies[name].add(case, outcome)
                    if options.cases and name == "gradcheck":
                        _tell(case, seed, outcome)
    winner = max(best, key=lambda name: tallies[name].merit)
    order = ("gradcheck", "torch", winner, "scipy", "spot check")
    print(table({name: tallies[name] for name in order}))
    return 0


def _words(setting: dict[str, float]) -> str:
    return ", ".join(f"{key} {value:.0e}".replace("e-0", "e-") for key, value in setting.items())


def _tell(case: Case, seed: int, outcome: Outcome) -> None:
    if (outcome.verdict == "wrong") != (case.slug is not None):
        label = case.slug or "right"
        print(
            f"{case.name} ({label}), seed {seed}: {outcome.verdict} {outcome.causes[:1]}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
