"""Octaves: the picture, half of it, a quarter."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from nst_batch.settings import TransferSettings
from nst_batch.transfer.octaves import octave_name, octaves_of, style_features
from nst_batch.transfer.untrained import untrained_state
from nst_batch.transfer.vgg import VGG19
from tests.transfer.conftest import pixels

SETTINGS = TransferSettings(octaves=3, style_layers=("conv1_1", "conv2_1"), content_layers=("conv2_2",))


@pytest.fixture(scope="module")
def network() -> VGG19:
    return VGG19(untrained_state())


def test_names_say_the_part_of_the_size() -> None:
    assert [octave_name("conv1_1", octave) for octave in range(3)] == ["conv1_1", "conv1_1/2", "conv1_1/4"]


@pytest.mark.parametrize(("height", "width", "count"), [(64, 80, 3), (63, 80, 2), (31, 500, 1), (16, 16, 1)])
def test_no_octave_is_smaller_than_the_network_takes(height: int, width: int, count: int) -> None:
    assert octaves_of(height, width, SETTINGS) == count


@torch.no_grad()
def test_each_octave_is_the_network_on_the_picture_at_that_size(network: VGG19) -> None:
    image = pixels(80, 64, 1)
    found = style_features(network, image, SETTINGS)
    assert sorted(found) == sorted(f"{layer}{part}" for layer in ("conv1_1", "conv2_1") for part in ("", "/2", "/4"))
    torch.testing.assert_close(found["conv2_1"], network(image, ["conv2_1"])["conv2_1"])
    assert found["conv1_1/2"].shape[2:] == (32, 40) and found["conv1_1/4"].shape[2:] == (16, 20)
    flat = torch.full((1, 3, 64, 64), 0.25)
    torch.testing.assert_close(
        style_features(network, flat, SETTINGS)["conv1_1/4"], network(flat[..., :16, :16], ["conv1_1"])["conv1_1"]
    )


@torch.no_grad()
def test_halving_lets_no_fine_pattern_through(network: VGG19) -> None:
    """A chequerboard is grey at half its size, wherever its squares fall."""
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    board = ((x + y) % 2).float().expand(1, 3, 64, 64)
    grey = torch.full((1, 3, 64, 64), 0.5)
    two = dataclasses.replace(SETTINGS, octaves=2)
    ours, plain = (style_features(network, image, two)["conv1_1/2"][..., 3:-3, 3:-3] for image in (board, grey))
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=0)
