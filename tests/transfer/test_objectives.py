"""Every preset's objective, in value and gradient, against a few lines written here from the method's own source."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import to_pil_image

from nst_batch.pipeline_file.presets import PRESETS, preset
from nst_batch.records import Weights
from nst_batch.settings import CONV_LAYERS, TransferSettings
from nst_batch.sizes import Stage
from nst_batch.transfer.cache import TensorCache
from nst_batch.transfer.images import from_image
from nst_batch.transfer.losses import Objective
from nst_batch.transfer.masks import Layout, Part
from nst_batch.transfer.pictures import Picture, Pictures, StylePart, picture_of
from nst_batch.transfer.precision import precision_for
from nst_batch.transfer.stylize import Stylizer
from nst_batch.transfer.targets import TargetMaker
from nst_batch.transfer.untrained import untrained_state
from nst_batch.transfer.weights import VGG19 as ORIGINAL
from nst_batch.transfer.weights import load_state
from tests.transfer.conftest import pattern, pixels, values_of

Features = Callable[[Tensor], dict[str, Tensor]]
FIVE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CHANNELS = dict(zip(FIVE, (64, 128, 256, 512, 512), strict=True))


@functools.cache
def values() -> dict[str, Tensor]:
    return {name: value.double() for name, value in untrained_state().items()}


def vgg(image: Tensor, caffe: bool = False, replicate: bool = False) -> dict[str, Tensor]:
    """Every layer of VGG-19 with the untrained values, in float64, before and after its ReLU; max pooling."""
    state = values()
    if caffe:  # BGR, 0 to 255, minus the mean
        x = image[:, [2, 1, 0]] * 255 - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1).double()
    else:
        mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).double().view(2, 1, 3, 1, 1)
        x = (image - mean) / std
    found, index = {}, 0
    for number, name in enumerate(CONV_LAYERS):
        if name in ("conv2_1", "conv3_1", "conv4_1", "conv5_1"):
            x, index = F.max_pool2d(x, 2), index + 1
        weight, bias = state[f"{index}.weight"], state[f"{index}.bias"]
        edged = F.pad(x, (1, 1, 1, 1), mode="replicate" if replicate and number == 0 else "constant")
        x = F.conv2d(edged, weight, bias)
        found[name] = x
        x = x.relu()
        found[name.replace("conv", "relu")] = x
        index += 2
    return found


def flat(f: Tensor) -> Tensor:
    return f[0].flatten(1)  # CxN


def gram_over_positions(f: Tensor) -> Tensor:
    return flat(f) @ flat(f).T / flat(f).shape[1]


def gram_over_elements(f: Tensor) -> Tensor:
    return flat(f) @ flat(f).T / flat(f).numel()


def mse(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().mean()


def tutorial(x: Tensor, content: Tensor, style: Tensor) -> Tensor:
    f, p, s = vgg(x), vgg(content), vgg(style)
    layers = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")
    return 1e6 * sum(mse(gram_over_elements(f[y]), gram_over_elements(s[y])) for y in layers) + mse(
        f["conv2_2"], p["conv2_2"]
    )


def gatys(x: Tensor, content: Tensor, style: Tensor, caffe: bool = False) -> Tensor:
    f, p, s = vgg(x, caffe), vgg(content, caffe), vgg(style, caffe)
    total = mse(f["relu4_2"], p["relu4_2"])
    for layer in FIVE:
        weight = 1e3 / CHANNELS[layer] ** 2
        total = total + weight * mse(gram_over_positions(f[layer]), gram_over_positions(s[layer]))
    return total


def neural_style(x: Tensor, content: Tensor, style: Tensor, caffe: bool = False) -> Tensor:
    f, p, s = vgg(x, caffe), vgg(content, caffe), vgg(style, caffe)
    total = 5 * mse(f["relu4_2"], p["relu4_2"])
    total = total + 100 * sum(mse(gram_over_elements(f[y]), gram_over_elements(s[y])) for y in FIVE)
    colors = 255 * x
    variation = (colors[..., 1:, :] - colors[..., :-1, :]).abs().sum()
    variation = variation + (colors[..., 1:] - colors[..., :-1]).abs().sum()
    return total + 1e-3 * variation


def pystiche(x: Tensor, content: Tensor, style: Tensor) -> Tensor:
    f, p, s = vgg(x), vgg(content), vgg(style)
    style_loss = sum(mse(gram_over_positions(f[y]), gram_over_positions(s[y])) for y in FIVE) / 5
    return mse(f["relu4_2"], p["relu4_2"]) + 1e3 * style_loss


def spst(x: Tensor, content: Tensor, style: Tensor) -> Tensor:
    f, s = vgg(x), vgg(style)
    total = gatys(x, content, style)
    for layer in FIVE:
        ours, theirs = flat(f[layer]), flat(s[layer])
        total = total + 1e4 * mse(ours.mean(1), theirs.mean(1))
        total = total + 1e4 * mse(ours.std(1, unbiased=False), theirs.std(1, unbiased=False))
    return total


def crowson(x: Tensor, content: Tensor, style: Tensor) -> Tensor:
    f, p, s = (vgg(image, replicate=True) for image in (x, content, style))
    total = 0.015 * mse(f["relu4_2"], p["relu4_2"])
    for layer, weight in zip(FIVE, (256, 64, 16, 4, 1), strict=True):
        ours, theirs = flat(f[layer]), flat(s[layer])
        total = total + weight / 341 * wasserstein(ours, theirs)
    framed = F.pad(x, (1, 1, 1, 1), mode="replicate")
    right, down = framed[..., 1:-1, 2:] - framed[..., 1:-1, 1:-1], framed[..., 2:, 1:-1] - framed[..., 1:-1, 1:-1]
    one, other = framed[..., 1:, 1:] - framed[..., :-1, :-1], framed[..., 1:, :-1] - framed[..., :-1, 1:]
    squares = [difference.square().mean() for difference in (right, down, one, other)]
    return total + 2 * 2 * (squares[0] / 3 + squares[1] / 3 + squares[2] / 12 + squares[3] / 12)


def square_root(f: Tensor) -> Tensor:
    """X with X X' the covariance: centred features beside 0.01 I, or, if shorter, its Cholesky factor."""
    ridge = 0.01 * torch.eye(len(f)).double()
    long = torch.cat([(f - f.mean(1, keepdim=True)) / f.shape[1] ** 0.5, ridge], 1)
    factor: Tensor = long if long.shape[1] < 3 * len(f) else torch.linalg.cholesky(long @ long.T)
    return factor


