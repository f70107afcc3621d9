"""What the benchmarks share: options, interleaved rounds, ratios with their spread, the report."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "scipy", "torch", "jax", "scikit-learn")

Times = dict[str, list[float]]


def parser(
    name: str, about: str | None, rounds: int, with_peers: bool = False
) -> argparse.ArgumentParser:
    """The options that every benchmark has; those with peers can do without."""
    line = (about or "").splitlines()[0]
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=line)
    made.add_argument("--threads", type=positive, default=2, help="of every program (2)")
    made.add_argument("--rounds", type=positive, default=rounds, help=f"interleaved ({rounds})")
    made.add_argument("--out", type=Path, metavar="DIR", help=f"write {name}.md, .json, .png here")
    if with_peers:
        made.add_argument("--alone", action="store_true", help="without the other programs")
    return made


def positive(text: str) -> int:
    """A whole number of 1 or more, from the command line."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}: expected 1 or more")
    return value


def limit_threads(threads: int, there: Sequence[str] = ()) -> Any:
    """Hold NumPy's BLAS, and PyTorch if it is there, to so many threads. JAX takes one for each
    core that the process may run on: `taskset` holds it."""
    from threadpoolctl import threadpool_limits

    limits = threadpool_limits(threads)
    if "torch" in there:
        import torch

        torch.set_num_threads(threads)
    return limits


def installed(package: str) -> bool:
    """Whether a peer is installed."""
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def peers(options: argparse.Namespace, *packages: str) -> list[str]:
    """Those of the peers that are installed; a line on stderr for each that is not."""
    if options.alone:
        return []
    for package in packages:
        if not installed(package):
            tell(f"{package} is not installed: left out")
    return [package for package in packages if installed(package)]


def tell(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


# -- time ----------------------------------------------------------------------------------


PAUSE = 0.05  # seconds: twice as long as a thread of OpenBLAS waits before it sleeps


def interleaved(
    programs: Mapping[str, Callable[[], Any]],
    rounds: int,
    per: float = 1.0,
    budget: float = float("inf"),
) -> Times:
    """The seconds of each program, divided by `per`, in each round.

    A round runs every program once, every other round in the opposite order. When `budget`
    seconds have passed no further round begins, but three are made, if so many are asked for. A
    program that returns a float has timed itself. Before each there is a pause, in which the
    threads of the one before, which look for more work for a while, come to rest.
    """
    times: Times = {name: [] for name in programs}
    began = time.perf_counter()
    for i in range(rounds):
        if i >= 3 and time.perf_counter() - began > budget:
            break
        for name in list(programs)[:: -1 if i % 2 else 1]:
            time.sleep(PAUSE)
            start = time.perf_counter()
            own = programs[name]()
            seconds = time.perf_counter() - start
            times[name].append((own if isinstance(own, float) else seconds) / per)
    return times


def ratios(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """a / b, round by round."""
    return [x / y for x, y in zip(a, b, strict=True)]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """`1.23 (1.20–1.31)`: the median, and the smallest and largest."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def micro(values: Sequence[float]) -> str:
    """The median in µs."""
    value = statistics.median(values) * 1e6
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def geometric_mean(values: Iterable[float]) -> float:
    return statistics.geometric_mean(list(values))


def summary(times: Times) -> dict[str, float]:
    """The median of each program's rounds, in seconds."""
    return {name: statistics.median(values) for name, values in times.items()}


# -- the report ----------------------------------------------------------------------------


class Report:
    """Tables and lines in Markdown, the numbers beside them for JSON, and perhaps a picture."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name, self.options = name, options
        self.data: dict[str, Any] = {"machine": machine(options.threads)}
        self.parts: list[str] = []
        self.line(", ".join(f"{key} {value}" for key, value in self.data["machine"].items()))

    def line(self, text: str) -> None:
        """A paragraph."""
        self.parts.append(text)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table in Markdown, its columns as wide as they need."""
        lines = [list(head), *map(list, rows)]
        widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
        text = [
            "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
            for line in lines
        ]
        rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
        self.parts.append("\n".join([text[0], rule, *text[1:]]))

    def finish(self, plot: Callable[[Any], Any] | None = None) -> None:
        """Print it all, and write it into `--out`."""
        text = "\n\n".join(self.parts) + "\n"
        print(text)
        folder = self.options.out
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.md").write_text(text, encoding="utf-8")
        numbers = json.dumps(self.data, indent=1, ensure_ascii=False)
        (folder / f"{self.name}.json").write_text(numbers + "\n", encoding="utf-8")
        if plot is not None:
            self._draw(plot, folder / f"{self.name}.png")

    def _draw(self, plot: Callable[[Any], Any], path: Path) -> None:
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError:
            tell("matplotlib is not installed: no picture")
            return
        figure = Figure(figsize=(10, 5.5), layout="constrained")
        FigureCanvasAgg(figure)
        plot(figure)
        figure.savefig(path, dpi=120)


def machine(threads: int) -> dict[str, str]:
    """What a figure depends on: processor, threads, versions."""
    facts = {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "threads": str(threads),
        "python": platform.python_version(),
    }
    return facts | {name: version(name) for name in PACKAGES if installed(name)}


def processor() -> str:
    """Its name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def plain_numbers(axis: Any) -> None:
    """The ticks of a logarithmic axis as 1, 2, 5, 10, … instead of powers of ten."""
    from matplotlib.ticker import LogLocator

    axis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.set_major_formatter("{x:,g}")
    axis.set_minor_formatter("{x:,g}")
