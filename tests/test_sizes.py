"""The size rule."""

from __future__ import annotations

import random
from typing import Literal

import pytest

from nst_batch.settings import TransferSettings
from nst_batch.sizes import Stage, stages, style_size, target_size


@pytest.mark.parametrize(
    ("size", "fit", "upscale", "expected"),
    [
        (512, "long", False, (512, 341)),
        (512, "short", False, (768, 512)),
        (512, "native", False, (1500, 1000)),
        (512, "native", True, (1500, 1000)),
        (3000, "long", False, (1500, 1000)),
        (3000, "long", True, (3000, 2000)),
        (3000, "short", True, (4500, 3000)),
        (1500, "long", False, (1500, 1000)),
        (1000, "short", False, (1500, 1000)),
        (600, "area", False, (735, 490)),
        (3000, "area", False, (1500, 1000)),
        (3000, "area", True, (3674, 2449)),
    ],
)
def test_the_rule(
    size: int, fit: Literal["long", "short", "area", "native"], upscale: bool, expected: tuple[int, int]
) -> None:
    settings = TransferSettings(size=size, fit=fit, upscale=upscale)
    assert target_size(1500, 1000, settings) == expected
    assert target_size(1000, 1500, settings) == expected[::-1]


def test_no_side_vanishes() -> None:
    assert target_size(30000, 10, TransferSettings(size=16)) == (16, 1)


@pytest.mark.parametrize("fit", ["long", "short"])
@pytest.mark.parametrize("upscale", [False, True])
def test_proportions_stay_and_nothing_grows_unasked(fit: Literal["long", "short"], upscale: bool) -> None:
    numbers = random.Random(0)
    for _ in range(500):
        width, height, size = numbers.randint(16, 9000), numbers.randint(16, 9000), numbers.randint(16, 9000)
        new = target_size(width, height, TransferSettings(size=size, fit=fit, upscale=upscale))
        named = max if fit == "long" else min
        if upscale or named(width, height) > size:
            assert named(new) == size
        else:
            assert new == (width, height)
        scale = named(new) / named(width, height)
        assert abs(new[0] - width * scale) <= 0.5 and abs(new[1] - height * scale) <= 0.5


def test_exact_is_exact() -> None:
    assert target_size(1500, 1000, TransferSettings(size=300, fit="exact")) == (300, 300)
    assert target_size(15, 10, TransferSettings(size=300, height=200, fit="exact")) == (300, 200)


def test_the_style_has_a_scale_of_its_own() -> None:
    assert style_size(1500, 1000, TransferSettings(size=600)) == (600, 400)
    assert style_size(1500, 1000, TransferSettings(size=600, style_scale=0.5)) == (300, 200)
    assert style_size(1500, 1000, TransferSettings(size=600), factor=0.25) == (150, 100)
    assert style_size(1500, 1000, TransferSettings(size=600, style_scale=9)) == (1500, 1000)  # never enlarged unasked
    assert style_size(1500, 1000, TransferSettings(size=600, style_scale=9, upscale=True)) == (5400, 3600)
    width, height = style_size(1500, 1000, TransferSettings(size=300, height=200, fit="exact"))
    assert (width, height) == (300, 200)  # as many pixels as the content, and not cropped


def test_scales_lead_up_to_the_size() -> None:
    settings = TransferSettings(size=800, scales=(512, 200), steps=740, scale_shares=(120, 400, 220))
    assert stages(1600, 1200, settings) == (
        Stage(200, 150, 120, 0.25), Stage(512, 384, 400, 0.64), Stage(800, 600, 220, 1.0)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (96, [96]),
        (150, [150]),
        (161, [128, 161]),
        (512, [128, 256, 512]),
        (600, [128, 256, 600]),
        (2048, [128, 256, 512, 1024, 2048]),
    ],
)
def test_auto_doubles_so_that_previews_begin_as_finals_do(size: int, expected: list[int]) -> None:
    assert [stage.width for stage in stages(4000, 3000, TransferSettings(size=size, scales="auto"))] == expected


def test_scales_that_the_picture_does_not_reach_are_passed_over() -> None:
    settings = TransferSettings(size=800, scales=(512,), steps=740, scale_shares=(520, 220))
    assert stages(400, 300, settings) == (Stage(400, 300, 740, 1.0),)
    thin = TransferSettings(size=1000, scales=(100, 500))
    assert [stage.width for stage in stages(1000, 50, thin)] == [500, 1000]  # 100 x 5 px is too thin for the network
    native = TransferSettings(fit="native", scales=(300,))
    assert [stage[:2] for stage in stages(600, 900, native)] == [(200, 300), (600, 900)]
    short = TransferSettings(size=600, fit="short", scales=(300,))
    assert [stage[:2] for stage in stages(1200, 900, short)] == [(400, 300), (800, 600)]


def test_steps_are_shared_out_exactly() -> None:
    numbers = random.Random(1)
    for _ in range(500):
        steps = numbers.randint(1, 400)
        shares = tuple(numbers.choice((0.01, 1.0, 3.0, 100.0)) for _ in range(numbers.randint(0, 4)))
        settings = TransferSettings(size=1024, scales="auto", steps=steps, scale_shares=shares)
        counts = [stage.steps for stage in stages(2000, 1500, settings)]
        assert sum(counts) == steps and min(counts) >= 1
    crowson = TransferSettings(size=512, scales=(128, 181, 256, 362), steps=3000, scale_shares=(2, 1))
    assert [stage.steps for stage in stages(512, 512, crowson)] == [1000, 500, 500, 500, 500]
