"""The size rule."""

from __future__ import annotations

import random
from typing import Literal

import pytest

from nst_batch.records import TransferSettings
from nst_batch.sizes import target_size


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
    ],
)
def test_the_rule(size: int, fit: Literal["long", "short", "native"], upscale: bool, expected: tuple[int, int]) -> None:
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
