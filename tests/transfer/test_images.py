"""Files of every kind to pixels: upright, in the right colours, transparency and 16 bits kept.

Each file is written here by Pillow, tifffile or imagecodecs.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from nst_batch.errors import ImageError
from nst_batch.planning.input_files import see
from nst_batch.records import Limits
from nst_batch.transfer.images import Decoded, _formats, from_image, load_picture, problem
from tests import runs, tar_files
from tests.transfer.colors import TURNS, Values, apart, halves, quadrants

LOSSLESS, LOSSY = 1.0, 4.0  # largest CIE76 differences


def image(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(quadrants()).convert(mode)


def grey() -> Values:
    """What the quadrants are without colour, HxWx3 in [0, 1]."""
    return np.asarray(image("L").convert("RGB")) / 255


def colored() -> Values:
    return quadrants() / 255


def save(kind: str, mode: str = "RGB", **options: Any) -> Callable[[Path], None]:
    return lambda path: image(mode).save(path, kind, **options)


def with_alpha(kind: str, mode: str = "RGBA", **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        picture = image("L" if mode == "LA" else "RGB")
        picture.putalpha(Image.fromarray(halves(255, "uint8")[..., 0]))
        picture.save(path, kind, **options)

    return write


def palette(path: Path) -> None:
    image().quantize(8).save(path)


def palette_with_transparency(path: Path) -> None:
    """Index 0 is the left half, opaque; 1 the right half, half transparent."""
    picture = Image.new("P", (48, 32), 0)
    picture.putpalette([200, 60, 50, 60, 170, 80])
    picture.paste(1, (24, 0, 48, 32))
    picture.save(path, transparency=bytes([255, 127]))


def png16(channels: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        values, alpha = quadrants("uint16"), halves(65535, "uint16")
        light = (grey()[..., :1] * 65535).astype(np.uint16)
        kinds = {
            1: light[..., 0],
            2: np.concatenate([light, alpha], -1),
            3: values,
            4: np.concatenate([values, alpha], -1),
        }
        path.write_bytes(imagecodecs.png_encode(kinds[channels]))

    return write


def tiff16(mode: str, **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        values, alpha = quadrants("uint16"), halves(65535, "uint16")
        light = (grey()[..., 0] * 65535).astype(np.uint16)
        if mode == "L":
            tifffile.imwrite(path, light, photometric="minisblack", **options)
        elif mode == "inverted":
            tifffile.imwrite(path, 65535 - light, photometric="miniswhite", **options)
        elif mode == "planar":
            tifffile.imwrite(path, np.moveaxis(values, -1, 0), photometric="rgb", planarconfig="separate", **options)
        elif mode == "RGBA":
            tifffile.imwrite(
                path, np.concatenate([values, alpha], -1), photometric="rgb", extrasamples=["unassalpha"], **options
            )
        elif mode == "premultiplied":
            both = np.concatenate([values * (alpha / 65535.0), alpha], -1).round().astype(np.uint16)
            tifffile.imwrite(path, both, photometric="rgb", extrasamples=["assocalpha"], **options)
        else:
            tifffile.imwrite(path, values, photometric="rgb", **options)

    return write


def frames(kind: str) -> Callable[[Path], None]:
    return lambda path: image().save(path, kind, save_all=True, append_images=[image().rotate(180)])


def floats(scale: float) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        tifffile.imwrite(path, (grey()[..., 0] * scale).astype(np.float32))

    return write


CMYK_TABLE = 255 - quadrants()  # without a profile: 255 minus each of C, M, Y


def cmyk(kind: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        values = np.concatenate([CMYK_TABLE, np.zeros((32, 48, 1), np.uint8)], -1)
        options = {"quality": 100} if kind == "JPEG" else {}
        Image.frombytes("CMYK", (48, 32), values.tobytes()).save(path, kind, **options)

    return write


# name: how it is written, its ending, its colours, the largest difference, has alpha, bits, part of its notes
Kind = tuple[Callable[[Path], None], str, Callable[[], Values], float, bool, int, str]
KINDS: dict[str, Kind] = {
    "png": (save("PNG"), "png", colored, LOSSLESS, False, 8, ""),
    "jpeg": (save("JPEG", quality=95, subsampling=0), "jpg", colored, LOSSY, False, 8, ""),
    "grey jpeg": (save("JPEG", "L", quality=95), "jpg", grey, LOSSY, False, 8, ""),
    "cmyk jpeg": (cmyk("JPEG"), "jpg", colored, LOSSY, False, 8, ""),
    "cmyk tiff": (cmyk("TIFF"), "tif", colored, LOSSLESS, False, 8, ""),
    "webp": (save("WEBP", lossless=True), "webp", colored, LOSSLESS, False, 8, ""),
    "webp alpha": (with_alpha("WEBP", lossless=True, exact=True), "webp", colored, LOSSLESS, True, 8, ""),
    "tiff": (save("TIFF"), "tif", colored, LOSSLESS, False, 8, ""),
    "tiff lzw": (save("TIFF", compression="tiff_lzw"), "tif", colored, LOSSLESS, False, 8, ""),
    "tiff alpha": (with_alpha("TIFF"), "tif", colored, LOSSLESS, True, 8, ""),
    "bmp": (save("BMP"), "bmp", colored, LOSSLESS, False, 8, ""),
    "gif": (save("GIF"), "gif", colored, LOSSLESS, False, 8, ""),
    "grey png": (save("PNG", "L"), "png", grey, LOSSLESS, False, 8, ""),
    "grey alpha png": (with_alpha("PNG", "LA"), "png", grey, LOSSLESS, True, 8, ""),
    "alpha png": (with_alpha("PNG"), "png", colored, LOSSLESS, True, 8, ""),
    "palette png": (palette, "png", colored, LOSSLESS, False, 8, ""),
    "lab tiff": (lambda path: lab_image().save(path, "TIFF"), "tif", colored, 3.0, False, 8, ""),
    "16-bit png": (png16(3), "png", colored, 0.01, False, 16, ""),
    "16-bit alpha png": (png16(4), "png", colored, 0.01, True, 16, ""),
    "16-bit grey png": (png16(1), "png", grey, 0.01, False, 16, ""),
    "16-bit grey alpha png": (png16(2), "png", grey, 0.01, True, 16, ""),
    "16-bit tiff": (tiff16("RGB"), "tif", colored, 0.01, False, 16, ""),
    "16-bit tiff deflate": (tiff16("RGB", compression="zlib"), "tif", colored, 0.01, False, 16, ""),
    "16-bit tiff lzw": (tiff16("RGB", compression="lzw"), "tif", colored, 0.01, False, 16, ""),
    "16-bit tiff big-endian": (tiff16("RGB", byteorder=">"), "tif", colored, 0.01, False, 16, ""),
    "16-bit planar tiff": (tiff16("planar"), "tif", colored, 0.01, False, 16, ""),
    "16-bit alpha tiff": (tiff16("RGBA"), "tif", colored, 0.01, True, 16, ""),
    "16-bit premultiplied tiff": (tiff16("premultiplied"), "tif", colored, 0.02, True, 16, ""),
    "16-bit grey tiff": (tiff16("L"), "tif", grey, 0.01, False, 16, ""),
    "16-bit grey tiff, white is 0": (tiff16("inverted"), "tif", grey, 0.01, False, 16, ""),
    "float tiff": (floats(1.0), "tif", grey, 0.01, False, 16, ""),
    "animated gif": (frames("GIF"), "gif", colored, LOSSLESS, False, 8, "2 frames"),
    "animated png": (frames("PNG"), "png", colored, LOSSLESS, False, 8, "2 frames"),
    "animated webp": (lambda p: image().save(p, "WEBP", save_all=True, append_images=[image().rotate(180)],
                                             lossless=True), "webp", colored, LOSSLESS, False, 8, "2 frames"),
    "tiff of two pages": (frames("TIFF"), "tif", colored, LOSSLESS, False, 8, "2 frames"),
}  # fmt: skip


def lab_image() -> Image.Image:
    transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    found = ImageCms.applyTransform(image(), transform)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_of_file(tmp_path: Path, kind: str) -> None:
    write, ending, expected, tolerance, has_alpha, bits, note = KINDS[kind]
    path = tmp_path / f"a.{ending}"
    write(path)
    found = load_picture(path)
    assert found.size == (48, 32)
    assert found.pixels.dtype == (np.uint16 if bits == 16 else np.uint8)
    full = 2**bits - 1
    assert apart(found.pixels / full, expected()) < tolerance
    assert (found.alpha is not None) == has_alpha
    if found.alpha is not None:
        assert found.alpha.dtype == found.pixels.dtype
        np.testing.assert_allclose(found.alpha / full, halves(255, "uint8")[..., 0] / 255, atol=0.005)
    assert note in "".join(found.notes) and bool(note) == bool(found.notes)


def test_a_palette_with_transparency(tmp_path: Path) -> None:
    palette_with_transparency(tmp_path / "a.png")
    found = load_picture(tmp_path / "a.png")
    assert found.alpha is not None and set(found.alpha.flat) == {255, 127}
    assert found.pixels[0, 0].tolist() == [200, 60, 50] and found.pixels[0, 40].tolist() == [60, 170, 80]


def test_black_and_white(tmp_path: Path) -> None:
    picture = Image.new("1", (20, 20), 1)
    picture.putpixel((3, 5), 0)
    picture.save(tmp_path / "a.png")
    found = load_picture(tmp_path / "a.png").pixels
    assert found[5, 3].tolist() == [0, 0, 0] and found[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "PNG 16", "TIFF 16"])
def test_exif_orientation_is_applied(tmp_path: Path, kind: str, orientation: int) -> None:
    bits = 16 if kind.endswith("16") else 8
    stored = np.ascontiguousarray(TURNS[orientation](quadrants("uint16" if bits == 16 else "uint8")))
    path = tmp_path / ("a.tif" if "TIFF" in kind else f"a.{kind[:3].lower()}")
    exif = Image.Exif()
    exif[0x0112] = orientation
    if kind == "TIFF 16":
        tifffile.imwrite(path, stored, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    elif kind == "PNG 16":
        data, chunk = bytes(imagecodecs.png_encode(stored)), exif.tobytes().removeprefix(b"Exif\0\0")
        path.write_bytes(data[:33] + png_chunk(b"eXIf", chunk) + data[33:])
    else:
        options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
        options |= {"lossless": True} if kind == "WEBP" else {}
        Image.fromarray(stored).save(path, kind, exif=exif, **options)
    found = load_picture(path)
    assert found.size == (48, 32)
    assert apart(found.pixels / (2**bits - 1), colored()) < LOSSY


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def wide_gamut_profile() -> bytes:
    """A matrix profile with Adobe RGB's primaries (adapted to D50) and its gamma, 563/256, written byte by byte."""

    def fixed(*numbers: float) -> bytes:
        return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)

    colorants = {b"rXYZ": (0.60974, 0.31111, 0.01947), b"gXYZ": (0.20528, 0.62567, 0.06087),
                 b"bXYZ": (0.14919, 0.06322, 0.74457), b"wtpt": (0.9642, 1.0, 0.8249)}  # fmt: skip
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, 563) + bytes(2)
    text = b"Wide test\0"
    parts = {b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(80),
             b"cprt": b"text" + bytes(4) + b"none\0"}  # fmt: skip
    parts |= {name: b"XYZ " + bytes(4) + fixed(*xyz) for name, xyz in colorants.items()}
    parts |= {name: curve for name in (b"rTRC", b"gTRC", b"bTRC")}
    table, body, start = b"", b"", 128 + 4 + 12 * len(parts)
    for name, data in parts.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    header = struct.pack(">I", start + len(body)) + bytes(4) + bytes([2, 0x10, 0, 0]) + b"mntrRGB XYZ "
    header += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1.0, 0.8249)
    return header + bytes(128 - len(header)) + struct.pack(">I", len(parts)) + table + body


