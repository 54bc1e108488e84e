"""From two pictures to a third: targets, start, optimisation, and the picture that is kept."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from nst_batch.errors import DivergedError, ImageError
from nst_batch.records import Losses, TransferSettings, Weights
from nst_batch.sizes import target_size
from nst_batch.transfer.cache import TensorCache
from nst_batch.transfer.images import SMALLEST_SIDE, load_picture, to_image, to_tensor
from nst_batch.transfer.lbfgs import LBFGS
from nst_batch.transfer.losses import Objective, Targets, gram_matrix
from nst_batch.transfer.vgg import VGG19
from nst_batch.transfer.weights import EMBEDDED, load_state

CURVE_POINTS = 32
_PRECISIONS = {"fp32": torch.float32, "fp64": torch.float64}

OnStep = Callable[[int, float], None]
"""Told (evaluations made, loss) after each evaluation; what it raises ends the transfer."""


@dataclass(frozen=True)
class Stylized:
    """A finished transfer.

    ``image`` is 1x3xHxW float32 in [0, 1]: the best finite iterate, clamped; ``losses`` are float32 ones at that very
    picture. ``curve`` holds (evaluation, loss) at up to 32 evaluations, non-finite ones left out.
    """

    image: Tensor
    losses: Losses
    curve: tuple[tuple[int, float], ...]
    evaluations: int
    restarts: int


@dataclass(frozen=True)
class Picture:
    """An input, decoded only if it is needed.

    ``key`` tells equal pictures (targets are cached by it), ``name`` is for messages.
    """

    key: str
    load: Callable[[], Image.Image]
    name: str = "picture"


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
        if self.device.type == "cuda":  # fp32 means it: by default cuDNN rounds convolutions' inputs to TF32
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self._state = load_state(weights)
        self._embedded = weights.path is None
        self._networks: dict[tuple[str, torch.dtype], VGG19] = {}
        self._cache = TensorCache()

    def stylize(
        self,
        content: str | Path | Image.Image,
        style: str | Path | Image.Image,
        settings: TransferSettings | None = None,
    ) -> tuple[Image.Image, Losses]:
        """``content`` in the manner of ``style``: the picture (RGB), and its losses.

        Raises:
            ImageError: a file is not a usable picture.
            DivergedError: no finite loss was seen.
        """
        settings = settings or TransferSettings()
        result = self.transfer(_picture(content), _picture(style), settings, seed=settings.seed)
        return to_image(result.image), result.losses

    def transfer(
        self,
        content: Picture,
        style: Picture,
        settings: TransferSettings,
        *,
        seed: int,
        on_step: OnStep | None = None,
    ) -> Stylized:
        """One transfer, as the worker makes it.

        Raises:
            ImageError: a file is not a usable picture.
            DivergedError: no finite loss was seen.
        """
        x = self._start(content, style, settings, seed).to(self.device)
        precision = _PRECISIONS[settings.precision]
        objective = self._objective(content, style, settings, precision)
        network = self._network(settings, precision)
        measure_network = self._network(settings, torch.float32)
        measure = objective
        if precision != torch.float32:
            measure = self._objective(content, style, settings, torch.float32)
        found = optimise(network, objective, x.to(precision), settings, on_step)
        image = found.image.clamp(0, 1).to(torch.float32)
        with torch.no_grad():
            losses = measure(measure_network(image, measure.taps)).losses()
        return Stylized(image, losses, _thin(found.curve), len(found.curve), found.restarts)

    def _network(self, settings: TransferSettings, precision: torch.dtype) -> VGG19:
        pooling = settings.pooling
        if pooling == "auto":
            pooling = "avg" if self._embedded else "max"
        if (pooling, precision) not in self._networks:
            network = VGG19(self._state, pooling).to(self.device, precision)
            self._networks[pooling, precision] = network
        return self._networks[pooling, precision]

    def _tensor(self, picture: Picture, settings: TransferSettings) -> Tensor:
        """1x3xHxW float32 in [0, 1] on the CPU, at the size that the settings ask for."""

        def load() -> Tensor:
            image = picture.load()
            width, height = target_size(*image.size, settings)
            if min(width, height) < SMALLEST_SIDE:
                raise ImageError(
                    f"{picture.name}: {width}x{height} px at this size; a side needs {SMALLEST_SIDE} px at least",
                    hint="use a larger transfer.size, or upscale: true",
                )
            return to_tensor(image, width, height)

        size = (settings.size, settings.fit, settings.upscale)
        return self._cache.get(("pixels", picture.key, size), load)

    def _start(self, content: Picture, style: Picture, settings: TransferSettings, seed: int) -> Tensor:
        """The picture to begin with, 1x3xHxW, as large as the content; never a cached tensor itself."""
        start = self._tensor(content, settings)
        if settings.init == "noise":  # drawn on the CPU: the same on every device
            return torch.rand(start.shape, generator=torch.Generator().manual_seed(seed))
        if settings.init == "gray":
            return torch.full_like(start, 0.5)
        if settings.init == "style":
            return to_tensor(style.load(), start.shape[3], start.shape[2])
        return start.clone()

    def _objective(
        self, content: Picture, style: Picture, settings: TransferSettings, precision: torch.dtype
    ) -> Objective:
        network = self._network(settings, precision)
        common = (settings.size, settings.fit, settings.upscale, network.pooling, precision)

        @torch.no_grad()
        def features(picture: Picture, layers: tuple[str, ...]) -> dict[str, Tensor]:
            image = self._tensor(picture, settings).to(self.device, precision)
            return network(image, layers)  # type: ignore[no-any-return]

        def grams() -> dict[str, Tensor]:
            found = features(style, settings.style_layers)
            return {layer: gram_matrix(found[layer], settings.gram_norm) for layer in settings.style_layers}

        content_key = ("content", content.key, settings.content_layers, common)
        style_key = ("style", style.key, settings.style_layers, settings.gram_norm, common)
        targets = Targets(
            content=self._cache.get(content_key, lambda: features(content, settings.content_layers)),
            style=self._cache.get(style_key, grams),
        )
        return Objective(targets, settings)


@dataclass(frozen=True)
class Found:
    """What the optimiser brought home: the best picture (not yet clamped), and every evaluation's loss."""

    image: Tensor
    curve: tuple[float, ...]
    restarts: int


