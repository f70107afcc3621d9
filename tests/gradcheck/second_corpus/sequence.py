"""Recurrent cells, attention, embeddings, gates."""

import numpy as np
from scipy.special import expit

from .tools import Fam, aliased, at, const, grads_missing, ints, n, w

F = Fam("second: sequence")


@F.right(at(n(3, 2), n(3, 4)))
class RnnStep:
    def __init__(self):
        self.params = {"Wx": w(2, 4, seed=1), "Wh": w(4, 4, seed=2), "b": w(4, seed=3)}

    def forward(self, x, h):
        P = self.params
        self.x, self.h = x, h
        self.z = x @ P["Wx"] + h @ P["Wh"] + P["b"]
        self.nh = np.tanh(self.z)
        return self.nh.copy()

    def local(self):
        return 1 - self.nh**2

    def parts(self, a):
        P = self.params
        return {
            "x": a @ P["Wx"].T,
            "h": a @ P["Wh"].T,
            "Wx": self.x.T @ a,
            "Wh": self.h.T @ a,
            "b": a.sum(0),
        }

    def change(self, p, a):
        return {}

    def backward(self, d):
        a = d * self.local()
        p = self.parts(a)
        p.update(self.change(p, a))
        return (p["x"], p["h"]), {k: p[k] for k in ("Wx", "Wh", "b")}


def rs(slug, about, name, also=(), change=None, **k):
    return F.bad(
        slug,
        about,
        name,
        RnnStep,
        also=also,
        methods={**({"change": change} if change else {}), **k},
    )


rs("evaluated-at-output", "dx[0]", "rnn_tanh_y", local=lambda s: 1 - np.tanh(s.nh) ** 2)
rs("evaluated-at-input", "dx[0]", "rnn_z_form", local=lambda s: 1 - s.z**2)
rs("derivative-missing", "dx[0]", "rnn_no_tanh", local=lambda s: 1.0, also=("unexplained",))
rs("transposed", "dx[1]", "rnn_Wh_not_T", change=lambda s, p, a: {"h": a @ s.params["Wh"]})
rs("transposed", "dWh", "rnn_dWh_T", change=lambda s, p, a: {"Wh": a.T @ s.h})
rs("wrong-operand", "dWh", "rnn_dWh_new_state", change=lambda s, p, a: {"Wh": s.nh.T @ a})
rs("batch-mean-doubled", "db", "rnn_db_mean", change=lambda s, p, a: {"b": a.mean(0)})
rs(
    "bias-penalized",
    "db",
    "rnn_db_wd",
    change=lambda s, p, a: {"b": a.sum(0) + 0.01 * s.params["b"]},
)
rs("path-missing", "dx[1]", "rnn_h_zero", change=lambda s, p, a: {"h": np.zeros_like(s.h)})
rs("gradient-missing", "dWx", "rnn_forgot_Wx", change=lambda s, p, a: {"Wx": None})


@F.right(at(n(2, 3, 2)))
class Rnn:
    """The whole sequence from h0 = 0, every state returned."""

    def __init__(self, H=3):
        self.Wx, self.Wh, self.b = w(2, H, seed=4), w(H, H, seed=5), w(H, seed=6)
        self.params = {"Wx": self.Wx, "Wh": self.Wh, "b": self.b}

    def forward(self, x):
        N, T, _D = x.shape
        self.x = x
        self.hs = np.zeros((T + 1, N, len(self.b)))
        for t in range(T):
            self.hs[t + 1] = np.tanh(x[:, t] @ self.Wx + self.hs[t] @ self.Wh + self.b)
        return self.hs[1:].transpose(1, 0, 2).copy()

    carry_back = 1.0

    def order(self, T):
        return reversed(range(T))

    def prev(self, t):
        return self.hs[t]

    def backward(self, d):
        T = d.shape[1]
        dx = np.zeros_like(self.x)
        dWx, dWh, db = np.zeros_like(self.Wx), np.zeros_like(self.Wh), np.zeros_like(self.b)
        carry = 0.0
        for t in self.order(T):
            a = (d[:, t] + carry) * (1 - self.hs[t + 1] ** 2)
            dx[:, t] = a @ self.Wx.T
            dWx += self.x[:, t].T @ a
            dWh += self.prev(t).T @ a
            db += a.sum(0)
            carry = self.carry_back * (a @ self.Wh.T)
        return dx, {"Wx": dWx, "Wh": dWh, "b": db}


