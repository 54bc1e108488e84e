"""Statistics of features over positions, whole or by region: what a style is taken to be.

Notation: F is a feature map, CxN with N = h·w positions; G = F Fᵀ its Gram matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

DEVIATION_LEAST = 1e-5  # of a channel that is the same everywhere: keeps the root's gradient finite
COVARIANCE_RIDGE = 1e-4  # on the diagonal (Crowson's number): keeps the root's gradient finite


def gram_sums(features: Tensor) -> Tensor:
    """G = F Fᵀ, Gram matrices: which features occur together, wherever they do.

    Args:
        features: BxCxhxw.

    Returns:
        BxCxC, symmetric, positive semidefinite.
    """
    flats = features.flatten(2)  # BxCxN
    return torch.stack([flat @ flat.mT for flat in flats])  # one by one: a batched product is slower on CPUs


def gram_matrix(features: Tensor) -> Tensor:
    """G/N, over positions."""
    return gram_sums(features) / features.shape[2:].numel()


@dataclass(frozen=True)
class Moments:
    """First and second moments of features, by region: ``second`` BxRxCxC is the mean of f fᵀ, ``mean`` BxRxC of f.

    Without regions R is 1. Both are linear in where they were measured, so those of several styles can be mixed. Means
    are None where nobody asked for them.
    """

    second: Tensor
    mean: Tensor | None

    @property
    def means(self) -> Tensor:
        """``mean``, where it was measured."""
        if self.mean is None:
            raise ValueError("these moments were measured without means")
        return self.mean

    def times(self, factor: float) -> Moments:
        """All of them times a factor."""
        if factor == 1:
            return self
        return Moments(factor * self.second, None if self.mean is None else factor * self.mean)

    def in_units(self, unit: float) -> Moments:
        """Those of features ``unit`` times as large."""
        if unit == 1:
            return self
        return Moments(unit**2 * self.second, None if self.mean is None else unit * self.mean)

    def plus(self, other: Moments) -> Moments:
        """Sums of theirs."""
        return Moments(self.second + other.second, None if self.mean is None else self.mean + other.means)

    def to(self, device: torch.device) -> Moments:
        """The same on a device."""
        return Moments(self.second.to(device), None if self.mean is None else self.mean.to(device))

    def deviation(self) -> Tensor:
        """Standard deviations, BxRxC."""
        variance = self.second.diagonal(dim1=-2, dim2=-1) - self.means.square()
        return variance.clamp_min(DEVIATION_LEAST**2).sqrt()

    def covariance(self) -> Tensor:
        """BxRxCxC, with a small ridge."""
        ridge = COVARIANCE_RIDGE * torch.eye(self.second.shape[-1], dtype=self.second.dtype, device=self.second.device)
        return self.second - self.means[..., :, None] * self.means[..., None, :] + ridge


def moments(
    features: Tensor,
    guides: Tensor | None = None,
    *,
    means: bool = True,
    gram: Callable[[Tensor], Tensor] = gram_sums,
) -> Moments:
    """Moments of ``features`` (BxCxhxw) over all positions, or by region.

    Args:
        features: of one layer.
        guides: Rxhxw, each region's weights, summing to 1 (Gatys et al. 2017, "Controlling Perceptual Factors",
            equation 4, with guides normalised to unit energy).
        means: whether they are wanted; second moments always are.
        gram: the device's own way to F Fᵀ; the precision of its result is that of the moments.
    """
    if guides is None:
        second = gram(features) / features.shape[2:].numel()
        return Moments(second[:, None], features.mean((2, 3), dtype=second.dtype)[:, None] if means else None)
    exact = torch.promote_types(features.dtype, torch.float32)
    flats, weights = features.flatten(2).to(exact), guides.flatten(1).to(exact)
    regions = torch.stack([torch.stack([(flat * weight) @ flat.mT for weight in weights]) for flat in flats])
    return Moments(regions, torch.einsum("bcn,rn->brc", flats, weights) if means else None)


def mixed(parts: Sequence[tuple[float, Moments]]) -> Moments:
    """The weighted mean of several styles' moments, as neural-style blends Gram matrices; weights need not add to 1."""
    total = sum(weight for weight, _ in parts)
    means = [weight / total * found.mean for weight, found in parts if found.mean is not None]
    return Moments(
        torch.stack([weight / total * found.second for weight, found in parts]).sum(0),
        torch.stack(means).sum(0) if len(means) == len(parts) else None,
    )


def guides_at(regions: Tensor, height: int, width: int) -> Tensor:
    """Regions of a picture (RxHxW, 1 inside) as weights of a feature map's positions: Rxhxw, each summing to 1."""
    coarse = adaptive_avg_pool2d(regions[None], (height, width))[0]
    return coarse / coarse.sum((1, 2), keepdim=True).clamp_min(torch.finfo(coarse.dtype).tiny)
