"""Named TransferSettings that reproduce published methods.

Numbers and sources: docs/presets.md.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from nst_batch.settings import TransferSettings

_DEEP = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
_CAFFE_UNIT = 1 / 255  # of a colour from 0 to 255, in [0, 1]

_PLAIN = TransferSettings(  # what every published method below has in common, unless it says otherwise
    size=512,
    fit="long",
    scales=(),
    scale_shares=(),
    content_layers=("relu4_2",),
    style_layers=_DEEP,
    octaves=1,
    content_weight=1.0,
    tv_weight=0.0,
    balance="none",
    init="content",
    pooling="max",
    metric="pixels",
    clamp="end",
    guard=False,
)

_TUTORIAL = dataclasses.replace(
    _PLAIN,
    fit="short",
    steps=320,
    content_layers=("conv2_2",),
    style_layers=("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"),
    style_weight=1e6,
    gram_norm="cn",
    clamp="closure",
)

_PUBLISHED: dict[str, TransferSettings] = {
    # "Neural Transfer Using PyTorch" (Jacq): every loss before its ReLU, up to conv3_1 only; pixels are clamped in
    # the closure. Its `while run[0] <= 300: optimizer.step(closure)` makes 16 steps of 20 evaluations: 320.
    "pytorch-tutorial": _TUTORIAL,
    # The same objective by our own optimiser: about as low a loss in less than half the evaluations
    # (docs/performance.md).
    "pytorch-tutorial-fast": dataclasses.replace(
        _TUTORIAL, steps=140, warmup=45, metric="adaptive", history=20, clamp="step", guard=True
    ),
    # Gatys, Ecker and Bethge (CVPR 2016), as in their own notebook: 1e3 / C^2 for each layer on Grams divided by
    # positions, which is 1e3 on Grams divided by channels x positions. `max_iter` 500 makes 520 evaluations, and the
    # 200 of the second pass, at 800 pixels, 220.
    "gatys": dataclasses.replace(
        _PLAIN,
        size=800,
        fit="short",
        scales=(512,),
        steps=740,
        scale_shares=(520.0, 220.0),
        style_weight=1e3,
        gram_norm="cn",
    ),
    # Gatys et al. (CVPR 2017), "Controlling Perceptual Factors": the same weights, sizes by area, 500 then 200.
    "gatys-2017": dataclasses.replace(
        _PLAIN,
        size=1024,
        fit="area",
        scales=(512,),
        steps=700,
        scale_shares=(500.0, 200.0),
        style_weight=1e3,
        gram_norm="cn",
    ),
    # Johnson's neural-style, as its PyTorch port has it: total variation in L1 on colours from 0 to 255, and a start
    # that is the mean colour with hardly any noise.
    "neural-style": dataclasses.replace(
        _PLAIN,
        steps=1000,
        content_weight=5.0,
        style_weight=100.0,
        gram_norm="cn",
        tv_weight=1e-3 / _CAFFE_UNIT,
        tv="l1",
        init="noise",
        noise_std=1e-3 * _CAFFE_UNIT,
    ),
    # pystiche's command line: 1e3 for the mean over five layers, Grams divided by positions.
    "pystiche": dataclasses.replace(_PLAIN, size=500, fit="short", steps=500, style_weight=1e3 / 5, gram_norm="n"),
    # "Scaling Painting Style Transfer" (Galerne et al. 2024): Gatys' loss, and means and deviations of features. Twice
    # as large from scale to scale; 600 + 20 evaluations first, then 200 + 20.
    "spst": dataclasses.replace(
        _PLAIN,
        size=2046,
        fit="short",
        scales=(1023,),
        steps=840,
        scale_shares=(620.0, 220.0),
        style_weight=1e3,
        gram_norm="cn",
        mean_weight=1e4,
        std_weight=1e4,
        history=10,
    ),
    # Crowson's style-transfer-pytorch: Wasserstein-2 distance of features, Adam, the mean of iterates; 1000 iterations
    # at the first of its scales, which grow by the root of 2, then 500 at each.
    "crowson-w2": dataclasses.replace(
        _PLAIN,
        scales=(128, 181, 256, 362),
        steps=3000,
        scale_shares=(2.0, 1.0),
        content_weight=0.015,
        style_weight=1.0,
        style_layer_weights=tuple(weight / 341 for weight in (256, 64, 16, 4, 1)),
        style_statistic="w2",
        tv_weight=2.0,
        tv="l2",
        padding="replicate",
        optimizer="adam",
        adam_rate=0.02,
        adam_betas=(0.9, 0.99),
        averaging=0.99,
        clamp="step",
    ),
}

_CLAMPED = {
    f"{name}-clamped": dataclasses.replace(settings, clamp="step", guard=True)
    for name, settings in _PUBLISHED.items()
    if settings.clamp == "end"
}
"""The same objectives with pixels kept in [0, 1] all the way: what L-BFGS finds outside is cut off at the end, and the
picture that is saved is worse than the one that was found (at 512 pixels, 5.5 times the loss for ``gatys``)."""

PRESETS: dict[str, TransferSettings] = {"default": TransferSettings(), **_PUBLISHED, **_CLAMPED}

Format = Literal["torchvision", "caffe"]

MADE_FOR: dict[str, Format] = {
    "pytorch-tutorial": "torchvision",
    "pytorch-tutorial-fast": "torchvision",
    "gatys": "caffe",
    "gatys-2017": "caffe",
    "neural-style": "caffe",
    "pystiche": "torchvision",
    "spst": "caffe",
    "crowson-w2": "torchvision",
}
"""On which weights each published preset's numbers were chosen: torchvision's, or the authors' own (Caffe's)."""

CAFFE_FEATURES = 58.0
"""How many times as large features of the authors' weights are taken to be as torchvision's.

It is what their inputs differ by: 255 x 0.226, the mean of ``vgg.IMAGENET_STD``. The two were trained apart, and layers
differ by more or less. With this factor ``pytorch-tutorial`` ends as in its published log, where the style term is 0.11
of the content term after 300 evaluations: at 0.12 and 0.10 for two pairs at 256 pixels, on the authors' weights."""


FORMATS: dict[str, Format] = {"vgg19": "caffe", "torchvision": "torchvision"}
"""How the network is fed, by the weights' name."""


def made_for(name: str) -> Format | None:
    """On which weights a preset's numbers were chosen; None: they suit any."""
    return MADE_FOR.get(name.removesuffix("-clamped"))


def preset(name: str, weights: Format | None = None) -> TransferSettings:
    """A preset's settings, as they are for some weights.

    Features that are a times as large make mean((F - P)²) and Wasserstein's distance a² times as large, Gram terms a⁴
    times, and total variation none. So numbers that were chosen on others are converted: the picture is meant that its
    authors got, not the weights' magnitude. ``default`` divides all terms by what they are on the very weights.

    Args:
        name: one of ``PRESETS``.
        weights: how the network is fed; None: as published.
    """
    settings = PRESETS[name]
    if weights is None or made_for(name) in (None, weights):
        return settings
    factor = CAFFE_FEATURES**2 if weights == "caffe" else CAFFE_FEATURES**-2
    style_weight = settings.style_weight if settings.style_statistic == "w2" else settings.style_weight / factor
    return dataclasses.replace(settings, style_weight=style_weight, tv_weight=settings.tv_weight * factor)
