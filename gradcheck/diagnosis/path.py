"""A term of the chain rule is absent, extra, or read from the wrong tensor."""

import copy
from collections.abc import Iterator
from functools import partial

import numpy as np

from gradcheck.arrays import Array, is_real, peak
from gradcheck.diagnosis.likeness import multiple, same, wrong_entries
from gradcheck.diagnosis.routes import Forward
from gradcheck.evidence import Evidence, Trial, batch_length
from gradcheck.subject import Subject


def label(e: Evidence) -> Iterator[str]:
    """Wrong in the column of the true class alone, or the same whatever the labels are."""
    own = own_column(e)
    if own.any():
        wrong = wrong_entries(e.got, e.expected)
        if wrong.any() and not (wrong & ~own).any():
            yield "label-term"
            return
        if wrong.any() and not (wrong & own).any() and not e.got[~own].any():
            yield "path-missing"
            return
        if _complement(e.got[~own], e.expected[~own]):
            yield "mask-inverted"
            return
    if _labels_ignored(e):
        yield "label-term"
        yield "path-missing"


def own_column(e: Evidence) -> Array:
    """Where the scores of the true classes stand, if the layer is given whole labels."""
    own = np.zeros(e.got.shape, bool)
    for y in e.main.xs[1:]:
        if _labels(y, e.got):
            np.put_along_axis(own, np.asarray(y).astype(int)[..., None], True, axis=-1)
    return own


def _complement(got: Array, expected: Array) -> bool:
    """Whether exactly one of the two is 0 at every entry, and each is one number elsewhere."""
    given, true = np.abs(got) > 0, np.abs(expected) > 1e-9 * peak(expected)
    if not given.any() or not true.any() or np.any(given == true):
        return False
    return bool(np.ptp(got[given]) <= 1e-6 * peak(got) and same(got[given][:1], expected[true][:1]))


def _labels_ignored(e: Evidence) -> bool:
    """Whether other labels change the truth and not what is given."""
    for k, y in enumerate(e.main.xs[1:], 1):
        if not isinstance(y, np.ndarray) or not y.ndim or e.about == f"dx[{k}]":
            continue
        whole = y.dtype.kind in "iu"
        if not whole and not (y.dtype.kind == "f" and y.min() >= 0 and y.max() <= 1):
            continue
        other = (y + 1) % (int(y.max()) + 1) if whole else 1 - y
        if np.array_equal(other, y):
            continue
        trial = e.at((*e.main.xs[:k], other, *e.main.xs[k + 1 :]), dout=e.main.dout)
        if (
            trial is not None
            and same(trial.got[e.about], e.got, close=1e-12)
            and not same(trial.expected(e.about), e.expected)
        ):
            return True
    return False


def _labels(y: object, scores: Array) -> bool:
    return (
        isinstance(y, np.ndarray)
        and y.dtype.kind in "iu"
        and y.shape == scores.shape[:-1]
        and scores.ndim >= 1
        and y.size > 0
        and 0 <= int(y.min()) <= int(y.max()) < scores.shape[-1]
    )


def parameter(e: Evidence) -> Iterator[str]:
    """got times a parameter is what was expected."""
    for name, value in e.main.params.items():
        if f"d{name}" == e.about or not _fits(value, e.got.shape):
            continue
        varied = np.ptp(value) > 0 or value.size == 1
        if varied and peak(value - 1) > 1e-6 and same(e.got * value, e.expected):
            yield "parameter-missing"
            return


