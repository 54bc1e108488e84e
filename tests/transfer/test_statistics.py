"""Gram matrices and moments, whole and by region, against sums written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nst_batch.transfer.statistics import Moments, gram_matrix, guides_at, mixed, moments


def features(channels: int, height: int, width: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, height, width, generator=random, dtype=torch.float64)


def test_gram_is_the_mean_over_positions() -> None:
    f = features(5, 3, 4, 0)
    expected = torch.zeros(5, 5, dtype=torch.float64)
    for i in range(5):
        for j in range(5):
            expected[i, j] = (f[0, i] * f[0, j]).sum() / 12
    torch.testing.assert_close(gram_matrix(f)[0], expected)


def test_gram_of_a_batch_is_each_pictures_own() -> None:
    one, other = features(4, 3, 3, 0), features(4, 3, 3, 1)
    both = gram_matrix(torch.cat([one, other]))
    torch.testing.assert_close(both, torch.cat([gram_matrix(one), gram_matrix(other)]))


def test_moments_are_means_over_positions() -> None:
    f = features(4, 3, 5, 0)
    found, flat = moments(f), f[0].flatten(1)
    torch.testing.assert_close(found.second[0, 0], gram_matrix(f)[0])
    torch.testing.assert_close(found.means[0, 0], flat.mean(1))
    torch.testing.assert_close(found.deviation()[0, 0], flat.std(1, unbiased=False))
    torch.testing.assert_close(
        found.covariance()[0, 0], torch.cov(flat, correction=0) + 1e-4 * torch.eye(4, dtype=torch.float64)
    )


def test_a_regions_moments_are_those_of_its_positions_alone() -> None:
    f = features(4, 4, 6, 0)
    left = torch.zeros(4, 6, dtype=torch.float64)
    left[:, :2] = 1
    guides = torch.stack([left / left.sum(), (1 - left) / (1 - left).sum()])
    found = moments(f, guides)
    for region, part in enumerate((f[..., :2], f[..., 2:])):
        torch.testing.assert_close(found.second[:, region], moments(part).second[:, 0])
        torch.testing.assert_close(found.means[:, region], moments(part).means[:, 0])


def test_guides_follow_the_regions_down_and_add_up_to_one() -> None:
    regions = torch.zeros(2, 8, 12)
    regions[0, :, :4] = 1
    regions[1, :, 4:] = 1
    guides = guides_at(regions, 4, 6)
    torch.testing.assert_close(guides.sum((1, 2)), torch.ones(2))
    assert (guides[0, :, 2:] == 0).all() and (guides[0, :, :2] == 1 / 8).all()
    assert torch.isfinite(guides_at(torch.zeros(1, 8, 8), 4, 4)).all()  # a region too thin to be seen


def test_styles_mix_by_weight() -> None:
    one, other = moments(features(3, 4, 4, 0)), moments(features(3, 2, 5, 1))
    found = mixed([(1.0, one), (3.0, other)])
    torch.testing.assert_close(found.second, one.second / 4 + other.second * 3 / 4)
    torch.testing.assert_close(found.means, one.means / 4 + other.means * 3 / 4)


def test_means_that_nobody_asked_for_are_missed_where_they_are_needed() -> None:
    found = moments(features(3, 4, 4, 0), means=False)
    assert mixed([(1.0, found), (1.0, found)]).mean is None
    with pytest.raises(ValueError, match="without means"):
        found.covariance()


def test_a_dead_channel_has_a_deviation_with_a_finite_gradient() -> None:
    f = torch.zeros(1, 2, 3, 3, requires_grad=True)
    found: Moments = moments(f)
    (gradient,) = torch.autograd.grad(found.deviation().sum(), f)
    assert torch.isfinite(gradient).all()
