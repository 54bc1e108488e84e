"""How long tasks will take, and how much memory, before they begin: by what they are made of (``demands``), and by what
this machine took for others (``measured``). Without torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median

from nst_batch.columns import Ints
from nst_batch.demands import Way, kept_bytes, moved_bytes, network_bytes, operations, stage_bytes, way_that_fits
from nst_batch.memory import SHARE, free
from nst_batch.planning.measured import Measurement, device_name, here, note, read
from nst_batch.planning.task_table import TaskTable
from nst_batch.records import Task, TaskResult
from nst_batch.settings import TransferSettings
from nst_batch.sizes import Stage, stages

STRIPS_TIME = 1.6  # of a closure in strips, against one of the whole picture
_MORE_EVALUATIONS = 2  # at each scale: what targets, balance and the last look at the losses take
SHARED, LEAST_BAND = 0.8, 768  # of the speed of several devices; rows of a picture for each, or they are not used
_TASK_SECONDS = 0.3  # reading, writing
_NEAR = 1.0  # how fast other sizes count less, when what was measured is averaged: in powers of two of pixels


@dataclass(frozen=True)
class Speed:
    """Of a kind of device: operations and bytes a second, and seconds that an evaluation takes however small it is."""

    operations: float
    bytes: float
    evaluation: float


# What is assumed of a device before anything was measured on it.
CPU_THREAD, GPU = Speed(3.2e11, 5e9, 0.004), Speed(6e13, 1.5e12, 0.003)
PROCESS_BYTES = 7 << 27  # torch and Python: 0.9 GB


@dataclass(frozen=True)
class Forecast:
    """Of one task: seconds on its device, bytes at the most (of the process on a CPU, of the GPU there), how its last
    scale will be computed, and whether it fits at all."""

    seconds: float
    bytes: int
    way: Way
    fits: bool


@dataclass(frozen=True)
class Total:
    """Of a run: seconds, the most bytes of any worker, how many tasks' last scales will be computed in strips, and how
    many tasks do not fit."""

    seconds: float
    bytes: int
    strips: int
    too_large: int


def speed_of(*, is_cpu: bool, threads: int) -> Speed:
    """What is assumed of a device."""
    return Speed(CPU_THREAD.operations * threads, CPU_THREAD.bytes, CPU_THREAD.evaluation) if is_cpu else GPU


def remember(task: Task, result: TaskResult, threads: int, *, highest: bool = True) -> None:
    """Learn from a task that was rendered, by itself and in one go.

    ``highest``: no task before took as much memory of the same process, which keeps some of it.
    """
    alone = result.together == 1 and "+" not in result.device
    whole = result.status == "done" and alone and not result.resumed and not result.given_up
    if not whole or not result.scales or result.seconds <= 0:
        return
    settings, is_cpu = task.settings, not result.device.startswith("cuda")
    kept = "bf16" if result.history_precision == "bf16" else settings.history_precision
    scales = list[tuple[Stage, Way]]()
    for width, height, evaluations in result.scales:
        last = (width, height) == (result.width, result.height)
        rows = -(-height // result.strips) if last and result.strips else None
        scales.append((Stage(width, height, evaluations, 1.0), Way(rows, settings.pairs(evaluations), kept)))
    seconds = seconds_of(settings, scales, speed_of(is_cpu=is_cpu, threads=threads))
    most = max(stage_bytes(settings, stage.width, stage.height, way) for stage, way in scales)
    most += network_bytes(settings) if is_cpu else 0
    device, pixels = device_name(result.device, threads), result.width * result.height
    note(Measurement(device, pixels, result.seconds, seconds, result.peak_memory_bytes * highest, most))


class Forecaster:
    """Looks ahead for the tasks of a run.

    Args:
        devices: of the run, as the pipeline file has them; empty: auto.
        threads: of each CPU worker; None: an equal share of the cores.
        tile: ``run.tile``.
        memory: ``run.memory_limit`` in bytes; None: what is free.
        together: ``run.devices_per_task``.
        file: where measurements are kept; None: the user's cache.
    """

    def __init__(
        self,
        devices: Sequence[str],
        threads: int | None,
        tile: int | str,
        memory: int | None,
        together: int = 1,
        file: Path | None = None,
    ) -> None:
        self.here = here(devices, threads, together)
        self._together = together
        self._speed = speed_of(is_cpu=self.here.is_cpu, threads=self.here.threads)
        self._tile = tile
        self._known = [each for each in read(file) if each.device == self.here.name]
        base = self._process_bytes()
        room = SHARE * free() / self.here.workers if self.here.is_cpu else math.inf
        self._limit = min(room, math.inf if memory is None else memory) - (base if self.here.is_cpu else 0)
        self._base = base
        self._of = lru_cache(maxsize=65536)(self._forecast)
        self._scales = lru_cache(maxsize=4096)(self._scale_times)

    @property
    def is_measured(self) -> bool:
        """Whether anything is known of devices like these."""
        return bool(self._known)

    def of(self, task: Task) -> Forecast | None:
        """Of one task; None where its content's size is not known."""
        content = task.content
        return self._of(task.settings, content.width, content.height) if content.width else None

    def seconds(self, task: Task) -> float | None:
        """The seconds of one task; None where its content's size is not known."""
        found = self.of(task)
        return found.seconds if found else None

    def share(self, task: Task, step: int) -> float:
        """How much of a task's work is done after so many evaluations, 0 to 1: those at coarse scales take less."""
        steps, content = task.settings.steps, task.content
        if not content.width:
            return min(1.0, step / steps)
        scales = self._scales(task.settings, content.width, content.height)
        made = worked = 0.0
        for evaluations, seconds in scales:
            worked += seconds * min(1.0, max(0.0, (step - made) / evaluations))
            made += evaluations
        return worked / sum(seconds for _, seconds in scales)

    def _scale_times(self, settings: TransferSettings, width: int, height: int) -> list[tuple[int, float]]:
        """The evaluations of each scale, and what they take if each is computed whole."""
        return [
            (scale.steps, evaluations_seconds(settings, scale, Way(None, settings.pairs(scale.steps)), self._speed))
            for scale in stages(width, height, settings)
        ]

    def total(self, tasks: TaskTable, rows: Ints) -> Total:
        """Of many; as if the longest came first, and workers never waited."""
        kinds = [(each, kind.tasks) for kind in tasks.kinds(rows) if (each := self.of(tasks[kind.row]))]
        longest = max((each.seconds for each, _ in kinds), default=0.0)
        together = sum(each.seconds * count for each, count in kinds)
        return Total(
            max(longest, together / self.here.workers),
            max((each.bytes for each, _ in kinds), default=0),
            sum(count for each, count in kinds if each.way.rows is not None),
            sum(count for each, count in kinds if not each.fits),
        )

    def _forecast(self, settings: TransferSettings, width: int, height: int) -> Forecast:
        scales, network = stages(width, height, settings), network_bytes(settings) if self.here.is_cpu else 0
        room, apart = self._limit - network, not self.here.is_cpu
        found = [(scale, *way_that_fits(settings, scale, room, self._tile, apart=apart)) for scale in scales]
        seconds = seconds_of(settings, [(scale, way) for scale, way, _ in found], self._speed)
        most = max(stage_bytes(settings, scale.width, scale.height, way) for scale, way, _ in found)
        pixels = scales[-1].width * scales[-1].height
        # What is nearly full may still do; what the optimiser alone takes more than there is cannot.
        fits = self._limit - network >= kept_bytes(settings, scales[-1].width, scales[-1].height, found[-1][1])
        shared = 1 if self._together == 1 else max(1, SHARED * min(self._together, scales[-1].height // LEAST_BAND))
        return Forecast(seconds * self._factor(pixels) / shared, self._base + network + most, found[-1][1], fits)

    def _factor(self, pixels: int) -> float:
        """What was measured against what was expected, mostly of pictures of about that size; 1 where nothing was."""
        weights = [(1 / (1 + (math.log2(each.pixels / pixels) / _NEAR) ** 4), each) for each in self._known]
        total = sum(weight for weight, _ in weights)
        logs = sum(weight * math.log(each.seconds / each.expected_seconds) for weight, each in weights)
        return math.exp(logs / total) if weights else 1.0

    def _process_bytes(self) -> int:
        """What a process takes beside what is counted."""
        found = [each.bytes - each.expected_bytes for each in self._known if each.bytes]
        return max(0, int(median(found))) if found else PROCESS_BYTES * self.here.is_cpu


def seconds_of(settings: TransferSettings, scales: Iterable[tuple[Stage, Way]], speed: Speed) -> float:
    """What a transfer takes on a device, if it is as fast as is assumed."""
    return _TASK_SECONDS + sum(evaluations_seconds(settings, stage, way, speed) for stage, way in scales)


def evaluations_seconds(settings: TransferSettings, stage: Stage, way: Way, speed: Speed) -> float:
    """What one of its scales takes."""
    computing = operations(settings, stage) / speed.operations * (1 if way.rows is None else STRIPS_TIME)
    moving = moved_bytes(settings, stage, min(way.pairs, stage.steps / 2)) / speed.bytes
    return (stage.steps + _MORE_EVALUATIONS) * (computing + moving + speed.evaluation)
