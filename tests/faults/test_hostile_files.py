"""Files of a stranger: each fault by name, and what guards against it.

What ends in success or in one line is judged by fuzz.verdict: no traceback, nothing that could
steer a terminal, no payload run, at most five seconds.
"""

import gzip
import io
import json
import os
import pickle
import re
import shutil
import struct
import tempfile
import time
import tomllib
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as tensors_of
from safetensors.numpy import save as tensors

import solver
from data import DataError, encode_labels, read_csv, read_npz
from data.idx_file import read_idx_array
from data.npy_file import read_npy_array, read_npz_arrays
from experiment import config
from experiment.errors import ConfigError, choices
from tests.faults import fuzz

MANY = 10**12

FOLDER = tempfile.mkdtemp(prefix="handgrad-hostile-")
CASES = fuzz.originals(Path(FOLDER))
shutil.rmtree(FOLDER)

BY_FILE = {name: case for case in reversed(CASES) for name in case.files}
"""A good case with the file of this name."""


def attempt(folder: Path, case: fuzz.Case) -> fuzz.Outcome:
    fuzz.write(case, folder)
    outcome = fuzz.run(case.arguments, folder)
    assert not fuzz.verdict(outcome, folder).startswith("fault"), fuzz.verdict(outcome, folder)
    return outcome


def refused(folder: Path, name: str, content: bytes) -> str:
    """The one line that is said when a file of a good case is replaced by this one."""
    case = BY_FILE[name]
    outcome = attempt(folder, fuzz.Case(case.files | {name: content}, case.arguments))
    assert outcome.code == 2
    return outcome.err


def npy_header(shape: str, descr: str = "<f8") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def idx_header(*sizes: int) -> bytes:
    return struct.pack(f">HBB{len(sizes)}I", 0, 8, len(sizes), *sizes)


def zipped(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def peak_of(action: Callable[[], Any]) -> int:
    """The most bytes that an action held at once; it may end in an error of ours."""
    tracemalloc.start()
    try:
        action()
    except (DataError, ConfigError):
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


# -- more claimed than there is ----------------------------------------------------------------


def test_npy_of_many_rows(tmp_path: Path) -> None:
    assert "truncated" in refused(tmp_path, "x.npy", npy_header(f"({MANY}, 2)") + bytes(480))
    assert peak_of(lambda: read_npy_array(tmp_path / "x.npy")) < 10**6


def test_npy_whose_size_overflows(tmp_path: Path) -> None:
    content = npy_header("(4294967296, 4294967296, 2)") + bytes(480)
    assert "truncated" in refused(tmp_path, "x.npy", content)


def test_npz_of_many_rows(tmp_path: Path) -> None:
    content = zipped("x.npy", npy_header(f"({MANY}, 2)") + bytes(480))
    assert "promises" in refused(tmp_path, "s.npz", content)
    assert peak_of(lambda: read_npz_arrays(tmp_path / "s.npz", ["x"])) < 10**6


def test_npz_whose_directory_lies_of_both_sizes(tmp_path: Path) -> None:
    text = npy_header("(125000000, 1)")
    content = zipped("x.npy", text + bytes(480))
    at = content.index(b"PK\x01\x02")
    lie = struct.pack("<II", 10**9, len(text) + 10**9)
    content = content[: at + 20] + lie + content[at + 28 :]
    assert "unpacks to 1,000,000,0" in refused(tmp_path, "s.npz", content)
    assert peak_of(lambda: read_npz_arrays(tmp_path / "s.npz", ["x"])) < 10**7


def test_npz_whose_directory_claims_to_be_huge(tmp_path: Path) -> None:
    good = zipped("x.npy", fuzz.npy(np.ones((3, 2))))
    at = good.index(b"PK\x05\x06")
    path = tmp_path / "s.npz"
    with path.open("wb") as file:  # 3 GB of nothing, which take no room on the disk
        file.truncate(3 * 10**9)
        file.seek(0, 2)
        file.write(good[at : at + 12] + struct.pack("<II", 3 * 10**9, 0) + good[at + 20 :])
    with pytest.raises(DataError, match="its directory claims"):
        read_npz_arrays(path, ["x"])


def test_npz_of_many_members(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(1001):
            archive.writestr(f"{number}.npy", b"")
    assert "1001 arrays" in refused(tmp_path, "s.npz", file.getvalue())


def test_idx_of_many_rows(tmp_path: Path) -> None:
    content = idx_header(10**6, 10**6, 1) + bytes(120)
    assert "truncated" in refused(tmp_path, "x", content)
    assert "truncated" in refused(tmp_path, "x.gz", gzip.compress(content))
    assert peak_of(lambda: read_idx_array(tmp_path / "x")) < 10**6


def test_cifar_of_many_rows(tmp_path: Path) -> None:
    array = pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1]}, 2)
    for rows in (b"J\x00\x00\x00\x40", b"K\x03", b"K\x00", b"J\xff\xff\xff\xff"):
        content = array.replace(b"K\x02M\x00\x0c", rows + b"M\x00\x0c")
        assert content != array
        assert "shape does not fit" in refused(tmp_path, "data_batch_1", content)


