"""Metrics are symmetric positive maps that prefer low frequencies and luminance; one of them learns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nst_batch.transfer.precondition import BANDS, CHROMA, AdaptiveMetric, SmoothMetric

SHAPE = torch.Size((1, 3, 12, 17))


def metric() -> SmoothMetric:
    return SmoothMetric(SHAPE, torch.device("cpu"), torch.float64)


def vector(seed: int) -> Tensor:
    return torch.randn(1, SHAPE.numel(), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kind", [SmoothMetric, AdaptiveMetric])
@pytest.mark.parametrize("channels", [1, 3])
def test_is_symmetric_and_positive(kind: type[SmoothMetric], channels: int) -> None:
    shape = torch.Size((1, channels, 12, 17))
    smooth = kind(shape, torch.device("cpu"), torch.float64)
    for seed in range(5):
        smooth.learn(*(vector(seed + more)[:, : shape.numel()] for more in (200, 300)))
        one, other = (vector(seed + more)[:, : shape.numel()] for more in (0, 100))
        torch.testing.assert_close((one * smooth(other)).sum(), (smooth(one) * other).sum())
        assert (one * smooth(one)).sum() > 0


def test_broad_grey_passes_and_the_rest_is_held_back() -> None:
    smooth, y = metric(), torch.arange(12)
    grey = torch.ones(SHAPE, dtype=torch.float64)
    torch.testing.assert_close(smooth(grey.flatten(1)), grey.flatten(1))
    fine = grey * (1 - 2 * (y % 2)).view(12, 1)
    assert smooth(fine.flatten(1)).abs().max() < 0.05
    colored = grey * torch.tensor([1.0, -1.0, 0.0]).view(3, 1, 1)
    torch.testing.assert_close(smooth(colored.flatten(1)), CHROMA * colored.flatten(1))


def test_what_is_learnt_is_the_inverse_curvature_of_each_band() -> None:
    """On a quadratic whose Hessian is a function of frequency and colour, up to a factor for all."""
    shape = torch.Size((1, 3, 32, 32))
    adaptive = AdaptiveMetric(shape, torch.device("cpu"), torch.float64)
    hessian = AdaptiveMetric(shape, torch.device("cpu"), torch.float64)
    curvature = torch.rand(3, BANDS, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.1
    hessian._gain = (
        curvature[None, :, hessian._band] / adaptive._first
    )  # the inverse of what is assumed, times curvatures
    for seed in range(5):
        step = torch.randn(1, shape.numel(), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        adaptive.learn(step, hessian(step))
    both = adaptive(hessian(step))
    factor = (both * step).sum() / (step * step).sum()
    torch.testing.assert_close(both, factor * step, rtol=0, atol=1e-6)


def test_steps_that_led_nowhere_teach_nothing() -> None:
    adaptive = AdaptiveMetric(SHAPE, torch.device("cpu"), torch.float64)
    before, nothing = adaptive(vector(0)), torch.zeros(1, SHAPE.numel(), dtype=torch.float64)
    adaptive.learn(nothing, nothing)
    assert torch.isfinite(adaptive(vector(0))).all() and adaptive(vector(0)).norm() <= before.norm() * 101


def test_pictures_learn_each_for_itself() -> None:
    shape = torch.Size((2, *SHAPE[1:]))
    shared, alone = (AdaptiveMetric(size, torch.device("cpu"), torch.float64) for size in (shape, SHAPE))
    for seed in range(3):
        step, change = vector(seed), vector(seed + 100)
        shared.learn(torch.cat([torch.zeros_like(step), step]), torch.cat([torch.zeros_like(step), change]))
        alone.learn(step, change)
    found = shared(torch.cat([vector(9), vector(9)]))
    torch.testing.assert_close(found[1:], alone(vector(9)))
    torch.testing.assert_close(found[:1], AdaptiveMetric(SHAPE, torch.device("cpu"), torch.float64)(vector(9)))
