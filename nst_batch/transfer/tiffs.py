"""TIFF files: which of their images is the picture, and its values as 8 or 16 bits. By tifffile."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from nst_batch.transfer.profiles import LAB, Meaning

if TYPE_CHECKING:
    import tifffile

Pixels = npt.NDArray[Any]

_ORIENTATION, _PROFILE = 274, 34675  # tags
_PILLOWS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946)  # compressions: none, CCITT, LZW, JPEG, deflate, PackBits
_RAW = ("CFA", "LINEAR_RAW")
_HDR = 16.0  # times white: as far as a high dynamic range goes here
_FLOATS = ((0.0, _HDR, 1.0), (_HDR, 300.0, 255.0), (16_384.0, 70_000.0, 65_535.0))
"""Above and up to which largest value floats have which white."""
_BELOW = 0.1  # of white, below black: what filters leave
_COLORS = {"RGB": 3, "YCBCR": 3, "CIELAB": 3, "ICCLAB": 3, "SEPARATED": 4, "MINISBLACK": 1, "MINISWHITE": 1}


class NotAPicture(ValueError):
    """A TIFF that has no picture to render."""


class Read(NamedTuple):
    """What is in a TIFF.

    Attributes:
        values: HxWxC, uint8 or uint16.
        channels: how many of C are colours; one behind them is alpha, which is not multiplied in.
        meaning: of the colours.
        orientation: as of EXIF, 1 to 8.
        notes: what a user should know.
    """

    values: Pixels
    channels: int
    meaning: Meaning
    orientation: int
    notes: tuple[str, ...]


def is_tiff(head: bytes) -> bool:
    """By its first four bytes; BigTIFF, too."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def size_of(file: BinaryIO) -> tuple[int, int]:
    """(width, height) of the picture, upright.

    Raises:
        NotAPicture: a raw file.
        Exception: whatever tifffile raises, on a file that may hold anything.
    """
    import tifffile

    with tifffile.TiffFile(file) as opened:
        page, _ = _picture(opened)
        width, height = page.imagewidth, page.imagelength
        return (height, width) if _tag(page, _ORIENTATION, 1) in (5, 6, 7, 8) else (width, height)


def is_plain(data: bytes) -> bool:
    """Whether the picture is the first image, in up to 8 bits a channel: Pillow reads these."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        page, _ = _picture(opened)
        return (
            page is opened.pages.first.aspage()
            and page.bitspersample <= 8
            and page.sampleformat in (None, tifffile.SAMPLEFORMAT.UINT)
            and _kind(page) not in ("CIELAB", "ICCLAB")
            and page.compression in _PILLOWS
        )


def read(data: bytes) -> Read:
    """The picture. Raises as ``size_of`` does, and ValueError where a part of it is missing."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        page, notes = _picture(opened)
        missing = math.prod(page.chunked) - sum(count > 0 for count in page.databytecounts)
        if missing > 0:  # tifffile makes them black
            raise ValueError(f"{missing} of its strips or tiles are missing")
        values = np.asarray(page.asarray())
        kind = tifffile.PHOTOMETRIC(page.photometric).name
        extra = [tifffile.EXTRASAMPLE(each).name for each in page.extrasamples]
        if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and values.ndim == 3:
            values = np.moveaxis(values, 0, -1)
        values = values[..., None] if values.ndim == 2 else values
        if kind == "PALETTE":
            values, kind = np.moveaxis(np.asarray(page.colormap), 0, -1)[values[..., 0]], "RGB"
        if kind not in _COLORS or values.ndim != 3 or values.shape[2] < _COLORS[kind]:
            raise NotAPicture(f"an image of kind {kind} and shape {values.shape}")
        colors, meaning = _COLORS[kind], Meaning(bytes(_tag(page, _PROFILE, b"")) or None)
        keep = colors + (values.shape[2] > colors and extra[:1] in (["ASSOCALPHA"], ["UNASSALPHA"]))
        values, more = as_whole_numbers(_of_all_bits(values[..., :keep], page.bitspersample))
        if kind == "MINISWHITE":
            values[..., 0] = np.iinfo(values.dtype).max - values[..., 0]
        if kind in ("CIELAB", "ICCLAB"):
            values, meaning = _lab(values, signed=kind == "CIELAB"), Meaning(LAB)
        if extra[:1] == ["ASSOCALPHA"] and keep > colors:
            values = _divided(values)
        return Read(values, colors, meaning, int(_tag(page, _ORIENTATION, 1)), (*notes, *more))