def test_csv_of_one_endless_line(tmp_path: Path) -> None:
    assert "longer than" in refused(tmp_path, "t.csv", b"1," * 2**21 + b"1\n")


def test_weights_of_many_rows(tmp_path: Path) -> None:
    header = {"linear1.W": {"dtype": "F32", "shape": [MANY, 4], "data_offsets": [0, 16 * MANY]}}
    text = json.dumps(header).encode()
    content = struct.pack("<Q", len(text)) + text + bytes(100)
    assert "not a readable" in refused(tmp_path, "chain/weights.safetensors", content)


def test_weights_whose_header_claims_to_be_huge(tmp_path: Path) -> None:
    name = "chain/weights.safetensors"
    good = BY_FILE[name].files[name]
    assert "header claims" in refused(tmp_path, name, struct.pack("<Q", 10**8) + good[8:])


# -- bombs -------------------------------------------------------------------------------------


def test_zip_bomb(tmp_path: Path) -> None:
    content = zipped("x.npy", npy_header("(64000000, 1)", "|u1") + bytes(64_000_000))
    assert len(content) < 10**5
    assert "unpacks to 64,000," in refused(tmp_path, "s.npz", content)
    assert peak_of(lambda: read_npz_arrays(tmp_path / "s.npz", ["x"])) < 10**6


def test_gz_bomb_in_idx(tmp_path: Path) -> None:
    content = gzip.compress(idx_header(8000, 8000) + bytes(64_000_000))
    assert "may unpack to" in refused(tmp_path, "x.gz", content)
    assert peak_of(lambda: read_idx_array(tmp_path / "x.gz")) < 10**6


def test_gz_bomb_in_csv(tmp_path: Path) -> None:
    content = gzip.compress(b"a,b,label\n" + b"1,2,k\n" * 5_000_000)
    assert "unpacks to" in refused(tmp_path, "t.csv.gz", content)


def test_what_compresses_well_is_read(tmp_path: Path) -> None:
    """Zeros of 4 MB, and more at 27 to 1."""
    x = np.zeros((500, 1000))
    (tmp_path / "t.npz").write_bytes(fuzz.npz(True, x=x, y=np.arange(500) % 2))
    assert read_npz(tmp_path / "t.npz").x.shape == x.shape
    rng = np.random.default_rng(0)
    x = np.repeat(rng.integers(0, 256, 500_000, np.uint8), 64).reshape(-1, 1000)
    (tmp_path / "t.npz").write_bytes(fuzz.npz(True, x=x, y=np.arange(len(x)) % 2))
    assert 20 < x.nbytes / (tmp_path / "t.npz").stat().st_size < 100
    assert read_npz(tmp_path / "t.npz").x.shape == x.shape


