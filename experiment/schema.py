"""What a configuration file may say: its sections, keys, types and ranges."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from data.files import MAX_BYTES

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, lt=1)]
Share = Annotated[float, Meta(gt=0, lt=1)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Finite = Annotated[float, Meta(ge=-1e9, le=1e9)]
Count = Annotated[int, Meta(ge=1, le=2**31)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Section(Struct, forbid_unknown_fields=True, kw_only=True):
    """A table of the file; an unknown key is an error."""


# -- [data] ------------------------------------------------------------------------------


class DataSection(Section, tag_field="name"):
    """What every data set has: how it is split, and whether it is standardized."""

    validation: Fraction = 0.15
    test: Fraction = 0.15
    split_seed: Seed = 0
    standardize: bool = True


class Digits(DataSection, tag="digits"):
    """The 1,797 handwritten digits of 8×8 pixels in the repository."""


class Toy(DataSection):
    """A generated set of points in the plane."""

    samples: Annotated[int, Meta(ge=10, le=1_000_000)] = 600
    noise: NotNegative = 0.1
    seed: Seed = 0


class Spiral(Toy, tag="spiral"):
    """`turn` is the angle, in radians, by which an arm turns."""

    classes: Annotated[int, Meta(ge=2, le=100)] = 2
    turn: Annotated[float, Meta(ge=-100, le=100)] = 4.0


class Circle(Toy, tag="circle"):
    pass


class Moons(Toy, tag="moons"):
    pass


class Xor(Toy, tag="xor"):
    pass


class Blobs(Toy, tag="blobs"):
    classes: Annotated[int, Meta(ge=2, le=100)] = 3
    noise: NotNegative = 0.3


class FileSection(DataSection, kw_only=True):
    """What every file has: where it is, and the most memory that it may ask for when read."""

    path: str
    max_bytes: Annotated[int, Meta(ge=1, le=2**50)] = MAX_BYTES


class Csv(FileSection, tag="csv", kw_only=True):
    """A table of text; `target` is the name or the number of the label's column."""

    target: str | int = -1
    delimiter: str = ","
    header: bool | None = None


class Npy(FileSection, tag="npy", kw_only=True):
    """Arrays of NumPy: `path` and `labels` two .npy files, or `path` one .npz with x and y.

    `mapped`: samples stay in their .npy file until they are in a batch.
    """

    labels: str | None = None
    mapped: bool = False


class Idx(FileSection, tag="idx", kw_only=True):
    """MNIST's format: a file of images and one of labels, plain or .gz.

    With `test_path` and `test_labels`, the test set of its own, which then is not split off.
    """

    labels: str
    test_path: str | None = None
    test_labels: str | None = None


class Cifar10(FileSection, tag="cifar10", kw_only=True):
    """A folder of CIFAR-10, in its binary or its Python version, with a test set of its own."""

    own_test: bool = True


Data = Digits | Spiral | Circle | Moons | Xor | Blobs | Csv | Npy | Idx | Cifar10

# -- [net] -------------------------------------------------------------------------------

ActivationName = Literal["relu", "leaky_relu", "elu", "sigmoid", "tanh", "maxout"]
Init = Literal["he", "xavier"] | Annotated[float, Meta(ge=0, le=1000)]


class LayerSection(Section, tag_field="type", kw_only=True):
    """One layer of `net.layers`, or one node of `net.nodes`, which has a name and inputs."""

    name: str | None = None
    input: str | None = None
    inputs: list[str] | None = None


class LinearLayer(LayerSection, tag="linear"):
    """Without `units`, as many as there are classes: the last layer."""

    units: Count | None = None
    init: Init = "he"
    bias: bool = True


class MaxoutLayer(LayerSection, tag="maxout"):
    units: Count | None = None
    pieces: Annotated[int, Meta(ge=2, le=1000)] = 2
    init: Init = "he"


class ReLULayer(LayerSection, tag="relu"):
    pass


class LeakyReLULayer(LayerSection, tag="leaky_relu"):
    slope: Fraction = 0.1


class ELULayer(LayerSection, tag="elu"):
    alpha: Positive = 1.0


class SigmoidLayer(LayerSection, tag="sigmoid"):
    pass


class TanhLayer(LayerSection, tag="tanh"):
    pass


class SoftmaxLayer(LayerSection, tag="softmax"):
    pass


class DropoutLayer(LayerSection, tag="dropout"):
    drop: Fraction = 0.5


class BatchNormLayer(LayerSection, tag="batch_norm"):
    pass


class LayerNormLayer(LayerSection, tag="layer_norm"):
    pass


class FlattenLayer(LayerSection, tag="flatten"):
    pass


AnyLayer = (
    LinearLayer
    | MaxoutLayer
    | ReLULayer
    | LeakyReLULayer
    | ELULayer
    | SigmoidLayer
    | TanhLayer
    | SoftmaxLayer
    | DropoutLayer
    | BatchNormLayer
    | LayerNormLayer
    | FlattenLayer
)


class AddNode(LayerSection, tag="add"):
    pass


class SubtractNode(LayerSection, tag="subtract"):
    pass


class MultiplyNode(LayerSection, tag="multiply"):
    pass


class MaxNode(LayerSection, tag="max"):
    pass


class ConcatNode(LayerSection, tag="concat"):
    """The inputs' features side by side."""


