"""Features of mean 0 and standard deviation 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError
from data.rows import MappedRows

CHUNK = 2**18  # numbers held as float64 at a time: 2 MB


@dataclass(frozen=True, eq=False)
class Standardize:
    """Shift and scale each feature by the mean and standard deviation of the training set.

    Forward:  z = (x - mean) / std
    Shapes:   x (N, D) → z (N, D);  mean, std (D,) float64
    A feature that never varies has std 1, and so becomes 0.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.mean.ndim != 1 or self.mean.shape != self.std.shape:
            raise DataError(
                f"Standardize: mean and std must be (D,), got {self.mean.shape}, {self.std.shape}"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all()):
            raise DataError("Standardize: mean and std must be finite")
        if not (self.std > 0).all():
            raise DataError("Standardize: std must be above 0")

    @classmethod
    def fit(cls, x: NDArray[Any] | MappedRows) -> Standardize:
        """Measure the mean and standard deviation (over N) of each feature, chunk by chunk.

        Errors:   DataError for an empty set, NaN or inf.
        Source:   Chan, Golub, LeVeque 1979, for joining the chunks; the test for a constant
                  feature is scikit-learn's.
        """
        n, features = x.shape
        if n == 0 or features == 0:
            raise DataError(f"Standardize: x has no samples or no features, shape {x.shape}")
        mean = np.zeros(features)
        squares = np.zeros(features)  # Σ (x - mean)²
        step = max(1, CHUNK // features)
        with np.errstate(all="ignore"):
            for start in range(0, n, step):
                chunk = np.array(x[start : start + step], dtype=np.float64)
                m = len(chunk)
                chunk_mean = chunk.mean(axis=0)
                chunk -= chunk_mean
                gap = chunk_mean - mean
                squares += np.einsum("nd,nd->d", chunk, chunk) + gap**2 * (start * m / (start + m))
                mean += gap * (m / (start + m))
            variance = squares / n
            eps = np.finfo(np.float64).eps
            constant = variance <= n * eps * variance + (n * mean * eps) ** 2
        unusable = ~np.isfinite(variance)
        if unusable.any():
            raise DataError(
                f"Standardize: feature {int(np.argmax(unusable))} holds NaN, inf, or numbers too "
                "large to square; every value must be finite"
            )
        return cls(mean, np.where(constant, 1.0, np.sqrt(variance)))

    def apply(
        self,
        x: NDArray[Any] | MappedRows,
        out: NDArray[Any] | None = None,
        dtype: type[np.floating[Any]] = np.float32,
    ) -> NDArray[Any]:
        """Return z = (x - mean) / std, in `out` (which may be x itself) or a new array of `dtype`.

        Errors:   ValueError if x does not have the D features of the training set.
        """
        if x.ndim != 2 or x.shape[1] != len(self.mean):
            raise ValueError(
                f"Standardize: x must be (N, {len(self.mean)}), as fitted, got {x.shape}"
            )
        array = np.asarray(x)
        if out is None:
            out = np.empty(array.shape, dtype)
        # Narrow inputs are exact in float32, so nothing is gained by working in float64.
        work = np.result_type(array.dtype, out.dtype)
        np.subtract(array, self.mean.astype(work), out=out, casting="same_kind")
        np.divide(out, self.std.astype(out.dtype), out=out)
        return out
