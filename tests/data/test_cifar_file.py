import pickle

import numpy as np
import pytest

from data import DataError, read_cifar10

PIXELS = 3072


def images(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, PIXELS), np.uint8), rng.integers(0, 10, n, np.uint8)


def binary(x, y):
    return b"".join(bytes([label]) + row.tobytes() for row, label in zip(x, y, strict=True))


def python_2(x, y):
    """A batch as Python 2 pickled it: byte strings, protocol 2, NumPy's old module names."""

    def string(text):
        return b"U" + bytes([len(text)]) + text

    body = b"(K\x01(K%cM\x00\x0ctcnumpy\ndtype\n" % len(x)
    body += string(b"u1") + b"K\x00K\x01\x87R(K\x03" + string(b"|") + b"NNNJ\xff\xff\xff\xff"
    body += b"J\xff\xff\xff\xffK\x00tb\x89T" + len(x.tobytes()).to_bytes(4, "little") + x.tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + string(b"b")
    array += b"\x87R" + body + b"tb"
    labels = b"](" + b"".join(b"K" + bytes([label]) for label in y) + b"e"
    items = string(b"data") + array + string(b"labels") + labels
    items += string(b"batch_label") + string(b"training batch 1 of 5")
    return b"\x80\x02}(" + items + b"u."


def python_3(x, y, protocol):
    return pickle.dumps({b"data": x, b"labels": y.tolist()}, protocol=protocol)


FORMS = {
    "binary": (".bin", binary),
    "python 2": ("", python_2),
    **{f"python 3, {p}": ("", lambda x, y, p=p: python_3(x, y, p)) for p in (1, 2, 3, 4)},
}


def test_the_python_2_bytes_are_what_pickle_reads():
    x, y = images(4)
    batch = pickle.loads(python_2(x, y), encoding="latin1")
    np.testing.assert_array_equal(batch["data"], x)
    assert batch["labels"] == y.tolist()


@pytest.mark.parametrize("form", FORMS)
def test_one_batch(tmp_path, form):
    ending, content = FORMS[form]
    x, y = images(7)
    path = tmp_path / f"data_batch_1{ending}"
    path.write_bytes(content(x, y))
    dataset = read_cifar10(path)
    assert dataset.x.dtype == np.uint8
    np.testing.assert_array_equal(dataset.x, x)
    np.testing.assert_array_equal(dataset.y, y)
    assert dataset.feature_shape == (3, 32, 32)
    assert dataset.labels[:4] == ("airplane", "automobile", "bird", "cat")
    assert dataset.n_classes == 10


@pytest.mark.parametrize("form", ["binary", "python 2"])
def test_a_folder(tmp_path, form):
    ending, content = FORMS[form]
    parts = [images(3, seed) for seed in range(6)]
    for part, name in zip(
        parts, [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"], strict=True
    ):
        (tmp_path / f"{name}{ending}").write_bytes(content(*part))
    train, test = read_cifar10(tmp_path), read_cifar10(tmp_path, part="test")
    np.testing.assert_array_equal(train.x, np.concatenate([x for x, _ in parts[:5]]))
    np.testing.assert_array_equal(train.y, np.concatenate([y for _, y in parts[:5]]))
    np.testing.assert_array_equal(test.x, parts[5][0])
    (tmp_path / f"data_batch_4{ending}").unlink()
    with pytest.raises(DataError, match=r"data_batch_4.*: no such file"):
        read_cifar10(tmp_path)


X, Y = images(3)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("b.bin", b"", "is empty"),
        ("b.bin", binary(X, Y)[:-1], "9,218 bytes are not a whole number of records of 3073"),
        ("b.bin", binary(X, [1, 10, 2]), "label 10 of image 1 is out of range 0 … 9"),
        ("b", python_2(X, [1, 2, 77]), "label '77' of image 2 is out of range 0 … 9"),
        ("b", python_2(X, [1, 2]), "3 images, but 2 labels"),
        ("b", python_2(X, Y)[:-1], "not a whole pickle"),
        ("b", pickle.dumps([1, 2]), "is a dict of data and labels"),
        ("b", pickle.dumps({"labels": [1]}), "its data must be an array"),
        ("b", pickle.dumps({"data": X.astype(float), "labels": [1] * 3}, 4), "of uint8"),
        ("b", pickle.dumps({"data": X[:, :9].copy(), "labels": [1] * 3}, 4), "must be an array"),
        ("b", pickle.dumps({"data": X, "labels": [1, 2, "3"]}, 4), "a list of integers"),
        ("b", pickle.dumps({"data": X, "labels": [1, 2, 10**30]}, 4), "out of range"),
    ],
)
def test_refused(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=match):
        read_cifar10(tmp_path / name)


def test_no_cifar_in_the_folder(tmp_path):
    with pytest.raises(DataError, match="no CIFAR-10 here"):
        read_cifar10(tmp_path)


def test_unknown_part(tmp_path):
    with pytest.raises(DataError, match="must be 'train' or 'test', got 'validation'"):
        read_cifar10(tmp_path, part="validation")


def test_limit(tmp_path):
    (tmp_path / "b.bin").write_bytes(binary(X, Y))
    with pytest.raises(DataError, match="the limit is 5,000"):
        read_cifar10(tmp_path / "b.bin", max_bytes=5000)


def test_limit_of_a_pickled_batch(tmp_path, monkeypatch):
    monkeypatch.setattr("data.cifar_file.MAX_PICKLE", 9000)
    (tmp_path / "b").write_bytes(python_2(X, Y))
    with pytest.raises(DataError, match="the limit is 9,000"):
        read_cifar10(tmp_path / "b")


def test_every_truncation_is_noticed(tmp_path):
    content = python_2(X, Y)
    end = content.index(X.tobytes())
    lengths = [*range(1, end + 5), *range(end + 5, len(content) - 60, 997)]
    for length in [*lengths, *range(len(content) - 60, len(content))]:
        (tmp_path / "b").write_bytes(content[:length])
        with pytest.raises(DataError):
            read_cifar10(tmp_path / "b")
