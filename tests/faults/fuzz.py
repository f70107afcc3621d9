"""Hostile configurations and files, and what the program makes of them.

`configs()` and `files()` draw cases: an empty folder's files and a command line. A case may end in
success, in exit code 2 with one line, or in a divergence told in one line (exit code 3): `verdict`
calls everything else a fault. `Worker` runs cases in a process of limited memory and time.

python -m tests.faults.fuzz     such a process: reads commands from standard input as JSON lines
"""

from __future__ import annotations

import contextlib
import copy
import gzip
import hashlib
import io
import json
import os
import pickle
import resource
import select
import struct
import subprocess
import sys
import time
import tomllib
import traceback
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import tomli_w
from hypothesis import strategies as st

import solver
from experiment import plots, schema

ROOT = Path(__file__).parents[2]
MEMORY = 10**9
"""Bytes that a process may take beyond those it takes when idle."""
SECONDS = 5.0
PAYLOAD = "payload"
"""The file that a pickle's payload makes in the current folder, if it is run."""


class Case(NamedTuple):
    """The files of a folder by name, and the command line to be run beside them."""

    files: dict[str, bytes]
    arguments: list[str]


class Payload:
    """Pickled, it runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {PAYLOAD}",)


def payload(protocol: int = 2) -> bytes:
    return pickle.dumps({"data": Payload(), "labels": [0]}, protocol)


# -- configurations ------------------------------------------------------------------------

CONFIGS = [tomllib.loads(path.read_text()) for path in sorted((ROOT / "configs").glob("*.toml"))]


def _words(kind: Any) -> set[str]:
    """All keys, tags and words of the schema."""
    found: set[str] = set()
    waiting, seen = [msgspec.inspect.type_info(kind)], set()
    while waiting:
        info = waiting.pop()
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in seen:
                continue
            seen.add(info.cls)
            found |= {str(info.tag), str(info.tag_field)} - {"None"}
            found |= {field.name for field in info.fields}
            waiting += [field.type for field in info.fields]
        elif isinstance(info, msgspec.inspect.UnionType):
            waiting += info.types
        elif isinstance(info, msgspec.inspect.ListType):
            waiting.append(info.item_type)
        elif isinstance(info, msgspec.inspect.LiteralType):
            found |= set(map(str, info.values))
    return found


WORDS = sorted(_words(schema.Config))

INTEGERS = [0, 1, 2, 3, 5, 7, -1, -7, 1000, 2**31, 2**31 - 1, 2**31 + 1, 10**12]
INTEGERS += [2**53, 2**63 - 1, 2**63, 2**64, 10**18, -(10**30), 10**400]
HUGE = "a number of thousands of digits"
"""Stands in a table for an integer that only its hexadecimal digits can write."""
FLOATS = [0.0, -0.0, 0.5, 1.0, 1e-300, 5e-324, 1e30, 1e308, -1e308, 0.999999999]
FLOATS += [float("inf"), float("-inf"), float("nan")]
TEXTS = [
    HUGE,
    "",
    " ",
    "x",
    ".",
    "..",
    "../..",
    "/",
    "/etc/passwd",
    "/dev/zero",
    "~",
    "nan",
    "1",
    "null",
]
TEXTS += ["\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "a\nb", "a\rb", "\x00", "a\x00b", "\u202eabc"]
TEXTS += ["a" * 5000, "é" * 300, "\U0001f4a3", "\u2028", "A.B", "x.W", "standardize", "graph"]

NASTY = [
    "a = " + "[" * 50_000,
    "a = " + "[" * 300 + "]" * 300,
    "a = " + "{a=" * 2000,
    "a" + ".a" * 20_000 + " = 1",
    "[" + "a." * 20_000 + "a]",
    '"' + "k" * 100_000 + '" = 1',
    "a = 0x" + "f" * 50_000,
    "a = " + "9" * 5000,
    "a = 1e999999999",
    "a = 1979-05-27T07:32:00Z",
    "[solver]\nepochs = 0x" + "f" * 5000,
    "[optim]\nname = 'sgd'\nlr = 0x" + "f" * 5000,
    "\n".join(f"k{i} = 1" for i in range(20_000)),
    "\n".join(f"[t{i}]" for i in range(10_000)),
    'a = """' + "x" * 500_000,
    "a = '" + "x" * 500_000 + "'",
    "#" * 999_990,
    " " * 1_000_001,
    "\ufeff[data]",
    "\x00",
]