F.bad("path-missing", "dx", "rnn_no_time", Rnn, methods={"carry_back": 0.0})
F.bad("wrong-operand", "dWh", "rnn_h_next", Rnn, methods={"prev": lambda s, t: s.hs[t + 1]})
F.bad(
    "path-missing",
    "dx",
    "rnn_forward_order",
    Rnn,
    methods={"order": lambda s, T: range(T)},
    also=("unexplained",),
)


def last_carry(s, d):
    e = np.zeros_like(d)
    e[:, -1] = d[:, -1]
    return Rnn.backward(s, e)


F.bad(
    "path-missing",
    "dx",
    "rnn_last_state_only",
    Rnn,
    last_carry,
    also=("part-of-batch", "unexplained"),
)


def rnn_clip(s, d):
    dx, g = Rnn.backward(s, d)
    return dx, {k: np.clip(v, -0.3, 0.3) for k, v in g.items()}


F.bad("upstream-nonlinear", "dWx", "rnn_clipped_grads", Rnn, rnn_clip)


def rnn_lists(s, x):
    y = Rnn.forward(s, x)
    s.log = [*getattr(s, "log", []), x]
    s.x = s.log[0]
    return y


F.bad("stale-cache", "dWx", "rnn_history_list", Rnn, forward=rnn_lists)


@F.right(at(n(3, 2), n(3, 3), n(3, 3)))
class LstmCell:
    def __init__(self):
        self.params = {"Wx": w(2, 12, seed=7), "Wh": w(3, 12, seed=8), "b": w(12, seed=9)}

    def forward(self, x, h, c):
        P = self.params
        self.x, self.h, self.c = x, h, c
        z = x @ P["Wx"] + h @ P["Wh"] + P["b"]
        self.i, self.f, self.o = (expit(z[:, k * 3 : k * 3 + 3]) for k in range(3))
        self.g = np.tanh(z[:, 9:])
        self.nc = self.f * c + self.i * self.g
        self.t = np.tanh(self.nc)
        return self.o * self.t

    def dnc(self, d):
        return d * self.o * (1 - self.t**2)

    def gates(self, d, dc):
        i, f, o, g = self.i, self.f, self.o, self.g
        return [
            dc * g * i * (1 - i),
            dc * self.c * f * (1 - f),
            d * self.t * o * (1 - o),
            dc * i * (1 - g**2),
        ]

    def dc(self, dc):
        return dc * self.f

    def backward(self, d):
        P = self.params
        dc = self.dnc(d)
        a = np.hstack(self.gates(d, dc))
        return (a @ P["Wx"].T, a @ P["Wh"].T, self.dc(dc)), {
            "Wx": self.x.T @ a,
            "Wh": self.h.T @ a,
            "b": a.sum(0),
        }


def gate(k, fn):
    def gates(s, d, dc):
        out = LstmCell.gates(s, d, dc)
        out[k] = fn(s, d, dc)
        return out

    return {"gates": gates}


