"""What is printed and what is plain."""

import json

import numpy as np
import pytest

from gradcheck.report import Finding, Report, Row


def test_a_finding_has_its_cause_among_its_causes():
    assert Finding("dx", "shape", "m").causes == ["shape"]
    assert Finding("dx", "shape", "m", causes=["a", "b"]).causes == ["a", "b"]


@pytest.mark.parametrize(
    ("more", "printed"),
    [
        ({}, "dx: off [shape]"),
        ({"expected": 1.0}, "dx: off [shape]"),
        ({"got": 1.0}, "dx: off [shape]"),
        ({"expected": 1.0, "got": 2.0}, "dx: off [shape]\n    expected 1, got 2"),
        (
            {"expected": 0.123456789, "got": -2e-9, "index": (3, 0)},
            "dx: off [shape]\n    at [3, 0] expected 0.123457, got -2e-09",
        ),
        ({"expected": 1.0, "got": 2.0, "index": ()}, "dx: off [shape]\n    expected 1, got 2"),
    ],
)
def test_a_finding_in_print(more, printed):
    assert str(Finding("dx", "shape", "off", **more)) == printed


def test_a_report_in_print():
    report = Report("Linear", "wrong", rows=[Row("dx", 1e-13, 2e-12, "right", 4)])
    report.rows.append(Row("dfirst.weights", 0.5, 2e-12, "wrong", 4))
    report.findings.append(Finding("dx", "shape", "off"))
    report.notes.append("by the way")
    report.forwards, report.backwards, report.seconds = 7, 3, 0.25
    assert str(report).splitlines() == [
        "Linear: wrong",
        "  gradient        largest error       bound  verdict",
        "  dx                   1.00e-13    2.00e-12  right",
        "  dfirst.weights       5.00e-01    2.00e-12  wrong",
        "  dx: off [shape]",
        "  note: by the way",
        "  7 forwards, 3 backwards, 0.250 s",
    ]


def test_a_report_without_rows_gives_its_reason():
    assert str(Report("Sum", "inconclusive", "too noisy")).splitlines() == [
        "Sum: inconclusive (too noisy)",
        "  0 forwards, 0 backwards, 0.000 s",
    ]


def test_a_short_table_is_as_wide_as_its_head():
    lines = str(Report("Sum", rows=[Row("dx", 0.0, 0.0, "right")])).splitlines()
    assert lines[1].startswith("  gradient  largest")
    assert lines[2].startswith("  dx             0.00e+00")


@pytest.mark.parametrize("verdict", ["right", "wrong", "inconclusive"])
def test_a_report_is_true_when_right(verdict):
    assert bool(Report("Sum", verdict)) is (verdict == "right")


def test_a_report_as_plain_values():
    finding = Finding("dx", "c", "m", index=(1, 2), expected=np.inf, got=np.nan, error=-np.inf)
    plain = Report("Sum", "wrong", findings=[finding], rows=[Row("dx", 1.5, 0.0, "wrong", 2)])
    there = json.loads(plain.to_json())
    assert there == plain.as_dict()
    assert there["findings"][0] == {
        "about": "dx",
        "cause": "c",
        "message": "m",
        "causes": ["c"],
        "index": [1, 2],
        "expected": "inf",
        "got": "nan",
        "error": "-inf",
        "bound": None,
    }
    assert there["rows"] == [
        {"about": "dx", "error": 1.5, "bound": 0.0, "verdict": "wrong", "entries": 2}
    ]
    assert there["forwards"] == there["backwards"] == 0
    assert there["seconds"] == 0.0
