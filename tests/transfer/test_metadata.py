"""What made a picture is read back from the picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from nst_batch.records import OutputFormat
from nst_batch.transfer.encode import encode
from nst_batch.transfer.metadata import made_by_us, read_metadata
from tests import tar_files


@pytest.mark.parametrize(
    ("suffix", "bits"), [(".png", 8), (".png", 16), (".jpg", 8), (".webp", 8), (".tif", 8), (".tif", 16)]
)
def test_our_pictures_say_what_made_them(tmp_path: Path, suffix: str, bits: int) -> None:
    path, metadata = tmp_path / f"a{suffix}", {"task": "abc", "settings": {"steps": 3, "stop": None}}
    path.write_bytes(encode(torch.rand(1, 3, 20, 20), OutputFormat(suffix, bits), metadata))
    assert read_metadata(path) == metadata
    assert made_by_us(path)


def test_other_pictures_are_not_ours(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "theirs.png")
    exif = Image.Exif()
    exif[0x010E] = "nst_batch is a fine program"
    Image.new("RGB", (20, 20)).save(tmp_path / "talk.jpg", exif=exif)
    (tmp_path / "text.png").write_text("nst_batch")
    for name in ("theirs.png", "talk.jpg", "text.png", "missing.png"):
        assert read_metadata(tmp_path / name) is None
        assert not made_by_us(tmp_path / name)


def test_a_member_of_a_tar_file_says_what_made_it(tmp_path: Path) -> None:
    members = {"ours.png": tar_files.png(1), "theirs.png": tar_files.png(1, ours=False), "text.png": b"text"}
    path = tar_files.save(tmp_path / "s.tar", members)
    assert read_metadata(path / "ours.png") == {"task": f"{1:032x}"}
    assert [made_by_us(path / name) for name in (*members, "none.png")] == [True, False, False, False]