def wasserstein(ours: Tensor, theirs: Tensor) -> Tensor:
    """mean((mu - mu_s)^2) + mean(diag(S + S_s - 2 (S_s^.5 S S_s^.5)^.5)), S with 1e-4 on its diagonal.

    With S = X X' and S_s = Y Y' the root's trace is the nuclear norm of Y' X: no root is taken.
    """
    x, y = (square_root(f) for f in (ours, theirs))
    traces = x.square().sum() + y.square().sum() - 2 * torch.linalg.matrix_norm(y.T @ x, "nuc")
    distance: Tensor = mse(ours.mean(1), theirs.mean(1)) + traces / len(ours)
    return distance


def ours(settings: TransferSettings, stylizer: Stylizer, pictures: Pictures, x: Tensor) -> tuple[float, Tensor]:
    stage = Stage(48, 32, 1, 1.0)
    passes = stylizer.networks.passes(settings, precision_for(settings, x.device))
    maker = TargetMaker(passes, settings, TensorCache())
    objective = Objective(maker.targets(pictures, Layout((), ((Part(0, 1.0, None),),)), stage), settings)
    terms, gradient = objective.gradient(passes, x)
    total = terms.total()
    return total.item(), gradient


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vgg.pth"
    torch.save({f"features.{name}": value.float() for name, value in values().items()}, path)
    return path


CASES = {
    "pytorch-tutorial": tutorial,
    "pytorch-tutorial-fast": tutorial,
    "gatys": gatys,
    "gatys-2017": gatys,
    "neural-style": neural_style,
    "pystiche": pystiche,
    "spst": spst,
    "crowson-w2": crowson,
}


