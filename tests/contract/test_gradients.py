"""Every gradient in the table, proved."""

import math

import numpy as np
import pytest

from gradcheck import assert_right, check_loss
from tests.contract.cases import LAYERS, LOSSES, are_several, names


class Joined:
    """A layer of several outputs, these laid end to end as one."""

    def __init__(self, layer):
        self.layer = layer
        self.params = layer.params

    def forward(self, *xs):
        ys = self.layer.forward(*xs)
        self.shapes = [y.shape for y in ys]
        return np.concatenate([y.ravel() for y in ys])

    def backward(self, dout):
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])[:-1]
        parts = zip(np.split(dout, ends), self.shapes, strict=True)
        return self.layer.backward(tuple(part.reshape(shape) for part, shape in parts))


def prove(case, shape, dtype):
    layer = case.make(shape, dtype, 0)
    several = are_several(case.out(shape))
    assert_right(Joined(layer) if several else layer, *case.xs(shape, dtype))


@pytest.mark.parametrize("case", LAYERS, ids=names(LAYERS))
def test_layer(case):
    for shape in case.shapes:
        prove(case, shape, np.float64)


@pytest.mark.parametrize("case", LAYERS, ids=names(LAYERS))
def test_layer_in_float32(case):
    prove(case, case.shapes[0], np.float32)


@pytest.mark.parametrize("case", LOSSES, ids=names(LOSSES))
def test_loss(case):
    for shape in case.shapes:
        report = check_loss(case.make(shape[-1]), *case.problem(shape))
        assert report.verdict == "right", str(report)
