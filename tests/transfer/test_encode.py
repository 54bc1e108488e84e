"""Pictures to files of every kind, with Pillow's and tifffile's own readers as judges."""

from __future__ import annotations

import io
import json
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms
from torch import Tensor

from nst_batch.records import OutputFormat
from nst_batch.transfer.encode import encode, srgb_profile, to_image
from nst_batch.transfer.metadata import of_content, read_metadata
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


# --- of the content's own


def photograph(path: Path) -> Path:
    """With all that a camera writes."""
    exif = Image.Exif()
    exif.update(
        {0x010F: "Maker", 0x0110: "Model 7", 0x0132: "2026:11:30 10:00:00", 0x013B: "Ada", 0x8298: "© Ada".encode()}
    )
    exif.update({0x0112: 6, 0x010E: "a dog", 0x0131: "Editor"})
    exif.get_ifd(0x8769).update({0x9003: "2026:11:29 09:30:00", 0x9010: "+01:00", 0xA434: "Lens 50", 0x927C: b"maker"})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 31.0, 12.0), 3: "E", 4: (9.0, 3.0, 0.0)})
    Image.new("RGB", (32, 16)).save(path, exif=exif, dpi=(300, 300))
    return path


@pytest.mark.parametrize(
    ("suffix", "bits"), [(".png", 8), (".jpg", 8), (".webp", 8), (".tif", 8), (".png", 16), (".tif", 16)]
)
@pytest.mark.parametrize("wanted", [(), ("content",), ("gps",), ("content", "gps")])
def test_what_is_asked_for_goes_along(tmp_path: Path, suffix: str, bits: int, wanted: tuple[str, ...]) -> None:
    theirs = of_content(photograph(tmp_path / "a.jpg"), wanted)
    (tmp_path / f"b{suffix}").write_bytes(encode(image(), OutputFormat(suffix, bits), METADATA, None, theirs))
    with Image.open(tmp_path / f"b{suffix}") as file:
        exif, dpi = file.getexif(), file.info.get("dpi")
        of_exif, gps = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    is_flat = suffix == ".tif"  # no writer puts folders of tags into it
    assert read_metadata(tmp_path / f"b{suffix}") == json.loads(json.dumps(METADATA))
    assert 0x0112 not in exif or exif[0x0112] == 1, "pixels are upright"
    assert exif.get(0x0131, "tifffile.py") == "tifffile.py" and 0x927C not in of_exif
    if "content" in wanted:
        assert (exif[0x010F], exif[0x0110], exif[0x013B], exif[0x8298]) == (
            "Maker",
            "Model 7",
            "Ada",
            "Â© Ada",
        )  # UTF-8, as Pillow reads it
        assert exif[0x0132] == "2026:11:30 10:00:00"
        if not is_flat:
            assert (of_exif[0x9003], of_exif[0x9010], of_exif[0xA434]) == ("2026:11:29 09:30:00", "+01:00", "Lens 50")
        if suffix != ".webp":
            assert dpi is not None and round(float(dpi[0])) == 300
    else:
        assert 0x010F not in exif and 0x9003 not in of_exif
    assert is_flat or (2 in gps) == ("gps" in wanted)
    assert not gps or [float(each) for each in gps[2]] == [48.0, 31.0, 12.0]


def test_what_made_a_picture_fits_into_a_jpeg_however_many_styles_it_has(tmp_path: Path) -> None:
    styles = "+".join(f"a painting with a rather long name, number {n}, {'x' * 120}.jpg" for n in range(430))
    for suffix in (".jpg", ".png", ".webp", ".tif"):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(encode(image(), OutputFormat(suffix), {**METADATA, "style": styles}))
        found = read_metadata(path)
        assert found is not None and styles.startswith(found["style"].rstrip("…"))
        assert (found["style"] == styles) == (suffix != ".jpg") and found["task"] == METADATA["task"]
