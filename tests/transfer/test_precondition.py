"""The smooth metric is a symmetric positive map that prefers low frequencies and luminance."""

from __future__ import annotations

import torch
from torch import Tensor

from nst_batch.transfer.precondition import CHROMA, SmoothMetric

SHAPE = torch.Size((1, 3, 12, 17))


def metric() -> SmoothMetric:
    return SmoothMetric(SHAPE, torch.device("cpu"), torch.float64)


def vector(seed: int) -> Tensor:
    return torch.randn(SHAPE.numel(), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_is_symmetric_and_positive() -> None:
    smooth = metric()
    for seed in range(5):
        one, other = vector(seed), vector(seed + 100)
        torch.testing.assert_close(one @ smooth(other), smooth(one) @ other)
        assert one @ smooth(one) > 0


def test_broad_grey_passes_and_the_rest_is_held_back() -> None:
    smooth, y = metric(), torch.arange(12)
    grey = torch.ones(SHAPE, dtype=torch.float64)
    torch.testing.assert_close(smooth(grey.flatten()), grey.flatten())
    fine = grey * (1 - 2 * (y % 2)).view(12, 1)
    assert smooth(fine.flatten()).abs().max() < 0.05
    colored = grey * torch.tensor([1.0, -1.0, 0.0]).view(3, 1, 1)
    torch.testing.assert_close(smooth(colored.flatten()), CHROMA * colored.flatten())
