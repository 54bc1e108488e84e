"""The optimisation of pictures at one scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nst_batch.settings import Stop, TransferSettings
from nst_batch.transfer.adam import Adam
from nst_batch.transfer.curvature import chosen
from nst_batch.transfer.lbfgs import LBFGS
from nst_batch.transfer.losses import Terms
from nst_batch.transfer.precondition import AdaptiveMetric, SmoothMetric
from nst_batch.transfer.searching import SearchingLBFGS
from nst_batch.transfer.snapshot import State

Closure = Callable[[Tensor], tuple[Terms, Tensor]]
"""Pictures (BxCxHxW) to their losses, term by term, and the gradients of these losses' sums (BxCxHxW)."""

OnStep = Callable[[int, list[float], Callable[[], State | None]], None]
"""Told (evaluations made, each picture's loss, what gives the state) after each evaluation, after every tenth on a GPU;
what it raises ends the optimisation. The state is None where there is none to go on from: in the middle of a search."""

Optimiser = LBFGS | SearchingLBFGS | Adam

READ_EVERY = 10  # evaluations; a GPU has to finish its work before anything can be read from it

_METRICS = {"smooth": SmoothMetric, "adaptive": AdaptiveMetric}


@dataclass(frozen=True)
class Found:
    """What the optimiser brought home: the pictures it keeps (not yet clamped), and every evaluation's losses.

    ``curves``, ``terms`` and ``settled`` are by picture. One that has settled, or has nowhere to go, has fewer
    evaluations. ``terms`` has, for each of them, the losses that make up the curve's, in the order of ``names``.
    """

    image: Tensor
    curves: tuple[tuple[float, ...], ...]
    names: tuple[str, ...]
    terms: tuple[tuple[tuple[float, ...], ...], ...]
    settled: tuple[bool, ...]


def optimiser_for(settings: TransferSettings, image: Tensor, unit: float = 1.0) -> Optimiser:
    """A new optimiser, as the settings want it, for pictures like ``image`` (BxCxHxW); ``unit``: see ``LBFGS``."""
    if settings.optimizer == "adam":
        return Adam(settings.adam_rate, settings.adam_betas)
    metric, history = None, settings.pairs(settings.steps)
    kept = torch.bfloat16 if settings.history_precision == "bf16" else None
    if settings.metric != "pixels":
        metric = _METRICS[settings.metric](image.shape, image.device, image.dtype)
    if settings.line_search == "strong_wolfe":
        return SearchingLBFGS(learning_rate=settings.learning_rate, history=history, metric=metric, kept=kept)
    return LBFGS(
        learning_rate=settings.learning_rate,
        unit=unit,
        history=history,
        secant="move" if settings.clamp == "step" else "direction",
        guard=settings.guard,
        metric=metric,
        kept=kept,
    )


def optimise(
    closure: Closure,
    start: Tensor,
    steps: int,
    settings: TransferSettings,
    optimiser: Optimiser,
    on_step: OnStep | None = None,
    resumed: State | None = None,
) -> Found:
    """Minimise ``closure`` over pixels in ``steps`` evaluations, or fewer when all have settled or nowhere to go.

    Args:
        closure: see ``Closure``.
        start: BxCxHxW.
        steps: closure evaluations.
        settings: clamp, averaging and stop are used.
        optimiser: new, or with what it remembers of a smaller scale.
        on_step: see ``OnStep``.
        resumed: a state to go on from, in place of the start; the optimiser is new.

    Returns:
        The best pictures seen, the start where no loss was finite; with ``averaging``, the running means of all that
        the optimiser stepped to.
    """
    loop = _Loop(start, settings, optimiser)
    every = READ_EVERY if start.is_cuda else 1
    if resumed is not None:
        loop.restore(resumed)
    for made in range(loop.made + 1, steps + 1):
        loop.evaluate(closure)
        if made % every == 0 or made == steps:
            losses = loop.read()
            if on_step is not None:
                on_step(made, losses, loop.state)
            if not any(loop.running):
                break
    return loop.found()


