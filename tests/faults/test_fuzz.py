"""Whatever is in a configuration, a data file or a model: success, or one line and exit code 2."""

import collections
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.faults import fuzz

FOLDER = tempfile.mkdtemp(prefix="handgrad-fuzz-")
CASES = fuzz.originals(Path(FOLDER))
shutil.rmtree(FOLDER)
UNHURRIED = {"suppress_health_check": list(HealthCheck), "database": None, "deadline": None}


def outcome(case: fuzz.Case, run: Any = fuzz.run) -> str:
    with tempfile.TemporaryDirectory(prefix="handgrad-fuzz-") as folder:
        fuzz.write(case, Path(folder))
        return fuzz.verdict(run(case.arguments, Path(folder)), Path(folder))


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(case.files))
def test_what_is_to_be_damaged_is_good(case: fuzz.Case) -> None:
    assert outcome(case) == "done"


@settings(max_examples=500, **UNHURRIED)
@given(fuzz.configs())
def test_no_configuration_does_harm(case: fuzz.Case) -> None:
    assert not outcome(case).startswith("fault")


@settings(max_examples=500, **UNHURRIED)
@given(fuzz.files(CASES))
def test_no_file_does_harm(case: fuzz.Case) -> None:
    assert not outcome(case).startswith("fault")


@pytest.mark.long
@pytest.mark.parametrize("kind", ["configurations", "files"])
def test_ten_thousand(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In a process of 1 GB and 5 s a case; the counts are printed."""
    cases: st.SearchStrategy[fuzz.Case]
    cases = fuzz.configs() if kind == "configurations" else fuzz.files(CASES)
    worker = fuzz.Worker()
    counts: collections.Counter[str] = collections.Counter()
    faults: list[tuple[str, fuzz.Case]] = []

    @settings(max_examples=10_000, phases=[Phase.generate], **UNHURRIED)
    @given(cases)
    def sweep(case: fuzz.Case) -> None:
        found = outcome(case, worker.run)
        counts[found.split(":")[0]] += 1
        if found.startswith("fault"):
            faults.append((found, case))

    try:
        sweep()
    finally:
        worker.stop()
    with capsys.disabled():
        print(f"\n{counts.total():,} {kind}: {dict(counts)}, largest process {worker.peak:,} kB")
    assert not faults, faults[:3]
    assert counts.total() >= 10_000