def test_one_long_label_gives_not_every_sample_its_room(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("1," + "a" * 1000 + "\n" + "1,b\n2,c\n" * 20_000)
    assert peak_of(lambda: read_csv(path)) < 20e6


def test_very_many_classes(tmp_path: Path) -> None:
    rows = "".join(f"1,k{i}\n" for i in range(3 * 2**15))
    assert "different labels" in refused(tmp_path, "t.csv.gz", gzip.compress(rows.encode()))
    with pytest.raises(DataError, match="different labels"):
        encode_labels(np.arange(2**15 + 1))
    assert len(encode_labels(np.arange(2**15))[1]) == 2**15


@pytest.mark.parametrize(
    "line",
    [
        "a = " + "[" * 400_000,
        "a = " + "[" * 17 + "]" * 17,
        "a = " + "{b=" * 100_000,
        "a" + ".a" * 400_000 + " = 1",
        '"a b"' + ' . "a="' * 100_000 + " = 1",
        "[" + "a." * 400_000 + "a]",
        'a = """ \\""" """\nb = \'\'\'[\'\'\'\n' + "''" + ".''" * 200_000 + " = 1",
    ],
    ids=["lists", "seventeen", "tables", "keys", "quoted keys", "headings", "behind quotes"],
)
def test_deep_toml(tmp_path: Path, line: str) -> None:
    assert "nested too deeply" in refused(tmp_path, "config.toml", line.encode())


@pytest.mark.parametrize(
    "text",
    [
        'a = "' + "[" * 50 + '"',
        "a = '" + "[.{" * 50 + "'",
        "# " + "[" * 50,
        'a = """\n' + "[" * 50 + '\n"" [[ """',
        "a = '''\n" + "[" * 50 + "\n'' [[ '''",
        "a = [" + "1.5, " * 50 + "]",
        "a = [" + "{ b = 0.5 }, " * 50 + "]",
        'a = "\\"' + "[" * 50 + '"',
        '"' + "." * 50 + '" = 1',
        'a = "' + "../" * 50 + '"',
    ],
)
def test_brackets_and_dots_that_are_text_are_not_deep(text: str) -> None:
    assert config._loads(text, "here") == tomllib.loads(text)


def test_deep_values_on_the_command_line(tmp_path: Path) -> None:
    case = BY_FILE["t.csv"]
    for setting in ("data.header." + "a." * 10_000 + "a=1", "optim.lr=" + "[" * 10_000):
        outcome = attempt(tmp_path, fuzz.Case(case.files, [*case.arguments, "--set", setting]))
        assert outcome.code == 2


def test_huge_toml(tmp_path: Path) -> None:
    assert "larger than" in refused(tmp_path, "config.toml", b"#" * 1_000_001)


@pytest.mark.parametrize("digits", ["9" * 5000, "0x" + "f" * 5000, "0b" + "1" * 20_000])
@pytest.mark.parametrize("old", ["lr = 0.01", "epochs = 1", 'name = "sgd"', 'path = "t.csv"'])
def test_huge_integers_in_toml(tmp_path: Path, digits: str, old: str) -> None:
    text = BY_FILE["t.csv"].files["config.toml"].decode()
    assert old in text
    key = old.split(" = ")[0]
    refused(tmp_path, "config.toml", text.replace(old, f"{key} = {digits}").encode())


def test_huge_column_number(tmp_path: Path) -> None:
    text = BY_FILE["t.csv"].files["config.toml"].decode()
    text = text.replace('"label"', "0x" + "f" * 5000)
    refused(tmp_path, "config.toml", text.encode())


def test_long_keys_give_short_messages(tmp_path: Path) -> None:
    for text in (f"{'k' * 500_000} = 1", f"[data]\nname = '{'k' * 500_000}'"):
        assert len(refused(tmp_path, "config.toml", text.encode())) < 3000


def test_very_many_names_give_short_messages_soon(tmp_path: Path) -> None:
    node = '{{ type = "relu", name = "{}", input = "x" }}'
    names = ["a" * 90 + str(i) for i in range(5000)]
    nodes = ", ".join(node.format(name) for name in names)
    text = BY_FILE["t.csv"].files["config.toml"].decode()
    text = text.replace("hidden = [4]", f'nodes = [{nodes}]\noutput = "{"a" * 90}b"')
    assert len(refused(tmp_path, "config.toml", text.encode())) < 3000


def test_the_nearest_of_very_many_names_is_sought_among_some() -> None:
    names = [f"{i * 7919**5:090d}" for i in range(20_000)]
    start = time.perf_counter()
    assert len(choices(f"{12345678901234567890:090d}", names)) < 5000
    assert time.perf_counter() - start < fuzz.SECONDS


def test_very_many_columns_give_short_messages_soon(tmp_path: Path) -> None:
    columns = ",".join("a" * 40 + str(i) for i in range(50_000))
    rows = (columns + "\n" + ",".join(["1"] * 50_000) + "\n").encode()
    case = BY_FILE["t.csv"]
    text = case.files["config.toml"].replace(b'"label"', b'"' + b"a" * 40 + b'b"')
    outcome = attempt(tmp_path, fuzz.Case({"t.csv": rows, "config.toml": text}, case.arguments))
    assert outcome.code == 2
    assert len(outcome.err) < 3000


# -- networks larger than the machine ------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("hidden = [4]", "hidden = [2147483647]"),
        ("hidden = [4]", "hidden = [20000, 20000]"),
        ("hidden = [4]", 'layers = [{ type = "maxout", pieces = 1000, units = 1000000 }]'),
        ("hidden = [4]", "nodes = [{}]".format(", ".join([
            *(f'{{ type = "concat", name = "n{i + 1}", inputs = ["n{i}", "n{i}"] }}'
              .replace('"n0"', '"x"') for i in range(40)),
            '{ type = "linear", name = "scores", input = "n40" }',
        ]))),
        ('"sgd"\nlr = 0.01', '"lbfgs"\nhistory = 2147483647'),
    ],
    ids=["wide", "two", "maxout", "doubling", "history"],
)  # fmt: skip
def test_network_larger_than_the_memory_limit(tmp_path: Path, old: str, new: str) -> None:
    text = BY_FILE["t.csv"].files["config.toml"].decode()
    assert old in text
    assert "solver.memory_limit" in refused(
        tmp_path, "config.toml", text.replace(old, new).encode()
    )


