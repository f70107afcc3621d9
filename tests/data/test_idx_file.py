import contextlib
import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from data import DataError, read_idx
from data.idx_file import read_idx_array

# Type codes as the description of the format lists them.
CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array):
    code = CODES[array.dtype.str[1:]]
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def write(tmp_path):
    def written(content, name="x-ubyte"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return written


@given(
    array=hnp.arrays(
        st.sampled_from([np.dtype(code) for code in CODES]),
        hnp.array_shapes(max_dims=4, max_side=5),
        elements={"allow_nan": False},
    ),
    compressed=st.booleans(),
)
def test_what_was_written_is_read(tmp_path_factory, array, compressed):
    path = tmp_path_factory.getbasetemp() / "round-idx"
    path.write_bytes(gzip.compress(idx(array)) if compressed else idx(array))
    got = read_idx_array(path)
    assert got.dtype == array.dtype
    np.testing.assert_array_equal(got, array)


def test_images_and_labels(write):
    images = np.arange(3 * 2 * 2, dtype=np.uint8).reshape(3, 2, 2)
    labels = np.array([9, 4, 9], np.uint8)
    dataset = read_idx(write(idx(images)), write(gzip.compress(idx(labels)), "y-ubyte.gz"))
    assert dataset.x.dtype == np.uint8
    assert dataset.x.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert dataset.labels == (4, 9)
    assert dataset.y.tolist() == [1, 0, 1]
    assert dataset.feature_shape == (2, 2)


def test_counts_that_differ(write):
    images, labels = np.zeros((3, 2, 2), np.uint8), np.array([0, 1], np.uint8)
    with pytest.raises(DataError, match="3 samples in x, but 2 in y"):
        read_idx(write(idx(images)), write(idx(labels), "y"))


def test_images_given_as_labels(write):
    images = write(idx(np.zeros((3, 2, 2), np.uint8)))
    with pytest.raises(DataError, match=r"labels must be integers \(N,\)"):
        read_idx(images, images)


GOOD = idx(np.arange(12, dtype=np.uint8).reshape(3, 2, 2))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty"),
        (b"\x00\x00\x07\x01" + bytes(10), "wrong magic number 0x00000701"),
        (b"\x01\x00\x08\x01" + bytes(10), "wrong magic number 0x01000801"),
        (b"\x00\x00\x08\x00", "wrong magic number"),
        (b"PK\x03\x04", "wrong magic number"),
        (GOOD[:10], "truncated inside its header of 3 sizes"),
        (GOOD[:-1], "truncated: its header promises 12 bytes"),
        (GOOD + b"x", "more bytes follow than the 12"),
        (GOOD[:4] + struct.pack(">3I", 0, 2, 2), "holds no samples"),
        (GOOD[:4] + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1), "more than the file"),
        (gzip.compress(GOOD)[:-9], "truncated or damaged"),
        (gzip.compress(GOOD)[:-6] + b"abcdef", "truncated or damaged"),
        (gzip.compress(GOOD + b"x"), "more bytes follow than the 12"),
        (gzip.compress(GOOD[:-1]), "its header promises 12 bytes of data, but 11 follow"),
        (gzip.compress(GOOD[:4] + struct.pack(">3I", 10**6, 10**6, 1)), "more than the file"),
        (b"\x1f\x8b" + bytes(20), "truncated or damaged"),
    ],
)
def test_refused(write, content, match):
    with pytest.raises(DataError, match=match):
        read_idx_array(write(content))


def test_limit(write):
    with pytest.raises(DataError, match="needs 12 bytes in memory, the limit is 11"):
        read_idx_array(write(GOOD), max_bytes=11)


@pytest.mark.parametrize("content", [GOOD, gzip.compress(GOOD)], ids=["plain", "gz"])
def test_every_truncation_is_noticed(write, content):
    for length in range(len(content)):
        with pytest.raises(DataError):
            read_idx_array(write(content[:length]))


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_flipped_bytes_raise_nothing_else(tmp_path_factory, at, flip):
    for original in (GOOD, gzip.compress(GOOD, mtime=0)):
        content = bytearray(original)
        content[at % len(content)] ^= flip
        path = tmp_path_factory.getbasetemp() / "flipped"
        path.write_bytes(content)
        with contextlib.suppress(DataError):
            read_idx_array(path)
