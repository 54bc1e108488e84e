"""Picture files to tensors and back."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

from nst_batch.errors import ImageError

SMALLEST_SIDE = 16  # pixels; four 2x2 poolings leave one position
METADATA_KEY = "nst_batch"
_IMAGE_DESCRIPTION = 0x010E  # EXIF tag, for formats that have no text chunks


def load_picture(path: Path, digest: str | None = None) -> Image.Image:
    """The picture in a file: decoded whole, upright (EXIF orientation applied), RGB.

    Transparent parts are laid on white.

    Args:
        path: any file.
        digest: SHA-256 that the bytes must have, when they were looked at before.

    Raises:
        ImageError: not a picture, truncated, too large to be honest, unreadable, or other bytes than before.
    """
    try:
        data = path.read_bytes()
        if digest is not None and hashlib.sha256(data).hexdigest() != digest:
            raise ImageError(f"{path}: changed while the run was going on", hint="run again to use the new file")
        with Image.open(io.BytesIO(data)) as file:
            file.load()
            return _to_rgb(ImageOps.exif_transpose(file))
    except FileNotFoundError as error:
        raise ImageError(f"{path}: the file is gone", hint="it was there when the run was planned") from error
    except PermissionError as error:
        raise ImageError(f"{path}: may not be read: {error.strerror}", hint="change its permissions") from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{path}: not a picture in any format that Pillow reads", hint="remove it, or convert it"
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: {error}", hint="scale it down first") from error
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's decoders raise all three on broken data
        raise ImageError(f"{path}: broken picture: {error}", hint="replace the file") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def to_tensor(image: Image.Image, width: int, height: int) -> Tensor:
    """1x3xHxW float32 in [0, 1], resized by Lanczos where the size differs."""
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    values: Tensor = pil_to_tensor(image)  # 3xHxW, 0 to 255
    return values.to(torch.float32).div(255)[None].contiguous()


def to_image(image: Tensor) -> Image.Image:
    """1x3xHxW in [0, 1] as an RGB picture, each value rounded to the nearest of 256."""
    result: Image.Image = to_pil_image(image[0].detach().to("cpu", torch.float32).mul(255).round().to(torch.uint8))
    return result


def encode(image: Tensor, suffix: str, metadata: Mapping[str, object]) -> bytes:
    """A picture file's bytes.

    Args:
        image: 1x3xHxW in [0, 1].
        suffix: ``.png``, ``.jpg``, ``.jpeg``, ``.webp`` or ``.tif``/``.tiff``.
        metadata: what made it, stored as JSON in the file (`PNG` text chunk, else EXIF ImageDescription).
    """
    picture = to_image(image)
    note, buffer = json.dumps(metadata, sort_keys=True), io.BytesIO()
    if suffix == ".png":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_text(METADATA_KEY, note)
        picture.save(buffer, "PNG", pnginfo=chunks)
        return buffer.getvalue()
    exif = Image.Exif()
    exif[_IMAGE_DESCRIPTION] = f"{METADATA_KEY} {note}"
    if suffix in (".jpg", ".jpeg"):
        picture.save(buffer, "JPEG", quality=95, subsampling=0, exif=exif)
    elif suffix == ".webp":
        picture.save(buffer, "WEBP", quality=95, exif=exif)
    else:
        picture.save(buffer, "TIFF", compression="tiff_deflate", exif=exif)
    return buffer.getvalue()


def made_by_us(path: Path) -> bool:
    """Whether a file carries the metadata that ``encode`` puts in."""
    try:
        with Image.open(path) as image:
            note = str(image.getexif().get(_IMAGE_DESCRIPTION, ""))
            return METADATA_KEY in image.info or note.startswith(METADATA_KEY)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not a picture of ours
        return False
