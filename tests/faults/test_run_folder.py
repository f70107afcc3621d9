"""A run's folder when the disk, another run, or somebody with a broom gets in the way."""

import errno
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import solver
from experiment import folder as folder_module
from experiment.checkpoint import Checkpoints
from experiment.errors import ConfigError
from experiment.folder import LOCK, UNFINISHED, locked

CONFIG = """
[data]
name = "blobs"
samples = 200
[net]
hidden = [12]
dropout = 0.2
[loss]
name = "softmax"
[optim]
name = "adam"
lr = 0.01
[solver]
epochs = 6
batch_size = 20
checkpoint_every = "1 epoch"
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a configuration and a whole run of it; no pictures, for speed."""
    monkeypatch.setattr("experiment.plots.available", lambda: False)
    (tmp_path / "config.toml").write_text(CONFIG)
    assert start(tmp_path, "whole") == 0
    return tmp_path


def start(place, name, *more):
    config = str(place / "config.toml")
    return solver.main(["--config", config, "--out", str(place / name), "--quiet", *more])


def go_on(run, *more):
    return solver.main(["--resume", str(run), "--quiet", *more])


def weights(run):
    return (run / "weights.safetensors").read_bytes()


def after_epoch(monkeypatch, epoch, do):
    """Have something done when this epoch's metrics have been written."""
    add = folder_module.RunFolder.add

    def adding(folder, record):
        add(folder, record)
        if record["epoch"] == epoch:
            do(folder)

    monkeypatch.setattr(folder_module.RunFolder, "add", adding)


def fail(number):
    def failing(*arguments):
        raise OSError(number, os.strerror(number))

    return failing


# -- the disk --------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_stops_the_run_in_one_line_and_it_goes_on_later(
    place, monkeypatch, capsys, call
):
    run = place / "run"
    with monkeypatch.context() as patch:
        full = fail(errno.ENOSPC)
        after_epoch(patch, 3, lambda _: patch.setattr(folder_module.os, call, full))
        assert start(place, "run") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "No space left on device" in err
    assert str(run / "checkpoints") in err
    assert f"to go on: python -m solver --resume {run}" in err
    assert not list(run.rglob(f"{UNFINISHED}*"))
    assert Checkpoints(run / "checkpoints").newest().facts.place.epoch == 2
    assert go_on(run) == 0
    assert weights(run) == weights(place / "whole")


def test_a_disk_that_is_full_at_the_end_loses_nothing_either(place, monkeypatch, capsys):
    run = place / "run"
    with monkeypatch.context() as patch:
        patch.setattr(folder_module.RunFolder, "keep_weights", fail(errno.ENOSPC))
        assert start(place, "run") == 2
    assert "No space left on device" in capsys.readouterr().err
    assert go_on(run) == 0
    assert weights(run) == weights(place / "whole")


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files, as Linux does")
def test_a_real_limit_of_the_system(place):
    """No shim: the kernel refuses to write more than so many bytes into a file."""
    run = place / "run"
    code = (
        "import resource, signal, sys, experiment.plots, solver\n"
        "from experiment import folder\n"
        "experiment.plots.available = lambda: False\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "add = folder.RunFolder.add\n"
        "def limited(folder, record):\n"
        "    add(folder, record)\n"
        "    if record['epoch'] == 3:\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "folder.RunFolder.add = limited\n"
        "sys.exit(solver.main())\n"
    )
    arguments = ["--config", str(place / "config.toml"), "--out", str(run), "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=Path(__file__).parent.parent.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "File too large" in done.stderr
    assert done.stderr.count("\n") == 1
    assert go_on(run) == 0
    assert weights(run) == weights(place / "whole")


def test_a_folder_removed_in_the_middle_is_said_in_one_line(place, monkeypatch, capsys):
    run = place / "run"
    after_epoch(monkeypatch, 3, lambda folder: shutil.rmtree(folder.path))
    assert start(place, "run") == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert str(run) in err
    assert "No such file" in err
    assert not run.exists()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_folder_that_cannot_be_written_to(place, monkeypatch, capsys, number):
    opened = os.open

    def refuse(path, flags, *mode, **options):
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, flags, *mode, **options)

    with monkeypatch.context() as patch:
        patch.setattr(folder_module.os, "open", refuse)
        for call, option in (
            (lambda: start(place, "run"), "--out"),
            (lambda: go_on(place / "whole"), "--resume"),
        ):
            assert call() == 2
            err = capsys.readouterr().err
            assert err.startswith(f"error: {option} {place}")
            assert os.strerror(number) in err
            assert err.count("\n") == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user")