def optimise(
    network: VGG19, objective: Objective, start: Tensor, settings: TransferSettings, on_step: OnStep | None = None
) -> Found:
    """Minimise ``objective`` over pixels with L-BFGS, in ``settings.steps`` closure evaluations.

    Args:
        network: in the precision to compute in, like ``start``.
        objective: with targets in that precision.
        start: 1x3xHxW.
        settings: steps, clamp, guard, history and learning_rate are used.
        on_step: see ``OnStep``.

    Raises:
        DivergedError: no evaluation gave a finite loss.
    """
    optimiser = LBFGS(
        learning_rate=settings.learning_rate,
        history=settings.history,
        secant="move" if settings.clamp == "step" else "direction",
        guard=settings.guard,
    )
    best, best_loss, curve = start, math.inf, list[float]()
    x: Tensor | None = start.flatten().clone()
    while x is not None and len(curve) < settings.steps:
        if settings.clamp != "end":
            x.clamp_(0, 1)
        loss, gradient = closure(network, objective, x.view_as(start))
        curve.append(loss)
        if loss < best_loss:  # False for NaN
            best, best_loss = x.view_as(start).clone(), loss
        if on_step is not None:
            on_step(len(curve), loss)
        x = optimiser.advance(x, loss, gradient.flatten())
    if math.isinf(best_loss):
        raise DivergedError(
            f"no finite loss in {len(curve)} evaluations", hint="use a smaller style_weight, or guard: true"
        )
    return Found(best, tuple(curve), optimiser.restarts)


def closure(network: VGG19, objective: Objective, image: Tensor) -> tuple[float, Tensor]:
    """The objective's value at ``image`` (1x3xHxW), and its gradient, of the same shape."""
    image = image.detach().requires_grad_(True)
    total = objective(network(image, objective.taps)).total().sum()
    (gradient,) = torch.autograd.grad(total, image)
    return total.item(), gradient


def _thin(losses: tuple[float, ...]) -> tuple[tuple[int, float], ...]:
    """Up to 32 finite points of a curve, evenly spread, with both ends."""
    last = len(losses) - 1
    places = sorted({round(i * last / (CURVE_POINTS - 1)) for i in range(CURVE_POINTS)}) if last > 0 else [0]
    return tuple((place + 1, losses[place]) for place in places if math.isfinite(losses[place]))


def _picture(source: str | Path | Image.Image) -> Picture:
    """A notebook's input, known again by its content: a file's time and size, an image's pixels."""
    if isinstance(source, Image.Image):
        digest = hashlib.blake2b(source.tobytes(), digest_size=16).hexdigest()
        return Picture(f"{source.mode} {source.size} {digest}", lambda: source.convert("RGB"))
    path = Path(source)
    status = path.stat() if path.exists() else None  # a missing file is load_picture's to report
    return Picture(f"{path} {status and (status.st_mtime_ns, status.st_size)}", lambda: load_picture(path), str(path))
