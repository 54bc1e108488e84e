"""Tasks in, pictures and results out, on one device; nothing is raised for a task's sake.

Workers use it, and ``run --inline``.
"""

from __future__ import annotations

import contextlib
import math
import platform
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import torch

from nst_batch import __version__
from nst_batch.demands import fewer_rows, least_bytes, thrifty
from nst_batch.errors import CompileError, DivergedError, Interrupted, MemoryRanOut
from nst_batch.memory import SHARE, free, has_run_out, in_words, peak, reset_peak
from nst_batch.paths import RunPaths
from nst_batch.records import Failure, Source, Task, TaskResult, utc_now
from nst_batch.running import awake
from nst_batch.running.checkpoints import Checkpoints
from nst_batch.running.finishing import Finisher, OnResult
from nst_batch.running.messages import Job, Progress, WorkerOptions
from nst_batch.settings import TransferSettings
from nst_batch.sizes import Stage, size_of
from nst_batch.transfer.images import Decoded, load_picture
from nst_batch.transfer.member import Request, Stylized
from nst_batch.transfer.pictures import Picture, StylePart, decode
from nst_batch.transfer.snapshot import State
from nst_batch.transfer.stylize import Stylizer

REPORT_SECONDS = 0.2  # between two Progress messages: often enough for eyes, rare enough to cost nothing
CHECKPOINT_SECONDS = 60.0  # between two checkpoints: what a crash may cost
CHECKPOINT_PATIENCE = 20.0  # times as long as writing one took: a large history takes gigabytes
SEARCH_PATIENCE = 50  # evaluations after being told to stop, until a line search comes to an end

VERSIONS = {
    "nst_batch": __version__,
    "torch": torch.__version__,
    "torchvision": metadata.version("torchvision"),
    "python": platform.python_version(),
}

OnProgress = Callable[[Progress], None]


