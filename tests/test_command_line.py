"""`python -m solver` as its user meets it: the run's folder, predictions, exit codes."""

import fcntl
import json
import math
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import solver
from data import load_digits, split

SMALL = """
[data]
name = "csv"
path = "flowers.csv"
target = "kind"
[net]
hidden = [16]
[loss]
name = "softmax"
[optim]
name = "adam"
lr = 0.02
[solver]
epochs = 30
batch_size = 8
"""


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """A configuration beside a CSV file of three kinds of flowers that differ."""
    rng = np.random.default_rng(0)
    lines = ["long,wide,kind"]
    for kind, centre in (("iris", (0, 0)), ("rose, red", (3, 0)), ("lily", (0, 3))):
        for _ in range(30):
            long, wide = rng.normal(centre, 0.3)
            quoted = f'"{kind}"'
            lines.append(f"{100 + long:.4f},{wide:.4f},{quoted}")
    (tmp_path / "flowers.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "flowers.toml").write_text(SMALL)
    return tmp_path


def test_a_run_leaves_a_folder_that_says_everything(
    flowers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = flowers / "run"
    assert solver.main(["--config", str(flowers / "flowers.toml"), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    summary = (out / "summary.txt").read_text()
    assert summary in printed.out
    assert "validation  accuracy 100.00 %" in summary
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == list(range(1, 31))
    assert {
        "data_loss", "penalty", "train_score", "validation_score", "validation_loss",
        "learning_rate", "update_ratio", "seconds",
    } <= records[0].keys()  # fmt: skip
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["labels"] == ["iris", "lily", "rose, red"]
    assert (out / "weights.safetensors").exists()
    names = {"config.toml", "manifest.json", "metrics.jsonl", "summary.txt", "weights.safetensors"}
    left = {path.name for path in out.iterdir()}
    assert left - {"curves.png"} == names, "a run of seconds leaves no checkpoint, no lock"
    pytest.importorskip("matplotlib")
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not (out / "first_layer.png").exists()


def test_the_resolved_configuration_runs_again_to_the_same_bits(flowers: Path) -> None:
    first, second = flowers / "one", flowers / "two"
    settings = ["--set", "optim.lr=0.01", "--seed", "5", "--quiet"]
    solver.main(["--config", str(flowers / "flowers.toml"), "--out", str(first), *settings])
    assert tomllib.loads((first / "config.toml").read_text())["solver"]["seed"] == 5
    solver.main(["--config", str(first / "config.toml"), "--out", str(second), "--quiet"])
    bits = [(run / "weights.safetensors").read_bytes() for run in (first, second)]
    assert bits[0] == bits[1]
    third = flowers / "three"
    solver.main(
        ["--config", str(first / "config.toml"), "--out", str(third), "--quiet", "--seed", "6"]
    )
    assert (third / "weights.safetensors").read_bytes() != bits[0]


def test_a_trained_network_comes_back(flowers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = flowers / "run"
    solver.main(["--config", str(flowers / "flowers.toml"), "--out", str(run), "--quiet"])
    assert capsys.readouterr().out == ""
    net = solver.load(run)
    assert net.predict([[100, 0], [103, 0], [100, 3]]).tolist() == ["iris", "rose, red", "lily"]
    assert net.forward(np.array([[100.0, 0.0]])).shape == (1, 3)

    # The weights by themselves, in plain NumPy, say the same.
    from safetensors.numpy import load_file

    weights = load_file(run / "weights.safetensors")
    x = (np.array([[103.0, 0.0]]) - weights["standardize.mean"]) / weights["standardize.std"]
    h = np.maximum(0, x @ weights["linear1.W"] + weights["linear1.b"])
    s = h @ weights["linear2.W"] + weights["linear2.b"]
    assert int(s.argmax()) == 2

    samples = flowers / "samples.csv"
    samples.write_text("long,wide\n103,0\n100,3\n")
    assert solver.main(["--predict", str(run), "--input", str(samples)]) == 0
    assert capsys.readouterr().out == 'prediction\n"rose, red"\nlily\n'
    answers = flowers / "answers.csv"
    whole = ["--input", str(flowers / "flowers.csv"), "--output", str(answers)]
    assert solver.main(["--predict", str(run), *whole]) == 0
    assert len(answers.read_text().splitlines()) == 91
    own = ["--input", str(samples), "--output", str(samples)]
    assert solver.main(["--predict", str(run), *own]) == 2
    assert "is the input, expected another file" in capsys.readouterr().err
    assert samples.read_text() == "long,wide\n103,0\n100,3\n"
    weights_file = (run / "weights.safetensors").read_bytes()
    own = ["--input", str(samples), "--output", str(run / "weights.safetensors")]
    assert solver.main(["--predict", str(run), *own]) == 2
    assert "is a file of the run" in capsys.readouterr().err
    assert (run / "weights.safetensors").read_bytes() == weights_file
    samples.write_text("long,wide,high\n103,0,1\n")
    assert solver.main(["--predict", str(run), "--input", str(samples)]) == 2
    assert "expected (N, 2)" in capsys.readouterr().err


def test_a_damaged_run_is_refused(flowers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = flowers / "run"
    solver.main(["--config", str(flowers / "flowers.toml"), "--out", str(run), "--quiet"])
    predict = ["--predict", str(run), "--input", str(flowers / "flowers.csv")]
    weights, manifest = run / "weights.safetensors", run / "manifest.json"
    good_weights, good_manifest = weights.read_bytes(), manifest.read_text()
    for bad in (b"", good_weights[:-4], good_weights[:20], b"\xff" * 100):
        weights.write_bytes(bad)
        assert solver.main(predict) == 2
        assert "weights.safetensors" in capsys.readouterr().err
    weights.write_bytes(good_weights)
    changes = [('"hidden": [\n      16', '"hidden": [\n      17'), ("{", "["), ("16", "-16")]
    for old, new in [*changes, ('"format": 1', '"format": 9')]:
        assert old in good_manifest
        manifest.write_text(good_manifest.replace(old, new, 1))
        assert solver.main(predict) == 2
        err = capsys.readouterr().err
        assert err.startswith("error: ")
        assert err.count("\n") == 1


def test_digits_reach_97_percent_and_know_their_images(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert solver.main(["--config", "configs/digits_2layer.toml", "--out", str(out)]) == 0
    test = split(load_digits()).test
    net = solver.load(out)
    accuracy = float(np.mean(net.predict(test.x) == test.y))
    assert accuracy >= 0.97
    assert f"test        accuracy {100 * accuracy:.2f} %" in (out / "summary.txt").read_text()
    pytest.importorskip("matplotlib")
    assert (out / "first_layer.png").read_bytes().startswith(b"\x89PNG")


def test_dry_run_prints_the_table_and_stops(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = Path("configs/digits_2layer.toml").resolve()
    monkeypatch.chdir(tmp_path)
    assert solver.main(["--config", str(config), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "dx = dout Wᵀ, dW = xᵀ dout" in out
    assert "7,510 parameters" in out
    assert list(tmp_path.iterdir()) == []


def test_sanity_passes_on_a_sound_configuration_and_fails_on_a_bad_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = ["--config", "configs/digits_2layer.toml", "--sanity"]
    assert solver.main(config) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:4] for line in lines] == 5 * ["pass"]
    assert "known: 2.303" in lines[0]
    assert solver.main([*config, "--set", "loss.name=hinge"]) == 0
    assert "known: 9" in capsys.readouterr().out
    # Weights far too large: the first loss is not near log 10.
    assert solver.main([*config, "--set", "net.init=1.0"]) == 1
    assert capsys.readouterr().out.startswith("FAIL  first loss")
    # A learning rate far too small: 20 samples are not learned.
    assert solver.main([*config, "--set", "optim.lr=1e-9"]) == 1
    assert "FAIL  overfit" in capsys.readouterr().out


def test_divergence_exits_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--set", "optim.lr=1e20", "--out", str(tmp_path / "run")]
    assert solver.main(["--config", "configs/digits_2layer.toml", *settings]) == 3
    err = capsys.readouterr().err
    assert err.startswith("diverged: loss is ")
    assert "linear" in err
    assert "in epoch 1, step 2" in err
    assert "a batch of 64: samples " in err
    assert "a learning rate below 1e+20 usually helps" in err
    assert err.count("\n") == 1


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_an_interrupt_exits_with_130(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "solver", "--config", "configs/digits_2layer.toml"]
    settings = ["--set", "solver.epochs=1000000", "--out", str(tmp_path / "run")]
    process = subprocess.Popen([*command, *settings], stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (metrics.exists() and metrics.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert f"to go on: python -m solver --resume {tmp_path / 'run'}" in err


def test_progress_shows_on_a_terminal_only(tmp_path: Path) -> None:
    config = ["--config", "configs/digits_2layer.toml", "--set", "solver.epochs=300"]
    command = [sys.executable, "-m", "solver", *config]
    piped = subprocess.run(
        [*command, "--out", str(tmp_path / "piped")], capture_output=True, check=True
    )
    assert piped.stderr == b""
    assert b"test        accuracy" in piped.stdout
    for quiet in ([], ["--quiet"]):
        terminal, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        out = str(tmp_path / f"terminal{len(quiet)}")
        process = subprocess.Popen(
            [*command, "--out", out, *quiet], stdout=subprocess.DEVNULL, stderr=side
        )
        process.wait(timeout=60)
        os.close(side)
        shown = b""
        try:
            while chunk := os.read(terminal, 4096):
                shown += chunk
        except OSError:  # Linux says so when the other side is closed
            pass
        os.close(terminal)
        assert (b"step" in shown) is (quiet == [])


@pytest.mark.parametrize("path", sorted(Path("configs").glob("*.toml")), ids=lambda p: p.stem)
def test_every_configuration_runs(path: Path, tmp_path: Path) -> None:
    settings = ["--set", "solver.epochs=1", "--set", "optim.schedule.warmup=0"]
    if "warmup" not in path.read_text():
        settings = settings[:2]
    assert solver.main(["--config", str(path), *settings, "--out", str(tmp_path / "run")]) == 0


@pytest.mark.parametrize(
    ("loss", "data"),
    [
        ("binary", 'name = "moons"'),
        ("binary", 'name = "xor"\nvalidation = 0.2'),
        ("hinge", 'name = "circle"'),
        ("softmax", 'name = "blobs"\nclasses = 4'),
    ],
)
def test_every_toy_is_learned(tmp_path: Path, loss: str, data: str) -> None:
    config = tmp_path / "toy.toml"
    text = SMALL.replace('name = "csv"\npath = "flowers.csv"\ntarget = "kind"', data)
    config.write_text(text.replace('"softmax"', f'"{loss}"'))
    out = tmp_path / "run"
    assert solver.main(["--config", str(config), "--out", str(out), "--quiet"]) == 0
    last = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["validation_score"] > 0.95


def test_a_regression_learns_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (300, 2))
    np.savez(tmp_path / "curve.npz", x=x, y=x[:, 0] ** 2 - x[:, 1])
    config = tmp_path / "curve.toml"
    text = SMALL.replace(
        'name = "csv"\npath = "flowers.csv"\ntarget = "kind"', 'name = "npy"\npath = "curve.npz"'
    )
    config.write_text(text.replace('"softmax"', '"mse"'))
    out = tmp_path / "run"
    assert solver.main(["--config", str(config), "--out", str(out)]) == 0
    assert "R²" in (out / "summary.txt").read_text()
    assert solver.load(out).predict([[1.0, 0.0]]) == pytest.approx(1.0, abs=0.15)


def test_a_test_loss_that_is_not_finite_is_said(
    flowers: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = solver.Solver.train

    def train(self: solver.Solver, *sets: Any, **options: Any) -> Any:
        history = whole(self, *sets, **options)
        monkeypatch.setattr(solver.Solver, "evaluate", lambda *_: (math.nan, 0.5))
        return history

    monkeypatch.setattr(solver.Solver, "train", train)
    config, folder = str(flowers / "flowers.toml"), str(flowers / "run")
    assert solver.main(["--config", config, "--out", folder, "--quiet"]) == 3
    assert capsys.readouterr().err == (
        "diverged: test loss is nan after training that was finite\n"
    )
