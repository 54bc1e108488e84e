"""The published numbers, copied here from their sources, not from presets.py."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from nst_batch.presets import PRESETS
from nst_batch.records import SETTINGS, TransferSettings

TUTORIAL = {  # pytorch.org, "Neural Transfer Using PyTorch"
    "size": 512, "fit": "short",  # transforms.Resize(512): the shorter side
    "content_layers": ("conv2_2",),  # its conv_4
    "style_layers": ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"),  # its conv_1 to conv_5
    "style_weight": 1_000_000, "content_weight": 1, "style_layer_weights": (),
    "gram_norm": "cn",  # G.div(a * b * c * d)
    "steps": 320,  # while run[0] <= 300, 20 evaluations a step: run[0] is 300 after 15 steps, so a 16th
    "init": "content", "pooling": "max", "clamp": "closure",
    "learning_rate": 1, "history": 100, "guard": False,  # torch.optim.LBFGS as it comes
}  # fmt: skip

GATYS = {  # github.com/leongatys/PytorchNeuralStyleTransfer
    "size": 512, "fit": "short",
    "content_layers": ("relu4_2",),  # r42
    "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),  # r11 to r51
    "gram_norm": "cn", "style_weight": 1e3,  # 1e3 / n^2 on G / (h w), n the channels: 1e3 on G / (n h w)
    "content_weight": 1, "style_layer_weights": (),
    "steps": 520,  # while n_iter[0] <= 500, 20 evaluations a step
    "init": "content", "pooling": "max", "clamp": "end",
    "learning_rate": 1, "history": 100, "guard": False,
}  # fmt: skip


@pytest.mark.parametrize(("name", "published"), [("pytorch-tutorial", TUTORIAL), ("gatys", GATYS)])
def test_a_preset_has_the_published_numbers(name: str, published: dict[str, Any]) -> None:
    settings = dataclasses.asdict(PRESETS[name])
    assert {key: settings[key] for key in published} == published
    kept = {key: settings[key] for key in SETTINGS if key not in published}
    assert kept == {"upscale": False, "seed": 0, "precision": "fp32"}


def test_default_is_the_home_of_the_defaults() -> None:
    assert PRESETS["default"] == TransferSettings()
