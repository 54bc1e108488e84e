"""Metrics: what L-BFGS takes the inverse Hessian to be where it has not looked yet, instead of a multiple of 1.

In pixels, fine noise is as near as a broad stroke; L-BFGS finds fine noise first, and spends its evaluations on taking
it away again. Pictures have 1/f spectra and little chroma (Field 1987; Olah et al. 2017, "Feature Visualization", for
the same in Fourier space), so both metrics put low frequencies and luminance first. Where the minimum lies does not
change, only the way there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nst_batch.transfer.snapshot import State

FREQUENCY = 0.02  # cycles a pixel; below it, all count the same: strokes wider than 50 pixels
CHROMA = 0.1  # of chroma against luminance
FIRST_CHROMA = 0.3  # the same, for a metric that learns better
BANDS = 6  # of frequencies; more are no better
REMEMBERED = 0.9  # of what was learnt, from one step to the next
LIMIT = 100.0  # how far what is learnt may be from what was assumed

_OPPONENTS = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))  # luminance, and two kinds of chroma


class SmoothMetric:
    """A symmetric positive map of pictures: divides by frequency, and holds chroma back.

    Args:
        shape: of the pictures, BxCxHxW; chroma is held back where C is 3.
        device: of the pictures.
        dtype: of the pictures.
        chroma: of chroma against luminance.
    """

    def __init__(self, shape: torch.Size, device: torch.device, dtype: torch.dtype, *, chroma: float = CHROMA) -> None:
        self._shape = shape
        down = torch.fft.fftfreq(shape[2], device=device, dtype=dtype)[:, None]
        right = torch.fft.rfftfreq(shape[3], device=device, dtype=dtype)[None]
        self._frequency = torch.hypot(down, right)
        turn = torch.tensor(_OPPONENTS if shape[1] == 3 else ((1.0,),), device=device, dtype=dtype)
        self._turn = turn / turn.norm(dim=1, keepdim=True)  # orthogonal: its transpose turns back
        weights = torch.tensor((1.0, chroma, chroma)[: shape[1]], device=device, dtype=dtype)
        self._gain = weights[:, None, None] * FREQUENCY / (self._frequency + FREQUENCY)

    def __call__(self, gradient: Tensor) -> Tensor:
        """Bxn values to Bxn values, n = CHW."""
        return self._picture(self._spectrum(gradient) * self._gain)

    def learn(self, step: Tensor, change: Tensor) -> None:
        """Take note that the gradient changed by ``change`` along ``step`` (Bxn values each). Here, nothing."""

    def state(self) -> State:
        """What was learnt: nothing."""
        return {}

    def restore(self, state: State) -> None:
        """Know that again."""

    def _spectrum(self, values: Tensor) -> Tensor:
        spectrum: Tensor = torch.fft.rfft2(torch.einsum("ij,bjhw->bihw", self._turn, values.view(self._shape)))
        return spectrum

    def _picture(self, spectrum: Tensor) -> Tensor:
        values = torch.fft.irfft2(spectrum, s=self._shape[2:])
        picture: Tensor = torch.einsum("ji,bjhw->bihw", self._turn, values)
        return picture.flatten(1)


class AdaptiveMetric(SmoothMetric):
    """Begins as a ``SmoothMetric``, and corrects it by the steps made: for each band of frequencies and each kind of
    colour, by how long steps were against how much the gradient changed.

    The scalar that L-BFGS begins with, s·y / y·y (Nocedal and Wright 2006, equation 7.20), is such a ratio for all of a
    picture at once; here it is |s| / |y| for each of 18 parts of it, which is never negative.
    """

    def __init__(self, shape: torch.Size, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(shape, device, dtype, chroma=FIRST_CHROMA)
        octaves = (self._frequency * 64).clamp_min(1).log2() / math.log2(64 * math.sqrt(0.5))  # 0 to 1
        self._band = (octaves * BANDS).long().clamp(0, BANDS - 1)
        self._first = self._gain
        self._twice = torch.full_like(self._frequency, 2.0)  # rfft2 leaves out what mirrors another value
        self._twice[:, 0] = 1
        if shape[3] % 2 == 0:
            self._twice[:, -1] = 1
        self._steps = torch.zeros(*shape[:2], BANDS, device=device, dtype=dtype)
        self._changes = torch.zeros_like(self._steps)

    def learn(self, step: Tensor, change: Tensor) -> None:
        """Take note that gradients changed by ``change`` along ``step``, Bxn each; zeros where nothing was learnt."""
        steps, changes = self._energy(step, 1 / self._first), self._energy(change, self._first)
        learnt = (steps.sum((1, 2)) > 0)[:, None, None]
        self._steps = torch.where(learnt, REMEMBERED * self._steps + steps, self._steps)
        self._changes = torch.where(learnt, REMEMBERED * self._changes + changes, self._changes)
        self._weigh()

    def state(self) -> State:
        """What was learnt."""
        return {"steps": self._steps, "changes": self._changes}

    def restore(self, state: State) -> None:
        """Know that again."""
        self._steps, self._changes = state["steps"], state["changes"]
        self._weigh()

    def _weigh(self) -> None:
        """Let what was learnt decide."""
        tiny = torch.finfo(self._changes.dtype).tiny
        ratio = (self._steps / self._changes.clamp_min(tiny)).sqrt()
        mean = (self._steps.sum((1, 2)) / self._changes.sum((1, 2)).clamp_min(tiny)).sqrt()
        gain = (ratio / mean[:, None, None]).nan_to_num(1.0).clamp(1 / LIMIT, LIMIT)
        self._gain = self._first * gain[:, :, self._band]

    def _energy(self, values: Tensor, weights: Tensor) -> Tensor:
        """By picture, kind of colour and band, in the metric that was assumed."""
        power = torch.view_as_real(self._spectrum(values)).square().sum(-1) * weights * self._twice
        found = torch.zeros_like(self._steps)
        return found.index_add_(2, self._band.flatten(), power.flatten(2))