def adobe_to_srgb(values: Values) -> Values:
    """Adobe RGB in [0, 1] to sRGB in [0, 1]: by the two standards' own numbers."""
    linear = values ** (563 / 256)
    to_xyz = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
    to_srgb = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    found: Values = (linear @ to_xyz.T @ to_srgb.T).clip(0, 1)
    return np.asarray(np.where(found <= 0.0031308, found * 12.92, 1.055 * found ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "TIFF 16", "alpha PNG"])
def test_a_profile_is_converted_to_srgb(tmp_path: Path, kind: str) -> None:
    path, profile = tmp_path / ("a.tif" if "TIFF" in kind else "a.png"), wide_gamut_profile()
    muted = (quadrants() // 2 + 60).astype(np.uint8)  # inside sRGB's gamut
    picture = Image.fromarray(muted)
    if kind == "TIFF 16":
        tifffile.imwrite(path, muted.astype(np.uint16) * 257, photometric="rgb", iccprofile=profile)
    elif kind == "alpha PNG":
        picture.putalpha(200)
        picture.save(path, "PNG", icc_profile=profile)
    else:
        options = {"quality": 98, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
        picture.save(path, kind, icc_profile=profile, **options)
    found = load_picture(path)
    full = 65535 if found.pixels.dtype == np.uint16 else 255
    assert apart(found.pixels / full, adobe_to_srgb(muted / 255)) < (3.0 if kind == "JPEG" else 1.5)
    assert apart(found.pixels / full, muted / 255) > 5  # it was not left as it is


RAMP = np.linspace(0, 1, 1024)
LIGHT_OF_GREY = {"gamma 1.8": RAMP**1.8, "dot gain": RAMP - 0.4 * RAMP * (1 - RAMP)}
"""How much light a grey value is, by its profile: as old Macs had it, and as ink spreads on paper."""


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("form", ["png", "tif"])
@pytest.mark.parametrize("curve", list(LIGHT_OF_GREY))
def test_a_grey_profile_is_applied(tmp_path: Path, bits: int, form: str, curve: str) -> None:
    """In 16 bits, it was said to be broken."""
    stored = (np.arange(0, 256, 8, dtype=np.uint16).repeat(8).reshape(16, 16) * (257 if bits == 16 else 1)).astype(
        np.uint16 if bits == 16 else np.uint8
    )
    light = LIGHT_OF_GREY[curve].astype(np.float32)
    profile = bytes(imagecodecs.cms_profile("gray", transferfunction=light, whitepoint=(0.3127, 0.3290, 1.0)))
    path = tmp_path / f"a.{form}"
    if form == "tif":
        tifffile.imwrite(path, stored, photometric="minisblack", iccprofile=profile)
    elif bits == 8:
        Image.fromarray(stored).save(path, icc_profile=profile)
    else:
        data = bytes(imagecodecs.png_encode(stored))
        chunk = png_chunk(b"iCCP", b"grey\0\0" + zlib.compress(profile))
        path.write_bytes(data[:33] + chunk + data[33:])
    found = load_picture(path)
    full = 2**bits - 1
    linear = np.interp(stored / full, RAMP, light)
    expected = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert not found.notes and found.pixels.dtype == stored.dtype
    assert apart(found.pixels / full, expected[..., None].repeat(3, 2)) < (1.5 if bits == 8 else 0.5)


def test_a_profile_for_another_kind_of_picture_is_a_note(tmp_path: Path) -> None:
    image().save(tmp_path / "a.png", icc_profile=bytes(imagecodecs.cms_profile("gray", gamma=1.8)))
    found = load_picture(tmp_path / "a.png")
    assert "profile is broken" in found.notes[0] and apart(found.pixels / 255, colored()) < LOSSLESS


# --- colours by what a file says of them ------------------------------------------------------------------------------

MUTED = (128, 64, 64)
P3 = (0.680, 0.320, 1.0, 0.265, 0.690, 1.0, 0.150, 0.060, 1.0)
SRGB = (0.640, 0.330, 1.0, 0.300, 0.600, 1.0, 0.150, 0.060, 1.0)


def flat(color: tuple[int, int, int] = MUTED) -> Image.Image:
    return Image.new("RGB", (32, 32), color)


def named(profile: bytes, name: str) -> bytes:
    """The profile, described as ``name``: littleCMS's own description is replaced, letter for letter."""
    found = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip()
    wanted = name[: len(found)].ljust(len(found))
    changed = profile.replace(found.encode("utf-16-be"), wanted.encode("utf-16-be"))
    assert ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(changed))).startswith(wanted.strip())
    return changed