F.bad(
    "wrong-operand",
    "dWx",
    "lstm_forget_new_c",
    LstmCell,
    methods=gate(1, lambda s, d, dc: dc * s.nc * s.f * (1 - s.f)),
)
F.bad(
    "path-missing", "dWx", "lstm_no_forget_gate", LstmCell, methods=gate(1, lambda s, d, dc: 0 * dc)
)
F.bad(
    "derivative-missing",
    "dx[2]",
    "lstm_tanh_c_missing",
    LstmCell,
    methods={"dnc": lambda s, d: d * s.o},
    also=("unexplained",),
)
F.bad(
    "evaluated-at-input",
    "dx[2]",
    "lstm_1_minus_c2",
    LstmCell,
    methods={"dnc": lambda s, d: d * s.o * (1 - s.nc**2)},
)
F.bad(
    "parameter-missing",
    "dx[2]",
    "lstm_dc_not_times_f",
    LstmCell,
    methods={"dc": lambda s, dc: dc.copy()},
    also=("derivative-missing", "unexplained", "path-missing", "wrong-operand"),
)
F.bad(
    "wrong-operand",
    "dx[2]",
    "lstm_dc_times_i",
    LstmCell,
    methods={"dc": lambda s, dc: dc * s.i},
    also=("unexplained",),
)
F.bad(
    "axes-permuted",
    "db",
    "lstm_gate_order",
    LstmCell,
    methods={"gates": lambda s, d, dc: [LstmCell.gates(s, d, dc)[k] for k in (1, 0, 2, 3)]},
)


@F.right(at(n(3, 2), n(3, 3)))
class Gru:
    def __init__(self):
        self.params = {
            k: w(*shape, seed=j)
            for j, (k, shape) in enumerate(
                {"Uz": (5, 3), "Ur": (5, 3), "Uh": (5, 3)}.items(), start=60
            )
        }

    def forward(self, x, h):
        P = self.params
        self.xh = np.hstack([x, h])
        self.h, self.D = h, x.shape[1]
        self.z, self.r = expit(self.xh @ P["Uz"]), expit(self.xh @ P["Ur"])
        self.xrh = np.hstack([x, self.r * h])
        self.n = np.tanh(self.xrh @ P["Uh"])
        return (1 - self.z) * h + self.z * self.n

    def dz(self, d):
        return d * (self.n - self.h) * self.z * (1 - self.z)

    def direct(self, d):
        return d * (1 - self.z)

    def through_r(self, drh):
        return drh * self.r

    def backward(self, d):
        P = self.params
        az = self.dz(d)
        an = d * self.z * (1 - self.n**2)
        dxrh = an @ P["Uh"].T
        drh = dxrh[:, self.D :]
        ar = drh * self.h * self.r * (1 - self.r)
        dxh = az @ P["Uz"].T + ar @ P["Ur"].T
        dx = dxh[:, : self.D] + dxrh[:, : self.D]
        dh = dxh[:, self.D :] + self.direct(d) + self.through_r(drh)
        return (dx, dh), {"Uz": self.xh.T @ az, "Ur": self.xh.T @ ar, "Uh": self.xrh.T @ an}


F.bad("path-missing", "dx[1]", "gru_no_direct", Gru, methods={"direct": lambda s, d: 0})
F.bad("path-missing", "dx[1]", "gru_no_reset_path", Gru, methods={"through_r": lambda s, d: 0})
F.bad(
    "path-missing",
    "dUz",
    "gru_z_without_h",
    Gru,
    methods={"dz": lambda s, d: d * s.n * s.z * (1 - s.z)},
)
F.bad(
    "sign-flipped",
    "dUz",
    "gru_h_minus_n",
    Gru,
    methods={"dz": lambda s, d: d * (s.h - s.n) * s.z * (1 - s.z)},
)
F.bad(
    "derivative-missing",
    "dUz",
    "gru_sigmoid_prime",
    Gru,
    methods={"dz": lambda s, d: d * (s.n - s.h)},
    also=("unexplained",),
)


# ---- attention --------------------------------------------------------------------------------


@F.right(at(n(3, 5), n(4, 5), n(4, 2)))
class Attention:
    params = {}

    def forward(self, q, k, v):
        self.q, self.k, self.v = q, k, v
        self.c = 1 / np.sqrt(q.shape[-1])
        s = q @ k.T * self.c
        e = np.exp(s - s.max(-1, keepdims=True))
        self.a = e / e.sum(-1, keepdims=True)
        return self.a @ v

    def ds(self, da):
        return self.a * (da - (da * self.a).sum(-1, keepdims=True))

    def scale(self):
        return self.c

    def dq(self, ds):
        return ds @ self.k

    def dk(self, ds):
        return ds.T @ self.q

    def dv(self, d):
        return self.a.T @ d

    def backward(self, d):
        ds = self.ds(d @ self.v.T) * self.scale()
        return (self.dq(ds), self.dk(ds), self.dv(d)), {}


