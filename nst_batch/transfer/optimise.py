"""The optimisation of one picture at one scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nst_batch.errors import DivergedError
from nst_batch.settings import Stop, TransferSettings
from nst_batch.transfer.adam import Adam
from nst_batch.transfer.lbfgs import LBFGS
from nst_batch.transfer.losses import Objective
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.precondition import AdaptiveMetric, SmoothMetric

OnStep = Callable[[int, float], None]
"""Told (evaluations made, loss) after each evaluation; what it raises ends the transfer."""

Optimiser = LBFGS | Adam

_METRICS = {"smooth": SmoothMetric, "adaptive": AdaptiveMetric}


@dataclass(frozen=True)
class Found:
    """What the optimiser brought home: the picture it keeps (not yet clamped), and every evaluation's loss."""

    image: Tensor
    curve: tuple[float, ...]
    settled: bool


def optimiser_for(settings: TransferSettings, image: Tensor) -> Optimiser:
    """A new optimiser, as the settings want it, for pictures like ``image`` (1xCxHxW)."""
    if settings.optimizer == "adam":
        return Adam(settings.adam_rate, settings.adam_betas)
    return LBFGS(
        learning_rate=settings.learning_rate,
        history=settings.history,
        secant="move" if settings.clamp == "step" else "direction",
        guard=settings.guard,
        line_search=settings.line_search,
        metric=None
        if settings.metric == "pixels"
        else _METRICS[settings.metric](image.shape, image.device, image.dtype),
    )


def optimise(
    closure: Callable[[Tensor], tuple[float, Tensor]],
    start: Tensor,
    steps: int,
    settings: TransferSettings,
    optimiser: Optimiser,
    on_step: OnStep | None = None,
) -> Found:
    """Minimise ``closure`` over pixels in ``steps`` evaluations, or fewer when it settles or has nowhere to go.

    Args:
        closure: a picture to its loss and gradient.
        start: 1xCxHxW.
        steps: closure evaluations.
        settings: clamp, averaging and stop are used.
        optimiser: new, or with what it remembers of a smaller scale.
        on_step: see ``OnStep``.

    Returns:
        The best picture seen; with ``averaging``, the running mean of all that the optimiser stepped to.

    Raises:
        DivergedError: no evaluation gave a finite loss.
    """
    best, best_loss, curve = start, math.inf, list[float]()
    average = _Average(settings.averaging)
    x: Tensor | None = start.flatten().clone()
    settled = False
    while x is not None and len(curve) < steps and not settled:
        _keep_in_range(x, settings)
        loss, gradient = closure(x.view_as(start))
        curve.append(loss)
        if loss < best_loss:  # False for NaN
            best, best_loss = x.view_as(start).clone(), loss
        if on_step is not None:
            on_step(len(curve), loss)
        settled = settings.stop is not None and has_settled(curve, settings.stop)
        x = optimiser.advance(x, loss, gradient.flatten())
        if x is not None and settings.averaging:
            _keep_in_range(x, settings)
            average.add(x)
    if math.isinf(best_loss):
        raise DivergedError(
            f"no finite loss in {len(curve)} evaluations", hint="use a smaller style_weight, or guard: true"
        )
    mean = average.value()
    return Found(best if mean is None else mean.view_as(start), tuple(curve), settled)


def _keep_in_range(x: Tensor, settings: TransferSettings) -> None:
    if settings.clamp != "end":
        x.clamp_(0, 1)


def has_settled(curve: list[float], stop: Stop) -> bool:
    """Whether the best loss fell by less than ``stop.rel`` of itself over the last ``stop.window`` evaluations."""
    if len(curve) <= stop.window:
        return False
    before = min((loss for loss in curve[: -stop.window] if math.isfinite(loss)), default=math.inf)
    now = min((before, *(loss for loss in curve[-stop.window :] if math.isfinite(loss))))
    return math.isfinite(before) and before - now < stop.rel * before


class _Average:
    """The exponentially decaying mean of points, corrected for its start at zero."""

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._count = 0
        self._sum: Tensor | None = None

    def add(self, x: Tensor) -> None:
        self._count += 1
        self._sum = (1 - self._decay) * x if self._sum is None else torch.lerp(x, self._sum, self._decay)

    def value(self) -> Tensor | None:
        """The mean; None when nothing was added, or the points had gone astray."""
        if self._sum is None or not bool(self._sum.isfinite().all()):
            return None
        return self._sum / (1 - self._decay**self._count)


def closure(passes: Passes, objective: Objective, image: Tensor) -> tuple[float, Tensor]:
    """The objective's value at ``image`` (1xCxHxW), and its gradient, of the same shape."""
    total, gradient = objective.gradient(passes, image)
    return total.item(), gradient
