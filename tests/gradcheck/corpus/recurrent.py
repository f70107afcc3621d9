"""Recurrent steps and whole sequences: gradients through time."""

from __future__ import annotations

import numpy as np

from .case import Family
from .points import normal, several

family = Family("recurrent")


def sigmoid(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


@family.right(several((3, 2), (3, 4)))
class RNNStep:
    """h' = tanh(x Wx + h Wh + b)."""

    def __init__(self, D=2, H=4):
        rng = np.random.default_rng(1)
        self.params = {
            "Wx": rng.normal(size=(D, H)),
            "Wh": rng.normal(size=(H, H)) / 2,
            "b": rng.normal(size=H),
        }

    def forward(self, x, h):
        self.x, self.h = x, h
        self.new = np.tanh(x @ self.params["Wx"] + h @ self.params["Wh"] + self.params["b"])
        return self.new

    def backward(self, dout):
        da = dout * self.slope()
        grads = {"Wx": self.x.T @ da, "Wh": self.dWh(da), "b": da.sum(axis=0)}
        return (da @ self.params["Wx"].T, self.dh(da)), grads

    def slope(self):
        return 1 - self.new**2

    def dWh(self, da):
        return self.h.T @ da

    def dh(self, da):
        return da @ self.params["Wh"].T


@family.wrong("transposed", "dx[1]")
class StepWithoutTranspose(RNNStep):
    def dh(self, da):
        return da @ self.params["Wh"]


@family.wrong("wrong-operand", "dWh")
class StepNewStateForOld(RNNStep):
    """h' where h is meant."""

    def dWh(self, da):
        return self.new.T @ da


@family.wrong("transposed", "dWh")
class StepWeightsTransposed(RNNStep):
    def dWh(self, da):
        return da.T @ self.h


@family.wrong("derivative-missing", None)
class StepWithoutSlope(RNNStep):
    def slope(self):
        return 1.0


@family.wrong("derivative-doubled", None)
class StepSlopeTwice(RNNStep):
    def slope(self):
        return (1 - self.new**2) ** 2


@family.wrong(
    "evaluated-at-input",
    None,
    also=("wrong-operand",),
    inputs=several((3, 4), (3, 4)),
    args={"D": 4, "H": 4},
)
class StepSlopeAtInput(RNNStep):
    """1 − x² with the step's input in it."""

    def slope(self):
        return 1 - self.x**2


@family.wrong("evaluated-at-output", None, also=("unexplained",))
class StepSlopeOfOutput(RNNStep):
    def slope(self):
        return 1 - np.tanh(self.new) ** 2


@family.wrong("path-missing", "dx[1]", also=("upstream-ignored",))
class StepStateForgotten(RNNStep):
    def dh(self, da):
        return np.zeros_like(self.h)


@family.wrong("derivative-missing", "dx[1]")
class StepStatePassed(RNNStep):
    """The gradient handed back through time without tanh'."""

    def backward(self, dout):
        (dx, _), grads = super().backward(dout)
        return (dx, dout @ self.params["Wh"].T), grads


@family.wrong("parameter-missing", "dx[1]")
class StepWithoutRecurrentWeight(RNNStep):
    def dh(self, da):
        return da.copy()


@family.right(normal(2, 5, 3))
class RNN:
    """A whole sequence (N, T, D) → all states (N, T, H)."""

    def __init__(self, D=3, H=4):
        rng = np.random.default_rng(2)
        self.params = {"Wx": rng.normal(size=(D, H)), "Wh": rng.normal(size=(H, H)) / 2}

    def forward(self, x):
        N, T, _ = x.shape
        self.x, self.hs = x, [np.zeros((N, len(self.params["Wh"])))]
        for t in range(T):
            a = x[:, t] @ self.params["Wx"] + self.hs[-1] @ self.params["Wh"]
            self.hs.append(np.tanh(a))
        return np.stack(self.hs[1:], axis=1)

    def backward(self, dout):
        dx = np.zeros_like(self.x)
        grads = {name: np.zeros_like(W) for name, W in self.params.items()}
        dh = np.zeros_like(self.hs[0])
        for t in reversed(self.times(dout.shape[1])):
            da = (dout[:, t] + self.carried(dh, t)) * (1 - self.hs[t + 1] ** 2)
            dx[:, t] = da @ self.params["Wx"].T
            grads["Wx"] += self.x[:, t].T @ da
            self.recurrent(grads, t, da)
            dh = da @ self.params["Wh"].T
        return dx, grads

    def times(self, T):
        return range(T)

    def carried(self, dh, t):
        return dh

    def recurrent(self, grads, t, da):
        grads["Wh"] += self.hs[t].T @ da


family.right_at("RNN, one step", RNN, normal(2, 1, 3))
family.right_at("RNN, ten steps", RNN, normal(1, 10, 3))


@family.wrong("path-missing", None, also=("diagonal-only",))
class RNNNoCarry(RNN):
    """Nothing flows back from later steps."""

    def carried(self, dh, t):
        return 0.0


@family.wrong("path-missing", None)
class RNNTruncated(RNN):
    """The gradient is cut at the middle of the sequence."""

    def carried(self, dh, t):
        return 0.0 if t == 2 else dh


@family.wrong("path-missing", None, inputs=normal(2, 3, 3), shown_at=normal(2, 9, 3))
class RNNTruncatedFar(RNN):
    """Cut after each sixth step: short sequences do not show it."""

    def carried(self, dh, t):
        return 0.0 if t % 6 == 5 else dh


@family.wrong("wrong-operand", "dWh")
class RNNNewStateForOld(RNN):
    def recurrent(self, grads, t, da):
        grads["Wh"] += self.hs[t + 1].T @ da


@family.wrong("overlap-overwritten", "dWh", also=("path-missing", "part-of-batch", "unexplained"))
class RNNAssigns(RNN):
    """`=` for `+=`: the first step's share alone, and that is 0."""

    def recurrent(self, grads, t, da):
        grads["Wh"] = self.hs[t].T @ da


@family.wrong("unexplained", None, also=("part-of-batch", "path-missing"))
class RNNLastStepLeftOut(RNN):
    """range(T - 1)."""

    def times(self, T):
        return range(T - 1)


@family.wrong("upstream-nonlinear", None, shown_by=lambda y, rng: 20 * rng.normal(size=y.shape))
class RNNClips(RNN):
    """Clips the carried gradient inside the layer."""

    def carried(self, dh, t):
        return np.clip(dh, -2, 2)


@family.wrong("part-of-batch", None, also=("unexplained",))
class RNNFirstSequence(RNN):
    """The parameters' gradients from the first sequence of the batch alone."""

    def backward(self, dout):
        dx, _ = super().backward(dout)
        alone = np.zeros_like(dout)
        alone[0] = dout[0]
        return dx, super().backward(alone)[1]


@family.wrong("accumulates", "dWx")
class RNNGradientsKept(RNN):
    """Zeroed in the constructor, never again."""

    def __init__(self, D=3, H=4):
        super().__init__(D, H)
        self.grads = {name: np.zeros_like(W) for name, W in self.params.items()}

    def backward(self, dout):
        dx, grads = super().backward(dout)
        for name in grads:
            self.grads[name] += grads[name]
        return dx, {name: g.copy() for name, g in self.grads.items()}


@family.wrong("stale-cache", None)
class RNNStateKept(RNN):
    """The list of states is never emptied: later calls read the first call's."""

    def forward(self, x):
        states = getattr(self, "hs", [])
        y = super().forward(x)
        if states and states[0].shape == self.hs[0].shape:
            self.hs = states + self.hs
        return y


@family.right(several((2, 3), (2, 4), (2, 4)))
class LSTMStep:
    """Gates i, f, o, g; returns h and c side by side."""

    def __init__(self, D=3, H=4):
        rng = np.random.default_rng(3)
        self.params = {
            "Wx": rng.normal(size=(D, 4 * H)),
            "Wh": rng.normal(size=(H, 4 * H)),
            "b": rng.normal(size=4 * H),
        }

    def forward(self, x, h, c):
        a = x @ self.params["Wx"] + h @ self.params["Wh"] + self.params["b"]
        i, f, o, g = np.split(a, 4, axis=1)
        self.i, self.f, self.o, self.g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
        self.x, self.h, self.c = x, h, c
        self.new = self.f * c + self.i * self.g
        return np.concatenate([self.o * np.tanh(self.new), self.new], axis=1)

    def backward(self, dout):
        dh, dc_out = np.split(dout, 2, axis=1)
        dc = self.cell(dh, dc_out)
        da = np.concatenate(
            [
                dc * self.g * self.i * (1 - self.i),
                self.forget(dc) * self.f * (1 - self.f),
                dh * np.tanh(self.new) * self.o * (1 - self.o),
                dc * self.i * self.candidate(),
            ],
            axis=1,
        )
        dx = da @ self.params["Wx"].T, da @ self.params["Wh"].T, self.previous(dc)
        return dx, {"Wx": self.x.T @ da, "Wh": self.h.T @ da, "b": da.sum(axis=0)}

    def cell(self, dh, dc):
        return dc + dh * self.o * (1 - np.tanh(self.new) ** 2)

    def forget(self, dc):
        return dc * self.c

    def candidate(self):
        return 1 - self.g**2

    def previous(self, dc):
        return dc * self.f


@family.wrong("path-missing", None, also=("unexplained",))
class LSTMCellPathForgotten(LSTMStep):
    """What reaches c by way of h."""

    def cell(self, dh, dc):
        return dc


@family.wrong("wrong-operand", None, also=("unexplained",))
class LSTMNewCellForOld(LSTMStep):
    def forget(self, dc):
        return dc * self.new


@family.wrong("evaluated-at-output", None, also=("unexplained",))
class LSTMCandidateTwice(LSTMStep):
    """tanh of g, which is a tanh already."""

    def candidate(self):
        return 1 - np.tanh(self.g) ** 2


@family.wrong("evaluated-at-input", None, also=("unexplained",))
class LSTMCandidateAtInput(LSTMStep):
    """1 − a² with the sum before the tanh."""

    def candidate(self):
        return 1 - np.arctanh(self.g) ** 2


@family.wrong("wrong-operand", "dx[2]", also=("unexplained",))
class LSTMInputForForget(LSTMStep):
    def previous(self, dc):
        return dc * self.i


@family.wrong("derivative-missing", "dx[2]")
class LSTMCellPassed(LSTMStep):
    """The forget gate left out on the way back."""

    def previous(self, dc):
        return dc.copy()


@family.wrong("path-missing", None, also=("upstream-partial", "part-of-batch"))
class LSTMCellUpstreamForgotten(LSTMStep):
    """dc from the next step is not added."""

    def cell(self, dh, dc):
        return dh * self.o * (1 - np.tanh(self.new) ** 2)


@family.right(several((2, 3), (2, 4)))
class GRUStep:
    def __init__(self, D=3, H=4):
        rng = np.random.default_rng(4)
        self.params = {"Wx": rng.normal(size=(D, 3 * H)), "Wh": rng.normal(size=(H, 3 * H))}

    def forward(self, x, h):
        xz, xr, xn = np.split(x @ self.params["Wx"], 3, axis=1)
        hz, hr, self.hn = np.split(h @ self.params["Wh"], 3, axis=1)
        self.z, self.r = sigmoid(xz + hz), sigmoid(xr + hr)
        self.n = np.tanh(xn + self.r * self.hn)
        self.x, self.h = x, h
        return (1 - self.z) * self.n + self.z * h

    def backward(self, dout):
        dn = dout * (1 - self.z) * (1 - self.n**2)
        dz = dout * self.dz() * self.z * (1 - self.z)
        dr = dn * self.hn * self.r * (1 - self.r)
        dax = np.concatenate([dz, dr, dn], axis=1)
        dah = np.concatenate([dz, dr, dn * self.reset()], axis=1)
        dh = dah @ self.params["Wh"].T + self.skip(dout)
        return (dax @ self.params["Wx"].T, dh), {"Wx": self.x.T @ dax, "Wh": self.h.T @ dah}

    def dz(self):
        return self.h - self.n

    def reset(self):
        return self.r

    def skip(self, dout):
        return dout * self.z


@family.wrong("path-missing", "dx[1]")
class GRUSkipForgotten(GRUStep):
    def skip(self, dout):
        return 0.0


@family.wrong("unexplained", None, also=("sign-flipped",))
class GRUUpdateSign(GRUStep):
    def dz(self):
        return self.n - self.h


@family.wrong("derivative-missing", None, also=("path-missing", "unexplained"))
class GRUResetForgotten(GRUStep):
    def reset(self):
        return 1.0


@family.wrong("path-missing", None, also=("unexplained",))
class GRUOldStateInGate(GRUStep):
    """The update gate's −n forgotten."""

    def dz(self):
        return self.h
