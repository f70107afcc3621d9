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
    Add,
    BatchNorm,
    Concat,
    Copy,
    Divide,
    Dropout,
    Exp,
    Flatten,
    Graph,
    LayerNorm,
    LeakyReLU,
    Linear,
    Log,
    MatMul,
    Max,
    Maxout,
    Mean,
    Multiply,
    Power,
    Reciprocal,
    ReLU,
    Reshape,
    Scale,
    Sequential,
    Shift,
    Sigmoid,
    Softmax,
    SquaredNorm,
    Standardize,
    Subtract,
    Sum,
    Tanh,
    Transpose,
    WeightedSum,
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
Shapes = tuple[Any, ...]  # of one array; of several: a tuple of them


def names(cases: Iterable[Any]) -> list[str]:
    return [case.name for case in cases]


# -- layers ------------------------------------------------------------------------------


@dataclass(frozen=True)
class LayerCase:
    """A layer to try.

    make(shape, dtype, seed): the layer for inputs of this shape
    out(shape): the shape of its output, of each if several
    shapes: shapes of its input, of each if several
    wrong: shapes that a layer made for shapes[0] must refuse
    least: the smallest batch;  axes: how many axes an input may have, None if only `shapes` fit
    above_zero: whether it takes only that
    """

    name: str
    kind: type
    make: Callable[[Any, Any, int], Any]
    out: Callable[[Any], Shapes]
    shapes: tuple[Shapes, ...]
    wrong: tuple[Shapes, ...] = ()
    least: int = 0
    axes: tuple[int, int] | None = None
    above_zero: bool = False

    def xs(self, shape: Shapes, dtype: Any = np.float64, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Its inputs, always as a tuple."""
        rng = np.random.default_rng(seed)
        drawn = [rng.standard_normal(one).astype(dtype) for one in each(shape)]
        return tuple(np.abs(x) + np.asarray(0.1, dtype) if self.above_zero else x for x in drawn)

    def dout(self, shape: Shapes, dtype: Any = np.float64, seed: int = 2) -> Any:
        """A gradient for its output, a tuple if several."""
        rng, out = np.random.default_rng(seed), self.out(shape)
        douts = tuple(np.asarray(rng.standard_normal(one), dtype) for one in each(out))
        return douts if are_several(out) else douts[0]


def are_several(shape: Shapes) -> bool:
    return len(shape) > 0 and isinstance(shape[0], tuple)


def each(shape: Shapes) -> tuple[Shape, ...]:
    return shape if are_several(shape) else (shape,)


def same(shape: Shape) -> Shape:
    return shape


def elementwise(name: str, make: Callable[[], Any], **more: Any) -> LayerCase:
    return LayerCase(
        name,
        type(make()),
        lambda shape, dtype, seed: make(),
        same,
        ((4, 3), (5,), (2, 3, 4), (1, 1)),
        axes=(1, 4),
        **more,
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


def gate(make: Callable[[], Any], *pairs: tuple[Shapes, Shapes], **more: Any) -> LayerCase:
    """A gate: pairs of what goes in and what comes out."""
    outs = dict(pairs)
    made = make()
    name = f"{type(made).__name__} {getattr(made, 'axis', '')}".strip()
    shapes = tuple(shape for shape, _ in pairs)
    return LayerCase(
        name,
        type(made),
        lambda shape, dtype, seed: make(),
        lambda shape: outs[shape],
        shapes,
        **more,
    )


def broadcasting(make: Callable[[], Any], **more: Any) -> LayerCase:
    """A gate of two inputs that broadcast."""
    return gate(
        make,
        (((4, 3), (4, 3)), (4, 3)),
        (((4, 3), (3,)), (4, 3)),
        (((2, 1, 3), (4, 1)), (2, 4, 3)),
        (((), (2, 2)), (2, 2)),
        wrong=(((4, 3), (2, 3)), ((4, 3), (4,))),
        **more,
    )


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


def _graph(shape: Any, dtype: Any, seed: int) -> Graph:
    """Two inputs, a wire read twice, gates, layers, a layer at two nodes, two outputs."""
    rng, graph = np.random.default_rng(seed), Graph()
    x, z = graph.inputs("x", "z")
    shared = Linear(shape[0][-1], 4, rng=rng, dtype=dtype)
    one, two = graph.add(shared, x, name="shared"), graph.add(shared, x * z, name="again")
    hidden = graph.add(Dropout(0.25, rng=rng), one.tanh() * two + one)
    graph.output(graph.add(Linear(4, 3, rng=rng, dtype=dtype), hidden, name="scores"), two)
    return biased(graph, seed)


def _chain_of_gates(shape: Any, dtype: Any, seed: int) -> Graph:
    """The lecture's sigmoid neuron, gate by gate."""
    graph = Graph()
    x = graph.input("x")
    1 / ((-x).exp() + 1)
    return graph


LAYERS = [
    LayerCase(
        "Linear",
        Linear,
        lambda shape, dtype, seed: biased(Linear(shape[-1], 5, rng=seed, dtype=dtype), seed),
        to(5),
        MATRICES,
        NOT_THREE,
        axes=(2, 2),
    ),
    LayerCase(
        "Linear without b",
        Linear,
        lambda shape, dtype, seed: Linear(shape[-1], 1, rng=seed, bias=False, dtype=dtype),
        to(1),
        MATRICES,
        NOT_THREE,
        axes=(2, 2),
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
            axes=(2, 2),
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
        axes=(2, 2),
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
        axes=(2, 2),
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
        axes=(2, 2),
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
    LayerCase(
        "WeightedSum",
        WeightedSum,
        lambda shape, dtype, seed: lively(WeightedSum(len(shape), dtype=dtype), dtype, seed),
        lambda shape: shape[0],
        (((4, 3), (4, 3), (4, 3)), ((5,),), ((2, 3, 4), (2, 3, 4))),
        (((4, 3), (4, 3)), ((4, 3), (4, 3), (3,))),
    ),
    LayerCase(
        "Graph",
        Graph,
        _graph,
        lambda shape: ((shape[0][0], 3), (shape[0][0], 4)),
        (((5, 3), (5, 3)), ((1, 2), (1, 2)), ((4, 2), (2,))),
    ),
    LayerCase(
        "Graph of gates", Graph, _chain_of_gates, same, ((4, 3), (5,), (2, 3, 4)), axes=(1, 3)
    ),
    broadcasting(Add),
    gate(Add, (((4, 3),), (4, 3)), (((4, 3), (3,), (), (2, 1, 3)), (2, 4, 3))),
    broadcasting(Subtract),
    broadcasting(Multiply),
    broadcasting(Divide, above_zero=True),
    broadcasting(Max),
    gate(Max, (((4, 3),), (4, 3)), (((4, 3), (3,), (), (2, 1, 3)), (2, 4, 3))),
    gate(Copy, ((4, 3), ((4, 3), (4, 3)))),
    gate(lambda: Copy(3), ((5,), ((5,), (5,), (5,)))),
    elementwise("Scale", lambda: Scale(-1.5)),
    elementwise("Shift", lambda: Shift(-1.5)),
    elementwise("Exp", Exp),
    elementwise("Log", Log, above_zero=True),
    elementwise("Reciprocal", Reciprocal, above_zero=True),
    elementwise("Power 2", lambda: Power(2)),
    elementwise("Power -0.5", lambda: Power(-0.5), above_zero=True),
    elementwise("Power 0", lambda: Power(0)),
    gate(
        MatMul,
        (((4, 3), (3, 5)), (4, 5)),
        (((2, 4, 3), (3, 5)), (2, 4, 5)),
        (((4, 3), (2, 3, 5)), (2, 4, 5)),
        (((3,), (3, 5)), (5,)),
        (((4, 3), (3,)), (4,)),
        (((3,), (3,)), ()),
        wrong=(((4, 3), (4, 5)), ((4, 3), (2,)), ((), (3,)), ((2, 4, 3), (3, 3, 5))),
    ),
    gate(Sum, ((4, 3), ()), ((5,), ())),
    gate(lambda: Sum(0), ((4, 3), (3,)), ((5,), ()), wrong=((),)),
    gate(lambda: Sum((0, -1), keepdims=True), ((2, 4, 3), (1, 4, 1)), wrong=((),)),
    gate(Mean, ((4, 3), ()), ((5,), ())),
    gate(lambda: Mean(-1), ((4, 3), (4,)), ((2, 3, 4), (2, 3)), wrong=((),)),
    gate(SquaredNorm, ((4, 3), ()), ((5,), ())),
    gate(Concat, (((4, 3), (4, 2)), (4, 5)), wrong=(((4, 3), (5, 3)), ((4, 3), (3,)))),
    gate(lambda: Concat(0), (((4, 3), (1, 3), (2, 3)), (7, 3))),
    gate(lambda: Reshape((2, -1)), ((4, 3), (2, 6)), ((2,), (2, 1)), wrong=((3, 3),)),
    gate(Transpose, ((4, 3), (3, 4)), ((2, 3, 4), (4, 3, 2)), ((5,), (5,))),
    gate(lambda: Transpose((1, 0, 2)), ((2, 3, 4), (3, 2, 4)), wrong=((4, 3),)),
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
