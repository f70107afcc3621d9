"""A term of the chain rule is absent, extra, or read from the wrong tensor."""

import itertools
from collections.abc import Iterator

import numpy as np

from gradcheck.arrays import Array, peak
from gradcheck.diagnosis.likeness import multiple, same, wrong_entries
from gradcheck.evidence import Evidence


def label(e: Evidence) -> Iterator[str]:
    """A loss that is wrong in the column of the true class alone."""
    if e.subject.kind != "loss" and not any(_labels(x, e.got) for x in e.main.xs[1:]):
        return
    for y in e.main.xs[1:]:
        if not _labels(y, e.got):
            continue
        own = np.zeros(e.got.shape, bool)
        np.put_along_axis(own, np.asarray(y).astype(int)[..., None], True, axis=-1)
        wrong = wrong_entries(e.got, e.expected)
        if wrong.any() and not (wrong & ~own).any():
            yield "label-term"


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
        if np.ptp(value) > 0 or value.size == 1:
            if peak(value - 1) > 1e-6 and same(e.got * value, e.expected):
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
    tensors = [np.asarray(x, float) for x in e.main.xs if _numeric(x)]
    tensors += [e.main.y, *e.main.params.values()]
    used: int | None = None
    true: int | None = None
    for k, tensor in enumerate(tensors):
        for candidate in _products(dout, tensor, got.shape):
            if peak(candidate) == 0:
                continue
            if used is None and multiple(got, candidate) is not None:
                used = k
            if true is None and multiple(expected, candidate) is not None:
                true = k
    if used is None:
        return
    if true is not None and tensors[true] is tensors[used] and dout.ndim >= 2:
        yield "transposed"
    yield "wrong-operand"


def turned_operand(e: Evidence) -> Iterator[str]:
    """Right but for one factor of the last product, which is transposed."""
    got, expected = e.got, e.expected
    if got.ndim < 2:
        return
    tensors = [np.asarray(x, float) for x in e.main.xs if _numeric(x)]
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


def _numeric(x: object) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


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
        if turned is not None and same(got, turned.expected(e.about).T):
            yield "statistics-axis"


def _vanishing(g: Array) -> set[int]:
    return {
        axis
        for axis in range(g.ndim)
        if g.shape[axis] > 1 and peak(g.sum(axis=axis)) <= 1e-7 * peak(g)
    }


def statistics_size(e: Evidence) -> Iterator[str]:
    """The error shrinks as N grows (N−1 for N), or as the inputs grow (eps)."""
    errors = []
    lengths = {x.shape[0] for x in e.main.xs if isinstance(x, np.ndarray) and x.ndim}
    if len(lengths) == 1:
        n = lengths.pop()
        for k in (1, 4, 16):
            trial = e.batch(n * k) if k > 1 else e.main
            if trial is None or trial.value(e.about).size > 400:
                break
            errors.append(_error(trial.got[e.about], trial.expected(e.about)))
    if len(errors) >= 2 and _shrinks(errors, 4.0, 0.5):
        yield "degrees-of-freedom"
    growing = []
    for factor in (1.0, 8.0, 64.0):
        xs = tuple(x * factor if _numeric(x) else x for x in e.main.xs)
        trial = e.at(xs, dout=e.main.dout)
        if trial is None:
            break
        growing.append(_error(trial.got[e.about], trial.expected(e.about)))
    if len(growing) == 3 and growing[1] < 0.1 * growing[0] and growing[2] < 0.1 * growing[1] + 1e-9:
        yield "epsilon"


def _error(got: Array, expected: Array) -> float:
    return peak(got - expected) / max(peak(expected), 1e-300)


def _shrinks(errors: list[float], by: float, tolerance: float) -> bool:
    return all(b > 0 and abs(a / b / by - 1) < tolerance for a, b in itertools.pairwise(errors))


def residual(e: Evidence) -> Iterator[str]:
    """What is missing has the form of a route: through a mean, a variance, a skip, one operand."""
    r = e.expected - e.got
    got = e.got
    if peak(got) <= 1e-12 * peak(e.expected):
        yield "path-missing"
        return
    if e.is_input and r.shape == e.main.dout.shape and multiple(r, e.main.dout) is not None:
        yield "path-missing"
        return
    if e.is_input and r.ndim >= 1:
        value = e.value
        for axis in range(r.ndim):
            if r.shape[axis] > 3 and _spanned(r, value, axis):
                yield "path-missing"
                return
    missing = wrong_entries(got, e.expected)
    if missing.any() and not missing.all() and peak(got[missing]) <= 1e-12 * peak(e.expected):
        yield "path-missing"


def _spanned(r: Array, value: Array, axis: int) -> bool:
    """Whether, along an axis, r is a constant plus a multiple of the value."""
    rows = np.moveaxis(r, axis, -1).reshape(-1, r.shape[axis])
    inputs = np.moveaxis(value, axis, -1).reshape(-1, r.shape[axis])
    top = peak(r)
    for row, x in zip(rows, inputs, strict=True):
        basis = np.stack([np.ones_like(x), x], axis=1)
        weights, *_ = np.linalg.lstsq(basis, row, rcond=None)
        if peak(basis @ weights - row) > 1e-6 * top:
            return False
    return True
