"""Named TransferSettings that reproduce published methods.

Numbers and sources: docs/presets.md.
"""

from __future__ import annotations

from nst_batch.records import TransferSettings

PRESETS: dict[str, TransferSettings] = {
    # What we think looks best for its time.
    "default": TransferSettings(),
    # "Neural Transfer Using PyTorch" (Jacq): every loss before its ReLU, up to conv3_1 only; pixels are clamped in
    # the closure. Its `while run[0] <= 300: optimizer.step(closure)` makes 16 steps of 20 evaluations: 320.
    "pytorch-tutorial": TransferSettings(
        size=512,
        fit="short",
        steps=320,
        content_layers=("conv2_2",),
        style_layers=("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"),
        content_weight=1.0,
        style_weight=1e6,
        gram_norm="cn",
        init="content",
        pooling="max",
        clamp="closure",
        guard=False,
    ),
    # Gatys, Ecker and Bethge (CVPR 2016), as in their own notebook: 1e3 / C^2 for each layer on Grams divided by
    # positions, which is 1e3 on Grams divided by channels x positions. `max_iter` 500 makes 520 evaluations.
    "gatys": TransferSettings(
        size=512,
        fit="short",
        steps=520,
        content_layers=("relu4_2",),
        style_layers=("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        content_weight=1.0,
        style_weight=1e3,
        gram_norm="cn",
        init="content",
        pooling="max",
        clamp="end",
        guard=False,
    ),
}
