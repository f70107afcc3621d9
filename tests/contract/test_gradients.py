"""Every gradient in the table, proved."""

import numpy as np
import pytest

from gradcheck import assert_right, check_loss
from tests.contract.cases import LAYERS, LOSSES, names


@pytest.mark.parametrize("case", LAYERS, ids=names(LAYERS))
def test_layer(case):
    for shape in case.shapes:
        assert_right(case.make(shape, np.float64, 0), case.x(shape))


@pytest.mark.parametrize("case", LAYERS, ids=names(LAYERS))
def test_layer_in_float32(case):
    shape = case.shapes[0]
    assert_right(case.make(shape, np.float32, 0), case.x(shape, np.float32))


@pytest.mark.parametrize("case", LOSSES, ids=names(LOSSES))
def test_loss(case):
    for shape in case.shapes:
        report = check_loss(case.make(shape[-1]), *case.problem(shape))
        assert report.verdict == "right", str(report)
