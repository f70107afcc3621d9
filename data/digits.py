"""The UCI 8×8 handwritten digits, which lie beside this file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data.dataset import Dataset


def load_digits() -> Dataset:
    """Return 1,797 real images of handwritten digits: x (1797, 64) uint8 in 0 … 16, 10 classes.

    Source:   Alpaydin, Kaynak 1998, UCI Machine Learning Repository, doi 10.24432/C50P49,
              CC BY 4.0 (see data/README.md).
    """
    table = np.load(Path(__file__).with_name("digits.npy"), allow_pickle=False)
    y = table[:, 64].astype(np.int64)
    return Dataset(np.ascontiguousarray(table[:, :64]), y, tuple(range(10)), "digits", (8, 8))
