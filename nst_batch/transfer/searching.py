"""L-BFGS with a strong Wolfe search along each direction, as ``torch.optim.LBFGS(line_search_fn="strong_wolfe")``.

One function at a time: where a search goes next depends on what it finds, so the value has to be known here and now.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nst_batch.transfer.curvature import Curvature, Metric
from nst_batch.transfer.line_search import Search, Trial, strong_wolfe
from nst_batch.transfer.snapshot import State


class SearchingLBFGS:
    """As ``lbfgs.LBFGS`` for a single function (B = 1), with a line search in place of the guard."""

    def __init__(
        self,
        *,
        learning_rate: float = 1.0,
        history: int = 100,
        metric: Metric | None = None,
        kept: torch.dtype | None = None,
    ) -> None:
        self.going = torch.ones(1, dtype=torch.bool)
        self.restarts = self.taken_back = torch.zeros(1, dtype=torch.long)
        self._learning_rate = learning_rate
        self._curvature = Curvature(history, metric, kept)
        self._last: Trial | None = None
        self._search: Search | None = None
        self._direction = torch.empty(0)
        self._length = 0.0

    def advance(self, x: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
        """The next point to evaluate; arguments as for ``LBFGS.advance``."""
        value = float(loss)
        if self._last is None:
            found = self._go_on(Trial(0.0, value, 0.0, x[0], gradient[0])) if math.isfinite(value) else None
        else:
            found = self._told(x[0], value, gradient[0], self._last)
        self.going = torch.tensor([found is not None], device=x.device)
        return x.clone() if found is None else found[None]

    def reweigh(self, factor: Tensor) -> None:
        """As ``LBFGS.reweigh``."""
        self._curvature.reweigh(factor)
        self._last = self._search = None
        self.going = torch.ones_like(self.going)

    def state(self) -> State | None:
        """All that it knows; None in the middle of a search."""
        if self._search is not None or self._last is None:
            return None
        last = self._last
        return {
            "x": last.x[None],
            "loss": [last.loss],
            "gradient": last.gradient[None],
            "direction": self._direction[None],
            "length": [self._length],
            "going": self.going,
            "curvature": self._curvature.state(),
        }

    def restore(self, state: State) -> None:
        """Know that again; called when new."""
        self._last = Trial(0.0, state["loss"][0], 0.0, state["x"][0], state["gradient"][0])
        self._direction, self._length = state["direction"][0], state["length"][0]
        self.going = state["going"]
        self._curvature.restore(state["curvature"])

    def _told(self, x: Tensor, loss: float, gradient: Tensor, last: Trial) -> Tensor | None:
        """Tell the line search what was found; the next point along its direction, or along a new one."""
        if self._search is None:
            slope = float(last.gradient @ self._direction)
            start = Trial(0.0, last.loss, slope, last.x, last.gradient)
            self._search = strong_wolfe(start, self._length, float(self._direction.abs().max()))
            self._length = next(self._search)  # the length that the caller has just tried
        slope = float(gradient @ self._direction) if math.isfinite(loss) else math.nan
        try:
            self._length = self._search.send(Trial(self._length, loss, slope, x, gradient))
        except StopIteration as end:
            return self._after(end.value)
        return self._step_from(last)

    def _after(self, chosen: Trial) -> Tensor | None:
        self._search = None
        if chosen.length > 0:
            self._length = chosen.length
            return self._go_on(chosen)
        everything = torch.ones_like(chosen.x[:1], dtype=torch.bool)
        if not self._curvature.known(chosen.x[None]):
            return None  # straight downhill leads nowhere
        self._curvature.forget(everything)
        self._last = None
        return self._go_on(chosen)

    def _go_on(self, here: Trial) -> Tensor | None:
        """The first point to try along a new direction from ``here``."""
        if self._last is not None:
            step, change = self._direction * self._length, here.gradient - self._last.gradient
            self._curvature.learn(step[None], change[None], torch.ones_like(step[:1], dtype=torch.bool))
        self._direction = self._curvature.direction(here.gradient[None])[0]
        self._length = self._learning_rate
        if not self._curvature.known(here.x[None]):
            norm = float(self._direction.abs().sum())
            self._length = min(1.0, 1.0 / norm) * self._learning_rate if norm > 0 else 0.0
        self._last = here
        return self._step_from(here)

    def _step_from(self, point: Trial) -> Tensor | None:
        if not math.isfinite(self._length) or self._length == 0:
            return None
        return point.x + self._length * self._direction
