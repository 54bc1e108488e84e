"""VGG-19's convolutional part as a feature extractor with named taps.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2015), configuration E.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from nst_batch.settings import CONV_LAYERS, VGG19_LAYERS

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of RGB in [0, 1]; what torchvision's VGG was trained on
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.939, 116.779, 123.68)  # of BGR in [0, 255]; what the authors' own VGG was trained on


_BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))  # convolutions, and channels of each; then pooling


def empty_features() -> nn.Sequential:
    """torchvision's ``vgg19().features`` without values (on the meta device: no time, no memory).

    Importing torchvision would take longer than a worker's whole start.
    """
    features, before = nn.Sequential(), 3
    with torch.device("meta"):
        for convolutions, channels in _BLOCKS:
            for _ in range(convolutions):
                features.append(nn.Conv2d(before, channels, kernel_size=3, padding=1)).append(nn.ReLU())
                before = channels
            features.append(nn.MaxPool2d(2))
    return features


@dataclass(frozen=True)
class Network:
    """How VGG-19 is wired; each is a field of TransferSettings, but for ``caffe``, which the weights decide.

    ``pooling`` is over 2x2 windows: maxima, or means (Gatys et al. 2016: "slightly more appealing"), times
    ``pooling_scale``. ``padding`` is what conv1_1 sees beyond the picture's edge. ``caffe`` feeds BGR, 0 to 255, minus
    the mean.
    """

    pooling: Literal["max", "avg"] = "max"
    pooling_scale: float = 1.0
    padding: Literal["zeros", "replicate", "reflect"] = "zeros"
    caffe: bool = False

    @property
    def color(self) -> float:
        """One step of a colour in the range that the network's own users optimise: 0 to 255 with ``caffe``, as in
        Gatys' code, else 0 to 1."""
        return 1 / 255 if self.caffe else 1.0


class VGG19(nn.Module):
    """Frozen VGG-19 features, tapped by layer name, computed no deeper than the last tap.

    This is the network as torch writes it, for autograd and for comparison; what renders is ``passes.Passes``.

    Args:
        state: ``N.weight`` / ``N.bias`` for torchvision's ``features``; float32, from ``transfer.weights``.
        network: how it is wired.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, state: Mapping[str, Tensor], network: Network = Network()) -> None:
        super().__init__()
        mean, std = (CAFFE_MEAN, (1.0, 1.0, 1.0)) if network.caffe else (IMAGENET_MEAN, IMAGENET_STD)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.features = empty_features()
        self.features.load_state_dict(dict(state), assign=True)
        self.network = network
        names = iter(CONV_LAYERS)
        self.names: list[str | None] = []  # the tap name of each of torchvision's layers; pools have none
        for index, layer in enumerate(self.features):
            if isinstance(layer, nn.Conv2d):
                self.names.append(next(names))
            elif isinstance(layer, nn.ReLU):
                self.features[index] = nn.ReLU(inplace=False)  # in place, it would overwrite a tap before it
                self.names.append(str(self.names[-1]).replace("conv", "relu"))
            else:
                self.features[index] = _Pool(network.pooling, network.pooling_scale)
                self.names.append(None)
        self.features[0] = _unpadded(self.features[0])  # the frame is put around the picture by `framed`
        self.eval().requires_grad_(False)

    @property
    def convolutions(self) -> list[tuple[Tensor, Tensor]]:
        """Weights (outputs x inputs x 3 x 3) and bias of each, in order."""
        layers = [layer for layer in self.features if isinstance(layer, nn.Conv2d)]
        return [(layer.weight.detach(), layer.bias.detach()) for layer in layers if layer.bias is not None]

    def framed(self, image: Tensor, first: int = 0, end: int | None = None) -> Tensor:
        """What conv1_1 sees to make its rows from ``first`` on, ``end`` left out: Bx3x(end - first + 2)x(W+2),
        normalised, around a picture of H rows a frame of one pixel as ``Network.padding`` has it."""
        end = image.shape[2] if end is None else end
        rows = image[:, :, max(first - 1, 0) : end + 1]
        if self.network.caffe:
            rows = rows.flip(1) * 255
        mode = "constant" if self.network.padding == "zeros" else self.network.padding
        around = (1, 1, int(first == 0), int(end == image.shape[2]))
        return pad((rows - self.mean) / self.std, around, mode=mode)

    def forward(self, image: Tensor, taps: Iterable[str]) -> dict[str, Tensor]:
        """Features of ``image``.

        Args:
            image: Bx3xHxW RGB in [0, 1], or Bx1xHxW grey; H and W at least 16 (four poolings) for taps in block 5.
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
        x = self.framed(image)
        for name, layer in zip(self.names, self.features, strict=True):
            if len(found) == len(wanted):
                break
            x = layer(x)
            if name in wanted:
                found[str(name)] = x
        return found


class _Pool(nn.Module):
    """2x2 pooling, times a factor."""

    def __init__(self, kind: Literal["max", "avg"], scale: float) -> None:
        super().__init__()
        self.pool: nn.Module = nn.MaxPool2d(2) if kind == "max" else nn.AvgPool2d(2)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.pool(x)
        return pooled if self.scale == 1 else pooled * self.scale


def _unpadded(layer: nn.Module) -> nn.Conv2d:
    """A convolution with the same values that adds no border of its own."""
    with torch.device("meta"):
        other = nn.Conv2d(3, 64, kernel_size=3)
    other.load_state_dict(layer.state_dict(), assign=True)
    return other