SQA = at(n(4, 5), n(4, 5), n(4, 5))
F.right_at("self sized", Attention, SQA)


def an(slug, about, name, inputs=None, also=(), **k):
    return F.bad(slug, about, name, Attention, methods=k, inputs=inputs, also=also)


an("constant-scale", "dx[0]", "att_no_root_d", scale=lambda s: 1)
an("constant-scale", "dx[0]", "att_over_d", scale=lambda s: s.c**2)
an("diagonal-only", "dx[0]", "att_diag_softmax", ds=lambda s, da: da * s.a * (1 - s.a))
an("path-missing", "dx[0]", "att_no_softmax_sum", ds=lambda s, da: da * s.a)
an(
    "statistics-axis",
    "dx[0]",
    "att_softmax_columns",
    ds=lambda s, da: s.a * (da - (da * s.a).sum(0, keepdims=True)),
    also=("wrong-axis",),
)
an("transposed", "dx[2]", "att_dv_not_T", inputs=SQA, dv=lambda s, d: s.a @ d)
an("wrong-operand", "dx[1]", "att_dk_uses_k", inputs=SQA, dk=lambda s, ds: ds.T @ s.k)
an("transposed", "dx[1]", "att_dk_ds", inputs=SQA, dk=lambda s, ds: ds @ s.q)
an("wrong-operand", "dx[0]", "att_dq_uses_v", inputs=SQA, dq=lambda s, ds: ds @ s.v)
an(
    "upstream-partial",
    "dx[0]",
    "att_sum_misses_d",
    ds=lambda s, da: s.a * (da - (s.a * s.a).sum(-1, keepdims=True)),
)
an("sign-flipped", "dx[1]", "att_dk_neg", dk=lambda s, ds: -ds.T @ s.q)
an(
    "derivative-missing",
    "dx[0]",
    "att_softmax_skipped",
    ds=lambda s, da: da,
    also=("unexplained", "path-missing"),
)


@F.right(at(n(2, 3, 4)))
class SelfAttention:
    """One head with projections; causal."""

    def __init__(self):
        self.params = {k: w(4, 4, seed=70 + j) for j, k in enumerate(("Wq", "Wk", "Wv"))}

    def forward(self, x):
        P = self.params
        self.x = x
        self.q, self.k, self.v = x @ P["Wq"], x @ P["Wk"], x @ P["Wv"]
        s = self.q @ self.k.swapaxes(1, 2) / 2.0
        s = np.where(np.tril(np.ones(s.shape[1:])) > 0, s, -np.inf)
        e = np.exp(s - s.max(-1, keepdims=True))
        self.a = e / e.sum(-1, keepdims=True)
        return self.a @ self.v

    def routes(self, dq, dk, dv):
        P = self.params
        return [dq @ P["Wq"].T, dk @ P["Wk"].T, dv @ P["Wv"].T]

    def weights(self, dq, dk, dv):
        def f(g):
            return np.einsum("ntd,nte->de", self.x, g)

        return {"Wq": f(dq), "Wk": f(dk), "Wv": f(dv)}

    def backward(self, d):
        da = d @ self.v.swapaxes(1, 2)
        ds = self.a * (da - (da * self.a).sum(-1, keepdims=True)) / 2.0
        dq, dk, dv = ds @ self.k, ds.swapaxes(1, 2) @ self.q, self.a.swapaxes(1, 2) @ d
        return sum(self.routes(dq, dk, dv)), self.weights(dq, dk, dv)


