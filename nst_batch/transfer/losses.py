"""The objective: content and Gram losses at chosen layers (Gatys, Ecker and Bethge, CVPR 2016).

Notation: F is a feature map, CxN with N = h·w positions; G = F Fᵀ its Gram matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from nst_batch.records import Losses, TransferSettings


def gram_matrix(features: Tensor, norm: str = "cn") -> Tensor:
    """Gram matrices: which features occur together, wherever they do.

    Args:
        features: BxCxhxw.
        norm: ``cn`` divides by C·N (the PyTorch tutorial, neural-style), ``n`` by N (Gatys' notebook).

    Returns:
        BxCxC, symmetric, positive semidefinite.
    """
    channels, positions = features.shape[1], features.shape[2] * features.shape[3]
    flats = features.flatten(2)  # BxCxN
    grams = torch.stack([flat @ flat.mT for flat in flats])  # one by one: a batched product is slower on CPUs
    return grams / (channels * positions if norm == "cn" else positions)


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """mean((F - P)²) for each picture: BxCxhxw twice, B out."""
    return torch.stack([mse_loss(f, p) for f, p in zip(features, target.expand_as(features), strict=True)])


def style_loss(gram: Tensor, target: Tensor) -> Tensor:
    """mean((G - A)²) for each picture: BxCxC twice, B out."""
    return torch.stack([mse_loss(g, a) for g, a in zip(gram, target.expand_as(gram), strict=True)])


@dataclass(frozen=True)
class Targets:
    """What the picture should have: features of the content, Gram matrices of the style, by layer, with B = 1."""

    content: Mapping[str, Tensor]
    style: Mapping[str, Tensor]


@dataclass(frozen=True)
class Terms:
    """Weighted losses by layer, each of shape B and still attached to the graph."""

    content: dict[str, Tensor]
    style: dict[str, Tensor]

    def total(self) -> Tensor:
        """Their sum, of shape B."""
        return torch.stack([*self.content.values(), *self.style.values()]).sum(0)

    def losses(self) -> Losses:
        """As plain numbers (reads them back from the device); B must be 1."""
        content = {layer: value.item() for layer, value in self.content.items()}
        style = {layer: value.item() for layer, value in self.style.items()}
        return Losses(
            total=self.total().item(),
            content=sum(content.values()),
            style=sum(style.values()),
            per_layer={"content": content, "style": style},
        )


class Objective:
    """The weighted sum of content and style losses, as a function of VGG features."""

    def __init__(self, targets: Targets, settings: TransferSettings) -> None:
        self.targets = targets
        self.norm = settings.gram_norm
        self.content_weight = settings.content_weight
        self.style_weights = {
            layer: settings.style_weight * weight
            for layer, weight in zip(settings.style_layers, settings.layer_weights(), strict=True)
        }
        self.taps = taps(settings)

    def __call__(self, features: Mapping[str, Tensor]) -> Terms:
        """The terms at ``features``, which must have every layer in ``self.taps``."""
        return Terms(
            content={
                layer: self.content_weight * content_loss(features[layer], target)
                for layer, target in self.targets.content.items()
            },
            style={
                layer: self.style_weights[layer] * style_loss(gram_matrix(features[layer], self.norm), target)
                for layer, target in self.targets.style.items()
            },
        )


def taps(settings: TransferSettings) -> frozenset[str]:
    """Every layer that the objective needs."""
    return frozenset(settings.content_layers) | frozenset(settings.style_layers)
