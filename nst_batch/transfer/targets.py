"""What a picture should have at one scale: features of the content, moments of the styles, region by region."""

from __future__ import annotations

from collections.abc import Hashable

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from nst_batch.settings import TransferSettings
from nst_batch.sizes import SMALLEST_SIDE, Stage
from nst_batch.transfer.cache import TensorCache
from nst_batch.transfer.losses import Targets, needs_means, style_loss
from nst_batch.transfer.masks import Layout, Mask, Part
from nst_batch.transfer.octaves import octave_name, octave_pictures
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.pictures import Pictures, StylePart
from nst_batch.transfer.seeing import Asked, features_of, look
from nst_batch.transfer.statistics import Moments, guides_at, mixed

_SMALLER = 0.7  # of a style's size: strokes a third narrower, and still its strokes


class TargetMaker:
    """Measures targets with one network, and remembers them.

    Args:
        passes: through the network whose features are meant; its precision and device are those of the targets.
        settings: layers are used.
        cache: shared with other transfers.
    """

    def __init__(self, passes: Passes, settings: TransferSettings, cache: TensorCache) -> None:
        self._passes = passes
        self._settings = settings
        self._cache = cache
        self._common = (passes.network, passes.dtype, passes.strip)

    def targets(self, pictures: Pictures, layout: Layout, stage: Stage) -> Targets:
        """The targets of one transfer at one scale."""
        content = self._content(pictures, stage)
        style: dict[str, Moments] = {}
        regions = [[(part, self._style(pictures, part, stage)) for part in parts] for parts in layout.parts]
        for layer in sorted(set.intersection(*(set(measured) for parts in regions for _, measured in parts))):
            found = [mixed([(part.weight, measured[layer]) for part, measured in parts]) for parts in regions]
            means = torch.cat([each.means for each in found], 1) if needs_means(self._settings) else None
            style[layer] = Moments(torch.cat([each.second for each in found], 1), means)
        variation = self._variation(pictures, stage) if self._settings.balance == "auto" else {}
        if not layout.regions:
            return Targets(content, style, variation)
        maps = pictures.regions_at(stage, layout.regions)
        guides = {name: self._guides(maps, name) for name in style}
        return Targets(content, style, variation, guides, tuple(maps.mean((1, 2)).tolist()))

    def _content(self, pictures: Pictures, stage: Stage) -> dict[str, Tensor]:
        picture, layers = pictures.content, self._settings.content_layers
        key = ("content", picture.key, pictures.color_key(picture, stage), stage[:2], layers, self._common)

        @torch.no_grad()
        def measure() -> dict[str, Tensor]:
            return features_of(self._passes, pictures.content_at(stage).to(self._passes.mean), layers)

        return self._cache.get(key, measure)

    def _style(self, pictures: Pictures, part: Part, stage: Stage) -> dict[str, Moments]:
        """Moments of one style, or of one region of it."""
        style = pictures.styles[part.style]
        picture = style.picture
        mask = pictures.mask(picture) if part.region is not None else None

        @torch.no_grad()
        def measure() -> dict[str, Moments]:
            return self._measured(pictures.style_at(style, stage).to(self._passes.mean), mask, part)

        region = (part.region, picture.mask.key) if mask and picture.mask else None
        key = (self._style_key(pictures, style, stage), region)
        return self._cache.get(key, measure)

    def _variation(self, pictures: Pictures, stage: Stage) -> dict[str, float]:
        """The style loss of each style seen at 0.7 of its size, by layer; the mean of several."""
        total = sum(part.weight for part in pictures.styles)
        found: dict[str, float] = {}
        for index, part in enumerate(pictures.styles):
            for layer, value in self._variation_of(pictures, index, stage).items():
                found[layer] = found.get(layer, 0.0) + part.weight / total * value
        return found

    def _variation_of(self, pictures: Pictures, index: int, stage: Stage) -> dict[str, float]:
        style = pictures.styles[index]

        @torch.no_grad()
        def measure() -> dict[str, float]:
            image = pictures.style_at(style, stage).to(self._passes.mean)
            smaller = interpolate(image, scale_factor=_SMALLER, mode="bicubic", antialias=True)
            if min(smaller.shape[2:]) < SMALLEST_SIDE:
                return {}
            whole, other = self._style(pictures, Part(index, 1.0, None), stage), self._measured(smaller)
            return {name: float(style_loss(other[name], whole[name], self._settings)) for name in other}

        settings = self._settings
        terms = (settings.style_weight, settings.style_statistic, settings.gram_norm, settings.mean_weight)
        key = ("variation", self._style_key(pictures, style, stage), terms, settings.std_weight)
        return self._cache.get(key, measure)

    def _measured(self, image: Tensor, mask: Mask | None = None, part: Part | None = None) -> dict[str, Moments]:
        """Moments of a style picture, or of its ``part`` of a ``mask``, by layer and octave."""
        found: dict[str, Moments] = {}
        for octave, picture in enumerate(octave_pictures(image, self._settings)):
            names = {octave_name(layer, octave): layer for layer in self._settings.style_layers}
            guides: dict[str, Tensor] = {}
            if mask is not None and part is not None:
                guides = {name: self._style_guide(mask, part, picture, layer) for name, layer in names.items()}
            asked = Asked(names, guides, needs_means(self._settings), {})
            found.update(look(self._passes, picture, asked).moments)
        return found

    def _style_key(self, pictures: Pictures, part: StylePart, stage: Stage) -> Hashable:
        """What decides a style's features at a scale."""
        settings, picture = self._settings, part.picture
        size = (settings.size, settings.fit, settings.height, settings.upscale, settings.style_scale, stage.factor)
        layers = (settings.style_layers, settings.octaves, needs_means(settings))
        return ("style", picture.key, pictures.color_key(picture, stage), size, layers, self._common)

    def _style_guide(self, mask: Mask, part: Part, picture: Tensor, layer: str) -> Tensor:
        height, width = (side >> (int(layer[4]) - 1) for side in picture.shape[2:])
        return guides_at(mask.at(4 * height, 4 * width, part.region), height, width).to(self._passes.mean)

    def _guides(self, maps: Tensor, name: str) -> Tensor:
        """Where the content's regions are in the features of a layer and octave."""
        layer, _, octave = name.partition("/")
        halved = int(layer[4]) - 1 + int(octave or 1).bit_length() - 1  # one pooling for each block before
        height, width = maps.shape[1] >> halved, maps.shape[2] >> halved
        return guides_at(maps, height, width).to(self._passes.mean)
