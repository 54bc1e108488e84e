"""The whole transfer against the seed's method written plainly, and what the design promises of its results."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import pil_to_tensor

from nst_batch import Stylizer as PublicStylizer
from nst_batch.errors import DivergedError, ImageError
from nst_batch.presets import PRESETS
from nst_batch.records import TransferSettings, Weights
from nst_batch.transfer.embedded import embedded_state
from nst_batch.transfer.stylize import Picture, Stylized, Stylizer, closure
from nst_batch.transfer.vgg import VGG19
from tests.transfer import plain
from tests.transfer.conftest import pattern

SMALL = TransferSettings(size=48, steps=6)


def picture(seed: int, width: int = 48, height: int = 48) -> Picture:
    return Picture(f"pattern {seed} {width}x{height}", lambda: pattern(width, height, seed))


def tensor(seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    values: Tensor = pil_to_tensor(pattern(48, 48, seed))
    # Pixels are rounded once, to float32, as files are read.
    return values.to(torch.float32).div(255).to(dtype)[None].contiguous()


def traced(stylizer: Stylizer, settings: TransferSettings, content: int = 1, style: int = 2) -> list[float]:
    losses: list[float] = []
    stylizer.transfer(picture(content), picture(style), settings, seed=0, on_step=lambda _, loss: losses.append(loss))
    return losses


@pytest.fixture(scope="module")
def from_file(tmp_path_factory: pytest.TempPathFactory) -> Stylizer:
    """Weights that went through a torchvision-format file."""
    path = tmp_path_factory.mktemp("weights") / "vgg.pth"
    torch.save({f"features.{name}": value for name, value in embedded_state().items()}, path)
    return Stylizer(Weights(str(path), "any", str(path)))


def test_tutorial_preset_walks_the_tutorials_path_in_float64(from_file: Stylizer) -> None:
    settings = dataclasses.replace(PRESETS["pytorch-tutorial"], size=48, steps=20, precision="fp64")
    layers = plain.network(embedded_state(), torch.float64)
    content, style = tensor(1, torch.float64), tensor(2, torch.float64)
    expected = plain.tutorial_losses(plain.TutorialLoss(layers, content, style), content, 20)
    assert traced(from_file, settings) == pytest.approx(expected, rel=1e-6)


def test_tutorial_preset_starts_at_the_tutorials_loss_in_float32(from_file: Stylizer) -> None:
    settings = dataclasses.replace(PRESETS["pytorch-tutorial"], size=48, steps=1)
    loss = plain.TutorialLoss(plain.network(embedded_state(), torch.float32), tensor(1), tensor(2))
    assert traced(from_file, settings)[0] == pytest.approx(loss(tensor(1)).item(), rel=1e-5)


def test_gatys_preset_is_the_notebooks_loss_in_value_and_gradient(from_file: Stylizer) -> None:
    """Gatys' notebook: w_l = 1e3 / C^2 on mean((G/N - A/N)^2), after the ReLU; content relu4_2 with weight 1."""
    settings = dataclasses.replace(PRESETS["gatys"], size=48, precision="fp64")
    layers = plain.network(embedded_state(), torch.float64)

    def relus(image: Tensor) -> dict[int, Tensor]:
        return {conv: f.relu() for conv, f in plain.conv_outputs(layers, image, 13).items()}

    def unit_gram(f: Tensor) -> Tensor:
        return f.flatten(2)[0] @ f.flatten(2)[0].t() / f.flatten(2).shape[2]

    content, style = relus(tensor(1, torch.float64)), relus(tensor(2, torch.float64))
    image = tensor(3, torch.float64).requires_grad_(True)
    found = relus(image)
    expected = F.mse_loss(found[10], content[10])  # conv4_2 is the tenth
    for conv in (1, 3, 5, 9, 13):
        difference = unit_gram(found[conv]) - unit_gram(style[conv])
        expected = expected + 1e3 / found[conv].shape[1] ** 2 * difference.square().mean()
    (gradient,) = torch.autograd.grad(expected, image)
    objective = from_file._objective(picture(1), picture(2), settings, torch.float64)
    network = VGG19(embedded_state(), "max").double()
    value, ours = closure(network, objective, tensor(3, torch.float64))
    assert value == pytest.approx(expected.item(), rel=1e-10)
    torch.testing.assert_close(ours, gradient, rtol=1e-9, atol=1e-12)


