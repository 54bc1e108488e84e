"""What a file is, by its name or its first bytes."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from nst_batch.pipeline_file.file_kinds import (
    IMAGE_SUFFIXES,
    is_mask,
    is_picture,
    looks_like_a_picture,
    mask_key,
    why_not,
)


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.JPEG", "a.jfif", "a.jpe", "a.heic", "a.HEIC", "a.avif", "a.jxl", "a.jp2", "v1.2.png"]
)
def test_whatever_is_decoded_is_a_picture(name: str) -> None:
    assert is_picture(name) and not is_mask(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a.txt", ".txt"),
        ("a.dng", ".dng"),
        ("A.CR3", ".cr3"),
        ("a.jpg~", ".jpg~"),
        (".a.jpg", "hidden"),
        ("._a.jpg", "of macOS (._*)"),
        ("Thumbs.db", "Thumbs.db"),
        ("dog.mask.JPG", "masking no picture"),
        ("jpg", ""),
        ("IMG_0001", ""),
        ("a.jpg_large", ""),
        ("a.JPG!d", ""),
        ("frame.0001", ""),
    ],
)
def test_what_is_none_says_why_or_leaves_it_to_its_bytes(name: str, why: str) -> None:
    assert not is_picture(name) and why_not(name) == why


def test_masks_are_pictures_of_any_format_with_mask_before_the_ending() -> None:
    for name in ("dog.mask.png", "dog.mask.PNG", "dog.mask.jpg", "dog.Mask.JPG"):
        assert is_mask(name) and not is_picture(name) and mask_key(name) == mask_key("dog.jpeg") == "dog"
    assert not is_mask("mask.png") and is_picture("mask.png") and not is_mask("dog.mask.txt")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM"])
def test_first_bytes_tell_pictures_from_others(tmp_path: Path, form: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, form)
    (tmp_path / "file").write_bytes(buffer.getvalue())
    assert looks_like_a_picture(str(tmp_path / "file"))


@pytest.mark.parametrize("data", [b"", b"Dear diary", b"<html>", b"BMW is a brand", b"%PDF-1.7", b"PK\3\4", b"\0" * 16])
def test_first_bytes_of_others_do_not(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    assert not looks_like_a_picture(str(tmp_path / "file")) and not looks_like_a_picture(str(tmp_path / "none"))


def test_endings_are_those_of_every_format_that_is_decoded() -> None:
    Image.init()
    not_decoded = {"EPS", "WMF", "GRIB", "HDF5", "BUFR", "MPEG"}  # by Pillow itself
    theirs = {
        end for end, form in Image.registered_extensions().items() if form in Image.OPEN and form not in not_decoded
    }
    assert theirs <= set(IMAGE_SUFFIXES)
    assert set(IMAGE_SUFFIXES) - theirs <= {".mpo", ".heic", ".heics", ".heif", ".heifs", ".hif", ".jxl"}
