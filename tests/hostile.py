"""Files that nobody wants in a folder of pictures, each with what is to become of it."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

GOOD = "good"  # it is rendered
LEFT = "left"  # no picture by name or kind: nothing is planned for it, and that is said


@dataclass(frozen=True)
class Hostile:
    """A file's name, how it is made, and what becomes of it: GOOD, LEFT, or a part of the reason why not."""

    name: str
    make: Callable[[Path], object]
    fate: str


def picture(mode: str = "RGB", size: tuple[int, int] = (24, 16), format: str = "PNG", **options: object) -> bytes:
    """A real picture's bytes."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(7).integers(0, 256, (*size[::-1], channels), dtype=np.uint8)
    image = Image.frombytes(mode, size, values.tobytes()) if mode not in ("1", "P", "I;16", "F") else (
        Image.fromarray(values[..., 0]).convert(mode))  # fmt: skip
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    """A chunk of a PNG file."""
    found = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", found)


def png(width: int, height: int, *chunks: bytes, depth: int = 8, color: int = 2) -> bytes:
    """A PNG file with whatever header and chunks."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def pixels(width: int, height: int) -> bytes:
    """Black pixels of a PNG, compressed."""
    return chunk(b"IDAT", zlib.compress(bytes(height * (3 * width + 1))))


def flipped(data: bytes, place: float) -> bytes:
    """With 16 bytes turned over."""
    start = int(len(data) * place)
    return data[:start] + bytes(255 - b for b in data[start : start + 16]) + data[start + 16 :]


def _bytes(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def _bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)


def _gif_frames(count: int) -> bytes:
    stream = io.BytesIO()
    frames = [Image.new("RGB", (16, 16), (n % 256, 0, 0)) for n in range(count)]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    return stream.getvalue()


def _tiff_loop() -> bytes:
    """Its second page says that the first one follows."""
    entries = b"".join(
        struct.pack("<HHII", tag, 3 if tag != 273 else 4, 1, value)
        for tag, value in (
            (256, 16),
            (257, 16),
            (258, 8),
            (259, 1),
            (262, 1),
            (273, 8),
            (277, 1),
            (278, 16),
            (279, 256),
        )
    )
    return b"II*\0" + struct.pack("<I", 8 + 256) + bytes(256) + struct.pack("<H", 9) + entries + struct.pack("<I", 264)


def _socket(path: Path) -> None:
    bound = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    try:
        os.chdir(path.parent)  # the name of a socket may have no more than 107 bytes
        bound.bind(path.name)
    finally:
        os.chdir(here)
        bound.close()


def _link_loop(path: Path) -> None:
    path.symlink_to(path.name)


def _sparse(size: int) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(size)

    return make


GRAY_ICC_BYTES = b"not a profile at all" * 10
JPEG, PNG, WEBP = picture(format="JPEG"), picture(), picture(format="WEBP")
TIFF, GIF, BMP = picture(format="TIFF"), picture("P", format="GIF"), picture(format="BMP")
BROKEN, NO_PICTURE, TOO_MANY, TOO_SMALL = "broken picture", "not a picture", "pixels", "a side needs 16 px"

