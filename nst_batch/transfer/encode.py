"""Tensors to picture files: sRGB, with its profile, what made it, and transparency where there is any."""

from __future__ import annotations

import functools
import io
import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageCms, PngImagePlugin
from torch import Tensor

from nst_batch.records import OutputFormat
from nst_batch.transfer.images import Pixels
from nst_batch.transfer.metadata import IMAGE_DESCRIPTION, METADATA_KEY, Theirs, described

_MOST_EXIF = 65_533  # bytes of a JPEG's APP1 segment, without its length
_IHDR_ENDS = 33  # bytes: 8 of signature, 25 of the first chunk
_PROFILE_DATE, _PROFILE_ID = slice(24, 36), slice(84, 100)  # of an ICC profile's header


def to_image(image: Tensor, alpha: Tensor | None = None) -> Image.Image:
    """1x3xHxW in [0, 1] as an RGB picture (RGBA with alpha, 1x1xHxW), each value rounded to the nearest of 256."""
    return Image.fromarray(_rounded(image, alpha, 8))


def encode(
    image: Tensor,
    format: OutputFormat,
    metadata: Mapping[str, object],
    alpha: Tensor | None = None,
    theirs: Theirs | None = None,
) -> bytes:
    """A picture file's bytes, the same for the same arguments.

    Args:
        image: 1x3xHxW in [0, 1], sRGB.
        format: JPEG has no transparency: the picture is laid on white.
        metadata: what made it; stored as JSON. Where JPEG does not hold all of it, ``style`` is shortened.
        alpha: 1x1xHxW in [0, 1].
        theirs: what goes along of the content's own.

    Raises:
        ValueError: 16 bits in a format that has 8.
    """
    theirs = theirs or Theirs(Image.Exif())
    note = json.dumps(metadata, sort_keys=True)
    if format.bits == 16:
        return _encode16(_rounded(image, alpha, 16), format, note, theirs)
    if alpha is not None and format.suffix in (".jpg", ".jpeg"):
        image, alpha = image * alpha.to(image) + (1 - alpha.to(image)), None
    picture, buffer = to_image(image, alpha), io.BytesIO()
    exif = theirs.exif
    options: dict[str, Any] = {"icc_profile": srgb_profile()} | ({"dpi": theirs.dpi} if theirs.dpi else {})
    if format.suffix == ".png":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_text(METADATA_KEY, note)
        picture.save(buffer, "PNG", pnginfo=chunks, exif=exif.tobytes() if len(exif) else None, **options)
        return buffer.getvalue()
    exif[IMAGE_DESCRIPTION] = described(note)
    if format.suffix in (".jpg", ".jpeg"):
        while len(exif.tobytes()) > _MOST_EXIF and len(str(metadata["style"])) > 1:
            metadata = {**metadata, "style": f"{str(metadata['style'])[: len(str(metadata['style'])) // 2]}…"}
            exif[IMAGE_DESCRIPTION] = described(json.dumps(metadata, sort_keys=True))
        picture.save(buffer, "JPEG", quality=format.quality, subsampling=0, exif=exif, **options)
    elif format.suffix == ".webp":
        lossless = format.quality == 100
        picture.save(buffer, "WEBP", quality=format.quality, lossless=lossless, exact=True, exif=exif, **options)
    else:
        flat = Image.Exif()
        flat.update({tag: value for tag, value in exif.items() if not isinstance(value, dict)})
        picture.save(buffer, "TIFF", compression="tiff_deflate", exif=flat, **options)  # which takes no folders of tags
    return buffer.getvalue()


def _rounded(image: Tensor, alpha: Tensor | None, bits: int) -> Pixels:
    """HxWx3, or HxWx4 with alpha, of the nearest whole values."""
    whole = image if alpha is None else torch.cat([image, alpha.to(image)], 1)
    values = whole[0].detach().to("cpu", torch.float64).permute(1, 2, 0) * (2**bits - 1)
    return np.ascontiguousarray(values.round().numpy().astype(np.uint8 if bits == 8 else np.uint16))


def _encode16(values: Pixels, format: OutputFormat, note: str, theirs: Theirs) -> bytes:
    """By imagecodecs and tifffile, since Pillow has no 16-bit colour."""
    if format.suffix not in (".png", ".tif", ".tiff"):
        raise ValueError(f"16 bits cannot be written to {format.suffix}")
    import imagecodecs
    import tifffile

    if format.suffix == ".png":
        data = bytes(imagecodecs.png_encode(values, level=6))
        profile = b"sRGB\0\0" + zlib.compress(srgb_profile())
        text = METADATA_KEY.encode() + b"\0" + note.encode()
        chunks = _chunk(b"iCCP", profile) + _chunk(b"tEXt", text)
        chunks += _chunk(b"eXIf", theirs.exif.tobytes().removeprefix(b"Exif\0\0")) if len(theirs.exif) else b""
        if theirs.dpi:
            chunks += _chunk(b"pHYs", struct.pack(">IIB", *(round(each / 0.0254) for each in theirs.dpi), 1))
        return data[:_IHDR_ENDS] + chunks + data[_IHDR_ENDS:]
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, values, photometric="rgb", compression="zlib", description=described(note), metadata=None,
        iccprofile=srgb_profile(), extrasamples=["unassalpha"] if values.shape[2] == 4 else None,
        resolution=theirs.dpi, resolutionunit=2 if theirs.dpi else None,
        extratags=[(tag, "s", 0, value, True) for tag, value in theirs.exif.items() if isinstance(value, bytes)],
    )  # fmt: skip
    return buffer.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk: length, kind, data, checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@functools.cache
def srgb_profile() -> bytes:
    """The ICC profile of sRGB, without the time at which it was made: equal pictures are equal files."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_PROFILE_DATE] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    profile[_PROFILE_ID] = bytes(16)
    return bytes(profile)
