"""Graphs nobody would differentiate on paper: AlexNet."""

from examples.lecture.show import script

# Krizhevsky, Sutskever and Hinton 2012: name, neurons, and what each of them reads. The second,
# fourth and fifth convolution read half of the channels below: the network stood on two GPUs.
CONVOLUTIONS = (("conv1", 96, 11 * 11 * 3), ("conv2", 256, 5 * 5 * 48), ("conv3", 384, 3 * 3 * 256),
                ("conv4", 384, 3 * 3 * 192), ("conv5", 256, 3 * 3 * 192))  # fmt: skip
FULLY_CONNECTED = (("fc6", 4096, 6 * 6 * 256), ("fc7", 4096, 4096), ("fc8", 1000, 4096))


def values():
    """Weights and biases of each node that has any."""
    return {name: units * reads + units for name, units, reads in CONVOLUTIONS + FULLY_CONNECTED}


def show():
    print("input image → conv1 → conv2 → conv3 → conv4 → conv5 → fc6 → fc7 → fc8 → loss")
    for name, units, reads in CONVOLUTIONS + FULLY_CONNECTED:
        kind = "filters" if name.startswith("conv") else "neurons"
        print(f"  {name}  {units:5} {kind} that read {reads:5} numbers {values()[name]:12,}")
    print(f"  ∂L/∂ of each of its parameters, at every step {sum(values().values()):12,}")


if __name__ == "__main__":
    script(__doc__, show)
