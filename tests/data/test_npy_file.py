import contextlib
import io
import pickle
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from data import DataError, read_npy, read_npz
from data.dataset import is_mapped
from data.npy_file import read_npy_array, read_npz_arrays


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(compressed=False, **arrays):
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def with_header(text, data=b"", version=1):
    """A .npy file with any header."""
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode("latin-1") + data


def header(descr="'<f4'", fortran="False", shape="(2, 3)"):
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"


@pytest.fixture
def write(tmp_path):
    def written(content, name="x.npy"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return written


arrays = hnp.arrays(
    hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="?")
    | hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64))
    | st.sampled_from([np.dtype("<U3"), np.dtype(">U5")]),
    hnp.array_shapes(max_dims=4, max_side=4),
)


@given(arrays, st.booleans())
def test_what_numpy_wrote_is_read(tmp_path_factory, array, fortran):
    array = np.asfortranarray(array) if fortran else array
    path = tmp_path_factory.getbasetemp() / "round.npy"
    path.write_bytes(npy(array))
    for mapped in (False, True):
        got = read_npy_array(path, mapped)
        assert got.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(got, array)
    path.write_bytes(npz(x=array, compressed=fortran))
    np.testing.assert_array_equal(read_npz_arrays(path, ["x"])["x"], array)


def test_mapped_samples_stay_in_the_file(write):
    images = np.arange(24, dtype=np.uint8).reshape(3, 2, 4)
    path = write(npy(images))
    dataset = read_npy(path, write(npy(np.array(["b", "a", "b"])), "y.npy"), mapped=True)
    assert is_mapped(dataset.x)
    assert not dataset.x.flags.writeable
    assert dataset.x.dtype == np.uint8
    assert dataset.feature_shape == (2, 4)
    np.testing.assert_array_equal(dataset.x, images.reshape(3, 8))
    assert dataset.labels == ("a", "b")
    in_memory = read_npy(path, path.with_name("y.npy"))
    assert not is_mapped(in_memory.x)
    np.testing.assert_array_equal(in_memory.x, dataset.x)


def test_a_mapped_file_may_exceed_the_limit(write):
    path = write(npy(np.zeros((100, 10))))
    assert read_npy_array(path, mapped=True, max_bytes=100).shape == (100, 10)
    with pytest.raises(DataError, match=r"needs 8,000 bytes .* limit is 100; .* mapped = true"):
        read_npy_array(path, max_bytes=100)


def test_version_2(write):
    content = with_header(header(shape="(1, 1)"), struct.pack("<f", 1.5), version=2)
    assert read_npy_array(write(content)).tolist() == [[1.5]]


def test_header_of_python_2(write):
    content = with_header(header(shape="(1L, 1L)"), struct.pack("<f", 1.5))
    assert read_npy_array(write(content)).tolist() == [[1.5]]


GOOD = npy(np.arange(6, dtype=np.float32).reshape(2, 3))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty"),
        (b"not numpy at all", "wrong magic number"),
        (GOOD[:6] + b"\x03\x00" + GOOD[8:], "version 3"),
        (GOOD[:50], "truncated inside its header"),
        (GOOD[:-1], "truncated: its header promises 24 bytes of data, but 23 follow"),
        (GOOD + b"x", "too long"),
        (with_header(header(shape="(1000000000000, 3)")), "truncated: its header promises"),
        (with_header(header(shape="(99999999999999999999999, 3)")), "header is damaged"),
        (with_header(header(shape="(0, 3)")), "holds no samples"),
        (with_header(header(shape="(2, -3)")), "header is damaged"),
        (with_header(header(shape="(__import__('os').system('true'),)")), "header is damaged"),
        (with_header(header(fortran="1")), "header is damaged"),
        (with_header(header(descr="'<V4'"), bytes(24)), "holds '<V4'; save plain numbers"),
        (with_header(header(descr="'<f3'"), bytes(18)), "unknown dtype '<f3'"),
        (with_header(header(descr="[('a', '<f4')]"), bytes(24)), "holds records"),
        (with_header(header(descr="'|O'"), bytes(48)), "pickled Python objects"),
        (with_header(header(descr="'<c8'"), bytes(48)), "holds '<c8'"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f", "header claims 2,147,483,647 bytes"),
        (npy(np.array([{}, []], dtype=object), allow_pickle=True), "pickled Python objects"),
        (npy(np.array([("a", 1)], dtype=[("n", "U1"), ("i", "i4")])), "holds records"),
        (pickle.dumps([1, 2]), "wrong magic number"),
    ],
)
@pytest.mark.parametrize("mapped", [False, True])
def test_refused(write, content, mapped, match):
    with pytest.raises(DataError, match=match):
        read_npy_array(write(content), mapped)


