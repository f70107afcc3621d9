"""The benchmarks run, without peers, at their tiniest; and what they rest on is right."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from benchmarks import step, tricks
from benchmarks.growth import exponent
from benchmarks.programs import Bare, Floor, Handgrad, Job, Shape
from benchmarks.table import geometric_mean, interleaved, ratios, spread

ROOT = Path(__file__).parent.parent
SMALL = Shape(16, (12, 9, 5), 20)

TINY = {
    "step": "--alone --shapes digits --steps 20 --rounds 1",
    "updates": "--alone --sizes 1e3 1e4 --rules momentum AdamW --rounds 1",
    "parts": "--alone --steps 20 --samples 64 --rounds 1",
    "growth": "--small --steps 2 --axes N depth --rounds 1",
    "tricks": "--shapes digits --steps 20 --rounds 1",
}
LONGER = {
    "memory": "--shapes digits --megabytes 144 --limit 96 --rounds 1",
    "whole_job": "--alone --epochs 1 --rounds 1",
}


def run(name, options, folder):
    """Run a benchmark as a person does; returns what it printed and wrote."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--threads", "1", "--out", str(folder)]
    done = subprocess.run(
        [*command, *options.split()],
        cwd=ROOT,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / f"{name}.md").read_text(encoding="utf-8") == done.stdout.removesuffix("\n")
    return done.stdout, json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", TINY)
def test_runs_and_writes_its_table(name, tmp_path):
    text, data = run(name, TINY[name], tmp_path)
    assert "threads 1" in text
    assert text.count("\n|") > 2
    assert data["machine"]["threads"] == "1"
    assert any("second" in key for key in data)


@pytest.mark.long
def test_the_whole_job_runs(tmp_path):
    text, data = run("whole_job", LONGER["whole_job"], tmp_path)
    assert "| handgrad" in text
    assert 30 < data["test accuracy"]["handgrad"][0] <= 100


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_mapped_images_train_in_less_memory_than_they_take(tmp_path):
    text, data = run("memory", LONGER["memory"], tmp_path)
    assert "do not fit: MemoryError" in text
    mapped, whole = (data["epochs"][name][0]["RssAnon"] for name in ("mapped", "in memory"))
    assert mapped < whole - 100 * 2**20


# -- the same work -------------------------------------------------------------------------


def trained(kind):
    job = Job.make(SMALL)
    program = kind(job)
    program.run(job.orders(step.CHECKED_STEPS))
    return job, program


def test_the_bare_step_does_the_solvers_work():
    job, ours = trained(Handgrad)
    step.check("small", job, {"floor": Floor(job), "handgrad": ours, "bare": trained(Bare)[1]})


def no_penalty(program):
    program.objective.penalties = ()


def other_rate(program):
    program.optimizer.lr *= 1.01


def other_start(program):
    program.objective.theta[0] += 0.1


@pytest.mark.parametrize("change", [no_penalty, other_rate, other_start])
def test_other_work_is_noticed(change):
    job, ours = trained(Handgrad)
    other = Bare(job)
    change(other)
    other.run(job.orders(step.CHECKED_STEPS))
    with pytest.raises(SystemExit, match="small: bare does other work than handgrad"):
        step.check("small", job, {"handgrad": ours, "bare": other})


@pytest.mark.parametrize("kind", ["Torch", "Jax", "ScikitLearn"])
def test_peers_do_the_same_work(kind):
    from benchmarks import programs

    pytest.importorskip({"Torch": "torch", "Jax": "jax", "ScikitLearn": "sklearn"}[kind])
    job, peer = trained(getattr(programs, kind))
    step.check("small", job, {"handgrad": trained(Handgrad)[1], kind: peer})


def test_the_reference_loss_is_that_of_the_layers():
    job, ours = trained(Handgrad)
    n = job.orders().size
    expected = ours.objective.value(job.x[:n], job.y[:n]) - ours.objective.penalty
    np.testing.assert_allclose(job.loss_of(ours.parameters(), SMALL.steps), expected, rtol=1e-5)


# -- tricks --------------------------------------------------------------------------------


def driven_step(objective, job):
    """The gradient of W of a driven step, as an array, and what was recorded of the step."""
    with objective.driven():
        objective.data_loss_and_grad(job.x[:16], job.y[:16], put_off=True)
        recorded = objective._recorded
        objective.net.forward(job.x[:16])
        dW = objective.net.parameter_gradients(np.ones((16, 5), np.float32))["linear1.W"]
    return dW, recorded


def test_steps_are_what_the_tricks_say():
    job = Job.make(SMALL)
    objective = Handgrad(job).objective
    place = objective._vector.grad_views["linear1.W"]
    dW, recorded = driven_step(objective, job)
    assert dW is place
    assert len(recorded.tape.products) == len(job.W)
    with tricks.multiplied_out():
        dW, recorded = driven_step(objective, job)
        assert dW is place
        assert recorded.tape.calls
        assert recorded.tape.products == []
    with tricks.by_layers():
        assert driven_step(objective, job)[1] is None
        with tricks.copied_gradients():
            assert not np.shares_memory(driven_step(objective, job)[0], place)


@pytest.mark.parametrize("trick", [t for t in tricks.TRICKS if t not in tricks.OTHER_SAMPLES])
def test_without_a_trick_the_weights_are_the_same(trick):
    job, ours = trained(Handgrad)
    other = Handgrad(job)
    with tricks.BESIDE.get(trick, nullcontext)(), tricks.TRICKS[trick]():
        other.run(job.orders(step.CHECKED_STEPS))
    np.testing.assert_allclose(other.objective.theta, ours.objective.theta, rtol=1e-4, atol=1e-6)


# -- arithmetic ----------------------------------------------------------------------------


def test_rounds_alternate_and_stop_when_time_is_up():
    calls = []
    programs = {"a": lambda: calls.append("a"), "b": lambda: (calls.append("b"), 6.0)[1]}
    times = interleaved(programs, 2, per=3)
    assert calls == ["a", "b", "b", "a"]
    assert times["b"] == [2.0, 2.0]
    assert len(interleaved(programs, 9, budget=0)["a"]) == 3


def test_medians_and_fits():
    assert ratios([2, 6], [1, 2]) == [2, 3]
    assert spread([1, 9, 2]) == "2.00 (1.00–9.00)"
    assert geometric_mean([1, 4]) == pytest.approx(2)
    seconds = {n: {"floor": [3.0 * n**1.5]} for n in (1, 10, 100)}
    assert exponent(seconds, "floor") == pytest.approx(1.5)
