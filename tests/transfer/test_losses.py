"""Content and Gram losses against few-line ones written here from the papers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nst_batch.records import TransferSettings
from nst_batch.transfer.losses import Objective, Targets, content_loss, gram_matrix, style_loss, taps


def features(channels: int, height: int, width: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, height, width, generator=random, dtype=torch.float64)


@pytest.mark.parametrize(("norm", "divisor"), [("cn", 5 * 12), ("n", 12)])
def test_gram_is_the_sum_over_positions(norm: str, divisor: int) -> None:
    f = features(5, 3, 4, 0)
    expected = torch.zeros(5, 5, dtype=torch.float64)
    for i in range(5):
        for j in range(5):
            expected[i, j] = (f[0, i] * f[0, j]).sum() / divisor
    torch.testing.assert_close(gram_matrix(f, norm)[0], expected)


def test_gram_of_a_batch_is_each_pictures_own() -> None:
    one, other = features(4, 3, 3, 0), features(4, 3, 3, 1)
    both = gram_matrix(torch.cat([one, other]))
    torch.testing.assert_close(both, torch.cat([gram_matrix(one), gram_matrix(other)]))


def test_losses_are_means_of_squares_for_each_picture() -> None:
    one, other = features(4, 3, 5, 0), features(4, 3, 5, 1)
    both = torch.cat([one, other])
    expected = torch.stack([torch.zeros((), dtype=torch.float64), torch.nn.functional.mse_loss(other, one)])
    torch.testing.assert_close(content_loss(both, one), expected)
    g, a = gram_matrix(both), gram_matrix(one)
    torch.testing.assert_close(style_loss(g, a)[1], torch.nn.functional.mse_loss(g[1], a[0]))


def test_the_parts_add_up_to_the_total() -> None:
    settings = TransferSettings(
        content_layers=("relu2_1", "relu3_1"),
        style_layers=("relu1_1", "relu2_1"),
        content_weight=2.0,
        style_weight=7.0,
        style_layer_weights=(1.0, 0.5),
    )
    layers = {name: features(4, 6, 6, seed) for seed, name in enumerate(sorted(taps(settings)))}
    goal = {name: features(4, 6, 6, seed + 10) for seed, name in enumerate(sorted(taps(settings)))}
    targets = Targets(
        content={name: goal[name] for name in settings.content_layers},
        style={name: gram_matrix(goal[name]) for name in settings.style_layers},
    )
    losses = Objective(targets, settings)(layers).losses()
    mse = torch.nn.functional.mse_loss
    for name in settings.content_layers:
        assert losses.per_layer["content"][name] == pytest.approx(2.0 * mse(layers[name], goal[name]).item())
    for name, weight in (("relu1_1", 7.0), ("relu2_1", 3.5)):
        expected = weight * mse(gram_matrix(layers[name]), gram_matrix(goal[name])).item()
        assert losses.per_layer["style"][name] == pytest.approx(expected)
    assert losses.content == pytest.approx(sum(losses.per_layer["content"].values()))
    assert losses.style == pytest.approx(sum(losses.per_layer["style"].values()))
    assert losses.total == pytest.approx(losses.content + losses.style)
