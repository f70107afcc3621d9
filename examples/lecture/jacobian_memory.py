"""The Jacobians of a matrix multiply, N = 64, D = M = 4096: must work with them implicitly."""

import tracemalloc

import numpy as np

from examples.lecture.show import script
from layers import MatMul

N, D, M = 64, 4096, 4096
BYTES = 4  # of a float32
GB = 2**30


def values():
    """Bytes of each explicit Jacobian, and the most that forward and backward held at once."""
    explicit = {"dy/dx": (N * D) * (N * M) * BYTES, "dy/dw": (D * M) * (N * M) * BYTES}
    rng = np.random.default_rng(0)
    tracemalloc.start()
    try:
        x = rng.standard_normal((N, D), np.float32)
        w = rng.standard_normal((D, M), np.float32)
        gate = MatMul()
        y = gate.forward(x, w)
        (dx, dw), _ = gate.backward(y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return {"explicit": explicit, "peak": peak,
            "arrays": {"x": x, "w": w, "y": y, "dx": dx, "dw": dw}}  # fmt: skip


def show():
    v = values()
    x, w = v["explicit"].values()
    print("For a neural net we may have N = 64, D = M = 4096 (float32)")
    print(f"dy/dx: [(N×D)×(N×M)]  {x / GB:9,.0f} GB")
    print(f"dy/dw: [(D×M)×(N×M)]  {w / GB:9,.0f} GB   (the slide says 256 GB of each)")
    print("Implicitly, dL/dx = (dL/dy) wᵀ and dL/dw = xᵀ (dL/dy):")
    for name, array in v["arrays"].items():
        print(f"  {name:3} {array.shape!s:13} {array.nbytes / 2**20:5.0f} MB")
    print(f"  in all, at the most        {v['peak'] / 2**20:5.0f} MB")


if __name__ == "__main__":
    script(__doc__, show)