F.bad(
    "path-missing",
    "dx",
    "selfatt_v_only",
    SelfAttention,
    methods={"routes": lambda s, q, k, v: SelfAttention.routes(s, q, k, v)[2:]},
)
F.bad(
    "path-missing",
    "dx",
    "selfatt_no_k",
    SelfAttention,
    methods={"routes": lambda s, q, k, v: SelfAttention.routes(s, q, k, v)[::2]},
)
F.bad(
    "not-summed",
    "dWq",
    "selfatt_per_sample",
    SelfAttention,
    methods={
        "weights": lambda s, q, k, v: {
            **SelfAttention.weights(s, q, k, v),
            "Wq": np.einsum("ntd,nte->nde", s.x, q),
        }
    },
)
F.bad(
    "transposed",
    "dWv",
    "selfatt_dWv_T",
    SelfAttention,
    methods={
        "weights": lambda s, q, k, v: {
            **SelfAttention.weights(s, q, k, v),
            "Wv": np.einsum("ntd,nte->ed", s.x, v),
        }
    },
)
F.bad(
    "wrong-operand",
    "dWk",
    "selfatt_dWk_from_q",
    SelfAttention,
    methods={
        "weights": lambda s, q, k, v: {
            **SelfAttention.weights(s, q, k, v),
            "Wk": np.einsum("ntd,nte->de", s.q, k),
        }
    },
)


# ---- embeddings and gathers ---------------------------------------------------------------------


@F.right(at(const([[1, 3, 1], [0, 3, 3]])))
class Embedding:
    def __init__(self):
        self.params = {"E": w(5, 3, seed=80)}

    def forward(self, idx):
        self.idx = idx
        return self.params["E"][idx]

    def backward(self, d):
        dE = np.zeros_like(self.params["E"])
        np.add.at(dE, self.idx, d)
        return None, {"E": dE}


F.right_at("one dimensional", Embedding, at(ints(6, high=5)))


def emb(fn):
    def backward(s, d):
        dE = np.zeros_like(s.params["E"])
        out = fn(s, dE, d)
        return None, {"E": dE if out is None else out}

    return backward


def lost(s, dE, d):
    dE[s.idx] += d


def kept(s, dE, d):
    dE[s.idx] = d


def unique(s, dE, d):
    ids, first = np.unique(s.idx, return_index=True)
    dE[ids] = d.reshape(-1, 3)[first]


def count_mean(s, dE, d):
    np.add.at(dE, s.idx, d)
    c = np.bincount(s.idx.ravel(), minlength=5)
    dE /= np.maximum(c, 1)[:, None]


F.bad("duplicates-lost", "dE", "emb_fancy_plus", Embedding, emb(lost))
F.bad("duplicates-lost", "dE", "emb_assign", Embedding, emb(kept), also=("overlap-overwritten",))
F.bad("duplicates-lost", "dE", "emb_unique_first", Embedding, emb(unique))
F.bad("unexplained", "dE", "emb_mean_by_count", Embedding, emb(count_mean))
F.bad("shape", "dE", "emb_only_used_rows", Embedding, emb(lambda s, dE, d: d.reshape(-1, 3).copy()))
F.bad(
    "part-of-batch",
    "dE",
    "emb_first_sequence",
    Embedding,
    emb(lambda s, dE, d: np.add.at(dE, s.idx[0], d[0])),
)
F.bad(
    "penalty-extra",
    "dE",
    "emb_decay",
    Embedding,
    emb(lambda s, dE, d: Embedding.backward(s, d)[1]["E"] + 1e-2 * s.params["E"]),
)


@F.right(at(const([2, 0, 2, 4, 4, 4])))
class TiedPosition:
    """Token plus position embeddings."""

    def __init__(self):
        self.tok, self.pos = w(5, 3, seed=81), w(6, 3, seed=82)
        self.params = {"tok": self.tok, "pos": self.pos}

    def forward(self, ids):
        self.ids = ids
        return self.tok[ids] + self.pos[: len(ids)]

    def backward(self, d):
        dt = np.zeros_like(self.tok)
        for i, g in zip(self.ids, d, strict=False):
            dt[i] += g
        dp = np.zeros_like(self.pos)
        dp[: len(d)] = d
        return None, {"tok": dt, "pos": dp}


