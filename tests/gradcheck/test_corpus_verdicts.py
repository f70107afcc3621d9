"""The checker on both corpora: no right case is called wrong, every wrong one is.

The quick run takes every eighth case; `--long` all of them, the right ones at more points, and
counts how often the cause that is named is the right one.
"""

import pytest

from tests.gradcheck.corpora import Score, checked, every_case

CASES = every_case()
RIGHT = [case for case in CASES if case.slug is None]
WRONG = [case for case in CASES if case.slug is not None]
FAR_SEEDS = (2, 3, 4)


def sampled(chosen):
    """Every eighth case in the quick run, the others in the long one."""
    for k, case in enumerate(chosen):
        yield pytest.param(case, marks=[pytest.mark.long] if k % 8 else [], id=case.name)


@pytest.mark.parametrize("case", list(sampled(RIGHT)))
def test_right_case_is_called_right(case, capsys):
    report = checked(case, 0)
    assert report.verdict == "right", str(report)


@pytest.mark.parametrize("case", list(sampled(WRONG)))
def test_wrong_case_is_called_wrong(case, capsys):
    report = checked(case, 0, where_it_shows=True)
    assert report.verdict == "wrong", str(report)


@pytest.mark.long
@pytest.mark.parametrize("seed", FAR_SEEDS)
@pytest.mark.parametrize("case", RIGHT, ids=lambda case: case.name)
def test_right_case_is_called_right_at_other_points(case, seed, capsys):
    report = checked(case, seed)
    assert report.verdict == "right", str(report)


@pytest.mark.long
def test_the_cause_that_is_named_is_the_right_one(capsys):
    score = Score()
    for case in WRONG:
        score.add(case, checked(case, 0, where_it_shows=True))
    assert score.first >= 0.95 * score.n, score
    assert score.first_three >= 0.98 * score.n, score
    assert score.confidently_wrong <= 0.02 * score.n, score


def test_the_corpora_are_large_and_cover_every_cause():
    assert len(RIGHT) >= 400
    assert len(WRONG) >= 1200
