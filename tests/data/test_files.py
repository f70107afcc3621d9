import os

import pytest

from data import DataError
from data.files import check_memory, check_unpacked, file_size, unpacked_bound


def test_size(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert file_size(tmp_path / "f") == 3


def test_missing(tmp_path):
    with pytest.raises(DataError, match="nothing: no such file"):
        file_size(tmp_path / "nothing")


def test_directory(tmp_path):
    with pytest.raises(DataError, match="is a directory; a file is needed"):
        file_size(tmp_path)


def test_empty(tmp_path):
    (tmp_path / "f").touch()
    with pytest.raises(DataError, match="is empty"):
        file_size(tmp_path / "f")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="not a regular file"):
        file_size(tmp_path / "pipe")


def test_device():
    with pytest.raises(DataError, match="not a regular file"):
        file_size(os.devnull)


def test_null_character():
    with pytest.raises(DataError, match="null character"):
        file_size("a\0b")


def test_name_too_long():
    with pytest.raises(DataError, match="cannot be read: File name too long"):
        file_size("x" * 5000)


def test_file_as_folder(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    with pytest.raises(DataError, match="Not a directory"):
        file_size(tmp_path / "f" / "g")


def test_memory():
    check_memory("f", 10, 10)
    with pytest.raises(DataError, match="needs 11 bytes in memory, the limit is 10"):
        check_memory("f", 11, 10)


def test_what_compressed_bytes_may_unpack_to():
    """Up to 4 MiB what deflate can do, 1032 to 1; from 42 kB on 100 to 1."""
    assert unpacked_bound(1000) == 1_032_000
    assert unpacked_bound(10_000) == 4_194_304
    assert unpacked_bound(1_000_000) == 100_000_000
    check_unpacked("f", 100_000_000, unpacked_bound(1_000_000))
    with pytest.raises(DataError, match="unpacks to 100,000,001 bytes or more"):
        check_unpacked("f", 100_000_001, unpacked_bound(1_000_000))
