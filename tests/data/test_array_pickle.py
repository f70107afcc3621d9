"""What a pickle may hold, and that nothing in it runs."""

import contextlib
import os
import pickle
import struct
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from data import DataError
from data.array_pickle import read_array_pickle

plain_values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
plain_values |= st.text() | st.binary(min_size=1)  # protocol 2 writes b'' as a call
nested = st.recursive(
    plain_values,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(nested, st.integers(2, 5))
def test_plain_values_are_as_pickle_reads_them(value, protocol):
    content = pickle.dumps(value, protocol)
    assert read_array_pickle(content, "f") == value


@given(
    hnp.arrays(
        hnp.integer_dtypes(endianness="?")
        | hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
        hnp.array_shapes(max_dims=3, max_side=4),
        elements={"allow_nan": False},
    ),
    st.integers(1, 4),
    st.booleans(),
)
def test_arrays_are_as_pickle_reads_them(array, protocol, fortran):
    array = np.asfortranarray(array) if fortran else array
    got = read_array_pickle(pickle.dumps({"a": array}, protocol), "f")["a"]
    assert got.dtype == array.dtype
    np.testing.assert_array_equal(got, array)


class Calls:
    """Pickled as the call of a function."""

    def __init__(self, function, *arguments):
        self.how = function, arguments

    def __reduce__(self):
        return self.how


class Stateful:
    def __init__(self):
        self.value = 1


def payloads(target):
    """Pickles that would create the file `target`, each by other means."""
    path = str(target)
    touch = f"touch {path}"
    a = np.zeros(2, np.uint8)

    def text(value):
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    def called(module, name, *arguments):
        return b"c" + f"{module}\n{name}\n".encode() + b"(" + b"".join(arguments) + b"tR."

    reduce = b"cnumpy.core.multiarray\n_reconstruct\n"
    return {
        "os.system": pickle.dumps(Calls(os.system, touch)),
        "os.system, 0": pickle.dumps(Calls(os.system, touch), 0),
        "os.system, 2": pickle.dumps({"data": Calls(os.system, touch)}, 2),
        "eval": pickle.dumps(Calls(eval, f"open({path!r}, 'w')")),
        "exec": pickle.dumps(Calls(exec, f"open({path!r}, 'w')")),
        "open": pickle.dumps(Calls(open, path, "w")),
        "getattr": called("builtins", "getattr", text("x"), text("upper")),
        "numpy.load": called("numpy", "load", text(path)),
        "numpy.memmap": called(
            "numpy", "memmap", text(path), text("u1"), text("w+"), b"K\x00K\x08"
        ),
        "numpy.save": called("numpy", "save", text(path), text("x")),
        "numpy.fromfile": called("numpy", "fromfile", text(path)),
        "ndarray.tofile": called("numpy", "ndarray.tofile", text(path)),
        "ndarray.tofile, 4": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93("
        + text(path)
        + b"tR.",
        "ndarray()": called("numpy", "ndarray", b"J\xff\xff\xff\x7f\x85"),
        "dtype of O": called("numpy", "dtype", text("O")),
        "dtype of V": called("numpy", "dtype", text("V1000000")),
        "_reconstruct of another class": reduce + b"(cnumpy\nmemmap\nK\x00\x85C\x01btR.",
        "runpy": called("runpy", "run_path", text(path)),
        "encode by another codec": called("_codecs", "encode", text("x"), text("rot13")),
        "encode a number": called("_codecs", "encode", b"K\x05", text("latin1")),
        "newobj": b"\x80\x02cos\nPathLike\n)\x81.",
        "newobj of ndarray": b"\x80\x02cnumpy\nndarray\nK\x05\x85\x85\x81.",
        "newobj_ex": b"\x80\x04\x8c\x05numpy\x8c\x07ndarray\x93)}\x92.",
        "inst": b"(" + text(touch) + b"ios\nsystem\n.",
        "obj": b"(cos\nsystem\n" + text(touch) + b"o.",
        "persistent id": b"Pabc\n.",
        "binary persistent id": text("abc") + b"Q.",
        "extension": b"\x80\x02\x82\x01.",
        "extension 2": b"\x80\x02\x83\x01\x00.",
        "extension 4": b"\x80\x02\x84\x01\x00\x00\x00.",
        "buffer": b"\x80\x05\x97.",
        "read-only buffer": b"\x80\x05\x97\x98.",
        "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 3) + b"abc.",
        "set": pickle.dumps({1, 2}, 4),
        "frozen set": pickle.dumps(frozenset([1]), 4),
        "own class": pickle.dumps(Stateful()),
        "build on an array's type": b"cnumpy\nndarray\n}" + text("x") + b"K\x01sb.",
        "build on a dict": b"}}" + text("x") + b"K\x01sb.",
        "build on a list": b"](K\x01tb.",
        "build on a string": text("x") + b"(K\x01tb.",
        "build an array with a dict": reduce + b"(cnumpy\nndarray\nK\x00\x85C\x01btR}b.",
        "object array": pickle.dumps(np.array([Calls(os.system, touch)], dtype=object), 2),
        "record array": pickle.dumps(np.zeros(2, [("a", "u1")]), 2),
        "dates": pickle.dumps(np.zeros(2, "M8[s]"), 2),
        "array subclass": pickle.dumps(a.view(np.matrix), 2),
        "hidden behind a pop": b"cos\nsystem\n0" + b"N.",
        "after the memo": b"cos\nsystem\nq\x000h\x00(" + text(touch) + b"tR.",
        "tuple as a key": b"}))s.",
    }


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_no_payload_runs(tmp_path):
    target = tmp_path / "owned"
    for name, content in payloads(target).items():
        with pytest.raises(DataError) as caught:
            read_array_pickle(content, "batch")
        assert "only arrays, strings and numbers are read" in str(caught.value), name
        assert not target.exists(), name


def test_the_payload_would_run_if_it_were_unpickled(tmp_path):
    target = tmp_path / "owned"
    pickle.loads(payloads(target)["os.system"])
    assert target.exists()


ARRAY = pickle.dumps(np.zeros((2, 3), np.uint8), 2)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"N",
        b".",
        b"0.",
        b"h\x05.",
        b"j\xff\xff\xff\xff.",
        b"t.",
        b"(.e",
        b"K\x01e.",
        b"(K\x01e.",
        b"](K\x01u.",
        b"}(K\x01u.",
        b"R.",
        b"NNR.",
        b"\x85.",
        b"(\x85.",
        b"X\xff\xff\xff\x7fabc.",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc.",
        b"I1x\n.",
        b"cnu\\mpy\nndarray\n(tR.",
        b"S'\\z'\nR.",
        b"X\x01\x00\x00\x00\xff.",
        ARRAY.replace(b"K\x02K\x03", b"K\x02K\x04"),
        ARRAY.replace(b"K\x02K\x03", b"K\x00K\x03"),
        ARRAY.replace(b"K\x02K\x03", b"K\x02N"),
        ARRAY.replace(b"K\x02K\x03", b"J\xff\xff\xff\xffK\x03"),
    ],
)
def test_damaged(content):
    with pytest.raises(DataError) as caught:
        read_array_pickle(content, "f")
    assert str(caught.value).isprintable()