@F.wrong("duplicates-lost", "dtok")
class LoopAssigns(TiedPosition):
    def backward(self, d):
        dt = np.zeros_like(self.tok)
        for i, g in zip(self.ids, d, strict=False):
            dt[i] = g
        return None, {"tok": dt, "pos": d.copy()}


@F.wrong("aliased-result", "contract", behaviour=aliased, also=("shape",))
class PosIsDout(TiedPosition):
    def backward(self, d):
        return None, {"tok": TiedPosition.backward(self, d)[1]["tok"], "pos": d}


@F.wrong("gradient-missing", "dpos", behaviour=grads_missing)
class PosForgotten(TiedPosition):
    def backward(self, d):
        return None, {"tok": TiedPosition.backward(self, d)[1]["tok"]}


@F.right(at(n(4, 3)))
class GatherRows:
    """Rows picked with repetition, as in a graph layer: y = x[edges]."""

    edges = np.array([0, 1, 1, 3, 0, 0])
    params = {}

    def forward(self, x):
        self.x = x
        return x[self.edges]

    def backward(self, d):
        dx = np.zeros_like(self.x)
        np.add.at(dx, self.edges, d)
        return dx, {}


def gather_lost(s, d):
    dx = np.zeros_like(s.x)
    dx[s.edges] += d
    return dx, {}


F.bad("duplicates-lost", "dx", "gather_plus", GatherRows, gather_lost)


@F.right(at(n(2, 4, 3)))
class PositionAdd:
    """x + P, the positions learned, shared over the batch."""

    def __init__(self):
        self.params = {"P": w(4, 3, seed=85)}

    def forward(self, x):
        return x + self.params["P"]

    def backward(self, d):
        return d.copy(), {"P": d.sum(0)}


F.bad("not-summed", "dP", "pos_batch_kept", PositionAdd, lambda s, d: (d.copy(), {"P": d.copy()}))
F.bad(
    "aliased-result", "contract", "pos_returns_dout", PositionAdd, lambda s, d: (d, {"P": d.sum(0)})
)
F.bad("part-of-batch", "dP", "pos_first", PositionAdd, lambda s, d: (d.copy(), {"P": d[0].copy()}))
F.bad(
    "batch-mean-doubled",
    "dP",
    "pos_mean",
    PositionAdd,
    lambda s, d: (d.copy(), {"P": d.mean(0)}),
    inputs=at(n(3, 4, 3)),
)
F.bad(
    "shape",
    "dP",
    "pos_keepdims",
    PositionAdd,
    lambda s, d: (d.copy(), {"P": d.sum(0, keepdims=True)}),
)


def pos_mut(s, x):
    x += s.params["P"]
    return x.copy()


F.bad("input-mutated", "contract", "pos_in_place", PositionAdd, forward=pos_mut)


@F.right(at(n(3, 4)))
class Rotary:
    params = {}
    c, s = np.cos([[0.1, 0.7]]), np.sin([[0.1, 0.7]])

    def forward(self, x):
        a, b = x[:, :2], x[:, 2:]
        return np.hstack([a * self.c - b * self.s, a * self.s + b * self.c])

    def backward(self, d):
        a, b = d[:, :2], d[:, 2:]
        return np.hstack([a * self.c + b * self.s, b * self.c - a * self.s]), {}


F.bad(
    "transposed",
    "dx",
    "rotary_same_direction",
    Rotary,
    lambda s, d: (Rotary.forward(s, d), {}),
    also=("unexplained",),
)
F.bad(
    "path-missing",
    "dx",
    "rotary_cos_only",
    Rotary,
    lambda s, d: (np.hstack([d[:, :2] * s.c, d[:, 2:] * s.c]), {}),
    also=("diagonal-only",),
)


# ---- residual and highway -----------------------------------------------------------------------


