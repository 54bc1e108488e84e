"""Named TransferSettings that reproduce published methods.

Numbers and sources: docs/presets.md.
"""

from __future__ import annotations

import dataclasses

from nst_batch.settings import TransferSettings

_DEEP = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
_CAFFE_UNIT = 1 / 255  # of a colour from 0 to 255, in [0, 1]

_PLAIN = TransferSettings(  # what every published method below has in common, unless it says otherwise
    size=512,
    fit="long",
    scales=(),
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

PRESETS: dict[str, TransferSettings] = {
    # What we think looks best for its time.
    "default": TransferSettings(),
    # "Neural Transfer Using PyTorch" (Jacq): every loss before its ReLU, up to conv3_1 only; pixels are clamped in
    # the closure. Its `while run[0] <= 300: optimizer.step(closure)` makes 16 steps of 20 evaluations: 320.
    "pytorch-tutorial": _TUTORIAL,
    # The same objective by our own optimiser: as low a loss in half the evaluations (docs/performance.md).
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
