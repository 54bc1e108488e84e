"""VGG-19's convolutional part as a feature extractor with named taps.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2015), configuration E.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models import vgg19

from nst_batch.records import CONV_LAYERS, VGG19_LAYERS

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of RGB in [0, 1]; what torchvision's VGG was trained on
IMAGENET_STD = (0.229, 0.224, 0.225)


def empty_features() -> nn.Sequential:
    """torchvision's ``vgg19().features`` without values (on the meta device: no time, no memory)."""
    with torch.device("meta"):
        features: nn.Sequential = vgg19(weights=None).features
    return features


class VGG19(nn.Module):
    """Frozen VGG-19 features, tapped by layer name, computed no deeper than the last tap.

    Args:
        state: ``N.weight`` / ``N.bias`` for torchvision's ``features``; float32, from ``transfer.weights``.
        pooling: between blocks, over 2x2 windows: maxima, or means (Gatys et al. 2016: "slightly more appealing").
    """

    mean: Tensor
    std: Tensor

    def __init__(self, state: Mapping[str, Tensor], pooling: Literal["max", "avg"] = "max") -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)
        self.features = empty_features()
        self.features.load_state_dict(dict(state), assign=True)
        self.pooling = pooling
        names = iter(CONV_LAYERS)
        self.names: list[str | None] = []  # the tap name of each of torchvision's layers; pools have none
        for index, layer in enumerate(self.features):
            if isinstance(layer, nn.Conv2d):
                self.names.append(next(names))
            elif isinstance(layer, nn.ReLU):
                self.features[index] = nn.ReLU(inplace=False)  # in place, it would overwrite a tap before it
                self.names.append(str(self.names[-1]).replace("conv", "relu"))
            else:
                if pooling == "avg":
                    self.features[index] = nn.AvgPool2d(kernel_size=2, stride=2)
                self.names.append(None)
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor, taps: Iterable[str]) -> dict[str, Tensor]:
        """Features of ``image``.

        Args:
            image: Bx3xHxW RGB in [0, 1]; H and W at least 16 (four poolings) for taps in block 5.
            taps: names from ``VGG19_LAYERS``.

        Returns:
            For each tap BxCxhxw: C is 64, 128, 256, 512, 512 in blocks 1 to 5, h = H // 2 ** (block - 1).

        Raises:
            ValueError: a tap has no such name.
        """
        wanted = set(taps)
        if unknown := wanted.difference(VGG19_LAYERS):
            raise ValueError(f"no such layers: {sorted(unknown)}")
        found: dict[str, Tensor] = {}
        x = (image - self.mean) / self.std
        for name, layer in zip(self.names, self.features, strict=True):
            if len(found) == len(wanted):
                break
            x = layer(x)
            if name in wanted:
                found[str(name)] = x
        return found