def test_a_read_only_folder_of_somebody_else(place):
    """No shim: another user, whom the file system refuses."""
    pid = os.fork()
    if pid == 0:
        os.setgid(65534)
        os.setuid(65534)
        code = 99
        try:
            code = go_on(place / "whole")
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2


# -- two runs, one folder --------------------------------------------------------------------


def hold(folder, ready):
    with locked(folder):
        ready.set()
        time.sleep(60)


def test_two_runs_do_not_share_a_folder(place, capsys):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    other = context.Process(target=hold, args=(place / "whole", ready))
    other.start()
    try:
        assert ready.wait(60)
        for call in (lambda: go_on(place / "whole"), lambda: start(place, "whole")):
            assert call() == 2
            err = capsys.readouterr().err
            assert f"another run (process {other.pid}) is writing here" in err
            assert err.count("\n") == 1
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.join()
    # The one that had it is dead, and its lock with it, though its file is still there.
    assert (place / "whole" / LOCK).exists()
    assert go_on(place / "whole") == 0
    assert not (place / "whole" / LOCK).exists()


def test_nor_do_two_solvers_of_one_process(tmp_path):
    with locked(tmp_path):
        owner = f"another run .process {os.getpid()}. is writing"
        with pytest.raises(ConfigError, match=owner), locked(tmp_path):
            pytest.fail("both have it")
    with locked(tmp_path):
        pass


def test_a_lock_is_one_even_when_its_file_is_taken_away_meanwhile(tmp_path, monkeypatch):
    """Who opened the file just before its owner removed it holds nothing."""
    import fcntl

    flock, seen = fcntl.flock, []

    def flock_after_removal(handle, how):
        if not seen:
            seen.append(handle)
            (tmp_path / LOCK).unlink()
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock_after_removal)
    with locked(tmp_path):
        assert (tmp_path / LOCK).read_text() == str(os.getpid())
        with pytest.raises(ConfigError, match="another run"), locked(tmp_path):
            pytest.fail("both have it")


def test_a_link_in_the_locks_place_is_not_followed(place, capsys):
    precious = place / "precious"
    precious.write_text("mine")
    (place / "whole" / LOCK).symlink_to(precious)
    assert go_on(place / "whole") == 2
    assert precious.read_text() == "mine"
    (place / "whole" / LOCK).unlink()
    (place / "whole" / "summary.txt").unlink()
    for folder in (place / "whole", place / "whole" / "checkpoints"):
        (folder / UNFINISHED).symlink_to(precious)
        assert go_on(place / "whole") == 2
        assert precious.read_text() == "mine"
        (folder / UNFINISHED).unlink(missing_ok=True)
    assert capsys.readouterr().err.count("\n") == 3


# -- what is kept ----------------------------------------------------------------------------


def test_a_run_that_diverges_keeps_its_last_good_checkpoint_and_its_best_weights(
    place, monkeypatch, capsys
):
    """In the fourth epoch the learning rate is 10³⁵ times too large."""
    run = place / "run"
    with monkeypatch.context() as patch:
        patch.setattr("optim.schedules.Constant.factor", lambda _, epoch: 1e35 if epoch >= 3 else 1)
        assert start(place, "run") == 3
    err = capsys.readouterr().err
    assert err.startswith("diverged: ")
    assert "in epoch 4, step 2" in err
    assert f"the last good checkpoint: {run / 'checkpoints' / '000003-00000000.safetensors'}" in err
    assert err.count("\n") == 1
    newest = Checkpoints(run / "checkpoints").newest()
    assert newest.facts.place.epoch == 3
    assert all(np.isfinite(array).all() for array in newest.arrays.values())
    assert all(np.isfinite(v).all() for v in solver.load(run).params.values())
    assert not (run / "summary.txt").exists()
    assert go_on(run) == 0  # with the rate that the configuration gives
    assert weights(run) == weights(place / "whole")


def test_weights_that_are_not_finite_are_not_kept(place, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr("optim.adam.Adam.begin_step", lambda self: vars(self).update(
            _rate=np.float32(np.inf), _offset=1.0))  # fmt: skip
        assert start(place, "run", "--set", "data.validation=0") == 3
    assert capsys.readouterr().err.startswith("diverged: ")
    assert not (place / "run" / "weights.safetensors").exists()
