"""The affine layer: the lecture's two matrix rules."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from blas import matmul
from layers import initialize
from layers.base import Array, Gradients, Layer, constant


class Linear(Layer):
    """Affine map of the feature axis.

    Forward:  y = x W + b
    Backward: dx = dout Wᵀ,  dW = xᵀ dout,  db = Σₙ dout
    Shapes:   x (N, D) → y (N, M);  W (D, M);  b (M,)
    Caches:   x
    Errors:   ValueError when x is not (N, D) or dout not (N, M)

    >>> layer = Linear(3, 4, rng=0, dtype=np.float64)
    >>> layer.params["W"][...] = [[3, 2, 1, -1], [2, 1, 3, 2], [3, 2, 1, -2]]
    >>> layer.forward([[2, 1, -3], [-3, 4, 2]])  # the lecture's example, recomputed
    array([[-1., -1.,  2.,  6.],
           [ 5.,  2., 11.,  7.]])
    >>> dx, grads = layer.backward([[2, 3, -3, 9], [-8, 1, 4, 6]])
    >>> dx
    array([[  0.,  16.,  -9.],
           [-24.,   9., -30.]])
    """

    forward_rule = "y = x W + b"
    backward_rule = "dx = dout Wᵀ, dW = xᵀ dout, db = Σₙ dout"
    weights = ("W",)
    replays = True

    def __init__(
        self,
        D: int,
        M: int,
        *,
        rng: np.random.Generator | int,
        init: str | float = "he",
        bias: bool = True,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        initialize.check_sizes("Linear", D=D, M=M)
        self.params["W"] = initialize.weights((D, M), init, rng, dtype)
        if bias:
            self.params["b"] = np.zeros(M, dtype)

    def forward(self, x: Array) -> Array:
        x, W = self.as_float(x), self.params["W"]
        if x.ndim != 2 or x.shape[1] != W.shape[0]:
            raise ValueError(f"Linear: x has shape {x.shape}, expected (N, {W.shape[0]})")
        y = self.into("y", matmul, x, W)
        if "b" in self.params:
            y = self.into("y", np.add, y, self.params["b"])
        return self.keep(y, x)

    def backward(self, dout: Array) -> tuple[Array, Gradients]:
        dout, x = self.recall(dout)
        dx = self.into("dx", matmul, dout, self.params["W"].T)
        return dx, self._gradients(x, dout)

    def parameter_gradients(self, dout: Array) -> Gradients:
        dout, x = self.recall(dout)
        return self._gradients(x, dout)

    def _gradients(self, x: Array, dout: Array) -> Gradients:
        grads = {"W": self.product("dW", x.T, dout)}
        if "b" in self.params:
            ones = constant(1, dout.shape[:1], dout.dtype)  # 1ᵀ dout, quicker than NumPy's sum
            grads["b"] = self.into("db", np.dot, ones, dout)
        return grads
