"""Input pictures: decoded once, sized and coloured for each scale, kept within a bound."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from nst_batch.archives import tars
from nst_batch.archives.tar_headers import Status
from nst_batch.errors import ImageError
from nst_batch.settings import TransferSettings
from nst_batch.sizes import SMALLEST_SIDE, Stage, style_size
from nst_batch.transfer import color
from nst_batch.transfer.cache import TensorCache
from nst_batch.transfer.images import Decoded, from_image, load_picture
from nst_batch.transfer.masks import Mask, read_mask
from nst_batch.transfer.tensors import alpha_tensor, crop_box, to_tensor


@dataclass(frozen=True)
class Picture:
    """An input, decoded only if it is needed.

    ``key`` tells equal pictures (what is made of them is cached by it), ``name`` is for messages, ``mask`` is the
    picture of its regions.
    """

    key: str
    load: Callable[[], Decoded]
    name: str = "picture"
    mask: Picture | None = None


@dataclass(frozen=True)
class StylePart:
    """One of the styles of a transfer: its share, and the colour in the content's mask of the region it is for."""

    picture: Picture
    weight: float = 1.0
    region: str = ""


def picture_of(source: str | Path | Image.Image, mask: str | Path | Image.Image | None = None) -> Picture:
    """A notebook's input, known again by its content: a file's time and size, an image's pixels."""
    beside = None if mask is None else picture_of(mask)
    if isinstance(source, Image.Image):
        digest = hashlib.blake2b(source.tobytes(), digest_size=16).hexdigest()
        return Picture(f"{source.mode} {source.size} {digest}", lambda: from_image(source), mask=beside)
    path = Path(source)
    key = f"{path} {_state(path)}"
    return Picture(key, lambda: load_picture(path), str(path), beside)


def _state(path: Path) -> tuple[int, int] | Status | None:
    """What is another when the file is; None for a missing one, which is ``load_picture``'s to report."""
    if path.exists():
        status = path.stat()
        return status.st_mtime_ns, status.st_size
    return tars.stat(str(path)) if tars.exists(str(path)) else None


def decode(picture: Picture, cache: TensorCache) -> Decoded:
    """A file's pixels, read if they are not in the cache yet.

    Raises:
        ImageError: it is not a usable picture.
    """
    return cache.get(("decoded", picture.key), picture.load)


class Pictures:
    """The pictures of one transfer, as tensors at whatever scale is asked for.

    Args:
        content: what is to be rendered.
        styles: at least one.
        settings: sizes and colours.
        cache: shared with other transfers.
    """

    def __init__(
        self, content: Picture, styles: tuple[StylePart, ...], settings: TransferSettings, cache: TensorCache
    ) -> None:
        self.content = content
        self.styles = styles
        self._settings = settings
        self._cache = cache

    def decoded(self, picture: Picture) -> Decoded:
        """The file's pixels.

        Raises:
            ImageError: it is not a usable picture.
        """
        return decode(picture, self._cache)

    def mask(self, picture: Picture) -> Mask | None:
        """The regions of a picture; None when it has no mask."""
        beside = picture.mask
        if beside is None:
            return None

        def read() -> Mask:
            decoded = self.decoded(beside)
            return read_mask(torch.from_numpy(decoded.pixels.copy()), Path(beside.name).name)

        return self._cache.get(("mask", beside.key), read)

    def regions_at(self, stage: Stage, regions: tuple[int, ...]) -> Tensor:
        """Where these regions of the content's mask are, RxHxW; cropped as the content is."""
        mask = self.mask(self.content)
        if mask is None:
            raise AssertionError("a layout with regions comes from a mask")
        crop = self._settings.fit == "exact"
        left, top, right, bottom = crop_box(mask.maps.shape[2], mask.maps.shape[1], stage.width, stage.height, crop)
        kept = mask.maps[list(regions), round(top) : round(bottom), round(left) : round(right)]
        return adaptive_avg_pool2d(kept[None], (stage.height, stage.width))[0]

    def content_at(self, stage: Stage) -> Tensor:
        """1x3xHxW (1x1xHxW for luminance alone), in [0, 1], coloured as the settings want it."""
        if self._settings.color == "style":
            return self.plain_content_at(stage)
        style = self._plain_style_at(self.styles[0], stage)
        return color.prepared(self.plain_content_at(stage), style, self._settings)[0]

    def plain_content_at(self, stage: Stage) -> Tensor:
        """1x3xHxW in [0, 1], in its own colours."""
        return self._sized(self.content, stage.width, stage.height, crop=self._settings.fit == "exact")

    def style_at(self, part: StylePart, stage: Stage) -> Tensor:
        """1x3xhxw (1x1xhxw) in [0, 1], coloured as the settings want it."""
        style = self._plain_style_at(part, stage)
        if self._settings.color == "style":
            return style
        return color.prepared(self.plain_content_at(stage), style, self._settings)[1]

    def color_key(self, picture: Picture, stage: Stage) -> Hashable:
        """What, beside the picture itself, decides the colours that it is seen in."""
        settings = self._settings
        if settings.color == "style":
            return ()
        other = self.styles[0].picture if picture is self.content else self.content
        return (settings.color, settings.color_method, settings.color_transform, other.key, stage[:2])

    def stretched(self, picture: Picture, stage: Stage) -> Tensor:
        """Any picture at the content's very size."""
        image = self._sized(picture, stage.width, stage.height)
        return color.seen(image, self._settings)

    def alpha_at(self, stage: Stage) -> Tensor | None:
        """The content's transparency, 1x1xHxW; None when it has none."""
        crop = self._settings.fit == "exact"
        return alpha_tensor(self.decoded(self.content), stage.width, stage.height, crop=crop)

    def notes(self) -> tuple[str, ...]:
        """What decoding had to say."""
        pictures = [self.content, *(part.picture for part in self.styles)]
        return tuple(dict.fromkeys(note for picture in pictures for note in self.decoded(picture).notes))

    def _plain_style_at(self, part: StylePart, stage: Stage) -> Tensor:
        width, height = style_size(*self.decoded(part.picture).size, self._settings, stage.factor)
        return self._sized(part.picture, width, height)

    def _sized(self, picture: Picture, width: int, height: int, *, crop: bool = False) -> Tensor:
        if min(width, height) < SMALLEST_SIDE:
            raise ImageError(
                f"{picture.name}: {width}x{height} px at this size; a side needs {SMALLEST_SIDE} px at least",
                hint="use a larger transfer.size, or upscale: true",
            )

        def load() -> Tensor:
            return to_tensor(self.decoded(picture), width, height, crop=crop)

        return self._cache.get(("pixels", picture.key, width, height, crop), load)
