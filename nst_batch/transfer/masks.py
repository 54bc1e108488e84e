"""Regions of a picture by the colours of its mask, and which style each of them gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from nst_batch.errors import ImageError

_LEAST_SHARE = 0.003  # of a mask; colours rarer than this are the blur between two regions
_SAME_COLOR = 40  # sum of differences in R, G and B (0 to 255) within which two masks mean the same colour


@dataclass(frozen=True)
class Mask:
    """Regions of one picture: ``maps`` is RxHxW, 1 inside; ``colors`` their ``#rrggbb``; ``name`` is for messages."""

    name: str
    colors: tuple[str, ...]
    maps: Tensor

    def at(self, height: int, width: int, region: int | None = None) -> Tensor:
        """Maps of all regions, or of one, RxHxW at another size; between 0 and 1 at their edges."""
        maps = self.maps if region is None else self.maps[region : region + 1]
        return adaptive_avg_pool2d(maps[None], (height, width))[0]

    def find(self, color: str) -> int | None:
        """Which region has this colour, or one very near to it."""
        apart = [_apart(color, other) for other in self.colors]
        nearest = min(range(len(apart)), key=apart.__getitem__)
        return nearest if apart[nearest] <= _SAME_COLOR else None


def read_mask(pixels: Tensor, name: str) -> Mask:
    """The regions of a mask picture (HxWx3, 0 to 255): one for each colour, the blur between them divided up."""
    height, width = pixels.shape[:2]
    flat = pixels.reshape(-1, 3).long()
    packed = flat[:, 0] << 16 | flat[:, 1] << 8 | flat[:, 2]
    values, places, counts = torch.unique(packed, return_inverse=True, return_counts=True)
    frequent = counts >= _LEAST_SHARE * len(packed)
    kept = _apart_from_each_other(values[frequent][counts[frequent].argsort(descending=True)])
    if not len(kept):
        raise ImageError(f"{name}: no region: no colour fills a part of it", hint="paint regions in flat colours")
    nearest = (_channels(values)[:, None] - _channels(kept)[None]).abs().sum(-1).argmin(1)
    maps = torch.nn.functional.one_hot(nearest[places], len(kept)).T.view(-1, height, width)
    return Mask(name, tuple(f"#{value:06x}" for value in kept.tolist()), maps.float())


def _apart_from_each_other(packed: Tensor) -> Tensor:
    """Colours, but for those near to one before them, which JPEG makes of it; sorted."""
    kept: list[int] = []
    for color, channels in zip(packed.tolist(), _channels(packed), strict=True):
        if all(int((channels - _channels(torch.tensor(each))).abs().sum()) > _SAME_COLOR for each in kept):
            kept.append(color)
    return torch.tensor(sorted(kept), dtype=packed.dtype)


def _channels(packed: Tensor) -> Tensor:
    return torch.stack([packed >> 16, packed >> 8 & 255, packed & 255], -1)


def _apart(one: str, other: str) -> int:
    return sum(abs(int(one[i : i + 2], 16) - int(other[i : i + 2], 16)) for i in (1, 3, 5))


@dataclass(frozen=True)
class Part:
    """Which style goes into a region: its number, its weight, and the region of its own mask (None: all of it)."""

    style: int
    weight: float
    region: int | None


@dataclass(frozen=True)
class Layout:
    """The content's regions that get a style (numbers in its mask), and what goes into each; ``notes`` for users."""

    regions: tuple[int, ...]
    parts: tuple[tuple[Part, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """What is known of one style: its weight, the region it is meant for, and its mask."""

    weight: float = 1.0
    region: str = ""
    mask: Mask | None = None


def lay_out(content: Mask | None, styles: Sequence[Wanted], name: str = "content") -> Layout:
    """Which style each region of the content gets.

    A style with a ``region`` goes there, one with a mask goes, region by region, where the colours are the same, and
    any other goes everywhere. Without a mask of the content, or where no style asks for regions, there is one region:
    the whole picture.

    Raises:
        ImageError: a style is for a region that is not there, or no region gets any style.
    """
    everywhere = tuple(Part(place, style.weight, None) for place, style in enumerate(styles))
    if content is None:
        if lost := [style.region for style in styles if style.region]:
            raise ImageError(
                f"{name}: no mask beside it, but a style is for region {lost[0]}",
                hint="add NAME.mask.png, or drop the region",
            )
        unused = [f"{style.mask.name} is not used: {name} has no mask" for style in styles if style.mask]
        return Layout((), (everywhere,), tuple(unused))
    if not any(style.region or style.mask for style in styles):
        return Layout((), (everywhere,), (f"{content.name} is not used: no style has a mask or a region",))
    for style in styles:
        if style.region and content.find(style.region) is None:
            raise ImageError(
                f"{content.name}: no region {style.region}; it has {', '.join(content.colors)}",
                hint="name one of these as the style's region, or paint it",
            )
    parts = {place: _parts(color, styles) for place, color in enumerate(content.colors)}
    found = {place: some for place, some in parts.items() if some}
    if not found:
        raise ImageError(
            f"{content.name}: none of its colours ({', '.join(content.colors)}) is in a style's mask",
            hint="paint regions that belong together in the same colour",
        )
    bare = [content.colors[place] for place, some in parts.items() if not some]
    notes = (f"{content.name}: no style for {', '.join(bare)}: left to the content",) if bare else ()
    return Layout(tuple(found), tuple(found.values()), notes)


def _parts(color: str, styles: Sequence[Wanted]) -> tuple[Part, ...]:
    """The styles that go into the content's region of this colour."""
    found = []
    for place, style in enumerate(styles):
        if style.region:
            if _apart(style.region, color) <= _SAME_COLOR:
                found.append(Part(place, style.weight, None))
        elif style.mask is None:
            found.append(Part(place, style.weight, None))
        elif (region := style.mask.find(color)) is not None:
            found.append(Part(place, style.weight, region))
    return tuple(found)
