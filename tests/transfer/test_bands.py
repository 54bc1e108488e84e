"""Devices that share a picture find what one alone finds. Two workers on a CPU are two devices."""

from __future__ import annotations

import itertools

import pytest
import torch

from nst_batch.settings import TransferSettings
from nst_batch.transfer.bands import ALIGNED, LEAST, bands_of, margin, receptive_field, side_by_side
from nst_batch.transfer.losses import Objective, Targets
from nst_batch.transfer.octaves import style_features
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.seeing import Asked, look
from nst_batch.transfer.statistics import guides_at, moments
from nst_batch.transfer.untrained import untrained_state
from nst_batch.transfer.vgg import VGG19, Network
from tests.transfer.conftest import pixels, slow

TAPS = ("conv1_1", "relu3_1")  # not deep, so that pictures need not be large


@pytest.mark.parametrize("tap", ["conv1_1", "conv1_2", "conv2_1", "relu3_1", "conv4_2", "relu5_1"])
def test_the_receptive_field_is_what_features_are_made_of(tap: str) -> None:
    """Of one feature in the middle, by autograd."""
    vgg = VGG19(untrained_state(), Network("avg")).double()
    image = torch.rand(1, 3, 256, 16, dtype=torch.float64, requires_grad=True)
    features = vgg(image, [tap.replace("relu", "conv")])[tap.replace("relu", "conv")]
    (gradient,) = torch.autograd.grad(features[0, :, features.shape[2] // 2].sum(), image)
    rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == receptive_field([tap, "conv1_1"])


@pytest.mark.parametrize(("height", "most"), [(2048, 2), (2047, 3), (5000, 8), (700, 4), (90, 3), (513, 2)])
def test_bands_cover_the_picture_and_see_enough_around_them(height: int, most: int) -> None:
    found = bands_of(height, TAPS, most)
    assert 1 <= len(found) <= most
    assert found[0].own[0] == found[0].seen[0] == 0 and found[-1].own[1] == found[-1].seen[1] == height
    for upper, lower in itertools.pairwise(found):
        assert upper.own[1] == lower.own[0] and lower.own[0] % ALIGNED == lower.seen[0] % ALIGNED == 0
    if len(found) > 1:
        assert min(band.own[1] - band.own[0] for band in found) >= (LEAST - 1) * margin(TAPS)
        assert all(band.seen[1] == min(band.own[1] + margin(TAPS), height) for band in found)
    assert bands_of(height, TAPS, 1) == bands_of(height, ["relu5_1"], 1)
    assert margin(["relu5_1"]) == 192 and receptive_field(["relu5_1"]) == 156


def objective(passes: Passes, settings: TransferSettings, regions: bool) -> Objective:
    content = pixels(40, 700, 2).to(passes.mean)
    style = {
        name: moments(f, means=True)
        for name, f in style_features(passes, pixels(60, 80, 3).to(content), settings).items()
    }
    targets = passes(content, settings.content_layers)
    if not regions:
        return Objective(Targets(targets, style), settings)
    rows, columns = torch.arange(700.0)[:, None], torch.arange(40.0)
    left = (rows / 9 + columns < 60).to(content)
    maps = torch.stack([left, 1 - left])
    guides = {name: guides_at(maps, 700 >> halved, 40 >> halved) for name, halved in (("conv1_1", 0), ("relu3_1", 2))}
    style = {
        name: type(each)(each.second.repeat(1, 2, 1, 1), each.means.repeat(1, 2, 1)) for name, each in style.items()
    }
    return Objective(Targets(targets, style, {}, guides, (0.5, 0.5)), settings)


@pytest.mark.parametrize("strip", [None, slow(100)])
@pytest.mark.parametrize(
    "more",
    [{"octaves": 2}, {"tv_weight": 3.0}, {"style_statistic": "w2"}, {"mean_weight": 5.0, "regions": True}],
    ids=str,
)
def test_two_devices_find_the_same_gradient(more: dict[str, object], strip: int | None) -> None:
    passes = Passes(VGG19(untrained_state(), Network("max", padding="reflect")).double())
    given = {"octaves": 1, "tv_weight": 0.0, **more}
    regions = bool(given.pop("regions", False))
    settings = TransferSettings(
        content_layers=("relu2_2",),
        style_layers=TAPS,
        style_weight=100.0,
        **given,  # type: ignore[arg-type]
    )
    goal, image = objective(passes, settings, regions), pixels(40, 700, 1).double()
    assert len(bands_of(700, TAPS, 2)) == 2
    loss, gradient = goal.gradient(passes, image)
    found_loss, found = goal.gradient(passes.across([passes]).in_strips(strip), image)
    torch.testing.assert_close(found_loss.values, loss.values, rtol=1e-10, atol=0)
    steep = 1e-8 if settings.style_statistic == "w2" else 1e-10  # roots of eigenvalues
    assert (found - gradient).norm() <= steep * gradient.norm()


def test_in_float32_nothing_can_be_seen_where_bands_meet() -> None:
    passes = Passes(VGG19(untrained_state(), Network("max")))
    settings = TransferSettings(
        octaves=1, style_weight=1000.0, tv_weight=0.0, style_layers=TAPS, content_layers=("conv2_2",)
    )
    goal, image = objective(passes, settings, regions=False), pixels(40, 700, 1)
    _, gradient = goal.gradient(passes, image)
    _, found = goal.gradient(passes.across([passes, passes]), image)
    assert (found - gradient).norm() <= 1e-5 * gradient.norm()
    error = (found - gradient).abs().amax((0, 1, 3))
    (first, second) = bands_of(700, TAPS, 2)
    seam = first.own[1]
    assert second.own[0] == seam and error[seam - 2 : seam + 2].max() <= 2 * error.max()


def test_what_is_found_does_not_depend_on_how_many_looked() -> None:
    passes = Passes(VGG19(untrained_state()).double())
    image = pixels(33, 1100, 4).double()
    asked = Asked(
        {tap: tap for tap in TAPS}, {}, True, {"relu2_2": passes(pixels(33, 1100, 5).double(), ["relu2_2"])["relu2_2"]}
    )
    whole = look(passes, image, asked)
    for others in (1, 2, 3):
        found = look(passes.across([passes] * others), image, asked)
        for tap in TAPS:
            torch.testing.assert_close(found.moments[tap].second, whole.moments[tap].second, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(found.moments[tap].means, whole.moments[tap].means, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found.distances, whole.distances, rtol=1e-12, atol=0)
        assert found.positions == whole.positions


def test_an_error_on_one_device_is_an_error() -> None:
    def work(number: int) -> int:
        if number == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return number

    with pytest.raises(torch.OutOfMemoryError):
        side_by_side(work, 3)
    assert side_by_side(lambda number: number * number, 4) == [0, 1, 4, 9]


@pytest.mark.gpu
def test_two_gpus_find_what_one_finds() -> None:
    """The same one twice, where there is only one."""
    names = ["cuda:0", f"cuda:{torch.cuda.device_count() - 1}"]
    one, other = (Passes(VGG19(untrained_state(), Network("avg")).to(name)) for name in names)
    settings = TransferSettings(
        octaves=1, style_weight=1000.0, tv_weight=0.0, style_layers=TAPS, content_layers=("conv2_2",)
    )
    goal, image = objective(one, settings, regions=False), pixels(40, 700, 1).to("cuda:0")
    loss, gradient = goal.gradient(one, image)
    found_loss, found = goal.gradient(one.across([other]).in_strips(128), image)
    torch.testing.assert_close(found_loss.values, loss.values, rtol=1e-4, atol=0)
    assert (found - gradient).norm() <= 1e-2 * gradient.norm()
