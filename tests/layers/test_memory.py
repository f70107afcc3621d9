"""The lecture's large matrix multiply, N = 64, D = M = 4096: its Jacobians are never formed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LIMIT = 400e6  # bytes resident, where one explicit Jacobian would take 256 GB

GATE = """
x = rng.standard_normal((64, 4096), np.float32)
w = rng.standard_normal((4096, 4096), np.float32)
layer = MatMul()
y = layer.forward(x, w)
(dx, dw), _ = layer.backward(y)
"""
LAYER = """
x = rng.standard_normal((64, 4096), np.float32)
layer = Linear(4096, 4096, rng=0)
y = layer.forward(x)
dx, grads = layer.backward(y)
w, dw = layer.params["W"], grads["W"]
"""
GRAPH = """
x = rng.standard_normal((64, 4096), np.float32)
w = rng.standard_normal((4096, 4096), np.float32)
graph = Graph()
a, b = graph.inputs("x", "w")
graph.output(a @ b)
y = graph.forward(x, w)
(dx, dw), _ = graph.backward(y)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("work", [GATE, LAYER, GRAPH], ids=["gate", "layer", "graph"])
def test_forward_and_backward_peak_under_400_mb(work):
    """VmHWM: the most that the process itself had resident, what pytest held not included."""
    code = f"""
import numpy as np
from layers import Graph, Linear, MatMul
rng = np.random.default_rng(0)
{work}
assert y.dtype == dx.dtype == dw.dtype == np.float32
assert np.allclose(y[3, :5], x[3].astype(float) @ w[:, :5], rtol=1e-3, atol=1e-2)
assert np.allclose(dx[3, :5], y[3].astype(float) @ w[:5].T, rtol=1e-3, atol=1)
assert np.allclose(dw[:5, 3], x[:, :5].T.astype(float) @ y[:, 3], rtol=1e-3, atol=1e-1)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(1024 * int(peak.split()[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    peak = int(done.stdout)
    assert 64e6 < peak < LIMIT, f"{peak / 1e6:.0f} MB"
