"""A sum whose weights are learned: how the nodes of a randomly wired network join their inputs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from layers import initialize
from layers.base import Array, Gradients, Layer


class WeightedSum(Layer):
    """The sum of n inputs, each with a learned weight in (0, 1).

    Forward:  y = Σᵢ σ(wᵢ) xᵢ,  σ the logistic function
    Backward: dxᵢ = σ(wᵢ) dout,  dwᵢ = σ(wᵢ) (1 − σ(wᵢ)) Σ dout ∘ xᵢ
    Shapes:   n inputs of one shape → y of that shape;  w (n,)
    Caches:   the inputs, σ(w)
    Errors:   ValueError when the inputs are not n of one shape
    Source:   Xie, Kirillov, Girshick and He, "Exploring randomly wired neural networks for image
              recognition" (2019)

    w starts at 0, where every weight is 1/2. No penalty applies to it.
    """

    forward_rule = "y = Σᵢ σ(wᵢ) xᵢ"
    backward_rule = "dxᵢ = σ(wᵢ) dout, dwᵢ = σ'(wᵢ) Σ dout ∘ xᵢ"
    symbol = "Σw"

    def __init__(self, n: int, *, dtype: npt.DTypeLike = np.float32) -> None:
        super().__init__()
        initialize.check_sizes("WeightedSum", n=n)
        self.params["w"] = np.zeros(n, initialize.float_type(dtype))

    def forward(self, *xs: Array) -> Array:
        w = self.params["w"]
        arrays = [self.as_float(x) for x in xs]
        if len(arrays) != w.size or any(x.shape != arrays[0].shape for x in arrays):
            shapes = ", ".join(str(x.shape) for x in arrays)
            raise ValueError(
                f"WeightedSum: inputs have shapes {shapes}, expected {w.size} of one shape"
            )
        parts = 0.5 + 0.5 * np.tanh(0.5 * w)  # σ(w), which never overflows
        y = self.into("y", np.multiply, arrays[0], parts[0])
        for i, x in enumerate(arrays[1:], 1):
            y += self.into("part", np.multiply, x, parts[i])
        return self.keep(y, arrays, parts)

    def backward(self, dout: Array) -> tuple[tuple[Array, ...], Gradients]:  # type: ignore[override]
        dout, _, parts = self.recall(dout)
        dxs = [self.into(f"dx{i}", np.multiply, dout, part) for i, part in enumerate(parts)]
        return tuple(dxs), self.parameter_gradients(dout)

    def parameter_gradients(self, dout: Array) -> Gradients:
        dout, arrays, parts = self.recall(dout)
        flat = dout.reshape(-1)
        by_part = np.array([flat @ x.reshape(-1) for x in arrays], parts.dtype)
        by_part *= parts
        return {"w": self.into("dw", np.multiply, by_part, 1 - parts)}