class Renderer:
    """Renders tasks on one device.

    Args:
        options: of the run; pictures are written below its root.
        device: as torch names it; with ``+`` between them, several that share large pictures.

    Raises:
        WeightsError: the weights cannot be loaded.
        CompileError: ``compile: on``, and there is nothing to compile with.
    """

    def __init__(self, options: WorkerOptions, device: str) -> None:
        torch.set_num_threads(options.threads)
        self._options = options
        self._devices, self._device = device, device.partition("+")[0]
        compiled = options.compile != "off"
        self._stylizer = Stylizer(
            options.weights, device, compiled=compiled, tile=options.tile, memory=options.memory,
            sharing=options.sharing,
        )  # fmt: skip
        if options.compile == "on" and self.note:
            raise CompileError(
                f"run.compile: on, but {self.note}",
                hint="install a C++ compiler (c++, g++ or clang++), or set run.compile: auto",
            )
        self._finisher = Finisher(RunPaths(options.root), sidecars=options.labels)
        self._checkpoints = Checkpoints(RunPaths(options.root))
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._coming: list[Future[Decoded]] = []

    @property
    def note(self) -> str:
        """What a person should know of this device; empty where all is well."""
        return self._stylizer.note

    @property
    def memory(self) -> int:
        """Free bytes of the GPU; 0 on a CPU."""
        return torch.cuda.mem_get_info(self._device)[0] if self._device.startswith("cuda") else 0

    def render(self, jobs: Sequence[Job], on_progress: OnProgress, on_result: OnResult) -> None:
        """Render tasks, together as far as it pays. Results are told when their files are in place; see ``wait``.

        Args:
            jobs: of one shape, with the same settings but for seeds and starts; see ``batches``.
            on_progress: told now and then.
            on_result: told of each task, in another thread. Errors become failed results.

        What was begun by a run before goes on where it was, alone.

        Raises:
            Interrupted: by ``on_progress``; checkpoints were written, so that nothing is lost.
        """
        begun = [job for job in jobs if len(jobs) > 1 and self._checkpoints.has(job.task)]
        for job in begun:
            self._render([job], on_progress, on_result)
        jobs = [job for job in jobs if job not in begun]
        at_once = len(jobs)
        if at_once > 1 and self._options.batch is None:
            with contextlib.suppress(Exception):  # a picture that cannot be read is each task's own affair
                at_once = self._stylizer.at_once(self._request(jobs[0].task), at_once)
        for first in range(0, len(jobs), max(1, at_once)):
            self._render(jobs[first : first + at_once], on_progress, on_result)

    def wait(self) -> None:
        """Until the files of all tasks rendered so far are in place."""
        self._finisher.wait()

    def read_ahead(self, tasks: Sequence[Task]) -> None:
        """Read these tasks' pictures in another thread, so that they are there when they are wanted.

        What was asked for before and not begun is given up: who wants it by now reads it.
        """
        for each in self._coming:
            each.cancel()
        pictures = [
            self._picture(source)
            for task in tasks
            for source in (task.content, *(style.source for style in task.styles))
        ]
        self._coming = [  # errors come up again in time
            self._reader.submit(decode, picture, self._stylizer.cache) for picture in pictures
        ]

    def _render(
        self, jobs: Sequence[Job], on_progress: OnProgress, on_result: OnResult, saving: Saving | None = None
    ) -> None:
        """All at once; where that fails, for whatever reason, in two halves, until each is by itself.

        One alone for which memory runs out is tried again with less of a history.
        """
        saving, clock = saving or Saving.of(jobs), _Clock()
        reset_peak(self._device)

        def common(job: Job, resumed: int) -> TaskResult:
            return TaskResult(
                job.task.id, "failed", job.task.output, attempt=job.attempt, started=clock.started, finished=utc_now(),
                seconds=clock.seconds / len(jobs), together=len(jobs), device=self._device_name(),
                host=socket.gethostname(), versions=VERSIONS, peak_memory_bytes=peak(self._device),
                resumed=resumed, given_up=saving.given_up,
            )  # fmt: skip

        made = self._try(jobs, saving, on_progress)
        if isinstance(made, _Failed):
            self._after_failure(jobs, made, saving, on_progress, on_result, common)
            return
        self.wait()  # for the files of those before: no more pictures than these are ever kept
        for job, each in zip(jobs, made.stylized, strict=True):
            if isinstance(each, DivergedError):
                self._fail(job, common(job, made.resumed), Failure.of(each), on_result)
            else:
                self._finisher.finish(job, each, common(job, made.resumed), on_result)

    def _try(self, jobs: Sequence[Job], saving: Saving, on_progress: OnProgress) -> _Made | _Failed:
        resumed = 0
        try:
            for job in jobs:
                self._finisher.check(job)
            requests = self._requests(jobs, saving)
            resumed = _resumed(requests)
            reporter = _Reporter([job.task for job in jobs], on_progress, self._checkpoints)
            return _Made(self._stylizer.transfer_all(requests, reporter, saving.rows), resumed)
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - one bad task never stops a batch, whatever went wrong
            # And no more of it than this: its frames hold on to the memory of what went wrong.
            return _Failed(Failure.of(error), has_run_out(error), resumed)

    def _after_failure(
        self,
        jobs: Sequence[Job],
        failed: _Failed,
        saving: Saving,
        on_progress: OnProgress,
        on_result: OnResult,
        common: Callable[[Job, int], TaskResult],
    ) -> None:
        less = None
        if failed.ran_out:
            self._stylizer.free_memory()
            less = saving.less(len(jobs), size_of(jobs[0].task)[1], tile=self._options.tile != "off")
        if len(jobs) > 1:
            half = len(jobs) // 2
            self._render(jobs[:half], on_progress, on_result, less)
            self._render(jobs[half:], on_progress, on_result, less)
        elif less is not None:
            self._render(jobs, on_progress, on_result, less)
        else:
            (job,) = jobs
            failure = Failure.of(self._too_large(job.task, saving)) if failed.ran_out else failed.failure
            self._fail(job, common(job, failed.resumed), failure, on_result)

    def _too_large(self, task: Task, saving: Saving) -> MemoryRanOut:
        """What would fit instead."""
        (width, height), there = size_of(task), self.memory or free()
        wanted = least_bytes(saving.settings, Stage(width, height, saving.settings.steps, 1.0), self._options.tile)
        scale = math.sqrt(SHARE * there / max(wanted, 1))
        would = f"; about {int(width * scale)} x {int(height * scale)} would fit" if scale < 1 else ""
        return MemoryRanOut(
            f"memory ran out at {width} x {height} pixels, which take about {in_words(wanted)} at least, "
            f"and {in_words(there)} are free{would}",
            hint="use a smaller transfer.size, or fewer workers",
        )

    def _requests(self, jobs: Sequence[Job], saving: Saving) -> list[Request]:
        """What the jobs ask for; one alone goes on where it was."""
        requests = [saving.applied_to(self._request(job.task)) for job in jobs]
        if len(jobs) > 1:
            return requests
        state = self._checkpoints.find(jobs[0].task)
        return [replace(requests[0], resumed=state)]

    def _request(self, task: Task) -> Request:
        return Request(
            self._picture(task.content),
            tuple(StylePart(self._picture(style.source), style.weight, style.region) for style in task.styles),
            task.settings,
            seed=task.seed,
            start=self._picture(task.start) if task.start else None,
        )

    def _picture(self, source: Source) -> Picture:
        mask = self._picture(source.mask) if source.mask else None
        path, limits = Path(source.path), self._options.limits
        return Picture(source.digest, lambda: load_picture(path, source.digest, limits), source.path, mask)

    def _fail(self, job: Job, common: TaskResult, failure: Failure, on_result: OnResult) -> None:
        if not failure.transient:
            self._checkpoints.drop(job.task)
        on_result(replace(common, error=failure, peak_memory_bytes=0))

    def _device_name(self) -> str:
        if self._device.startswith("cuda"):
            return f"{self._devices} ({torch.cuda.get_device_name(self._device)})"
        return self._devices


