"""Transfers that share their passes come out as each alone."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from nst_batch.errors import DivergedError
from nst_batch.pipeline_file.presets import PRESETS
from nst_batch.settings import Stop, TransferSettings
from nst_batch.transfer.images import from_image
from nst_batch.transfer.losses import Objective, Terms
from nst_batch.transfer.member import Request, Stylized
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.pictures import Picture, StylePart
from nst_batch.transfer.stylize import Stylizer
from tests.transfer.conftest import pattern, shallow, slow

SMALL = shallow(size=32, steps=24, precision="fp64", octaves=2)


def picture(seed: int, width: int = 48, height: int = 40) -> Picture:
    key = f"batch {seed} {width}x{height}"
    return Picture(key, lambda: from_image(pattern(width, height, seed)), f"{seed}.png")


def request(content: int, style: int, settings: TransferSettings, seed: int = 0) -> Request:
    return Request(picture(content), (StylePart(picture(style, 56, 48)),), settings, seed)


def pairs(settings: TransferSettings) -> list[Request]:
    return [request(1, 7, settings), request(1, 8, settings), request(3, 9, settings, seed=5)]


def alone(stylizer: Stylizer, each: Request) -> Stylized:
    return stylizer.transfer(each.content, each.styles, each.settings, seed=each.seed, start=each.start)


@pytest.mark.parametrize(
    "changes",
    [
        {},  # balance in rounds, guard, smooth metric, octaves
        {"scales": (20,), "stop": Stop(1e-2, 4)},
        slow({"metric": "adaptive", "balance": "none", "warmup": 5, "init": "noise"}),
        slow({"metric": "pixels", "clamp": "closure", "guard": False, "history": 5}),
        {"optimizer": "adam", "scales": (20,), "averaging": 0.9},
        slow({"style_statistic": "w2", "octaves": 1, "color": "content", "steps": 10}),
        slow({"color": "content", "color_method": "luminance", "mean_weight": 1e3, "std_weight": 1e3}),
    ],
    ids=lambda changes: "-".join(changes) or "default",
)
def test_each_picture_is_as_if_it_were_alone(stylizer: Stylizer, changes: dict[str, object]) -> None:
    settings = dataclasses.replace(SMALL, **changes)  # type: ignore[arg-type]
    found = stylizer.transfer_all(pairs(settings))
    for each, result in zip(pairs(settings), found, strict=True):
        expected = alone(stylizer, each)
        assert isinstance(result, Stylized)
        torch.testing.assert_close(result.image, expected.image, atol=2e-3, rtol=0)
        assert result.losses.total == pytest.approx(expected.losses.total, rel=1e-4)
        assert result.evaluations == expected.evaluations and result.scales == expected.scales
        assert result.settled == expected.settled
        assert result.curve[-1] == pytest.approx(expected.curve[-1], rel=1e-4)
        assert (result.restarts, result.taken_back) == (expected.restarts, expected.taken_back)
        if expected.balance is not None:
            assert result.balance is not None
            assert result.balance.ratio == pytest.approx(expected.balance.ratio, rel=1e-4)


@pytest.mark.parametrize("preset", [slow("default"), "pytorch-tutorial-fast"])
def test_in_float32_too_by_the_kernels_of_this_machine(stylizer: Stylizer, preset: str) -> None:
    settings = dataclasses.replace(PRESETS[preset], size=64, steps=30, warmup=0)
    for each, result in zip(pairs(settings), stylizer.transfer_all(pairs(settings)), strict=True):
        assert isinstance(result, Stylized)
        assert result.losses.total == pytest.approx(alone(stylizer, each).losses.total, rel=0.02)


def test_they_share_passes(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    backward = Passes.backward

    def counted(self: Passes, trace: object, pulls: object) -> torch.Tensor:
        gradient = backward(self, trace, pulls)  # type: ignore[arg-type]
        batches.append(len(gradient))
        return gradient

    monkeypatch.setattr(Passes, "backward", counted)
    steps: list[tuple[int, int]] = []
    settings = dataclasses.replace(SMALL, octaves=1)
    stylizer.transfer_all(pairs(settings), lambda step, losses, _: steps.append((step, len(losses))))
    assert batches == [3] * 24
    assert steps == [(step, 3) for step in range(1, 25)]


def test_one_without_a_loss_leaves_the_others_their_pictures(
    stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradient = Objective.gradient

    def lost(self: Objective, passes: Passes, image: torch.Tensor) -> tuple[Terms, torch.Tensor]:
        terms, slopes = gradient(self, passes, image)
        terms.values[0, 1] = math.nan
        return terms, slopes

    expected = [alone(stylizer, each) for each in pairs(SMALL)]
    monkeypatch.setattr(Objective, "gradient", lost)
    found = stylizer.transfer_all(pairs(SMALL))
    assert isinstance(found[1], DivergedError)
    for place in (0, 2):
        other = found[place]
        assert isinstance(other, Stylized)
        torch.testing.assert_close(other.image, expected[place].image, atol=2e-3, rtol=0)


def test_pictures_of_different_sizes_are_refused(stylizer: Stylizer) -> None:
    other = dataclasses.replace(request(1, 7, SMALL), content=picture(4, 40, 48))
    with pytest.raises(ValueError, match="different sizes"):
        stylizer.transfer_all([request(1, 7, SMALL), other])


@pytest.mark.parametrize(("precision", "within"), [("fp16", 0.03), ("bf16", 0.1)])
def test_low_precision_ends_near_float32(stylizer: Stylizer, precision: str, within: float) -> None:
    settings = dataclasses.replace(PRESETS["pytorch-tutorial-fast"], size=64, steps=60, warmup=20, precision="fp32")
    low = dataclasses.replace(settings, precision=precision)  # type: ignore[arg-type]
    exact, found = (alone(stylizer, request(1, 7, each)) for each in (settings, low))
    assert found.losses.total == pytest.approx(exact.losses.total, rel=within)
    assert found.losses.total != exact.losses.total and found.evaluations == exact.evaluations == 60


@pytest.mark.gpu
@pytest.mark.parametrize("preset", ["default", "pytorch-tutorial", "pytorch-tutorial-fast", "gatys-2017", "crowson-w2"])
def test_a_gpu_ends_where_a_cpu_does(stylizer: Stylizer, preset: str) -> None:
    gpu = Stylizer(device="cuda:0")
    settings = dataclasses.replace(PRESETS[preset], size=64, steps=20, scales=(), precision="fp32")
    for each, result in zip(pairs(settings), gpu.transfer_all(pairs(settings)), strict=True):
        assert isinstance(result, Stylized)
        assert result.losses.total == pytest.approx(alone(stylizer, each).losses.total, rel=0.03)
    assert gpu.note == ""


@pytest.mark.gpu
def test_memory_of_a_gpu_stays_flat() -> None:
    gpu, used = Stylizer(device="cuda:0"), []
    for number in range(30):
        gpu.transfer_all([request(number, 7, dataclasses.replace(SMALL, precision="auto"))])
        torch.cuda.synchronize()
        used.append(torch.cuda.memory_reserved())
    assert used[-1] <= 1.05 * used[5]
