"""What every update rule shares: one vector, walked in blocks that fit the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import is_not
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from blas import begin_alike, beside
from optim import compiled
from optim.options import count, number

Array = npt.NDArray[Any]

# Bytes of one block of one array. A rule of several vector operations then passes over memory
# once: the blocks of theta, the gradient, two moments and the scratch stay in the cache.
BLOCK_BYTES = 1024 * 1024


class Block(NamedTuple):
    """A part of the vectors, and room for two of its length; weight decay is for the first few."""

    theta: Array
    grad: Array
    moments: list[Array]
    spare: Array
    total: Array
    decayed: int


def add_penalties(block: Block, dW: Array, penalties: Sequence[Any], out: Array) -> None:
    """out ← dW + the gradients of the penalties by W, of the part of a block that is decayed."""
    n = block.decayed
    for penalty in penalties:
        dW = np.add(dW, penalty.block_gradient(block.theta[:n], block.spare[:n]), out=out)


def decays(
    penalties: Sequence[Any], rate: float = 1.0, least: float = 0.0
) -> tuple[float, Sequence[Any]]:
    """The penalties that are weight decay, of which the gradient is a number times W: the sum of
    these numbers times `rate`; and the others, among them those for which it is `least` or less.
    """
    decay, others = 0.0, []
    for penalty in penalties:
        own = rate * getattr(penalty, "as_weight_decay", 0.0)
        if own > least:
            decay += own
        else:
            others.append(penalty)
    return decay, others


def native_and_writeable(vector: Array) -> bool:
    return vector.dtype.isnative and vector.flags.writeable


class Optimizer:
    """Changes a vector of parameters, in place, by the gradient of what is to become small.

    `lr` is the learning rate, a plain attribute: a training loop sets it from its schedule.
    `state` holds the rule's moments by name, each like theta, from the first update on;
    `steps` counts the updates. Both are all there is to save, and `load` takes them back.

    A subclass names its moments and writes two methods: `begin_step`, where it folds what is the
    same for all parameters into numbers, and `update_block`, the rule itself. A rule that can do
    with less may say so in more: `absorb`, `ready_for_products` and `add_products`. A rule with
    moments may be written twice: beside its `update_block`, as a `loop` over the entries, which
    is compiled for many parameters (optim.compiled) and takes what `numbers` returns.
    """

    moments: tuple[str, ...] = ()
    loop: compiled.Loop | None = None

    # Entries from which on the loop is compiled. Numba takes 0.7 seconds to begin with, which
    # Adam wins back in some 10,000 steps of so many entries, or 800 of ten times as many.
    loop_from: int = 100_000

    _beside_loop: Any = None  # the `update_block` of a class that has the loop, too

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._beside_loop = vars(cls).get("update_block") if "loop" in vars(cls) else None

    def __init__(self, lr: float) -> None:
        self.lr = number(self, "lr", lr, above=0)
        self.state: dict[str, Array] = {}
        self.steps = 0
        self._scratch: Array = np.empty((2, 0), np.float32)
        self._ready_for: tuple[Any, ...] = None, None  # theta, the gradient, the moments
        self._cut: dict[tuple[int, int, bool], list[Block]] = {}

    def update(
        self,
        theta: Array,
        grad: Array,
        n_decayed: int | None = None,
        penalties: Sequence[Any] = (),
        products: Sequence[Any] = (),
    ) -> None:
        """One step: changes `theta`, reads `grad`.

        Both are contiguous vectors of one length and dtype (float32 or float64). Weight decay, in
        a rule that has it, applies to `theta[:n_decayed]`, to all of it if None. So do the
        `penalties`: their gradients are added to that of the loss, block by block.

        products: the gradient of theta[:n_decayed], if the rule said it is `ready_for_products`;
        each has `add_to(vector, a, c)`: v ← c v + a (its part of the gradient) (blas.Product).
        """
        of = self._ready_for
        if theta is not of[0] or grad is not of[1] or (self.moments and self._other_moments()):
            self._prepare(theta, grad)
        if n_decayed is None:
            n_decayed = theta.size
        elif not 0 <= n_decayed <= theta.size:
            raise ValueError(f"{self.name}: n_decayed is {n_decayed}, expected 0..{theta.size}")
        self.steps += 1
        self.begin_step()
        if products:
            self.add_products(products, theta, n_decayed, penalties)
        else:
            penalties = self.absorb(penalties, theta.dtype)
        begin = n_decayed if products else 0
        loop, decay = self._compiled(theta, theta.size - begin), 0.0
        if loop is not None:
            decay, penalties = decays(penalties)
        whole = loop is not None and not penalties  # one pass, for which blocks win nothing
        for block in self._blocks(begin, n_decayed, whole):
            dpart = block.grad
            n = block.decayed
            if penalties and n > 0:
                dpart = block.total
                dpart[n:] = block.grad[n:]
                add_penalties(block, block.grad[:n], penalties, out=dpart[:n])
            if loop is not None:
                self._run(loop, block, dpart, decay)
            else:
                self.update_block(block.theta, dpart, block.moments, block.spare, block.decayed)

    def _compiled(self, theta: Array, entries: int) -> compiled.Compiled | None:
        """The loop, compiled, if it is worth it for so many entries, and the rule is as written."""
        if self.loop is None or entries < self.loop_from or not self.moments:
            return None
        vectors = theta, *[self.state[name] for name in self.moments]
        if not (self._written_twice() and all(map(native_and_writeable, vectors))):
            return None
        return compiled.compiled(getattr(self.loop, "__func__", self.loop))

    def _written_twice(self) -> bool:
        """Whether each `loop` and each `update_block` of its classes stands beside the other."""
        kinds = [vars(kind) for kind in type(self).__mro__ if kind is not Optimizer]
        return "update_block" not in self.__dict__ and all(
            kind.get("update_block", False) is kind.get("_beside_loop")
            for kind in kinds
            if "loop" in kind or "update_block" in kind
        )

    def _run(self, loop: compiled.Compiled, block: Block, dpart: Array, decay: float) -> None:
        """The loop over the two parts of a block, that of the weights and that of the rest."""
        n, size, number = block.decayed, block.theta.size, dpart.dtype.type
        vectors = block.theta, dpart, *block.moments
        if n > 0:
            loop([v[:n] for v in vectors], [*map(number, self.numbers(decay, True))])
        if n < size:
            loop([v[n:] for v in vectors], [*map(number, self.numbers(0.0, False))])

    def _other_moments(self) -> bool:
        """Whether somebody has put other vectors into `state` since the step before."""
        before = self._ready_for[2:]
        return any(map(is_not, map(self.state.get, self.moments), before))

    def begin_step(self) -> None:
        """Compute what is the same for all parameters in this step."""

    def numbers(self, decay: float, decayed: bool) -> tuple[float, ...]:
        """What the loop takes after theta, grad and the moments, in this step.

        decay:   the gradient of a penalty is so many times theta.
        decayed: whether the rule's own weight decay applies.
        """
        raise NotImplementedError

    def absorb(self, penalties: Sequence[Any], dtype: np.dtype[Any]) -> Sequence[Any]:
        """Take up the penalties that the rule itself applies in this step; return the others."""
        return penalties

    def ready_for_products(self, penalties: Sequence[Any], dtype: np.dtype[Any]) -> bool:
        """Get ready for an update with products and these penalties.

        False if the rule needs the weights' gradients made.
        """
        return False

    def add_products(
        self, products: Sequence[Any], theta: Array, n_decayed: int, penalties: Sequence[Any]
    ) -> None:
        """The rule for theta[:n_decayed], the gradient of which is in `products`."""
        raise NotImplementedError

    def update_block(
        self, theta: Array, grad: Array, moments: list[Array], scratch: Array, decayed: int
    ) -> None:
        """The rule, for one block: views of the vectors, and a scratch array of its length.

        Weight decay, if the rule has any, applies to `theta[:decayed]`.
        """
        raise NotImplementedError

    def load(self, state: Mapping[str, Array], steps: int) -> None:
        """Go on from the copies of `state` and `steps` that another optimizer of this kind had."""
        if sorted(state) not in ([], sorted(self.moments)):
            raise ValueError(
                f"{self.name}: state has {sorted(state)}, expected {sorted(self.moments)}"
            )
        self.state = {name: np.array(value) for name, value in state.items()}
        self.steps = count(self, "steps", steps, least=0)
        self._ready_for = None, None

    def _blocks(self, begin: int, n_decayed: int, whole: bool = False) -> list[Block]:
        """The vectors from `begin` on, in blocks; as a rule those of the step before.

        whole: in one, without room for more.
        """
        if (begin, n_decayed, whole) in self._cut:
            return self._cut[begin, n_decayed, whole]
        theta, grad = self._ready_for[:2]
        blocks, size = [], theta.size
        length = size if whole else self._scratch.shape[1]
        for start in range(begin, size, max(length, 1)):
            here = slice(start, min(start + length, size))
            moments = [self.state[name][here] for name in self.moments]
            spare, total = self._scratch[:, : here.stop - start]
            decayed = min(max(n_decayed - start, 0), here.stop - start)
            blocks.append(Block(theta[here], grad[here], moments, spare, total, decayed))
        self._cut[begin, n_decayed, whole] = blocks
        return blocks

    def _prepare(self, theta: Array, grad: Array) -> None:
        if theta.ndim != 1 or theta.shape != grad.shape:
            raise ValueError(
                f"{self.name}: theta has shape {theta.shape}, grad {grad.shape}, "
                "expected two vectors of one length"
            )
        if theta.dtype.char not in "fd" or theta.dtype != grad.dtype:
            raise TypeError(
                f"{self.name}: theta is {theta.dtype}, grad {grad.dtype}, "
                "expected both float32 or both float64"
            )
        if not (theta.flags.c_contiguous and grad.flags.c_contiguous):
            raise ValueError(f"{self.name}: theta and grad must be contiguous")
        for name in self.moments:
            moment = self.state.get(name)
            if moment is not None and (moment.shape, moment.dtype) != (theta.shape, theta.dtype):
                raise ValueError(
                    f"{self.name}: its {name} is {moment.dtype} {moment.shape}, but theta is "
                    f"{theta.dtype} {theta.shape}: one optimizer serves one vector"
                )
            if moment is None or not begin_alike(moment, theta):
                self.state[name] = beside(theta)
                self.state[name][...] = 0 if moment is None else moment
        scratch = min(theta.size, BLOCK_BYTES // theta.itemsize)
        if self._scratch.shape[1] != scratch or self._scratch.dtype != theta.dtype:
            self._scratch = np.empty((2, scratch), theta.dtype)
        self._ready_for = theta, grad, *[self.state[name] for name in self.moments]
        self._cut = {}

    def __getstate__(self) -> dict[str, Any]:
        """A copy shares no vector with the original."""
        return {**self.__dict__, "_ready_for": (None, None), "_cut": {}}

    @property
    def name(self) -> str:
        return type(self).__name__
