"""Picture files of every kind, and what each shows by its format's specification."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

Values = npt.NDArray[Any]
Color = tuple[int, int, int]

LEFT, RIGHT = (128, 64, 64), (64, 128, 64)  # of every picture, 48 x 32, as they are stored
IN_P3, LINEAR = ((138, 59, 62), (32, 130, 55)), ((188, 137, 137), (137, 188, 137))
D65, SRGB_XY, P3_XY = (0.3127, 0.3290), (0.64, 0.33, 0.30, 0.60, 0.15, 0.06), (0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


def profile(xy: tuple[float, ...], gamma: float | None) -> bytes:
    """An ICC profile with these primaries, and this gamma, or sRGB's curve."""
    ramp = np.linspace(0, 1, 4096)
    curve = np.where(ramp <= 0.04045, ramp / 12.92, ((ramp + 0.055) / 1.055) ** 2.4).astype(np.float32)
    made = {"transferfunction": curve} if gamma is None else {"gamma": gamma}
    primaries = tuple(float(each) for pair in zip(xy[::2], xy[1::2], strict=True) for each in (*pair, 1.0))
    return bytes(imagecodecs.cms_profile("rgb", whitepoint=(*D65, 1.0), primaries=primaries, **made))


P3, LINEAR_SRGB = profile(P3_XY, None), profile(SRGB_XY, 1.0)
GREY_18 = bytes(imagecodecs.cms_profile("gray", gamma=1.8, whitepoint=(*D65, 1.0)))


def pixels(kind: Any = np.uint8, colors: tuple[Color, Color] = (LEFT, RIGHT)) -> Values:
    """HxWx3; of floats, white is 1."""
    values = np.zeros((32, 48, 3))
    values[:, :24], values[:, 24:] = colors
    scale = 1 / 255 if np.dtype(kind).kind == "f" else np.iinfo(kind).max / 255
    return (values * scale).round(6).astype(kind) if np.dtype(kind).kind == "f" else (values * scale).astype(kind)


def grey(kind: Any) -> Values:
    """HxW of 128 and 64 of 255."""
    return pixels(kind, ((128,) * 3, (64,) * 3))[..., 0]


def by_pillow(form: str, *, alpha: bool = False, turned: bool = False, **options: Any) -> Callable[[Path], None]:
    """Written by Pillow and its plugins; ``turned``: stored on its side, with orientation 6."""

    def write(path: Path) -> None:
        picture, more = Image.fromarray(pixels()), dict[str, Any]()
        if alpha:
            picture.putalpha(200)
        if turned:
            exif = Image.Exif()
            exif[0x0112] = 6
            picture = picture.transpose(Image.Transpose.ROTATE_90)  # which it undoes
            more["exif"] = exif if form == "TIFF" else exif.tobytes()
        picture.save(path, form, **options, **more)

    return write


def chunk(kind: bytes, data: bytes) -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values: Values, *chunks: tuple[bytes, bytes]) -> Callable[[Path], None]:
    """A PNG with chunks behind its header."""

    def write(path: Path) -> None:
        data = bytes(imagecodecs.png_encode(np.ascontiguousarray(values)))
        path.write_bytes(data[:33] + b"".join(chunk(*each) for each in chunks) + data[33:])

    return write


def tiff(values: Values, **options: Any) -> Callable[[Path], None]:
    """A TIFF."""

    def write(path: Path) -> None:
        tifffile.imwrite(path, values, **{"photometric": "rgb" if values.ndim == 3 else "minisblack", **options})

    return write


def avif(**points: Any) -> Callable[[Path], None]:
    """An AVIF with code points and no profile."""

    def write(path: Path) -> None:
        path.write_bytes(bytes(imagecodecs.avif_encode(pixels(), 100, **points)))

    return write