def test_the_memory_limit_can_be_raised_and_lowered(tmp_path: Path) -> None:
    case = BY_FILE["t.csv"]
    lowered = [*case.arguments, "--set", "solver.memory_limit=1e-6"]
    assert attempt(tmp_path, fuzz.Case(case.files, lowered)).code == 2
    raised = [*case.arguments, "--set", "solver.memory_limit=2", "--set", "net.hidden=[4000]"]
    assert attempt(tmp_path, fuzz.Case(case.files, raised)).code == 0


# -- paths -------------------------------------------------------------------------------------


def with_path(path: str) -> bytes:
    text = BY_FILE["t.csv"].files["config.toml"].decode()
    return text.replace('"t.csv"', json.dumps(path)).encode()


def test_data_may_lie_outside_the_folder(tmp_path: Path) -> None:
    """Documented: who may read a file may train on it; nothing is written there."""
    case = BY_FILE["t.csv"]
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "t.csv").write_bytes(case.files["t.csv"])
    for path in ("../t.csv", str(tmp_path / "t.csv")):
        files = {"config.toml": with_path(path)}
        assert attempt(inside, fuzz.Case(files, case.arguments)).code == 0
        assert (tmp_path / "t.csv").read_bytes() == case.files["t.csv"]
        shutil.rmtree(inside / "run")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/stdin", "pipe", ".", "../..", "", "a\0b", "~"])
