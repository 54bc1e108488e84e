"""Regions by colour, and which style goes into them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from nst_batch.errors import ImageError
from nst_batch.transfer.masks import Mask, Part, Wanted, lay_out, read_mask

RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 255, 0)


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> Tensor:
    pixels = torch.zeros(20, 40, 3, dtype=torch.uint8)
    pixels[:, :20], pixels[:, 20:] = torch.tensor(left), torch.tensor(right)
    return pixels


def mask(left: tuple[int, int, int], right: tuple[int, int, int], name: str = "a.mask.png") -> Mask:
    return read_mask(halves(left, right), name)


def test_each_colour_is_a_region() -> None:
    found = mask(RED, BLUE)
    assert found.colors == ("#0000ff", "#ff0000")
    torch.testing.assert_close(found.maps.sum(0), torch.ones(20, 40))
    assert found.maps[1, :, :20].all() and not found.maps[1, :, 20:].any()


def test_the_blur_between_regions_is_divided_up() -> None:
    pixels = halves(RED, BLUE)
    pixels[:, 19] = torch.tensor((160, 0, 95))
    pixels[:, 20] = torch.tensor((90, 0, 165))
    pixels[3, 7] = torch.tensor((250, 3, 2))
    found = read_mask(torch.cat([pixels] * 40), "a")  # rare colours are rare in a large mask
    assert len(found.colors) == 4  # a column of 40 is no rarity
    rare = torch.cat([halves(RED, BLUE)] * 30)
    rare[5, 19] = torch.tensor((160, 0, 95))
    assert read_mask(rare, "a").colors == ("#0000ff", "#ff0000")
    assert read_mask(rare, "a").maps[1, 5, 19] == 1


def test_a_photograph_is_no_mask() -> None:
    noise = torch.randint(0, 256, (64, 64, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    with pytest.raises(ImageError, match=r"a\.mask\.png: no region"):
        read_mask(noise, "a.mask.png")


def test_maps_at_another_size_are_shares() -> None:
    small = mask(RED, BLUE).at(2, 5)
    torch.testing.assert_close(small[1], torch.tensor([1.0, 1.0, 0.5, 0.0, 0.0]).expand(2, 5))
    assert mask(RED, BLUE).at(2, 5, region=0).shape == (1, 2, 5)


def test_same_colours_belong_together_and_near_ones_too() -> None:
    found = lay_out(mask(RED, BLUE), [Wanted(mask=mask((2, 1, 250), (251, 2, 0)))])
    assert found.regions == (0, 1)
    assert found.parts == ((Part(0, 1.0, 0),), (Part(0, 1.0, 1),))
    assert not found.notes


def test_a_style_for_a_region_goes_there_alone() -> None:
    found = lay_out(mask(RED, BLUE), [Wanted(2.0, "#ff0000"), Wanted(3.0, "#0000ff")])
    assert found.parts == ((Part(1, 3.0, None),), (Part(0, 2.0, None),))


def test_a_style_that_says_nothing_goes_everywhere() -> None:
    found = lay_out(mask(RED, BLUE), [Wanted(1.0, "#ff0000"), Wanted(3.0)])
    assert found.parts == ((Part(1, 3.0, None),), (Part(0, 1.0, None), Part(1, 3.0, None)))


def test_a_region_that_no_style_has_is_left_to_the_content() -> None:
    found = lay_out(mask(RED, GREEN), [Wanted(mask=mask(RED, BLUE))])
    assert found.regions == (1,)
    assert "no style for #00ff00" in found.notes[0]


def test_masks_on_one_side_only_are_not_used_and_said_so() -> None:
    only = lay_out(mask(RED, BLUE, "dog.mask.png"), [Wanted()])
    assert only.regions == () and only.parts == ((Part(0, 1.0, None),),) and "dog.mask.png" in only.notes[0]
    only = lay_out(None, [Wanted(mask=mask(RED, BLUE, "sky.mask.png"))], "dog.jpg")
    assert only.regions == () and "sky.mask.png is not used: dog.jpg has no mask" in only.notes[0]
    assert lay_out(None, [Wanted(), Wanted(2.0)]).parts == ((Part(0, 1.0, None), Part(1, 2.0, None)),)


@pytest.mark.parametrize(
    ("content", "styles", "message"),
    [
        (None, [Wanted(region="#ff0000")], "no mask beside it"),
        (mask(RED, BLUE), [Wanted(region="#00ff00")], "no region #00ff00; it has #0000ff, #ff0000"),
        (mask(RED, BLUE), [Wanted(mask=mask(GREEN, GREEN))], "none of its colours"),
    ],
)
def test_what_cannot_be_matched_is_named(content: Mask | None, styles: list[Wanted], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        lay_out(content, styles, "dog.jpg")


@pytest.mark.parametrize(("quality", "subsampling"), [(95, 0), (75, 2), (50, 2)])
def test_a_jpeg_has_the_regions_that_were_painted(quality: int, subsampling: int) -> None:
    """JPEG makes a dozen colours of three."""
    painted, buffer = Image.new("RGB", (200, 150), RED), io.BytesIO()
    ImageDraw.Draw(painted).ellipse((40, 30, 160, 120), fill=BLUE)
    ImageDraw.Draw(painted).polygon([(0, 150), (60, 150), (0, 90)], fill=GREEN)
    painted.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    found = read_mask(torch.from_numpy(np.asarray(Image.open(buffer)).copy()), "a.mask.jpg")
    regions = [found.find(f"#{r:02x}{g:02x}{b:02x}") for r, g, b in (RED, BLUE, GREEN)]
    assert len(found.colors) == 3 and sorted(region for region in regions if region is not None) == [0, 1, 2]
    blue = regions[1]
    assert found.maps[blue, 75, 100] == 1 and found.maps[:, 5, 5].tolist() == [float(n == regions[0]) for n in range(3)]
