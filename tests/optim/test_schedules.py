"""Schedules: values worked by hand, plateaus, checkpoints, errors."""

import json
import math

import pytest

from optim import Constant, CosineDecay, ExponentialDecay, PlateauDecay, Schedule, StepDecay


def factors(schedule, *epochs):
    return [schedule.factor(epoch) for epoch in epochs]


def test_constant():
    assert factors(Constant(), 0, 3.5, 1e6) == [1, 1, 1]


def test_step_decay():
    assert factors(StepDecay(10, 0.5), 0, 9.99, 10, 19.5, 20, 35) == [1, 1, 0.5, 0.5, 0.25, 0.125]


def test_exponential_decay():
    assert factors(ExponentialDecay(0.25), 0, 0.5, 1, 2) == [1, 0.5, 0.25, 0.0625]


def test_cosine_decay():
    expected = [1, 0.5 + math.sqrt(2) / 4, 0.5, 0, 0]
    assert factors(CosineDecay(8), 0, 2, 4, 8, 9) == pytest.approx(expected, abs=1e-15)


def test_cosine_decay_with_warmup_and_final():
    schedule = CosineDecay(10, warmup=2, final=0.2)
    expected = [0, 0.25, 0.5, 1, 0.6, 0.2, 0.2]
    assert factors(schedule, 0, 0.5, 1, 2, 6, 10, 50) == pytest.approx(expected, rel=1e-14)


def test_only_plateau_listens():
    for schedule in (Constant(), StepDecay(2), ExponentialDecay(0.9), CosineDecay(5)):
        before = schedule.factor(1.5)
        for _ in range(20):
            schedule.observe(0.0)
        assert schedule.factor(1.5) == before
        assert schedule.state_dict() == {}
        schedule.load_state_dict({})
        with pytest.raises(ValueError, match=r"has no state, got \['best'\]"):
            schedule.load_state_dict({"best": 1})


def watch(schedule, scores):
    seen = []
    for score in scores:
        schedule.observe(score)
        seen.append(schedule.factor(0))
    return seen


def test_plateau_halves_after_patience_epochs_without_a_better_score():
    schedule = PlateauDecay(patience=2, factor=0.5)
    seen = watch(schedule, [0.5, 0.5, 0.6, 0.6, 0.1, 0.6, 0.2, 0.7])
    assert seen == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25]


def test_plateau_counts_small_gains_and_nan_as_none():
    schedule = PlateauDecay(patience=1, factor=0.5, min_improvement=0.1, minimum=0.2)
    assert watch(schedule, [0.0, 0.05, math.nan, 0.2, 0.25]) == [1, 0.5, 0.25, 0.25, 0.2]


def test_plateau_with_scores_below_zero():
    assert watch(PlateauDecay(patience=1, factor=0.5), [-5, -4, -4]) == [1, 1, 0.5]


def test_plateau_goes_on_from_a_checkpoint():
    scores = [0.1, 0.3, 0.2, 0.3, 0.1, 0.4, 0.2, 0.1, 0.0]
    straight = watch(PlateauDecay(patience=2, factor=0.5), scores)
    for cut in range(len(scores)):
        first, second = (PlateauDecay(patience=2, factor=0.5) for _ in range(2))
        seen = watch(first, scores[:cut])
        second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
        assert seen + watch(second, scores[cut:]) == straight
    with pytest.raises(ValueError, match=r"PlateauDecay: state has \['waited'\]"):
        PlateauDecay().load_state_dict({"waited": 1})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: StepDecay(0), r"StepDecay: every is 0, expected a finite number > 0"),
        (lambda: StepDecay(1, 0), r"StepDecay: factor is 0"),
        (lambda: StepDecay(1, 1.5), r"StepDecay: factor is 1\.5, expected .* ≤ 1"),
        (lambda: ExponentialDecay(-1), r"ExponentialDecay: factor is -1"),
        (lambda: CosineDecay(0), r"CosineDecay: epochs is 0"),
        (lambda: CosineDecay(5, warmup=5), r"CosineDecay: warmup is 5, expected .* < 5"),
        (lambda: CosineDecay(5, final=2), r"CosineDecay: final is 2"),
        (lambda: PlateauDecay(patience=0), r"PlateauDecay: patience is 0, expected an integer ≥ 1"),
        (lambda: PlateauDecay(factor=1), r"PlateauDecay: factor is 1"),
        (lambda: PlateauDecay(min_improvement=-1), r"PlateauDecay: min_improvement is -1"),
        (lambda: PlateauDecay(minimum=math.nan), r"PlateauDecay: minimum is nan"),
    ],
)
def test_bad_options(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_patience_is_a_whole_number():
    with pytest.raises(TypeError, match=r"PlateauDecay: patience is 2\.5, expected an integer"):
        PlateauDecay(patience=2.5)


def test_every_schedule_is_tested_here():
    assert {kind.__name__ for kind in Schedule.__subclasses__()} == {
        "Constant",
        "StepDecay",
        "ExponentialDecay",
        "CosineDecay",
        "PlateauDecay",
    }
