"""Losses: the SVM's, softmax's, R(W), and the total loss."""

import numpy as np

from examples.lecture.show import script
from layers import Linear, ReLU, Sequential
from losses import L2, MulticlassHinge, SoftmaxCrossEntropy
from losses.objective import Objective

W1 = np.array([[1.0, -1.0], [2.0, 0.5], [-1.0, 1.0]])  # (H, D), as on the slides
W2 = np.array([[1.0, 0.0, 2.0], [0.5, 1.0, -1.0], [-1.0, 0.5, 1.0]])  # (C, H)
X = np.array([[1.0, 2.0], [-1.0, 1.0], [2.0, 0.0]])  # (N, D)
Y = np.array([0, 2, 1])
LAMBDA = 0.1


def values():
    """The total loss with each of the two Lᵢ, by the formulas; and what Objective says of it."""
    s = np.maximum(0, X @ W1.T) @ W2.T  # sᵢ = W₂ max(0, W₁ xᵢ), a row an image
    own = s[np.arange(3), Y]
    margins = np.maximum(0, s - own[:, None] + 1)
    margins[np.arange(3), Y] = 0  # the sum is over j ≠ yᵢ
    L_svm = margins.sum(axis=1)
    L_softmax = -np.log(np.exp(own) / np.exp(s).sum(axis=1))
    R1, R2 = np.sum(W1**2), np.sum(W2**2)
    total = [L.sum() / 3 + LAMBDA * R1 + LAMBDA * R2 for L in (L_svm, L_softmax)]

    net = Sequential(Linear(2, 3, rng=0, bias=False), ReLU(), Linear(3, 3, rng=0, bias=False))
    net = net.astype(np.float64)
    net.params["linear1.W"][...], net.params["linear2.W"][...] = W1.T, W2.T
    layers = [Objective(net, loss, [L2(LAMBDA)]).value(X, Y)
              for loss in (MulticlassHinge(), SoftmaxCrossEntropy())]  # fmt: skip
    return {"s": s, "svm": L_svm, "softmax": L_softmax, "R": (R1, R2),
            "total": total, "layers": layers}  # fmt: skip


def show():
    v = values()
    print("s   = W₂ max(0, W₁ x)                    nonlinear score function")
    print("Lᵢ  = Σ_{j≠yᵢ} max(0, s_j − s_yᵢ + 1)    SVM")
    print("Lᵢ  = −log(e^{s_yᵢ} / Σ_j e^{s_j})       softmax")
    print("L   = 1/N Σᵢ Lᵢ + λR(W₁) + λR(W₂),       R(W) = Σ_k W_k²\n")
    print("       s₀     s₁     s₂   yᵢ   Lᵢ (SVM)   Lᵢ (softmax)")
    for s, y, svm, softmax in zip(v["s"], Y, v["svm"], v["softmax"], strict=True):
        print("".join(f"{number:7.2f}" for number in s) + f"{y:5}{svm:11.4f}{softmax:15.4f}")
    print(f"mean over N = 3       {v['svm'].mean():15.4f}{v['softmax'].mean():15.4f}")
    penalty = LAMBDA * sum(v["R"])
    print(f"λR(W₁) + λR(W₂)       {penalty:15.4f}{penalty:15.4f}"
          f"    λ = {LAMBDA}, R = {v['R'][0]:g} and {v['R'][1]:g}")  # fmt: skip
    print(f"L                     {v['total'][0]:15.4f}{v['total'][1]:15.4f}")
    print(f"Objective(net, loss, L2(λ)){v['layers'][0]:10.4f}{v['layers'][1]:15.4f}\n")
    s = v["s"][0]
    print("“Derive on paper” prints the margin with + s_yᵢ, a misprint. The first row, j = 1:")
    print(f"  as printed  s₁ + s₀ + 1 = {s[1] + s[0] + 1:g}")
    print(f"  as it is    s₁ − s₀ + 1 = {s[1] - s[0] + 1:g}")


if __name__ == "__main__":
    script(__doc__, show)
