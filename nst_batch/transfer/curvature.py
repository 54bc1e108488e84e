"""What L-BFGS learns of a function's curvature, for several functions at once.

Liu and Nocedal, "On the limited memory BFGS method for large scale optimization" (1989); the two-loop recursion of
Nocedal (1980). B functions of n values have nothing to do with each other; they share their arithmetic, so that a GPU
has enough to do, and nothing is ever asked back from it.

The two loops go through m pairs of vectors one by one, 4m short sweeps over n values with a number to wait for in each.
What they compute are the solutions of two triangular systems of m equations, whose matrix is all products of steps with
changes: so four products of an m x n matrix do the same.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from nst_batch.transfer.snapshot import State

AT_ONCE = 1 << 24  # values of a history in low precision that are brought to full precision at a time
CURVATURE_LEAST = 1e-10  # y·s at which a pair is too flat to be of use; torch.optim.LBFGS's number


class Metric(Protocol):
    """What the inverse Hessian is taken to be before anything is known of it, but for a factor."""

    def __call__(self, gradient: Tensor) -> Tensor:
        """Bxn to Bxn values: symmetric and positive."""

    def learn(self, step: Tensor, change: Tensor) -> None:
        """Take note that gradients changed by ``change`` along ``step``, Bxn each; zeros where nothing was learnt."""

    def state(self) -> State:
        """What was learnt."""

    def restore(self, state: State) -> None:
        """Know that again."""


class Curvature:
    """Pairs of steps (s) and changes of the gradient (y), and the direction that follows from them.

    Args:
        history: pairs kept; memory for all of them is taken with the first.
        metric: None: the identity.
        dtype: of what is kept; None: as the values are. bfloat16 takes half the memory.
    """

    def __init__(self, history: int, metric: Metric | None, dtype: torch.dtype | None = None) -> None:
        self._history = history
        self._metric = metric
        self._dtype = dtype
        self._kept = 0  # places in use: as many pairs as any function may have
        self._count = torch.empty(0)  # B: of pairs ever kept; the next one's place is this modulo the history
        self._steps = self._changes = torch.empty(0)  # BxMxn
        self._products = torch.empty(0)  # BxMxM: s_i·y_j; right only where i is not younger than j
        self._scale = torch.empty(0)  # B

    def learn(self, step: Tensor, change: Tensor, where: Tensor) -> None:
        """Keep pairs of the functions in ``where`` (B): gradients changed by ``change`` (y) along ``step`` (s), Bxn."""
        if self._dtype is not None:  # what is kept has to go together
            step, change = (values.to(self._dtype).to(values.dtype) for values in (step, change))
        curvature = dots(change, step)
        good = where & (curvature > CURVATURE_LEAST)  # False for NaN
        if not some(good):
            return
        self._make_room(step)
        every, place = torch.arange(len(step), device=step.device), self._count % self._history
        for rows, values in ((self._steps, step), (self._changes, change)):
            kept = values.to(rows.dtype)
            rows[every, place] = torch.where(good[:, None], kept, rows[every, place]) if some(~good) else kept
        column = _each(self._steps[:, : self._kept], change).to(self._products)
        before = self._products[every, : self._kept, place]
        self._products[every, : self._kept, place] = torch.where(good[:, None], column, before)
        self._count = self._count + good
        if self._metric is not None:
            self._metric.learn(
                *(torch.where(good[:, None], values, 0) if some(~good) else values for values in (step, change))
            )
        scale = curvature / dots(change, self._in_metric(change))
        self._scale = torch.where(good, scale, self._scale)

    def _make_room(self, like: Tensor) -> None:
        if self._kept == 0:
            self._begin(like)
        if self._kept < self._history:
            self._steps[:, self._kept] = self._changes[:, self._kept] = 0
            self._kept += 1

    def _begin(self, like: Tensor) -> None:
        batch, length = like.shape
        self._count = torch.zeros(batch, dtype=torch.long, device=like.device)
        self._steps = like.new_empty(
            batch, self._history, length, dtype=self._dtype or like.dtype
        )  # takes memory page by page, on a CPU
        self._changes = torch.empty_like(self._steps)
        self._products = like.new_zeros(batch, self._history, self._history, dtype=torch.float64)
        self._scale = like.new_ones(batch)

    def known(self, gradient: Tensor) -> Tensor:
        """Of which functions anything is known, B."""
        return self._count > 0 if self._kept else torch.zeros_like(gradient[:, 0], dtype=torch.bool)

    def direction(self, gradient: Tensor) -> Tensor:
        """Minus the inverse Hessians' estimates times the gradients, Bxn; a new tensor."""
        if self._kept == 0:
            return self.downhill(gradient)
        steps, changes = self._steps[:, : self._kept], self._changes[:, : self._kept]
        order, there = self._by_age()
        matrix = self._matrix(order, there)
        # What the loop backwards through the pairs finds: R a = S q, R the products with s not younger than y.
        along = torch.where(there, -_each(steps, gradient).gather(1, order).double(), 0)
        back = torch.linalg.solve_triangular(matrix, along[..., None], upper=True)[..., 0]
        rest = _sum(back, order, changes, gradient).add_(gradient).neg_()
        found = self._in_metric(rest).mul_(self._scale[:, None])
        # And the loop forwards: R' c = D a - Y r, D the diagonal of R.
        across = torch.where(there, _each(changes, found).gather(1, order).double(), 0)
        right = matrix.diagonal(dim1=1, dim2=2) * back - across
        forth = torch.linalg.solve_triangular(matrix.mT, right[..., None], upper=False)[..., 0]
        return found.add_(_sum(forth, order, steps, gradient))

    def downhill(self, gradient: Tensor) -> Tensor:
        """The direction where nothing is known, Bxn: a new tensor."""
        return self._in_metric(-gradient)

    def _by_age(self) -> tuple[Tensor, Tensor]:
        """The places of pairs, oldest first, BxM; and which of them are there at all."""
        place = torch.arange(self._kept, device=self._count.device)
        oldest = torch.where(self._count > self._history, self._count, 0)[:, None]
        return (oldest + place) % self._kept, place < self._count[:, None]

    def _matrix(self, order: Tensor, there: Tensor) -> Tensor:
        """Products of the pairs, oldest first; 1 on the diagonal where there is no pair.

        In float64: a triangular system of nearly parallel pairs is where float32 would be missed.
        """
        every = torch.arange(len(order), device=order.device)[:, None, None]
        matrix = self._products[every, order[:, :, None], order[:, None, :]]
        one = torch.eye(self._kept, dtype=matrix.dtype, device=matrix.device)
        return torch.where(there[:, :, None] & there[:, None, :], matrix, one)

    def forget(self, where: Tensor) -> None:
        """Know nothing of these functions any more (B)."""
        if self._kept:
            self._count = torch.where(where, 0, self._count)
            self._scale = torch.where(where, 1, self._scale)

    def reweigh(self, factor: Tensor) -> None:
        """Go on with functions whose curvature is about ``factor`` (B) times what it was."""
        if self._kept:
            self._changes[:, : self._kept] *= factor.to(self._changes)[:, None, None]
            self._products *= factor.to(self._products)[:, None, None]
            self._scale = self._scale / factor.to(self._scale)

    def state(self) -> State:
        """All that is known."""
        if self._kept == 0:
            return {"kept": 0}
        kept = self._kept
        return {
            "kept": kept,
            "count": self._count,
            "steps": self._steps[:, :kept],
            "changes": self._changes[:, :kept],
            "products": self._products[:, :kept, :kept],
            "scale": self._scale,
            "metric": None if self._metric is None else self._metric.state(),
        }

    def restore(self, state: State) -> None:
        """Know that again; called before anything is learnt. Of more pairs than there is room for, the latest."""
        kept = state["kept"]
        if kept == 0:
            return
        if kept > self._history:
            state, kept = _latest(state, self._history), self._history
        self._begin(state["steps"][:, 0].to(state["scale"].dtype))
        self._kept, self._count, self._scale = kept, state["count"], state["scale"]
        self._steps[:, :kept], self._changes[:, :kept] = state["steps"], state["changes"]
        self._products[:, :kept, :kept] = state["products"]
        if self._metric is not None:
            self._metric.restore(state["metric"])

    def _in_metric(self, values: Tensor) -> Tensor:
        return values if self._metric is None else self._metric(values)


