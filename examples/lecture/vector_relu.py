"""Vector derivatives: ReLU's Jacobian written out, which backprop never forms."""

import numpy as np

from examples.lecture.show import script
from layers import ReLU


def values():
    """The slide's x and upstream gradient; the Jacobian, column by column; three times dL/dx."""
    x, upstream = np.array([1.0, -2, 3, -1]), np.array([4.0, -1, 5, 9])
    layer = ReLU()
    y = layer.forward(x)
    jacobian = np.stack([layer.backward(e)[0] for e in np.eye(4)], axis=1)  # [n, m] = ∂y_m/∂x_n
    h = 1e-6
    differences = np.stack([(np.maximum(0, x + h * e) - np.maximum(0, x - h * e)) / (2 * h)
                            for e in np.eye(4)])  # fmt: skip
    mask = (x > 0).astype(float)
    return {"x": x, "y": y, "upstream": upstream, "jacobian": jacobian, "mask": mask,
            "differences": differences, "by jacobian": jacobian @ upstream,
            "by mask": mask * upstream, "dx": layer.backward(upstream)[0]}  # fmt: skip


def show():
    v = values()
    print("f(x) = max(0, x), elementwise\n")
    print(" x     y      [dy/dx]       [dL/dy]   [dL/dx]     mask   mask · dL/dy")
    for n in range(4):
        x, y, upstream, product, mask, masked = (
            f"[{v[key][n] + 0.0:2g} ]"
            for key in ("x", "y", "upstream", "by jacobian", "mask", "by mask")
        )
        row = " ".join(f"{entry:g}" for entry in v["jacobian"][n])
        print(f"{x} {y}  [ {row} ]  {upstream}  =  {product}      {mask}  {masked}")
    off = abs(v["jacobian"] - np.diag(v["mask"])).max()
    print(f"\nJacobian − diag(mask): {off:g};  Jacobian − differences of f: "
          f"{abs(v['jacobian'] - v['differences']).max():.0e}")  # fmt: skip
    print(f"Jacobian: 4 × 4 numbers; mask: 4 bytes.  ReLU.backward: {v['dx'] + 0.0}")


if __name__ == "__main__":
    script(__doc__, show)