def test_data_that_is_no_file(tmp_path: Path, path: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    message = refused(tmp_path, "config.toml", with_path(path))
    if path in ("/dev/zero", "pipe"):
        assert "not a regular file" in message


@pytest.mark.parametrize("path", ["/dev/zero", "pipe", "."])
def test_configuration_that_is_no_file(tmp_path: Path, path: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert attempt(tmp_path, fuzz.Case({}, ["--config", path])).code == 2


def test_a_folder_whose_name_is_not_utf_8(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    folder.mkdir()
    assert "not UTF-8" in attempt(folder, BY_FILE["t.csv"]).err


def test_members_of_a_zip_are_not_written_anywhere(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    for name in ("../../x", "/tmp/../x", "x/../../x", "..\\x", "C:\\x"):
        (inside / "t.npz").write_bytes(zipped(f"{name}.npy", fuzz.npy(np.ones((3, 2)))))
        assert read_npz_arrays(inside / "t.npz", [name])[name].shape == (3, 2)
    assert [path.name for path in tmp_path.rglob("*")] == ["inside", "t.npz"]


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors"])
@pytest.mark.parametrize("goal", ["the file itself", "/dev/zero", "pipe", "absent", "."])
def test_links_in_a_models_folder(tmp_path: Path, name: str, goal: str) -> None:
    case = BY_FILE["s.csv"]
    fuzz.write(case, tmp_path)
    os.mkfifo(tmp_path / "pipe")
    path = tmp_path / "chain" / name
    if goal == "the file itself":
        path.rename(tmp_path / "moved")
        goal = "moved"
    else:
        path.unlink()
    path.symlink_to(goal if goal.startswith("/") else tmp_path / goal)
    outcome = attempt(tmp_path, fuzz.Case({}, case.arguments))
    assert outcome.code == 2
    assert "is a symbolic link" in outcome.err


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors"])
def test_pipes_in_a_models_folder(tmp_path: Path, name: str) -> None:
    case = BY_FILE["s.csv"]
    fuzz.write(case, tmp_path)
    (tmp_path / "chain" / name).unlink()
    os.mkfifo(tmp_path / "chain" / name)
    assert "no regular file" in attempt(tmp_path, fuzz.Case({}, case.arguments)).err


def test_a_models_folder_may_be_a_link(tmp_path: Path) -> None:
    case = BY_FILE["s.csv"]
    fuzz.write(case, tmp_path)
    (tmp_path / "chain").rename(tmp_path / "moved")
    (tmp_path / "chain").symlink_to(tmp_path / "moved")
    assert attempt(tmp_path, fuzz.Case({}, case.arguments)).code == 0


# -- models ------------------------------------------------------------------------------------

WEIGHTS, MANIFEST = "chain/weights.safetensors", "chain/manifest.json"


def changed_weights(change: Callable[[dict[str, Any]], Any]) -> bytes:
    arrays = tensors_of(BY_FILE[WEIGHTS].files[WEIGHTS])
    change(arrays)
    return tensors(arrays)


def put(name: str, value: float) -> Callable[[dict[str, Any]], None]:
    def change(arrays: dict[str, Any]) -> None:
        arrays[name] = arrays[name].copy()
        arrays[name].flat[-1] = value

    return change


def swap(arrays: dict[str, Any]) -> None:
    arrays["linear1.W"], arrays["linear2.W"] = arrays["linear2.W"], arrays["linear1.W"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.pop("linear1.b"), "linear1.b is missing"),
        (lambda a: a.update(extra=np.ones(3)), "extra is not of this network"),
        (lambda a: a.update({"\x1b[31m": np.ones(3)}), "\\x1b[31m is not of this network"),
        (swap, "expected float32 (2, 4)"),
        (lambda a: a.update({"linear1.b": np.ones(5, "f4")}), "expected float32 (4,)"),
        (lambda a: a.update({"linear1.b": np.ones((4, 1), "f4")}), "expected float32 (4,)"),
        (lambda a: a.update({"linear1.b": np.ones(4, "f8")}), "expected float32 (4,)"),
        (lambda a: a.update({"linear1.b": np.ones(4, "i4")}), "expected float32 (4,)"),
        (put("linear1.W", np.nan), "linear1.W holds NaN or inf"),
        (put("linear2.b", np.inf), "linear2.b holds NaN or inf"),
        (put("standardize.std", 0), "std holds 0 or less"),
        (put("standardize.std", -1), "std holds 0 or less"),
        (put("linear1.W", 3e38), "scores of sample 0 are not finite"),
    ],
)
def test_weights_that_do_not_fit(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    assert words in refused(tmp_path, WEIGHTS, changed_weights(change))


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F8_E5M2", "BOOL", "C64", "F16", "NONE"])
def test_weights_of_another_type(tmp_path: Path, dtype: str) -> None:
    good = BY_FILE[WEIGHTS].files[WEIGHTS]
    length = struct.unpack("<Q", good[:8])[0]
    header = json.loads(good[8 : 8 + length])
    header["linear1.b"]["dtype"] = dtype
    size = {"F8_E4M3": 1, "F8_E5M2": 1, "BOOL": 1, "C64": 8}.get(dtype, 2)
    header["linear1.b"]["shape"] = [16 // size]
    text = json.dumps(header).encode()
    refused(tmp_path, WEIGHTS, struct.pack("<Q", len(text)) + text + good[8 + length :])


def test_a_model_given_the_weights_of_another(tmp_path: Path) -> None:
    name = "graph/weights.safetensors"
    assert "disagree" in refused(tmp_path, WEIGHTS, BY_FILE[name].files[name])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["net"].update(hidden=[2**31]), "too small for the network"),
        (lambda m: m["net"].update(hidden=[100] * 1000), "too small for the network"),
        (lambda m: m.update(features=2**31, feature_shape=[2**31]), "too small for the network"),
        (lambda m: m.update(features=10**12), "not a manifest"),
        (lambda m: m.update(features=-2), "not a manifest"),
        (lambda m: m.update(features=3), "feature_shape"),
        (lambda m: m.update(feature_shape=[1] * 100_000), "not a manifest"),
        (lambda m: m.update(outputs=0), "not a manifest"),
        (lambda m: m.update(outputs=4), "labels: has 3, expected 4"),
        (lambda m: m.update(outputs=2**31), "labels: has 3"),
        (lambda m: m.update(labels=["a"]), "labels: has 1, expected 3"),
        (lambda m: m.update(labels=None), "labels: expected"),
        (lambda m: m.update(labels=[[1], 2, 3]), "not a manifest"),
        (lambda m: m.update(loss={"name": "mse"}), "labels: expected"),
        (lambda m: m.update(loss={"name": "binary"}), "outputs: is 3, expected 1"),
        (lambda m: m["net"].update(hidden=None), "hidden"),
        (lambda m: m["net"].update(layers=[]), "net: expected either"),
        (lambda m: m["net"].update(hidden=None, layers=[]), "net.layers: is empty"),
        (
            lambda m: m["net"].update(hidden=None, random={"generator": "erdos_renyi"}),
            "net.random: expected the nodes",
        ),
        (lambda m: m["net"].update(dtype="float64"), "expected float64"),
        (lambda m: m["net"].update(path="/etc/passwd"), "unknown field"),
        (lambda m: m.update(weights="../other.safetensors"), "unknown field"),
        (lambda m: m.update(format=2), "format 2, expected 1"),
    ],
)  # fmt: skip
def test_manifests_that_do_not_fit(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    manifest = json.loads(BY_FILE[MANIFEST].files[MANIFEST])
    change(manifest)
    assert words in refused(tmp_path, MANIFEST, json.dumps(manifest).encode())


def test_what_a_manifest_claims_is_not_taken_from_memory(tmp_path: Path) -> None:
    """A network with no parameters whose standardisation alone would take 32 GB."""
    manifest = json.loads(BY_FILE[MANIFEST].files[MANIFEST])
    D = 2**31
    manifest.update(features=D, feature_shape=[D], outputs=D, labels=None, loss={"name": "mse"})
    manifest["net"].update(hidden=None, layers=[{"type": "relu"}])
    case = BY_FILE[MANIFEST]
    fuzz.write(case, tmp_path)
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match="too small for the network"):
        solver.load(tmp_path / "chain")


def test_deep_manifest(tmp_path: Path) -> None:
    refused(tmp_path, MANIFEST, b"[" * 10**6)
    refused(tmp_path, MANIFEST, b'{"net": ' * 10**5)
    refused(tmp_path, MANIFEST, b'{"labels": ' + b"[" * 10**6)
    refused(tmp_path, MANIFEST, b'{"loss": {"l2": ' + b"[" * 10**6)


def test_huge_files_in_a_models_folder(tmp_path: Path) -> None:
    case = BY_FILE[MANIFEST]
    for name, size in ((MANIFEST, 2**24 + 1), (WEIGHTS, 2**30 + 1)):
        fuzz.write(case, tmp_path)
        with (tmp_path / name).open("r+b") as file:
            file.truncate(size)  # takes no room on the disk
        start = time.perf_counter()
        with pytest.raises(ConfigError, match=r"larger than|the limit is"):
            solver.load(tmp_path / "chain")
        assert time.perf_counter() - start < 1


# -- pickles -----------------------------------------------------------------------------------


def test_the_payload_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpickled, it runs: else the tests below would show nothing."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(fuzz.payload())
    assert (tmp_path / fuzz.PAYLOAD).exists()


NAMES = [
    *("t.csv", "t.csv.gz", "x.npy", "y.npy", "t.npz", "x", "y", "x.gz", "y.gz", "config.toml"),
    *("data_batch_1", "test_batch", "data_batch_1.bin", MANIFEST, WEIGHTS),
    *("s.csv", "s.npy", "s.npz"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_in_place_of_a_file_is_not_run(tmp_path: Path, name: str, protocol: int) -> None:
    content = fuzz.payload(protocol)
    refused(tmp_path, name, content)
    if name.endswith(".gz"):
        refused(tmp_path, name, gzip.compress(content))
    assert not (tmp_path / fuzz.PAYLOAD).exists()


def test_objects_in_npy_and_npz_are_not_unpickled(tmp_path: Path) -> None:
    array = np.array([[fuzz.Payload(), 1]] * 30, dtype=object)
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    for name in ("x.npy", "y.npy", "s.npy"):
        assert "never read" in refused(tmp_path, name, file.getvalue())
    objects = io.BytesIO()
    np.savez(objects, allow_pickle=True, x=array, y=array)
    for name in ("t.npz", "s.npz"):
        assert "never read" in refused(tmp_path, name, objects.getvalue())


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'touch payload'\ntR.",
        b"(S'touch payload'\nios\nsystem\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0dtouch payload\x85R.",
        b"c__builtin__\neval\n(S'1'\ntR.",
        b"c_codecs\nencode\n(cos\nsystem\nS'latin1'\ntR.",
        b"cnumpy\nndarray\n(tR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cos\nsystem\ntR.",
        b"\x80\x02P1\n.",
        b"\x82\x01.",
        b"(dS'labels'\n(lp0\nI" + b"9" * 5000 + b"\nas.",
        b"}(U\x06labels](\x8b\xd0\x07\x00\x00" + b"\x7f" * 2000 + b"eu.",
        b"]" + b"2" * 10**6 + b".",
        b")" + b"2\x86" * 400_000 + b".",
        b"(" * 600_000 + b".",
    ],
)
def test_pickles_written_by_hand(tmp_path: Path, program: bytes) -> None:
    refused(tmp_path, "data_batch_1", program)


def test_what_is_wrong_with_a_pickle_is_said(tmp_path: Path) -> None:
    assert "names 'os.system'" in refused(tmp_path, "data_batch_1", b"cos\nsystem\n.")
    assert "calls something" in refused(tmp_path, "data_batch_1", b"U\x01a)R.")
    assert "instructions" in refused(tmp_path, "data_batch_1", b"(" * 600_000 + b".")


def test_a_label_of_thousands_of_digits_in_a_pickle(tmp_path: Path) -> None:
    batch = {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 10**6000]}
    assert "thousands of digits" in refused(tmp_path, "data_batch_1", pickle.dumps(batch, 2))


