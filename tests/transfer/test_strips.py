"""Strip by strip, features and gradients are those of the whole picture."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from nst_batch.transfer.ops import Pull
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.strips import Strips
from nst_batch.transfer.vgg import Network
from tests.transfer.test_passes import TAPS, grained, network_of, pulled

SIZES = ((37, 50), (64, 33), (131, 20), (32, 32))  # height and width
HEIGHTS = (7, 16, 24, 33, 500)
NETWORKS = (Network("avg"), Network("max", 2.0, "reflect"), Network("avg", 1.0, "replicate", caffe=True))


def by_strips(strips: Strips) -> dict[str, Tensor]:
    """All features, put together; rows have to come in order, each once."""
    found: dict[str, list[Tensor]] = {}

    def see(tap: str, rows: Tensor, first: int) -> None:
        parts = found.setdefault(tap, [])
        assert first == sum(part.shape[2] for part in parts)
        parts.append(rows.clone())

    strips.forward(see)
    return {tap: torch.cat(parts, 2) for tap, parts in found.items()}


def both_ways(
    passes: Passes, image: Tensor, taps: tuple[str, ...], height: int
) -> tuple[dict[str, Tensor], Tensor, dict[str, Tensor], Tensor]:
    """Features and a gradient: of the whole picture, and by strips."""
    trace = passes.forward(image, taps)
    whole = {tap: value.clone() for tap, value in trace.features.items()}
    pulls: dict[str, Pull] = {name: pulled(f, seed)[1] for seed, (name, f) in enumerate(trace.features.items())}
    gradient = passes.backward(trace, pulls)
    strips = Strips(passes, image, taps, height)
    features = by_strips(strips)
    return whole, gradient, features, strips.backward(pulls)


@pytest.mark.parametrize(
    ("network", "taps", "size", "height"),
    [
        *itertools.product(NETWORKS[:1], TAPS, SIZES[:1], HEIGHTS[:3]),
        *itertools.product(NETWORKS[1:], TAPS[5:], SIZES[1:2], HEIGHTS[1:2]),
        *itertools.product(NETWORKS[:1], TAPS[5:], SIZES[1:], HEIGHTS),
    ],
)
def test_in_float64_nothing_differs(
    network: Network, taps: tuple[str, ...], size: tuple[int, int], height: int
) -> None:
    passes = Passes(network_of(network, torch.float64))
    image = grained(*size).double()
    whole, gradient, features, found = both_ways(passes, image, taps, height)
    assert set(features) == set(whole)
    for tap, value in whole.items():
        assert features[tap].shape == value.shape
        assert (features[tap] - value).norm() <= 1e-12 * value.norm()
    assert (found - gradient).norm() <= 1e-10 * gradient.norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_goes_the_same_way(dtype: torch.dtype) -> None:
    """In bfloat16 and float16, whose features are rounded alike whatever strips they are in."""
    passes = Passes(network_of(Network("avg"), torch.float32), dtype)
    whole, gradient, features, found = both_ways(passes, grained(96, 40), ("conv1_2", "relu3_1"), 32)
    for tap, value in whole.items():
        assert features[tap].dtype == dtype
        assert (features[tap].float() - value.float()).norm() <= 1e-2 * value.float().norm()
    assert (found - gradient).norm() <= 3e-2 * gradient.norm()
