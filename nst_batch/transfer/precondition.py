"""A picture's gradient, smoothed: the metric in which L-BFGS takes its first look at each direction.

In pixels, fine noise is as near as a broad stroke; L-BFGS finds fine noise first, and spends its evaluations on taking
it away again. Pictures have 1/f spectra and little chroma (Field 1987; Olah et al. 2017, "Feature Visualization", for
the same in Fourier space), so what L-BFGS takes for the unknown part of the inverse Hessian, instead of a multiple of
the identity, is a multiple of that: low frequencies and luminance first. Where the minimum lies does not change.
"""

from __future__ import annotations

import torch
from torch import Tensor

FREQUENCY = 0.02  # cycles a pixel; below it, all count the same: strokes wider than 50 pixels
CHROMA = 0.1  # of chroma against luminance


class SmoothMetric:
    """A symmetric positive map of pictures: divides by frequency, and holds chroma back.

    Args:
        shape: of the picture, 1xCxHxW; chroma is held back where C is 3.
        device: of the picture.
        dtype: of the picture.
    """

    def __init__(self, shape: torch.Size, device: torch.device, dtype: torch.dtype) -> None:
        self._shape = shape
        down = torch.fft.fftfreq(shape[2], device=device, dtype=dtype)[:, None]
        right = torch.fft.rfftfreq(shape[3], device=device, dtype=dtype)[None]
        self._gain = FREQUENCY / (torch.hypot(down, right) + FREQUENCY)
        grey = torch.full((3, 3), 1 / 3, device=device, dtype=dtype)
        self._colors = CHROMA * torch.eye(3, device=device, dtype=dtype) + (1 - CHROMA) * grey

    def __call__(self, gradient: Tensor) -> Tensor:
        """n values to n values, n = CHW."""
        image = gradient.view(self._shape)
        if self._shape[1] == 3:
            image = torch.einsum("ij,bjhw->bihw", self._colors, image)
        smooth: Tensor = torch.fft.irfft2(torch.fft.rfft2(image) * self._gain, s=self._shape[2:])
        return smooth.flatten()
