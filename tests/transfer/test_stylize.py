"""The whole transfer against the seed's method written plainly, and what the design promises of its results."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.models import vgg19
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

from nst_batch import Stylizer as PublicStylizer
from nst_batch.demands import Way, stage_bytes
from nst_batch.errors import DivergedError, ImageError, TooLarge
from nst_batch.memory import resident
from nst_batch.pipeline_file.presets import PRESETS
from nst_batch.records import Losses, Weights
from nst_batch.settings import Stop, TransferSettings
from nst_batch.sizes import Stage
from nst_batch.transfer import color
from nst_batch.transfer.cache import TensorCache
from nst_batch.transfer.images import Decoded, from_image
from nst_batch.transfer.losses import Objective, Terms
from nst_batch.transfer.masks import Layout, Part
from nst_batch.transfer.member import Stylized
from nst_batch.transfer.ops import Pull
from nst_batch.transfer.passes import Passes, Trace
from nst_batch.transfer.pictures import Picture, Pictures, StylePart, picture_of
from nst_batch.transfer.precision import EXACT
from nst_batch.transfer.statistics import gram_matrix
from nst_batch.transfer.stylize import WITHIN, Stylizer
from nst_batch.transfer.targets import TargetMaker
from nst_batch.transfer.tensors import to_tensor
from nst_batch.transfer.untrained import untrained_state
from nst_batch.transfer.vgg import VGG19, Network
from nst_batch.transfer.weights import RANDOM
from tests.runs import REPOSITORY
from tests.transfer import plain
from tests.transfer.conftest import pattern, pixels, shallow, values_of

SMALL = shallow(size=48, steps=6, scales=(), balance="none", octaves=1, tv_weight=0, content_layers=("conv2_2",))


def picture(seed: int, width: int = 48, height: int = 48, mask: Picture | None = None) -> Picture:
    return Picture(
        f"pattern {seed} {width}x{height}", lambda: from_image(pattern(width, height, seed)), f"{seed}.png", mask
    )


def grained(seed: int) -> Image.Image:
    """A pattern of 48x48 with no two pixels alike."""
    noise = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(seed))
    image: Image.Image = to_pil_image(0.85 * pil_to_tensor(pattern(48, 48, seed)) / 255 + 0.15 * noise)
    return image


def tensor(seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return pixels(48, 48, seed).to(dtype)


def traced(stylizer: Stylizer, settings: TransferSettings, content: int = 1, style: int = 2) -> list[float]:
    losses: list[float] = []
    stylizer.transfer(picture(content), picture(style), settings, seed=0, on_step=lambda _, loss: losses.append(loss))
    return losses


@pytest.fixture(scope="module")
def from_file(tmp_path_factory: pytest.TempPathFactory) -> Stylizer:
    """Weights that went through a torchvision-format file."""
    path = tmp_path_factory.mktemp("weights") / "vgg.pth"
    torch.save({f"features.{name}": value for name, value in untrained_state().items()}, path)
    return Stylizer(Weights(str(path), "any", str(path)))


def test_tutorial_preset_walks_the_tutorials_path_in_float64(from_file: Stylizer) -> None:
    """With a grain on them: where a region is even, maxima have several places, and rounding chooses one."""
    settings = dataclasses.replace(PRESETS["pytorch-tutorial"], size=48, steps=20, precision="fp64")
    layers = plain.network(untrained_state(), torch.float64)
    pictures = [grained(seed) for seed in (1, 2)]
    content, style = (values_of(each).double() for each in pictures)
    expected = plain.tutorial_losses(plain.TutorialLoss(layers, content, style), content, 20)
    losses: list[float] = []
    ours = [Picture(f"grained {place}", partial(from_image, each)) for place, each in enumerate(pictures)]
    from_file.transfer(ours[0], ours[1], settings, seed=0, on_step=lambda _, loss: losses.append(loss))
    assert losses == pytest.approx(expected, rel=1e-6)


def test_tutorial_preset_starts_at_the_tutorials_loss_in_float32(from_file: Stylizer) -> None:
    settings = dataclasses.replace(PRESETS["pytorch-tutorial"], size=48, steps=1)
    loss = plain.TutorialLoss(plain.network(untrained_state(), torch.float32), tensor(1), tensor(2))
    assert traced(from_file, settings)[0] == pytest.approx(loss(tensor(1)).item(), rel=1e-5)


def result(stylizer: Stylizer, settings: TransferSettings, seed: int = 0) -> Stylized:
    return stylizer.transfer(picture(1), picture(2), settings, seed=seed)


def measured(stylizer: Stylizer, settings: TransferSettings, image: Tensor) -> Losses:
    """Losses at a picture, against targets that nothing else has touched."""
    pictures = Pictures(picture(1), (StylePart(picture(2)),), settings, TensorCache())
    stage = Stage(image.shape[3], image.shape[2], 1, 1.0)
    whole = Layout((), ((Part(0, 1.0, None),),))
    maker = TargetMaker(stylizer.networks.passes(settings, EXACT), settings, TensorCache())
    objective = Objective(maker.targets(pictures, whole, stage), settings)
    with torch.no_grad():
        return objective(Passes(VGG19(untrained_state(), Network("avg"))), image).losses()


@pytest.mark.parametrize("clamp", ["step", "closure", "end"])
def test_losses_are_those_of_the_very_picture(stylizer: Stylizer, clamp: str) -> None:
    settings = dataclasses.replace(SMALL, clamp=clamp, steps=12)  # type: ignore[arg-type]
    found = result(stylizer, settings)
    assert found.image.dtype == torch.float32
    assert 0 <= found.image.min() <= found.image.max() <= 1
    again = measured(stylizer, settings, found.image)
    assert again.total == pytest.approx(found.losses.total, rel=1e-6)
    assert again.per_layer["style"] == pytest.approx(found.losses.per_layer["style"], rel=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 7, 33])
def test_steps_are_closure_evaluations_exactly(stylizer: Stylizer, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    backward = Passes.backward

    def counted(self: Passes, trace: Trace, pulls: Mapping[str, Pull]) -> Tensor:
        calls.append(trace)
        return backward(self, trace, pulls)

    monkeypatch.setattr(Passes, "backward", counted)
    found = result(stylizer, dataclasses.replace(SMALL, steps=steps))
    assert len(calls) == steps == found.evaluations
    assert len(found.curve) == min(steps, 32)
    assert found.curve[0][0] == 1 and found.curve[-1][0] == steps


def test_each_point_of_the_curve_is_told_term_by_term(stylizer: Stylizer) -> None:
    """A scale whose pictures are too small for an octave has no such term."""
    settings = dataclasses.replace(SMALL, size=64, scales=(24,), steps=40, octaves=2, tv_weight=3.0, upscale=True)
    found = result(stylizer, settings)
    for number, (_, loss) in enumerate(found.curve):
        terms = [values[number] for values in found.terms.values()]
        assert sum(term or 0.0 for term in terms) == pytest.approx(loss, rel=2e-3), "four digits of each"
    layers = [*(f"content/{name}" for name in settings.content_layers), *(f"style/{n}" for n in settings.style_layers)]
    assert set(found.terms) == {*layers, *(f"style/{name}/2" for name in settings.style_layers), "tv"}
    small = [found.terms[f"style/{settings.style_layers[0]}/2"][n] is None for n in range(len(found.curve))]
    assert small == [evaluation <= 20 for evaluation, _ in found.curve]


def test_the_best_picture_is_kept_when_the_path_goes_astray(stylizer: Stylizer) -> None:
    wild = dataclasses.replace(SMALL, steps=15, learning_rate=50.0, guard=False, clamp="closure")
    losses = traced(stylizer, wild)
    assert max(losses) > 2 * losses[0]  # it does go astray
    assert result(stylizer, wild).losses.total == pytest.approx(min(losses), rel=1e-4)


def test_the_guard_keeps_it_from_going_astray(stylizer: Stylizer) -> None:
    wild = dataclasses.replace(SMALL, steps=40, learning_rate=50.0)
    plainly = result(stylizer, dataclasses.replace(wild, guard=False)).losses.total
    found = result(stylizer, wild)
    assert found.taken_back + found.restarts > 0  # recorded in the manifest
    guarded = found.losses.total
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
    found = result(stylizer, dataclasses.replace(SMALL, steps=1, init=init)).image
    torch.testing.assert_close(found, torch.full((1, 3, 48, 48), 0.5) if expected is None else expected)


def test_the_result_has_the_contents_shape(stylizer: Stylizer) -> None:
    content, style = picture(1, width=61, height=37), picture(2, width=40, height=50)
    settings = dataclasses.replace(SMALL, size=50, init="style")
    assert stylizer.transfer(content, style, settings, seed=0).image.shape == (1, 3, 30, 50)


def test_targets_are_computed_once(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    result(stylizer, SMALL)
    calls: list[object] = []
    forward = Passes.forward

    def counted(self: Passes, image: Tensor, taps: Iterable[str]) -> Trace:
        calls.append(taps)
        return forward(self, image, taps)

    monkeypatch.setattr(Passes, "forward", counted)
    decoded: list[int] = []

    def load() -> Decoded:
        decoded.append(1)
        return from_image(pattern(48, 48, 1))

    stylizer.transfer(Picture(picture(1).key, load), Picture(picture(2).key, load), SMALL, seed=0)
    assert len(calls) == SMALL.steps + 1  # the losses of the result, and no target
    assert not decoded


def test_the_cache_changes_nothing(stylizer: Stylizer) -> None:
    assert torch.equal(result(stylizer, SMALL).image, result(Stylizer(RANDOM), SMALL).image)


def test_no_finite_loss_is_an_error_that_says_so(stylizer: Stylizer) -> None:
    with pytest.raises(DivergedError, match="no finite loss"):
        result(stylizer, dataclasses.replace(SMALL, style_weight=3e38, style_layer_weights=(1e10,) * 5))


def test_what_on_step_raises_ends_it(stylizer: Stylizer) -> None:
    def on_step(step: int, _: float) -> None:
        if step == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        stylizer.transfer(picture(1), picture(2), SMALL, seed=0, on_step=on_step)


def test_too_small_a_picture_is_named(stylizer: Stylizer) -> None:
    thin = Picture("thin", lambda: from_image(Image.new("RGB", (200, 30))), name="thin.png")
    with pytest.raises(ImageError, match=r"thin\.png: 48x7 px") as caught:
        stylizer.transfer(thin, picture(2), SMALL, seed=0)
    assert "upscale" in caught.value.hint


def test_python_api_takes_files_and_images(stylizer: Stylizer, tmp_path: Path) -> None:
    pattern(40, 30, 1).save(tmp_path / "content.png")
    image, losses = stylizer.stylize(tmp_path / "content.png", pattern(30, 30, 2), shallow(size=32, steps=2))
    assert (image.size, image.mode) == ((32, 24), "RGB")
    assert math.isfinite(losses.total)
    pattern(24, 32, 5).save(tmp_path / "content.png")  # another picture under the same name is not mistaken for it
    image, _ = stylizer.stylize(tmp_path / "content.png", pattern(30, 30, 2), shallow(size=32, steps=2))
    assert image.size == (24, 32)
    with pytest.raises(ImageError, match="gone"):
        stylizer.stylize(tmp_path / "missing.png", pattern(30, 30, 2))
    assert PublicStylizer is Stylizer


# --- scales, balance, colours, regions -------------------------------------------------------------------------------


@contextmanager
def evaluated() -> Iterator[list[Tensor]]:
    """The pictures that closures are evaluated at."""
    seen: list[Tensor] = []
    gradient = Objective.gradient

    def noted(self: Objective, passes: Passes, image: Tensor) -> tuple[Terms, Tensor]:
        seen.append(image.detach().clone())
        return gradient(self, passes, image)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Objective, "gradient", noted)
        yield seen


def test_each_scale_starts_from_the_last(stylizer: Stylizer) -> None:
    settings = dataclasses.replace(SMALL, size=64, upscale=True, scales=(24, 40), steps=20, scale_shares=(2, 1, 1))
    with evaluated() as seen:
        found = result(stylizer, settings)
    sizes = [(image.shape[3], image.shape[2]) for image in seen]
    assert sizes == [(24, 24)] * 10 + [(40, 40)] * 5 + [(64, 64)] * 5
    assert found.scales == ((24, 24, 10), (40, 40, 5), (64, 64, 5)) and found.evaluations == 20
    alone = result(stylizer, dataclasses.replace(settings, scales=(), steps=5))
    assert found.losses.total < alone.losses.total


def test_a_warm_up_weighs_the_style_less_and_counts_as_steps(stylizer: Stylizer) -> None:
    styles: list[float] = []
    gradient = Objective.gradient

    def noted(self: Objective, passes: Passes, image: Tensor) -> tuple[Terms, Tensor]:
        styles.append(float(self.style_weights["conv1_1"]))
        return gradient(self, passes, image)

    settings = dataclasses.replace(SMALL, size=32, scales=(24,), steps=12, warmup=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Objective, "gradient", noted)
        assert result(stylizer, settings).evaluations == 12
    assert styles == pytest.approx(([0.1] * 2 + [1.0] * 4) * 2)
    assert result(stylizer, dataclasses.replace(settings, steps=3, warmup=9)).evaluations == 3


def test_a_settled_picture_stops_early_and_says_so(stylizer: Stylizer) -> None:
    patient = result(stylizer, dataclasses.replace(SMALL, steps=300, stop=Stop(0.05, 10)))
    assert patient.settled and 10 < patient.evaluations < 300
    assert not result(stylizer, dataclasses.replace(SMALL, steps=8, stop=Stop(0.05, 10))).settled


def remaining(found: Stylized) -> float:
    assert found.balance is not None
    return found.balance.remaining


def test_strength_decides_how_much_of_the_content_is_left(stylizer: Stylizer) -> None:
    left = [
        remaining(result(stylizer, dataclasses.replace(SMALL, steps=60, balance="auto", strength=strength)))
        for strength in (0.2, 0.5, 0.9)
    ]
    assert left[0] > 1.3 * left[1] > 1.3 * left[2]


def test_balance_makes_style_weight_meaningless(stylizer: Stylizer) -> None:
    """To rounding, which the optimiser makes larger: without balance the two are far apart."""

    def apart(balance: Literal["none", "auto"]) -> float:
        one, other = (
            result(stylizer, dataclasses.replace(SMALL, balance=balance, style_weight=weight)).image
            for weight in (1.0, 1e6)
        )
        return (one - other).abs().mean().item()

    assert apart("auto") < 0.1 * apart("none")


def test_balanced_losses_are_shares_of_their_references(stylizer: Stylizer) -> None:
    """Content against flat features; each style layer's Gram matrix by its relative error, times the ratio recorded."""
    settings = dataclasses.replace(SMALL, balance="auto", steps=1, init="noise")
    found = result(stylizer, settings)
    network = VGG19(untrained_state(), Network("avg"))

    def grams(image: Tensor) -> list[Tensor]:
        flats = [features.flatten(2)[0] for features in network(image, SMALL.style_layers).values()]
        return [flat @ flat.mT for flat in flats]

    def relative_errors(image: Tensor) -> float:
        errors = [
            ((ours - theirs).square().mean() / theirs.square().mean()).item()
            for ours, theirs in zip(grams(image), grams(tensor(2)), strict=True)
        ]
        return sum(errors) / len(errors)

    with torch.no_grad():
        bare, ours = relative_errors(tensor(1)), relative_errors(found.image)
        features = network(tensor(1), ["conv2_2"])["conv2_2"]
        now = network(found.image, ["conv2_2"])["conv2_2"]
    content = (now - features).square().mean() / features.var((2, 3), correction=0).mean()
    assert found.losses.content == pytest.approx(content.item(), rel=1e-4)
    assert found.balance is not None
    assert found.losses.style == pytest.approx(found.balance.ratio * ours, rel=1e-4)
    assert found.balance.remaining == pytest.approx(ours / bare, rel=1e-3)