def result(stylizer: Stylizer, settings: TransferSettings, seed: int = 0) -> Stylized:
    return stylizer.transfer(picture(1), picture(2), settings, seed=seed)


@pytest.mark.parametrize("clamp", ["step", "closure", "end"])
def test_losses_are_those_of_the_very_picture(stylizer: Stylizer, clamp: str) -> None:
    settings = dataclasses.replace(SMALL, clamp=clamp, steps=12)  # type: ignore[arg-type]
    found = result(stylizer, settings)
    assert found.image.dtype == torch.float32
    assert 0 <= found.image.min() <= found.image.max() <= 1
    once = dataclasses.replace(settings, steps=1, pooling="avg")
    network = VGG19(embedded_state(), "avg")
    objective = stylizer._objective(picture(1), picture(2), once, torch.float32)
    again = objective(network(found.image, objective.taps)).losses()
    assert again.total == pytest.approx(found.losses.total, rel=1e-6)
    assert again.per_layer["style"] == pytest.approx(found.losses.per_layer["style"], rel=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 7, 33])
def test_steps_are_closure_evaluations_exactly(stylizer: Stylizer, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []
    forward = VGG19.forward

    def counted(self: VGG19, image: Tensor, taps: object) -> dict[str, Tensor]:
        calls.append(image.requires_grad)
        return forward(self, image, taps)  # type: ignore[arg-type]

    monkeypatch.setattr(VGG19, "forward", counted)
    found = result(stylizer, dataclasses.replace(SMALL, steps=steps))
    assert sum(calls) == steps == found.evaluations
    assert len(found.curve) == min(steps, 32)
    assert found.curve[0][0] == 1 and found.curve[-1][0] == steps


def test_the_best_picture_is_kept_when_the_path_goes_astray(stylizer: Stylizer) -> None:
    wild = dataclasses.replace(SMALL, steps=15, learning_rate=50.0, guard=False, clamp="closure")
    losses = traced(stylizer, wild)
    assert max(losses) > 2 * losses[0]  # it does go astray
    assert result(stylizer, wild).losses.total == pytest.approx(min(losses), rel=1e-4)


def test_the_guard_keeps_it_from_going_astray(stylizer: Stylizer) -> None:
    wild = dataclasses.replace(SMALL, steps=40, learning_rate=50.0)
    plainly = result(stylizer, dataclasses.replace(wild, guard=False)).losses.total
    guarded = result(stylizer, wild).losses.total
    start = traced(stylizer, dataclasses.replace(SMALL, steps=1))[0]
    assert guarded < start
    assert guarded <= plainly


def test_it_makes_the_loss_much_smaller(stylizer: Stylizer) -> None:
    losses = traced(stylizer, dataclasses.replace(SMALL, steps=60))
    assert min(losses) < 0.1 * losses[0]


def test_noise_is_drawn_from_the_seed_alone(stylizer: Stylizer) -> None:
    noise = dataclasses.replace(SMALL, steps=1, init="noise")
    one, same, other = (result(stylizer, noise, seed).image for seed in (5, 5, 6))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(("init", "expected"), [("content", tensor(1)), ("style", tensor(2)), ("gray", None)])
def test_init_is_where_it_starts(stylizer: Stylizer, init: str, expected: Tensor | None) -> None:
    found = result(stylizer, dataclasses.replace(SMALL, steps=1, init=init)).image  # type: ignore[arg-type]
    torch.testing.assert_close(found, torch.full((1, 3, 48, 48), 0.5) if expected is None else expected)


def test_the_result_has_the_contents_shape(stylizer: Stylizer) -> None:
    content, style = picture(1, width=61, height=37), picture(2, width=40, height=50)
    settings = dataclasses.replace(SMALL, size=50, init="style")
    assert stylizer.transfer(content, style, settings, seed=0).image.shape == (1, 3, 30, 50)


def test_targets_are_computed_once(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    result(stylizer, SMALL)
    without_grad: list[object] = []
    forward = VGG19.forward

    def counted(self: VGG19, image: Tensor, taps: object) -> dict[str, Tensor]:
        if not image.requires_grad:
            without_grad.append(taps)
        return forward(self, image, taps)  # type: ignore[arg-type]

    monkeypatch.setattr(VGG19, "forward", counted)
    decoded: list[int] = []

    def load() -> Image.Image:
        decoded.append(1)
        return pattern(48, 48, 1)

    stylizer.transfer(Picture(picture(1).key, load), Picture(picture(2).key, load), SMALL, seed=0)
    assert len(without_grad) == 1  # the losses of the result, and no target
    assert not decoded


def test_the_cache_changes_nothing(stylizer: Stylizer) -> None:
    assert torch.equal(result(stylizer, SMALL).image, result(Stylizer(), SMALL).image)


def test_no_finite_loss_is_an_error_that_says_so(stylizer: Stylizer) -> None:
    with pytest.raises(DivergedError, match="no finite loss"):
        result(stylizer, dataclasses.replace(SMALL, style_weight=3e38, style_layer_weights=(1e10,) * 5))


def test_what_on_step_raises_ends_it(stylizer: Stylizer) -> None:
    def on_step(step: int, _: float) -> None:
        if step == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        stylizer.transfer(picture(1), picture(2), SMALL, seed=0, on_step=on_step)


def test_pooling_auto_follows_the_weights(stylizer: Stylizer, from_file: Stylizer) -> None:
    def start(which: Stylizer, pooling: str) -> float:
        return traced(which, dataclasses.replace(SMALL, steps=1, pooling=pooling))[0]  # type: ignore[arg-type]

    assert start(stylizer, "auto") == start(stylizer, "avg")
    assert start(from_file, "auto") == start(from_file, "max") != start(from_file, "avg")


def test_too_small_a_picture_is_named(stylizer: Stylizer) -> None:
    thin = Picture("thin", lambda: Image.new("RGB", (200, 30)), name="thin.png")
    with pytest.raises(ImageError, match=r"thin\.png: 48x7 px") as caught:
        stylizer.transfer(thin, picture(2), SMALL, seed=0)
    assert "upscale" in caught.value.hint


def test_python_api_takes_files_and_images(stylizer: Stylizer, tmp_path: Path) -> None:
    pattern(40, 30, 1).save(tmp_path / "content.png")
    image, losses = stylizer.stylize(tmp_path / "content.png", pattern(30, 30, 2), TransferSettings(size=32, steps=2))
    assert (image.size, image.mode) == ((32, 24), "RGB")
    assert math.isfinite(losses.total)
    pattern(24, 32, 5).save(tmp_path / "content.png")  # another picture under the same name is not mistaken for it
    image, _ = stylizer.stylize(tmp_path / "content.png", pattern(30, 30, 2), TransferSettings(size=32, steps=2))
    assert image.size == (24, 32)
    with pytest.raises(ImageError, match="gone"):
        stylizer.stylize(tmp_path / "missing.png", pattern(30, 30, 2))
    assert PublicStylizer is Stylizer


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu_at_the_start(stylizer: Stylizer) -> None:
    settings = dataclasses.replace(SMALL, steps=1)
    assert traced(Stylizer(device="cuda:0"), settings) == pytest.approx(traced(stylizer, settings), rel=1e-3)
