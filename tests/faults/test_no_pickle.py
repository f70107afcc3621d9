"""Nothing that the project reads is ever unpickled, evaluated or run."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = [
    "blas",
    "layers",
    "losses",
    "optim",
    "gradcheck",
    "data",
    "experiment",
    "benchmarks",
    "examples",
]
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
FILES += [ROOT / "solver.py"]

FORBIDDEN = {
    *("pickle", "_pickle", "cPickle", "pickletools", "marshal", "shelve", "dbm", "copyreg"),
    *("dill", "cloudpickle", "joblib", "yaml", "multiprocessing", "code", "codeop", "runpy"),
}
ALLOWED = {
    # Lists a pickle's instructions, and runs none: the reader of CIFAR-10's Python version.
    ("data/array_pickle.py", "pickletools"),
}
BUILTINS = {"eval", "exec", "compile", "__import__"}
METHODS = {("os", "system"), ("os", "popen"), ("torch", "load"), ("np", "fromregex")}


def imports(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def offences(source: str, name: str = "file.py") -> list[str]:
    """What of a file's source would run what it reads."""
    tree = ast.parse(source)
    found = [f"imports {m}" for m in imports(tree) & FORBIDDEN if (name, m) not in ALLOWED]
    for call in calls(tree):
        function = call.func
        if isinstance(function, ast.Name) and function.id in BUILTINS:
            found.append(f"line {call.lineno} calls {function.id}")
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            owner, method = function.value.id, function.attr
            if (owner, method) in METHODS or (owner, method) == ("builtins", "eval"):
                found.append(f"line {call.lineno} calls {owner}.{method}")
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            if owner in ("np", "numpy") and method == "load":
                allow = given.get("allow_pickle")
                if not (isinstance(allow, ast.Constant) and allow.value is False):
                    found.append(f"line {call.lineno} calls np.load without allow_pickle=False")
        for keyword in call.keywords:
            constant = isinstance(keyword.value, ast.Constant)
            if keyword.arg in ("allow_pickle", "shell") and not (
                constant and keyword.value.value is False
            ):
                found.append(f"line {call.lineno} says {keyword.arg}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_runs_nothing_that_it_reads(path: Path) -> None:
    assert offences(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "def f():\n    import marshal",
        "import os.path, shelve",
        "eval('1')",
        "exec(text)",
        "import numpy as np\nnp.load(path)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "read(path, allow_pickle=flag)",
        "import os\nos.system('ls')",
        "subprocess.run(command, shell=True)",
    ],
)
def test_what_would_run_is_found(source: str) -> None:
    assert offences(source)


def test_what_reads_the_instructions_of_a_pickle_calls_nothing_it_names() -> None:
    """The one exception only lists instructions: of pickletools it uses genops alone."""
    tree = ast.parse((ROOT / "data/array_pickle.py").read_text(encoding="utf-8"))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "pickletools"
    }
    assert used == {"genops"}
    named = {call.func.id for call in calls(tree) if isinstance(call.func, ast.Name)}
    assert not named & {"getattr", "globals", "vars", "import_module", "locate"}
