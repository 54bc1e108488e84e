"""What the transfer's tests share: one untrained network, settings that suit it, small pictures."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from _pytest.mark import ParameterSet
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

from nst_batch.settings import TransferSettings
from nst_batch.transfer.stylize import Stylizer
from nst_batch.transfer.weights import RANDOM


@pytest.fixture(scope="session")
def stylizer() -> Stylizer:
    return Stylizer(RANDOM)


def shallow(**values: Any) -> TransferSettings:
    """Settings for an untrained network: the layers that are no noise to it, and cheap, in several octaves."""
    return TransferSettings(
        **{
            "content_layers": ("conv1_2", "conv2_2"),
            "style_layers": ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"),
            "style_weight": 3e6,
            "octaves": 4,
            "pooling": "avg",
            "metric": "smooth",
            "scale_shares": (),
            **values,
        }
    )


def pattern(width: int, height: int, seed: int) -> Image.Image:
    """A smooth picture with some edges: waves of colour, and a disc."""
    random = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    waves = []
    for _ in range(3):
        a, b, c = (torch.rand(3, generator=random) * 9).tolist()
        waves.append(0.5 + 0.4 * torch.sin(a * x + b * y * math.pi + c))
    image: Tensor = torch.stack(waves)
    image[:, (x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.05] = torch.rand(3, 1, generator=random)
    result: Image.Image = to_pil_image(image.clamp(0, 1))
    return result


def pixels(width: int, height: int, seed: int) -> Tensor:
    """``pattern`` as 1x3xHxW float32 in [0, 1]: rounded once, to 8 bits, as files are read."""
    return values_of(pattern(width, height, seed))


def values_of(image: Image.Image) -> Tensor:
    """1x3xHxW float32 in [0, 1]."""
    values: Tensor = pil_to_tensor(image)
    return values.to(torch.float32).div(255)[None].contiguous()


def slow(value: object) -> ParameterSet:
    """A parameter of a test that others like it cover in everyday's suite."""
    return pytest.param(value, marks=pytest.mark.slow)