def preview(path: Path) -> None:
    """A small image that says that it is one, and the whole one."""
    with tifffile.TiffWriter(path) as file:
        file.write(pixels()[::4, ::4].copy() // 2, photometric="rgb", subfiletype=1, metadata=None)
        file.write(pixels(), photometric="rgb", metadata=None)


def without_end(path: Path) -> None:
    """A JPEG that lacks its last two bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels()).save(buffer, "JPEG", quality=95, subsampling=0)
    path.write_bytes(buffer.getvalue()[:-2])


def odd(value: float) -> Values:
    """Floats, one of which is another."""
    values = pixels(np.float32)
    values[0, 0, 0] = value
    return values


class Kind(NamedTuple):
    """Of a file: what it is, its ending, what writes it, and what it shows by its format's specification."""

    what: str
    ending: str
    write: Callable[[Path], None]
    shows: tuple[Color, Color] = (LEFT, RIGHT)


GREYS: tuple[Color, Color] = ((128,) * 3, (64,) * 3)
GREYS_18: tuple[Color, Color] = ((146,) * 3, (81,) * 3)
Q: dict[str, Any] = {"quality": 95, "subsampling": 0}
AVIF: dict[str, Any] = {"quality": 100, "subsampling": "4:4:4"}
HEIF: dict[str, Any] = {"quality": 100, "chroma": 444}
KINDS = [
    Kind("JPEG", "jpg", by_pillow("JPEG", **Q)),
    Kind("JPEG, Display P3", "jpg", by_pillow("JPEG", icc_profile=P3, **Q), IN_P3),
    Kind("JPEG, linear profile", "jpg", by_pillow("JPEG", icc_profile=LINEAR_SRGB, **Q), LINEAR),
    Kind("JPEG, orientation 6", "jpg", by_pillow("JPEG", turned=True, **Q)),
    Kind("JPEG without its end mark", "jpg", without_end),
    Kind("PNG", "png", png(pixels())),
    Kind("PNG, alpha", "png", by_pillow("PNG", alpha=True)),
    Kind("PNG, Display P3 (iCCP)", "png", by_pillow("PNG", icc_profile=P3), IN_P3),
    Kind("PNG, Display P3 (cICP)", "png", png(pixels(), (b"cICP", bytes([12, 13, 0, 1]))), IN_P3),
    Kind("PNG, linear (gAMA)", "png", png(pixels(), (b"gAMA", struct.pack(">I", 100_000))), LINEAR),
    Kind("PNG, orientation 6 (eXIf)", "png", by_pillow("PNG", turned=True)),
    Kind("PNG, 16 bits", "png", png(pixels(np.uint16))),
    Kind("PNG, 16 bits, Display P3 (cICP)", "png", png(pixels(np.uint16), (b"cICP", bytes([12, 13, 0, 1]))), IN_P3),
    Kind("PNG, 16-bit grey, gamma 1.8 (iCCP)", "png",
         png(grey(np.uint16), (b"iCCP", b"g\0\0" + zlib.compress(GREY_18))), GREYS_18),
    Kind("PNG, 3 MB of text", "png", png(pixels(), (b"zTXt", b"t\0\0" + zlib.compress(b"workflow " * 350_000)))),
    Kind("WebP, lossless, Display P3", "webp", by_pillow("WEBP", lossless=True, icc_profile=P3), IN_P3),
    Kind("WebP, orientation 6", "webp", by_pillow("WEBP", lossless=True, turned=True)),
    Kind("HEIC", "heic", by_pillow("HEIF", **HEIF)),
    Kind("HEIC, Display P3", "heic", by_pillow("HEIF", icc_profile=P3, **HEIF), IN_P3),
    Kind("HEIC, orientation 6 (irot)", "heic", by_pillow("HEIF", turned=True, **HEIF)),
    Kind("AVIF, Display P3", "avif", by_pillow("AVIF", icc_profile=P3, **AVIF), IN_P3),
    Kind("AVIF, Display P3 (nclx)", "avif", avif(primaries=12, transfer=13, matrix=0), IN_P3),
    Kind("AVIF, orientation 6 (irot)", "avif", by_pillow("AVIF", turned=True, **AVIF)),
    Kind("JPEG XL, lossless", "jxl", by_pillow("JXL", lossless=True)),
    Kind("JPEG 2000", "jp2", by_pillow("JPEG2000")),
    Kind("TIFF, Display P3", "tif", tiff(pixels(), iccprofile=P3), IN_P3),
    Kind("TIFF, orientation 6", "tif", by_pillow("TIFF", turned=True)),
    Kind("TIFF, 16 bits", "tif", tiff(pixels(np.uint16))),
    Kind("TIFF, 16 bits, Display P3", "tif", tiff(pixels(np.uint16), iccprofile=P3), IN_P3),
    Kind("TIFF, 16-bit grey, gamma 1.8", "tif", tiff(grey(np.uint16), iccprofile=GREY_18), GREYS_18),
    Kind("TIFF, 16-bit grey and alpha", "tif",
         tiff(np.stack([grey(np.uint16), np.full((32, 48), 50_000, np.uint16)], -1), photometric="minisblack",
              extrasamples=["unassalpha"]), GREYS),
    Kind("TIFF, float", "tif", tiff(pixels(np.float32))),
    Kind("TIFF, float, one value of 1.02", "tif", tiff(odd(1.02))),
    Kind("TIFF, float, one infinite", "tif", tiff(odd(np.inf))),
    Kind("TIFF, float grey", "tif", tiff(grey(np.float32)), GREYS),
    Kind("TIFF, half floats", "tif", tiff(pixels(np.float16))),
    Kind("TIFF, doubles", "tif", tiff(pixels(np.float64))),
    Kind("TIFF, 32-bit grey", "tif", tiff(grey(np.uint32)), GREYS),
    Kind("TIFF, LERC", "tif", tiff(pixels(), compression="lerc")),
    Kind("TIFF, JPEG XL", "tif", tiff(pixels(), compression="jpegxl", compressionargs={"lossless": True})),
    Kind("TIFF, JPEG 2000", "tif", tiff(pixels(), compression="jpeg2000", compressionargs={"level": 0})),
    Kind("TIFF, 16-bit Lab", "tif",
         tiff(np.array([[[23_314, 7_210, 3_404], [31_566, 57_336, 7_154]]], np.uint16).repeat(32, 0).repeat(24, 1),
              photometric="cielab")),
    Kind("TIFF, a preview first", "tif", preview),
]  # fmt: skip