def test_several_styles_give_the_weighted_mean_of_their_targets(stylizer: Stylizer) -> None:
    alone = [result_of(stylizer, [StylePart(picture(seed))]) for seed in (2, 3)]
    blends = [
        result_of(stylizer, [StylePart(picture(2), share), StylePart(picture(3), 1 - share)])
        for share in (0.999999, 0.5)
    ]
    whole = (alone[0].image - alone[1].image).abs().mean().item()
    assert (blends[0].image - alone[0].image).abs().mean() < 0.05 * whole
    apart = [(blends[1].image - each.image).abs().mean().item() for each in alone]
    assert min(apart) > 0.2 * whole


def result_of(stylizer: Stylizer, styles: list[StylePart], settings: TransferSettings = SMALL) -> Stylized:
    return stylizer.transfer(picture(1), styles, settings, seed=0)


@pytest.mark.parametrize("method", ["match", "luminance", "ycbcr"])
def test_the_contents_colours_are_kept(stylizer: Stylizer, method: str) -> None:
    settings = dataclasses.replace(SMALL, steps=15, color="content", color_method=method)  # type: ignore[arg-type]
    found, content = result(stylizer, settings), tensor(1)
    assert (found.image - content).abs().mean() > 0.005  # it is not the content
    if method == "match":
        colors = [image[0].flatten(1).double() for image in (found.image, content)]
        torch.testing.assert_close(colors[0].mean(1), colors[1].mean(1), rtol=0.05, atol=0)
        wanted = torch.cov(colors[1])
        assert (torch.cov(colors[0]) - wanted).abs().max() < 0.05 * wanted.abs().max()
    else:
        chroma = [image - color.luminance(image) for image in (found.image, content)]
        torch.testing.assert_close(chroma[0], chroma[1], atol=1e-5, rtol=0)


