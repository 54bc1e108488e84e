"""From two pictures to a third: the transfer as others call it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from PIL import Image

from nst_batch.demands import Way, least_bytes, way_that_fits
from nst_batch.errors import DivergedError, TooLarge
from nst_batch.memory import SHARE, free, in_words, resident
from nst_batch.records import Losses, Weights
from nst_batch.settings import INIT_WORDS, TransferSettings
from nst_batch.sizes import Stage
from nst_batch.transfer.batch import Batch, OnSteps
from nst_batch.transfer.cache import TensorCache
from nst_batch.transfer.encode import to_image
from nst_batch.transfer.graphs import Compiler
from nst_batch.transfer.member import Member, Request, Stylized
from nst_batch.transfer.networks import Networks
from nst_batch.transfer.pictures import Picture, StylePart, picture_of
from nst_batch.transfer.precision import arithmetic
from nst_batch.transfer.throughput import best_batch
from nst_batch.transfer.weights import VGG19

WITHIN = 0.97  # of a limit, to be planned with: what is counted is not all there is

Input = str | Path | Image.Image


class Stylizer:
    """One loaded VGG-19, and targets remembered between transfers.

    Args:
        weights: which VGG-19; see ``transfer.weights``.
        device: where to compute: ``cpu``, ``cuda:0``, …; with ``+`` between them, several that share large pictures.
        compiled: use what has to be built first: kernels in C++ on a CPU, recorded closures on a GPU.
        tile: rows of a picture that are computed at a time; ``auto``: all that memory holds, ``off``: all.
        memory: bytes to be content with, in all: of this process, or of the GPU; None: what is free.
        sharing: how many processes like this one share the machine's memory.

    Raises:
        WeightsError: the weights cannot be loaded.
    """

    def __init__(
        self,
        weights: Weights = VGG19,
        device: str = "cpu",
        *,
        compiled: bool = True,
        tile: int | Literal["auto", "off"] = "auto",
        memory: int | None = None,
        sharing: int = 1,
    ) -> None:
        first, *helpers = map(torch.device, device.split("+"))
        self.networks = Networks(weights, first, native=compiled, helpers=helpers)
        self.tile = tile
        self.memory = memory
        self._sharing = sharing
        self.cache = TensorCache()
        self._compiler = Compiler(enabled=compiled)
        self._at_once: dict[Hashable, int] = {}

    @property
    def note(self) -> str:
        """Why pictures take longer here than they could; empty where they do not."""
        return self._compiler.note or self.networks.note

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
        styles: Picture | Sequence[StylePart],
        settings: TransferSettings,
        *,
        seed: int,
        start: Picture | None = None,
        on_step: Callable[[int, float], None] | None = None,
    ) -> Stylized:
        """One transfer.

        Args:
            content: what is rendered.
            styles: one picture, or several with their weights and regions.
            settings: all of them are used.
            seed: of noise.
            start: the picture to begin with when ``settings.init`` is a file.
            on_step: told (evaluations made, loss) as ``OnSteps`` is.

        Raises:
            ImageError: a file is not a usable picture.
            DivergedError: no finite loss was seen.
        """
        parts = (StylePart(styles),) if isinstance(styles, Picture) else tuple(styles)
        request = Request(content, parts, settings, seed, start)

        def tell(step: int, losses: list[float], _: object) -> None:
            if on_step is not None:
                on_step(step, losses[0])

        (result,) = self.transfer_all([request], tell)
        if isinstance(result, DivergedError):
            raise result
        return result

    def transfer_all(
        self, requests: Sequence[Request], on_step: OnSteps | None = None, rows: int | None = None
    ) -> list[Stylized | DivergedError]:
        """Several transfers at once.

        Args:
            requests: pictures of one shape, with the same settings but for seeds and starts; one alone, if it goes on
                from where it was.
            on_step: see ``OnSteps``.
            rows: of pictures to compute at a time; None: as ``tile`` has it.

        Returns:
            For each its picture, or why there is none.

        Raises:
            ImageError: a file is not a usable picture.
            ValueError: these cannot be rendered together.
        """
        members = [Member(request, self.networks, self.cache) for request in requests]
        if len(members) > 1 and (any(each.alone for each in members) or len({each.stages for each in members}) > 1):
            raise ValueError("pictures of different sizes, with regions or with a line search cannot share passes")
        settings, resumed = requests[0].settings, requests[0].resumed if len(requests) == 1 else None
        if resumed is not None:
            way = Way(**resumed["way"])
            fewer = replace(way, pairs=min(way.pairs, settings.pairs(settings.steps)), rows=rows or way.rows)
            resumed = {**resumed, "way": vars(fewer)}
        self._refuse_what_never_fits(members[0].stages[-1], settings)
        choose = partial(self._way, tile=self.tile if rows is None else rows)
        return Batch(members, settings, self.networks, self._compiler, on_step, resumed, choose).render()

    def _way(self, stage: Stage, settings: TransferSettings, tile: int | str) -> Way:
        """How a scale is computed in the memory there is; as sparingly as can be, where that may be too little."""
        return way_that_fits(settings, stage, self._room(SHARE), tile, apart=self._has_memory_apart)[0]

    @property
    def _has_memory_apart(self) -> bool:
        """Whether there is memory beside the device's own."""
        return self.networks.device.type != "cpu"

    def _refuse_what_never_fits(self, stage: Stage, settings: TransferSettings) -> None:
        """Raises TooLarge: even the most sparing way takes more than there is."""
        there, least = self._room(1.0), least_bytes(settings, stage, self.tile, apart=self._has_memory_apart)
        if self.memory is not None and there < least:
            raise TooLarge(
                f"{stage.width} x {stage.height} pixels take {in_words(least)} at least, beside torch and the network, "
                f"and {in_words(there)} are left of run.memory_limit ({in_words(self.memory)})",
                hint="use a smaller transfer.size, run.tile: auto, or a larger run.memory_limit",
            )

    def _room(self, share: float) -> int:
        """Bytes that may still be taken: a share of what the machine has free, or the GPU with what torch keeps there;
        and no more than is left of the limit."""
        device = self.networks.device
        if device.type == "cuda":
            taken = torch.cuda.memory_allocated(device)
            there = int(torch.cuda.mem_get_info(device)[0]) + torch.cuda.memory_reserved(device) - taken
        else:
            taken, there = resident(), free() // self._sharing
        there = int(share * there)
        return there if self.memory is None else max(0, min(there, int(WITHIN * self.memory) - taken))

    def free_memory(self) -> None:
        """Keep nothing that can be made again: memory has run out."""
        self.cache.clear()
        gc.collect()
        if self.networks.device.type == "cuda":
            torch.cuda.empty_cache()

    def at_once(self, request: Request, most: int) -> int:
        """How many transfers like this one should share passes on this device, up to ``most``: measured once.

        Raises:
            ImageError: a file is not a usable picture.
        """
        settings, shape = request.settings, Member(request, self.networks, self.cache).shape
        precision = self.networks.precision(settings)
        taps = frozenset((*settings.content_layers, *settings.style_layers))
        passes = self.networks.passes(settings, precision)
        key = (passes.network, precision, shape, taps, most)
        if key not in self._at_once:
            with arithmetic(precision):
                self._at_once[key] = best_batch(passes, taps, shape, most)
        return self._at_once[key]
