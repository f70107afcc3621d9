"""Nothing imports upward, and there is no circle: the floors of the house."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent

# What each room may import besides itself, the standard library and installed packages.
GROUND = ("layers", "losses", "optim", "gradcheck", "data")
CELLAR = "blas"  # calls that NumPy does not offer, for the ground to stand on
MAY_IMPORT = {
    CELLAR: set(),
    **{room: {CELLAR} for room in GROUND},
    "experiment": set(GROUND),
    "solver": {*GROUND, "experiment"},
    "benchmarks": {*GROUND, CELLAR, "experiment", "solver"},
    "examples": {*GROUND, "experiment", "solver"},
}
GROUND_MAY_USE = {"numpy", "scipy"}
PICTURES = "layers/drawing"  # draws with matplotlib, imported inside the function that draws
# Compile with Numba, imported inside the functions that do.
COMPILED = ("optim/compiled.py", "optim/in_parts.py")


def files(room: str) -> list[Path]:
    alone = ROOT / f"{room}.py"
    return [alone] if alone.exists() else sorted((ROOT / room).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The full names of the modules that a file imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            for alias in node.names:  # `from layers import initialize` names a file
                inside = f"{node.module}.{alias.name}"
                is_file = (ROOT / (inside.replace(".", "/") + ".py")).exists()
                names.add(inside if is_file else str(node.module))
    return names


def test_no_room_imports_from_a_floor_above_or_beside_it() -> None:
    for room, allowed in MAY_IMPORT.items():
        for path in files(room):
            rooms = {name.split(".")[0] for name in imported(path)} & MAY_IMPORT.keys()
            assert rooms <= {room, *allowed}, f"{path.relative_to(ROOT)} imports {rooms}"


def test_the_ground_needs_numpy_and_scipy_alone() -> None:
    import sys

    for room in (*GROUND, CELLAR):
        for path in files(room):
            others = {name.split(".")[0] for name in imported(path)} - {room, CELLAR, "__future__"}
            others -= set(sys.stdlib_module_names)
            if path.is_relative_to(ROOT / PICTURES):
                others.discard("matplotlib")
            if path.relative_to(ROOT).as_posix() in COMPILED:
                others.discard("numba")
            assert others <= GROUND_MAY_USE, f"{path.relative_to(ROOT)} imports {others}"


def test_matplotlib_is_not_imported_until_something_is_drawn() -> None:
    import subprocess
    import sys

    code = "import layers, layers.drawing, sys; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_there_is_no_circle_of_imports() -> None:
    """Within a room, too: a file never reaches itself by way of others."""
    paths = {}
    for room in MAY_IMPORT:
        for path in files(room):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            paths[name.removesuffix(".__init__")] = path
    needs = {name: {other for other in imported(path) if other in paths and other != name}
             for name, path in paths.items()}  # fmt: skip
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"a circle of imports: {' → '.join((*above, name))}"
        if name not in done:
            for other in sorted(needs[name]):
                visit(other, (*above, name))
            done.add(name)

    for name in sorted(needs):
        visit(name, ())
    assert len(done) > 30


def test_nothing_is_unpickled_or_evaluated() -> None:
    for room in MAY_IMPORT:
        for path in files(room):
            assert not imported(path) & {"pickle", "cPickle", "marshal", "shelve", "dill", "joblib"}
            calls = {
                node.func.id
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            assert not calls & {"eval", "exec", "compile"}, path