@pytest.mark.parametrize("form", ["png", "jpg", "webp", "tif", "avif"])
def test_a_linear_profile_is_not_srgb_whatever_it_is_called(tmp_path: Path, form: str) -> None:
    linear = bytes(imagecodecs.cms_profile("rgb", gamma=1.0, whitepoint=(0.3127, 0.3290, 1.0), primaries=SRGB))
    exact: dict[str, Any] = (
        {"quality": 100, "subsampling": 0} if form == "jpg" else {"lossless": True} if form == "webp" else {}
    )
    exact |= {"quality": 100, "subsampling": "4:4:4"} if form == "avif" else {}
    flat().save(tmp_path / f"a.{form}", icc_profile=named(linear, "sRGB-elle-V2-g10"), **exact)
    found = load_picture(tmp_path / f"a.{form}")
    np.testing.assert_allclose(found.pixels[16, 16], (188, 137, 137), atol=1 if form in ("jpg", "avif") else 0)
    assert not found.notes


def png_with(*chunks: tuple[bytes, bytes], color: tuple[int, int, int] = MUTED, bits: int = 8) -> bytes:
    """A picture of one colour, with chunks behind its header."""
    values = np.full((32, 32, 3), color, np.uint16 if bits == 16 else np.uint8) * (257 if bits == 16 else 1)
    data = bytes(imagecodecs.png_encode(values.astype(np.uint16 if bits == 16 else np.uint8)))
    return data[:33] + b"".join(png_chunk(*each) for each in chunks) + data[33:]


