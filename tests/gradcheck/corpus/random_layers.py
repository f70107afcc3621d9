"""Layers that draw: all randomness comes from `rng`."""

from __future__ import annotations

import numpy as np

from .case import Family
from .points import normal, zeros_among

family = Family("random")


@family.right(normal(4, 6))
class Dropout:
    """Inverted dropout: what stays is divided by the probability to stay."""

    def __init__(self, keep=0.6, training=True):
        self.keep, self.training = keep, training
        self.rng = np.random.default_rng(7)

    def forward(self, x):
        self.x = x
        if not self.training:
            self.mask = np.ones(x.shape)
        else:
            self.mask = (self.rng.random(x.shape) < self.keep) / self.keep
        self.y = x * self.mask
        return self.y.copy()

    def backward(self, dout):
        return dout * self.mask, {}


family.right_at("Dropout, in use", Dropout, normal(4, 6), training=False)
family.right_at("Dropout, zeros among x", Dropout, zeros_among(4, 6))
family.right_at("Dropout, keep 0.2", Dropout, normal(4, 6), keep=0.2)
family.right_at("Dropout, N = 1", Dropout, normal(1, 12))
family.right_at("Dropout, 1e5 entries", Dropout, normal(100, 1000))


@family.wrong("keep-probability", "dx")
class ScaleMissing(Dropout):
    def backward(self, dout):
        return dout * (self.mask > 0), {}


@family.wrong("keep-probability", "dx")
class ScaleTwice(Dropout):
    def backward(self, dout):
        return dout * self.mask / self.keep, {}


@family.wrong("keep-probability", "dx", args={"keep": 0.8})
class ScaleTimesKeep(Dropout):
    """keep in place of 1/keep."""

    def backward(self, dout):
        return dout * (self.mask > 0) * self.keep, {}


@family.wrong("keep-probability", "dx", args={"training": False}, also=("constant-scale",))
class ScaleInUse(Dropout):
    """Scaled when not training, where forward is the identity."""

    def backward(self, dout):
        return dout * self.mask * self.keep, {}


@family.wrong("randomness-redrawn", "dx")
class MaskRedrawn(Dropout):
    def backward(self, dout):
        return dout * (self.rng.random(dout.shape) < self.keep) / self.keep, {}


@family.wrong("randomness-redrawn", "dx", args={"keep": 0.9})
class MaskRedrawnByMethod(Dropout):
    """forward and backward both call a method that draws."""

    def draw(self, shape):
        return self.rng.binomial(1, self.keep, size=shape) / self.keep

    def forward(self, x):
        return x * self.draw(x.shape) if self.training else x.copy()

    def backward(self, dout):
        return dout * self.draw(dout.shape), {}


@family.wrong("mask-from-values", "dx", inputs=zeros_among(4, 6))
class MaskFromOutput(Dropout):
    def backward(self, dout):
        return dout * (self.y != 0) / self.keep, {}


@family.wrong("mask-from-values", "dx", shown_at=zeros_among(6, 6))
class MaskFromOutputHidden(Dropout):
    """The same at a point without zeros."""

    def backward(self, dout):
        return np.where(self.y == 0, 0.0, dout / self.keep), {}


@family.wrong("mask-from-values", "dx", inputs=zeros_among(4, 6))
class MaskFromQuotient(Dropout):
    """mask = y / x."""

    def backward(self, dout):
        mask = np.divide(self.y, self.x, out=np.zeros_like(self.x), where=self.x != 0)
        return dout * mask, {}


@family.wrong("mask-inverted", "dx")
class DroppedInstead(Dropout):
    def backward(self, dout):
        return dout * (self.mask == 0) / self.keep, {}


@family.wrong("derivative-missing", "dx")
class DropoutPassed(Dropout):
    def backward(self, dout):
        return dout.copy(), {}


@family.wrong("derivative-doubled", "dx", also=("keep-probability",))
class MaskTwice(Dropout):
    """dout · mask · mask: the scale twice with it."""

    def backward(self, dout):
        return dout * self.mask**2, {}


@family.wrong("upstream-ignored", "dx")
class MaskReturned(Dropout):
    def backward(self, dout):
        return self.mask.copy(), {}


@family.wrong("aliased-result", "contract", args={"training": False})
class DropoutReturnsUpstream(Dropout):
    def backward(self, dout):
        return (dout * self.mask if self.training else dout), {}


@family.wrong("upstream-mutated", "contract")
class DropoutInPlace(Dropout):
    def backward(self, dout):
        dout *= self.mask
        return dout.copy(), {}


