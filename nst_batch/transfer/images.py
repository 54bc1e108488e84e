"""Picture files to pixels: upright, in sRGB, transparency apart, 16 bits where there are more than 8. Without torch."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from nst_batch.archives import tars
from nst_batch.archives.tar_headers import ArchiveError
from nst_batch.errors import ImageError, in_words
from nst_batch.records import Limits
from nst_batch.transfer import jxl, tiffs
from nst_batch.transfer.profiles import Meaning, in_srgb, of_boxes, of_png

Pixels = npt.NDArray[Any]  # uint8 or uint16

_ORIENTATION = 0x0112  # EXIF's tag
_SIDEWAYS = (5, 6, 7, 8)  # orientations that swap width and height
_END_OF_JPEG = b"\xff\xd9"
_NOISE = b"\xa5\xd2\x69\xb4" * 128  # bits that are no picture's, and not those that a decoder fills in: zeros
_PNG_DEPTH_AT = 24  # the byte of a PNG file that holds its bits per channel
_FOREIGN = ("EPS", "WMF", "GRIB", "HDF5", "BUFR", "FPX", "MIC", "MPEG")
"""Formats that Pillow knows, but leaves to Ghostscript and others, or can only name."""

PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY  # 64 MiB: image generators store their workflows

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

    Colours are converted to sRGB by what the file says of them (``transfer.profiles``). Those under full transparency
    mean nothing; the mean of the visible ones is put there.

    Args:
        path: any file, or a member of a tar file, as ``shard-000.tar/img.jpg``.
        digest: SHA-256 that the bytes must have, when they were looked at before.
        limits: what it may be.

    Raises:
        ImageError: not a picture, truncated, larger than it may be, unreadable, or other bytes than before.
    """
    with _in_words(path, limits):
        data = _bytes_of(path, limits)
        if digest is not None and hashlib.sha256(data).hexdigest() != digest:
            raise ImageError(f"{path}: changed while the run was going on", hint="run again to use the new file")
        _refuse_bombs(path, size_of(io.BytesIO(data)), limits)
        return _decoded(data, path.name)


def problem(path: Path, limits: Limits) -> str:
    """Why the picture in a file will not be decoded, as far as its header tells; empty where it tells nothing."""
    try:
        with _in_words(path, limits):
            _refuse_bombs(path, size_of(io.BytesIO(_bytes_of(path, limits))), limits)
    except ImageError as error:
        return str(error).removeprefix(f"{path}: ")
    return ""


@contextlib.contextmanager
def _in_words(path: Path, limits: Limits) -> Iterator[None]:
    """Whatever decoders raise, as an ``ImageError`` that names the file."""
    Image.MAX_IMAGE_PIXELS = limits.pixels  # what is twice as large, Pillow refuses itself
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes that we look at ourselves, and of EXIF that is nobody's business
            yield
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
            f"{path}: not a picture in any format that is read", hint="remove it, or convert it"
        ) from error
    except tiffs.NotAPicture as error:
        raise ImageError(f"{path}: {error}", hint="export it as TIFF, PNG or JPEG") from error
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
    if tars.is_archive(str(path)):
        tars.index(str(path))  # which says what is wrong with a shard that stands for itself
        raise ImageError(f"{path}: a tar file, not a picture", hint="name the pictures in it")
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


def size_of(file: BinaryIO) -> tuple[int, int]:
    """(width, height) of the picture in a file, upright, by its header.

    Raises:
        Exception: whatever decoders raise, on a file that may hold anything.
    """
    head = file.read(12)
    file.seek(0)
    if tiffs.is_tiff(head):
        return tiffs.size_of(file)
    if jxl.is_jxl(head):
        return jxl.size_of(file.read())
    with _open(file) as image:
        width, height = image.size
        exif = _exif_of_png(image, file) if image.format == "PNG" else image.getexif()
        return (height, width) if exif.get(_ORIENTATION) in _SIDEWAYS else (width, height)


def _exif_of_png(image: Image.Image, file: BinaryIO) -> Image.Exif:
    """Before or behind the pixels, which Pillow decodes to see what is behind them."""
    at = 8
    while "exif" not in image.info:
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[:4], "big")
        if len(head) < 8:
            break
        if head[4:] == b"eXIf":
            image.info["exif"] = b"Exif\0\0" + file.read(length)
        at += 12 + length
    return Image.Image.getexif(image)


def opened(path: Path, limits: Limits = Limits()) -> Image.Image:  # noqa: B008 - frozen
    """What Pillow and its plugins make of a picture's header.

    Raises:
        ImageError: nothing.
    """
    with _in_words(path, limits):
        return _open(io.BytesIO(_bytes_of(path, limits)))


def _open(file: BinaryIO) -> Image.Image:
    """What Pillow and its plugins make of it, but for formats that other programs would have to open."""
    try:
        return Image.open(file, formats=_formats())
    except UnidentifiedImageError:
        file.seek(0)
        return Image.open(file, formats=_formats(more=True))


@functools.cache
def _formats(*, more: bool = False) -> list[str]:
    """Those of Pillow, and, which takes a while to import, HEIF and JPEG XL."""
    if more:
        import pillow_heif
        import pillow_jxl  # noqa: F401 - it registers itself

        pillow_heif.register_heif_opener()
    Image.init()
    return [name for name in Image.OPEN if name not in _FOREIGN]


def _refuse_bombs(path: Path, size: tuple[int, int], limits: Limits) -> None:
    if size[0] * size[1] > limits.pixels:
        raise ImageError(
            f"{path}: {size[0]:,} x {size[1]:,} pixels, and limits.pixels is {limits.pixels:,}", hint=SMALLER
        )


