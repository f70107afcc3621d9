"""Real processes, killed at random instants, go on to the very bytes of one that was left alone.

python -m pytest tests/faults/test_kills.py --long     200 of them
"""

import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
QUICK, LONG = 12, 200

BASE = """
[data]
name = "digits"
[net]
hidden = [60]
normalization = "{normalization}"
dropout = 0.2
[loss]
name = "softmax"
[optim]
{optim}
[solver]
epochs = {epochs}
batch_size = 32
threads = 1
checkpoint_every = "{every}"
"""
CONFIGS = {
    "adamw": {
        "optim": 'name = "adamw"\nschedule = { name = "cosine", warmup = 0.5 }\nclip_norm = 2.0',
        "normalization": "batch_norm",
        "every": "1 epoch",
    },
    "nesterov": {
        "optim": 'name = "sgd"\nlr = 0.02\nmomentum = 0.9\nnesterov = true\n'
        'schedule = { name = "plateau", patience = 2 }',
        "normalization": "layer_norm",
        "every": "2 steps",
        "epochs": 5,
    },
    "rmsprop": {
        "optim": 'name = "rmsprop"\nschedule = { name = "exponential" }',
        "normalization": "batch_norm",
        "every": "0.02 seconds",
    },
}


PLAIN = ["-m", "solver"]
WITHOUT_PICTURES = [
    "-c",
    "import sys, experiment.plots, solver; experiment.plots.available = lambda: False; "
    "sys.exit(solver.main())",
]


class Runs:
    """Runs of one configuration, and what an uninterrupted one leaves."""

    def __init__(self, place: Path, name: str, program: list[str]) -> None:
        self.program = program
        self.config = place / f"{name}.toml"
        self.config.write_text(BASE.format(**({"epochs": 40} | CONFIGS[name])))
        self.place, self.name = place, name
        start = time.monotonic()
        whole = self.start(place / f"{name}-whole")
        _, err = whole.communicate(timeout=120)
        assert whole.returncode == 0, err
        self.seconds = time.monotonic() - start
        self.bytes = self.left(place / f"{name}-whole")

    def start(self, run: Path) -> subprocess.Popen[str]:
        return self._process("--config", str(self.config), "--out", str(run))

    def resume(self, run: Path) -> subprocess.Popen[str]:
        return self._process("--resume", str(run))

    def _process(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, *self.program, *arguments, "--quiet"]
        return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def left(run: Path) -> tuple[bytes, str]:
        """The weights' bytes, and the metrics without the seconds, which no two runs share."""
        metrics = (run / "metrics.jsonl").read_text()
        return (
            (run / "weights.safetensors").read_bytes(),
            re.sub(r'"seconds": [^,}]+', "", metrics),
        )


def kill_until_done(runs: Runs, run: Path, chance: random.Random) -> tuple[int, int]:
    """Start a run, kill it again and again until one gets to the end; kills, and early ones.

    An early kill is one that came before the first checkpoint was written: there is nothing yet
    to go on from, which `--resume` says, and the run is started anew.
    """
    kills = early = 0
    process = runs.start(run)
    while True:
        # Anywhere from the first import to the last file; half the time soon after the imports.
        longest = runs.seconds if chance.random() < 0.5 else 0.7
        try:
            process.wait(chance.uniform(0.05, longest))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            begun = any(run.glob("checkpoints/*.safetensors"))
            process = runs.resume(run)
            if not begun:
                _, err = process.communicate(timeout=120)
                assert process.returncode == 2, err
                assert re.search(r"no such folder|not the folder of a run|no checkpoint to go", err)
                early += 1
                run = run.with_name(f"{run.name}-again")
                process = runs.start(run)
            continue
        _, err = process.communicate()
        assert process.returncode == 0, err
        assert runs.left(run) == runs.bytes, f"{run}: not the bytes of an uninterrupted run"
        return kills, early


def kill_sweep(
    place: Path, names: list[str], program: list[str], wanted: int, seed: int
) -> tuple[int, int, int]:
    chance = random.Random(seed)
    all_runs = [Runs(place, name, program) for name in names]
    kills = early = done = 0
    while kills < wanted:
        runs = all_runs[done % len(all_runs)]
        more, more_early = kill_until_done(runs, place / f"run{done}", chance)
        kills, early, done = kills + more, early + more_early, done + 1
    return kills, early, done


def test_killed_runs_lose_nothing(tmp_path: Path) -> None:
    kills, _, done = kill_sweep(tmp_path, ["nesterov"], WITHOUT_PICTURES, QUICK, seed=0)
    assert kills >= QUICK
    assert done >= 1


@pytest.mark.long
def test_two_hundred_kills_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kills, early, done = kill_sweep(tmp_path, list(CONFIGS), PLAIN, LONG, seed=time.time_ns())
    with capsys.disabled():
        print(
            f"\n{kills} kills, {early} of them before the first checkpoint; "
            f"{done} runs ended, 0 with differing bytes, 0 lost"
        )