def chromaticities(*x_y: float) -> bytes:
    return struct.pack(">8I", *(round(each * 100_000) for each in x_y))


LINEAR, PLAIN = struct.pack(">I", 100_000), struct.pack(">I", 45_455)  # gAMA: of the file, 1 / 2.2
SRGB_XY, P3_XY = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06), (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([(b"cICP", bytes([12, 13, 0, 1]))], (138, 59, 62)),  # Display P3
        ([(b"cICP", bytes([1, 13, 0, 1]))], MUTED),
        ([(b"cICP", bytes([1, 8, 0, 1]))], (188, 137, 137)),
        ([(b"gAMA", LINEAR)], (188, 137, 137)),
        ([(b"gAMA", PLAIN)], MUTED),
        ([(b"gAMA", PLAIN), (b"cHRM", chromaticities(*SRGB_XY))], MUTED),
        ([(b"gAMA", PLAIN), (b"cHRM", chromaticities(*P3_XY))], (138, 59, 62)),
        ([(b"cHRM", chromaticities(*P3_XY))], (138, 59, 62)),
        ([(b"sRGB", b"\0"), (b"gAMA", LINEAR)], MUTED),
        ([(b"cICP", bytes([1, 13, 0, 1])), (b"gAMA", LINEAR)], MUTED),
        ([], MUTED),
    ],
)
def test_a_png_is_read_as_its_chunks_say(
    tmp_path: Path, chunks: list[tuple[bytes, bytes]], expected: tuple[int, int, int], bits: int
) -> None:
    (tmp_path / "a.png").write_bytes(png_with(*chunks, bits=bits))
    found = load_picture(tmp_path / "a.png")
    np.testing.assert_allclose(
        found.pixels[16, 16] / (257 if bits == 16 else 1), expected, atol=0.6 if bits == 16 else 0
    )
    assert not found.notes


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_a_high_dynamic_range_is_a_note(tmp_path: Path, transfer: int, name: str) -> None:
    (tmp_path / "a.png").write_bytes(png_with((b"cICP", bytes([9, transfer, 0, 1]))))
    found = load_picture(tmp_path / "a.png")
    assert found.pixels[0, 0].tolist() == list(MUTED) and f"high dynamic range ({name})" in found.notes[0]


# --- TIFF of every kind -----------------------------------------------------------------------------------------------


