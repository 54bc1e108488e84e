"""Pictures to files of every kind, with Pillow's and tifffile's own readers as judges."""

from __future__ import annotations

import io
import json
import sys

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms
from torch import Tensor

from nst_batch.errors import OutputError
from nst_batch.records import OutputFormat
from nst_batch.transfer.encode import encode, srgb_profile, to_image
from tests.transfer.colors import Values, apart, quadrants

METADATA = {"task": "abc", "loss": 1.5, "content": "Zoë's cat.jpg"}
KINDS = [
    *((suffix, 8, 95) for suffix in (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")),
    (".webp", 8, 100), (".jpg", 8, 60), (".png", 16, 95), (".tif", 16, 95), (".tiff", 16, 95),
]  # fmt: skip


def image() -> Tensor:
    """The quadrants, each with a slope too fine for 8 bits."""
    values = torch.from_numpy(quadrants() / 255).permute(2, 0, 1)[None]
    return (values + torch.linspace(0, 1 / 255, 48)).clamp(0, 1).float()


def alpha() -> Tensor:
    return torch.linspace(0.2, 1, 48).expand(1, 1, 32, 48)


def read(data: bytes, bits: int, suffix: str) -> Values:
    """HxWx(3 or 4) in [0, 1], by somebody else's reader."""
    if bits == 8:
        with Image.open(io.BytesIO(data)) as file:
            return np.asarray(file) / 255
    found = imagecodecs.png_decode(data) if suffix == ".png" else tifffile.imread(io.BytesIO(data))
    assert found.dtype == np.uint16
    return np.asarray(found) / 65535


@pytest.mark.parametrize("with_alpha", [False, True], ids=["opaque", "alpha"])
@pytest.mark.parametrize(("suffix", "bits", "quality"), KINDS)
def test_every_kind_of_file(suffix: str, bits: int, quality: int, with_alpha: bool) -> None:
    layer = alpha() if with_alpha else None
    data = encode(image(), OutputFormat(suffix, bits, quality), METADATA, layer)
    found = read(data, bits, suffix)
    expected = image()[0].permute(1, 2, 0).numpy()
    jpeg = suffix in (".jpg", ".jpeg")
    assert found.shape == (32, 48, 4 if with_alpha and not jpeg else 3)
    if with_alpha and jpeg:  # laid on white
        share = alpha()[0].permute(1, 2, 0).numpy()
        expected = expected * share + 1 - share
    if jpeg or (suffix == ".webp" and quality < 100):
        if suffix != ".webp" and quality == 95:  # WebP has half as many pixels of colour: edges differ
            assert apart(found[..., :3], expected) < 6
        assert np.abs(found[..., :3] - expected).mean() < 0.03
    else:
        assert np.abs(found[..., :3] - expected).max() <= 0.5 / (2**bits - 1) + 1e-7
    if with_alpha and not jpeg:
        tolerance = 0.5 / (2**bits - 1) + 1e-7
        assert np.abs(found[..., 3] - alpha()[0, 0].numpy()).max() <= tolerance


@pytest.mark.parametrize(("suffix", "bits", "quality"), KINDS)
def test_every_file_has_the_profile_and_the_metadata(suffix: str, bits: int, quality: int) -> None:
    data = encode(image(), OutputFormat(suffix, bits, quality), METADATA)
    if suffix in (".tif", ".tiff"):
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            profile, note = file.pages.first.iccprofile, file.pages.first.description
            assert file.pages.first.bitspersample == bits
    else:
        with Image.open(io.BytesIO(data)) as file:
            file.load()
            profile = file.info["icc_profile"]
            note = file.info["nst_batch"] if suffix == ".png" else file.getexif()[0x010E]
    description = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    assert description.startswith("sRGB")
    assert json.loads(note.removeprefix("nst_batch ")) == METADATA


@pytest.mark.parametrize(("suffix", "bits", "quality"), KINDS)
def test_equal_pictures_are_equal_files(suffix: str, bits: int, quality: int) -> None:
    srgb_profile.cache_clear()
    one = encode(image(), OutputFormat(suffix, bits, quality), METADATA, alpha())
    srgb_profile.cache_clear()
    assert one == encode(image(), OutputFormat(suffix, bits, quality), METADATA, alpha())
    assert srgb_profile()[24:36] == bytes.fromhex("07d000010001000000000000")  # no time of day in it


def test_quality_decides_how_large_a_file_is() -> None:
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for suffix in (".jpg", ".webp"):
        sizes = [len(encode(noise, OutputFormat(suffix, quality=quality), {})) for quality in (30, 80, 99)]
        assert sizes[0] < sizes[1] < sizes[2]


def test_16_bits_where_there_are_8_is_refused() -> None:
    with pytest.raises(ValueError, match=r"16 bits cannot be written to \.jpg"):
        encode(image(), OutputFormat(".jpg", 16), {})


def test_rounding_is_to_the_nearest_value() -> None:
    values = torch.tensor([0.0, 0.4999 / 255, 0.5001 / 255, 1.0]).view(1, 1, 1, 4).expand(1, 3, 1, 4)
    with Image.open(io.BytesIO(encode(values, OutputFormat(), {}))) as file:
        assert [file.getpixel((x, 0)) for x in range(4)] == [(0,) * 3, (0,) * 3, (1,) * 3, (255,) * 3]


def test_an_image_for_notebooks() -> None:
    assert (to_image(image()).mode, to_image(image()).size) == ("RGB", (48, 32))
    assert to_image(image(), alpha()).mode == "RGBA"


def test_without_its_library_16_bits_are_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(OutputError, match="16 bits need imagecodecs") as caught:
        encode(image(), OutputFormat(".png", 16), {})
    assert "pip install imagecodecs" in caught.value.hint
