"""L-BFGS that is asked for points and told values, so that whoever drives it decides what an evaluation is.

With ``guard=False``, ``unit=1`` and ``secant="direction"`` it walks the path of ``torch.optim.LBFGS`` (lr 1, no line
search, tolerances 0), to rounding. It differs where that one is left to luck:

- As long as nothing is learnt, since gradients change the wrong way along the first steps, each step is four times as
  long as the one before. torch's second step is the whole gradient, which throws every pixel out of the picture.
- ``secant="move"`` measures curvature along the move that was really made. When pixels are clamped, the move is
  shorter than the step; pairing the gradient's change with the step spoils the curvature and makes the plain method
  shoot off and recover, again and again.
- ``guard=True`` takes back a step that raises the loss by a lot, tries a shorter one, and when that does not help
  goes back to the best point with an empty history and a smaller first step.

It works on B independent functions at once, and never waits for a GPU: whatever is decided is decided for each by
masks, where the values are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from nst_batch.transfer.curvature import Curvature, Metric, chosen, dots, some
from nst_batch.transfer.snapshot import State

RISE_ALLOWED = 1.2  # times the last loss; small rises are part of a healthy path without line search
SHORTENINGS = 4  # of one step, each to a quarter, before giving its direction up
RESTARTS = 3
FIRST_MOVE = 1e-3
"""Mean change of a value in the first step along the gradient, with ``guard``.

