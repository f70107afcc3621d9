"""Two plain layers that several tests use: a function entry by entry, and a container."""

import numpy as np


class Function:
    """y = f(x) entry by entry, dx = dout df(x)."""

    def __init__(self, f, df=np.ones_like):
        self.f, self.df = f, df

    def forward(self, x):
        self.x = x
        return self.f(x)

    def backward(self, dout):
        return dout * self.df(self.x), {}


class Chain:
    """Children one after the other, under their names."""

    def __init__(self, **children):
        self.children = children

    @property
    def params(self):
        return {
            f"{name}.{key}": value
            for name, child in self.children.items()
            for key, value in getattr(child, "params", {}).items()
        }

    def forward(self, x):
        for child in self.children.values():
            x = child.forward(x)
        return x

    def backward(self, dout):
        grads = {}
        for name, child in reversed(self.children.items()):
            dout, own = child.backward(dout)
            grads |= {f"{name}.{key}": g for key, g in own.items()}
        return dout, grads
