"""Every mistake in a configuration or a data file: exit code 2, and one line that names it."""

import gzip
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import solver

GOOD = """
[data]
name = "digits"
[net]
hidden = [8]
[loss]
name = "softmax"
[optim]
name = "sgd"
lr = 0.1
[solver]
epochs = 1
"""


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What `python -m solver` says on standard error, which must be one line with exit code 2."""
    assert solver.main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert err.rstrip("\n").isprintable()
    return err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("lr = 0.1", "lrr = 0.1", ["optim.lrr", "unknown key", "did you mean 'lr'"]),
        ("lr = 0.1", 'lr = "fast"', ["optim.lr", "expected a number", "text"]),
        ("lr = 0.1", "lr = -0.1", ["optim.lr", "> 0", "-0.1"]),
        ("lr = 0.1", "lr = 0", ["optim.lr", "> 0"]),
        ("lr = 0.1", "lr = inf", ["optim.lr", "inf", "finite"]),
        ("lr = 0.1", "", ["optim.lr", "missing"]),
        ("lr = 0.1", "lr = 0.1\nmomentum = 1.5", ["optim.momentum", "< 1"]),
        ("lr = 0.1", "lr = 0.1\nnesterov = true", ["optim.nesterov", "momentum"]),
        ("lr = 0.1", "lr = 0.1\nnesterov = 1", ["optim.nesterov", "true or false"]),
        ("lr = 0.1", "lr = 0.1\nbeta1 = 0.9", ["optim.beta1", "unknown key"]),
        (
            "lr = 0.1",
            'lr = 0.1\nschedule = { name = "cosin" }',
            ["optim.schedule.name", "did you mean 'cosine'"],
        ),
        (
            "lr = 0.1",
            'lr = 0.1\nschedule = { name = "cosine", warmup = 5 }',
            ["optim.schedule.warmup", "solver.epochs"],
        ),
        ('"sgd"', '"sdg"', ["optim.name", "did you mean 'sgd'"]),
        ('"softmax"', '"softmx"', ["loss.name", "did you mean 'softmax'"]),
        ('"softmax"', '"binary"', ["loss.name", "two classes", "digits has 10"]),
        ('"softmax"', '"mse"', ["loss.name", "mse", "digits has classes"]),
        ('"softmax"', '"softmax"\nl2 = -1', ["loss.l2", ">= 0"]),
        ('"digits"', '"digit"', ["data.name", "did you mean 'digits'"]),
        ('"digits"', '"digits"\nvalidation = 0.6\ntest = 0.5', ["data.validation", "1.1"]),
        ('"digits"', '"digits"\ntest = 1.5', ["data.test", "< 1"]),
        ('name = "digits"', "", ["data.name", "missing"]),
        ("hidden = [8]", "hidden = [0]", ["net.hidden[0]", ">= 1"]),
        ("hidden = [8]", "hidden = 8", ["net.hidden", "a list"]),
        ("hidden = [8]", 'hidden = [8]\nactivation = "rellu"', ["net.activation", "'relu'"]),
        ("hidden = [8]", "hidden = [8]\ndropout = 1.0", ["net.dropout", "< 1"]),
        ("hidden = [8]", "", ["net", "hidden", "layers"]),
        ("hidden = [8]", "layers = []", ["net.layers", "empty"]),
        ("hidden = [8]", 'layers = [{ type = "linaer" }]', ["net.layers[0].type", "'linear'"]),
        ("hidden = [8]", 'layers = [{ type = "linear", units = 7 }]', ["7 scores", "expected 10"]),
        ("hidden = [8]", "layers = [{ units = 7 }]", ["net.layers[0].type", "missing"]),
        ("epochs = 1", "epochs = 0", ["solver.epochs", ">= 1"]),
        ("epochs = 1", "epochs = 1.5", ["solver.epochs", "whole number"]),
        ("epochs = 1", "epoch = 1", ["solver.epoch", "did you mean 'epochs'"]),
        ("epochs = 1", "seed = -1", ["solver.seed", ">= 0"]),
        ("[solver]", "[sovler]", ["sovler", "did you mean 'solver'"]),
        ('[loss]\nname = "softmax"', "", ["loss", "missing"]),
        ("[solver]", "[solver", ["not valid TOML", "line"]),
    ],
)
def test_a_broken_configuration_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, words: list[str]
) -> None:
    assert old in GOOD
    path = tmp_path / "broken.toml"
    path.write_text(GOOD.replace(old, new))
    err = complaint(capsys, "--config", str(path))
    for word in ["broken.toml", *words]:
        assert word in err


def write_idx(path: Path, magic: int, sizes: tuple[int, ...], body: bytes) -> None:
    path.write_bytes(struct.pack(f">{1 + len(sizes)}I", magic, *sizes) + body)


def make_data(folder: Path) -> None:
    """The broken data files that the cases below name."""
    (folder / "empty.csv").write_text("")
    (folder / "ragged.csv").write_text("a,b,label\n1,2,x\n1,y\n")
    (folder / "words.csv").write_text("a,b,label\n1,2,x\n1,two,y\n")
    (folder / "nan.csv").write_text("a,b,label\n1,2,x\n1,nan,y\n")
    (folder / "one_class.csv").write_text("1,2,x\n" * 20)
    (folder / "good.csv").write_text("a,b,label\n" + "1,2,x\n2,1,y\n" * 20)
    (folder / "few.csv").write_text("a,b,label\n1,2,x\n3,4,y\n")
    x = np.arange(20.0).reshape(10, 2)
    np.save(folder / "x.npy", x)
    np.save(folder / "y_short.npy", np.arange(9))
    np.save(folder / "object.npy", np.array([{"a": 1}] * 10, dtype=object), allow_pickle=True)
    np.save(folder / "y.npy", np.arange(10) % 2)
    (folder / "not.npy").write_bytes(b"not an array")
    (folder / "pickle.npy").write_bytes(pickle.dumps([1, 2]))
    (folder / "truncated.npy").write_bytes((folder / "x.npy").read_bytes()[:-8])
    np.savez(folder / "no_y.npz", x=x)
    write_idx(folder / "labels", 0x801, (4,), bytes([0, 1, 0, 1]))
    write_idx(folder / "labels_300", 0x801, (3,), bytes([0, 1, 0]))
    write_idx(folder / "magic", 0x12345678, (4, 2, 2), bytes(16))
    write_idx(folder / "images", 0x803, (4, 2, 2), bytes(16))
    write_idx(folder / "short", 0x803, (4, 2, 2), bytes(15))
    (folder / "truncated.gz").write_bytes(gzip.compress((folder / "images").read_bytes())[:-12])
    (folder / "cifar").mkdir()
    (folder / "cifar" / "data_batch_1").write_bytes(pickle.dumps({"x": print}))


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ('name = "csv"\npath = "absent.csv"', ["absent.csv"]),
        ('name = "csv"\npath = "cifar"', ["cifar"]),
        ('name = "csv"\npath = "empty.csv"', ["empty.csv", "empty"]),
        ('name = "csv"\npath = "ragged.csv"', ["ragged.csv", "line 3"]),
        ('name = "csv"\npath = "words.csv"', ["words.csv", "two"]),
        ('name = "csv"\npath = "nan.csv"', ["nan.csv", "nan"]),
        ('name = "csv"\npath = "one_class.csv"', ["class"]),
        ('name = "csv"\npath = "few.csv"', ["few.csv", "2 samples"]),
        ('name = "csv"\npath = "good.csv"\ntarget = "lable"', ["lable", "'label'"]),
        ('name = "npy"\npath = "x.npy"\nlabels = "y_short.npy"', ["10", "9"]),
        ('name = "npy"\npath = "object.npy"\nlabels = "y.npy"', ["object.npy", "object"]),
        ('name = "npy"\npath = "not.npy"\nlabels = "y.npy"', ["not.npy"]),
        ('name = "npy"\npath = "pickle.npy"\nlabels = "y.npy"', ["pickle.npy"]),
        ('name = "npy"\npath = "truncated.npy"\nlabels = "y.npy"', ["truncated"]),
        ('name = "npy"\npath = "no_y.npz"', ["no_y.npz", "y"]),
        ('name = "idx"\npath = "magic"\nlabels = "labels"', ["magic number"]),
        ('name = "idx"\npath = "short"\nlabels = "labels"', ["short"]),
        ('name = "idx"\npath = "images"\nlabels = "labels_300"', ["4", "3"]),
        ('name = "idx"\npath = "truncated.gz"\nlabels = "labels"', ["truncated.gz"]),
        ('name = "cifar10"\npath = "cifar"', ["cifar"]),
    ],
)
def test_a_broken_data_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], section: str, words: list[str]
) -> None:
    make_data(tmp_path)
    path = tmp_path / "config.toml"
    path.write_text(GOOD.replace('name = "digits"', section))
    err = complaint(capsys, "--config", str(path))
    for word in words:
        assert word in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "absent.toml"], ["absent.toml", "no such file"]),
        (["--config", "."], ["folder"]),
        (["--config", "GOOD", "--set", "optim.lr"], ["--set", "section.key=value"]),
        (["--config", "GOOD", "--set", "optim.lr=fast"], ["with --set optim.lr=fast", "number"]),
        (["--config", "GOOD", "--set", "lr=0.1"], ["with --set lr=0.1", "did you mean optim.lr?"]),
        (["--config", "GOOD", "--set", "seed=1"], ["seed: unknown key; did you mean solver.seed?"]),
        (["--config", "GOOD", "--out", "FULL"], ["--out", "not empty"]),
        (["--config", "GOOD", "--seed", "-1"], ["solver.seed"]),
        (["--predict", "absent", "--input", "x.csv"], ["absent", "manifest.json"]),
        (["--predict", "absent"], ["--input"]),
    ],
)
def test_a_wrong_command_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
) -> None:
    (tmp_path / "good.toml").write_text(GOOD)
    places = {"GOOD": str(tmp_path / "good.toml"), "FULL": str(tmp_path)}
    err = complaint(capsys, *(places.get(argument, argument) for argument in arguments))
    for word in words:
        assert word in err


def test_the_process_itself_exits_with_2_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text(GOOD.replace("lr", "lrr"))
    command = [sys.executable, "-m", "solver", "--config", str(tmp_path / "broken.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_escape_sequences_are_printed_inert(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "evil\x1b[31m.toml"
    path.write_text(GOOD.replace('"sgd"', '"\\u001b]0;owned\\u0007"'))
    assert "\x1b" not in complaint(capsys, "--config", str(path))


def test_the_limit_on_memory_is_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "few.npz", x=np.arange(60.0).reshape(20, 3), y=np.arange(20) % 2)
    config = tmp_path / "few.toml"
    npz = f'name = "npy"\npath = "{tmp_path / "few.npz"}"\nmax_bytes = 400'
    config.write_text(GOOD.replace('name = "digits"', npz))
    said = complaint(capsys, "--config", str(config), "--dry-run")
    assert "the limit is 400; raise max_bytes" in said
    larger = "data.max_bytes=4000"
    assert solver.main(["--config", str(config), "--dry-run", "--set", larger]) == 0
