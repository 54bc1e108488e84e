"""The inputs of one transfer: decoded once, sized, cropped, coloured."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image

from nst_batch.errors import ImageError
from nst_batch.settings import TransferSettings
from nst_batch.sizes import Stage
from nst_batch.transfer.cache import TensorCache
from nst_batch.transfer.images import Decoded, from_image
from nst_batch.transfer.pictures import Picture, Pictures, StylePart, picture_of
from tests import tar_files
from tests.transfer.conftest import pattern

SETTINGS = TransferSettings(size=32)
STAGE = Stage(32, 24, 1, 1.0)


def of(image: Image.Image, name: str, mask: Image.Image | None = None) -> Picture:
    return Picture(name, lambda: from_image(image), name, None if mask is None else of(mask, f"{name} mask"))


def pictures(settings: TransferSettings = SETTINGS, content: Picture | None = None) -> Pictures:
    content = content or of(pattern(64, 48, 1), "content")
    return Pictures(content, (StylePart(of(pattern(40, 80, 2), "style")),), settings, TensorCache())


def test_each_file_is_decoded_once_for_all_scales() -> None:
    decoded: list[int] = []

    def load() -> Decoded:
        decoded.append(1)
        return from_image(pattern(64, 48, 1))

    found = pictures(content=Picture("content", load))
    for width in (24, 32, 64):
        stage = Stage(width, width * 3 // 4, 1, width / 64)
        assert found.content_at(stage).shape == (1, 3, stage.height, stage.width)
    assert found.notes() == ()
    assert len(decoded) == 1


def test_the_style_is_sized_by_its_own_proportions() -> None:
    found = pictures()
    assert found.style_at(found.styles[0], STAGE).shape == (1, 3, 32, 16)
    half = Stage(24, 18, 1, 0.75)
    larger = pictures(dataclasses.replace(SETTINGS, size=64))
    assert larger.style_at(larger.styles[0], half).shape == (1, 3, 48, 24)


def test_regions_are_cropped_as_the_content_is() -> None:
    mask = Image.new("RGB", (100, 40), "red")
    mask.paste("blue", (30, 0, 70, 40))
    settings = dataclasses.replace(SETTINGS, fit="exact")
    found = pictures(settings, of(Image.new("RGB", (200, 80)), "content", mask))
    blue, red = found.regions_at(Stage(32, 32, 1, 1.0), (0, 1))
    torch.testing.assert_close(blue, torch.ones(32, 32))
    assert red.max() == 0
    whole = pictures(SETTINGS, of(Image.new("RGB", (200, 80)), "content", mask))
    assert whole.regions_at(Stage(50, 20, 1, 1.0), (0, 1)).mean((1, 2)).tolist() == pytest.approx([0.4, 0.6], abs=0.01)


def test_transparency_is_the_contents_at_its_size() -> None:
    image = pattern(64, 48, 1)
    image.putalpha(100)
    alpha = pictures(content=of(image, "content")).alpha_at(STAGE)
    assert alpha is not None and alpha.shape == (1, 1, 24, 32)
    assert pictures().alpha_at(STAGE) is None


def test_colours_that_depend_on_the_other_picture_are_cached_by_both() -> None:
    for color in ("content", "style_match"):
        found = pictures(dataclasses.replace(SETTINGS, color=color))
        keys = {found.color_key(found.content, STAGE), found.color_key(found.styles[0].picture, STAGE)}
        assert len(keys) == 2 and () not in keys
    found = pictures()
    assert found.color_key(found.content, STAGE) == ()


def test_too_small_a_picture_is_named() -> None:
    with pytest.raises(ImageError, match=r"content: 32x8 px"):
        pictures().content_at(Stage(32, 8, 1, 1.0))


def test_a_notebooks_inputs_are_known_again_by_what_they_hold(tmp_path: Path) -> None:
    one, same, other = (picture_of(pattern(20, 20, seed)) for seed in (1, 1, 2))
    assert one.key == same.key != other.key
    path = tmp_path / "a.png"
    pattern(20, 20, 1).save(path)
    before = picture_of(path, pattern(20, 20, 3))
    assert before.mask is not None and before.key == picture_of(str(path)).key
    pattern(24, 20, 1).save(path)
    assert picture_of(path).key != before.key


def test_a_notebook_may_name_a_member_of_a_tar_file(tmp_path: Path) -> None:
    member = tar_files.save(tmp_path / "s.tar", {"a.png": tar_files.png(1, 24)}) / "a.png"
    before = picture_of(member)
    assert before.load().size == (24, 24) and before.key == picture_of(str(member)).key
    tar_files.save(tmp_path / "s.tar", {"a.png": tar_files.png(2, 24)})
    assert picture_of(member).key != before.key
