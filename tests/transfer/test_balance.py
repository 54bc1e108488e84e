"""The ratio of style to content: where strength puts it, and how it is corrected."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from nst_batch.settings import TransferSettings
from nst_batch.transfer.balance import RANGE, RESPONSE, UNFINISHED, Balancer, relative
from nst_batch.transfer.losses import Objective, Targets, style_loss
from nst_batch.transfer.statistics import Moments, moments

SETTINGS = TransferSettings(strength=0.5, content_layers=("conv2_1",), style_layers=("conv1_1",), octaves=1)


def objective(variation: float = 4.0) -> Objective:
    features = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    targets = Targets({"conv2_1": features}, {"conv1_1": moments(features)}, {"conv1_1": variation})
    return Objective(targets, SETTINGS)


def test_each_term_is_divided_by_its_reference() -> None:
    plain = objective()
    found = relative(plain)
    features, target = plain.targets.content["conv2_1"], plain.targets.style["conv1_1"]
    flat = (features - features.mean((2, 3), keepdim=True)).square().mean().item()
    assert found.content_weights["conv2_1"] == pytest.approx(1 / flat)
    nothing = Moments(torch.zeros_like(target.second), None)
    energy = style_loss(nothing, target, SETTINGS).item()
    assert found.style_weights["conv1_1"] == pytest.approx(1 / energy)
    assert relative(plain, unit=8.0).content_weights["conv2_1"] == pytest.approx(1 / flat / 64)


def test_layers_count_by_their_weights_whatever_their_magnitudes() -> None:
    settings = dataclasses.replace(SETTINGS, style_layers=("conv1_1", "conv2_1"), style_layer_weights=(3.0, 1.0))
    features = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    target = moments(features)
    found = relative(
        Objective(Targets({"conv2_1": features}, {"conv1_1": target, "conv2_1": target.times(1e4)}), settings)
    )
    nothing = Moments(torch.zeros_like(target.second), None)
    terms = [
        found.style_weights[layer] * style_loss(nothing, found.targets.style[layer], settings).item()
        for layer in settings.style_layers
    ]
    assert terms == pytest.approx([0.75, 0.25])


def test_block_5_counts_less_where_layers_count_alike() -> None:
    settings = TransferSettings(style_layers=("relu1_1", "relu5_1", "conv5_2"))
    assert settings.layer_weights("style") == (1.0, 0.2, 0.2)
    assert dataclasses.replace(settings, balance="none").layer_weights("style") == (1.0, 1.0, 1.0)
    assert dataclasses.replace(settings, style_layer_weights=(1.0, 2.0, 3.0)).layer_weights("style") == (1.0, 2.0, 3.0)


def test_the_style_is_the_ratio_times_as_heavy() -> None:
    plain, balancer = relative(objective()), Balancer(SETTINGS)
    found = balancer.weighted(plain)
    assert found.content_weights == plain.content_weights
    assert found.style_weights["conv1_1"] == pytest.approx(balancer.ratio * float(plain.style_weights["conv1_1"]))


def test_the_ratio_goes_by_what_was_missed() -> None:
    """The aim at strength 0 is three times the style's own variation, which is 4."""
    balancer = Balancer(dataclasses.replace(SETTINGS, strength=0.0))
    first = balancer.ratio
    balancer.measure(objective(), bare=100.0, ours=36.0)
    assert balancer.remaining == pytest.approx(0.36)
    assert balancer.ratio == first  # what was rendered with, until the next round
    balancer.correct()
    assert balancer.ratio == pytest.approx(first * 3 ** (1 / RESPONSE))


def test_in_the_middle_of_a_scale_the_style_term_has_further_to_fall() -> None:
    balancer = Balancer(dataclasses.replace(SETTINGS, strength=0.0))
    first = balancer.ratio
    balancer.measure(objective(), bare=100.0, ours=36.0, finished=False)
    balancer.correct()
    assert balancer.ratio == pytest.approx(first * (3 / UNFINISHED) ** (1 / RESPONSE))


def test_the_ratio_stays_in_reach_of_the_strength() -> None:
    for ours, expected in ((1e9, RANGE), (0.0, 1 / RANGE)):
        balancer = Balancer(SETTINGS)
        first = balancer.ratio
        balancer.measure(objective(), bare=100.0, ours=ours)
        balancer.correct()
        assert balancer.ratio == pytest.approx(first * expected)


def test_more_strength_is_more_style() -> None:
    ratios = [Balancer(dataclasses.replace(SETTINGS, strength=strength)).ratio for strength in (0.0, 0.5, 1.0)]
    assert ratios == sorted(ratios) and ratios[0] >= 1


def test_a_picture_without_anything_is_no_division_by_zero() -> None:
    balancer = Balancer(SETTINGS)
    balancer.measure(objective(variation=0.0), bare=0.0, ours=0.0)
    balancer.correct()
    assert balancer.ratio > 0