def from_image(image: Image.Image, name: str = "picture") -> Decoded:
    """An image in memory, as ``load_picture`` would give it."""
    return _of_image(ImageOps.exif_transpose(image), Meaning(image.info.get("icc_profile")), name, ())


def _decoded(data: bytes, name: str) -> Decoded:
    if tiffs.is_tiff(data) and not tiffs.is_plain(data):
        return _of_tiff(tiffs.read(data), name)
    file = _open(io.BytesIO(data))
    frames = getattr(file, "n_frames", 1)
    which = "main" if file.format == "HEIF" else "first"
    notes = (f"{name}: {frames} frames; the {which} one is used",) if frames > 1 else ()
    if which == "first":
        file.seek(0)
    meaning = _meaning(file, data)
    if file.format == "JXL" and not getattr(file, "jpeg", False):
        # Its decoder has turned it by its codestream, and EXIF says nothing: ISO/IEC 18181-2. Not so a JPEG in it.
        return _of_image(file, meaning, name, notes)
    orientation = file.getexif().get(_ORIENTATION, 1)
    if file.format == "PNG" and data[_PNG_DEPTH_AT] == 16:
        import imagecodecs

        file.load()  # so sizes are honest and data are whole; Pillow keeps 8 bits of 16
        orientation = file.getexif().get(_ORIENTATION, orientation)
        values = _turned(three_dimensions(np.asarray(imagecodecs.png_decode(data))), orientation)
        colors, alpha = (values[..., :-1], values[..., -1]) if values.shape[2] in (2, 4) else (values, None)
        return _finished(colors, alpha, meaning, name, notes)
    if file.format in ("JPEG", "MPO") and not data.rstrip(b"\0").endswith(_END_OF_JPEG):
        file, more = _without_its_end(file, data, name)
        notes = (*notes, *more)
    return _of_image(ImageOps.exif_transpose(file), meaning, name, notes)


def _meaning(file: Image.Image, data: bytes) -> Meaning:
    if file.format == "PNG":
        return of_png(data, file.info)
    if file.format in ("AVIF", "HEIF"):
        return of_boxes(data, file.info)
    return Meaning(file.info.get("icc_profile"))


def _without_its_end(file: Image.Image, data: bytes, name: str) -> tuple[Image.Image, tuple[str, ...]]:
    """A JPEG that lacks its end mark, if nothing else is missing: then whatever stands behind it changes no pixel."""
    data = data.removesuffix(_END_OF_JPEG[:1])  # half of it
    whole, noisy = (_open(io.BytesIO(data + behind + _END_OF_JPEG)) for behind in (b"", _NOISE))
    try:
        file.load()  # there may be an end, and something behind it
    except OSError:
        if np.asarray(whole).tobytes() != np.asarray(noisy).tobytes():
            raise
        return whole, (f"{name}: its end mark is missing; no pixel is",)
    return file, ()


# --- values to colours ------------------------------------------------------------------------------------------------


def _of_tiff(read: tiffs.Read, name: str) -> Decoded:
    values, channels = _turned(read.values, read.orientation), read.channels
    notes = tuple(f"{name}: {note}" for note in read.notes)
    alpha = values[..., channels] if values.shape[2] > channels else None
    return _finished(values[..., :channels], alpha, read.meaning, name, notes)


def _of_image(image: Image.Image, meaning: Meaning, name: str, notes: tuple[str, ...]) -> Decoded:
    if image.mode in ("I", "F", "I;16", "I;16L", "I;16B", "I;16N"):
        values, more = tiffs.as_whole_numbers(np.asarray(image))
        notes = (*notes, *(f"{name}: {note}" for note in more))
        return _finished(values[..., None], None, meaning, name, notes)
    alpha = None
    if image.has_transparency_data:
        grey_with_alpha = image.mode in ("LA", "La")
        whole = image.convert("LA" if grey_with_alpha else "RGBA")
        alpha = np.asarray(whole.getchannel("A"))
        image = whole.convert("L" if grey_with_alpha else "RGB")
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return _finished(three_dimensions(np.asarray(image)), alpha, meaning, name, notes)


def _finished(values: Pixels, alpha: Pixels | None, meaning: Meaning, name: str, notes: tuple[str, ...]) -> Decoded:
    """HxW(1, 3 or 4) of whatever they mean, and HxW, as a picture."""
    colors, more = in_srgb(values, meaning)
    notes = (*notes, *(f"{name}: {note}" for note in more))
    if alpha is None or alpha.min() == FULL[alpha.dtype]:
        return Decoded(np.ascontiguousarray(colors), None, notes)
    visible = alpha > 0
    if visible.any():
        colors = np.where(visible[..., None], colors, colors[visible].mean(0).round().astype(colors.dtype))
    if alpha.dtype != colors.dtype:
        raise AssertionError("colours and alpha come from one picture")
    return Decoded(np.ascontiguousarray(colors), np.ascontiguousarray(alpha), notes)


def three_dimensions(values: Pixels) -> Pixels:
    """Grey values as HxWx1, others as they are."""
    return values[..., None] if values.ndim == 2 else values


def _turned(values: Pixels, orientation: int) -> Pixels:
    """By EXIF's orientation: 5 to 8 swap sides first."""
    if orientation in _SIDEWAYS:
        values = values.swapaxes(0, 1)
    down = orientation in (3, 4, 7, 8)
    right = orientation in (2, 3, 6, 7)
    return values[:: -1 if down else 1, :: -1 if right else 1]