# -- what a terminal would obey -------------------------------------------------------------------

ESCAPES = ["\x1b[31mred", "\x1b]0;title\x07", "a\rb", "\x9b31m", "\u202eabc", "\u2028", "\x7f"]


def with_config(name: str, old: str, new: str) -> fuzz.Case:
    case = BY_FILE[name]
    text = case.files["config.toml"].decode()
    assert old in text
    return fuzz.Case(case.files | {"config.toml": text.replace(old, new).encode()}, case.arguments)


@pytest.mark.parametrize("escape", ESCAPES)
def test_escapes_in_a_configuration(tmp_path: Path, escape: str) -> None:
    quoted = json.dumps(escape)[1:-1].replace("\x7f", "\\u007f")
    for old in ("sgd", "label", "csv", "softmax", "t.csv"):
        assert attempt(tmp_path, with_config("t.csv", f'"{old}"', f'"{quoted}"')).code == 2
    for old in ("lr", "[optim]"):
        new = f'"{quoted}"' if old == "lr" else f'["{quoted}"]'
        assert attempt(tmp_path, with_config("t.csv", old, new)).code == 2


@pytest.mark.parametrize("escape", ESCAPES)
def test_escapes_in_names_and_settings(tmp_path: Path, escape: str) -> None:
    case = BY_FILE["t.csv"]
    for arguments in (
        ["--config", f"{escape}.toml"],
        ["--predict", escape, "--input", "t.csv"],
        ["--resume", escape],
        [f"--{escape}"],
        [*case.arguments, "--set", f"{escape}=1"],
        [*case.arguments, "--set", f"optim.name={escape}"],
    ):
        assert attempt(tmp_path, fuzz.Case(case.files, arguments)).code == 2


