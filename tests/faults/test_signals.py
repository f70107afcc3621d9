"""Ctrl-C and SIGTERM: the step is finished, a checkpoint written, and the run can go on."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from experiment.checkpoint import Checkpoints
from experiment.signals import StoppedAtOnce, finishing_steps

pytestmark = pytest.mark.usefixtures("ctrl_c_is_heard")

ROOT = Path(__file__).parent.parent.parent
CONFIG = ["--config", "configs/digits_adam.toml", "--set", "solver.epochs=30", "--quiet"]

# `python -m solver` but for the pictures; and with a layer that needs a minute for a step once
# the file "slow" is there.
WITHOUT_PICTURES = """
import sys
import experiment.plots, solver
experiment.plots.available = lambda: False
sys.exit(solver.main())
"""
SLOW = """
import pathlib, sys, time
import experiment.plots, layers, solver
experiment.plots.available = lambda: False
slow, forward = pathlib.Path(sys.argv.pop(1)), layers.Linear.forward
def sleepy(self, x):
    if slow.exists():
        slow.with_suffix(".reached").touch()
        for _ in range(600):
            time.sleep(0.1)
    return forward(self, x)
layers.Linear.forward = sleepy
sys.exit(solver.main())
"""


def start(*arguments, program=("-m", "solver")):
    return subprocess.Popen(
        [sys.executable, *program, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def epochs_of(run):
    metrics = run / "metrics.jsonl"
    return len(metrics.read_text().splitlines()) if metrics.exists() else 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The weights of a run that nobody interrupts."""
    run = tmp_path_factory.mktemp("signals") / "whole"
    command = [sys.executable, "-c", WITHOUT_PICTURES, *CONFIG, "--out", str(run)]
    subprocess.run(command, cwd=ROOT, check=True)
    return (run / "weights.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("signum", "code", "name"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_the_run_stops_after_its_step_and_goes_on(tmp_path, whole, signum, code, name):
    run = tmp_path / "run"
    process = start(*CONFIG, "--out", str(run))
    wait_for(lambda: epochs_of(run) >= 3)
    process.send_signal(signum)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in err
    said = re.search(rf"^interrupted by {name} in epoch (\d+), before step (\d+); to go on: "
                     r"python -m solver (--resume .*)$", err, re.M)  # fmt: skip
    assert said is not None, err
    place = Checkpoints(run / "checkpoints").newest().facts.place
    assert (place.epoch + 1, place.step + 1) == (int(said[1]), int(said[2]))
    assert epochs_of(run) == place.epoch
    assert (run / "weights.safetensors").exists(), "an interrupted run keeps its weights"
    command = [sys.executable, "-c", WITHOUT_PICTURES, *said[3].split(), "--quiet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (run / "weights.safetensors").read_bytes() == whole


@pytest.mark.parametrize(
    ("second", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_second_signal_stops_at_once_and_the_last_checkpoint_is_whole(tmp_path, second, code):
    run, slow = tmp_path / "run", tmp_path / "slow"
    settings = ["--set", 'solver.checkpoint_every="5 steps"', "--out", str(run)]
    settings += ["--set", "solver.epochs=3000"]  # it is not to be at its end before it is stopped
    process = start(str(slow), *CONFIG, *settings, program=("-c", SLOW))
    wait_for(lambda: epochs_of(run) >= 2)
    slow.touch()
    wait_for(slow.with_suffix(".reached").exists)
    process.send_signal(signal.SIGINT)
    assert "finishing the step; once more stops at once" in first_words(process)
    process.send_signal(second)
    _, err = process.communicate(timeout=20)  # a step needs a minute
    assert process.returncode == code
    assert "Traceback" not in err
    place = Checkpoints(run / "checkpoints").newest().facts.place
    assert (place.epoch * 20 + place.step) % 5 == 0
    assert place.epoch >= 2


def first_words(process):
    """What it says next, as soon as it says it; the signal has been heard then."""
    lines = [process.stderr.readline(), process.stderr.readline()]
    return "".join(lines)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ctrl_c_among_the_imports_ends_quietly(tmp_path):
    """NumPy is loaded first: SciPy's absence says that the others are still to come."""
    process = start("--config", "configs/digits_adam.toml", "--out", str(tmp_path / "run"))
    maps = Path(f"/proc/{process.pid}/maps")
    wait_for(lambda: "_multiarray_umath" in maps.read_text() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "summary.txt").exists()


def test_a_signal_that_is_to_be_ignored_stays_ignored():
    """As of a program that `nohup` or a shell's `&` has started."""
    asked = []
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with finishing_steps(asked.append):
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert asked == []


def test_the_handlers_are_put_back(capfd):
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    asked = []

    def two_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked == [signal.SIGTERM]
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

    with pytest.raises(StoppedAtOnce), finishing_steps(asked.append):
        two_signals()
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] == before
    assert "finishing the step" in capfd.readouterr().err


def test_in_another_thread_signals_are_left_alone():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with finishing_steps(lambda signum: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
