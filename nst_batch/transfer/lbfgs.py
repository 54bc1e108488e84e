"""L-BFGS that is asked for points and told values, so that whoever drives it decides what an evaluation is.

Liu and Nocedal, "On the limited memory BFGS method for large scale optimization" (1989); the two-loop recursion of
Nocedal (1980). With ``guard=False`` and ``secant="direction"`` it walks the path of ``torch.optim.LBFGS`` (lr 1, no
line search, tolerances 0), to rounding. It differs where that one is left to luck:

- ``secant="move"`` measures curvature along the move that was really made. When pixels are clamped, the move is
  shorter than the step; pairing the gradient's change with the step spoils the curvature and makes the plain method
  shoot off and recover, again and again.
- ``guard=True`` takes back a step that raises the loss by a lot, tries a shorter one, and when that does not help
  goes back to the best point with an empty history and a smaller first step.

``line_search="strong_wolfe"`` looks for a good length along each direction, as torch's does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from nst_batch.transfer.line_search import Search, Trial, strong_wolfe

CURVATURE_LEAST = 1e-10  # y·s at which a pair is too flat to be of use; torch.optim.LBFGS's number
RISE_ALLOWED = 1.2  # times the last loss; small rises are part of a healthy path without line search
SHORTENINGS = 4  # of one step, each to a quarter, before giving its direction up
RESTARTS = 3
_SHORTER = 0.25
_RESTART_SHORTER = 0.1  # first step after a restart, against that of the restart before


@dataclass
class _Point:
    """A point and what is known there; flat tensors of n values."""

    x: Tensor
    loss: float
    gradient: Tensor


class Metric(Protocol):
    """What the inverse Hessian is taken to be before anything is known of it, but for a factor."""

    def __call__(self, gradient: Tensor) -> Tensor:
        """n values to n values: symmetric and positive."""

    def learn(self, step: Tensor, change: Tensor) -> None:
        """Take note that the gradient changed by ``change`` along ``step``."""


class LBFGS:
    """Minimises one function of n values.

    Args:
        learning_rate: factor on each step; the first step, along the gradient, is at most this long in the 1-norm.
        history: curvature pairs kept.
        secant: which vector goes with the gradient's change: the ``direction`` times its step length (as torch does),
            or the ``move`` from the last point to this one.
        guard: take back steps that raise the loss by more than a fifth or to no number at all.
        line_search: ``none`` takes each step as it is; ``strong_wolfe`` asks for several points along it.
        metric: None: the identity.

    Attributes:
        restarts: times it went back to the best point, at most ``RESTARTS``.
        taken_back: steps taken back, for shorter ones or for a restart.
    """

    def __init__(
        self,
        *,
        learning_rate: float = 1.0,
        history: int = 100,
        secant: Literal["direction", "move"] = "direction",
        guard: bool = False,
        line_search: Literal["none", "strong_wolfe"] = "none",
        metric: Metric | None = None,
    ) -> None:
        self.restarts = 0
        self.taken_back = 0
        self._learning_rate = learning_rate
        self._history = history
        self._secant = secant
        self._guard = guard
        self._metric = metric
        self._searches = line_search == "strong_wolfe"
        self._search: Search | None = None
        self._last: _Point | None = None
        self._best: _Point | None = None
        self._direction = torch.empty(0)
        self._length = 0.0
        self._shortenings = 0
        self._steps: list[Tensor]
        self._changes: list[Tensor]
        self._inverses: list[float]
        self._scale: float
        self._forget()

    def advance(self, x: Tensor, loss: float, gradient: Tensor) -> Tensor | None:
        """The next point to evaluate, given the value at the point that was asked for before (or at a start).

        Args:
            x: n values, where the function was evaluated: the point asked for, or its projection.
            loss: the value there.
            gradient: n values; may be anything when ``loss`` is not finite.

        Returns:
            n values, a new tensor; None when there is nowhere to go: the gradient is zero or not finite, or the
            restarts are used up.
        """
        if self._searches and self._last is not None:
            return self._searched(x, loss, gradient, self._last)
        here = _Point(x, loss, gradient)
        if self._guard and self._last is not None and not loss <= self._last.loss * RISE_ALLOWED:
            return self._take_back(self._last)
        if not math.isfinite(loss):
            return None
        if self._best is None or loss < self._best.loss:
            self._best = here
        self._shortenings = 0
        return self._go_on(here)

    def reweigh(self, factor: float) -> None:
        """Go on with another function, whose curvature is about ``factor`` times what it was: as when a weight changes.

        What was learnt is kept; the next point told is a start.
        """
        self._changes = [change * factor for change in self._changes]
        self._inverses = [inverse / factor for inverse in self._inverses]
        self._scale /= factor
        self._last = self._best = self._search = None
        self._shortenings = 0

    def _go_on(self, here: _Point) -> Tensor | None:
        """The first point to try along a new direction from ``here``."""
        self._choose_step(here)
        self._last = here
        return self._step_from(here)

    def _searched(self, x: Tensor, loss: float, gradient: Tensor, last: _Point) -> Tensor | None:
        """Tell the line search what was found; the next point along its direction, or along a new one."""
        if self._search is None:
            start = Trial(0.0, last.loss, float(last.gradient @ self._direction), last.x, last.gradient)
            self._search = strong_wolfe(start, self._length, float(self._direction.abs().max()))
            self._length = next(self._search)  # the length that the caller has just tried
        slope = float(gradient @ self._direction) if math.isfinite(loss) else math.nan
        try:
            self._length = self._search.send(Trial(self._length, loss, slope, x, gradient))
        except StopIteration as end:
            return self._after_search(end.value)
        return self._step_from(last)

    def _after_search(self, chosen: Trial) -> Tensor | None:
        self._search = None
        here = _Point(chosen.x, chosen.loss, chosen.gradient)
        if chosen.length > 0:
            self._length = chosen.length
            return self._go_on(here)
        if not self._steps:
            return None  # straight downhill leads nowhere
        self._forget()
        self._steepest(here)
        return self._step_from(here)

    def _choose_step(self, here: _Point) -> None:
        """Direction and length of the step from ``here``, having learnt the curvature of the last one."""
        if self._last is None and not self._steps:
            self._steepest(here)
            return
        if self._last is not None:
            step = here.x - self._last.x if self._secant == "move" else self._direction * self._length
            self._learn(here.gradient - self._last.gradient, step)
        self._direction = self._two_loops(here.gradient)
        self._length = self._learning_rate
        if self._guard and not float(self._direction @ here.gradient) < 0:  # curvature is stale: downhill is not
            self._forget()
            self._steepest(here)

    def _step_from(self, point: _Point) -> Tensor | None:
        if not math.isfinite(self._length) or self._length == 0:
            return None
        return point.x + self._length * self._direction

    def _steepest(self, here: _Point) -> None:
        gradient = self._in_metric(here.gradient)
        norm = float(gradient.abs().sum())
        shorter = _RESTART_SHORTER**self.restarts
        self._direction = -gradient
        self._length = min(1.0, 1.0 / norm) * self._learning_rate * shorter if norm > 0 else 0.0

    def _learn(self, change: Tensor, step: Tensor) -> None:
        """Keep a pair: the gradient changed by ``change`` (y) along ``step`` (s)."""
        curvature = float(change @ step)
        if not curvature > CURVATURE_LEAST:
            return
        if len(self._steps) == self._history:
            del self._steps[0], self._changes[0], self._inverses[0]
        self._steps.append(step)
        self._changes.append(change)
        self._inverses.append(1.0 / curvature)
        if self._metric is not None:
            self._metric.learn(step, change)
        self._scale = curvature / float(change @ self._in_metric(change))

    def _two_loops(self, gradient: Tensor) -> Tensor:
        """Minus the inverse Hessian's estimate times the gradient."""
        q = -gradient
        weights = [0.0] * len(self._steps)
        for i in reversed(range(len(self._steps))):
            weights[i] = float(self._steps[i] @ q) * self._inverses[i]
            q.add_(self._changes[i], alpha=-weights[i])
        q = self._in_metric(q).mul_(self._scale)
        for i in range(len(self._steps)):
            back = float(self._changes[i] @ q) * self._inverses[i]
            q.add_(self._steps[i], alpha=weights[i] - back)
        return q

    def _in_metric(self, gradient: Tensor) -> Tensor:
        """A new tensor, or the gradient itself where there is no metric."""
        return gradient if self._metric is None else self._metric(gradient)

    def _take_back(self, last: _Point) -> Tensor | None:
        """A shorter step from the last good point, or a new beginning at the best one."""
        self.taken_back += 1
        if self._shortenings < SHORTENINGS:
            self._shortenings += 1
            self._length *= _SHORTER
            return self._step_from(last)
        if self.restarts == RESTARTS or self._best is None:
            return None
        self.restarts += 1
        self._shortenings = 0
        self._forget()
        self._last = self._best
        self._steepest(self._best)
        return self._step_from(self._best)

    def _forget(self) -> None:
        self._steps, self._changes, self._inverses = [], [], []
        self._scale = 1.0
