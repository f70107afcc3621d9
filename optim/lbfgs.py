"""L-BFGS on the whole training set, by SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from optim.options import count, number

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class LBFGSResult:
    """How a minimisation ended: the value reached, the work done, and SciPy's reason."""

    value: float
    iterations: int
    evaluations: int
    converged: bool
    message: str


class LBFGS:
    """Quasi-Newton minimisation: the last `history` gradient differences stand for the Hessian.

    It is no `Optimizer`: it asks for value and gradient as often as its line search needs, and
    both must be of the whole set and without randomness (no minibatches, no dropout).

    Stops after `max_iterations`, when no entry of the gradient exceeds `tolerance`, or when one
    iteration improves the value by less than `improvement` relative to it.
    SciPy works in float64; a float32 `theta` is converted on the way in and out.
    Source: Liu and Nocedal, "On the limited memory BFGS method for large scale optimization"
            (1989); `scipy.optimize.minimize(method="L-BFGS-B")` without bounds.
    """

    def __init__(
        self,
        max_iterations: int = 200,
        history: int = 10,
        tolerance: float = 1e-5,
        improvement: float = 1e-9,
    ) -> None:
        self.max_iterations = count(self, "max_iterations", max_iterations, least=1)
        self.history = count(self, "history", history, least=1)
        self.tolerance = number(self, "tolerance", tolerance, least=0)
        self.improvement = number(self, "improvement", improvement, least=0)

    def minimize(
        self,
        value_and_grad: Callable[[Array], tuple[float, Array]],
        theta: Array,
        callback: Callable[[int, float, Array], bool | None] | None = None,
    ) -> LBFGSResult:
        """Changes `theta`, in place, to where the value is smallest.

        `value_and_grad(theta)` is always given this very array, with the point to look at written
        into it: a network whose parameters are views of theta may ignore the argument.
        `callback(iteration, value, theta)` is called after each iteration (1, 2, …); it stops
        the run by returning True or raising StopIteration. It must not change theta.

        Errors: FloatingPointError when a value or gradient is not finite; theta is then at the
        last iteration's point.
        """
        import scipy.optimize

        if theta.ndim != 1 or theta.dtype.char not in "fd":
            raise ValueError(
                f"LBFGS: theta is {theta.dtype} {theta.shape}, expected a float32 or float64 vector"
            )
        reached = theta.astype(np.float64)
        reached_value: float | None = None  # SciPy reports that of its last trial point
        iteration = 0

        def at(point: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
            nonlocal reached_value
            theta[...] = point
            value, grad = value_and_grad(theta)
            if grad.shape != theta.shape:
                raise ValueError(
                    f"LBFGS: the gradient has shape {grad.shape}, expected {theta.shape}"
                )
            copy = grad.astype(np.float64)
            if not (math.isfinite(value) and np.isfinite(copy).all()):
                theta[...] = reached
                raise FloatingPointError(
                    f"LBFGS: the {'gradient' if math.isfinite(value) else 'value'} is not finite "
                    f"after {iteration} iterations"
                )
            if reached_value is None:
                reached_value = float(value)
            return float(value), copy

        def after_iteration(intermediate_result: Any) -> None:
            nonlocal iteration, reached_value
            iteration += 1
            reached[...] = intermediate_result.x
            reached_value = float(intermediate_result.fun)
            if callback is not None:
                theta[...] = reached
                if callback(iteration, reached_value, theta):
                    raise StopIteration

        result = scipy.optimize.minimize(
            at,
            reached.copy(),
            jac=True,
            method="L-BFGS-B",
            callback=after_iteration,
            options={
                "maxiter": self.max_iterations,
                "maxfun": 20 * self.max_iterations + 20,
                "maxcor": self.history,
                "gtol": self.tolerance,
                "ftol": self.improvement,
            },
        )
        theta[...] = reached
        return LBFGSResult(
            value=float(result.fun if reached_value is None else reached_value),
            iterations=int(result.nit),
            evaluations=int(result.nfev),
            converged=bool(result.success),
            message=str(result.message),
        )

    def __repr__(self) -> str:
        return f"LBFGS(max_iterations={self.max_iterations}, history={self.history})"
