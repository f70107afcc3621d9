"""Patterns in gradient flow: add distributes, mul swaps, copy adds, max routes."""

from examples.lecture.show import script
from layers import Add, Copy, Max, Multiply


def passed(gate, inputs, upstream):
    """Inputs, output, upstream gradient, and the gradients that come out, as numbers."""
    y = gate.forward(*inputs)
    dx, _ = gate.backward(upstream)
    numbers = [tuple(map(float, part)) if isinstance(part, tuple) else (float(part),)
               for part in (y, upstream, dx)]  # fmt: skip
    return inputs, *numbers


def values():
    return {
        "add gate: gradient distributor": passed(Add(), (3.0, 4.0), 2.0),
        "mul gate: “swap multiplier”": passed(Multiply(), (2.0, 3.0), 5.0),
        "copy gate: gradient adder": passed(Copy(2), (7.0,), (4.0, 2.0)),
        "max gate: gradient router": passed(Max(), (4.0, 5.0), 9.0),
    }


def show():
    print(f"{'':32}inputs     output     upstream    gradients")
    for name, parts in values().items():
        cells = [", ".join(f"{number:g}" for number in part) for part in parts]
        print(f"{name:32}" + "".join(f"{cell:11}" for cell in cells[:3]) + " " + cells[3])
    print("mul: 5 · 3 = 15 and 5 · 2 = 10;  copy: 4 + 2 = 6;  max: 5 won, it gets all of 9")


if __name__ == "__main__":
    script(__doc__, show)
