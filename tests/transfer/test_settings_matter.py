"""Every setting changes the picture, where it has something to say: none is read and forgotten."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from nst_batch.settings import SETTINGS, Stop, TransferSettings
from nst_batch.transfer.images import from_image
from nst_batch.transfer.pictures import Picture, StylePart
from nst_batch.transfer.stylize import Stylizer
from tests.transfer.conftest import pattern, shallow

BASE = shallow(
    size=32, steps=6, scales=(), octaves=1, balance="none", tv_weight=0, content_layers=("conv1_2",),
    style_layers=("conv1_1", "conv2_1"), style_weight=1e5,
)  # fmt: skip

# For each setting: what it needs beside it to matter, and another value.
CHANGES: dict[str, tuple[dict[str, Any], Any]] = {
    "size": ({}, 24),
    "fit": ({}, "short"),
    "height": ({"fit": "exact"}, 24),
    "upscale": ({"size": 80}, True),
    "style_scale": ({}, 0.6),
    "scales": ({}, (20, 24)),
    "steps": ({}, 5),
    "scale_shares": ({"size": 40, "scales": (24,)}, (5.0, 1.0)),
    "warmup": ({}, 2),
    "stop": ({"steps": 30}, Stop(0.9, 1)),
    "content_layers": ({}, ("conv1_1",)),
    "content_layer_weights": ({}, (9.0,)),
    "content_weight": ({}, 9.0),
    "style_layers": ({}, ("conv1_1", "conv1_2")),
    "style_layer_weights": ({}, (9.0, 1.0)),
    "style_weight": ({}, 1e4),
    "octaves": ({"size": 40}, 2),
    "style_statistic": ({"style_weight": 1.0}, "w2"),
    "gram_norm": ({"style_weight": 1.0}, "n"),
    "mean_weight": ({}, 100.0),
    "std_weight": ({}, 100.0),
    "tv_weight": ({}, 100.0),
    "tv": ({"tv_weight": 1.0}, "l1"),
    "balance": ({}, "auto"),
    "strength": ({"balance": "auto"}, 0.9),
    "color": ({}, "content"),
    "color_method": ({"color": "content"}, "luminance"),
    "color_transform": ({"color": "content"}, "cholesky"),
    "masks": ({}, False),
    "init": ({}, "gray"),
    "init_noise": ({}, 0.5),
    "noise_std": ({"init": "noise"}, 0.1),
    "seed": ({"init": "noise"}, 7),
    "pooling": ({"style_layers": ("conv2_1", "conv2_2")}, "max"),
    "pooling_scale": ({}, 2.0),
    "padding": ({}, "reflect"),
    "optimizer": ({}, "adam"),
    "learning_rate": ({}, 0.5),
    "history": ({"steps": 12}, 1),
    "history_precision": ({"steps": 12}, "bf16"),
    "metric": ({}, "pixels"),
    "line_search": ({"steps": 12, "guard": False}, "strong_wolfe"),
    "guard": ({"learning_rate": 20.0, "steps": 12}, False),
    "adam_rate": ({"optimizer": "adam"}, 0.1),
    "adam_betas": ({"optimizer": "adam"}, (0.1, 0.5)),
    "averaging": ({}, 0.8),
    "clamp": ({"steps": 12}, "end"),
    "precision": ({"steps": 12}, "fp64"),
}


def test_every_setting_is_here() -> None:
    assert set(CHANGES) == set(SETTINGS)


def render(stylizer: Stylizer, settings: TransferSettings) -> torch.Tensor:
    """As the worker does: masks are left out where the settings say so (by the planner), the task has its own seed."""
    halves = pattern(48, 40, 9).convert("1").convert("RGB")
    mask = Picture("settings mask", lambda: from_image(halves), "c.mask.png") if settings.masks else None
    content = Picture("settings content", lambda: from_image(pattern(48, 40, 1)), "c.png", mask)
    style = Picture("settings style", lambda: from_image(pattern(40, 48, 2)), "s.png", mask)
    return stylizer.transfer(content, [StylePart(style)], settings, seed=settings.seed).image


@pytest.mark.parametrize("name", list(CHANGES))
def test_a_setting_changes_the_picture(stylizer: Stylizer, name: str) -> None:
    context, value = CHANGES[name]
    before = dataclasses.replace(BASE, **context)
    after = dataclasses.replace(before, **{name: value})
    one, same, other = (render(stylizer, settings) for settings in (before, before, after))
    assert torch.equal(one, same)  # so that a difference is the setting's
    assert one.shape != other.shape or not torch.equal(one, other)
