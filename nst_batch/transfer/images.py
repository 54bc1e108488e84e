"""Picture files to pixels: upright, in sRGB, transparency apart, 16 bits where there are 16. Without torch."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from nst_batch.archives import tars
from nst_batch.archives.tar_headers import ArchiveError
from nst_batch.errors import ImageError, in_words
from nst_batch.records import Limits

Pixels = npt.NDArray[Any]  # uint8 or uint16

_ORIENTATION, _BITS_PER_SAMPLE = 0x0112, 258  # tags
_PNG_DEPTH_AT = 24  # the byte of a PNG file that holds its bits per channel
_FOREIGN = ("EPS", "WMF", "GRIB", "HDF5", "BUFR", "FPX", "MIC", "MPEG")
"""Formats that Pillow knows, but leaves to Ghostscript and others, or can only name."""

SMALLER = "scale it down first, or raise limits.pixels"
FULL = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
"""What white is, by type."""


@dataclass(frozen=True)
class Decoded:
    """A picture's pixels: HxWx3, sRGB, upright, uint8 or uint16.

    ``alpha`` is HxW of the same type, None when nothing is transparent; ``notes`` are what a user should know.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.pixels.shape[1], self.pixels.shape[0]


def load_picture(path: Path, digest: str | None = None, limits: Limits = Limits()) -> Decoded:  # noqa: B008 - frozen
    """The picture in a file, decoded whole; of an animation or several pages, the first.

    Colours are converted to sRGB by the file's profile (16-bit ones with another profile at 8 bits, as the colour
    engine does it). Colours under full transparency mean nothing; the mean of the visible ones is put there.

    Args:
        path: any file, or a member of a tar file, as ``shard-000.tar/img.jpg``.
        digest: SHA-256 that the bytes must have, when they were looked at before.
        limits: what it may be.

    Raises:
        ImageError: not a picture, truncated, larger than it may be, unreadable, or other bytes than before.
    """
    try:
        data = _bytes_of(path, limits)
        if digest is not None and hashlib.sha256(data).hexdigest() != digest:
            raise ImageError(f"{path}: changed while the run was going on", hint="run again to use the new file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes that we look at ourselves, and of EXIF that is nobody's business
            with _open(data, limits) as file:
                _refuse_bombs(path, file.size, limits)
                return _decoded(file, data, path.name)
    except FileNotFoundError as error:
        raise ImageError(
            f"{path}: the file is gone", hint="put it back where it was when the run was planned"
        ) from error
    except PermissionError as error:
        raise ImageError(
            f"{path}: may not be read: {error.strerror}", hint="change its permissions, or remove it"
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{path}: not a picture in any format that Pillow reads", hint="remove it, or convert it"
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: more pixels than limits.pixels, {limits.pixels:,}, allows", hint=SMALLER) from error
    except ArchiveError as error:
        raise ImageError(str(error), hint=error.hint) from error
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{path}: memory does not hold its pixels", hint="scale it down first") from error
    except Exception as error:
        reason = in_words(error) if isinstance(error, OSError) else str(error) or type(error).__name__
        raise ImageError(f"{path}: broken picture: {reason}", hint="replace the file") from error


def _bytes_of(path: Path, limits: Limits) -> bytes:
    """The whole file, or member of a tar file. What is no file is not waited for: a FIFO would never end."""
    if tars.split(str(path)) is not None:
        _refuse_sizes(path, tars.stat(str(path)).size, limits)
        return tars.read(str(path))
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{path}: not a picture but a pipe, a device or a folder", hint="remove it")
        _refuse_sizes(path, status.st_size, limits)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def _refuse_sizes(path: Path, size: int, limits: Limits) -> None:
    if size > limits.bytes:
        raise ImageError(
            f"{path}: {size:,} bytes, and limits.bytes is {limits.bytes:,}",
            hint="scale it down, or raise limits.bytes",
        )
    if size == 0:
        raise ImageError(f"{path}: an empty file, not a picture", hint="remove it, or put the picture there")


def _open(data: bytes, limits: Limits) -> Image.Image:
    """What Pillow makes of it, but for formats that other programs would have to open."""
    Image.MAX_IMAGE_PIXELS = limits.pixels  # what is twice as large, Pillow refuses itself
    return Image.open(io.BytesIO(data), formats=_formats())


@functools.cache
def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.OPEN if name not in _FOREIGN]


def _refuse_bombs(path: Path, size: tuple[int, int], limits: Limits) -> None:
    if size[0] * size[1] > limits.pixels:
        raise ImageError(
            f"{path}: {size[0]:,} x {size[1]:,} pixels, and limits.pixels is {limits.pixels:,}", hint=SMALLER
        )


def from_image(image: Image.Image, name: str = "picture") -> Decoded:
    """An image in memory, as ``load_picture`` would give it."""
    return _eight_bits(ImageOps.exif_transpose(image), image.info.get("icc_profile"), name, ())


def _decoded(file: Image.Image, data: bytes, name: str) -> Decoded:
    frames = getattr(file, "n_frames", 1)
    notes = (f"{name}: {frames} frames; the first is used",) if frames > 1 else ()
    file.seek(0)
    profile = file.info.get("icc_profile")
    turned = file.getexif().get(_ORIENTATION, 1)  # before loading: Pillow turns TIFFs, and forgets how
    file.load()
    deep = _sixteen_bits(file, data)
    if deep is None:
        return _eight_bits(ImageOps.exif_transpose(file), profile, name, notes)
    if isinstance(deep, str):
        return _eight_bits(ImageOps.exif_transpose(file), profile, name, (*notes, f"{name}: {deep}"))
    turned = file.getexif().get(_ORIENTATION, turned) if file.format == "PNG" else turned
    colors, alpha = _apart(_turned(deep, turned))
    if profile and not _is_srgb(profile):
        shallow = Image.fromarray(np.round(colors / 257).astype(np.uint8))
        rgb, more = _to_srgb(shallow, profile, name)
        colors, notes = np.asarray(rgb).astype(np.uint16) * 257, (*notes, *more)
    return _finished(colors, alpha, notes)


# --- 8 bits, by Pillow ------------------------------------------------------------------------------------------------


def _eight_bits(image: Image.Image, profile: bytes | None, name: str, notes: tuple[str, ...]) -> Decoded:
    if image.mode in ("I", "F", "I;16", "I;16L", "I;16B", "I;16N"):
        grey, more = _grey16(np.asarray(image), name)
        return _finished(np.repeat(grey[..., None], 3, -1), None, (*notes, *more))
    alpha = None
    if image.has_transparency_data:
        grey_with_alpha = image.mode in ("LA", "La")
        whole = image.convert("LA" if grey_with_alpha else "RGBA")
        alpha = np.asarray(whole.getchannel("A"))
        image = whole.convert("L" if grey_with_alpha else "RGB")
    if image.mode in ("1", "P", "PA"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if profile and not _is_srgb(profile):
        image, more = _to_srgb(image, profile, name)
        notes = (*notes, *more)
    return _finished(np.asarray(image.convert("RGB")), alpha, notes)


def _grey16(values: Pixels, name: str) -> tuple[Pixels, tuple[str, ...]]:
    """Grey values of any kind and range as uint16."""
    if values.dtype == np.uint16:
        return values, ()
    numbers = np.nan_to_num(values.astype(np.float64))
    least, most = float(numbers.min()), float(numbers.max())
    for full in (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (65535.0,):
        if least >= 0 and most <= full:
            return np.round(numbers * (65535 / full)).astype(np.uint16), ()
    scaled = (numbers - least) / max(most - least, 1e-12)
    return np.round(scaled * 65535).astype(np.uint16), (f"{name}: values from {least:g} to {most:g}, scaled to fit",)


def _is_srgb(profile: bytes) -> bool:
    """By its name: converting sRGB to sRGB would cost a rounding for nothing."""
    try:
        described = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError):
        return False
    return described.strip().lower().startswith("srgb")


def _to_srgb(image: Image.Image, profile: bytes, name: str) -> tuple[Image.Image, tuple[str, ...]]:
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image.convert("RGB"), (f"{name}: its colour profile is broken; read as sRGB",)
    return converted or image.convert("RGB"), ()


# --- 16 bits ----------------------------------------------------------------------------------------------------------


def _sixteen_bits(file: Image.Image, data: bytes) -> Pixels | str | None:
    """HxWx(1 to 4) uint16 of a 16-bit PNG or TIFF, of which Pillow keeps 8 bits; None for others; a note if it failed.

    Pillow has decoded the file before, so sizes are honest and data are whole.
    """
    if file.format == "PNG" and data[_PNG_DEPTH_AT] == 16:
        try:
            import imagecodecs
        except ImportError:
            return "16 bits, read as 8 (imagecodecs is not installed)"
        return three_dimensions(np.asarray(imagecodecs.png_decode(data)))
    if file.format == "TIFF" and set(_bits(file)) == {16} and file.mode != "CMYK":
        return _tiff(data)
    return None


def _bits(file: Image.Image) -> tuple[int, ...]:
    found = getattr(file, "tag_v2", {}).get(_BITS_PER_SAMPLE, ())
    return found if isinstance(found, tuple) else (found,)


def _tiff(data: bytes) -> Pixels | str | None:
    try:
        import tifffile
    except ImportError:
        return "16 bits, read as 8 (tifffile is not installed)"
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            found, kind = np.asarray(page.asarray()), tifffile.PHOTOMETRIC(page.photometric).name
            extra = [tifffile.EXTRASAMPLE(each).name for each in page.extrasamples]
            planar = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and found.ndim == 3
    except Exception as error:  # noqa: BLE001 - a compression that it has not, and whatever its decoders raise
        return f"16 bits, read as 8 ({error})"
    if found.dtype != np.uint16 or kind not in ("RGB", "MINISBLACK", "MINISWHITE"):
        return None
    found = three_dimensions(np.moveaxis(found, 0, -1) if planar else found)
    found = 65535 - found if kind == "MINISWHITE" else found
    colors = 3 if kind == "RGB" else 1
    if extra[:1] == ["ASSOCALPHA"]:
        share = np.maximum(found[..., colors : colors + 1], 1) / 65535
        found = np.concatenate([np.minimum(found[..., :colors] / share, 65535), found[..., colors:]], -1)
    keep = colors + (extra[:1] in (["ASSOCALPHA"], ["UNASSALPHA"]))
    return np.round(found[..., :keep]).astype(np.uint16)


def three_dimensions(values: Pixels) -> Pixels:
    """Grey values as HxWx1, others as they are."""
    return values[..., None] if values.ndim == 2 else values


def _turned(values: Pixels, orientation: int) -> Pixels:
    """By EXIF's orientation: 5 to 8 swap sides first."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    down = orientation in (3, 4, 7, 8)
    right = orientation in (2, 3, 6, 7)
    return values[:: -1 if down else 1, :: -1 if right else 1]


def _apart(values: Pixels) -> tuple[Pixels, Pixels | None]:
    """HxWx(1 to 4) as HxWx3 colours, and alpha."""
    channels = values.shape[2]
    alpha = values[..., -1] if channels in (2, 4) else None
    return (np.repeat(values[..., :1], 3, -1) if channels < 3 else values[..., :3]), alpha


def _finished(colors: Pixels, alpha: Pixels | None, notes: tuple[str, ...]) -> Decoded:
    if alpha is None or alpha.min() == FULL[alpha.dtype]:
        return Decoded(np.ascontiguousarray(colors), None, notes)
    visible = alpha > 0
    if visible.any():
        colors = np.where(visible[..., None], colors, colors[visible].mean(0).round().astype(colors.dtype))
    if alpha.dtype != colors.dtype:
        raise AssertionError("colours and alpha come from one picture")
    return Decoded(np.ascontiguousarray(colors), np.ascontiguousarray(alpha), notes)