@family.wrong("stale-cache", "dx")
class MaskOfFirstCall(Dropout):
    def forward(self, x):
        kept = getattr(self, "mask", None)
        y = super().forward(x)
        if kept is not None and kept.shape == x.shape:
            self.mask = kept
        return y


@family.right(normal(4, 6))
class DropoutFeatures(Dropout):
    """One mask for the whole batch."""

    def forward(self, x):
        self.mask = (self.rng.random(x.shape[1]) < self.keep) / self.keep
        return x * self.mask


@family.wrong("keep-probability", "dx")
class FeatureScaleMissing(DropoutFeatures):
    def backward(self, dout):
        return dout * (self.mask != 0), {}


def zero_column(rng):
    """Features that are 0 for the whole batch."""
    x = rng.normal(size=(4, 6))
    x[:, 1:5] = 0.0
    return (x,)


@family.wrong("mask-from-values", "dx", inputs=normal(4, 6), shown_at=zero_column)
class FeatureMaskFromValues(DropoutFeatures):
    """A feature is thought to be dropped when all its outputs are 0."""

    def forward(self, x):
        self.y = super().forward(x)
        return self.y.copy()

    def backward(self, dout):
        return dout * (self.y != 0).any(axis=0) / self.keep, {}


@family.right(normal(4, 3))
class GaussianNoise:
    """x times noise around 1."""

    def __init__(self, sigma=0.5):
        self.sigma = sigma
        self.rng = np.random.default_rng(8)

    def forward(self, x):
        self.noise = 1 + self.sigma * self.rng.normal(size=x.shape)
        return x * self.noise

    def backward(self, dout):
        return dout * self.noise, {}


@family.wrong("randomness-redrawn", "dx")
class NoiseRedrawn(GaussianNoise):
    def backward(self, dout):
        return dout * (1 + self.sigma * self.rng.normal(size=dout.shape)), {}


@family.wrong("derivative-missing", "dx")
class NoisePassed(GaussianNoise):
    """As if the noise were added."""

    def backward(self, dout):
        return dout.copy(), {}


@family.right(normal(4, 3))
class Reparameterise:
    """Samples mean + exp(s) ε, with learned mean and s."""

    def __init__(self, D=3):
        self.params = {"mean": np.linspace(-1, 1, D), "s": np.linspace(-0.5, 0.5, D)}
        self.rng = np.random.default_rng(9)

    def forward(self, x):
        self.e = self.rng.normal(size=x.shape)
        return x + self.params["mean"] + np.exp(self.params["s"]) * self.e

    def backward(self, dout):
        return dout.copy(), {"mean": dout.sum(axis=0), "s": self.ds(dout)}

    def ds(self, dout):
        return (dout * self.e).sum(axis=0) * np.exp(self.params["s"])


@family.wrong("randomness-redrawn", "ds")
class SampleRedrawn(Reparameterise):
    def ds(self, dout):
        return (dout * self.rng.normal(size=dout.shape)).sum(axis=0) * np.exp(self.params["s"])


@family.wrong("parameter-missing", "ds", also=("derivative-missing", "constant-scale"))
class DeviationForgotten(Reparameterise):
    """exp(s) left out."""

    def ds(self, dout):
        return (dout * self.e).sum(axis=0)


@family.right(normal(12, 3))
class StochasticDepth:
    """A branch of tanh that each sample keeps or skips."""

    def __init__(self, keep=0.5):
        self.keep = keep
        self.rng = np.random.default_rng(10)

    def forward(self, x):
        self.mask = (self.rng.random((len(x), 1)) < self.keep) / self.keep
        self.t = np.tanh(x)
        return x + self.mask * self.t

    def backward(self, dout):
        return dout + dout * self.mask * (1 - self.t**2), {}


@family.wrong("path-missing", "dx")
class DepthSkipForgotten(StochasticDepth):
    def backward(self, dout):
        return dout * self.mask * (1 - self.t**2), {}


@family.wrong("keep-probability", "dx", also=("unexplained",))
class DepthScaleMissing(StochasticDepth):
    def backward(self, dout):
        return dout + dout * (self.mask > 0) * (1 - self.t**2), {}


@family.wrong("randomness-redrawn", "dx")
class DepthRedrawn(StochasticDepth):
    def backward(self, dout):
        mask = (self.rng.random((len(dout), 1)) < self.keep) / self.keep
        return dout + dout * mask * (1 - self.t**2), {}
