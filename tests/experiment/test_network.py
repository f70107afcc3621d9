"""What a configuration's parts are made into."""

import json
from pathlib import Path

import numpy as np
import pytest

import solver
from experiment import program
from experiment.build import build
from experiment.config import read
from losses import L2

BASE = "configs/digits_2layer.toml"


def parts(*settings):
    return build(read(BASE, settings))


def test_initial_weights_of_zero_are_zero():
    net = parts("net.init=0.0").net
    assert all((value == 0).all() for value in net.params.values())


def test_balanced_weights_are_the_inverse_of_the_counts():
    made = parts("loss.balanced=true")
    counts = np.bincount(made.sets.train.y)
    expected = len(made.sets.train) / (10 * counts)
    np.testing.assert_allclose(made.objective.loss.class_weights, expected)


def test_the_solver_gets_what_the_configuration_says():
    made = parts("solver.seed=3", "solver.patience=4", "optim.clip_norm=0.5", "solver.batch_size=7")
    made_solver = program.from_config(made, solver.Solver, quiet=True)
    assert made_solver.seed == 3
    assert made_solver.patience == 4
    assert made_solver.clip_norm == 0.5
    assert made_solver.batch_size == 7
    assert made_solver.optimizer.momentum == 0.9
    (penalty,) = made.objective.penalties
    assert isinstance(penalty, L2)
    assert penalty.strength == 3e-3


@pytest.mark.parametrize("mapped", [False, True])
def test_a_saved_net_answers_as_the_trained_one_did_on_data_far_from_zero(tmp_path, mapped):
    """A mean of 10⁹ in float32 would leave nothing of differences of 10."""
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    x = 1.7e9 + 10 * rng.standard_normal((200, 3))
    x[:, 0] += 60 * y
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    config = tmp_path / "far.toml"
    config.write_text(
        f"""
[data]
name = "npy"
path = "x.npy"
labels = "y.npy"
mapped = {str(mapped).lower()}
[net]
hidden = [8]
[loss]
name = "softmax"
[optim]
name = "adam"
lr = 0.02
[solver]
epochs = 30
"""
    )
    run = tmp_path / "run"
    assert solver.main(["--config", str(config), "--out", str(run), "--quiet"]) == 0
    assert np.mean(solver.load(run).predict(x) == y) > 0.95
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["train_score"] > 0.95
    # What was written runs again, from anywhere.
    again = ["--config", str(run / "config.toml"), "--out", str(tmp_path / "again"), "--quiet"]
    assert solver.main(again) == 0


def test_predictions_read_a_table_as_training_did(tmp_path, capsys):
    rows = [f"{i % 5};{(i * 7) % 3};{'yes' if i % 5 > 2 else 'no'}" for i in range(60)]
    (tmp_path / "t.csv").write_text("1;2;3\n" + "\n".join(rows) + "\n")
    config = tmp_path / "t.toml"
    text = Path(BASE).read_text().replace('name = "digits"', "")
    data = 'name = "csv"\npath = "t.csv"\ndelimiter = ";"\nheader = true'
    config.write_text(text.replace("[data]", f"[data]\n{data}"))
    run = tmp_path / "run"
    assert solver.main(["--config", str(config), "--out", str(run), "--quiet"]) == 0
    (tmp_path / "s.csv").write_text("1;2\n4;0\n0;1\n")
    capsys.readouterr()
    assert solver.main(["--predict", str(run), "--input", str(tmp_path / "s.csv")]) == 0
    assert capsys.readouterr().out == "prediction\nyes\nno\n"


def test_without_a_validation_or_a_test_set(tmp_path, capsys):
    none = ["--set", "data.validation=0", "--set", "data.test=0", "--set", "solver.epochs=2"]
    assert solver.main(["--config", BASE, *none, "--out", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert "1797 training, 0 validation, 0 test" in out
    assert "test   " not in out


def test_the_test_set_of_mnist_is_its_own(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name, n in (("train", 60), ("test", 20)):
        images = rng.integers(0, 256, (n, 2, 2), np.uint8)
        labels = np.arange(n, dtype=np.uint8) % 3 + 5
        head = np.array([0x803, n, 2, 2], ">u4").tobytes()
        (tmp_path / f"{name}-images").write_bytes(head + images.tobytes())
        head = np.array([0x801, n], ">u4").tobytes()
        (tmp_path / f"{name}-labels").write_bytes(head + labels.tobytes())
    config = tmp_path / "mnist.toml"
    files = 'name = "idx"\npath = "train-images"\nlabels = "train-labels"\n'
    own = 'test_path = "test-images"\ntest_labels = "test-labels"'
    text = Path(BASE).read_text().replace('name = "digits"', files + own)
    config.write_text(text)
    run = ["--config", str(config), "--set", "solver.epochs=1", "--out", str(tmp_path / "run")]
    assert solver.main(run) == 0
    assert "51 training, 9 validation, 20 test" in capsys.readouterr().out
    config.write_text(text.replace('test_labels = "test-labels"', ""))
    assert solver.main(run) == 2
    assert "data.test_path and data.test_labels go together" in capsys.readouterr().err