@F.right(at(n(4, 3)))
class Residual:
    def __init__(self):
        self.params = {"W": w(3, 3, seed=90)}

    def forward(self, x):
        self.x, self.h = x, np.tanh(x @ self.params["W"])
        return x + self.h

    def backward(self, d):
        a = d * (1 - self.h**2)
        return self.join(d, a @ self.params["W"].T), {"W": self.x.T @ a}

    def join(self, skip, branch):
        return skip + branch


F.bad("path-missing", "dx", "res_no_skip", Residual, methods={"join": lambda s, a, b: b})
F.bad(
    "path-missing",
    "dx",
    "res_skip_only",
    Residual,
    methods={"join": lambda s, a, b: a.copy()},
    also=("derivative-missing",),
)


def res_mut(s, skip, branch):
    skip += branch
    return skip.copy()


F.bad("upstream-mutated", "contract", "res_plus_equals", Residual, methods={"join": res_mut})


def res_fwd(s, x):
    s.x, s.h = x.copy(), np.tanh(x @ s.params["W"])
    x += s.h
    return x.copy()


F.bad("input-mutated", "contract", "res_fwd_plus_equals", Residual, forward=res_fwd)


@F.right(at(n(4, 3)))
class Highway:
    def __init__(self):
        self.params = {"Wh": w(3, 3, seed=91), "Wt": w(3, 3, seed=92), "bt": np.full(3, -1.0)}

    def forward(self, x):
        P = self.params
        self.x = x
        self.h, self.t = np.tanh(x @ P["Wh"]), expit(x @ P["Wt"] + P["bt"])
        return self.t * self.h + (1 - self.t) * x

    def at(self, d):
        return d * (self.h - self.x) * self.t * (1 - self.t)

    def carry(self, d):
        return d * (1 - self.t)

    def backward(self, d):
        P = self.params
        ah, at_ = d * self.t * (1 - self.h**2), self.at(d)
        return ah @ P["Wh"].T + at_ @ P["Wt"].T + self.carry(d), {
            "Wh": self.x.T @ ah,
            "Wt": self.x.T @ at_,
            "bt": at_.sum(0),
        }


F.bad("path-missing", "dx", "highway_no_carry", Highway, methods={"carry": lambda s, d: 0})
F.bad(
    "path-missing",
    "dWt",
    "highway_gate_half",
    Highway,
    methods={"at": lambda s, d: d * s.h * s.t * (1 - s.t)},
)
F.bad(
    "mask-inverted",
    "dx",
    "highway_carry_t",
    Highway,
    methods={"carry": lambda s, d: d * s.t},
    also=("wrong-operand", "unexplained"),
)
F.bad(
    "derivative-doubled",
    "dWt",
    "highway_sigmoid_twice",
    Highway,
    methods={"at": lambda s, d: d * (s.h - s.x) * (s.t * (1 - s.t)) ** 2},
    also=("unexplained",),
)


@F.right(at(n(4, 3), n(4, 3)))
class Product:
    params = {}

    def forward(self, a, b):
        self.a, self.b = a, b
        return a * b

    def backward(self, d):
        return (d * self.b, d * self.a), {}


F.bad("wrong-operand", "dx[0]", "product_swapped", Product, lambda s, d: ((d * s.a, d * s.b), {}))
F.bad(
    "derivative-missing", "dx[0]", "product_as_sum", Product, lambda s, d: ((d.copy(), d * s.a), {})
)
F.bad("sign-flipped", "dx[1]", "product_neg", Product, lambda s, d: ((d * s.b, -d * s.a), {}))


@F.right(at(n(4, 3), n(4, 3)))
class Difference:
    params = {}

    def forward(self, a, b):
        return a - b

    def backward(self, d):
        return (d.copy(), -d), {}


F.bad(
    "sign-flipped",
    "dx[1]",
    "difference_as_sum",
    Difference,
    lambda s, d: ((d.copy(), d.copy()), {}),
    also=("derivative-missing",),
)
F.bad("aliased-result", "contract", "difference_dout", Difference, lambda s, d: ((d, -d), {}))


