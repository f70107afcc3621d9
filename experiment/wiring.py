"""Randomly wired networks, written out as the nodes of a graph.

Source: Xie, Kirillov, Girshick and He, "Exploring randomly wired neural networks for image
recognition" (2019). A random undirected graph becomes a network: every edge leads from the
lower to the higher number; a node is a weighted sum of what it reads, ReLU, Linear; nodes that
read nothing read the input's Linear, and the mean of those that nobody reads goes to the scores.
"""

from __future__ import annotations

from typing import Any

from experiment import schema
from experiment.errors import ConfigError
from experiment.graph import INPUT

STEM, SCORES = "stem", "scores"


def randomly_wired(section: schema.Random) -> list[schema.AnyNode]:
    """The nodes, named so that `node3` is the outcome of node 3."""
    sources: dict[int, list[int]] = {i: [] for i in range(section.nodes)}
    for one, other in _edges(section):
        sources[max(one, other)].append(min(one, other))
    plan: list[Any] = [schema.LinearLayer(name=STEM, input=INPUT, units=section.units)]
    for i, numbers in sources.items():
        joined = _join(plan, f"sum{i}", [f"node{j}" for j in sorted(numbers)] or [STEM])
        plan.append(schema.ReLULayer(name=f"relu{i}", input=joined))
        plan.append(schema.LinearLayer(name=f"node{i}", input=f"relu{i}", units=section.units))
    read = {j for numbers in sources.values() for j in numbers}
    ends = [f"node{i}" for i in range(section.nodes) if i not in read]
    last = ends[0]
    if len(ends) > 1:
        plan.append(schema.AddNode(name="ends", inputs=ends))
        plan.append(schema.ScaleNode(name="mean", input="ends", a=1 / len(ends)))
        last = "mean"
    plan.append(schema.ReLULayer(name="relu", input=last))
    plan.append(schema.LinearLayer(name=SCORES, input="relu"))
    return plan


def _join(plan: list[Any], name: str, names: list[str]) -> str:
    """What a node reads, made one."""
    if len(names) == 1:
        return names[0]
    plan.append(schema.WeightedSumNode(name=name, inputs=names))
    return name


def _edges(section: schema.Random) -> list[tuple[int, int]]:
    try:
        import networkx
    except ImportError:
        raise ConfigError(
            "net.random: needs networkx, which is in the extra `graphs`: "
            "pip install 'handgrad[graphs]'"
        ) from None
    n, seed = section.nodes, section.seed % 2**32
    match section:
        case schema.WattsStrogatz():
            _check("neighbors", section.neighbors, n)
            graph = networkx.watts_strogatz_graph(n, section.neighbors, section.rewire, seed=seed)
        case schema.BarabasiAlbert():
            _check("edges", section.edges, n)
            graph = networkx.barabasi_albert_graph(n, section.edges, seed=seed)
        case _:
            graph = networkx.erdos_renyi_graph(n, section.edge, seed=seed)
    return [(int(one), int(other)) for one, other in graph.edges]


def _check(key: str, value: int, nodes: int) -> None:
    if value >= nodes:
        raise ConfigError(f"net.random.{key}: is {value}, expected fewer than the {nodes} nodes")
