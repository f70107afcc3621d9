"""One checkpoint file, and a folder of them: whole or noticed, and never lost to a new one."""

import errno
import json
import os
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

from experiment import folder as folder_module
from experiment.checkpoint import Best, Checkpoint, Checkpoints, Facts, Place, decode, encode
from experiment.errors import ConfigError
from experiment.folder import UNFINISHED, read_whole, write_whole


def make(epoch=3, step=2):
    rng = np.random.default_rng(epoch)
    arrays = {
        "params/linear1.W": rng.standard_normal((2, 3)).astype(np.float32),
        "params/linear1.b": np.array([0.1, -0.0, np.pi]),
        "moments/mean/linear1.W": rng.standard_normal((2, 3)).astype(np.float32),
        "state/switch.on": np.array([True, False]),
    }
    facts = Facts(
        place=Place(epoch, step, 0.1 + 0.2, 64.0),
        seed=2**63 - 1,
        batch_size=64,
        samples=1258,
        data="0badcafe",
        optimizer="Adam",
        updates=47,
        schedule={"current": 0.25},
        rngs={"dropout1": np.random.PCG64(5).state},
        best=Best(2, 0.975, 0.1),
        seconds=1.5,
        numerics={"numpy": np.__version__},
        config={"net": {"hidden": [16], "name": 'a "sha256":"quoted" name'}},
    )
    line = {
        "data_loss": 1 / 3,
        "penalty": 0.0,
        "train_score": 0.5,
        "learning_rate": None,
        "update_ratio": {"linear1.W": 1e-3},
        "seconds": 0.1,
        "noted by a callback": [1],
    }
    return Checkpoint(arrays, facts, [line | {"epoch": i + 1} for i in range(min(epoch, 3))])


def bytes_of(checkpoint):
    return b"".join(encode(checkpoint))


def test_everything_comes_back_to_the_bit():
    made = make()
    read = decode(bytes_of(made))
    assert read.facts == made.facts
    assert read.facts.rngs["dropout1"]["state"]["state"] > 2**64
    assert read.history == made.history
    assert read.arrays.keys() == made.arrays.keys()
    for name, value in made.arrays.items():
        assert read.arrays[name].dtype == value.dtype
        assert read.arrays[name].tobytes() == value.tobytes()


def test_it_is_a_safetensors_file_with_a_header_of_json(tmp_path):
    path = tmp_path / "one.safetensors"
    write_whole(path, encode(make()))
    assert "moments/mean/linear1.W" in load_file(path)
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert json.loads(header["__metadata__"]["checkpoint"])["updates"] == 47


def test_a_file_cut_anywhere_is_noticed():
    data = bytes_of(make())
    for length in range(len(data)):
        with pytest.raises(ConfigError, match=r"truncated|damaged"):
            decode(data[:length])
    with pytest.raises(ConfigError, match="damaged"):
        decode(data + b"\0")


def test_a_bit_flipped_anywhere_is_noticed():
    data = bytearray(bytes_of(make()))
    for place in range(len(data)):
        for bit in (0, 5, 7):  # 5 makes a capital of a letter
            data[place] ^= 1 << bit
            with pytest.raises(ConfigError, match=r"truncated|damaged"):
                decode(bytes(data))
            data[place] ^= 1 << bit
    decode(bytes(data))