class WeightedSumNode(LayerSection, tag="weighted_sum"):
    """A sum with learned weights in (0, 1)."""


class ScaleNode(LayerSection, tag="scale"):
    """Multiplication by the constant `a`."""

    a: Finite = 1.0


Joining = AddNode | SubtractNode | MultiplyNode | MaxNode | ConcatNode | WeightedSumNode
AnyNode = AnyLayer | Joining | ScaleNode


class RandomSection(Section, tag_field="generator"):
    """A randomly wired network (Xie et al. 2019); needs the extra `graphs`.

    Each of `nodes` nodes is a weighted sum of what it reads, ReLU, Linear of `units`.
    """

    nodes: Annotated[int, Meta(ge=2, le=1000)] = 12
    units: Count = 32
    seed: Seed = 0


class WattsStrogatz(RandomSection, tag="watts_strogatz"):
    """A ring of nodes with `neighbors` each, an edge rewired with probability `rewire`."""

    neighbors: Annotated[int, Meta(ge=2, le=1000)] = 4
    rewire: Probability = 0.75


class ErdosRenyi(RandomSection, tag="erdos_renyi"):
    """Every edge with the same probability."""

    edge: Probability = 0.2


class BarabasiAlbert(RandomSection, tag="barabasi_albert"):
    """Nodes come one by one, each with `edges` edges, to those that have many sooner."""

    edges: Annotated[int, Meta(ge=1, le=1000)] = 3


Random = WattsStrogatz | ErdosRenyi | BarabasiAlbert


class Net(Section):
    """`hidden` and what goes with it; or `layers` written out; or a graph: `nodes` or `random`.

    A node reads other nodes by name, or the network's input, which is called x. `output` is the
    node with the scores, by default the last.
    """

    hidden: list[Count] | None = None
    activation: ActivationName | None = None
    normalization: Literal["batch_norm", "layer_norm"] | None = None
    dropout: Fraction | None = None
    init: Init | None = None
    layers: list[AnyLayer] | None = None
    nodes: list[AnyNode] | None = None
    output: str | None = None
    random: Random | None = None
    dtype: Literal["float32", "float64"] = "float32"


# -- [loss] ------------------------------------------------------------------------------


class LossSection(Section, tag_field="name"):
    """The penalties' strengths: `l2` is the λ of λ Σ W²."""

    l2: NotNegative = 0.0
    l1: NotNegative = 0.0


class Softmax(LossSection, tag="softmax"):
    balanced: bool = False


class Hinge(LossSection, tag="hinge"):
    delta: Positive = 1.0
    balanced: bool = False


class Binary(LossSection, tag="binary"):
    balanced: bool = False


class MeanSquared(LossSection, tag="mse"):
    pass


Loss = Softmax | Hinge | Binary | MeanSquared

# -- [optim] -----------------------------------------------------------------------------


class ScheduleSection(Section, tag_field="name"):
    pass


class ConstantRate(ScheduleSection, tag="constant"):
    pass


class StepRate(ScheduleSection, tag="step", kw_only=True):
    every: Annotated[float, Meta(ge=1e-3)]
    factor: Share = 0.1


class ExponentialRate(ScheduleSection, tag="exponential"):
    factor: Share = 0.95


class CosineRate(ScheduleSection, tag="cosine"):
    """`warmup` is in epochs; `final` the part of the learning rate that is left at the end."""

    warmup: NotNegative = 0.0
    final: Fraction = 0.0


class PlateauRate(ScheduleSection, tag="plateau"):
    factor: Share = 0.5
    patience: Count = 5


Schedule = ConstantRate | StepRate | ExponentialRate | CosineRate | PlateauRate


class OptimSection(Section, tag_field="name"):
    pass


class RateSection(OptimSection, kw_only=True):
    lr: Positive
    schedule: Schedule = field(default_factory=ConstantRate)
    clip_norm: Positive | None = None


class Sgd(RateSection, tag="sgd", kw_only=True):
    momentum: Fraction = 0.0
    nesterov: bool = False


class RmsProp(RateSection, tag="rmsprop", kw_only=True):
    lr: Positive = 1e-3
    decay: Fraction = 0.99
    epsilon: Positive = 1e-8


class AdamRule(RateSection, tag="adam", kw_only=True):
    lr: Positive = 1e-3
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    epsilon: Positive = 1e-8


class AdamWRule(AdamRule, tag="adamw", kw_only=True):
    weight_decay: NotNegative = 0.01


class Lbfgs(OptimSection, tag="lbfgs"):
    """On the whole training set at once; `solver.epochs` bounds its iterations."""

    history: Count = 10


Optim = Sgd | RmsProp | AdamRule | AdamWRule | Lbfgs

# -- [solver] and the whole ----------------------------------------------------------------


class SolverSection(Section):
    """`checkpoint_every`: "1 epoch", "500 steps", "30 seconds", "2 minutes" or "never"."""

    epochs: Count = 20
    batch_size: Count = 64
    seed: Seed = 0
    patience: Count | None = None
    overfit: Count | None = None
    threads: Annotated[int, Meta(ge=1, le=1024)] | None = None
    checkpoint_every: Annotated[str, Meta(max_length=40)] = "1 minute"
    memory_limit: Positive = 1.0  # GB that network, optimizer and batches may need


class Config(Section):
    data: Data
    net: Net
    loss: Loss
    optim: Optim
    solver: SolverSection = field(default_factory=SolverSection)
