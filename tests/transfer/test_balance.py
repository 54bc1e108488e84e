"""The ratio of style to content: where strength puts it, and how it is corrected."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from nst_batch.settings import TransferSettings
from nst_batch.transfer.balance import RANGE, Balancer
from nst_batch.transfer.losses import Objective, Targets
from nst_batch.transfer.statistics import moments

SETTINGS = TransferSettings(strength=0.5, content_layers=("conv2_1",), style_layers=("conv1_1",), octaves=1)


def objective(variation: float = 4.0) -> Objective:
    features = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    targets = Targets({"conv2_1": features}, {"conv1_1": moments(features)}, {"conv1_1": variation})
    return Objective(targets, SETTINGS)


def test_each_term_is_divided_by_its_reference() -> None:
    plain, balancer = objective(), Balancer(SETTINGS)
    weighted = balancer.weighted(plain, bare=50.0)
    features = plain.targets.content["conv2_1"]
    flat = (features - features.mean((2, 3), keepdim=True)).square().mean().item()
    assert weighted.content_weights["conv2_1"] == pytest.approx(1 / flat)
    assert weighted.style_weights["conv1_1"] == pytest.approx(balancer.ratio / 50)


def test_the_ratio_goes_by_what_was_missed() -> None:
    """The aim at strength 0.5: 10^0.1 times the style's own variation, which is 4."""
    balancer = Balancer(SETTINGS)
    first = balancer.ratio
    balancer.measure(objective(), bare=100.0, ours=6.0)
    assert balancer.remaining == pytest.approx(0.06)
    assert balancer.ratio == first  # what was rendered with, until the next round
    balancer.correct()
    assert balancer.ratio == pytest.approx(first * 6.0 / (4 * 10**0.1))


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