def two_colors(seed: int) -> Image.Image:
    """A picture of one hue: stripes of a colour and its half."""
    hue = np.array([[230, 40, 30], [30, 60, 220]][seed % 2])
    stripes = np.where(np.arange(64)[:, None] // (3 + 3 * (seed % 2)) % 2, 1.0, 0.4)
    return Image.fromarray((np.ones((64, 64, 1)) * stripes[..., None] * hue).astype(np.uint8))


def in_memory(image: Image.Image, name: str, mask: Image.Image | None = None) -> Picture:
    beside = None if mask is None else in_memory(mask, f"{name}.mask.png")
    digest = hashlib.sha256(image.tobytes()).hexdigest()  # the stylizer is shared: its cache must tell pictures apart
    return Picture(digest, lambda: from_image(image), name, beside)


def halves(left: str, right: str) -> Image.Image:
    image = Image.new("RGB", (64, 64), left)
    image.paste(right, (32, 0, 64, 64))
    return image


REGIONS = dataclasses.replace(SMALL, size=64, steps=60, style_layers=("conv1_1", "conv2_1"), content_weight=0.01)


def style_distances(image: Tensor) -> list[list[float]]:
    """For the left and the right half of a picture: how far its statistics are from red's and from blue's."""
    network = VGG19(untrained_state(), Network("avg"))

    def gram(picture: Tensor) -> Tensor:
        return gram_matrix(network(picture, ["conv2_1"])["conv2_1"])

    styles = [gram(to_tensor(from_image(two_colors(seed)), 64, 64)) for seed in range(2)]
    return [[(gram(part) - style).norm().item() for style in styles] for part in (image[..., :32], image[..., 32:])]


@torch.no_grad()
def check_regions(found: Stylized) -> None:
    left, right = style_distances(found.image)
    assert left[0] < 0.75 * left[1]
    assert right[1] < 0.75 * right[0]


def test_each_region_takes_the_style_of_its_colour(stylizer: Stylizer) -> None:
    both = Image.new("RGB", (128, 64))
    both.paste(two_colors(0), (64, 0))
    both.paste(two_colors(1), (0, 0))
    marks = Image.new("RGB", (128, 64), "yellow")  # the blue half of the style
    marks.paste("lime", (64, 0, 128, 64))
    content = in_memory(pattern(64, 64, 4), "content", halves("lime", "yellow"))
    style = in_memory(both, "style", marks)
    settings = dataclasses.replace(REGIONS, fit="native")
    check_regions(stylizer.transfer(content, style, settings, seed=0))


def test_each_region_can_have_a_style_of_its_own(stylizer: Stylizer) -> None:
    content = in_memory(pattern(64, 64, 4), "content", halves("lime", "yellow"))
    styles = [
        StylePart(in_memory(two_colors(0), "red"), region="#00ff00"),
        StylePart(in_memory(two_colors(1), "blue"), region="#ffff00"),
    ]
    check_regions(stylizer.transfer(content, styles, REGIONS, seed=0))


def test_a_mask_without_a_counterpart_is_noted(stylizer: Stylizer) -> None:
    content = in_memory(pattern(64, 64, 4), "content", halves("lime", "yellow"))
    found = stylizer.transfer(content, picture(2), SMALL, seed=0)
    assert any("content.mask.png is not used" in note for note in found.notes)


def test_a_picture_can_be_the_start(stylizer: Stylizer) -> None:
    settings = dataclasses.replace(SMALL, steps=1, init="file")
    found = stylizer.transfer(picture(1), picture(2), settings, seed=0, start=picture(3))
    torch.testing.assert_close(found.image, tensor(3))
    with pytest.raises(ValueError, match="start"):
        stylizer.transfer(picture(1), picture(2), settings, seed=0)


def test_noise_is_mixed_in_and_can_be_faint(stylizer: Stylizer) -> None:
    some = result(stylizer, dataclasses.replace(SMALL, steps=1, init_noise=0.25)).image
    noise = result(stylizer, dataclasses.replace(SMALL, steps=1, init="noise")).image
    torch.testing.assert_close(some, 0.75 * tensor(1) + 0.25 * noise)
    faint = result(stylizer, dataclasses.replace(SMALL, steps=1, init="noise", noise_std=1e-3)).image
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    assert 1e-4 < (faint - mean).std() < 2e-3


def test_the_style_is_seen_at_its_own_scale(stylizer: Stylizer) -> None:
    """A style at half its size has strokes half as wide: another target."""
    losses = [traced(stylizer, dataclasses.replace(SMALL, steps=1, style_scale=scale))[0] for scale in (1.0, 0.5, 1.0)]
    assert losses[0] == losses[2] != losses[1]


def test_exact_sizes_crop_the_content(stylizer: Stylizer) -> None:
    settings = dataclasses.replace(SMALL, size=40, height=24, fit="exact", steps=1)
    found = stylizer.transfer(picture(1, 80, 80), picture(2), settings, seed=0).image
    whole = pixels(80, 80, 1)[..., 16:64, :]
    assert found.shape == (1, 3, 24, 40)
    torch.testing.assert_close(found, interpolate(whole, (24, 40), mode="area"), atol=0.06, rtol=0)


def test_the_running_mean_is_what_adam_keeps(stylizer: Stylizer) -> None:
    settings = dataclasses.replace(SMALL, optimizer="adam", averaging=0.5, steps=4, clamp="step")
    with evaluated() as seen:
        found = result(stylizer, settings).image
        result(stylizer, dataclasses.replace(settings, steps=5))  # its last evaluation is at the fourth's step
    points = [*seen[1:4], seen[8]]
    weights = [0.5**4, 0.5**3, 0.5**2, 0.5]
    expected = sum(w * p for w, p in zip(weights, points, strict=True)) / sum(weights)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def untrained() -> dict[str, Tensor]:
    """torchvision's own initialisation of VGG-19, before any training."""
    torch.manual_seed(0)
    state: dict[str, Tensor] = vgg19(weights=None).features.state_dict()
    return {f"features.{name}": value for name, value in state.items()}


def test_the_guard_recovers_where_the_plain_method_diverges(tmp_path: Path) -> None:
    """torchvision's untrained initialisation and style_weight 1e6: plain L-BFGS shoots off at once."""
    path = tmp_path / "untrained.pth"
    torch.save(untrained(), path)
    stylizer = Stylizer(Weights("untrained", "any", str(path)))
    content, style = (picture_of(REPOSITORY / "data" / name) for name in ("content/dusk_lake.jpg", "style/mosaic.jpg"))

    def losses(settings: TransferSettings) -> tuple[list[float], Stylized]:
        seen: list[float] = []
        return seen, stylizer.transfer(content, style, settings, seed=0, on_step=lambda _, loss: seen.append(loss))

    plainly = dataclasses.replace(PRESETS["pytorch-tutorial"], size=128, steps=24, style_weight=1e6)
    first, *rest = losses(plainly)[0]
    assert not max(rest) < 3 * first  # it diverges, to large numbers or to none
    guarded, found = losses(dataclasses.replace(plainly, guard=True, clamp="step"))
    assert max(guarded[5:]) < first
    assert min(guarded) < 0.5 * min(first, *rest)
    assert found.losses.total == pytest.approx(min(guarded), rel=1e-3)  # the best one is kept


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu_at_the_start(stylizer: Stylizer) -> None:
    settings = dataclasses.replace(SMALL, steps=1)
    assert traced(Stylizer(device="cuda:0"), settings) == pytest.approx(traced(stylizer, settings), rel=1e-3)


LARGE = dataclasses.replace(SMALL, size=384, steps=3, history=2)


def test_a_limit_of_memory_leads_to_strips_rather_than_to_an_end() -> None:
    stylizer = Stylizer(RANDOM)
    stylizer.networks.passes(LARGE, EXACT).prepare((*LARGE.content_layers, *LARGE.style_layers))
    strips = stage_bytes(LARGE, 384, 384, Way(128, 2))
    assert strips < 0.7 * stage_bytes(LARGE, 384, 384, Way(None, 2))
    stylizer.memory = int((resident() + 1.05 * strips) / WITHIN)
    result = stylizer.transfer(picture(1, 384, 384), picture(2, 256, 256), LARGE, seed=0)
    assert result.strips in (3, 6) and result.history == 2 and result.given_up == ()
    free = Stylizer(RANDOM).transfer(picture(1, 384, 384), picture(2, 256, 256), LARGE, seed=0)
    assert free.strips == 0
    assert (result.image - free.image).abs().mean() < 1e-3
    assert result.losses.total == pytest.approx(free.losses.total, rel=1e-3)


def test_where_strips_are_not_enough_there_is_less_of_a_history() -> None:
    stylizer, long = (
        Stylizer(RANDOM),
        dataclasses.replace(LARGE, steps=3000, stop=Stop(rel=0.9, window=1), history=1000),
    )
    stylizer.networks.passes(LARGE, EXACT).prepare((*LARGE.content_layers, *LARGE.style_layers))
    stylizer.memory = int((resident() + stage_bytes(long, 384, 384, Way(64, 100))) / WITHIN)
    result = stylizer.transfer(picture(1, 384, 384), picture(2, 256, 256), long, seed=0)
    assert 30 < result.history < 200 and result.history_precision == "fp32"
    assert result.given_up == (f"history 1000 -> {result.history} at 384 x 384",)
    auto = dataclasses.replace(long, history="auto")
    stylizer.memory = int((resident() + stage_bytes(long, 384, 384, Way(64, 10))) / WITHIN)
    result = stylizer.transfer(picture(1, 384, 384), picture(2, 256, 256), auto, seed=0)
    assert result.history_precision == "bf16" and result.given_up == ()


def test_what_no_way_fits_is_refused_at_once() -> None:
    stylizer = Stylizer(memory=resident() + 2 * 10**7)
    with pytest.raises(TooLarge, match=r"384 x 384 pixels take \d+ MB at least.*left of run.memory_limit"):
        stylizer.transfer(picture(1, 384, 384), picture(2, 256, 256), LARGE, seed=0)


@pytest.mark.parametrize("device", ["cpu:0", pytest.param("cuda:0", marks=pytest.mark.gpu)])
def test_an_optimiser_apart_from_its_device_finds_the_same(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``cpu:0`` is another device than ``cpu`` by name, so values are carried to and fro."""
    settings = dataclasses.replace(SMALL, steps=8, guard=True, metric="adaptive", clamp="step", precision="fp32")
    images = list[Tensor]()
    for apart in (False, True):
        monkeypatch.setattr(Stylizer, "_way", lambda *_, apart=apart, **__: Way(None, 5, "fp32", apart))
        result = Stylizer(device=device).transfer(picture(1), picture(2), settings, seed=0)
        images.append(result.image.cpu())
        assert result.evaluations == 8 and result.history == 5
    assert torch.equal(*images) if device == "cpu:0" else (images[0] - images[1]).abs().mean() < 1e-3