def _picture(opened: tifffile.TiffFile) -> tuple[tifffile.TiffPage, tuple[str, ...]]:
    """Of several pages the first, but for what is a reduced image of another: then the largest that is none.

    Raw files have a preview first, and what a sensor saw behind it.
    """
    first = opened.pages.first.aspage()
    pages = [page.aspage() for page in opened.pages[:16]]
    every = [*pages, *(each.aspage() for page in pages for each in page.pages or ())]
    if any(_kind(page) in _RAW for page in every) or _is_cr2(opened):
        raise NotAPicture("a camera's raw file, which has to be developed first")
    if not first.is_reduced:
        others = sum(not page.is_reduced and not page.is_mask for page in pages[1:])
        return first, (f"{1 + others} images; the first is used",) if others else ()
    whole = [page for page in every if not page.is_reduced] or [first]
    found = max(whole, key=lambda page: page.imagewidth * page.imagelength)
    if found is first:
        return first, ()
    return found, (f"the first image is a preview of {first.imagewidth} x {first.imagelength}; the whole one is used",)


def _is_cr2(opened: tifffile.TiffFile) -> bool:
    opened.filehandle.seek(8)
    return bool(opened.filehandle.read(2) == b"CR")


def _kind(page: tifffile.TiffPage) -> str:
    return getattr(page.photometric, "name", "")


def _tag(page: tifffile.TiffPage, number: int, default: Any) -> Any:
    tag = page.tags.get(number)
    return default if tag is None else tag.value


def as_whole_numbers(values: Pixels) -> tuple[Pixels, tuple[str, ...]]:
    """Values of any type as uint8 or uint16, and what was made of them.

    uint8 and uint16 stay. What is white is told by the values but for the hundredth that is largest: a few of them, as
    glints and broken pixels have, are cut off. It is 1 for floats up to 16 (what is above 1, of a high dynamic range,
    is cut off, too), 255 for those up to 300, 65535 for those from 16,384 to 70,000; for whole numbers the first of
    255, 65535 and the type's largest that holds them. What fits none of these, or is negative, is scaled from its least
    to its most.
    """
    if values.dtype in (np.uint8, np.uint16):
        return values, ()
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * 255, ()
    numbers = values.astype(np.float64)
    finite = np.isfinite(numbers)
    notes = () if finite.all() else (f"{np.count_nonzero(~finite):,} values are no numbers, or infinite",)
    if not finite.any():
        return np.zeros(values.shape, np.uint16), notes
    least, most = float(numbers[finite].min()), float(numbers[finite].max())
    low, middle, high = (float(each) for each in np.percentile(numbers[finite], (1, 50, 99)))
    white = _white(values.dtype, low, most if middle > 1 and high <= _HDR else high)
    if white is None:
        numbers, white = numbers - low, max(high - low, 1e-12)
        notes = (*notes, f"values from {least:g} to {most:g}, scaled to fit")
    elif most > white or least < 0:
        notes = (*notes, f"values from {least:g} to {most:g}, cut off at 0 and {white:g}")
    elif values.dtype.kind != "f":
        notes = (*notes, f"{values.dtype.itemsize * 8}-bit values up to {most:g}, read as of {white:g}")
    shares = np.clip(np.nan_to_num(numbers / white, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
    return np.round(shares * 65535).astype(np.uint16), notes


def _white(kind: np.dtype[Any], least: float, most: float) -> float | None:
    if kind.kind == "f":
        return next(
            (white for over, up_to, white in _FLOATS if over <= most <= up_to and least >= -_BELOW * white), None
        )
    largest = float(np.iinfo(kind).max)
    return None if least < 0 else next(white for white in (255.0, 65535.0, largest) if most <= white)


def _lab(values: Pixels, *, signed: bool) -> Pixels:
    """TIFF's Lab as ICC's version 4 has it: a* and b* are 0 at 128 of 255, and at 0x8080 of 65535."""
    if values.dtype == np.uint8:
        return values ^ np.array([0, 128, 128], np.uint8) if signed else values  # TIFF 6.0, section 23; ICCLab
    numbers = values.astype(np.float64)
    if signed:
        numbers[..., 1:] = (values[..., 1:].view(np.int16) / 256 + 128) * 257
    else:  # ICC's version 2: an L* of 100 is 0xff00
        numbers *= 65535 / 65280
    return np.clip(np.round(numbers), 0, 65535).astype(np.uint16)


def _of_all_bits(values: Pixels, bits: int) -> Pixels:
    """10, 12 or 14 bits a channel as 16."""
    if values.dtype != np.uint16 or bits >= 16:
        return values
    found: Pixels = np.round(values * (65535 / (2**bits - 1))).astype(np.uint16)
    return found


def _divided(values: Pixels) -> Pixels:
    """By its alpha, which was multiplied in."""
    most = np.iinfo(values.dtype).max
    share = np.maximum(values[..., -1:], 1) / most
    colors = np.minimum(np.round(values[..., :-1] / share), most).astype(values.dtype)
    return np.concatenate([colors, values[..., -1:]], -1)
