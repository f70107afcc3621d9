import gzip
import struct

import numpy as np
import pytest

import data
from data import DataError, load, read_features


@pytest.fixture
def folder(tmp_path):
    x, y = np.arange(12, dtype=np.uint8).reshape(3, 2, 2), np.array([1, 0, 1], np.uint8)
    (tmp_path / "t.csv").write_text("a,b,label\n1,2,u\n3,4,v\n")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    np.savez(tmp_path / "t.npz", x=x, y=y)
    images = struct.pack(">HBB3I", 0, 8, 3, 3, 2, 2) + x.tobytes()
    (tmp_path / "images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
    (tmp_path / "labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, 3) + y.tobytes())
    (tmp_path / "b.bin").write_bytes(bytes(3073))
    return tmp_path


FILES = {
    "csv": ("t.csv", {}),
    "npy": ("x.npy", {"y_path": "y.npy"}),
    "npz": ("t.npz", {}),
    "idx": ("images-idx3-ubyte.gz", {"y_path": "labels-idx1-ubyte"}),
}


def test_digits():
    assert load("digits").name == "digits"


@pytest.mark.parametrize("name", data.SETS)
def test_every_set_needs_no_options(name):
    dataset = load(name)
    assert dataset.name == name
    assert len(dataset) == len(dataset.x) > 100


@pytest.mark.parametrize("name", FILES)
def test_by_format_and_by_ending(folder, name):
    path, options = FILES[name]
    options = {key: folder / value for key, value in options.items()}
    named, by_ending = (
        load(name, path=folder / path, **options),
        load(str(folder / path), **options),
    )
    assert len(named) == {"csv": 2}.get(name, 3)
    np.testing.assert_array_equal(named.x, by_ending.x)
    np.testing.assert_array_equal(named.y, by_ending.y)


def test_cifar(folder):
    assert load("cifar10", path=folder / "b.bin").x.shape == (1, 3072)


@pytest.mark.parametrize("name", FILES)
def test_features(folder, name):
    path = folder / FILES[name][0]
    options = {"target": "label"} if name == "csv" else {}
    x, shape = read_features(path, **options)
    expected = [[1, 2], [3, 4]] if name == "csv" else np.arange(12).reshape(3, 4).tolist()
    assert x.tolist() == expected
    assert shape == ((2,) if name == "csv" else (2, 2))
    np.testing.assert_array_equal(read_features(path, name, **options)[0], x)


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("digit", {}, "no data called 'digit'; there are digits, spiral, .*mean 'digits'"),
        ("\x1b[2J", {}, r"no data called '\\x1b\[2J'"),
        ("spiral", {"nois": 0.1}, "no option 'nois'; its options are samples, .* mean 'noise'"),
        ("digits", {"path": "x"}, "data digits: no option 'path'; its options are none"),
        ("csv", {}, "data csv: the option path is missing"),
        ("npy", {"path": "x.npy"}, "data npy: the option y_path is missing"),
        ("nothing.csv", {}, "nothing.csv: no such file"),
        ("csv", {"path": 5}, "path must be a path, got '5'"),
        ("x.csv", {"path": "y.csv"}, "no data called 'x.csv'"),
        ("t.parquet", {}, "no data called 't.parquet'"),
    ],
)
def test_refused(name, options, match):
    with pytest.raises(DataError, match=match):
        load(name, **options)


def test_features_of_an_unknown_format():
    with pytest.raises(DataError, match=r"t.parquet: a format is needed, csv, npy, npz or idx"):
        read_features("t.parquet")


def test_everything_exported_exists():
    assert all(hasattr(data, name) for name in data.__all__)