KINDS = (
    # Not what the name says.
    Hostile("empty.png", _bytes(b""), NO_PICTURE),
    Hostile("zero.jpg", _bytes(bytes(5000)), NO_PICTURE),
    Hostile("text.jpg", _bytes(b"I am no picture\n"), NO_PICTURE),
    Hostile("html.jpg", _bytes(b"<!doctype html><title>404</title>"), NO_PICTURE),
    Hostile("svg.png", _bytes(b'<svg xmlns="http://www.w3.org/2000/svg"/>'), NO_PICTURE),
    Hostile("zip.png", _bytes(b"PK\x03\x04" + bytes(100)), NO_PICTURE),
    Hostile("elf.png", _bytes(b"\x7fELF" + bytes(100)), NO_PICTURE),
    Hostile("pdf.jpg", _bytes(b"%PDF-1.4\n%%EOF\n"), NO_PICTURE),
    Hostile("script.jpg", _bytes(b"#!/bin/sh\ntouch /tmp/nst-was-here\n"), NO_PICTURE),
    Hostile("postscript.jpg", _bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nquit\n%%EOF\n"), NO_PICTURE),
    Hostile("pickle.png", _bytes(b"\x80\x04\x95" + bytes(50)), NO_PICTURE),
    Hostile("magic-only.png", _bytes(PNG[:8]), NO_PICTURE),
    Hostile("magic-only.jpg", _bytes(JPEG[:3]), NO_PICTURE),
    Hostile("random.webp", _bytes(np.random.default_rng(1).bytes(3000)), NO_PICTURE),
    # The wrong ending, and all the same a picture.
    Hostile("jpeg-called.png", _bytes(JPEG), GOOD),
    Hostile("webp-called.jpg", _bytes(WEBP), GOOD),
    Hostile("CAPITALS.JPG", _bytes(JPEG), GOOD),
    # Truncated.
    Hostile("half.png", _bytes(PNG[: len(PNG) // 2]), BROKEN),
    Hostile("half.jpg", _bytes(JPEG[: len(JPEG) // 2]), BROKEN),
    Hostile("half.webp", _bytes(WEBP[: len(WEBP) // 2]), ""),
    Hostile("half.tif", _bytes(TIFF[: len(TIFF) // 2]), ""),
    Hostile("half.gif", _bytes(GIF[: len(GIF) // 2]), ""),
    Hostile("half.bmp", _bytes(BMP[: len(BMP) // 2]), BROKEN),
    Hostile("header-only.png", _bytes(PNG[:33]), ""),
    Hostile("header-only.bmp", _bytes(BMP[:54]), BROKEN),
    # Damaged.
    Hostile("flipped-header.png", _bytes(flipped(PNG, 0.01)), ""),
    Hostile("flipped-data.png", _bytes(flipped(PNG, 0.5)), BROKEN),
    Hostile("bad-checksum.png", _bytes(png(16, 16, chunk(b"IDAT", zlib.compress(bytes(16 * 49)), checksum=1))), GOOD),
    Hostile("no-data.png", _bytes(png(16, 16)), ""),
    Hostile("too-little-data.png", _bytes(png(64, 64, pixels(8, 8))), ""),
    Hostile("no-width.png", _bytes(png(0, 8, pixels(1, 8))), ""),
    Hostile("negative.bmp", _bytes(_bmp(-5, 5)), ""),
    Hostile("loop.tif", _bytes(_tiff_loop()), ""),
    Hostile("odd-color.png", _bytes(png(16, 16, pixels(16, 16), color=5)), ""),
    Hostile("odd-depth.png", _bytes(png(16, 16, pixels(16, 16), depth=7)), ""),
    # Bombs.
    Hostile("bomb.png", _bytes(png(60000, 60000, pixels(64, 64))), TOO_MANY),
    Hostile("bomb-of-one-line.png", _bytes(png(2**31 - 1, 1, pixels(64, 1))), TOO_MANY),
    Hostile("bomb.bmp", _bytes(_bmp(50000, 50000)), TOO_MANY),
    Hostile("bomb.gif", _bytes(b"GIF89a" + struct.pack("<HH", 65535, 65535) + GIF[10:]), TOO_MANY),
    Hostile("text-bomb.png", _bytes(
        png(16, 16, chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80 << 20))), pixels(16, 16))), ""),
    Hostile("profile-bomb.png", _bytes(
        png(16, 16, chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(80 << 20))), pixels(16, 16))), ""),
    Hostile("sparse.png", _sparse(3 << 30), "bytes"),
    # Odd, and good.
    Hostile("one-pixel.png", _bytes(picture(size=(1, 1))), TOO_SMALL),
    Hostile("a-line.png", _bytes(picture(size=(300, 1))), TOO_SMALL),
    Hostile("a-column.jpg", _bytes(picture(size=(1, 300), format="JPEG")), TOO_SMALL),
    Hostile("transparent.png", _bytes(picture("RGBA")), GOOD),
    Hostile("invisible.png", _bytes(png(16, 16, chunk(b"IDAT", zlib.compress(bytes(16 * 65))), color=6)), GOOD),
    Hostile("bits.png", _bytes(picture("1")), GOOD),
    Hostile("cmyk.jpg", _bytes(picture("CMYK", format="JPEG")), GOOD),
    Hostile("odd-profile.png", _bytes(picture(icc_profile=GRAY_ICC_BYTES)), GOOD),
    Hostile("odd-exif.jpg", _bytes(picture(format="JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")), GOOD),
    Hostile("trailing.jpg", _bytes(JPEG + os.urandom(5000)), GOOD),
    Hostile("frames.gif", _bytes(_gif_frames(200)), GOOD),
    Hostile("float.tif", _bytes(picture("F", format="TIFF")), GOOD),
    # No files.
    Hostile("folder.jpg", lambda path: path.mkdir(), LEFT),
    Hostile("fifo.jpg", os.mkfifo, LEFT),
    Hostile("socket.jpg", _socket, LEFT),
    Hostile("dangling.jpg", lambda path: path.symlink_to("nowhere"), LEFT),
    Hostile("itself.jpg", _link_loop, LEFT),
    Hostile("endless.jpg", lambda path: path.symlink_to("/dev/zero"), LEFT),
    Hostile("random-device.png", lambda path: path.symlink_to("/dev/urandom"), LEFT),
    Hostile("terminal.png", lambda path: path.symlink_to("/dev/tty"), LEFT),
    Hostile("to-a-folder.png", lambda path: path.symlink_to("."), LEFT),
    Hostile(".hidden.jpg", _bytes(JPEG), LEFT),
    Hostile("._resource.jpg", _bytes(bytes(100)), LEFT),
    Hostile("notes.txt", _bytes(b"to do"), LEFT),
    Hostile("no-ending", _bytes(JPEG), GOOD),
    Hostile("no-picture", _bytes(b"Dear diary"), LEFT),
    # Names.
    Hostile("with space.png", _bytes(PNG), GOOD),
    Hostile("quote'and\".png", _bytes(PNG), GOOD),
    Hostile("new\nline.png", _bytes(PNG), GOOD),
    Hostile("tab\tand\x1b[31mescape.png", _bytes(PNG), GOOD),
    Hostile("back\\slash.png", _bytes(PNG), GOOD),
    Hostile("..dots...png", _bytes(PNG), LEFT),
    Hostile("a..b.png", _bytes(PNG), GOOD),
    Hostile("-rf.png", _bytes(PNG), GOOD),
    Hostile("--help.png", _bytes(PNG), GOOD),
    Hostile("$HOME`id`;&|.png", _bytes(PNG), GOOD),
    Hostile("*?[a].png", _bytes(PNG), GOOD),
    Hostile("{content}{x!r}%s%n.png", _bytes(PNG), GOOD),
    Hostile("émoji😀日本.png", _bytes(PNG), GOOD),
    Hostile("right\u202eleft.png", _bytes(PNG), GOOD),
    Hostile(os.fsdecode(b"latin\xe9\xff.png"), _bytes(PNG), GOOD),
    Hostile("CON.png", _bytes(PNG), GOOD),
    Hostile("x" * 251 + ".png", _bytes(PNG), GOOD),
    Hostile("日" * 83 + ".jpg", _bytes(JPEG), GOOD),
)  # fmt: skip


def make_all(folder: Path) -> None:
    """Every kind, in one folder, which is made."""
    folder.mkdir(parents=True)
    for each in KINDS:
        each.make(folder / each.name)