@F.right(at(n(4, 3), n(1, 3)))
class BroadcastMul:
    params = {}

    def forward(self, x, row):
        self.x, self.row = x, row
        return x * row

    def backward(self, d):
        return (d * self.row, (d * self.x).sum(0, keepdims=True)), {}


F.bad(
    "not-summed", "dx[1]", "row_not_summed", BroadcastMul, lambda s, d: ((d * s.row, d * s.x), {})
)
F.bad(
    "shape",
    "dx[1]",
    "row_no_keepdims",
    BroadcastMul,
    lambda s, d: ((d * s.row, (d * s.x).sum(0)), {}),
)
F.bad(
    "batch-mean-doubled",
    "dx[1]",
    "row_mean",
    BroadcastMul,
    lambda s, d: ((d * s.row, (d * s.x).mean(0, keepdims=True)), {}),
)


@F.right(at(n(5, 3, 2)))
class TimeMean:
    params = {}

    def forward(self, x):
        self.T = x.shape[1]
        return x.mean(1)

    def backward(self, d):
        return np.repeat(d[:, None] / self.T, self.T, axis=1), {}


F.bad(
    "dimension-scale",
    "dx",
    "tm_no_T",
    TimeMean,
    lambda s, d: (np.repeat(d[:, None], s.T, axis=1), {}),
)
F.bad(
    "batch-mean-doubled",
    "dx",
    "tm_over_N_too",
    TimeMean,
    lambda s, d: (np.repeat(d[:, None] / s.T / len(d), s.T, axis=1), {}),
)


@F.right(at(n(4, 3)))
class CumSum:
    params = {}

    def forward(self, x):
        return np.cumsum(x, axis=1)

    def backward(self, d):
        return np.cumsum(d[:, ::-1], axis=1)[:, ::-1].copy(), {}


F.bad(
    "flipped",
    "dx",
    "cumsum_not_flipped_back",
    CumSum,
    lambda s, d: (np.cumsum(d[:, ::-1], axis=1), {}),
)
F.bad(
    "transposed",
    "dx",
    "cumsum_again",
    CumSum,
    lambda s, d: (np.cumsum(d, axis=1), {}),
    also=("unexplained", "flipped"),
)
F.bad(
    "diagonal-only",
    "dx",
    "cumsum_identity",
    CumSum,
    lambda s, d: (d.copy(), {}),
    also=("derivative-missing", "path-missing"),
)


@F.right(lambda r: ((r.permutation(15) * 0.4 - 3.0).reshape(3, 5),))
class RowMax:
    params = {}

    def forward(self, x):
        self.x, self.i = x, x.argmax(1)
        return x.max(1)

    def backward(self, d):
        dx = np.zeros_like(self.x)
        dx[np.arange(len(dx)), self.i] = d
        return dx, {}


TIED = at(const([[2.0, 1.0, 2.0], [0.0, 0.0, 0.0], [1.0, 5.0, 5.0]]))
F.right_at("row max tied", RowMax, TIED, kinks=True)
F.bad(
    "ties",
    "dx",
    "rowmax_equal",
    RowMax,
    lambda s, d: ((s.x == s.x.max(1, keepdims=True)) * d[:, None], {}),
    inputs=TIED,
    kinks=True,
)
F.bad(
    "ties",
    "dx",
    "rowmax_strict",
    RowMax,
    lambda s, d: (
        np.stack([np.all(s.x[:, [j]] > np.delete(s.x, j, 1), 1) * d for j in range(3)], 1),
        {},
    ),
    inputs=TIED,
    kinks=True,
)
F.bad(
    "derivative-missing",
    "dx",
    "rowmax_to_all",
    RowMax,
    lambda s, d: (np.repeat(d[:, None], 5, 1), {}),
    also=("mask-inverted", "unexplained"),
)
F.bad(
    "mask-inverted",
    "dx",
    "rowmax_others",
    RowMax,
    lambda s, d: ((s.x != s.x.max(1, keepdims=True)) * d[:, None], {}),
)
