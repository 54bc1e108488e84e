"""The published numbers, copied here from their sources, not from presets.py; the losses are in test_objectives.py."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from nst_batch.pipeline_file.presets import CAFFE_FEATURES, MADE_FOR, PRESETS, Format, preset
from nst_batch.pipeline_file.spec import load_spec
from nst_batch.settings import SETTINGS, TransferSettings
from tests import runs

FIVE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")

# What torch.optim.LBFGS does as it comes, on a max-pooling VGG, from the content, with Gatys' layers.
PLAIN: dict[str, Any] = {
    "content_layers": ("relu4_2",), "style_layers": FIVE, "content_layer_weights": (), "style_layer_weights": (),
    "content_weight": 1, "gram_norm": "cn", "style_statistic": "gram", "mean_weight": 0, "std_weight": 0,
    "tv_weight": 0, "octaves": 1, "balance": "none", "style_scale": 1,
    "color": "style", "init": "content", "init_noise": 0, "noise_std": 0,
    "pooling": "max", "pooling_scale": 1, "padding": "zeros", "clamp": "end",
    "optimizer": "lbfgs", "learning_rate": 1, "history": 100, "history_precision": "fp32", "line_search": "none",
    "metric": "pixels",
    "guard": False, "averaging": 0, "stop": None, "scales": (), "scale_shares": (), "warmup": 0,
}  # fmt: skip

PUBLISHED: dict[str, dict[str, Any]] = {
    "pytorch-tutorial": {  # pytorch.org, "Neural Transfer Using PyTorch"
        "size": 512, "fit": "short",  # transforms.Resize(512): the shorter side
        "content_layers": ("conv2_2",),  # its conv_4
        "style_layers": ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"),  # its conv_1 to conv_5
        "style_weight": 1_000_000,
        "steps": 320,  # while run[0] <= 300, 20 evaluations a step: run[0] is 300 after 15 steps, so a 16th
        "clamp": "closure",
    },
    "gatys": {  # github.com/leongatys/PytorchNeuralStyleTransfer
        "size": 800, "fit": "short", "scales": (512,),  # img_size, img_size_hr
        "style_weight": 1e3,  # 1e3 / n^2 on G / (h w), n the channels: 1e3 on G / (n h w)
        "steps": 740, "scale_shares": (520, 220),  # while n_iter[0] <= 500, 20 evaluations a step; then 200
    },
    "gatys-2017": {  # github.com/leongatys/NeuralImageSynthesis, BasicStyleTransfer.ipynb
        "size": 1024, "fit": "area", "scales": (512,),  # 512^2 pixels, then 1024^2
        "style_weight": 1e3, "steps": 700, "scale_shares": (500, 200),
    },
    "neural-style": {  # github.com/ProGamerGov/neural-style-pt, after jcjohnson/neural-style
        "size": 512, "fit": "long", "content_weight": 5, "style_weight": 100,
        "tv_weight": 1e-3 * 255, "tv": "l1",  # 1e-3 on colours from 0 to 255
        "init": "noise", "noise_std": 0.001 / 255,  # torch.randn(...).mul(0.001) around the mean
        "steps": 1000,
    },
    "pystiche": {  # github.com/pystiche/pystiche, its command line
        "size": 500, "fit": "short", "style_weight": 1e3 / 5, "gram_norm": "n", "steps": 500,
    },
    "spst": {  # github.com/bgalerne/scaling_painting_style_transfer
        "size": 2046, "fit": "short", "scales": (1023,),  # halved until the shorter side is 1023 or less
        "style_weight": 1e3, "mean_weight": 1e4, "std_weight": 1e4,
        "steps": 840, "scale_shares": (620, 220), "history": 10,
    },
    "crowson-w2": {  # github.com/crowsonkb/style-transfer-pytorch
        "size": 512, "fit": "long", "scales": (128, 181, 256, 362),
        "steps": 3000, "scale_shares": (2, 1),  # 1000 at the first scale, then 500
        "content_weight": 0.015, "style_weight": 1, "style_layer_weights": tuple(w / 341 for w in (256, 64, 16, 4, 1)),
        "style_statistic": "w2", "tv_weight": 2, "tv": "l2", "padding": "replicate",
        "optimizer": "adam", "adam_rate": 0.02, "adam_betas": (0.9, 0.99), "averaging": 0.99, "clamp": "step",
    },
}  # fmt: skip

# Of no effect with the others' values, or the user's own business.
NOT_PUBLISHED = {"height", "upscale", "tv", "strength", "color_method", "color_transform", "masks", "seed", "adam_rate",
                 "adam_betas", "precision"}  # fmt: skip


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_a_preset_has_the_published_numbers(name: str) -> None:
    settings, published = dataclasses.asdict(PRESETS[name]), {**PLAIN, **PUBLISHED[name]}
    assert {key: settings[key] for key in published} == published
    assert set(SETTINGS) - set(published) <= NOT_PUBLISHED


def test_every_preset_is_published_or_ours() -> None:
    clamped = {f"{name}-clamped" for name in PUBLISHED if PRESETS[name].clamp == "end"}
    assert clamped == {f"{name}-clamped" for name in ("gatys", "gatys-2017", "neural-style", "pystiche", "spst")}
    assert set(PRESETS) == {*PUBLISHED, *clamped, "default", "pytorch-tutorial-fast"}
    assert set(MADE_FOR) == {*PUBLISHED, "pytorch-tutorial-fast"}


@pytest.mark.parametrize("name", [name for name in PRESETS if name.endswith("-clamped")])
def test_a_clamped_preset_asks_for_the_same_picture(name: str) -> None:
    plain = PRESETS[name.removesuffix("-clamped")]
    assert dataclasses.replace(PRESETS[name], clamp="end", guard=False) == plain


@pytest.mark.parametrize("name", list(PRESETS))
def test_numbers_are_those_of_the_weights_they_were_chosen_on(name: str) -> None:
    """Features a times as large: content terms and Wasserstein's grow by a², Gram terms by a⁴, total variation not."""
    published, made_for = PRESETS[name], MADE_FOR.get(name.removesuffix("-clamped"))
    other: Format = "torchvision" if made_for == "caffe" else "caffe"
    assert preset(name) == published
    assert made_for is None or preset(name, made_for) == published
    found = preset(name, other)
    if made_for is None:
        assert found == published
        return
    a = CAFFE_FEATURES if other == "caffe" else 1 / CAFFE_FEATURES
    style = a**2 if published.style_statistic == "w2" else a**4
    assert found.style_weight * style == pytest.approx(published.style_weight * a**2)
    assert found.tv_weight == pytest.approx(published.tv_weight * a**2)
    assert dataclasses.replace(found, style_weight=published.style_weight, tv_weight=published.tv_weight) == published


