"""Files to tensors and back."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nst_batch.errors import ImageError
from nst_batch.transfer.images import METADATA_KEY, encode, load_picture, made_by_us, to_tensor


def test_pixels_are_exact_when_the_size_fits(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    tensor = to_tensor(load_picture(tmp_path / "a.png"), 30, 20)
    assert tensor.shape == (1, 3, 20, 30) and tensor.dtype == torch.float32 and tensor.is_contiguous()
    np.testing.assert_array_equal((tensor[0] * 255).round().permute(1, 2, 0).numpy(), values)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 20), "black")
    image.paste("white", (0, 0, 10, 20))  # white at the left
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter clockwise to be upright: left becomes top
    image.save(tmp_path / "a.png", exif=exif)
    upright = load_picture(tmp_path / "a.png")
    assert upright.size == (20, 40)
    assert upright.getpixel((10, 2)) == (255, 255, 255) and upright.getpixel((10, 37)) == (0, 0, 0)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    suffix = "tif" if mode == "CMYK" else "png"
    Image.new("RGB", (20, 20), (255, 255, 255)).convert("L" if mode == "LA" else mode).convert(mode).save(
        tmp_path / f"a.{suffix}"
    )
    found = load_picture(tmp_path / f"a.{suffix}")
    assert found.mode == "RGB" and found.getpixel((5, 5)) == (255, 255, 255)


def test_transparent_parts_are_laid_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (20, 20), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert load_picture(tmp_path / "a.png").getpixel((5, 5)) == (255, 255, 255)


def picture_bytes(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"Dear diary", "not a picture"),
        (b"", "not a picture"),
        (picture_bytes("JPEG")[:-900], "broken picture"),
        (picture_bytes("PNG")[:-900], "broken picture"),
        (picture_bytes("PNG")[:60] + b"garbage" * 300, "broken picture"),
    ],
    ids=["text", "empty", "truncated jpeg", "truncated png", "garbled png"],
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


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (5000, 5000)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000_000)
    with pytest.raises(ImageError, match="decompression bomb"):
        load_picture(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"])
def test_written_pictures_come_back_with_their_metadata(tmp_path: Path, suffix: str) -> None:
    image = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    image = torch.nn.functional.interpolate(image[:, :, ::8, ::8], size=(24, 32), mode="bilinear")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(encode(image, suffix, {"task": "abc", "loss": 1.5}))
    again = to_tensor(load_picture(path), 32, 24)
    if suffix in (".png", ".tif", ".tiff"):
        assert (again - image).abs().max() <= 0.5 / 255 + 1e-6
    else:  # lossy, WebP with halved colour resolution too
        assert (again - image).abs().mean() < 0.02
    assert made_by_us(path)
    with Image.open(path) as file:
        note = file.info.get(METADATA_KEY) or file.getexif()[0x010E].partition(" ")[2]
    assert json.loads(note) == {"task": "abc", "loss": 1.5}


def test_rounding_is_to_the_nearest_value() -> None:
    image = torch.tensor([0.0, 0.4999 / 255, 0.5001 / 255, 1.0]).view(1, 1, 1, 4).expand(1, 3, 1, 4)
    with Image.open(io.BytesIO(encode(image, ".png", {}))) as file:
        assert [file.getpixel((x, 0)) for x in range(4)] == [(0,) * 3, (0,) * 3, (1,) * 3, (255,) * 3]


def test_other_pictures_are_not_ours(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "theirs.png")
    (tmp_path / "text.png").write_text("nst_batch")
    assert not made_by_us(tmp_path / "theirs.png")
    assert not made_by_us(tmp_path / "text.png")
    assert not made_by_us(tmp_path / "missing.png")
