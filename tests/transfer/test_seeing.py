"""A picture seen strip by strip is the same picture: moments, distances, gradients, whole transfers."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from nst_batch.settings import TransferSettings
from nst_batch.transfer.images import Decoded
from nst_batch.transfer.losses import Objective, Targets
from nst_batch.transfer.octaves import style_features
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.pictures import Picture
from nst_batch.transfer.seeing import Asked, features_of, look
from nst_batch.transfer.statistics import guides_at, moments
from nst_batch.transfer.stylize import Stylizer
from nst_batch.transfer.untrained import untrained_state
from nst_batch.transfer.vgg import VGG19, Network
from tests.transfer.conftest import pixels, shallow, slow

TAPS = {"conv1_1": "conv1_1", "relu3_1": "relu3_1"}


@pytest.fixture(scope="module")
def exact() -> Passes:
    return Passes(VGG19(untrained_state()).double())


def guides() -> dict[str, Tensor]:
    """Two regions, divided by a slanting line."""
    rows, columns = torch.arange(70.0)[:, None], torch.arange(45.0)
    left = (rows / 2 + columns < 40).double()
    maps = torch.stack([left, 1 - left])
    return {name: guides_at(maps, 70 >> halved, 45 >> halved) for name, halved in (("conv1_1", 0), ("relu3_1", 2))}


@pytest.mark.parametrize("regions", [False, True], ids=["whole", "regions"])
@pytest.mark.parametrize("rows", [16, 23, 48])
def test_sums_over_strips_are_those_over_all(exact: Passes, rows: int, regions: bool) -> None:
    image, content = pixels(45, 70, 1).double(), pixels(45, 70, 2).double()
    wanted = {"relu2_2": exact(content, ["relu2_2"])["relu2_2"]}
    asked = Asked(TAPS, guides() if regions else {}, True, wanted)
    whole, found = look(exact, image, asked), look(exact.in_strips(rows), image, asked)
    assert set(found.moments) == set(TAPS) and found.positions == whole.positions == {
        "conv1_1": 70 * 45, "relu3_1": 17 * 11, "relu2_2": 35 * 22
    }  # fmt: skip
    for name, expected in whole.moments.items():
        torch.testing.assert_close(found.moments[name].second, expected.second, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found.moments[name].means, expected.means, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.distances, whole.distances, rtol=1e-12, atol=0)


def test_features_by_strips_are_the_features(exact: Passes) -> None:
    image = pixels(45, 70, 1).double()
    whole = exact(image, ["conv2_1", "relu4_2"])
    for name, found in features_of(exact.in_strips(16), image, ["conv2_1", "relu4_2"]).items():
        torch.testing.assert_close(found, whole[name], rtol=1e-12, atol=1e-12)


def objective(passes: Passes, settings: TransferSettings, regions: bool) -> Objective:
    content, style = pixels(45, 70, 2).double(), pixels(50, 40, 3).double()
    measured = {name: moments(f) for name, f in style_features(passes, style, settings).items()}
    targets = Targets(passes(content, settings.content_layers), measured)
    if regions:
        both = {name: dataclasses.replace(m, second=m.second.expand(-1, 2, -1, -1), mean=m.means.expand(-1, 2, -1))
                for name, m in measured.items()}  # fmt: skip
        targets = dataclasses.replace(targets, style=both, guides=guides(), shares=(0.4, 0.6))
    return Objective(targets, settings)


GRADIENTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "total variation": {"tv_weight": 0.3, "tv": "l2"},
    "octaves": {"octaves": 3},
    "means and deviations": {"mean_weight": 2.0, "std_weight": 3.0},
    "wasserstein": {"style_statistic": "w2"},
    "regions": {},
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_the_gradient_of_all_terms_is_the_same(exact: Passes, name: str) -> None:
    settings = shallow(
        content_layers=("relu2_2",), content_layer_weights=(1.0,), style_layers=("conv1_1", "relu3_1"),
        style_layer_weights=(1.0, 0.5), style_weight=100.0, **{"octaves": 1, **GRADIENTS[name]},
    )  # fmt: skip
    goal, image = objective(exact, settings, name == "regions"), pixels(45, 70, 1).double()
    loss, gradient = goal.gradient(exact, image)
    found_loss, found = goal.gradient(exact.in_strips(32), image)
    torch.testing.assert_close(found_loss.values, loss.values, rtol=1e-10, atol=0)
    steep = 1e-8 if name == "wasserstein" else 1e-10  # roots of eigenvalues
    assert (found - gradient).norm() <= steep * gradient.norm()


@pytest.mark.parametrize(("pooling", "rows", "seed"), [("avg", 32, 1), ("avg", 64, 2), ("max", 32, 3), ("max", 64, 4)])
def test_where_strips_meet_nothing_can_be_seen(pooling: Literal["avg", "max"], rows: int, seed: int) -> None:
    """In float32, by the kernels of this machine: errors are roundings, no larger at seams than elsewhere.

    Features are the same bits, so that every ReLU and every maximum falls the same way; gradients would jump otherwise.
    """
    passes = Passes(VGG19(untrained_state(), Network(pooling)))
    settings = shallow(octaves=1, style_weight=1000.0)
    content, image = pixels(96, 160, 20 + seed), pixels(96, 160, seed)
    style = {name: moments(f) for name, f in style_features(passes, pixels(60, 60, 3), settings).items()}
    goal = Objective(Targets(passes(content, settings.content_layers), style), settings)
    _, gradient = goal.gradient(passes, image)
    _, found = goal.gradient(passes.in_strips(rows), image)
    assert (found - gradient).norm() <= 1e-5 * gradient.norm()
    error = (found - gradient).abs().amax((0, 1, 3))
    seams = torch.stack([error[seam - 2 : seam + 2].max() for seam in range(rows, 160, rows)])
    assert seams.mean() <= 2 * error.mean()


def picture(seed: int, height: int = 70) -> Picture:
    values = (pixels(45, height, seed)[0].permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)
    mask = np.zeros((height, 45, 3), np.uint8)
    mask[: height // 3] = 255
    whole = Picture(f"mask {seed}", lambda: Decoded(mask), f"mask {seed}")
    return Picture(f"seeing {seed}", lambda: Decoded(values), f"seeing {seed}", whole)


TRANSFERS: dict[str, dict[str, Any]] = {
    "default": {},
    "scales and balance": {"scales": (40,), "balance": "auto", "steps": 24},
    "masks": {"masks": True},
    "luminance": {"color": "content", "color_method": "luminance"},
}


@pytest.mark.parametrize("name", [name if name == "default" else slow(name) for name in TRANSFERS])
def test_whole_transfers_are_the_same(name: str) -> None:
    changes = {"masks": False, **TRANSFERS[name]}
    settings = shallow(size=70, precision="fp64", **{"steps": 6, **changes})
    whole = Stylizer(tile="off").transfer(picture(1), picture(2, 60), settings, seed=0)
    strips = Stylizer(tile=16).transfer(picture(1), picture(2, 60), settings, seed=0)
    assert (whole.strips, strips.strips) == (0, 5)
    assert (whole.image - strips.image).abs().max() < 1e-5
    assert strips.losses.total == pytest.approx(whole.losses.total, rel=1e-5)