def test_the_pipeline_file_converts_what_a_preset_brings_and_nothing_else(tmp_path: Path) -> None:
    runs.make_pictures(tmp_path, 1, 1)
    found = {}
    for weights in ("vgg19", "torchvision", "random"):
        file = tmp_path / f"{weights}.yaml"
        file.write_text(
            f"name: n\ncontent: content\nstyle: style\nweights: {weights}\ntransfer: {{preset: pytorch-tutorial}}\n"
        )
        found[weights] = load_spec(file).settings().style_weight
        assert load_spec(file, {"transfer.style_weight": "5"}).settings().style_weight == 5
    assert found == {"vgg19": pytest.approx(1e6 / CAFFE_FEATURES**2), "torchvision": 1e6, "random": 1e6}


def test_the_fast_preset_asks_for_the_same_picture() -> None:
    """Nothing but how it is looked for is another."""
    ours, plain = PRESETS["pytorch-tutorial-fast"], PRESETS["pytorch-tutorial"]
    assert (
        dataclasses.replace(
            ours, steps=plain.steps, warmup=0, metric="pixels", history=plain.history, clamp=plain.clamp, guard=False
        )
        == plain
    )


def test_default_is_the_home_of_the_defaults() -> None:
    assert PRESETS["default"] == TransferSettings()