@pytest.mark.parametrize("mapped", [False, True])
def test_every_truncation_is_noticed(write, mapped):
    for length in range(len(GOOD)):
        with pytest.raises(DataError):
            read_npy_array(write(GOOD[:length]), mapped)


def test_nan_in_the_samples(write):
    x = np.ones((2, 3), np.float32)
    x[1, 2] = np.nan
    with pytest.raises(DataError, match="x: row 1, column 2 is nan"):
        read_npy(write(npy(x)), write(npy(np.array([0, 1])), "y.npy"))


def test_npz(write):
    x, y = np.arange(6, dtype=np.uint8).reshape(2, 3), np.array([5, 3])
    dataset = read_npz(write(npz(x=x, y=y), "d.npz"))
    assert dataset.x.tolist() == x.tolist()
    assert dataset.labels == (3, 5)
    other = read_npz(write(npz(x_train=x, y_train=y), "e.npz"), "x_train", "y_train")
    assert other.y.tolist() == [1, 0]


def zipped(name, content, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def bomb():
    """10 MB of zeros in 10 kB."""
    text = header(descr="'|u1'", shape="(10000, 1000)")
    return zipped("x.npy", with_header(text, bytes(10**7)))


def claimed_size(content, size):
    """The archive with another unpacked size in its directory."""
    at = content.index(b"PK\x01\x02")
    return content[: at + 24] + struct.pack("<I", size) + content[at + 28 :]


def test_bomb_is_not_unpacked(write):
    path = write(bomb(), "d.npz")
    assert path.stat().st_size < 20_000
    with pytest.raises(DataError, match=r"needs 10,000,0\d\d bytes in memory, the limit is 1,000"):
        read_npz_arrays(path, ["x"], max_bytes=1000)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty"),
        (GOOD, r"not a whole .npz \(zip\) file"),
        (npz(X=np.ones(3)), "holds no array 'x'; its arrays are 'X'"),
        (zipped("other", b""), "holds no array 'x'; its arrays are 'other'"),
        (zipped("x.npy", b"garbage!!"), r"d.npz\[x\]: wrong magic number"),
        (zipped("x.npy", GOOD[:-1]), "its header promises 24 bytes of data, but 23 follow"),
        (zipped("x.npy", GOOD + b"1"), "its header promises 24 bytes of data, but 25 follow"),
        (zipped("x.npy", GOOD, zipfile.ZIP_LZMA), "compressed in an unknown way"),
        (
            claimed_size(zipped("x.npy", GOOD), 10**6),
            "unpacks to 1,000,000 bytes or more, far more",
        ),
        (claimed_size(zipped("x.npy", GOOD), 160), "its header promises 24 bytes"),
        (
            zipped("x.npy", npy(np.array([{}], dtype=object), allow_pickle=True)),
            "pickled Python objects",
        ),
    ],
)
def test_npz_refused(write, content, match):
    with pytest.raises(DataError, match=match):
        read_npz_arrays(write(content, "d.npz"), ["x"])


def test_npz_of_very_many_arrays(write):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in range(1001):
            archive.writestr(f"{name}.npy", GOOD)
    with pytest.raises(DataError, match="holds 1001 arrays"):
        read_npz_arrays(write(file.getvalue(), "d.npz"), ["0"])


def test_npz_with_an_encrypted_array(write):
    content = bytearray(zipped("x.npy", GOOD))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DataError, match="encrypted"):
        read_npz_arrays(write(bytes(content), "d.npz"), ["x"])


@pytest.mark.parametrize("compressed", [False, True])
def test_every_npz_truncation_is_noticed(write, compressed):
    content = npz(compressed, x=np.arange(6.0).reshape(2, 3))
    for length in range(len(content)):
        with pytest.raises(DataError):
            read_npz_arrays(write(content[:length], "d.npz"), ["x"])


@pytest.mark.parametrize("bit", [0x01, 0x10, 0x80])
def test_flipped_bits_raise_nothing_else(write, bit):
    x = np.arange(6.0).reshape(2, 3)
    for original, read in [
        (GOOD, read_npy_array),
        (npz(x=x), lambda path: read_npz_arrays(path, ["x"])),
        (npz(True, x=x), lambda path: read_npz_arrays(path, ["x"])),
    ]:
        for at in range(len(original)):
            content = bytearray(original)
            content[at] ^= bit
            with contextlib.suppress(DataError):
                read(write(bytes(content), "flipped"))
