"""Colours: linear matches of their statistics, and luminance apart from chroma.

Gatys, Bethge, Hertzmann and Shechtman, "Preserving Color in Neural Artistic Style Transfer" (2016), and "Controlling
Perceptual Factors in Neural Style Transfer" (CVPR 2017).
"""

from __future__ import annotations

import torch
from torch import Tensor

from nst_batch.settings import TransferSettings

LUMINANCE = (0.299, 0.587, 0.114)  # of R, G, B: ITU-R BT.601, as YCbCr, and NTSC's YIQ
_RIDGE = 1e-5  # on the covariance's diagonal: a grey picture has no colour to be scaled (Gatys' number)
_ROUNDS = 20  # of matching and clamping; each moves statistics less than the one before


def prepared(content: Tensor, style: Tensor, settings: TransferSettings) -> tuple[Tensor, Tensor]:
    """Content and style as the network is to see them.

    Args:
        content, style: 1x3xHxW in [0, 1], of any two sizes.
        settings: color, color_method and color_transform are used.

    Returns:
        Both, 1x3xHxW, or 1x1xHxW where luminance alone is rendered.
    """
    if settings.color == "style_match":
        return matched(content, style, settings.color_transform), style
    if settings.color == "content" and settings.color_method == "match":
        return content, matched(style, content, settings.color_transform)
    if settings.color == "content" and settings.color_method == "luminance":
        ours, theirs = luminance(content), luminance(style)
        spread = ours.std() / theirs.std().clamp_min(1e-5)
        return ours, (theirs - theirs.mean()) * spread + ours.mean()
    return content, style


def finished(result: Tensor, content: Tensor, settings: TransferSettings) -> Tensor:
    """The result with the content's colours put back, where that is asked for.

    Args:
        result: 1x3xHxW in [0, 1], or 1x1xHxW luminance.
        content: 1x3xHxW, of the same size.
        settings: color, color_method and color_transform are used.

    Returns:
        1x3xHxW in [0, 1].
    """
    if settings.color != "content":
        return result
    if settings.color_method != "match":
        return with_chroma(luminance(result) if result.shape[1] == 3 else result, content)
    for _ in range(_ROUNDS):  # what is clamped shifts the statistics a little: match again
        result = matched(result, content, settings.color_transform).clamp(0, 1)
    return result


def seen(image: Tensor, settings: TransferSettings) -> Tensor:
    """A finished picture as the network saw it while it was rendered."""
    alone = settings.color == "content" and settings.color_method == "luminance"
    return luminance(image) if alone else image


def luminance(image: Tensor) -> Tensor:
    """1x3xHxW to 1x1xHxW."""
    return (image * image.new_tensor(LUMINANCE).view(1, 3, 1, 1)).sum(1, keepdim=True)


def with_chroma(light: Tensor, content: Tensor) -> Tensor:
    """``light`` (1x1xHxW) in the chroma of ``content`` (1x3xHxW), which is kept exactly.

    Luminance that would leave [0, 1] in some channel with that chroma is brought to the nearest that does not: the
    content's own is one, so there always is one.
    """
    chroma = content - luminance(content)
    least, most = -chroma.amin(1, keepdim=True), 1 - chroma.amax(1, keepdim=True)
    return (light.maximum(least).minimum(most) + chroma).clamp(0, 1)


def matched(image: Tensor, other: Tensor, transform: str) -> Tensor:
    """``image`` with the mean and covariance of ``other``'s colours; not clamped.

    Args:
        image, other: 1x3xHxW, of any two sizes.
        transform: the linear map A with A C A' = C': ``symmetric`` (the one that moves colours least), ``pca``
            (C'^½ C^-½), or ``cholesky`` (L' L^-1).
    """
    mean, covariance = _statistics(image)
    target_mean, target = _statistics(other)
    if transform == "cholesky":
        change = torch.linalg.cholesky(target) @ torch.linalg.inv(torch.linalg.cholesky(covariance))
    elif transform == "pca":
        change = _power(target, 0.5) @ _power(covariance, -0.5)
    else:
        root, inverse = _power(covariance, 0.5), _power(covariance, -0.5)
        change = inverse @ _power(root @ target @ root, 0.5) @ inverse
    pixels = image[0].flatten(1).double()
    moved = change @ (pixels - mean) + target_mean
    result: Tensor = moved.view_as(image).to(image.dtype)
    return result


def _statistics(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (3x1) and covariance (3x3, with a ridge) of colours, in float64."""
    pixels = image[0].flatten(1).double()
    mean = pixels.mean(1, keepdim=True)
    ridge = _RIDGE * torch.eye(3, dtype=pixels.dtype, device=pixels.device)
    return mean, (pixels - mean) @ (pixels - mean).mT / pixels.shape[1] + ridge


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """Of a symmetric positive matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    result: Tensor = (vectors * values.clamp_min(_RIDGE / 10) ** exponent) @ vectors.mT
    return result