def tiff_of(tmp_path: Path, values: Values, **options: Any) -> Decoded:
    tifffile.imwrite(
        tmp_path / "a.tif", values, **{"photometric": "rgb" if values.ndim == 3 else "minisblack", **options}
    )
    return load_picture(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("kind", "of_white", "odd"),
    [
        (np.float32, 1.0, None), (np.float32, 1.0, 1.02), (np.float32, 1.0, np.inf), (np.float32, 1.0, 4.0),
        (np.float32, 1.0, 200.0), (np.float32, 1.0, 1e6), (np.float32, 255.0, 1e5), (np.int32, 255, 70_000),
        (np.float32, 255.0, None), (np.float32, 65535.0, None), (np.float16, 1.0, None), (np.float64, 1.0, None),
        (np.int32, 255, None), (np.uint32, 255, None), (np.int32, 65535, None), (np.uint32, 2**32 - 1, None),
        (np.int16, 255, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("colors", ["rgb", "minisblack"])
def test_values_of_every_type_are_read_by_what_white_is(
    tmp_path: Path, kind: type, of_white: float, odd: float | None, colors: str
) -> None:
    """One pixel beyond white, or infinite, made all others black."""
    shown = colored() if colors == "rgb" else grey()[..., 0]
    values: Values = (shown * of_white).astype(kind)
    if odd is not None:
        values[0, 0] = odd
    found = tiff_of(tmp_path, values, photometric=colors)
    expected = shown if colors == "rgb" else grey()
    assert found.pixels.dtype == np.uint16 and apart(found.pixels[1:] / 65535, expected[1:]) < 0.6
    assert odd is None or ((found.pixels[0, 0] == 65535).all() and found.notes)


def test_what_no_white_fits_is_scaled_and_said_so(tmp_path: Path) -> None:
    for values in (grey()[..., 0] * 4000 - 1000, (grey()[..., 0] * 4000).astype(np.float32)):
        found = tiff_of(tmp_path, values.astype(np.float32))
        assert "scaled to fit" in found.notes[0] and found.pixels.max() == 65535 and found.pixels.min() == 0


@pytest.mark.parametrize("compression", ["lerc", "jpegxl", "jpeg2000", "zstd", "packbits", "lzma"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_tiffs_are_read_however_they_are_compressed(tmp_path: Path, compression: str, kind: type) -> None:
    values = (colored() * np.iinfo(kind).max).round().astype(kind)
    options: dict[str, Any] = {"compressionargs": {"lossless": True}} if compression == "jpegxl" else {}
    options |= {"compressionargs": {"level": 0}} if compression == "jpeg2000" else {}
    found = tiff_of(tmp_path, values, compression=compression, **options)
    assert found.pixels.dtype == kind and apart(found.pixels / np.iinfo(kind).max, colored()) < LOSSLESS


def test_12_bits_in_a_tiff_are_all_of_the_range(tmp_path: Path) -> None:
    """Packed, as scanners write them: two values in three bytes."""
    shown = np.linspace(0, 1, 32 * 48).reshape(32, 48)
    pairs = np.round(shown * 4095).astype(np.uint32).reshape(-1, 2)
    triple = (pairs[:, 0] << 12) | pairs[:, 1]
    packed = np.stack([triple >> 16, (triple >> 8) & 255, triple & 255], -1).astype(np.uint8).tobytes()
    tags = {256: (3, 48), 257: (3, 32), 258: (3, 12), 259: (3, 1), 262: (3, 1), 273: (4, 0), 277: (3, 1), 278: (3, 32),
            279: (4, len(packed))}  # fmt: skip
    tags[273] = (4, 8 + 2 + 12 * len(tags) + 4)
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in sorted(tags.items()))
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + packed)
    found = load_picture(tmp_path / "a.tif")
    np.testing.assert_allclose(found.pixels[..., 0] / 65535, shown, atol=2e-4)


def test_grey_with_alpha_in_16_bits(tmp_path: Path) -> None:
    shown = np.stack([grey()[..., 0], np.full((32, 48), 0.5)], -1)
    found = tiff_of(tmp_path, (shown * 65535).astype(np.uint16), photometric="minisblack", extrasamples=["unassalpha"])
    assert found.alpha is not None and abs(int(found.alpha[0, 0]) - 32767) < 2
    assert apart(found.pixels / 65535, grey()) < 0.01


@pytest.mark.parametrize("kind", ["cielab", "icclab"])
@pytest.mark.parametrize("bits", [8, 16])
def test_lab(tmp_path: Path, kind: str, bits: int) -> None:
    """CIE's own numbers of sRGB's red, mid grey and green, in D50: L* 54.29, a* 80.80, b* 69.89; …"""
    lab = np.array([[54.29, 80.80, 69.89], [53.39, 0, 0], [87.82, -79.27, 80.99]])
    expected = np.array([[255, 0, 0], [127, 127, 127], [0, 255, 0]])
    close = 3.0 if bits == 8 else 1.0  # CIE76: rounding to 8 bits
    if kind == "cielab":
        scaled = np.stack(
            [lab[:, 0] * (255 if bits == 8 else 65535) / 100, *(lab[:, 1:] * (1 if bits == 8 else 256)).T], -1
        )
        stored = scaled.round().astype(np.int32) & (0xFF if bits == 8 else 0xFFFF)
    else:
        offset = np.stack([lab[:, 0] * 2.55, *(lab[:, 1:] + 128).T], -1)
        stored = (offset * (1 if bits == 8 else 256)).round().astype(np.int32)
    values = stored.astype(np.uint8 if bits == 8 else np.uint16)[None].repeat(32, 0).repeat(16, 1)
    found = tiff_of(tmp_path, values, photometric=kind)
    seen = found.pixels[16, [8, 24, 40]] / np.iinfo(found.pixels.dtype).max
    assert apart(seen[None], expected[None] / 255) < close


def preview_and_whole(path: Path, whole: Values, **options: Any) -> None:
    """A small image that says it is one, and the whole one behind it, as cameras and scanners write them."""
    with tifffile.TiffWriter(path) as file:
        file.write((colored()[::4, ::4] * 255).astype(np.uint8), photometric="rgb", subfiletype=1, metadata=None)
        file.write(whole, metadata=None, **{"photometric": "rgb", **options})


def test_of_a_preview_and_the_whole_the_whole_is_read(tmp_path: Path) -> None:
    whole = (colored() * 255).round().astype(np.uint8)
    preview_and_whole(tmp_path / "a.tif", whole)
    found = load_picture(tmp_path / "a.tif")
    assert found.size == (48, 32) and apart(found.pixels / 255, colored()) < LOSSLESS
    assert "the first image is a preview of 12 x 8" in found.notes[0]
    assert see(str(tmp_path / "a.tif"), 1, 1e9)[1:3] == (48, 32), "planning knows the size of what is rendered"


def test_a_tiff_without_some_of_its_strips_is_refused(tmp_path: Path) -> None:
    """As writers leave it that did not end: the directory is there first, and strips it has none of are 0 long."""
    tifffile.imwrite(tmp_path / "a.tif", np.ones((64, 64, 3), np.float32), photometric="rgb", rowsperstrip=8)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages.first.tags["StripByteCounts"].overwrite([6144, *[0] * 7])
    with pytest.raises(ImageError, match=r"broken picture: 7 of its strips or tiles are missing"):
        load_picture(tmp_path / "a.tif")


def test_a_raw_file_is_refused_for_what_it_is(tmp_path: Path) -> None:
    preview_and_whole(tmp_path / "a.dng", (grey()[..., 0] * 60000).astype(np.uint16), photometric="cfa", extratags=[
        (33421, "H", 2, (2, 2)), (33422, "B", 4, bytes([0, 1, 1, 2]))])  # fmt: skip
    with pytest.raises(ImageError, match="raw file, which has to be developed"):
        load_picture(tmp_path / "a.dng")


# --- what other programs write ----------------------------------------------------------------------------------------


def test_a_png_with_a_long_text_is_a_picture(tmp_path: Path) -> None:
    """Image generators store workflows of megabytes."""
    text = zlib.compress(b"workflow " * 300_000)
    (tmp_path / "a.png").write_bytes(png_with((b"zTXt", b"prompt\0\0" + text)))
    assert load_picture(tmp_path / "a.png").pixels[0, 0].tolist() == list(MUTED)
    assert see(str(tmp_path / "a.png"), 1, 1e9)[1:3] == (32, 32)


def test_planning_knows_the_size_of_whatever_limits_may_allow(tmp_path: Path) -> None:
    """Pillow takes more than 358 megapixels for a bomb, and says nothing of their size."""
    data = bytearray(png_with())
    data[16:24] = struct.pack(">II", 30_000, 20_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    (tmp_path / "a.png").write_bytes(data)
    assert see(str(tmp_path / "a.png"), 1, 1e9)[1:3] == (30_000, 20_000)
    assert "limits.pixels, 268,435,456" in problem(tmp_path / "a.png", Limits())


def test_a_png_may_say_how_it_is_turned_behind_its_pixels(tmp_path: Path) -> None:
    exif, stored = Image.Exif(), image().transpose(Image.Transpose.ROTATE_90)
    exif[0x0112] = 6
    data = bytes(imagecodecs.png_encode(np.asarray(stored)))
    turn = png_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    for at in (33, len(data) - 12):
        (tmp_path / "a.png").write_bytes(data[:at] + turn + data[at:])
        found = load_picture(tmp_path / "a.png")
        assert see(str(tmp_path / "a.png"), 1, 1e9)[1:3] == found.size == (48, 32)
        assert apart(found.pixels / 255, colored()) < LOSSLESS


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_may_lack_its_end_mark_and_nothing_else(tmp_path: Path, progressive: bool) -> None:
    buffer, noisy = io.BytesIO(), np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(noisy).save(buffer, "JPEG", quality=90, progressive=progressive)
    whole, path = buffer.getvalue(), tmp_path / "a.jpg"
    path.write_bytes(whole)
    expected = load_picture(path).pixels
    path.write_bytes(whole[:-2])
    found = load_picture(path)
    np.testing.assert_array_equal(found.pixels, expected)
    assert "its end mark is missing" in found.notes[0]
    for behind in (b"\0" * 40, b"appended by a camera"):
        path.write_bytes(whole + behind)
        np.testing.assert_array_equal(load_picture(path).pixels, expected)
    path.write_bytes(whole[:-1])
    np.testing.assert_array_equal(load_picture(path).pixels, expected)
    for less in (6, 30, len(whole) // 3):
        path.write_bytes(whole[:-less])
        with pytest.raises(ImageError, match="broken picture"):
            load_picture(path)


# --- formats of phones and of the web ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["heic", "avif", "jxl", "jp2"])
@pytest.mark.parametrize("profile", ["none", "p3"])
def test_formats_of_phones_are_read_in_their_colours(tmp_path: Path, form: str, profile: str) -> None:
    p3 = bytes(imagecodecs.cms_profile("rgb", gamma=2.2, whitepoint=(0.3127, 0.3290, 1.0), primaries=P3))
    _formats(more=True)
    options: dict[str, Any] = (
        {"lossless": True} if form == "jxl" else {"quality": 100} if form in ("heic", "avif") else {}
    )
    options |= {"chroma": 444} if form == "heic" else {"subsampling": "4:4:4"} if form == "avif" else {}
    options |= {"icc_profile": p3} if profile == "p3" and form != "jp2" else {}
    path = tmp_path / f"a.{form}"
    flat().save(path, **options)
    expected = (139, 57, 59) if "icc_profile" in options and form != "jxl" else MUTED  # its writer drops profiles
    found = load_picture(path)
    np.testing.assert_allclose(found.pixels[16, 16], expected, atol=2)
    assert not found.notes and see(str(path), 1, 1e9)[1:3] == (32, 32)


@pytest.mark.parametrize("form", ["HEIF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_formats_of_phones_are_turned_upright_once(tmp_path: Path, form: str, orientation: int) -> None:
    _formats(more=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = ImageOps.exif_transpose(image())
    turned = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation)  # what undoes it
    stored = stored if turned is None else stored.transpose(Image.Transpose(turned))
    chroma = {"subsampling": "4:4:4"} if form == "AVIF" else {"chroma": 444}
    stored.save(tmp_path / "a", form, exif=exif.tobytes(), quality=98, **chroma)
    found = load_picture(tmp_path / "a")
    assert found.size == (48, 32) and apart(found.pixels / 255, colored()) < LOSSY
    assert see(str(tmp_path / "a"), 1, 1e9)[1:3] == (48, 32)


def test_a_broken_profile_is_a_note(tmp_path: Path) -> None:
    image().save(tmp_path / "a.png", icc_profile=b"no profile at all")
    found = load_picture(tmp_path / "a.png")
    assert apart(found.pixels / 255, colored()) < LOSSLESS and "read as sRGB" in found.notes[0]


def test_a_profile_that_is_srgb_changes_nothing(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image().save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_array_equal(load_picture(tmp_path / "a.png").pixels, quadrants())


def test_colours_under_full_transparency_are_the_mean_of_the_visible(tmp_path: Path) -> None:
    picture = image("RGBA")
    picture.paste((255, 255, 255, 0), (24, 0, 48, 32))
    picture.paste((9, 8, 7, 1), (0, 0, 1, 1))  # hardly visible, and kept
    picture.save(tmp_path / "a.png")
    found = load_picture(tmp_path / "a.png")
    assert found.alpha is not None and found.alpha[0, 40] == 0 and found.alpha[0, 0] == 1
    assert found.pixels[0, 0].tolist() == [9, 8, 7]
    visible = found.pixels[:, :24].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(found.pixels[3, 40], visible, atol=1)


def test_an_opaque_alpha_is_none(tmp_path: Path) -> None:
    image("RGBA").save(tmp_path / "a.png")
    assert load_picture(tmp_path / "a.png").alpha is None


def test_floats_beyond_1_are_scaled_and_said_so(tmp_path: Path) -> None:
    floats(1e6)(tmp_path / "a.tif")
    found = load_picture(tmp_path / "a.tif")
    assert "scaled to fit" in found.notes[0] and found.pixels.max() == 65535


def test_an_image_in_memory_is_treated_alike() -> None:
    picture = image("RGBA")
    picture.putalpha(100)
    found = from_image(picture)
    assert found.alpha is not None and (found.alpha == 100).all()
    assert apart(found.pixels / 255, colored()) < LOSSLESS


# --- what is no picture -----------------------------------------------------------------------------------------------


def picture_bytes(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def deep_bytes(kind: str) -> bytes:
    values = np.random.default_rng(0).integers(0, 65536, (64, 64, 3), dtype=np.uint16)
    if kind == "PNG":
        return bytes(imagecodecs.png_encode(values))
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, photometric="rgb")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"Dear diary", "not a picture"),
        (b"", "not a picture"),
        (picture_bytes("JPEG")[:-900], "broken picture"),
        (picture_bytes("PNG")[:-900], "broken picture"),
        (picture_bytes("PNG")[:60] + b"garbage" * 300, "broken picture"),
        (deep_bytes("PNG")[:-900], "broken picture"),
        (deep_bytes("TIFF")[:-900], "broken picture"),
    ],
    ids=[
        "text",
        "empty",
        "truncated jpeg",
        "truncated png",
        "garbled png",
        "truncated deep png",
        "truncated deep tiff",
    ],
)
def test_a_file_that_is_no_picture_is_an_image_error_that_names_it(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "bad.jpg").write_bytes(data)
    with pytest.raises(ImageError, match=message) as caught:
        load_picture(tmp_path / "bad.jpg")
    assert "bad.jpg" in str(caught.value) and caught.value.hint and not caught.value.transient


def test_a_file_that_changed_since_it_was_planned_is_refused(tmp_path: Path) -> None:
    data = picture_bytes("PNG")
    (tmp_path / "a.png").write_bytes(data)
    load_picture(tmp_path / "a.png", hashlib.sha256(data).hexdigest())
    with pytest.raises(ImageError, match="changed"):
        load_picture(tmp_path / "a.png", hashlib.sha256(b"other").hexdigest())


def test_a_missing_file_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="gone"):
        load_picture(tmp_path / "a.png")


def test_a_member_of_a_tar_file_is_a_file(tmp_path: Path) -> None:
    runs.save_picture(tmp_path / "a.png", seed=1)
    data = (tmp_path / "a.png").read_bytes()
    members = {"n/a.png": data, "empty.png": b"", "text.png": b"no picture", "torn.png": data[:-40]}
    path = tar_files.save(tmp_path / "s.tar", members)
    assert np.array_equal(load_picture(path / "n" / "a.png").pixels, load_picture(tmp_path / "a.png").pixels)
    load_picture(path / "n" / "a.png", hashlib.sha256(data).hexdigest())
    said = {"empty.png": "an empty file", "text.png": "not a picture", "torn.png": "broken picture", "no.png": "gone"}
    for name, message in said.items():
        with pytest.raises(ImageError, match=rf"s\.tar/{name}: .*{message}"):
            load_picture(path / name)
    with pytest.raises(ImageError, match=r"s\.tar/n/a\.png: changed"):
        load_picture(path / "n" / "a.png", "0" * 64)
    with pytest.raises(ImageError, match=rf"s\.tar/n/a\.png: {len(data):,} bytes, and limits\.bytes is"):
        load_picture(path / "n" / "a.png", limits=Limits(bytes=len(data) - 1))
    with pytest.raises(ImageError, match=r"s\.tar/n/a\.png: 32 x 32 pixels"):
        load_picture(path / "n" / "a.png", limits=Limits(pixels=1000))


def test_a_broken_archive_fails_its_pictures_in_words(tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_bytes(b"text")
    (tmp_path / "s.tar.gz").write_bytes(b"text")
    for name, message in (("s.tar", "not a tar file"), ("s.tar.gz", "compressed")):
        with pytest.raises(ImageError, match=f"{name}: {message}") as caught:
            load_picture(tmp_path / name / "a.png")
        assert caught.value.hint


@pytest.mark.parametrize("side", [3500, 5000])  # once, and more than twice as large as it may be
def test_a_bomb_is_refused(tmp_path: Path, side: int) -> None:
    Image.new("1", (side, side)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"pixels.* limits\.pixels.* 10,000,000") as caught:
        load_picture(tmp_path / "a.png", limits=Limits(pixels=10_000_000))
    assert "limits.pixels" in caught.value.hint
    assert load_picture(tmp_path / "a.png", limits=Limits(pixels=side * side)).size == (side, side)


def test_a_file_too_long_is_refused_unread(tmp_path: Path) -> None:
    Image.new("RGB", (50, 50)).save(tmp_path / "a.png")
    size = (tmp_path / "a.png").stat().st_size
    with pytest.raises(ImageError, match=rf"{size} bytes, and limits\.bytes is {size - 1}"):
        load_picture(tmp_path / "a.png", limits=Limits(bytes=size - 1))
    load_picture(tmp_path / "a.png", limits=Limits(bytes=size))


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    """It may have been one when the run was planned."""
    path = tmp_path / "a.png"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(ImageError, match=r"not a picture but a pipe, a device or a|Is a directory"):
        load_picture(path)


def test_no_other_program_is_asked_to_open_a_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nquit\n%%EOF\n")
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "EPS"  # Pillow alone would, and leave the rest to Ghostscript
    with pytest.raises(ImageError, match="not a picture"):
        load_picture(tmp_path / "a.png")


def test_of_a_heic_with_several_pictures_the_main_one_is_used(tmp_path: Path) -> None:
    file = pillow_heif.from_pillow(flat((0, 0, 255)))
    file.add_from_pillow(flat())
    file.save(tmp_path / "a.heic", quality=-1, primary_index=1)
    found = load_picture(tmp_path / "a.heic")
    np.testing.assert_allclose(found.pixels[16, 16], MUTED, atol=3)
    assert found.notes == ("a.heic: 2 frames; the main one is used",)


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.filterwarnings("ignore:Using JPEG reconstruction")
def test_a_jpeg_that_is_packed_as_jpeg_xl_is_upright(tmp_path: Path, turned: int) -> None:
    """libjxl makes an orientation of the codestream's of the one in its EXIF."""
    _formats(more=True)
    exif = Image.Exif()
    exif[0x0112] = turned
    stored = Image.fromarray(np.ascontiguousarray(TURNS[turned](quadrants())))
    stored.save(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    with Image.open(tmp_path / "a.jpg") as file:
        file.save(tmp_path / "a.jxl")
    found = load_picture(tmp_path / "a.jxl")
    assert found.size == (48, 32) == see(str(tmp_path / "a.jxl"), 1, 1e9)[1:3]
    assert apart(found.pixels / 255, colored()) < LOSSY
