"""Every class that a package exports stands in the table."""

import types

import pytest

import layers
import losses
import optim
from tests.contract import cases


def missing(package: types.ModuleType, bases: tuple[type, ...], tried: set[type]) -> set[str]:
    """What the package exports that descends from a base (the bases aside) and is not tried."""
    exported = {name: getattr(package, name) for name in package.__all__}
    return {
        name
        for name, kind in exported.items()
        if isinstance(kind, type)
        and issubclass(kind, bases)
        and kind not in bases
        and kind not in tried
    }


def test_every_layer():
    assert missing(layers, (layers.Layer,), {case.kind for case in cases.LAYERS}) == set()


def test_every_loss_and_penalty():
    tried = {case.kind for case in cases.LOSSES} | set(cases.PENALTIES)
    assert missing(losses, (losses.Loss, losses.Penalty), tried) == set()


def test_every_optimizer_and_schedule():
    tried = {case.kind for case in cases.OPTIMIZERS} | set(cases.SCHEDULES)
    assert missing(optim, (optim.Optimizer, optim.Schedule), tried) == set()
    minimizers = {getattr(optim, name) for name in optim.__all__}
    minimizers = {kind for kind in minimizers if hasattr(kind, "minimize")}
    assert minimizers == set(cases.WHOLE_SET_OPTIMIZERS)


@pytest.mark.parametrize(
    "case", [*cases.LAYERS, *cases.LOSSES, *cases.OPTIMIZERS], ids=lambda case: case.name
)
def test_a_case_makes_what_it_says(case):
    if case in cases.LAYERS:
        made = case.make(case.shapes[0], "float64", 0)
    else:
        made = case.make(3) if case in cases.LOSSES else case.make()
    assert type(made) is case.kind


def test_a_class_left_out_is_noticed():
    class Forgotten(layers.Layer):
        pass

    package = types.ModuleType("package")
    package.__dict__.update(Layer=layers.Layer, Forgotten=Forgotten, __all__=["Layer", "Forgotten"])
    assert missing(package, (layers.Layer,), set()) == {"Forgotten"}
    assert missing(package, (layers.Layer,), {Forgotten}) == set()
