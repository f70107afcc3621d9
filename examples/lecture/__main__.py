"""All of the lecture's systems, 1 to 19, in its order."""

import sys

from examples.lecture import (
    activations,
    alexnet,
    capacity,
    circuit,
    feed_forward,
    flat_neuron,
    flat_svm,
    flat_two_layers,
    gate_patterns,
    jacobian_memory,
    linear_classifier,
    matrix_example,
    matrix_multiply,
    modular,
    neuron,
    no_activation,
    random_wiring,
    sigmoid_neuron,
    squared_norm,
    three_layers,
    total_loss,
    turing_machine,
    twenty_lines,
    two_layers,
    vector_relu,
)
from examples.lecture.show import present, run

LECTURE = {
    1: [linear_classifier],
    2: [two_layers],
    3: [three_layers],
    4: [activations],
    5: [no_activation],
    6: [feed_forward, neuron],
    7: [twenty_lines],
    8: [capacity],
    9: [random_wiring],
    10: [total_loss],
    11: [alexnet, turing_machine],
    12: [circuit, sigmoid_neuron],
    13: [gate_patterns],
    14: [flat_neuron, flat_svm, flat_two_layers],
    15: [modular],
    16: [vector_relu],
    17: [matrix_multiply, jacobian_memory],
    18: [squared_norm],
    19: [matrix_example],
}


def show_all(folder):
    for number, modules in LECTURE.items():
        for module in modules:
            title = module.__doc__.strip().splitlines()[0].removesuffix(".")
            script = module.__name__.rpartition(".")[2]
            print(f"\n== {number}. {title}   [{script}]\n", flush=True)
            present(module.show, getattr(module, "draw", None), folder)


if __name__ == "__main__":
    sys.exit(run(__doc__, show_all))
