"""The network that `[net]` describes."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

import layers
from data import Standardize
from experiment import schema
from experiment.errors import ConfigError
from experiment.graph import build_graph
from experiment.layer import build_layer
from experiment.wiring import randomly_wired

STANDARDIZE = "standardize"  # the name of the layer that saved networks begin with
GRAPH = "graph"  # the name of the graph in its network
SATURATING = ("sigmoid", "tanh")  # Xavier's weights suit them, He's the others

ACTIVATION_SECTIONS: dict[str, type[Any]] = {
    "relu": schema.ReLULayer,
    "leaky_relu": schema.LeakyReLULayer,
    "elu": schema.ELULayer,
    "sigmoid": schema.SigmoidLayer,
    "tanh": schema.TanhLayer,
}


def build_net(net: schema.Net, D: int, outputs: int, seed: int) -> layers.Sequential:
    """The network from D features to so many scores; every layer has a random stream of its own."""
    net = resolved(net)
    if net.nodes is not None:
        return layers.Sequential(**{GRAPH: build_graph(net, D, outputs, seed)})
    plan: list[Any] = plan_of(net)
    seeds = np.random.SeedSequence(seed).spawn(len(plan))
    chain: list[layers.Layer] = []
    size = D
    for i, (section, child) in enumerate(zip(plan, seeds, strict=True)):
        layer, size = build_layer(section, size, outputs, np.random.default_rng(child), net.dtype)
        chain.append(layer)
        if i == len(plan) - 1 and size != outputs:
            raise ConfigError(
                f"net.layers[{i}]: the network ends with {size} scores, expected {outputs}; "
                "a last linear layer without units has as many as are needed"
            )
    return layers.Sequential(*chain)


def plan_of(net: schema.Net) -> list[Any]:
    """The sections of all layers, or nodes, in the order in which they are computed."""
    net = resolved(net)
    if net.nodes is not None:
        return list(net.nodes)
    return list(net.layers) if net.layers is not None else _written_out(net)


def resolved(net: schema.Net) -> schema.Net:
    """The section with a random wiring written out as nodes: it means the same for ever."""
    if net.random is None:
        return net
    nodes = randomly_wired(net.random)
    return msgspec.structs.replace(net, random=None, nodes=nodes, output=nodes[-1].name)


def _written_out(net: schema.Net) -> list[Any]:
    """`hidden` and what goes with it as a list of layers."""
    activation = net.activation or "relu"
    init = net.init
    if init is None:
        init = "xavier" if activation in SATURATING else "he"
    plan: list[Any] = []
    for units in net.hidden or ():
        if activation == "maxout":
            plan.append(schema.MaxoutLayer(units=units, init=init))
        else:
            plan.append(schema.LinearLayer(units=units, init=init))
        if net.normalization == "batch_norm":
            plan.append(schema.BatchNormLayer())
        elif net.normalization == "layer_norm":
            plan.append(schema.LayerNormLayer())
        if activation != "maxout":
            plan.append(ACTIVATION_SECTIONS[activation]())
        if net.dropout:
            plan.append(schema.DropoutLayer(drop=net.dropout))
    plan.append(schema.LinearLayer(init=init))
    return plan


def with_standardize(net: layers.Sequential, standardize: Standardize) -> layers.Sequential:
    """The same network, taking raw data: the layers are shared, one is put before them."""
    first = layers.Standardize(standardize.mean, standardize.std, dtype=net.dtype or np.float32)
    return layers.Sequential(**{STANDARDIZE: first}, **net.children)
