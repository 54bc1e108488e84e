"""One transfer, as one of those that are rendered together: its inputs, its start, its balance, its result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nst_batch.demands import Way
from nst_batch.errors import DivergedError
from nst_batch.records import Balance, Losses
from nst_batch.settings import TransferSettings
from nst_batch.sizes import Stage, stages
from nst_batch.transfer import color
from nst_batch.transfer.balance import Balancer, relative
from nst_batch.transfer.cache import TensorCache
from nst_batch.transfer.losses import Objective
from nst_batch.transfer.masks import Wanted, lay_out
from nst_batch.transfer.networks import Networks
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.pictures import Picture, Pictures, StylePart
from nst_batch.transfer.precision import EXACT
from nst_batch.transfer.snapshot import State
from nst_batch.transfer.targets import TargetMaker
from nst_batch.transfer.vgg import IMAGENET_MEAN

CURVE_POINTS = 32


@dataclass(frozen=True)
class Request:
    """What is to be rendered: a content picture, its styles (one or more, with weights and regions), the settings,
    the seed of noise, the picture to start with where ``settings.init`` is a file, and the state of the same transfer
    to go on from, if it was begun before."""

    content: Picture
    styles: tuple[StylePart, ...]
    settings: TransferSettings
    seed: int
    start: Picture | None = None
    resumed: State | None = None


@dataclass(frozen=True)
class Stylized:
    """A finished transfer.

    ``image`` is 1x3xHxW float32 in [0, 1], ``alpha`` (1x1xHxW) the content's; ``losses`` are float32 ones at that very
    picture. ``curve`` holds (evaluation, loss) at up to 32 evaluations, non-finite ones left out, and ``terms``, by
    name, what each of these losses is made of, None where a scale has no such term; ``scales`` (width, height,
    evaluations); ``precision`` is the word of what it was optimised in; ``strips`` how many the picture was computed in
    at last, 0: as a whole; ``history`` how many pairs of L-BFGS's history there was room for at last, and in what
    precision; ``given_up`` at which scales that was fewer than wanted.
    """

    image: Tensor
    alpha: Tensor | None
    losses: Losses
    curve: tuple[tuple[int, float], ...]
    terms: dict[str, tuple[float | None, ...]]
    evaluations: int
    restarts: int
    taken_back: int
    scales: tuple[tuple[int, int, int], ...]
    settled: bool
    balance: Balance | None
    notes: tuple[str, ...]
    precision: str
    strips: int = 0
    history: int = 0
    history_precision: str = ""
    given_up: tuple[str, ...] = ()


class Member:
    """One transfer on its way through the scales.

    Args:
        request: what is wanted.
        networks: to measure targets with.
        cache: shared with other transfers.

    Attributes:
        stages: the scales, coarse first.

    Raises:
        ImageError: a file is not a usable picture.
    """

    def __init__(self, request: Request, networks: Networks, cache: TensorCache) -> None:
        self._request = request
        self._settings = settings = request.settings
        self._networks = networks
        self._cache = cache
        self._pictures = pictures = Pictures(request.content, request.styles, settings, cache)
        wanted = [Wanted(part.weight, part.region, pictures.mask(part.picture)) for part in pictures.styles]
        self._layout = lay_out(pictures.mask(pictures.content), wanted, Path(pictures.content.name).name)
        self._balancer = Balancer(settings) if settings.balance == "auto" else None
        self.stages = stages(*pictures.decoded(pictures.content).size, settings)
        self._curve: list[float] = []
        self._terms: list[tuple[Sequence[str], Sequence[Sequence[float]]]] = []  # of each round, as ``note`` has them
        self._scales: list[tuple[int, int, int]] = []
        self._restarts = self._taken_back = 0
        self._settled = False
        self._way = Way(None, 0)
        self._given_up: tuple[str, ...] = ()

    @property
    def alone(self) -> bool:
        """Whether it cannot be rendered with others: regions are its own, and a line search waits for values."""
        return bool(self._layout.regions) or self._settings.line_search != "none"

    @property
    def shape(self) -> tuple[int, int, int]:
        """CxHxW of the finished picture, as it is optimised."""
        channels, height, width = self._pictures.content_at(self.stages[-1]).shape[1:]
        return channels, height, width

    def begin(self, stage: Stage, passes: Passes) -> None:
        """Measure targets for a scale."""
        self._passes = passes
        self._plain = self._objective(stage, passes)
        self._bare = self._style_of_content(self._plain, passes, stage) if self._balancer else 0.0

    def save_memory(self) -> None:
        """Keep no pictures of this size; those that are wanted again are read again."""
        self._cache.forget("pixels")

    def goal(self, share: float, *, again: bool = False) -> tuple[Objective, float]:
        """What is to be minimised now, the style at ``share`` of its weight; and that weight, to compare with others'.

        The balance is corrected by what the last round came to; not where this round was begun before (``again``).
        """
        objective, weight = self._plain, share
        if self._balancer is not None:
            if not again:
                self._balancer.correct()
            objective, weight = self._balancer.weighted(objective), share * self._balancer.ratio
        return objective if share == 1 else objective.with_style(share), weight

    def measure(self, image: Tensor, *, finished: bool) -> None:
        """Take note of the picture that a round ended with, 1xCxHxW; ``finished``: and the scale with it."""
        if self._balancer is not None:
            ours = self._plain.style_at(self._passes, image)
            self._balancer.measure(self._plain, self._bare, ours, finished=finished)

    def note(
        self, curve: Sequence[float], names: Sequence[str], terms: Sequence[Sequence[float]], settled: bool
    ) -> None:
        """Take note of a round's evaluations: losses, and what each of them is made of."""
        self._curve += curve
        self._terms.append((names, terms))
        self._settled = settled

    def end(self, stage: Stage, restarts: int, taken_back: int, way: Way) -> None:
        """Take note of what a scale took, and how it was computed."""
        self._way, pairs = way, way.pairs
        wanted = self._settings.pairs(stage.steps)
        if self._settings.history != "auto" and pairs < wanted:
            self._given_up += (f"history {wanted} -> {pairs} at {stage.width} x {stage.height}",)
        before = sum(evaluations for _, _, evaluations in self._scales)
        self._scales.append((stage.width, stage.height, len(self._curve) - before))
        self._restarts += restarts
        self._taken_back += taken_back

    def state(self) -> State:
        """What rounds and scales have come to so far; lists in a list, as one of several pictures."""
        return {
            "curve": [list(self._curve)],
            "terms": [list(self._terms)],
            "scales": [list(self._scales)],
            "counts": [(self._restarts, self._taken_back)],
            "settled": [self._settled],
            "given_up": [self._given_up],
            "balancer": self._balancer.state() if self._balancer else None,
        }

    def restore(self, state: State) -> None:
        """Know that again."""
        self._curve, self._settled = list(state["curve"][0]), state["settled"][0]
        self._terms = [(names, terms) for names, terms in state["terms"][0]]
        self._scales = [(width, height, evaluations) for width, height, evaluations in state["scales"][0]]
        self._restarts, self._taken_back = state["counts"][0]
        self._given_up = tuple(state["given_up"][0])
        if self._balancer is not None:
            self._balancer.restore(state["balancer"])

    def start(self, stage: Stage) -> Tensor:
        """The picture to begin with, 1xCxHxW on the CPU; never a cached tensor itself."""
        settings, pictures = self._settings, self._pictures
        content = pictures.content_at(stage)
        if settings.init == "noise":
            return _noise(content, settings, self._request.seed)
        if settings.init == "content":
            start = content
        elif settings.init == "style":
            start = pictures.stretched(pictures.styles[0].picture, stage)
        elif settings.init == "gray":
            start = torch.full_like(content, 0.5)
        else:
            if self._request.start is None:
                raise ValueError("settings.init is a file, so the request needs start")
            start = pictures.stretched(self._request.start, stage)
        if not settings.init_noise:
            return start.clone()
        return torch.lerp(start, _noise(content, settings, self._request.seed), settings.init_noise)

    def result(self, image: Tensor) -> Stylized:
        """The picture (1xCxHxW) in its final colours, and its losses measured in float32.

        Raises:
            DivergedError: no evaluation gave a finite loss.
        """
        settings, stage = self._settings, self.stages[-1]
        if not any(map(math.isfinite, self._curve)):
            raise DivergedError(
                f"no finite loss in {len(self._curve)} evaluations", hint="use a smaller style_weight, or guard: true"
            )
        image = image.clamp(0, 1).to(torch.float32)
        plain = self._pictures.plain_content_at(stage).to(image)
        image = color.finished(image, plain, settings)
        places = _places(self._curve)
        return Stylized(
            image=image,
            alpha=self._pictures.alpha_at(stage),
            losses=self._losses(color.seen(image, settings), stage),
            curve=tuple((place + 1, self._curve[place]) for place in places),
            terms=_by_term(self._terms, places),
            evaluations=len(self._curve),
            restarts=self._restarts,
            taken_back=self._taken_back,
            scales=tuple(self._scales),
            settled=self._settled,
            balance=self._balancer.record() if self._balancer else None,
            notes=(*self._pictures.notes(), *self._layout.notes),
            precision=self._networks.precision(settings).word,
            history=self._way.pairs,
            history_precision=self._way.kept if self._way.pairs else "",
            given_up=self._given_up,
            strips=0 if self._passes.strip is None else -(-stage.height // self._passes.strip),
        )

    def _losses(self, seen: Tensor, stage: Stage) -> Losses:
        passes = self._networks.passes(self._settings, EXACT).in_strips(self._passes.strip)
        objective = self._objective(stage, passes)
        if self._balancer is not None:
            objective = self._balancer.weighted(objective)
        return objective(passes, seen).losses()

    def _objective(self, stage: Stage, passes: Passes) -> Objective:
        """What is to be minimised at one scale: with the settings' own weights, or, where these are balanced, with
        terms divided by their references."""
        maker = TargetMaker(passes, self._settings, self._cache)
        found = Objective(maker.targets(self._pictures, self._layout, stage), self._settings)
        return found if self._balancer is None else relative(found, passes.unit)

    def _style_of_content(self, objective: Objective, passes: Passes, stage: Stage) -> float:
        return objective.style_at(passes, self._pictures.content_at(stage).to(passes.mean))


def _noise(like: Tensor, settings: TransferSettings, seed: int) -> Tensor:
    """Drawn on the CPU: the same on every device."""
    random = torch.Generator().manual_seed(seed)
    if settings.noise_std == 0:
        return torch.rand(like.shape, generator=random)
    mean = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
    mean = mean if like.shape[1] == 3 else color.luminance(mean)
    return mean + settings.noise_std * torch.randn(like.shape, generator=random)


def _places(losses: list[float]) -> list[int]:
    """Up to 32 places of finite losses, evenly spread, with both ends."""
    last = len(losses) - 1
    places = sorted({round(i * last / (CURVE_POINTS - 1)) for i in range(CURVE_POINTS)}) if last > 0 else [0]
    return [place for place in places if math.isfinite(losses[place])]


def _by_term(
    rounds: Sequence[tuple[Sequence[str], Sequence[Sequence[float]]]], places: Sequence[int]
) -> dict[str, tuple[float | None, ...]]:
    """Losses at some places, by term; None where a round has no such term. Four digits: they are for eyes."""
    rows = [dict(zip(names, row, strict=True)) for names, terms in rounds for row in terms]
    names = dict.fromkeys(name for place in places for name in rows[place])
    return {name: tuple(_rounded(rows[place].get(name)) for place in places) for name in names}


def _rounded(loss: float | None) -> float | None:
    return None if loss is None or not math.isfinite(loss) else float(f"{loss:.4g}")
