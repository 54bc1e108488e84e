"""Each term against few lines written here from its source; the weighted sum against its parts."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from nst_batch.settings import TransferSettings
from nst_batch.transfer.losses import (
    Objective,
    Targets,
    deviation_loss,
    gram_loss,
    mean_loss,
    wasserstein_loss,
)
from nst_batch.transfer.octaves import style_features
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.statistics import gram_matrix, moments
from nst_batch.transfer.untrained import untrained_state
from nst_batch.transfer.variation import total_variation
from nst_batch.transfer.vgg import VGG19
from tests.transfer.conftest import pixels


def features(channels: int, height: int, width: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    mixed = torch.randn(channels, channels, generator=random, dtype=torch.float64)
    values = torch.randn(1, channels, height * width, generator=random, dtype=torch.float64)
    return (mixed @ values + seed).view(1, channels, height, width)


def test_losses_are_means_of_squares_for_each_picture() -> None:
    one, other = features(4, 3, 5, 0), features(4, 3, 5, 1)
    both = torch.cat([one, other])
    expected = torch.stack([torch.zeros((), dtype=torch.float64), mse_loss(other, one)])
    torch.testing.assert_close(Passes(VGG19(untrained_state()).double()).distance(both, one), expected)
    for norm, divisor in (("cn", 4), ("n", 1)):
        found = gram_loss(moments(both), moments(one), norm)
        assert found.shape == (2, 1)
        torch.testing.assert_close(found[1, 0], mse_loss(gram_matrix(other) / divisor, gram_matrix(one) / divisor))


def test_means_and_deviations_are_compared_over_channels() -> None:
    one, other = features(4, 5, 6, 1), features(4, 3, 7, 2)
    flats = [f[0].flatten(1) for f in (one, other)]
    expected = mse_loss(flats[0].mean(1), flats[1].mean(1))
    torch.testing.assert_close(mean_loss(moments(one), moments(other))[0, 0], expected)
    expected = mse_loss(flats[0].std(1, unbiased=False), flats[1].std(1, unbiased=False))
    torch.testing.assert_close(deviation_loss(moments(one), moments(other))[0, 0], expected)


def test_wasserstein_distance_of_normal_distributions() -> None:
    """Against the formula with matrix roots; its gradient against finite differences."""
    one, other = features(4, 5, 6, 1), features(4, 3, 7, 2)

    def root(matrix: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        found: Tensor = vectors @ torch.diag(values.sqrt()) @ vectors.T
        return found

    def covariance(f: Tensor) -> Tensor:
        return torch.cov(f[0].flatten(1), correction=0) + 1e-4 * torch.eye(4, dtype=torch.float64)

    def ours(f: Tensor) -> Tensor:
        return wasserstein_loss(moments(f), moments(other))[0, 0]

    first, second = covariance(one), covariance(other)
    apart = first + second - 2 * root(root(second) @ first @ root(second))
    expected = mse_loss(one[0].flatten(1).mean(1), other[0].flatten(1).mean(1)) + apart.diagonal().mean()
    torch.testing.assert_close(ours(one), expected)
    assert abs(ours(other).item()) < 1e-9
    assert torch.autograd.gradcheck(ours, one.clone().requires_grad_(True))


def test_wasserstein_survives_flat_features_in_float32() -> None:
    flat = torch.ones(1, 8, 4, 4, requires_grad=True)
    loss = wasserstein_loss(moments(flat), moments(features(8, 4, 4, 1).float())).sum()
    (gradient,) = torch.autograd.grad(loss, flat)
    assert torch.isfinite(loss) and torch.isfinite(gradient).all()


@pytest.fixture(scope="module")
def network() -> Passes:
    return Passes(VGG19(untrained_state()).double())


SETTINGS = TransferSettings(
    content_layers=("relu2_1", "relu3_1"),
    content_layer_weights=(1.0, 0.25),
    style_layers=("relu1_1", "relu2_1"),
    style_layer_weights=(1.0, 0.5),
    content_weight=2.0,
    style_weight=7.0,
    gram_norm="cn",
    octaves=1,
)


def objective(network: Passes, settings: TransferSettings) -> Objective:
    content, style = pixels(48, 32, 1).double(), pixels(40, 40, 2).double()
    with torch.no_grad():
        measured = style_features(network, style, settings)
        targets = Targets(network(content, settings.content_layers), {n: moments(f) for n, f in measured.items()})
    return Objective(targets, settings)


def test_the_parts_add_up_to_the_total(network: Passes) -> None:
    image = pixels(48, 32, 3).double()
    settings = dataclasses.replace(SETTINGS, tv_weight=0.5, tv="l2")
    goal = objective(network, settings)
    losses = goal(network, image).losses()
    found = network(image, ["relu1_1", "relu2_1", "relu3_1"])
    content = network(pixels(48, 32, 1).double(), ["relu2_1", "relu3_1"])
    for name, weight in (("relu2_1", 2.0), ("relu3_1", 0.5)):
        assert losses.per_layer["content"][name] == pytest.approx(weight * mse_loss(found[name], content[name]).item())
    style = network(pixels(40, 40, 2).double(), ["relu1_1", "relu2_1"])
    for name, weight in (("relu1_1", 7.0), ("relu2_1", 3.5)):
        channels = found[name].shape[1]
        expected = weight * mse_loss(gram_matrix(found[name]) / channels, gram_matrix(style[name]) / channels).item()
        assert losses.per_layer["style"][name] == pytest.approx(expected)
    assert losses.tv == pytest.approx(0.5 * total_variation(image, "l2").item())
    assert losses.content == pytest.approx(sum(losses.per_layer["content"].values()))
    assert losses.style == pytest.approx(sum(losses.per_layer["style"].values()))
    assert losses.total == pytest.approx(losses.content + losses.style + losses.tv)


def test_means_and_deviations_are_part_of_each_style_layer(network: Passes) -> None:
    image = pixels(48, 32, 3).double()
    plain, more = (
        objective(network, settings)(network, image).by_name()
        for settings in (SETTINGS, dataclasses.replace(SETTINGS, mean_weight=3.0, std_weight=11.0))
    )
    target = objective(network, SETTINGS).targets.style
    for layer, weight in (("relu1_1", 1.0), ("relu2_1", 0.5)):
        ours = moments(network(image, [layer])[layer])
        extra = 3 * mean_loss(ours, target[layer]) + 11 * deviation_loss(ours, target[layer])
        torch.testing.assert_close(more[f"style/{layer}"] - plain[f"style/{layer}"], weight * extra[:, 0])


def test_other_weights_change_the_weights_alone(network: Passes) -> None:
    image = pixels(48, 32, 3).double()
    plain = objective(network, SETTINGS)
    other = plain.weighted({"relu2_1": 4.0, "relu3_1": 0.0}, {"relu1_1": 3.0, "relu2_1": 0.5})
    before, after = plain(network, image).by_name(), other(network, image).by_name()
    torch.testing.assert_close(after["content/relu2_1"], 2 * before["content/relu2_1"])
    torch.testing.assert_close(after["style/relu1_1"], 3 * before["style/relu1_1"])
    assert plain.style_weights["relu1_1"] == 1.0


def test_regions_count_by_their_share(network: Passes) -> None:
    """Two regions with one target each: the whole is the shares' sum."""
    image, settings = (
        pixels(48, 32, 3).double(),
        dataclasses.replace(SETTINGS, style_layers=("relu1_1",), style_layer_weights=()),
    )
    left = torch.zeros(32, 48).double()
    left[:, :12] = 1
    guides = torch.stack([left / left.sum(), (1 - left) / (1 - left).sum()])
    style = moments(network(pixels(48, 32, 2).double(), ["relu1_1"])["relu1_1"], guides)
    targets = Targets({}, {"relu1_1": style}, guides={"relu1_1": guides}, shares=(0.25, 0.75))
    found = network(image, ["relu1_1"])["relu1_1"]
    each = gram_loss(moments(found, guides), style, "cn")[0]
    expected = 7.0 * (0.25 * each[0] + 0.75 * each[1])
    terms = Objective(targets, settings)(network, image).by_name()
    torch.testing.assert_close(terms["style/relu1_1"][0], expected)