words = st.sampled_from(WORDS)
integers = st.sampled_from(INTEGERS) | st.integers(-(2**70), 2**70)
floats = st.sampled_from(FLOATS) | st.floats()
texts = st.sampled_from(TEXTS) | words | st.text(st.characters(codec="utf-8"), max_size=20)
dates = st.dates() | st.datetimes() | st.times()
scalars = integers | floats | texts | st.booleans() | dates
values = st.recursive(
    scalars,
    lambda inside: (
        st.lists(inside, max_size=4) | st.dictionaries(words | texts, inside, max_size=4)
    ),
    max_leaves=6,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place of a table, at any depth: its container, and its key or number there."""
    keys = value if isinstance(value, dict) else range(len(value))
    found = []
    for key in keys:
        found.append((value, key))
        if isinstance(value[key], dict | list):
            found += places(value[key])
    return found


def like(value: Any) -> st.SearchStrategy[Any]:
    """Other values of the same type, many of them valid."""
    if isinstance(value, bool):
        return st.booleans()
    if isinstance(value, int):
        return st.integers(0, 60)
    if isinstance(value, float):
        return st.floats(0, 1) | st.floats(-1e3, 1e9)
    return words if isinstance(value, str) else st.just(value)


WAYS = ["replace", "tweak", "drop", "rename", "wrap", "add", "swap", "repeat"]


@st.composite
def tables(draw: Any) -> dict[str, Any]:
    """A configuration of configs/, damaged in a place or several."""
    table = copy.deepcopy(draw(st.sampled_from(CONFIGS)))
    for _ in range(draw(st.integers(1, 3))):
        at = places(table)
        if not at:
            break
        container, key = draw(st.sampled_from(at))
        what = draw(st.sampled_from(WAYS))
        if what == "replace":
            container[key] = draw(values)
        elif what == "tweak":
            container[key] = draw(like(container[key]))
        elif what == "drop":
            del container[key]
        elif what == "wrap":
            container[key] = draw(st.sampled_from([[container[key]], {"name": container[key]}]))
        elif what == "swap":
            other, there = draw(st.sampled_from(at))
            container[key], other[there] = copy.deepcopy(other[there]), container[key]
        elif what == "repeat" and isinstance(container, list):
            container += copy.deepcopy(container[key : key + 1]) * draw(st.sampled_from([1, 9]))
        elif isinstance(container, dict):
            value = container.pop(key) if what == "rename" else draw(values)
            container[draw(words | texts)] = value
    return within_budget(table)


def within_budget(table: dict[str, Any]) -> dict[str, Any]:
    """What is valid trains: make it quick. What is absurd stays absurd."""
    for container, key in places(table):
        limits = {"epochs": 1, "samples": 200, "nodes": 20, "batch_size": 2**62}
        value, limit = container[key], limits.get(key) if isinstance(key, str) else None
        if limit and isinstance(value, int) and limit < value <= 2**31:
            container[key] = limit
    return table


damage = st.tuples(
    st.sampled_from(["flip", "set", "drop", "insert", "numbers", "repeat", "truncate"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 2**32 - 1),
)

NUMBERS = [b"\0" * 4, b"\xff" * 4, b"\xff" * 8, b"\0" * 8, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"]
NUMBERS += [struct.pack("<Q", 10**12), struct.pack(">Q", 10**12), b"1000000000000", b"-1", b"nan"]
NUMBERS += [
    b"1e400",
    b"\x1b[31m",
    b"\n",
    b'"',
    b",",
    b"\r",
    b"9" * 5000,
    payload(),
    b"'",
    b"(" * 99,
]


def damaged(content: bytes, damages: list[tuple[str, float, int]]) -> bytes:
    """The content after each damage: what is done, how far in, and with what."""
    for what, where, number in damages:
        at = int(where * len(content))
        if what == "flip" and content:
            content = content[:at] + bytes([content[at] ^ 1 << number % 8]) + content[at + 1 :]
        elif what == "set" and content:
            content = content[:at] + bytes([number % 256]) + content[at + 1 :]
        elif what == "drop":
            content = content[:at] + content[at + 1 + number % 16 :]
        elif what == "insert":
            content = content[:at] + number.to_bytes(4, "little") + content[at:]
        elif what == "numbers":
            piece = NUMBERS[number % len(NUMBERS)]
            content = content[:at] + piece + content[at + len(piece) :]
        elif what == "repeat":
            content = content[:at] + content[at : at + 64] * (number % 100) + content[at + 64 :]
        elif what == "truncate":
            content = content[:at]
    return content


def _of_text(text: str) -> Case:
    arguments = ["--config", "config.toml", "--out", "run", "--quiet"]
    return Case({"config.toml": text.encode("utf-8", "surrogatepass")}, arguments)


@st.composite
def configs(draw: Any) -> Case:
    """A configuration of configs/ damaged in its values, keys, nesting, or as text."""
    kind = draw(st.integers(0, 9))
    table = draw(tables())
    if kind == 0:
        good = tomli_w.dumps(draw(st.sampled_from(CONFIGS)))
        nasty = draw(st.sampled_from(NASTY))
        return _of_text(draw(st.sampled_from([f"{nasty}\n{good}", f"{good}\n{nasty}", nasty])))
    case = _of_text(tomli_w.dumps(table).replace(f'"{HUGE}"', "0x" + "f" * 5000))
    if kind == 1:
        case.files["config.toml"] = damaged(
            case.files["config.toml"], draw(st.lists(damage, min_size=1, max_size=4))
        )
    if kind == 3:
        case.arguments[:] = ["--config", "config.toml", "--dry-run"]
    if kind == 2:
        key = ".".join(draw(st.lists(words | texts, min_size=1, max_size=4))).replace("\0", "")
        value = str(draw(values.filter(lambda value: not isinstance(value, int)))).replace("\0", "")
        if "epochs" not in key:
            case.arguments.extend(["--set", f"{key}={value[:5000]}"])
    return case


# -- data and weight files -----------------------------------------------------------------

DATA_CONFIG = """
[data]
{}
[net]
hidden = [4]
[loss]
name = "softmax"
[optim]
name = "sgd"
lr = 0.01
[solver]
epochs = 1
batch_size = 7
"""


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(compressed: bool, **arrays: Any) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def idx(array: Any) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def trained(folder: Path) -> dict[str, bytes]:
    """The files of two small networks, by the paths that the cases below give them."""
    graph = """nodes = [
        { type = "batch_norm", name = "norm", input = "x" },
        { type = "linear", name = "fc", input = "norm", units = 2 },
        { type = "weighted_sum", name = "sum", inputs = ["fc", "x"] },
        { type = "linear", name = "scores", input = "sum" }]"""
    found = {}
    for name, net in (("chain", "hidden = [4]"), ("graph", graph)):
        text = DATA_CONFIG.format('name = "blobs"\nsamples = 60').replace("hidden = [4]", net)
        (folder / f"{name}.toml").write_text(text)
        out = folder / name
        command = ["--config", str(folder / f"{name}.toml"), "--out", str(out), "--quiet"]
        with without_pictures():
            assert solver.main(command) == 0
        for file in ("manifest.json", "weights.safetensors"):
            found[f"{name}/{file}"] = (out / file).read_bytes()
    return found


def interrupted(folder: Path) -> Case:
    """A run's folder with the checkpoint of its first epoch, which is to go on."""
    text = DATA_CONFIG.format('name = "blobs"\nsamples = 60').replace("sgd", "adam")
    text = text.replace("epochs = 1", 'epochs = 2\ncheckpoint_every = "1 epoch"')
    text = text.replace("hidden = [4]", 'hidden = [4]\ndropout = 0.5\nnormalization = "batch_norm"')
    (folder / "run.toml").write_text(text)
    command = ["--config", str(folder / "run.toml"), "--out", str(folder / "old"), "--quiet"]
    with without_pictures():
        assert solver.main(command) == 0
    checkpoint = min((folder / "old").rglob("0*.safetensors"))
    kept = [folder / "old" / "config.toml", folder / "old" / "metrics.jsonl", checkpoint]
    contents = {str(path.relative_to(folder)): path.read_bytes() for path in kept}
    return Case(contents, ["--resume", "old", "--quiet"])


def originals(folder: Path) -> list[Case]:
    """A good case of every kind of file that is read; `folder` is for the networks."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 2)).round(2), np.arange(30) % 3
    rows = "".join(f"{a},{b},kind {c}\n" for (a, b), c in zip(x, y, strict=True))
    csv = b"long,wide,label\n" + rows.encode()
    images, labels = np.repeat(np.arange(30, dtype=np.uint8), 4).reshape(30, 2, 2), y.astype("u1")
    pixels = rng.integers(0, 256, (6, 3072), np.uint8)
    batch = {"data": pixels, "labels": [0, 1, 2, 0, 1, 2]}
    binary = b"".join(bytes([i % 3]) + row.tobytes() for i, row in enumerate(pixels))
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    kinds: list[tuple[str, dict[str, bytes]]] = [
        ('name = "csv"\npath = "t.csv"\ntarget = "label"', {"t.csv": csv}),
        ('name = "csv"\npath = "t.csv.gz"', {"t.csv.gz": gzip.compress(csv)}),
        ('name = "npy"\npath = "x.npy"\nlabels = "y.npy"', {"x.npy": npy(x), "y.npy": npy(y)}),
        (
            'name = "npy"\npath = "x.npy"\nlabels = "y.npy"\nmapped = true',
            {"x.npy": npy(x), "y.npy": npy(np.array([f"k{i}" for i in y]))},
        ),
        ('name = "npy"\npath = "t.npz"', {"t.npz": npz(False, x=x, y=y)}),
        ('name = "npy"\npath = "t.npz"\nstandardize = false', {"t.npz": npz(True, x=x, y=y)}),
        ('name = "idx"\npath = "x"\nlabels = "y"', {"x": idx(images), "y": idx(labels)}),
        (
            'name = "idx"\npath = "x.gz"\nlabels = "y.gz"',
            {"x.gz": gzip.compress(idx(images)), "y.gz": gzip.compress(idx(labels))},
        ),
        (
            'name = "cifar10"\npath = "."\ntest = 0\nvalidation = 0.2',
            {name: pickle.dumps(batch, 2) for name in names},
        ),
        (
            'name = "cifar10"\npath = "."\ntest = 0\nvalidation = 0.2',
            {f"{name}.bin": binary for name in names},
        ),
    ]
    cases = []
    for section, contents in kinds:
        case = _of_text(DATA_CONFIG.format(section))
        cases.append(Case(contents | case.files, case.arguments))
    models = trained(folder)
    samples = {"s.csv": b"a,b\n" + b"1,2\n" * 5, "s.npy": npy(x), "s.npz": npz(True, x=x)}
    for name in ("chain", "graph"):
        for sample, content in samples.items():
            files = {path: text for path, text in models.items() if path.startswith(name)}
            arguments = ["--predict", name, "--input", sample]
            cases.append(Case(files | {sample: content}, arguments))
    return [*cases, interrupted(folder)]


@st.composite
def files(draw: Any, cases: list[Case]) -> Case:
    """A good case, one of whose files is damaged: its bytes, or a value in its header."""
    case = draw(st.sampled_from(cases))
    name = draw(st.sampled_from([name for name in case.files if name != "config.toml"]))
    content = case.files[name]
    if content[:2] == b"\x1f\x8b" and draw(st.booleans()):  # inside the compression
        content = gzip.compress(
            damaged(gzip.decompress(content), draw(st.lists(damage, min_size=1, max_size=4))), 1
        )
    elif name.endswith("manifest.json") and draw(st.booleans()):
        content = json.dumps(draw(manifests(json.loads(content)))).encode()
    elif name.endswith("safetensors") and draw(st.booleans()):
        content = draw(headers(content))
    else:
        content = damaged(content, draw(st.lists(damage, min_size=1, max_size=4)))
    return Case(case.files | {name: content}, case.arguments)


def split_header(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and what follows it."""
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def with_header(header: dict[str, Any], rest: bytes) -> bytes:
    """A safetensors file; the checksum of a checkpoint is made right."""
    nothing = "0" * 64
    if "__metadata__" in header:
        header = header | {"__metadata__": header["__metadata__"] | {"sha256": nothing}}
    text = json.dumps(header, separators=(",", ":")).encode()
    content = struct.pack("<Q", len(text)) + text + rest
    checksum = hashlib.sha256(content).hexdigest()
    return content.replace(b'"sha256":"' + nothing.encode(), f'"sha256":"{checksum}'.encode(), 1)


@st.composite
def headers(draw: Any, content: bytes) -> bytes:
    """A safetensors file with another header."""
    header, rest = split_header(content)
    metadata = header.pop("__metadata__", None)
    if metadata is None or draw(st.booleans()):
        header = draw(manifests(header))
    else:
        facts = draw(manifests(json.loads(metadata["checkpoint"])))
        metadata["checkpoint"] = json.dumps(facts)
    return with_header(header | ({"__metadata__": metadata} if metadata else {}), rest)


@st.composite
def manifests(draw: Any, value: Any) -> Any:
    """JSON of which a place or two hold something else."""
    for _ in range(draw(st.integers(1, 2))):
        at = places(value)
        if not at:
            break
        container, key = draw(st.sampled_from(at))
        if draw(st.booleans()):
            container[key] = draw(json_values)
        elif isinstance(container, dict):
            taken = container.pop(key)
            if draw(st.booleans()):
                container[draw(words | texts)] = taken
        else:
            container += container[key : key + 1] * draw(st.sampled_from([1, 50]))
    return value


json_values = st.recursive(
    st.integers(-(2**70), 2**70)
    | st.sampled_from(INTEGERS)
    | floats
    | texts
    | st.booleans()
    | st.none(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(texts, inside, max_size=4),
    max_leaves=4,
)


# -- running a case ------------------------------------------------------------------------


class Outcome(NamedTuple):
    """How a command ended: its exit code, what it printed, how long it took."""

    code: int
    out: str
    err: str
    seconds: float


def write(case: Case, folder: Path) -> None:
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@contextlib.contextmanager
def without_pictures() -> Any:
    """Drawing with matplotlib takes longer than all the rest of a small run."""
    available, plots.available = plots.available, lambda: False
    try:
        yield
    finally:
        plots.available = available


def run(arguments: list[str], folder: Path) -> Outcome:
    """Run a command in a folder, in this process, by the function that the command line uses."""
    before, out, err = os.getcwd(), io.StringIO(), io.StringIO()
    start = time.perf_counter()
    try:
        os.chdir(folder)
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(),
            without_pictures(),
        ):
            warnings.simplefilter("always")
            try:
                code = solver.main(arguments)
            except SystemExit as stop:
                code = int(stop.code or 0)
            except BaseException:
                code = 1
                traceback.print_exc(file=err)
    finally:
        os.chdir(before)
    return Outcome(code, out.getvalue(), err.getvalue(), time.perf_counter() - start)


def verdict(outcome: Outcome, folder: Path) -> str:
    """`done`, `refused` or `diverged`; or, for a fault, what was wrong."""
    code, out, err, seconds = outcome
    if (folder / PAYLOAD).exists():
        return "fault: a payload was run"
    if seconds > SECONDS:
        return f"fault: took {seconds:.1f} s"
    if not all(line.isprintable() for line in out.splitlines()):
        return "fault: not inert on standard output"
    while err.startswith("note: ") and err.partition("\n")[0].isprintable():  # of resuming
        err = err.partition("\n")[2]
    if code == 0 and err == "":
        return "done"
    start = {2: "error: ", 3: "diverged: "}.get(code)
    if start is None or not err.startswith(start):
        return f"fault: exit code {code}: {err[-600:]}"
    if not (err.endswith("\n") and err[:-1].isprintable() and len(err) < 6000):
        return f"fault: not one line: {err[:600]!r}"
    return "refused" if code == 2 else "diverged"


class Worker:
    """A process that runs one command after another, of limited memory; replaced when it hangs."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.peak = 0

    def run(self, arguments: list[str], folder: Path) -> Outcome:
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.fuzz"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            )
            assert self.process.stdout is not None
            self.process.stdout.readline()  # it is ready
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([arguments, str(folder)]), file=self.process.stdin, flush=True)
        if not select.select([self.process.stdout], [], [], SECONDS + 2)[0]:
            self.stop()
            return Outcome(-9, "", "hangs", SECONDS + 2)
        answer = self.process.stdout.readline()
        if not answer:
            code = self.process.wait()
            self.stop()
            return Outcome(code, "", "the process died", 0.0)
        *outcome, peak = json.loads(answer)
        self.peak = max(self.peak, peak)
        return Outcome(*outcome)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def main() -> None:
    """Limit this process's memory, then run what standard input names, a JSON line each."""
    answers = os.fdopen(os.dup(1), "w")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        arguments, folder = json.loads(line)
        outcome = run(arguments, Path(folder))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps([*outcome, peak]), file=answers, flush=True)


if __name__ == "__main__":
    main()