@dataclass(frozen=True)
class _Made:
    stylized: list[Stylized | DivergedError]
    resumed: int  # evaluations that were made before


@dataclass(frozen=True)
class _Failed:
    failure: Failure
    ran_out: bool
    resumed: int


class _Clock:
    """When it was begun, and how long ago; pauses do not count."""

    def __init__(self) -> None:
        self.started = utc_now()
        self._begun = awake.seconds()

    @property
    def seconds(self) -> float:
        return awake.seconds() - self._begun


@dataclass(frozen=True)
class Saving:
    """How tasks are rendered where memory is short: so many rows at a time (None: as the run has it), and with settings
    of which all but the history are the tasks' own."""

    settings: TransferSettings
    rows: int | None = None
    given_up: tuple[str, ...] = ()

    @classmethod
    def of(cls, jobs: Sequence[Job]) -> Saving:
        """Nothing is saved, unless workers were killed for want of memory with one of these in hand."""
        saving = cls(jobs[0].task.settings)
        for _ in range(max(job.thrift for job in jobs)):
            saving = saving.less(1, size_of(jobs[0].task)[1]) or saving
        return saving

    def less(self, together: int, height: int, *, tile: bool = True) -> Saving | None:
        """What to try next: what costs no quality first. None: nothing is left to be saved.

        Args:
            together: tasks that were rendered together.
            height: of their pictures.
            tile: whether they may be computed in strips.
        """
        if together > 1:
            return self._without(f"together {together} -> {-(-together // 2)}")
        rows = fewer_rows(height, self.rows) if tile and self.rows is None else None
        if rows is not None:
            return replace(self._without(f"rows {height} -> {rows}"), rows=rows)
        settings = thrifty(self.settings)
        if settings is None:
            return None
        before = self.settings.pairs(self.settings.steps)
        return replace(self._without(f"history {before} -> {settings.history}"), settings=settings)

    def _without(self, what: str) -> Saving:
        return replace(self, given_up=(*self.given_up, what))

    def applied_to(self, request: Request) -> Request:
        """The request, with less of a history."""
        return replace(request, settings=replace(request.settings, history=self.settings.history))


def _resumed(requests: Sequence[Request]) -> int:
    """Evaluations that were made before."""
    state = requests[0].resumed if len(requests) == 1 else None
    return 0 if state is None else int(state["evaluations"]) + int(state["loop"]["made"])


class _Reporter:
    """Turns evaluations into a Progress now and then, and into checkpoints now and then, and when told to stop."""

    def __init__(self, tasks: Sequence[Task], on_progress: OnProgress, checkpoints: Checkpoints) -> None:
        self._tasks = tasks
        self._on_progress = on_progress
        self._checkpoints = checkpoints
        self._steps = tasks[0].settings.steps
        self._begun = self._reported = self._kept = awake.seconds()
        self._interval = CHECKPOINT_SECONDS
        self._first: int | None = None
        self._told_to_stop: Interrupted | None = None
        self._patience = SEARCH_PATIENCE

    def __call__(self, step: int, losses: list[float], states: Callable[[], list[State] | None]) -> None:
        """See ``OnSteps``."""
        now = awake.seconds()
        first = self._first is None
        if self._first is None:
            self._first = step - 1
        if first or step == self._steps or now - self._reported >= REPORT_SECONDS:
            self._reported = now
            self._report(step, losses, (step - self._first) / max(now - self._begun, 1e-9))
        if self._told_to_stop is not None:
            self._patience -= 1
            if self._keep(states) or self._patience < 0:
                raise self._told_to_stop
        elif now - self._kept >= self._interval and self._keep(states):
            self._kept = awake.seconds()
            self._interval = max(CHECKPOINT_SECONDS, CHECKPOINT_PATIENCE * (self._kept - now))

    def _report(self, step: int, losses: list[float], rate: float) -> None:
        ids = tuple(task.id for task in self._tasks)
        progress = Progress(ids, step, self._steps, sum(losses) / len(losses), rate * len(ids))
        try:
            self._on_progress(progress)
        except Interrupted as told:
            self._told_to_stop = told

    def _keep(self, states: Callable[[], list[State] | None]) -> bool:
        """Write checkpoints; False in the middle of a line search. A disk that is full is no reason to stop."""
        found = states()
        for task, state in zip(self._tasks, found or (), strict=False):
            with contextlib.suppress(OSError):
                self._checkpoints.keep(task, state)
        return found is not None