class _Loop:
    """Where the pictures are on their way; what is decided for each is decided on the device."""

    def __init__(self, start: Tensor, settings: TransferSettings, optimiser: Optimiser) -> None:
        self.made = 0  # evaluations
        self.running = [True] * len(start)  # as far as losses have been read
        self._shape = start.shape
        self._settings = settings
        self._optimiser = optimiser
        self._x = start.flatten(1).clone()
        self._best = self._x
        self._best_loss = torch.full_like(self._x[:, 0], math.inf)
        self._going = torch.ones_like(self._best_loss, dtype=torch.bool)
        self._average = _Average(settings.averaging)
        self._unread: list[tuple[Tensor, Tensor, Tensor]] = []
        self._curves: list[list[float]] = [[] for _ in start]
        self._names: tuple[str, ...] = ()
        self._terms: list[list[list[float]]] = [[] for _ in start]
        self._settled = [False] * len(start)

    def evaluate(self, closure: Closure) -> None:
        """One evaluation of all, and the optimiser's answer to it."""
        self.made += 1
        self._x = self._in_range(self._x)
        terms, gradient = closure(self._x.view(self._shape))
        self._names = terms.names
        gradient = gradient.flatten(1)
        loss = torch.where(gradient.isfinite().all(1), terms.total(), math.nan)  # no way on from there
        better = self._going & (loss < self._best_loss)  # False for NaN
        self._best = chosen(better, self._x, self._best)
        self._best_loss = torch.where(better, loss, self._best_loss)
        self._unread.append((loss, terms.values.mT, self._going))
        following = self._optimiser.advance(self._x, loss, gradient)
        self._going = self._going & self._optimiser.going
        self._x = chosen(self._going, following, self._x)
        if self._settings.averaging:
            self._average.add(self._in_range(self._x), self._going)

    def read(self) -> list[float]:
        """Take note of losses since the last time, and of who has ended; the latest of each picture."""
        read = (torch.stack(values).tolist() for values in zip(*self._unread, strict=True))
        self._unread.clear()
        for of_all in zip(*read, strict=True):
            for place, (loss, terms, counts) in enumerate(zip(*of_all, strict=True)):
                if counts and self.running[place]:
                    self._note(place, loss, terms)
        self.running = [a and b for a, b in zip(self.running, self._going.tolist(), strict=True)]
        self._going = torch.tensor(self.running, device=self._going.device)
        return [curve[-1] for curve in self._curves]

    def _note(self, place: int, loss: float, terms: list[float]) -> None:
        curve, stop = self._curves[place], self._settings.stop
        curve.append(loss)
        self._terms[place].append(terms)
        if stop is not None and has_settled(curve, stop):
            self._settled[place], self.running[place] = True, False

    def state(self) -> State | None:
        """All that is known, just after losses were read; None where the optimiser has none to give."""
        optimiser = self._optimiser.state()
        if optimiser is None:
            return None
        return {
            "made": self.made,
            "x": self._x,
            "best": self._best,
            "best_loss": self._best_loss,
            "going": self._going,
            "running": self.running,
            "curves": self._curves,
            "terms": self._terms,
            "names": self._names,
            "settled": self._settled,
            "average": self._average.state(),
            "optimiser": optimiser,
        }

    def restore(self, state: State) -> None:
        """Go on from there."""
        self.made, self._x, self._going = state["made"], state["x"], state["going"]
        self._best, self._best_loss = state["best"], state["best_loss"]
        self.running, self._curves, self._settled = state["running"], state["curves"], state["settled"]
        self._terms, self._names = state["terms"], tuple(state["names"])
        self._average.restore(state["average"])
        self._optimiser.restore(state["optimiser"])

    def found(self) -> Found:
        """The pictures that are kept."""
        kept = self._average.over(self._best)
        terms = tuple(tuple(map(tuple, each)) for each in self._terms)
        curves = tuple(map(tuple, self._curves))
        return Found(kept.view(self._shape), curves, self._names, terms, tuple(self._settled))

    def _in_range(self, x: Tensor) -> Tensor:
        return x if self._settings.clamp == "end" else x.clamp(0, 1)


def has_settled(curve: list[float], stop: Stop) -> bool:
    """Whether the best loss fell by less than ``stop.rel`` of itself over the last ``stop.window`` evaluations."""
    if len(curve) <= stop.window:
        return False
    before = min((loss for loss in curve[: -stop.window] if math.isfinite(loss)), default=math.inf)
    now = min((before, *(loss for loss in curve[-stop.window :] if math.isfinite(loss))))
    return math.isfinite(before) and before - now < stop.rel * before


class _Average:
    """The exponentially decaying means of points, corrected for their start at zero."""

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._sum: Tensor | None = None
        self._count = torch.empty(0)

    def add(self, x: Tensor, where: Tensor) -> None:
        """Take in the points (Bxn) of these pictures (B)."""
        if self._sum is None:
            self._sum, self._count = torch.zeros_like(x), torch.zeros_like(x[:, 0])
        self._sum = torch.where(where[:, None], torch.lerp(x, self._sum, self._decay), self._sum)
        self._count = self._count + where

    def state(self) -> State:
        """All that was added."""
        return {} if self._sum is None else {"sum": self._sum, "count": self._count}

    def restore(self, state: State) -> None:
        """As if it had been added."""
        if state:
            self._sum, self._count = state["sum"], state["count"]

    def over(self, others: Tensor) -> Tensor:
        """The means; the ``others`` where nothing was added, or the points had gone astray."""
        if self._sum is None:
            return others
        means = self._sum / (1 - self._decay**self._count)[:, None]
        return torch.where(means.isfinite().all(1, keepdim=True), means, others)