def _latest(state: State, history: int) -> State:
    """The state with the last ``history`` pairs of each function, oldest first."""
    kept, count = state["kept"], state["count"]
    place = torch.arange(kept, device=count.device)
    oldest = torch.where(count > kept, count, 0)[:, None]
    order = (oldest + place) % kept
    there = count.clamp(max=kept)
    last = (there - history).clamp(min=0)[:, None] + place[:history]
    order, every = order.gather(1, last), torch.arange(len(count), device=count.device)[:, None]
    return {
        **state,
        "count": count.clamp(max=history),
        "steps": state["steps"][every, order],
        "changes": state["changes"][every, order],
        "products": state["products"][every[..., None], order[:, :, None], order[:, None, :]],
    }


def dots(one: Tensor, other: Tensor) -> Tensor:
    """Inner products of rows: Bxn twice, B out."""
    if one.is_cuda:  # a product of two vectors is no work for cuBLAS: one of a hundred processors would do it
        return (one * other).sum(1)
    return _each(one[:, None], other)[:, 0]


def _each(rows: Tensor, vector: Tensor) -> Tensor:
    """Inner products of BxMxn rows with Bxn vectors: BxM, in the vectors' precision."""
    if rows.dtype == vector.dtype:
        found: Tensor = (rows @ vector[:, :, None])[..., 0]
        return found
    parts = zip(*(torch.split(each, _part(rows), -1) for each in (rows, vector)), strict=True)
    return torch.stack([(few.to(vector.dtype) @ part[:, :, None])[..., 0] for few, part in parts]).sum(0)


def _sum(weights: Tensor, order: Tensor, rows: Tensor, like: Tensor) -> Tensor:
    """Of BxMxn rows, with BxM weights that are in another order: Bxn, a new tensor in the precision of ``like``."""
    placed = torch.zeros_like(weights).scatter_(1, order, weights).to(like)[:, None]
    if rows.dtype == like.dtype:
        found: Tensor = (placed @ rows)[:, 0]
        return found
    return torch.cat([(placed @ part.to(like.dtype))[:, 0] for part in torch.split(rows, _part(rows), -1)], 1)


def _part(rows: Tensor) -> int:
    """How many columns of BxMxn to bring to full precision at a time."""
    return max(1, AT_ONCE // (rows.shape[0] * rows.shape[1]))


def chosen(where: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Rows of the one (Bxn) ``where`` (B) says so, else of the other; that very tensor, where asking costs nothing."""
    if not some(where):
        return other
    return torch.where(where[:, None], one, other) if some(~where) else one


def some(mask: Tensor) -> bool:
    """Whether any is true, where asking costs nothing. A GPU would have to finish its work first: it may be."""
    return True if mask.is_cuda else bool(mask.any())
