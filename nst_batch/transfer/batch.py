"""Several transfers at once, scale by scale: each closure is one pass for all, and each keeps to itself.

Where a picture alone cannot keep a GPU busy, several can. They have one shape and the same settings; targets, weights,
starts and ends are each one's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from nst_batch.demands import Way
from nst_batch.errors import DivergedError
from nst_batch.memory import keep_freed
from nst_batch.settings import TransferSettings
from nst_batch.sizes import Stage
from nst_batch.transfer.adam import Adam
from nst_batch.transfer.graphs import Compiler
from nst_batch.transfer.losses import Objective, Terms, together
from nst_batch.transfer.member import Member, Stylized
from nst_batch.transfer.networks import Networks
from nst_batch.transfer.optimise import Closure, optimise, optimiser_for
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.precision import EXACT, arithmetic
from nst_batch.transfer.snapshot import State, moved, of_one

OnSteps = Callable[[int, list[float], Callable[[], list[State] | None]], None]
"""Told (evaluations made, each picture's loss, what gives each one's state), as ``optimise.OnStep``."""

SHORTEST_ROUND = 8  # evaluations; fewer say little about where a balance leads
WARMUP_SHARE = 0.1  # of the style's weight


def whole(stage: Stage, settings: TransferSettings) -> Way:
    """As it would be if memory had no end."""
    return Way(None, settings.pairs(stage.steps))


class Batch:
    """Transfers on their way through the scales.

    Args:
        members: of one shape, with the same settings but for seeds and starts.
        settings: of any of them.
        networks: to compute with.
        compiler: makes closures faster, where it can.
        on_step: see ``OnSteps``.
        resumed: where a single member goes on from.
        way: how a scale is to be computed.
    """

    def __init__(
        self,
        members: Sequence[Member],
        settings: TransferSettings,
        networks: Networks,
        compiler: Compiler,
        on_step: OnSteps | None,
        resumed: State | None = None,
        way: Callable[[Stage, TransferSettings], Way] = whole,
    ) -> None:
        self._members = members
        self._settings = settings
        self._networks = networks
        self._compiler = compiler
        self._on_step = on_step
        self._resumed = resumed
        self._way_for = way
        self._way = Way(None, 0)
        self._precision = networks.precision(settings)
        self._adam: Adam | None = None  # what it remembers goes on from scale to scale
        self._image: Tensor | None = None
        self._evaluations = 0

    def render(self) -> list[Stylized | DivergedError]:
        """Render every scale; the pictures, or why there is none.

        Raises:
            ImageError: a file is not a usable picture.
            ValueError: they have not all the same targets, and must be rendered apart.
        """
        if self._resumed is not None:
            self._members[0].restore(self._resumed["member"])
            self._evaluations = self._resumed["evaluations"]
        begun = self._resumed["scale"] if self._resumed is not None else 0
        with arithmetic(self._precision):
            for scale, stage in enumerate(self._members[0].stages):
                if scale >= begun:
                    self._render(scale, stage)
        with arithmetic(EXACT):
            return [self._result(place) for place in range(len(self._members))]

    def _render(self, scale: int, stage: Stage) -> None:
        """Optimise at one scale, from where the last one ended."""
        members, settings, resumed = self._members, self._settings, self._resumed
        passes = self._networks.passes(settings, self._precision)
        passes.prepare((*settings.content_layers, *settings.style_layers))
        # What was begun in strips goes on in them: other strips are rounded otherwise.
        self._way = self._way_for(stage, settings) if resumed is None else Way(**resumed["way"])
        rows, pairs, kept = self._way.rows, self._way.pairs, self._way.kept
        passes = passes.in_strips(rows)
        if self._networks.device.type == "cpu":
            keep_freed(keep=rows is None)
        for each in members:
            each.begin(stage, passes)
        there = torch.device("cpu") if self._way.apart else self._networks.device  # where the optimiser is
        x = self._begin(stage).to(there)
        if rows is not None:
            for each in members:
                each.save_memory()
        optimiser = self._adam or optimiser_for(
            settings if not pairs else replace(settings, history=pairs, history_precision=kept),
            x,
            passes.network.color,
        )
        before: tuple[float, ...] = ()
        rounds = _rounds(stage, settings)
        for place, (steps, share) in enumerate(rounds):
            if resumed is not None and place < resumed["round"]:
                continue
            goals, weights = zip(*(each.goal(share, again=resumed is not None) for each in members), strict=True)
            if before:
                optimiser.reweigh(torch.tensor([new / old for new, old in zip(weights, before, strict=True)]).to(x))
            before = weights
            closure = self._closure(together(goals), passes, x)
            told = partial(self._told, scale, place)
            loop = moved(resumed["loop"], there) if resumed is not None else None
            found = optimise(closure, x, steps, settings, optimiser, told, loop)
            resumed = self._resumed = None
            x = found.image
            for number, each in enumerate(members):
                each.note(found.curves[number], found.names, found.terms[number], found.settled[number])
                each.measure(x[number : number + 1].to(self._networks.device), finished=place == len(rounds) - 1)
            self._evaluations += max(map(len, found.curves))
        ends = zip(members, optimiser.restarts.tolist(), optimiser.taken_back.tolist(), strict=True)
        for each, restarts, taken_back in ends:
            each.end(stage, restarts, taken_back, self._way)
        self._adam = optimiser if isinstance(optimiser, Adam) else None
        self._image = x.to(self._networks.device)

    def _closure(self, objective: Objective, passes: Passes, x: Tensor) -> Closure:
        """Of pictures like ``x``, wherever those are."""
        closure = self._compiler.compiled(objective, passes, x)
        return partial(_carried, closure, self._networks.device) if self._way.apart else closure

    def _begin(self, stage: Stage) -> Tensor:
        """The pictures to begin a scale with, BxCxHxW."""
        size = (stage.height, stage.width)
        if self._image is None and self._resumed is not None:  # its state has the picture, too
            x: Tensor = self._resumed["loop"]["x"].view(1, -1, *size)
            return x
        if self._image is None:
            starts = torch.cat([each.start(stage) for each in self._members])
            return starts.to(self._networks.device, self._precision.picture)
        if self._image.shape[2:] == size:
            return self._image
        x = interpolate(self._image, size, mode="bicubic", align_corners=False)
        if self._adam is not None:
            self._adam = self._adam.resized(self._image.shape, x.shape)
        return x if self._settings.clamp == "end" else x.clamp(0, 1)

    def _told(self, scale: int, round_: int, step: int, losses: list[float], state: Callable[[], State | None]) -> None:
        def states() -> list[State] | None:
            """Of each picture by itself."""
            loop = state()
            if loop is None:
                return None
            common = {"scale": scale, "round": round_, "evaluations": self._evaluations, "way": vars(self._way)}
            return [
                {**common, "member": each.state(), "loop": of_one(loop, place)}
                for place, each in enumerate(self._members)
            ]

        if self._on_step is not None:
            self._on_step(self._evaluations + step, losses, states)

    def _result(self, place: int) -> Stylized | DivergedError:
        if self._image is None:
            raise AssertionError("nothing was rendered")
        try:
            return self._members[place].result(self._image[place : place + 1])
        except DivergedError as error:
            return error


def _carried(closure: Closure, device: torch.device, x: Tensor) -> tuple[Terms, Tensor]:
    """A closure on another device than the optimiser's."""
    terms, gradient = closure(x.to(device))
    return terms.to(x.device), gradient.to(x.device)


def _rounds(stage: Stage, settings: TransferSettings) -> list[tuple[int, float]]:
    """Evaluations of each round of a scale, and the style's share of its weight in it.

    First come those of the warm-up. The rest is one round; or two halves, so that the balance can be corrected between.
    """
    warmup = min(settings.warmup, stage.steps - 1)
    rounds, rest = [(warmup, WARMUP_SHARE)] if warmup else [], stage.steps - warmup
    half = rest // 2
    if settings.balance == "none" or half < SHORTEST_ROUND:
        return [*rounds, (rest, 1.0)]
    return [*rounds, (half, 1.0), (rest - half, 1.0)]
