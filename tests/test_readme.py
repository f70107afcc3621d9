"""README's commands and examples run, and what it says of the configurations is so."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def table() -> dict[str, float]:
    """The accuracy that README gives for each configuration, in percent."""
    rows = re.findall(r"^\| `configs/(\w+)\.toml` \|.*\| ([\d.]+) % \|$", README, re.MULTILINE)
    return {name: float(accuracy) for name, accuracy in rows}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what README's commands need, so that they leave nothing in the repository."""
    place = tmp_path_factory.mktemp("readme")
    for name in ("blas", "layers", "losses", "optim", "gradcheck", "data", "experiment", "configs"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "solver.py", place)
    x = np.random.default_rng(0).integers(0, 17, (5, 64))
    header = ",".join(f"pixel{i}" for i in range(64))
    np.savetxt(place / "samples.csv", x, fmt="%d", delimiter=",", header=header, comments="")
    return place


def test_the_commands_and_the_examples_run_in_their_order(workplace: Path) -> None:
    ran = 0
    for language, text in re.findall(r"^```(sh|python)\n(.*?)^```", README, re.M | re.S):
        commands = [[sys.executable, "-c", text]] if language == "python" else []
        if language == "sh":
            for line in text.splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == [".venv/bin/python"]:
                    commands.append([sys.executable, *words[1:]])
                else:
                    assert words[:1] == ["sh"], f"a kind of command nobody runs in a test: {line}"
                    assert (ROOT / words[1]).exists()
        for command in commands:
            done = subprocess.run(
                command, cwd=workplace, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            assert done.stdout
            assert "Warning" not in done.stderr
            ran += 1
    assert ran >= 6


def test_the_first_example_learns(workplace: Path) -> None:
    command = [sys.executable, "-c", blocks("python")[0]]
    done = subprocess.run(command, cwd=workplace, capture_output=True, text=True, check=True)
    accuracy = re.search(r"test accuracy ([\d.]+) %", done.stdout)
    assert accuracy is not None
    assert float(accuracy[1]) >= 95


def test_the_table_names_every_configuration() -> None:
    assert sorted(table()) == sorted(path.stem for path in (ROOT / "configs").glob("*.toml"))


@pytest.mark.parametrize("name", sorted(table()))
def test_a_configuration_reaches_the_accuracy_in_the_table(name: str, tmp_path: Path) -> None:
    """Within three test samples: another machine's BLAS rounds otherwise."""
    import solver

    out = tmp_path / "run"
    config = ROOT / "configs" / f"{name}.toml"
    assert solver.main(["--config", str(config), "--out", str(out), "--quiet"]) == 0
    summary = (out / "summary.txt").read_text(encoding="utf-8")
    found = re.search(r"^test +accuracy ([\d.]+) %", summary, re.M)
    assert found is not None
    samples = 120 if name.startswith("spiral") else 269
    assert abs(float(found[1]) - table()[name]) <= 100 * 3.01 / samples
    floor = {"digits_linear": 93, "spiral_linear": 40}.get(name, 96)
    if "2layer" in name or "3layer" in name or name == "spiral":
        floor = 97
    assert float(found[1]) >= floor
