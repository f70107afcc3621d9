"""What must hold exactly, away from any difference: repeats, linearity, history, memory."""

import numpy as np
import pytest

from gradcheck import check_layer

X = np.random.default_rng(0).uniform(0.4, 1.6, (4, 3)) * np.array([1.0, -1.0, 1.0])


class Scale:
    """y = w x, and a backward to be changed."""

    def __init__(self):
        self.params = {"w": np.array([0.7, -1.3, 2.1])}

    def forward(self, x):
        self.x = x
        return x * self.params["w"]

    def gradients(self, dout):
        return dout * self.params["w"], {"w": (dout * self.x).sum(0)}

    def backward(self, dout):
        return self.gradients(dout)


def first(layer, *xs):
    report = check_layer(layer, *(xs or (X,)))
    assert report.verdict == "wrong", report
    return report.findings[0]


def test_the_layer_itself_is_right():
    assert check_layer(Scale(), X).verdict == "right"


def with_dw(change):
    class Changed(Scale):
        def backward(self, dout):
            dx, grads = self.gradients(dout)
            return dx, {"w": change(self, dout, grads["w"])}

    return Changed


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda s, d, g: g * 0 + (s.x**2).sum(0), "upstream-ignored"),
        (lambda s, d, g: g + 1e-7, "constant-leak"),
        (lambda s, d, g: g + 0.1 * s.params["w"], "penalty-extra"),
        (lambda s, d, g: g + 0.1 * np.sign(s.params["w"]), "penalty-extra"),
        (lambda s, d, g: g + s.x.sum(0), "upstream-partial"),
        (lambda s, d, g: (np.abs(d) * s.x).sum(0), "upstream-nonlinear"),
        (lambda s, d, g: (np.clip(d, -1e3, 1e3) * s.x).sum(0), "upstream-nonlinear"),
        (lambda s, d, g: g + 1e-3 * np.abs(g) * g, "upstream-nonlinear"),
    ],
)
def test_how_dout_enters(change, cause):
    finding = first(with_dw(change)())
    assert finding.about == "dw"
    assert finding.cause == cause


def test_a_penalty_on_what_is_merely_added_is_one_on_the_bias():
    class Shift:
        def __init__(self):
            self.params = {"b": np.array([0.7, -1.3, 2.1])}

        def forward(self, x):
            return x + self.params["b"]

        def backward(self, dout):
            return dout.copy(), {"b": dout.sum(0) + 0.1 * self.params["b"]}

    assert first(Shift()).cause == "bias-penalized"


def test_the_third_call_counts_too():
    class Third(Scale):
        calls = 0

        def backward(self, dout):
            self.calls += 1
            dx, grads = self.gradients(dout)
            return (2 * dx if self.calls == 3 else dx), grads

    assert first(Third()).cause == "accumulates"


@pytest.mark.parametrize("which", ["dout", "x", "own", "twice"])
def test_what_is_returned_is_nobody_elses(which):
    class Sum:
        def forward(self, a, b):
            self.a = a
            return a + b

        def backward(self, dout):
            if which == "dout":
                return (dout, dout.copy()), {}
            if which == "x":
                self.a[...] = dout
                return (self.a, dout.copy()), {}
            if which == "own":
                self.kept = getattr(self, "kept", np.empty_like(dout))
                self.kept[...] = dout
                return (self.kept, dout.copy()), {}
            one = dout.copy()
            return (one, one), {}

    causes = {f.cause for f in check_layer(Sum(), X, 2 * X).findings}
    assert ("input-mutated" if which == "x" else "aliased-result") in causes


def test_views_of_dout_are_right_where_numbers_only_move():
    class Flatten:
        def forward(self, x):
            self.shape = x.shape
            return x.reshape(len(x), -1)

        def backward(self, dout):
            return dout.reshape(self.shape), {}

    assert check_layer(Flatten(), np.ones((2, 3, 2)) * X[0, 0]).verdict == "right"
    assert check_layer(Flatten(), X).verdict == "right"


def test_writing_into_a_result_may_not_spoil_the_next():
    class Kept(Scale):
        def forward(self, x):
            self.slope = np.broadcast_to(self.params["w"], x.shape).copy()
            return super().forward(x)

        def backward(self, dout):
            if not hasattr(self, "last") or self.last[0] is not self.slope:
                self.last = (self.slope, {})
            key = dout.tobytes()
            self.last[1].setdefault(key, dout * self.slope)
            return self.last[1][key], self.gradients(dout)[1]

    finding = first(Kept())
    assert (finding.about, finding.cause) == ("dx", "aliased-result")


def test_an_output_that_a_later_forward_overwrites():
    class Buffer(Scale):
        def forward(self, x):
            self.x = x
            if getattr(self, "y", np.empty(0)).shape != x.shape:
                self.y = np.empty_like(x)
            return np.multiply(x, self.params["w"], out=self.y)

    finding = first(Buffer())
    assert (finding.about, finding.cause) == ("forward", "aliased-result")


def test_a_cache_that_an_update_leaves_behind_is_stale():
    class Transposed(Scale):
        def backward(self, dout):
            self.kept = getattr(self, "kept", self.params["w"].copy())
            return dout * self.kept, self.gradients(dout)[1]

    finding = first(Transposed())
    assert (finding.about, finding.cause) == ("dx", "stale-cache")


def test_a_state_that_forward_itself_uses_is_no_stale_cache():
    class Running:
        def __init__(self):
            self.state = {"h": np.zeros(3)}

        def forward(self, x):
            self.y = np.tanh(x + self.state["h"])
            self.state["h"] = self.y.mean(0)
            return self.y.copy()

        def backward(self, dout):
            return dout * (1 - self.y**2), {}

    assert check_layer(Running(), X).verdict == "right"


def test_a_mask_kept_from_the_first_draw_is_stale():
    class Dropout:
        def __init__(self):
            self.rng = np.random.default_rng(0)

        def forward(self, x):
            mask = (self.rng.random(x.shape) < 0.5) / 0.5
            self.mask = getattr(self, "mask", mask)
            return x * mask

        def backward(self, dout):
            return dout * self.mask, {}

    assert first(Dropout()).cause == "stale-cache"


@pytest.mark.parametrize("when", ["negative dout", "large x", "inside"])
def test_a_write_that_shows_only_now_and_then_is_seen(when):
    class Writes(Scale):
        def forward(self, x):
            if when == "large x":
                np.clip(x, -10, 10, out=x)
            return super().forward(x)

        def backward(self, dout):
            result = self.gradients(dout)
            if when == "negative dout" and np.all(dout <= 0):
                dout[...] = 0
            if when == "inside":
                self.params["w"] = self.params["w"] - 0.0 * result[1]["w"] - 1e-9
            return result

    finding = first(Writes())
    assert finding.about == "contract"
    assert finding.cause.endswith("-mutated")
