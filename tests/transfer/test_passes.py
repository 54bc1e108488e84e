"""Passes against autograd through the network as torch writes it."""

from __future__ import annotations

import functools
import itertools

import pytest
import torch
from torch import Tensor

from nst_batch.settings import VGG19_LAYERS
from nst_batch.transfer.native.library import built
from nst_batch.transfer.ops import Pull
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.seeing import Asked, features_of, look
from nst_batch.transfer.statistics import Moments
from nst_batch.transfer.untrained import untrained_state
from nst_batch.transfer.vgg import VGG19, Network
from nst_batch.transfer.weights import VGG19 as ORIGINAL
from nst_batch.transfer.weights import load_state
from tests.transfer.conftest import pixels

NETWORKS = [
    Network("avg"),
    Network("max", 1.3, "reflect"),
    Network("avg", padding="replicate", caffe=True),
]
TAPS = [
    ("conv1_1",),
    ("relu1_1",),
    ("conv1_2", "relu1_2", "conv2_1"),  # before and after one ReLU, and past a pooling
    ("relu1_1", "conv2_2", "relu3_1"),
    ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"),
    ("relu1_2", "relu4_2", "conv5_1"),
]


@functools.cache
def network_of(wiring: Network, dtype: torch.dtype) -> VGG19:
    return VGG19(untrained(), wiring).to(dtype)


untrained = functools.cache(untrained_state)


def grained(width: int, height: int) -> Tensor:
    """No two equal pixels: of equal maxima in a pooling, which has the gradient is a matter of rounding."""
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(9))
    return 0.9 * pixels(width, height, 1) + 0.1 * noise


def pulled(features: Tensor, seed: int) -> tuple[Tensor, Pull]:
    """A loss of features, and what it asks of them."""
    channels = features.shape[1]
    random = torch.Generator().manual_seed(seed)
    slope = torch.randn(1, 1, channels, channels, generator=random).to(features) / features.detach().numel()
    flat = features.flatten(2)
    loss = (slope[0] * (flat @ flat.mT)).sum() + (features - 1).square().mean()
    scale = torch.full((1,), 2 / features.numel(), dtype=features.dtype)
    return loss, Pull(slope + slope.mT, target=torch.ones_like(features.detach()), scale=scale)


@pytest.mark.parametrize(
    ("network", "taps"), [*itertools.product(NETWORKS[:1], TAPS), *itertools.product(NETWORKS[1:], TAPS[3:4])]
)
@pytest.mark.parametrize("kind", ["float64", "float32", "native"])
def test_a_pictures_gradient_is_autograds(network: Network, taps: tuple[str, ...], kind: str) -> None:
    if kind == "native" and built().kernels is None:
        pytest.skip(f"no kernels in C++: {built().why_not}")
    vgg = network_of(network, torch.float64)
    image = grained(37, 50).double().requires_grad_(True)
    expected = vgg(image, taps)
    total = torch.stack([pulled(f, seed)[0] for seed, f in enumerate(expected.values())]).sum()
    (gradient,) = torch.autograd.grad(total, image)
    dtype = torch.float64 if kind == "float64" else torch.float32
    passes = Passes(network_of(network, dtype), native=kind == "native")
    trace = passes.forward(image.to(dtype), taps)
    assert set(trace.features) == set(taps)
    tolerance, steep = (1e-10, 1e-9) if kind == "float64" else (1e-4, 2e-2)  # rounding flips a ReLU here and there
    for name, value in trace.features.items():
        assert (value - expected[name]).norm() < tolerance * expected[name].norm()
    pulls = {name: pulled(f, seed)[1] for seed, (name, f) in enumerate(trace.features.items())}
    found = passes.backward(trace, pulls)
    assert (found - gradient).norm() < steep * gradient.norm()


def test_a_batch_is_its_pictures_one_by_one() -> None:
    passes = Passes(network_of(Network("avg"), torch.float32))
    pictures = [pixels(40, 33, seed) for seed in range(3)]
    both = passes(torch.cat(pictures), ["conv2_1", "relu3_1"])
    for place, picture in enumerate(pictures):
        for name, value in passes(picture, ["conv2_1", "relu3_1"]).items():
            torch.testing.assert_close(both[name][place : place + 1], value)


def test_grey_pictures_have_a_gradient_of_one_channel() -> None:
    passes = Passes(network_of(Network("avg"), torch.float64))
    grey = pixels(20, 24, 1).double().mean(1, keepdim=True)
    gradients = []
    for image in (grey, grey.expand(1, 3, 24, 20)):
        trace = passes.forward(image, ["conv1_2"])
        gradients.append(passes.backward(trace, {"conv1_2": pulled(trace.features["conv1_2"], 0)[1]}))
    torch.testing.assert_close(gradients[0], gradients[1].sum(1, keepdim=True))