torch's first step has the length 1 in the 1-norm, which is 2e-6 for each value of a picture of 512 x 384: what the
gradient changes by then is float32's rounding, the curvature learnt from it is noise, and the next step goes anywhere.
"""
_SHORTER = 0.25
_LONGER = 4.0
_RESTART_SHORTER = 0.1  # first step after a restart, against that of the restart before


@dataclass
class _Points:
    """Points and what is known there: B losses, Bxn values and gradients."""

    x: Tensor
    loss: Tensor
    gradient: Tensor

    def over(self, other: _Points, where: Tensor) -> _Points:
        """These ``where`` (B) says so, else the others."""
        return _Points(
            chosen(where, self.x, other.x),
            torch.where(where, self.loss, other.loss),
            chosen(where, self.gradient, other.gradient),
        )


class LBFGS:
    """Minimises B functions of n values.

    Args:
        learning_rate: factor on each step.
        unit: what values are counted in for the length of the first step, along the gradient: at most 1 in the 1-norm,
            as in torch, whose path depends on it. With ``guard`` it is ``FIRST_MOVE`` for each value, on average.
        history: curvature pairs kept.
        secant: which vector goes with the gradient's change: the ``direction`` times its step length (as torch does),
            or the ``move`` from the last point to this one.
        guard: take back steps that raise the loss by more than a fifth or to no number at all.
        metric: None: the identity.
        kept: precision of the history; None: as the values are.

    Attributes:
        going: B; false where there is nowhere to go: the gradient is zero, the loss no number, or the restarts are
            used up.
        restarts: B; times each went back to its best point, at most ``RESTARTS``.
        taken_back: B; steps taken back, for shorter ones or for a restart.
    """

    def __init__(
        self,
        *,
        learning_rate: float = 1.0,
        unit: float = 1.0,
        history: int = 100,
        secant: Literal["direction", "move"] = "direction",
        guard: bool = False,
        metric: Metric | None = None,
        kept: torch.dtype | None = None,
    ) -> None:
        self._learning_rate = learning_rate
        self._unit = unit
        self._secant = secant
        self._guard = guard
        self._curvature = Curvature(history, metric, kept)
        self._last: _Points | None = None
        self._best: _Points | None = None
        self._direction = torch.empty(0)
        self._length = self._shortenings = torch.empty(0)
        self.going = self.restarts = self.taken_back = torch.empty(0)

    def advance(self, x: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
        """The next points to evaluate, given values at the points that were asked for before (or at a start).

        Args:
            x: Bxn values, where the functions were evaluated: the points asked for, or their projections.
            loss: B values there.
            gradient: Bxn values; may be anything where the loss is not finite.

        Returns:
            Bxn values, a new tensor; the last good points where nothing is ``going``.
        """
        here, finite = _Points(x, loss, gradient), loss.isfinite()
        if len(self._direction) == 0:
            self._begin(here)
        last, best, rose = self._last or here, self._best or here, torch.zeros_like(finite)
        if self._last is not None:
            if self._guard:
                rose = ~(loss <= last.loss * RISE_ALLOWED)
                best = here.over(best, finite & ~rose & (loss < best.loss))
            step = x - last.x if self._secant == "move" else self._direction * self._length[:, None]
            self._curvature.learn(step, gradient - last.gradient, finite & ~rose)
            del step
        self.going = self.going & (finite | rose)
        return self._go_on(here, last, best, rose)

    def reweigh(self, factor: Tensor) -> None:
        """Go on with other functions, whose curvature is about ``factor`` (B) times what it was: as when a weight
        changes.

        What was learnt is kept; the next points told are a start.
        """
        self._curvature.reweigh(factor)
        self._last = self._best = None
        self.going = torch.ones_like(self.going)

    def state(self) -> State:
        """All that it knows."""
        return {
            "last": None if self._last is None else vars(self._last),
            "best": None if self._best is None else vars(self._best),
            "direction": self._direction,
            "length": self._length,
            "shortenings": self._shortenings,
            "going": self.going,
            "restarts": self.restarts,
            "taken_back": self.taken_back,
            "curvature": self._curvature.state(),
        }

    def restore(self, state: State) -> None:
        """Know that again; called when new."""
        self._last = None if state["last"] is None else _Points(**state["last"])
        self._best = None if state["best"] is None else _Points(**state["best"])
        self._direction, self._length, self._shortenings = state["direction"], state["length"], state["shortenings"]
        self.going, self.restarts, self.taken_back = state["going"], state["restarts"], state["taken_back"]
        self._curvature.restore(state["curvature"])

    def _begin(self, here: _Points) -> None:
        self.going = torch.ones_like(here.loss, dtype=torch.bool)
        self.restarts = self.taken_back = self._shortenings = torch.zeros_like(here.loss, dtype=torch.long)
        self._direction, self._length = torch.zeros_like(here.x), torch.zeros_like(here.loss)

    def _go_on(self, here: _Points, last: _Points, best: _Points, rose: Tensor) -> Tensor:
        """One step on from ``here``; where it ``rose``, a shorter one from the last point, or one from the best."""
        shorter = rose & (self._shortenings < SHORTENINGS)
        anew = rose & ~shorter
        self.going = self.going & ~(anew & (self.restarts == RESTARTS))
        self.taken_back = self.taken_back + rose.long()
        self.restarts = self.restarts + (anew & self.going).long()
        self._shortenings = torch.where(shorter, self._shortenings + 1, 0)
        self._curvature.forget(anew)
        base = here.over(best.over(last, anew), ~rose)
        direction, length = self._choose(base, rose)
        direction = chosen(shorter, self._direction, direction)
        length = torch.where(shorter, self._length * _SHORTER, length)
        self._last, self._best = base, best if self._guard else None
        self._direction, self._length = direction, length
        self.going = self.going & length.isfinite() & (length != 0)
        return chosen(self.going, torch.addcmul(base.x, length[:, None], direction), base.x)

    def _choose(self, base: _Points, rose: Tensor) -> tuple[Tensor, Tensor]:
        """Directions from there, and how far."""
        direction, known = self._curvature.direction(base.gradient), self._curvature.known(base.gradient)
        longer = ~(known | rose) if self._last is not None else torch.zeros_like(known)
        if self._guard:  # where curvature is stale, downhill is not downhill
            uphill = known & ~(dots(direction, base.gradient) < 0)
            if some(uphill):
                self._curvature.forget(uphill)
                direction = torch.where(uphill[:, None], self._curvature.downhill(base.gradient), direction)
                known = known & ~uphill
        norm = direction.abs().sum(1)
        first = FIRST_MOVE * base.x.shape[1] / norm if self._guard else (self._unit / norm).clamp(max=self._unit**2)
        first = first * self._learning_rate * _RESTART_SHORTER**self.restarts
        if some(longer):
            first = torch.where(longer, _LONGER * self._length * self._direction.abs().sum(1) / norm, first)
        return direction, torch.where(known, self._learning_rate, torch.where(norm > 0, first, 0))
