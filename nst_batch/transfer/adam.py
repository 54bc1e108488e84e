"""Adam, asked for points and told values as ``lbfgs.LBFGS`` is.

Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), algorithm 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from nst_batch.transfer.snapshot import State

_LEAST = 1e-8  # added to the deviation; the paper's and torch's number


class Adam:
    """Minimises B functions of n values.

    Args:
        rate: length of a step.
        betas: decay of the means of gradients and of their squares.

    Attributes:
        going: B; false where a loss was no number.
        restarts, taken_back: always 0; here for whoever drives either optimiser.
    """

    def __init__(self, rate: float = 0.02, betas: tuple[float, ...] = (0.9, 0.99)) -> None:
        self._rate = rate
        self._betas = betas
        self._count = 0
        self._mean = self._square = torch.empty(0)
        self.going = self.restarts = self.taken_back = torch.empty(0)

    def advance(self, x: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
        """The next points to evaluate; arguments as for ``LBFGS.advance``."""
        if self._count == 0:
            self._mean, self._square = torch.zeros_like(x), torch.zeros_like(x)
        if len(self.going) == 0:
            self.going = torch.ones_like(loss, dtype=torch.bool)
            self.restarts = self.taken_back = torch.zeros_like(loss, dtype=torch.long)
        self.going = self.going & loss.isfinite()
        self._count += 1
        first, second = self._betas
        self._mean = torch.lerp(gradient, self._mean, first)
        self._square = torch.lerp(gradient.square(), self._square, second)
        mean = self._mean / (1 - first**self._count)
        deviation = (self._square / (1 - second**self._count)).sqrt()
        return x - self._rate * mean / (deviation + _LEAST)

    def reweigh(self, factor: Tensor) -> None:  # noqa: ARG002 - as LBFGS has it
        """Go on with other functions, as ``LBFGS.reweigh``; means forget by themselves."""
        self.going = torch.ones_like(self.going)

    def state(self) -> State:
        """All that it knows."""
        means = {"mean": self._mean, "square": self._square} if self._count else {}
        return {"count": self._count, "going": self.going, **means}

    def restore(self, state: State) -> None:
        """Know that again; called when new."""
        self._count, self.going = state["count"], state["going"]
        self.restarts = self.taken_back = torch.zeros_like(self.going, dtype=torch.long)
        if self._count:
            self._mean, self._square = state["mean"], state["square"]

    def resized(self, old: torch.Size, new: torch.Size) -> Adam:
        """What is remembered, carried to pictures of another size (BxCxHxW), as Crowson's style-transfer does."""
        other = Adam(self._rate, self._betas)
        if self._count:
            other._count = self._count
            other._mean = interpolate(self._mean.view(old), new[2:], mode="bicubic").flatten(1)
            other._square = interpolate(self._square.view(old), new[2:], mode="bilinear").flatten(1)
        return other