@pytest.mark.parametrize(("dtype", "alike"), [(torch.bfloat16, 0.98), (torch.float16, 0.998)])
def test_low_precision_is_of_features_alone(dtype: torch.dtype, alike: float) -> None:
    """The picture and its gradient stay float32; both are near the exact ones."""
    vgg = network_of(Network("avg"), torch.float32)
    exact, low = Passes(vgg), Passes(vgg, dtype)
    image, gradients = pixels(40, 33, 1), []
    for passes in (exact, low):
        trace = passes.forward(image, ["conv2_1", "conv3_1"])
        assert trace.features["conv3_1"].dtype == passes.dtype
        pulls = {name: pulled(f.float(), seed)[1] for seed, (name, f) in enumerate(trace.features.items())}
        gradients.append(passes.backward(trace, pulls))
        assert gradients[-1].dtype == torch.float32
    likeness = torch.nn.functional.cosine_similarity(gradients[0].flatten(), gradients[1].flatten(), dim=0)
    assert alike < likeness < 1 - 1e-7


@pytest.mark.parametrize("strength", [1e-12, 1.0, 1e9])
def test_gradients_stay_within_float16(strength: float) -> None:
    """Two pictures, one of them with a pull a thousand times weaker: nothing is lost, nothing overflows."""
    vgg = network_of(Network("avg"), torch.float32)
    exact, low = Passes(vgg), Passes(vgg, torch.float16)
    images, gradients = torch.cat([pixels(40, 33, 1), pixels(40, 33, 2)]), []
    strengths = torch.tensor([strength, 1e-3 * strength])
    for passes in (exact, low):
        trace = passes.forward(images, ["conv2_1", "conv3_1"])
        found = enumerate(trace.features.items())
        pulls = {name: pulled(f.float(), seed)[1].times(strengths) for seed, (name, f) in found}
        gradients.append(passes.backward(trace, pulls))
    for ours, theirs in zip(gradients[1], gradients[0], strict=True):
        assert (ours - theirs).norm() < 0.05 * theirs.norm()


@pytest.mark.parametrize("picture", ["photograph", "noise", "out of range"])
@pytest.mark.parametrize("strip", [None, 32])
def test_the_original_weights_stay_within_float16(picture: str, strip: int | None) -> None:
    """Their features go to tens of thousands, and what losses ask of them beyond float16, but for its unit.

    Moments, distances and the gradient are those of float32; without the unit, the gradient is not finite.
    """
    image = {
        "photograph": grained(64, 48),
        "noise": torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0)),
        "out of range": 5 * grained(64, 48) - 2,
    }[picture]
    vgg = VGG19(load_state(ORIGINAL), Network("max", caffe=True))
    taps = {"relu1_1": "relu1_1", "relu3_1": "relu3_1", "relu4_1": "relu4_1"}

    def seen(passes: Passes) -> tuple[Moments, Tensor, Tensor]:
        passes = passes.in_strips(strip)
        content = features_of(passes, 0.5 * image + 0.2, ["relu4_2"])
        found = look(passes, image, Asked(taps, {}, True, content, backward=True))
        scale = torch.full((1,), 2 / content["relu4_2"].numel())
        pulls = {tap: Pull(each.second, each.means) for tap, each in found.moments.items()}
        pulls["relu4_2"] = Pull(target=content["relu4_2"], scale=1e9 * scale)
        return found.moments["relu4_1"], found.distances["relu4_2"], found.backward(pulls).double()

    exact, low = seen(Passes(vgg)), seen(Passes(vgg, torch.float16))
    assert float(exact[0].second.max()) > 65504, "a Gram matrix that float16 does not hold"
    for ours, theirs in ((low[0].second, exact[0].second), (low[0].means, exact[0].means), (low[1], exact[1])):
        assert (ours - theirs).norm() < 0.01 * theirs.norm()
    assert (low[2] - exact[2]).norm() < 0.05 * exact[2].norm()


def test_pulls_of_nothing_are_no_division_by_zero() -> None:
    passes = Passes(network_of(Network("avg"), torch.float32), torch.float16)
    trace = passes.forward(pixels(40, 33, 1), ["conv2_1"])
    nothing = pulled(trace.features["conv2_1"].float(), 0)[1].times(torch.zeros(1))
    assert passes.backward(trace, {"conv2_1": nothing}).abs().max() == 0


def test_an_unknown_tap_is_an_error() -> None:
    with pytest.raises(ValueError, match="relu9_9"):
        Passes(network_of(Network(), torch.float32)).forward(torch.rand(1, 3, 16, 16), ["relu9_9"])


def test_every_layer_can_be_a_tap() -> None:
    passes = Passes(network_of(Network("avg"), torch.float32))
    assert set(passes(torch.rand(1, 3, 16, 16), VGG19_LAYERS)) == set(VGG19_LAYERS)
