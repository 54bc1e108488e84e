"""What a file is, by its name, or by its first bytes where its name does not say."""

from __future__ import annotations

import os
import re

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".dib"),
    *(".heic", ".heics", ".heif", ".heifs", ".hif", ".avif", ".avifs", ".jxl"),
    *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".qoi"),
    *(".tga", ".icb", ".vda", ".vst", ".psd", ".dds", ".sgi", ".rgb", ".rgba", ".bw", ".ras", ".pcx", ".dcx", ".pcd"),
    *(".ico", ".icns", ".cur", ".fits", ".fit", ".blp", ".fli", ".flc", ".ftc", ".ftu", ".gbr", ".iim", ".im"),
    *(".msp", ".pxr", ".xbm", ".xpm"),
)
"""Endings (lower case) of every format that is decoded; ``tests`` hold them against Pillow and its plugins."""

_IMAGES = frozenset(IMAGE_SUFFIXES)
_MASK = ".mask"
"""``photo.mask.png`` beside ``photo.jpg`` says which regions of it are which, by colour. It is no picture to render."""

NOT_OURS = frozenset({
    "@eaDir", "@Recycle", "@Recently-Snapshot", "#recycle", "#snapshot", ".@__thumb", "@__thumb",  # NAS
    ".thumbnails", ".thumb", ".picasaoriginals", ".dtrash", ".darktable", ".Trash", ".Trashes", "$RECYCLE.BIN",
    "__MACOSX", ".AppleDouble", ".Spotlight-V100", "lost+found", ".ipynb_checkpoints",
})  # fmt: skip
"""Folders that programs, NAS devices and systems keep beside pictures: thumbnails, bins, and halves of files."""

_HOUSEKEEPING = frozenset({
    "thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store", ".localized", "picasa.ini", ".picasa.ini",
})  # fmt: skip
_NO_ENDING = re.compile(rf"\.\d+|(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})[^a-z0-9~].*")
"""Endings that say nothing: numbers, and a picture's with more behind it, as in ``photo.jpg_large`` or ``.png!d``."""

_MAGIC = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF.{4}WEBP|II[*+]\0|MM\0[*+]|BM.{4}\0{4}"
    rb"|.{4}ftyp(?:avif|avis|hei[cxms]|hev[cx]|mif1|msf1)|\xff\x0a|\0\0\0\x0cJXL |\0\0\0\x0cjP  |\xff\x4f\xff\x51"
    rb"|qoif|8BPS|P[1-6]\s",
    re.DOTALL,
)


def ending(name: str) -> str:
    """``.jpg`` of ``Photo.JPG``; empty where a name has none."""
    return os.path.splitext(name)[1].lower()


def is_image(name: str) -> bool:
    """Whether it ends as a picture does; masks do, and hidden files."""
    return ending(name) in _IMAGES


def is_mask(name: str) -> bool:
    """Whether it is the mask of a picture, by its name: ``dog.mask.png``, ``dog.Mask.JPG``."""
    return is_image(name) and os.path.splitext(name)[0].lower().endswith(_MASK)


def mask_key(name: str) -> str:
    """What a picture's name and its mask's have in common: ``dog`` of ``dog.jpg`` and of ``dog.mask.png``."""
    stem = os.path.splitext(name)[0]
    return stem[: -len(_MASK)] if is_mask(name) else stem


def is_picture(name: str) -> bool:
    """Whether it is a picture to render, by its name: hidden files (``._x.jpg`` of macOS) and masks are not."""
    lower = name.lower()
    head, dot, last = lower.rpartition(".")
    return dot + last in _IMAGES and name[0] != "." and not head.endswith(_MASK)


def why_not(name: str) -> str:
    """Why a file that is no picture by its name is none, in words that follow a number; empty where its name does not
    say, and its bytes decide (``looks_like_a_picture``)."""
    if name.startswith("._"):
        return "of macOS (._*)"
    if name.lower() in _HOUSEKEEPING:
        return name
    if is_mask(name):
        return "masking no picture"
    if name.startswith("."):
        return "hidden"
    last = ending(name)
    return "" if not last or _NO_ENDING.fullmatch(last) else last


def folder_not_ours(folders: str) -> str:
    """The first of the folders in a path that is not the user's own; empty where all are."""
    return next((each for each in folders.split("/") if each in NOT_OURS), "")


def looks_like_a_picture(path: str) -> bool:
    """By its first bytes."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
            return _MAGIC.match(file.read(16)) is not None
    except (OSError, ValueError):
        return False
