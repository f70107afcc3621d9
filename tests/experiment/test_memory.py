"""The memory of a network, counted beforehand, beside that of the network itself."""

import tracemalloc
from pathlib import Path

import pytest
import scipy.optimize  # noqa: F401  its modules are not to be measured

import solver
from experiment import schema
from experiment.build import build
from experiment.config import read
from experiment.errors import ConfigError
from experiment.memory import Size, needed, size_of


@pytest.mark.parametrize("path", sorted(Path("configs").glob("*.toml")), ids=lambda path: path.stem)
def test_at_least_the_parameters_that_there_are(path: Path) -> None:
    parts = build(read(path))
    size = size_of(parts.config.net, parts.sets.train.n_features, parts.outputs)
    assert parts.objective.theta.size <= size.parameters <= 1.05 * parts.objective.theta.size + 10


def test_by_hand() -> None:
    """5 features: 5·7 + 7, then 7·3 + 3, and one each for reading; 7 + 7 + 3 outputs."""
    net = schema.Net(hidden=[7])
    assert size_of(net, 5, 3) == Size(42 + 24 + 3, 17)


def test_concatenation_doubles() -> None:
    nodes: list[schema.AnyNode] = [schema.ConcatNode(name="n0", inputs=["x", "x"])]
    nodes += [schema.ConcatNode(name=f"n{i}", inputs=[f"n{i - 1}"] * 2) for i in range(1, 100)]
    nodes.append(schema.LinearLayer(name="scores", input="n99"))
    assert size_of(schema.Net(nodes=nodes), 3, 10).parameters > 3 * 2**100 * 10


@pytest.mark.parametrize(
    "settings",
    [
        ["net.hidden=[1000]"],
        ["net.hidden=[20, 20]", "net.activation=maxout"],
        ["net.hidden=[150, 150]", 'optim={name="adam"}'],
        ["net.hidden=[500]", "solver.batch_size=1200"],
        ["net.hidden=[50]", 'optim={name="lbfgs", history=100}'],
        ["net.hidden=[500]", "net.dtype=float64", "net.normalization=batch_norm"],
    ],
    ids=lambda settings: " ".join(settings),
)
def test_training_takes_no_more_than_was_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str]
) -> None:
    """Beyond what the same training takes with hardly a network, which is the data's."""
    monkeypatch.setattr("experiment.plots.available", lambda: False)

    def peak(*more: str) -> int:
        arguments = ["--config", "configs/digits_2layer.toml", "--quiet"]
        for setting in ("solver.epochs=1", *more):
            arguments += ["--set", setting]
        tracemalloc.start()
        assert solver.main([*arguments, "--out", str(tmp_path / str(len(more)))]) == 0
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    alone = peak("net.hidden=[1]")
    taken = peak(*settings, "solver.seed=0") - alone
    parts = build(read("configs/digits_2layer.toml", settings))
    assert taken < needed(parts.config, parts.sets, parts.outputs) < 10 * taken + 10e6


def test_what_is_too_much_is_told_before_it_is_taken() -> None:
    """6 copies of 225 million parameters, 4 of 1,024 times 6 million outputs, 4 bytes each."""
    config = read("configs/digits_2layer.toml", ["net.hidden=[3000000]"])
    tracemalloc.start()
    with pytest.raises(
        ConfigError,
        match=r"needs about 103.7 GB \(225,000,\d+ parameters, .*memory_limit is 1 GB",
    ):
        build(config)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10e6