@pytest.mark.parametrize("escape", ESCAPES)
def test_escapes_in_a_file_name_that_is_right(tmp_path: Path, escape: str) -> None:
    """The summary names the data, the last line the folder."""
    case = BY_FILE["t.csv"]
    files = {f"{escape}.csv": case.files["t.csv"], "config.toml": with_path(f"{escape}.csv")}
    arguments = ["--config", "config.toml", "--out", f"run{escape}"]
    outcome = attempt(tmp_path, fuzz.Case(files, arguments))
    assert outcome.code == 0
    assert "training" in outcome.out


@pytest.mark.parametrize("escape", [e for e in ESCAPES if e not in ("a\rb", "\u2028")])
def test_escapes_in_columns_and_labels(tmp_path: Path, escape: str) -> None:
    case = BY_FILE["t.csv"]
    good = case.files["t.csv"].decode()
    for text in (
        good.replace("long", escape).replace("0.13", "word"),
        good.replace("label", escape),
        good.replace("kind 2", escape, 1),
    ):
        files = case.files | {"t.csv": text.encode()}
        assert attempt(tmp_path, fuzz.Case(files, case.arguments)).code == 2
        shutil.rmtree(tmp_path / "run", ignore_errors=True)


@pytest.mark.parametrize("escape", ESCAPES)
def test_escapes_in_predictions(tmp_path: Path, escape: str) -> None:
    manifest = json.loads(BY_FILE[MANIFEST].files[MANIFEST])
    manifest["labels"] = [escape, escape + "b", escape + "c"]
    case = BY_FILE["s.csv"]
    files = case.files | {MANIFEST: json.dumps(manifest).encode()}
    outcome = attempt(tmp_path, fuzz.Case(files, case.arguments))
    assert outcome.code == 0
    assert len(outcome.out.splitlines()) == 6
    attempt(tmp_path, fuzz.Case(files, [*case.arguments, "--output", "answers.csv"]))
    assert escape in (tmp_path / "answers.csv").read_bytes().decode()


