"""Randomly wired networks can work too."""

import math

from examples.lecture.on_digits import learn
from examples.lecture.show import has, script
from experiment import schema
from experiment.graph import reads
from experiment.network import build_net, resolved
from optim import Adam

GENERATORS = {
    "Watts–Strogatz": schema.WattsStrogatz(nodes=12, neighbors=4, rewire=0.75, units=64),
    "Erdős–Rényi": schema.ErdosRenyi(nodes=12, edge=0.35, units=64),
    "Barabási–Albert": schema.BarabasiAlbert(nodes=12, edges=3, units=64),
}


def wiring(net):
    """What each node of a resolved network reads: {3: [0, 2], …}; nothing if it is the image."""
    nodes = {node.name: node for node in net.nodes}
    wires = {}
    for i in range(12):
        (joined,) = reads(nodes[f"relu{i}"])  # a node is a weighted sum, ReLU, Linear
        sources = reads(nodes[joined]) if joined.startswith("sum") else [joined]
        wires[i] = [int(name.removeprefix("node")) for name in sources if name != "stem"]
    return wires


def values():
    """For each generator: who reads whom, the parameters, the accuracy on digits."""
    found = {}
    for name, random in GENERATORS.items():
        net = resolved(schema.Net(random=random))
        built = build_net(net, 64, 10, seed=0)
        size = sum(math.prod(array.shape) for array in built.params.values())
        found[name] = wiring(net), size, learn(built, Adam(2e-3), epochs=20)
    return found


def show():
    if not has("networkx", "randomly wired networks"):
        return
    print("A random graph becomes a network: every edge leads from the lower to the higher number;")
    print("a node is a weighted sum of what it reads, ReLU, Linear. Trained on the digits:\n")
    for name, (wires, size, accuracy) in values().items():
        edges = sum(map(len, wires.values()))
        print(f"{name:16} 12 nodes, {edges} edges, {size:,} parameters; ", end="")
        print(f"accuracy {100 * accuracy:.1f} %")
        nodes = [f"{i} ← {', '.join(map(str, js)) if js else 'image'}" for i, js in wires.items()]
        for start in (0, 4, 8):
            print("    " + "".join(f"{node:22}" for node in nodes[start : start + 4]).rstrip())


def draw(folder):
    if not has("networkx", "picture"):
        return []
    import networkx
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.3), layout="constrained")
    for axes, (name, random) in zip(figure.subplots(1, 3), GENERATORS.items(), strict=True):
        wires = wiring(resolved(schema.Net(random=random)))
        graph = networkx.DiGraph([(j, i) for i, js in wires.items() for j in js])
        graph.add_nodes_from(wires)
        networkx.draw(graph, networkx.circular_layout(sorted(graph)), axes, with_labels=True,
                      node_color="white", edgecolors="#333333", edge_color="#1f5fa8",
                      node_size=420, font_size=10)  # fmt: skip
        axes.set_title(name)
        axes.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), aspect="equal")
    figure.savefig(folder / "random_wiring.png", dpi=110)
    return [folder / "random_wiring.png"]


if __name__ == "__main__":
    script(__doc__, show, draw)