def test_a_second_ctrl_c_in_the_middle_of_writing_leaves_the_last_whole(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(make(1, 0))
    for call in ("write", "fsync", "replace"):

        def stop(*arguments):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(folder_module.os, call, stop)
            with pytest.raises(KeyboardInterrupt):
                checkpoints.save(make(2, 0))
        assert [path.name for path in tmp_path.iterdir()] == ["000001-00000000.safetensors"]
    assert checkpoints.newest().facts.place.epoch == 1


@pytest.mark.parametrize(
    "changes",
    [{"updates": "many"}, {"format": 99}, {"rngs": 3}, {"place": Place(-1)}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_file_with_a_right_checksum_and_wrong_contents_is_refused(changes):
    made = make()
    for name, value in changes.items():
        setattr(made.facts, name, value)
    with pytest.raises(ConfigError, match=r"no checkpoint|format 99"):
        decode(bytes_of(made))


# -- when one is due -------------------------------------------------------------------------


def test_every_so_many_epochs_and_steps():
    by_epoch = Checkpoints("x", "2 epochs")
    assert [e for e in range(6) if by_epoch.due(e, 0, 10)] == [0, 2, 4]
    assert not by_epoch.due(2, 1, 10)
    by_step = Checkpoints("x", "7 steps")
    due = [(e, s) for e in range(3) for s in range(5) if by_step.due(e, s, 5)]
    assert due == [(0, 0), (1, 2), (2, 4)]
    assert not Checkpoints("x", "never").due(0, 0, 1)


def test_time_is_that_of_a_clock_that_nobody_sets(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    checkpoints = Checkpoints(tmp_path, "2 minutes")
    with checkpoints.at_work(resumed=False):
        monkeypatch.setattr(time, "time", lambda: 4e9)  # somebody sets the clock
        assert not checkpoints.due(5, 0, 1)
        now = 1119.0
        assert not checkpoints.due(5, 0, 1)
        now = 1120.0
        monkeypatch.setattr(time, "time", lambda: 0.0)
        assert checkpoints.due(5, 3, 10)
        checkpoints.save(make())
        assert not checkpoints.due(5, 4, 10)


@pytest.mark.parametrize(
    "text", ["", "epoch", "1", "0 steps", "-1 steps", "1.5 epochs", "3 parsecs", "1e9 steps", None]
)
def test_what_is_no_interval_is_named(text):
    with pytest.raises(ConfigError, match="expected"):
        Checkpoints("x", text)
    with pytest.raises(ValueError, match="keep is 0"):
        Checkpoints("x", keep=0)


# -- a folder of them ------------------------------------------------------------------------


def test_the_last_so_many_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for epoch, step in ((9, 100_000_000), (9, 7), (999_999, 0), (1_000_000, 0)):
        checkpoints.save(make(epoch, step))
    assert [path.name for path in checkpoints.paths()] == [
        "1000000-00000000.safetensors",
        "999999-00000000.safetensors",
    ]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "link", "folder", "huge"])
def test_a_damaged_newest_is_told_of_and_the_one_before_it_serves(tmp_path, damage):
    told = []
    checkpoints = Checkpoints(tmp_path / "c", tell=told.append)
    checkpoints.folder.mkdir()
    checkpoints.save(make(1, 0))
    path = checkpoints.save(make(2, 0))
    data = path.read_bytes()
    limit = len(data) + 100
    if damage in ("link", "folder"):
        path.unlink()
        os.symlink(tmp_path / "elsewhere", path) if damage == "link" else path.mkdir()
        (tmp_path / "elsewhere").write_bytes(data)
    elif damage == "huge":
        os.truncate(path, 2**40)  # a file with a hole: no disk is needed for it
    else:
        flipped = data[:-1] + bytes([data[-1] ^ 1])
        path.write_bytes({"cut": data[:-1], "flipped": flipped, "empty": b""}[damage])
    assert checkpoints.newest(limit).facts.place == Place(1, 0, 0.1 + 0.2, 64.0)
    (text,) = told
    assert str(path) in text
    assert "going on from the one before it" in text
    said = {"link": "is a symbolic link", "folder": "no regular file", "huge": "more than"}
    assert said.get(damage, "truncated" if damage == "empty" else "damaged") in text
    assert [p.name for p in checkpoints.paths()] == ["000001-00000000.safetensors"]


def test_without_a_whole_one_there_is_an_error(tmp_path):
    checkpoints = Checkpoints(tmp_path / "none", tell=lambda text: None)
    with pytest.raises(ConfigError, match="no checkpoint to go on from"):
        checkpoints.newest()
    checkpoints.folder.mkdir()
    checkpoints.save(make()).write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="all 1 checkpoints are damaged"):
        checkpoints.newest()


# -- the disk --------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_fails_leaves_the_old_file_whole_and_nothing_else(
    tmp_path, monkeypatch, failing, number
):
    path = tmp_path / "file"
    write_whole(path, [b"old"])

    def fail(*arguments):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(folder_module.os, failing, fail)
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            write_whole(path, [b"new and longer"])
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_halfway_removes_no_older_checkpoint(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(make(1, 0))
    room, write = 1000, os.write

    def little_room(handle, data):
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room -= (written := write(handle, data[: min(room, 300)]))
        return written

    with monkeypatch.context() as patch:
        patch.setattr(folder_module.os, "write", little_room)
        with pytest.raises(OSError, match="No space left"):
            checkpoints.save(make(2, 0))
    assert checkpoints.newest().facts.place.epoch == 1
    assert not (tmp_path / UNFINISHED).exists()


def test_a_write_in_small_pieces_is_completed(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(folder_module.os, "write", lambda handle, data: write(handle, data[:100]))
    path = tmp_path / "file"
    write_whole(path, encode(make()))
    assert decode(path.read_bytes()).facts == make().facts


def test_bytes_reach_the_disk_before_the_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(handle):
        calls.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")
        fsync(handle)

    def note_replace(*paths):
        calls.append("rename")
        replace(*paths)

    monkeypatch.setattr(folder_module.os, "fsync", note_fsync)
    monkeypatch.setattr(folder_module.os, "replace", note_replace)
    write_whole(tmp_path / "file", [b"new"])
    assert calls == ["file", "rename", "folder"]


def test_what_is_no_plain_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("pipe", "no regular file"), ("none", "No such file")):
        with pytest.raises(ConfigError, match=message):
            read_whole(tmp_path / name, 100)
