"""What a call writes into."""

import numpy as np
import pytest

from gradcheck.touch import Watch, unchanged


@pytest.mark.parametrize(
    ("now", "old", "same"),
    [
        (np.ones(2), np.ones(2), True),
        (np.ones(2), np.array([1.0, 1.0000000001]), False),
        (np.ones(2), np.ones((1, 2)), False),
        (np.ones((1, 2)), np.ones(2), False),
        (np.array([np.nan, 1.0]), np.array([np.nan, 1.0]), True),
        (np.array([np.nan, 1.0]), np.array([0.0, 1.0]), False),
        (np.array([1, 2]), np.array([1, 2]), True),
        (np.array(["a"]), np.array(["a"]), True),
        (np.array(["a"]), np.array(["b"]), False),
        (np.array(["a"]), np.array([1.0]), False),
        (np.array([1.0]), np.array(["a"]), False),
        (np.array([1j, np.nan]), np.array([1j, np.nan]), True),
    ],
)
def test_numbers_are_unchanged_when_each_is_what_it_was(now, old, same):
    assert unchanged(now, old) is same


def test_an_array_of_objects_is_what_it_is():
    odd = np.array([None, np.nan], dtype=object)
    assert unchanged(odd, odd)


def test_the_inputs_written_into_are_told_by_number():
    xs = [np.ones(2), 3, np.zeros(2), np.array([np.nan])]
    watch = Watch(xs, {})
    assert watch.inputs() == []
    xs[2][0] = 1.0
    assert watch.inputs() == [2]
    xs[0][1] = np.nan
    assert watch.inputs() == [0, 2]


class Holder:
    def __init__(self, **params):
        self.params = params


def test_parameters_changed_or_replaced_are_told_by_name():
    layer = Holder(w=np.ones(2), b=np.zeros(2))
    watch = Watch([], layer.params)
    held = dict(layer.params)
    assert watch.parameters(layer, held) == []
    layer.params["w"][0] = 2.0
    assert watch.parameters(layer, held) == ["w"]
    layer.params["b"] = np.ones(2)
    assert watch.parameters(layer, held) == ["w", "b"]


def test_a_parameter_taken_out_is_looked_for_where_it_was():
    layer = Holder(w=np.ones(2))
    watch = Watch([], layer.params)
    held = dict(layer.params)
    del layer.params["w"]
    assert watch.parameters(layer, held) == []
    held["w"][0] = 2.0
    assert watch.parameters(layer, held) == ["w"]


def test_a_layer_without_params_is_watched_by_its_arrays():
    held = {"w": np.ones(2)}
    watch = Watch([], held)
    assert watch.parameters(object(), held) == []
    held["w"][1] = 0.0
    assert watch.parameters(object(), held) == ["w"]


def test_copies_keep_the_order_in_memory():
    x = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    assert Watch([x], {}).kept[0].flags.f_contiguous
