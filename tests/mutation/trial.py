"""A temporary copy of the repository in which one file is broken and its tests are run."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
LEFT_BEHIND = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "benchmarks", "docs")
TESTS = Path("tests/gradcheck")
CORPUS = ("test_corpus.py", "test_corpus_verdicts.py")  # the first is about cases alone
# Tests that start processes, and whom alone they tell anything.
SLOW = {"test_command_line.py": ("command_line", "worker", "__main__", "report", "check", "words")}
MEMORY = 6 * 2**30
LEAST_SECONDS = 15.0


def stages(stem: str, quick: bool = False) -> list[list[str]]:
    """The test files that concern one source file, those that fail soonest first."""
    names = [path.name for path in sorted((ROOT / TESTS).glob("test_*.py"))]
    own = [name for name in names if name == f"test_{stem}.py" or name.startswith(f"test_{stem}_")]
    others = [n for n in names if n not in (*own, *CORPUS) and stem in SLOW.get(n, (stem,))]
    found = [own] if quick else [own, others, ["test_corpus_verdicts.py"]]
    return [[str(TESTS / name) for name in names] for names in found if names]


class Trial:
    """The copy; it is removed in the end."""

    def __init__(self, quick: bool = False) -> None:
        self.quick = quick
        self.folder = Path(tempfile.mkdtemp(prefix="mutation-"))
        shutil.copytree(ROOT, self.folder, ignore=LEFT_BEHIND, dirs_exist_ok=True)
        self.normal: dict[str, float] = {}  # the seconds that a stage takes on an unbroken file

    def __enter__(self) -> "Trial":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def take(self, source: Path) -> None:
        """Make ready for one source file.

        Each of its stages passes on the file as it is, and fails when it cannot be imported.
        """
        self.target = self.folder / source
        self.stages = stages(source.stem, self.quick)
        for files in self.stages:
            if str(files) not in self.normal:
                start = time.perf_counter()
                code, said = self._pytest(files, 900.0)
                if code != 0:
                    raise SystemExit(f"the tests fail before anything is broken:\n{said}")
                self.normal[str(files)] = time.perf_counter() - start
        if self.caught("raise ImportError('a broken file')\n") is None:
            raise SystemExit("a broken file is not noticed: the copy is not what is tested")

    def caught(self, text: str) -> str | None:
        """What notices a mutated text: a test's name or a timeout; None when nothing does."""
        kept = self.target.read_text()
        try:
            self._write(text)
            for files in self.stages:
                code, said = self._pytest(files, max(3 * self.normal[str(files)], LEAST_SECONDS))
                if code is None:
                    return "timeout"
                if code != 0:
                    return _failed(said)
            return None
        finally:
            self._write(kept)

    def _write(self, text: str) -> None:
        for compiled in self.target.parent.glob(f"__pycache__/{self.target.stem}.*"):
            compiled.unlink()  # two texts of one size within a second look alike to Python
        self.target.write_text(text)

    def _pytest(self, files: list[str], timeout: float) -> tuple[int | None, str]:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        process = subprocess.Popen(
            [*command, *files],
            cwd=self.folder,
            env={**os.environ, **threads, "PYTHONPATH": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        )
        try:
            said, _ = process.communicate(timeout=timeout)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                return None, ""
            raise
        return process.returncode, said


def _failed(said: str) -> str:
    lines = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return lines[0].split(" - ")[0].split(" ", 1)[1] if lines else "pytest itself"
