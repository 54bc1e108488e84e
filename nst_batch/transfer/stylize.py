"""From two pictures to a third: scale by scale, from a start to the picture that is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from nst_batch.records import Balance, Losses, Weights
from nst_batch.settings import INIT_WORDS, TransferSettings
from nst_batch.sizes import Stage, stages
from nst_batch.transfer import color
from nst_batch.transfer.adam import Adam
from nst_batch.transfer.balance import Balancer
from nst_batch.transfer.cache import TensorCache
from nst_batch.transfer.encode import to_image
from nst_batch.transfer.losses import Objective
from nst_batch.transfer.masks import Layout, Wanted, lay_out
from nst_batch.transfer.optimise import OnStep, closure, optimise, optimiser_for
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.pictures import Picture, Pictures, StylePart, picture_of
from nst_batch.transfer.targets import TargetMaker
from nst_batch.transfer.vgg import IMAGENET_MEAN, VGG19, Network
from nst_batch.transfer.weights import EMBEDDED, load_state

CURVE_POINTS = 32
SHORTEST_ROUND = 8  # evaluations; fewer say little about where a balance leads
WARMUP_SHARE = 0.1  # of the style's weight
_PRECISIONS = {"fp32": torch.float32, "fp64": torch.float64}

Input = str | Path | Image.Image
Styles = Picture | Sequence[StylePart]


@dataclass(frozen=True)
class Stylized:
    """A finished transfer.

    ``image`` is 1x3xHxW float32 in [0, 1], ``alpha`` (1x1xHxW) the content's; ``losses`` are float32 ones at that very
    picture. ``curve`` holds (evaluation, loss) at up to 32 evaluations, non-finite ones left out; ``scales`` (width,
    height, evaluations).
    """

    image: Tensor
    alpha: Tensor | None
    losses: Losses
    curve: tuple[tuple[int, float], ...]
    evaluations: int
    restarts: int
    taken_back: int
    scales: tuple[tuple[int, int, int], ...]
    settled: bool
    balance: Balance | None
    notes: tuple[str, ...]


class Stylizer:
    """One loaded VGG-19, and targets remembered between transfers.

    Args:
        weights: which VGG-19; see ``transfer.weights``.
        device: where to compute: ``cpu``, ``cuda:0``, ….

    Raises:
        WeightsError: the weights cannot be loaded.
    """

    def __init__(self, weights: Weights = EMBEDDED, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self._weights = weights
        self._state = load_state(weights)
        self._passes: dict[tuple[Network, torch.dtype], Passes] = {}
        self._cache = TensorCache()

    def stylize(
        self,
        content: Input,
        style: Input | Sequence[tuple[Input, float]],
        settings: TransferSettings | None = None,
        *,
        content_mask: Input | None = None,
        style_mask: Input | None = None,
    ) -> tuple[Image.Image, Losses]:
        """Render ``content`` in ``style``: for notebooks.

        Args:
            content: a picture, or its file.
            style: likewise, or several with their weights.
            settings: default: the preset ``default``. Its ``init`` may name a file.
            content_mask, style_mask: regions by colour, both or none.

        Returns:
            The picture (RGB, or RGBA where the content is transparent) and its losses.

        Raises:
            ImageError: a file is not a usable picture.
            DivergedError: no finite loss was seen.
        """
        settings = settings or TransferSettings()
        parts = [(style, 1.0)] if isinstance(style, Input) else style
        result = self.transfer(
            picture_of(content, content_mask),
            [StylePart(picture_of(each, style_mask), weight) for each, weight in parts],
            settings,
            seed=settings.seed,
            start=None if settings.init in INIT_WORDS else picture_of(settings.init),
        )
        return to_image(result.image, result.alpha), result.losses

    def transfer(
        self,
        content: Picture,
        styles: Styles,
        settings: TransferSettings,
        *,
        seed: int,
        start: Picture | None = None,
        on_step: OnStep | None = None,
    ) -> Stylized:
        """One transfer, as the worker makes it.

        Args:
            content: what is rendered.
            styles: one picture, or several with their weights and regions.
            settings: all of them are used.
            seed: of noise.
            start: the picture to begin with when ``settings.init`` is a file.
            on_step: see ``OnStep``.

        Raises:
            ImageError: a file is not a usable picture.
            DivergedError: no finite loss was seen.
        """
        parts = (StylePart(styles),) if isinstance(styles, Picture) else tuple(styles)
        pictures = Pictures(content, parts, settings, self._cache)
        run = _Run(self, pictures, settings, seed, start, on_step)
        for stage in stages(*pictures.decoded(content).size, settings):
            run.render(stage)
        return run.result()

    def passes(self, settings: TransferSettings, precision: torch.dtype) -> Passes:
        """VGG-19 as the settings wire it; made once."""
        network = network_of(settings, self._weights)
        if (network, precision) not in self._passes:
            vgg = VGG19(self._state, network).to(self.device, precision)
            self._passes[network, precision] = Passes(vgg)
        return self._passes[network, precision]

    def objective(
        self, pictures: Pictures, layout: Layout, stage: Stage, settings: TransferSettings, precision: torch.dtype
    ) -> Objective:
        """What is to be minimised at one scale."""
        maker = TargetMaker(self.passes(settings, precision), settings, self._cache)
        return Objective(maker.targets(pictures, layout, stage), settings)


def network_of(settings: TransferSettings, weights: Weights) -> Network:
    """The wiring that ``settings`` ask for with these weights."""
    auto: Literal["max", "avg"] = "avg" if weights.path is None else "max"
    pooling = auto if settings.pooling == "auto" else settings.pooling
    return Network(pooling, settings.pooling_scale, settings.padding, weights.format == "caffe")


class _Run:
    """One transfer on its way through the scales."""

    def __init__(
        self,
        stylizer: Stylizer,
        pictures: Pictures,
        settings: TransferSettings,
        seed: int,
        start: Picture | None,
        on_step: OnStep | None,
    ) -> None:
        self._stylizer = stylizer
        self._pictures = pictures
        self._settings = settings
        self._seed = seed
        self._file = start
        self._on_step = on_step
        wanted = [Wanted(part.weight, part.region, pictures.mask(part.picture)) for part in pictures.styles]
        self._layout = lay_out(pictures.mask(pictures.content), wanted, Path(pictures.content.name).name)
        self._balancer = Balancer(settings) if settings.balance == "auto" else None
        self._adam: Adam | None = None  # what it remembers goes on from scale to scale
        self._precision = _PRECISIONS[settings.precision]
        self._image: Tensor | None = None
        self._curve: list[float] = []
        self._restarts = self._taken_back = 0
        self._scales: list[tuple[int, int, int]] = []
        self._settled = False

    def render(self, stage: Stage) -> None:
        """Optimise at one scale, from where the last one ended."""
        passes = self._stylizer.passes(self._settings, self._precision)
        plain = self._objective(stage, self._precision)
        x = self._begin(stage)
        begun, objective, weight = len(self._curve), plain, 1.0
        if self._balancer is not None:
            bare = plain.style_at(passes, self._pictures.content_at(stage).to(x))
        optimiser = self._adam or optimiser_for(self._settings, x)
        for steps, share in self._rounds(stage):
            before, weight = weight, share
            if self._balancer is not None:
                self._balancer.correct()
                objective, weight = self._balancer.weighted(plain, bare), share * self._balancer.ratio
            if len(self._curve) > begun:
                optimiser.reweigh(weight / before)
            goal = objective if share == 1 else objective.with_style(share)
            found = optimise(partial(closure, passes, goal), x, steps, self._settings, optimiser, self._told)
            x = found.image
            self._curve += found.curve
            self._settled = found.settled
            if self._balancer is not None:
                self._balancer.measure(plain, bare, plain.style_at(passes, x))
        self._restarts += optimiser.restarts
        self._taken_back += optimiser.taken_back
        self._adam = optimiser if isinstance(optimiser, Adam) else None
        self._image, self._last = x, stage
        self._scales.append((stage.width, stage.height, len(self._curve) - begun))

    def _rounds(self, stage: Stage) -> list[tuple[int, float]]:
        """Evaluations, and the style's share of its weight in them.

        First come those of the warm-up. The rest is one round; or, so that the balance can be corrected between them,
        a quarter, a quarter, and half with weights that stay.
        """
        warmup = min(self._settings.warmup, stage.steps - 1)
        rounds, rest = [(warmup, WARMUP_SHARE)] if warmup else [], stage.steps - warmup
        quarter = rest // 4
        if self._balancer is None or quarter < SHORTEST_ROUND:
            return [*rounds, (rest, 1.0)]
        return [*rounds, (quarter, 1.0), (quarter, 1.0), (rest - 2 * quarter, 1.0)]

    def _told(self, step: int, loss: float) -> None:
        if self._on_step is not None:
            self._on_step(len(self._curve) + step, loss)

    def _objective(self, stage: Stage, precision: torch.dtype) -> Objective:
        return self._stylizer.objective(self._pictures, self._layout, stage, self._settings, precision)

    def _begin(self, stage: Stage) -> Tensor:
        """The picture to begin a scale with, 1xCxHxW; never a cached tensor itself."""
        device, size = self._stylizer.device, (stage.height, stage.width)
        if self._image is None:
            return self._start(stage).to(device, self._precision)
        if self._image.shape[2:] == size:
            return self._image
        x = interpolate(self._image, size, mode="bicubic", align_corners=False)
        if self._adam is not None:
            self._adam = self._adam.resized(self._image.shape, x.shape)
        return x if self._settings.clamp == "end" else x.clamp(0, 1)

    def _start(self, stage: Stage) -> Tensor:
        settings, pictures = self._settings, self._pictures
        content = pictures.content_at(stage)
        noise = _noise(content, settings, self._seed)
        if settings.init == "noise":
            return noise
        if settings.init == "content":
            start = content.clone()
        elif settings.init == "style":
            start = pictures.stretched(pictures.styles[0].picture, stage)
        elif settings.init == "gray":
            start = torch.full_like(content, 0.5)
        else:
            if self._file is None:
                raise ValueError("settings.init is a file, so transfer needs start")
            start = pictures.stretched(self._file, stage)
        return torch.lerp(start, noise, settings.init_noise) if settings.init_noise else start.clone()

    def result(self) -> Stylized:
        """The picture, in its final colours, and its losses measured in float32."""
        if self._image is None:
            raise AssertionError("nothing was rendered")
        settings, stage = self._settings, self._last
        image = self._image.clamp(0, 1).to(torch.float32)
        plain = self._pictures.plain_content_at(stage).to(image)
        image = color.finished(image, plain, settings)
        seen = color.seen(image, settings)
        objective = self._objective(stage, torch.float32)
        passes = self._stylizer.passes(settings, torch.float32)
        if self._balancer is not None:
            bare = objective.style_at(passes, self._pictures.content_at(stage).to(image))
            objective = self._balancer.weighted(objective, bare)
        losses = objective(passes, seen).losses()
        return Stylized(
            image=image,
            alpha=self._pictures.alpha_at(stage),
            losses=losses,
            curve=_thin(self._curve),
            evaluations=len(self._curve),
            restarts=self._restarts,
            taken_back=self._taken_back,
            scales=tuple(self._scales),
            settled=self._settled,
            balance=self._balancer.record() if self._balancer else None,
            notes=(*self._pictures.notes(), *self._layout.notes),
        )


def _noise(like: Tensor, settings: TransferSettings, seed: int) -> Tensor:
    """Drawn on the CPU: the same on every device."""
    random = torch.Generator().manual_seed(seed)
    if settings.noise_std == 0:
        return torch.rand(like.shape, generator=random)
    mean = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
    mean = mean if like.shape[1] == 3 else color.luminance(mean)
    return mean + settings.noise_std * torch.randn(like.shape, generator=random)


def _thin(losses: list[float]) -> tuple[tuple[int, float], ...]:
    """Up to 32 finite points of a curve, evenly spread, with both ends."""
    last = len(losses) - 1
    places = sorted({round(i * last / (CURVE_POINTS - 1)) for i in range(CURVE_POINTS)}) if last > 0 else [0]
    return tuple((place + 1, losses[place]) for place in places if math.isfinite(losses[place]))