def test_errors_are_short_and_inert_by_themselves() -> None:
    for error in (DataError, ConfigError):
        message = str(error("\x1b[31m" + "a" * 10_000 + "\n" + "the end"))
        assert len(message) <= 2000
        assert message.isprintable()
        assert message.endswith("the end")


def test_escapes_in_the_names_in_a_runs_folder(tmp_path: Path) -> None:
    case = CASES[-1]
    files = case.files | {"old/\x1b[31mred": b"", "old/\u202eabc.txt": b""}
    outcome = attempt(tmp_path, fuzz.Case(files, ["--resume", "old"]))
    assert outcome.code == 0
    assert "\\x1b[31mred" in outcome.out


def test_escapes_in_what_a_checkpoint_says(tmp_path: Path) -> None:
    case = CASES[-1]
    name = next(name for name in case.files if name.endswith("safetensors"))
    header, rest = fuzz.split_header(case.files[name])
    facts = json.loads(header["__metadata__"]["checkpoint"])
    facts["numerics"] = dict.fromkeys(facts["numerics"], "\x1b[31m")
    facts["optimizer"] += "\x1b[31m"
    for part in ("numerics", "optimizer"):
        told = json.loads(header["__metadata__"]["checkpoint"]) | {part: facts[part]}
        content = fuzz.with_header(
            header | {"__metadata__": {"checkpoint": json.dumps(told)}}, rest
        )
        outcome = attempt(tmp_path, fuzz.Case(case.files | {name: content}, case.arguments))
        assert "\\x1b[31m" in outcome.err
        shutil.rmtree(tmp_path / "old")


@pytest.mark.parametrize(
    "name",
    ["config.toml", "metrics.jsonl", "summary.txt", "manifest.json", "weights.safetensors", "lock"],
)
def test_links_in_a_runs_folder_lead_nowhere(tmp_path: Path, name: str) -> None:
    """Nothing is written through a link; whether the run goes on is its own affair."""
    case = CASES[-1]
    fuzz.write(case, tmp_path)
    path, victim = tmp_path / "old" / name, tmp_path / "victim"
    victim.write_bytes(case.files.get(f"old/{name}", b"precious"))
    before = victim.read_bytes()
    path.unlink(missing_ok=True)
    path.symlink_to(victim)
    attempt(tmp_path, fuzz.Case({}, case.arguments))
    assert victim.read_bytes() == before


def test_labels_that_are_no_text(tmp_path: Path) -> None:
    good = np.array([f"k{i % 3}" for i in range(30)])
    for code in (0xD800, 0x110000, 0xFFFFFFFF):
        content = bytearray(fuzz.npy(good))
        content[-4:] = struct.pack("<I", code)
        message = refused(tmp_path, "y.npy", bytes(content))
        assert "no text" in message or "do not exist" in message


# -- every truncation, every bit -------------------------------------------------------------------

SWEPT = [(i, name) for i, case in enumerate(CASES) for name in case.files]
SWEPT = [(i, name) for i, name in SWEPT if name != "config.toml" or i == 0]
SWEPT = [(i, name) for i, name in SWEPT if not re.match("data_batch_[2-5]", name)]  # as the first


def swept(content: bytes, long: bool) -> list[int]:
    """Where a file is cut or changed: everywhere, or at twenty places and near both its ends."""
    n = len(content)
    if long and n < 5000:
        return list(range(n))
    step = max(1, n // (2000 if long else 20))
    return sorted({*range(0, n, step), *range(min(n, 12)), *range(max(0, n - 12), n)})


@pytest.mark.parametrize(("number", "name"), SWEPT, ids=lambda value: str(value))
def test_truncated_and_flipped(
    tmp_path: Path, request: pytest.FixtureRequest, number: int, name: str
) -> None:
    case = CASES[number]
    content = case.files[name]
    fuzz.write(case, tmp_path)
    for at in swept(content, request.config.getoption("--long")):
        flipped = content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]
        for changed in (content[:at], flipped):
            (tmp_path / name).write_bytes(changed)
            outcome = fuzz.run(case.arguments, tmp_path)
            verdict = fuzz.verdict(outcome, tmp_path)
            assert not verdict.startswith("fault"), (at, verdict)
            shutil.rmtree(tmp_path / "run", ignore_errors=True)
            if "--resume" in case.arguments:
                shutil.rmtree(tmp_path / "old")
                fuzz.write(case, tmp_path)