def test_an_array_that_does_not_fit_its_bytes():
    with pytest.raises(DataError, match="shape does not fit its bytes"):
        read_array_pickle(ARRAY.replace(b"K\x02K\x03", b"K\x02K\x04"), "f")


def test_a_memo_index_takes_no_memory():
    tracemalloc.start()
    assert read_array_pickle(b"Nr\xfe\xff\xff\xff.", "f") is None
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_string_cannot_be_multiplied():
    text = b"X" + struct.pack("<I", 10_000) + b"a" * 10_000 + b"q\x00"
    once = b"0c_codecs\nencode\n(h\x00X\x06\x00\x00\x00latin1tR"
    with pytest.raises(DataError, match="instruction POP"):
        read_array_pickle(text + once + b".", "f")
    many = b"](" + text + b"c_codecs\nencode\n(h\x00X\x06\x00\x00\x00latin1tR" * 100 + b"e."
    with pytest.raises(DataError, match="unpacks to more than its own size"):
        read_array_pickle(many, "f")


def test_nested_tuples_cannot_hang():
    # A tuple of 2**60 leaves, in 60 instructions, as the key of a dict: its hash would never end.
    doubled = b"q\x00h\x00\x86"
    content = b"})" + doubled * 60 + b"Ns."
    started = time.perf_counter()
    with pytest.raises(DataError):
        read_array_pickle(content, "f")
    assert time.perf_counter() - started < 1


def test_too_many_instructions():
    with pytest.raises(DataError, match="more than 500,000 instructions"):
        read_array_pickle(b"(" + b"}" * 500_001 + b"l.", "f")


BATCH = pickle.dumps({b"labels": [1, 2], b"data": np.zeros((2, 3), np.uint8)}, 2)


def test_every_truncation_is_noticed():
    for length in range(len(BATCH)):
        with pytest.raises(DataError):
            read_array_pickle(BATCH[:length], "f")


def test_flipped_bytes_raise_nothing_else():
    for at in range(len(BATCH)):
        for value in range(0, 256, 5):
            content = BATCH[:at] + bytes([value]) + BATCH[at + 1 :]
            with contextlib.suppress(DataError):
                read_array_pickle(content, "f")


@given(st.binary(max_size=60))
def test_random_bytes_raise_nothing_else(content):
    with contextlib.suppress(DataError):
        read_array_pickle(content, "f")
