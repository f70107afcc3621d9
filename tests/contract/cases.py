"""One table of every layer, loss and optimizer, with what each is to be tried on.

Who adds a class adds a line here; `test_complete.py` fails until then.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from layers import (
    ELU,
    BatchNorm,
    Dropout,
    Flatten,
    LayerNorm,
    LeakyReLU,
    Linear,
    Maxout,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Standardize,
    Tanh,
)
from losses import L1, L2, MSE, BinaryCrossEntropy, MulticlassHinge, SoftmaxCrossEntropy
from optim import (
    LBFGS,
    SGD,
    Adam,
    AdamW,
    Constant,
    CosineDecay,
    ExponentialDecay,
    PlateauDecay,
    RMSProp,
    StepDecay,
)

Shape = tuple[int, ...]


def names(cases: Iterable[Any]) -> list[str]:
    return [case.name for case in cases]


# -- layers ------------------------------------------------------------------------------


@dataclass(frozen=True)
class LayerCase:
    """A layer to try.

    make(shape, dtype, seed): the layer for inputs of this shape
    out(shape): the shape of its output
    shapes: shapes of inputs;  wrong: shapes that a layer made for shapes[0] must refuse
    least: the smallest batch;  axes: how many axes an input may have
    """

    name: str
    kind: type
    make: Callable[[Shape, Any, int], Any]
    out: Callable[[Shape], Shape]
    shapes: tuple[Shape, ...]
    wrong: tuple[Shape, ...] = ()
    least: int = 0
    axes: tuple[int, int] = (2, 2)

    def x(self, shape: Shape, dtype: Any = np.float64, seed: int = 1) -> np.ndarray:
        return np.random.default_rng(seed).standard_normal(shape).astype(dtype)

    def dout(self, shape: Shape, dtype: Any = np.float64, seed: int = 2) -> np.ndarray:
        return np.random.default_rng(seed).standard_normal(self.out(shape)).astype(dtype)


def same(shape: Shape) -> Shape:
    return shape


def elementwise(name: str, make: Callable[[], Any]) -> LayerCase:
    return LayerCase(
        name,
        type(make()),
        lambda shape, dtype, seed: make(),
        same,
        ((4, 3), (5,), (2, 3, 4), (1, 1)),
        axes=(1, 4),
    )


def evaluating(layer: Any) -> Any:
    layer.training = False
    return layer


def lively(layer: Any, dtype: Any, seed: int) -> Any:
    """The layer with parameters and statistics that are not the ones and zeros of the start."""
    rng = np.random.default_rng(seed)
    for arrays in (layer.params, layer.state):
        for name, value in arrays.items():
            value[...] = rng.uniform(0.5, 2, value.shape) * (-1 if name == "beta" else 1)
    return layer


def biased(layer: Any, seed: int) -> Any:
    for name, value in layer.params.items():
        if name.rpartition(".")[2] == "b":
            value[...] = np.random.default_rng(seed).standard_normal(value.shape)
    return layer


def to(M: int) -> Callable[[Shape], Shape]:
    return lambda shape: (shape[0], M)


MATRICES: tuple[Shape, ...] = ((4, 3), (1, 3), (7, 1), (2, 9))
NOT_THREE: tuple[Shape, ...] = ((4, 2), (3,), (2, 4, 3), ())


def _network(shape: Shape, dtype: Any, seed: int) -> Sequential:
    rng, D = np.random.default_rng(seed), math.prod(shape[1:])
    return biased(
        Sequential(
            Flatten(),
            Linear(D, 6, rng=rng, bias=False, dtype=dtype),  # BatchNorm takes any bias away
            BatchNorm(6, dtype=dtype),
            LeakyReLU(),
            Sequential(Dropout(0.25, rng=rng), Maxout(6, 5, rng=rng, dtype=dtype), Tanh()),
            LayerNorm(5, dtype=dtype),
            scores=Linear(5, 3, rng=rng, init="xavier", dtype=dtype),
        ),
        seed,
    )


LAYERS = [
    LayerCase(
        "Linear",
        Linear,
        lambda shape, dtype, seed: biased(Linear(shape[-1], 5, rng=seed, dtype=dtype), seed),
        to(5),
        MATRICES,
        NOT_THREE,
    ),
    LayerCase(
        "Linear without b",
        Linear,
        lambda shape, dtype, seed: Linear(shape[-1], 1, rng=seed, bias=False, dtype=dtype),
        to(1),
        MATRICES,
        NOT_THREE,
    ),
    *(
        LayerCase(
            f"Maxout of {k}",
            Maxout,
            lambda shape, dtype, seed, k=k: biased(
                Maxout(shape[-1], 4, k, rng=seed, dtype=dtype), seed
            ),
            to(4),
            MATRICES,
            NOT_THREE,
        )
        for k in (1, 2, 3)
    ),
    elementwise("ReLU", ReLU),
    elementwise("LeakyReLU", LeakyReLU),
    elementwise("LeakyReLU 0.3", lambda: LeakyReLU(0.3)),
    elementwise("ELU", ELU),
    elementwise("ELU 1.7", lambda: ELU(1.7)),
    elementwise("Sigmoid", Sigmoid),
    elementwise("Tanh", Tanh),
    elementwise("Dropout of none", lambda: Dropout(0, rng=0)),
    elementwise("Dropout 0.3", lambda: Dropout(0.3, rng=0)),
    elementwise("Dropout, evaluating", lambda: evaluating(Dropout(0.3, rng=0))),
    LayerCase(
        "Softmax",
        Softmax,
        lambda shape, dtype, seed: Softmax(),
        same,
        ((4, 3), (5,), (2, 3, 4), (1, 1)),
        ((), (3, 0)),
        axes=(1, 4),
    ),
    LayerCase(
        "BatchNorm",
        BatchNorm,
        lambda shape, dtype, seed: lively(BatchNorm(shape[-1], dtype=dtype), dtype, seed),
        same,
        ((4, 3), (2, 3), (7, 1)),
        (*NOT_THREE, (1, 3)),
        least=2,
    ),
    LayerCase(
        "BatchNorm, evaluating",
        BatchNorm,
        lambda shape, dtype, seed: evaluating(
            lively(BatchNorm(shape[-1], epsilon=0.01, dtype=dtype), dtype, seed)
        ),
        same,
        MATRICES,
        NOT_THREE,
    ),
    LayerCase(
        "LayerNorm",
        LayerNorm,
        lambda shape, dtype, seed: lively(LayerNorm(shape[-1], dtype=dtype), dtype, seed),
        same,
        ((4, 3), (1, 5), (2, 3, 4), (6,)),
        ((4, 2), (3, 1), ()),
        axes=(1, 4),
    ),
    LayerCase(
        "Standardize",
        Standardize,
        lambda shape, dtype, seed: Standardize(
            np.arange(shape[-1]), np.arange(shape[-1]) + 0.5, dtype=dtype
        ),
        same,
        MATRICES,
        NOT_THREE,
    ),
    LayerCase(
        "Flatten",
        Flatten,
        lambda shape, dtype, seed: Flatten(),
        lambda shape: (shape[0], math.prod(shape[1:])),
        ((4, 3), (2, 3, 4, 2), (3,)),
        ((),),
        axes=(1, 4),
    ),
    LayerCase("Sequential", Sequential, _network, to(3), ((4, 3), (5, 2, 3)), least=2, axes=(2, 3)),
    LayerCase(
        "Sequential, evaluating",
        Sequential,
        lambda shape, dtype, seed: evaluating(_network(shape, dtype, seed)),
        to(3),
        ((4, 3), (1, 2, 3)),
        axes=(2, 3),
    ),
]


# -- losses ------------------------------------------------------------------------------


@dataclass(frozen=True)
class LossCase:
    """A loss to try: make(C) for C columns; y(rng, shape): targets for scores of this shape."""

    name: str
    kind: type
    make: Callable[[int], Any]
    y: Callable[[np.random.Generator, Shape], np.ndarray]
    shapes: tuple[Shape, ...]
    wrong: tuple[tuple[Shape, np.ndarray], ...]

    def problem(self, shape: Shape, dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(3)
        return rng.standard_normal(shape).astype(dtype), self.y(rng, shape)


def labels(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.integers(0, shape[-1], shape[0])


def bits(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.integers(0, 2, shape)


def targets(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.standard_normal(shape)


SCORES: tuple[Shape, ...] = ((4, 3), (1, 2), (3, 120))
WRONG_LABELS = (
    ((4, 3), np.zeros(3, int)),
    ((4, 3), np.zeros((4, 3), int)),
    ((4,), np.zeros(4, int)),
    ((4, 3), np.array([0, 1, 2, 3])),
    ((4, 3), np.array([0, 1, 2, -1])),
)

LOSSES = [
    LossCase(
        "SoftmaxCrossEntropy",
        SoftmaxCrossEntropy,
        lambda C: SoftmaxCrossEntropy(),
        labels,
        SCORES,
        WRONG_LABELS,
    ),
    LossCase(
        "SoftmaxCrossEntropy, classes weighted",
        SoftmaxCrossEntropy,
        lambda C: SoftmaxCrossEntropy(np.linspace(0.5, 2, C)),
        labels,
        SCORES,
        WRONG_LABELS,
    ),
    LossCase(
        "MulticlassHinge",
        MulticlassHinge,
        lambda C: MulticlassHinge(),
        labels,
        SCORES,
        WRONG_LABELS,
    ),
    LossCase(
        "MulticlassHinge, classes weighted",
        MulticlassHinge,
        lambda C: MulticlassHinge(0.7, np.linspace(0.5, 2, C)),
        labels,
        SCORES,
        WRONG_LABELS,
    ),
    LossCase(
        "BinaryCrossEntropy",
        BinaryCrossEntropy,
        lambda C: BinaryCrossEntropy(),
        bits,
        ((4, 3), (5,), (6, 1)),
        (((4, 3), np.zeros(4, int)), ((4,), np.array([0, 1, 1, 2]))),
    ),
    LossCase(
        "MSE",
        MSE,
        lambda C: MSE(),
        targets,
        ((4, 3), (5,), (2, 3, 4)),
        (((4, 3), np.zeros(4)), ((4, 3), np.zeros((3, 4)))),
    ),
]

PENALTIES = {L2: lambda W: W * W, L1: abs}


# -- optimizers --------------------------------------------------------------------------


@dataclass(frozen=True)
class OptimizerCase:
    name: str
    kind: type
    make: Callable[[], Any]


OPTIMIZERS = [
    OptimizerCase("SGD", SGD, lambda: SGD(lr=0.1)),
    OptimizerCase("SGD, momentum", SGD, lambda: SGD(lr=0.05, momentum=0.9)),
    OptimizerCase("SGD, Nesterov", SGD, lambda: SGD(lr=0.05, momentum=0.9, nesterov=True)),
    OptimizerCase("RMSProp", RMSProp, lambda: RMSProp(lr=0.01)),
    OptimizerCase("Adam", Adam, lambda: Adam(lr=0.1)),
    OptimizerCase("AdamW", AdamW, lambda: AdamW(lr=0.1)),
]

WHOLE_SET_OPTIMIZERS = {LBFGS: lambda: LBFGS()}

SCHEDULES = {
    Constant: lambda: Constant(),
    StepDecay: lambda: StepDecay(every=3, factor=0.5),
    ExponentialDecay: lambda: ExponentialDecay(0.9),
    CosineDecay: lambda: CosineDecay(10, warmup=2, final=0.1),
    PlateauDecay: lambda: PlateauDecay(),
}