def test_every_published_preset_has_its_case() -> None:
    assert set(CASES) == {name for name in PRESETS if not name.endswith("-clamped")} - {"default"}


@pytest.mark.parametrize("name", list(CASES))
def test_a_presets_loss_is_the_published_one(name: str, weights: Path) -> None:
    check(name, Weights("vgg", "any", str(weights)), CASES[name])


@pytest.mark.parametrize(("name", "formula"), [("gatys", gatys), ("neural-style", neural_style)])
def test_caffe_weights_are_fed_as_caffe_was(
    name: str, formula: Callable[[Tensor, Tensor, Tensor, bool], Tensor], weights: Path
) -> None:
    check(name, Weights("vgg", "any", str(weights), "caffe"), lambda x, c, s: formula(x, c, s, True))


def check(name: str, weights: Weights, formula: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """Value and gradient, at a picture that is neither content nor style; the style has another size.

    A little noise: in an even region, maxima have several places, each of which is a gradient.
    """
    settings = dataclasses.replace(PRESETS[name], size=48, fit="long", scales=(), precision="fp64")
    content = Picture("content", lambda: from_image(pattern(48, 32, 1)))
    style = Picture("style", lambda: from_image(pattern(32, 40, 2)))
    pictures = Pictures(content, (StylePart(style),), settings, TensorCache())
    x = (
        pixels(48, 32, 3).double()
        + 0.02 * torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(4)).double()
    )
    value, gradient = ours(settings, Stylizer(weights), pictures, x)
    point = x.clone().requires_grad_(True)
    expected = formula(point, pixels(48, 32, 1).double(), pixels(32, 40, 2).double())
    assert value == pytest.approx(expected.item(), rel=1e-6)
    (wanted,) = torch.autograd.grad(expected, point)
    error = (gradient - wanted).norm() / wanted.norm()
    assert error < 1e-5


def test_gatys_walks_the_plain_path_on_the_original_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, as torch.optim.LBFGS on colours from 0 to 255; with a grain: even regions have several maxima."""
    original = {name: value.double() for name, value in load_state(ORIGINAL).items()}
    monkeypatch.setattr("tests.transfer.test_objectives.values", lambda: original)
    steps, random = 20, torch.Generator().manual_seed(5)
    content, style = (
        to_pil_image(0.85 * pixels(48, 48, seed)[0] + 0.15 * torch.rand(3, 48, 48, generator=random)) for seed in (1, 2)
    )
    settings = dataclasses.replace(PRESETS["gatys"], size=48, fit="long", scales=(), steps=steps, precision="fp64")
    ours = list[float]()
    Stylizer(ORIGINAL).transfer(
        Picture("content", lambda: from_image(content)), Picture("style", lambda: from_image(style)), settings, seed=0,
        on_step=lambda _, loss: ours.append(loss),
    )  # fmt: skip
    targets = values_of(content).double(), values_of(style).double()
    point, losses = (255 * targets[0]).requires_grad_(True), list[float]()
    optimiser = torch.optim.LBFGS([point], max_iter=steps, tolerance_grad=0, tolerance_change=0)

    def closure() -> float:
        optimiser.zero_grad()
        loss = gatys(point / 255, *targets, True)
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.item())
        return loss.item()

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    assert len(ours) == steps and ours == pytest.approx(losses[:steps], rel=1e-6)
    assert ours[-1] < 0.1 * ours[0]


def test_the_tutorial_leaves_the_photograph_on_the_original_weights() -> None:
    """Its first step, of 1 in the 1-norm, finds no curvature here; at that pace it would take thousands."""
    data, settings = Path(__file__).parents[2] / "data", preset("pytorch-tutorial", "caffe")
    content, style = (picture_of(data / name) for name in ("content/dusk_lake.jpg", "style/mosaic.jpg"))
    result = Stylizer(ORIGINAL).transfer(content, style, dataclasses.replace(settings, size=64, steps=40), seed=0)
    assert result.losses.total < 0.05 * result.curve[0][1]