def _fits(value: Array, shape: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(value.shape, shape) == shape
    except ValueError:
        return False


def operand(e: Evidence) -> Iterator[str]:
    """got is a product of dout with a tensor that is not the one of the truth, or is turned."""
    dout, got, expected = e.main.dout, e.got, e.expected
    tensors = [np.asarray(x, float) for x in e.main.xs if is_real(x)]
    tensors += [e.main.y, *e.main.params.values()]
    used, factor = _fitting(dout, tensors, got)
    if used is None:
        return
    true, right = _fitting(dout, tensors, expected)
    if true is None:
        within = [np.asarray(o.result, float) for o in Forward(e).operations]
        true, right = _fitting(dout, within, expected)
        if true is not None and abs(factor / right - 1) < 1e-6:
            yield "wrong-operand"
            return
        true = None
    if true is None and (e.is_input or abs(factor - 1) > 1e-6):
        return
    if true is None and not _entrywise(dout, tensors[used], got):
        yield "derivative-missing"
        return
    if true is not None and tensors[true] is tensors[used] and dout.ndim >= 2:
        yield "transposed"
    elif true is None and e.is_input and _factor_of(expected, tensors[used], dout):
        yield "derivative-missing"
    yield "wrong-operand"


def _fitting(dout: Array, tensors: list[Array], gradient: Array) -> tuple[int | None, float]:
    """The first tensor of whose product with dout the gradient is a multiple, and which."""
    for k, tensor in enumerate(tensors):
        for candidate in _products(dout, tensor, gradient.shape):
            c = multiple(gradient, candidate) if peak(candidate) > 0 else None
            if c is not None:
                return k, c
    return None, 1.0


def _entrywise(dout: Array, tensor: Array, gradient: Array) -> bool:
    """Whether it is a sum of products entry by entry, not a product of matrices."""
    try:
        summed = _sum_to(dout * tensor, gradient.shape)
    except ValueError:
        return False
    return summed is not None and same(summed, gradient)


def _factor_of(expected: Array, tensor: Array, dout: Array) -> bool:
    """Whether the truth is something times this tensor: what it is times lacks a derivative."""
    if tensor.ndim == 2 and expected.ndim == 2:
        for t in (tensor, tensor.T):
            if t.shape[1] == expected.shape[1] and same(expected @ np.linalg.pinv(t) @ t, expected):
                return bool(t.shape[0] == dout.shape[-1])
        return False
    return bool(tensor.shape != dout.shape)


def turned_operand(e: Evidence) -> Iterator[str]:
    """Right but for one factor of the last product, which is transposed."""
    got, expected = e.got, e.expected
    if got.ndim < 2:
        return
    tensors = [np.asarray(x, float) for x in e.main.xs if is_real(x)]
    tensors += list(e.main.params.values())
    for tensor in tensors:
        if tensor.ndim < 2 or tensor.ndim > got.ndim:
            continue
        for t in (tensor, np.swapaxes(tensor, -1, -2)):
            turned = np.swapaxes(t, -1, -2)
            if t.shape[-1] == expected.shape[-1]:
                rest = expected @ np.linalg.pinv(t)
                if same(rest @ t, expected):
                    square = rest.shape[-1] == rest.shape[-2]
                    if square and same(np.swapaxes(rest, -1, -2) @ t, got):
                        yield "transposed"
                        return
                    if t.shape[-1] == t.shape[-2] and same(rest @ turned, got):
                        yield "transposed"
                        return
            if t.shape[-2] == expected.shape[-2]:
                rest = np.linalg.pinv(t) @ expected
                if same(t @ rest, expected):
                    square = rest.shape[-1] == rest.shape[-2]
                    if square and same(t @ np.swapaxes(rest, -1, -2), got):
                        yield "transposed"
                        return
                    if t.shape[-1] == t.shape[-2] and same(turned @ rest, got):
                        yield "transposed"
                        return


def displaced(e: Evidence) -> Iterator[str]:
    """Right for y in the place of x: all that backward reads of x, it reads of y."""
    y = e.main.y
    if not e.is_input or y.shape != e.value.shape or e.subject.kind != "layer":
        return
    xs = list(e.main.xs)
    xs[e.main.leaf(e.about).key] = np.array(y)
    there = e.at(tuple(xs), dout=e.main.dout)
    if there is None or same(there.y, y):
        return
    if there.is_gradient(e.about, e.got):
        yield "evaluated-at-output"
    elif same(there.got[e.about], e.expected):
        yield "evaluated-at-input"


def _products(dout: Array, tensor: Array, shape: tuple[int, ...]) -> Iterator[Array]:
    try:
        product = dout * tensor
        summed = _sum_to(product, shape)
        if summed is not None:
            yield summed
    except ValueError:
        pass
    if dout.ndim >= 2 and tensor.ndim >= 2:
        a, b = dout.reshape(-1, dout.shape[-1]), tensor.reshape(-1, tensor.shape[-1])
        for left, right in ((a, b), (a, b.T), (b.T, a), (b, a), (a.T, b), (b.T, a.T), (a.T, b.T)):
            if left.shape[1] == right.shape[0]:
                result = left @ right
                if result.size == int(np.prod(shape)):
                    yield result.reshape(shape)


def _sum_to(a: Array, shape: tuple[int, ...]) -> Array | None:
    """Sum over the axes that broadcasting added, to this shape."""
    if len(shape) > a.ndim:
        return None
    a = a.sum(axis=tuple(range(a.ndim - len(shape))))
    for axis, n in enumerate(shape):
        if n == 1 and a.shape[axis] != 1:
            a = a.sum(axis=axis, keepdims=True)
    return a if a.shape == shape else None


def diagonal(e: Evidence) -> Iterator[str]:
    """Each output's derivative by its own input alone."""
    if not e.is_input or e.got.shape != e.main.y.shape:
        if e.subject.kind != "loss":
            return
        return
    own = np.diag(e.main.jacobian(e.about)).reshape(e.got.shape)
    if peak(own) > 0 and same(e.got, own * e.main.dout):
        yield "diagonal-only"


def statistics(e: Evidence) -> Iterator[str]:
    """Sums that vanish along one axis in the truth vanish along another in what was given."""
    got, expected = e.got, e.expected
    if got.ndim < 2:
        return
    zero_true, zero_got = _vanishing(expected), _vanishing(got)
    if zero_true and zero_got and zero_true != zero_got and not zero_true <= zero_got:
        yield "statistics-axis"
        return
    if e.is_input and got.ndim == 2 and got.shape[0] == got.shape[1] and len(e.main.xs) == 1:
        turned = e.at(
            (np.ascontiguousarray(e.main.xs[0].T),), dout=np.ascontiguousarray(e.main.dout.T)
        )
        if turned is not None and turned.is_gradient(e.about, got.T):
            yield "statistics-axis"


def _vanishing(g: Array) -> set[int]:
    return {
        axis
        for axis in range(g.ndim)
        if g.shape[axis] > 1 and peak(g.sum(axis=axis)) <= 1e-7 * peak(g)
    }


def degrees(e: Evidence) -> Iterator[str]:
    """With the same samples many times over the error falls as 1/N: N−1 stands for N."""
    old = batch_length(e.main.xs) if e.is_input else None
    worst = int(np.argmax(np.abs(e.got - e.expected)))
    before = e.main.error_at(e.about, worst)
    for times in (4, 3, 2):
        trial = e.tiled(times)
        if trial is None or old is None or old < 2:
            continue
        after = trial.error_at(e.about, worst)
        for expected in (1 / times, (old - 1) / (old * times - 1)):
            if after > 0 and abs(after / before / expected - 1) < 0.02:
                yield "degrees-of-freedom"
                return
        return


def epsilon(e: Evidence) -> Iterator[str]:
    """The error falls with the eps that the layer holds, or as the inputs outgrow it."""
    before = _error(e.got, e.expected)
    small = {
        name: value
        for name, value in {**vars(type(e.subject.layer)), **vars(e.subject.layer)}.items()
        if isinstance(value, float) and 0 < value <= 0.1
    }
    for name, value in small.items():
        if not any(
            o.name == "add" and any(np.ndim(v) == 0 and float(v) == value for v in o.operands)
            for o in Forward(e).operations
        ):
            continue
        twin = copy.deepcopy(e.subject.layer)
        setattr(twin, name, value * 1e-3)
        try:
            trial = Trial(Subject(twin, e.main.xs, e.subject.kind), e.main.dout)
            after = _error(trial.got[e.about], trial.expected(e.about))
        except Exception:
            continue
        if after < 0.02 * before + 1e-9:
            yield "epsilon"
            return
    if not any(
        o.name == "add" and any(np.ndim(v) == 0 and 0 < float(v) <= 0.1 for v in o.operands)
        for o in Forward(e).operations
    ):
        return
    yield from outgrown(e)


def outgrown(e: Evidence) -> Iterator[str]:
    """The error falls as 1/x or 1/x², as that of a constant beside inputs that outgrow it."""
    errors = [_error(e.got, e.expected)]
    for factor in (8.0, 64.0):
        trial = e.at(e.inputs(partial(np.multiply, factor)), dout=e.main.dout)
        if trial is None:
            return
        errors.append(_error(trial.got[e.about], trial.expected(e.about)))
    if errors[1] <= 0:
        return
    first, second = errors[1] / errors[0], errors[2] / errors[1]
    for power in (1 / 8, 1 / 64):
        if abs(first / power - 1) < 0.5 and abs(second / power - 1) < 0.5:
            yield "epsilon"
            return


def _error(got: Array, expected: Array) -> float:
    return peak(got - expected) / max(peak(expected), 1e-300)


def whole_route(e: Evidence) -> Iterator[str]:
    """Nothing comes back at all, or all but what runs straight through."""
    r, got = e.expected - e.got, e.got
    if peak(got) <= 1e-12 * peak(e.expected) or (
        e.is_input and r.shape == e.main.dout.shape and multiple(r, e.main.dout) is not None
    ):
        yield "path-missing"


def zeros(e: Evidence) -> Iterator[str]:
    """Wrong exactly where the input is 0: the mask was read from values."""
    if not e.is_input:
        return
    wrong = wrong_entries(e.got, e.expected)
    value = e.value
    if wrong.any() and not wrong.all() and peak(value[wrong]) == 0:
        yield "mask-from-values"
