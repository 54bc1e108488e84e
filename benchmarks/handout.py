"""What handing out and recording a task costs: a run of many tasks whose transfers take no time.

Scheduler, worker processes, pipes, claims and manifest are the real ones. Of the worker, one thing is not: what
renders. Its double (``NoTransfer``) says what a renderer says, and makes no picture.
"""

from __future__ import annotations

import dataclasses
import io
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection
from pathlib import Path
from typing import Any

from rich.console import Console
from typing_extensions import override

from nst_batch.cli.progress import ProgressView
from nst_batch.paths import RunPaths
from nst_batch.planning.forecasts import Forecaster
from nst_batch.recorded.decisions import Decision, decide
from nst_batch.recorded.history import ManifestReader
from nst_batch.recorded.manifest import ManifestWriter
from nst_batch.recorded.writers import entered
from nst_batch.records import Losses, Source, Style, Task, TaskResult, Weights, utc_now
from nst_batch.running import scheduler, worker
from nst_batch.running.backlog import Backlog, News
from nst_batch.running.claims import Claims
from nst_batch.running.dealing import Dealer
from nst_batch.running.links import Pipe, Worker
from nst_batch.running.live import LiveFile
from nst_batch.running.messages import Job, Progress, WorkerOptions
from nst_batch.running.observers import Observer, Observers
from nst_batch.running.processes import WorkerProcess
from nst_batch.running.signals import StopSignals
from nst_batch.running.tally import Tally
from nst_batch.settings import TransferSettings

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1", "relu3_2", "relu4_2", "relu5_2")
STYLES = 1000
POINTS = 32  # of a curve
SHARES = (0.1, 0.5, 1.0)  # of a run, at which the scheduler's memory is noted
_WEIGHTS, _SETTINGS = Weights("random", "e" * 64), TransferSettings()


class NoTransfer:
    """Stands in for ``renderer.Renderer``: every task is done as soon as it comes, with a line of the usual length."""

    note = ""
    memory = 0

    def __init__(self, _: WorkerOptions, device: str, seconds: float = 0.0) -> None:
        chance = random.Random(1)
        names = ("content", "style", "tv", *(f"style/{layer}" for layer in LAYERS))
        layers = {layer: chance.random() for layer in LAYERS}
        self._seconds = seconds
        self._like = TaskResult(
            "", "done", "", losses=Losses(1.25, 0.5, 0.75, {"content": {"relu4_2": 0.5}, "style": layers}),
            curve=tuple((place * 16, chance.random()) for place in range(POINTS)),
            terms={name: tuple(chance.random() for _ in range(POINTS)) for name in names},
            evaluations=500, scales=((64, 64, 200), (128, 128, 300)), precision="fp32", width=128, height=128,
            sha256="f" * 64, seconds=seconds, history=100, history_precision="fp32", device=device, host="host",
            versions={"nst_batch": "0", "torch": "0", "torchvision": "0", "python": "0"},
        )  # fmt: skip

    def render(
        self, jobs: Sequence[Job], on_progress: Callable[[Progress], None], on_result: Callable[[TaskResult], None]
    ) -> None:
        """As a renderer that reports its first and its last evaluation."""
        ids, started = tuple(job.task.id for job in jobs), utc_now()
        on_progress(Progress(ids, 1, 500, 2.0, 100.0))
        if self._seconds:
            time.sleep(self._seconds)
        on_progress(Progress(ids, 500, 500, 1.25, 100.0))
        for job in jobs:
            task = job.task
            now = utc_now()
            on_result(
                dataclasses.replace(
                    self._like, task=task.id, output=task.output, attempt=job.attempt, started=started, finished=now
                )
            )

    def wait(self) -> None:
        """There are no files."""

    def read_ahead(self, tasks: Sequence[Task]) -> None:
        """There is nothing to read."""


def work(pipe: Pipe, options: WorkerOptions, device: str, seconds: float = 0.0) -> None:
    """What a worker process of a benchmark does."""
    worker.main(pipe, options, device, partial(NoTransfer, seconds=seconds))


class Made(Sequence[Decision]):
    """Tasks that are made when they are asked for, as a plan of a million is kept."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        if not 0 <= place < self._count:
            raise IndexError(place)
        return decision(place)

    def hand_out_order(self) -> Sequence[int]:
        """See ``Todo``."""
        return range(self._count)

    def place_of(self, output: str) -> int | None:
        """See ``Todo``."""
        content, _, style = output.removesuffix(".png").partition("/s")
        return int(content.removeprefix("c")) * STYLES + int(style)

    def kinds(self) -> list[tuple[Task, int]]:
        """See ``Todo``."""
        return [(decision(0).task, self._count)]


def decision(number: int) -> Decision:
    """A task of a thousand styles, and of as many contents as it takes."""
    content, style = divmod(number, STYLES)
    return Decision(
        Task(
            f"{number:032x}",
            Source(f"/data/content/c{content:06}.png", f"{content:064x}", 100_000, 128, 128),
            (Style(Source(f"/data/style/s{style:04}.png", f"{style:064x}", 100_000, 128, 128)),),
            _SETTINGS, _WEIGHTS, f"c{content:06}/s{style:04}.png", cost=1e12,
        ),
        "todo", "new",
    )  # fmt: skip


class _Watch(Observer):
    """Notes when a run began and ended, and the scheduler's memory meanwhile."""

    def __init__(self, tasks: int, until: int, stop: StopSignals) -> None:
        self._marks = [max(1, int(share * until)) for share in SHARES]
        self._stop_at = until if until < tasks else None
        self._stop = stop
        self.begun = self.ended = self.processor = 0.0
        self.done = 0
        self.memory: list[int] = []

    @override
    def started(self, slot: int, device: str, decisions: Sequence[Decision]) -> None:
        if not self.begun:
            self.begun, self.processor = time.perf_counter(), time.process_time()

    @override
    def finished(self, slot: int, result: TaskResult, final: bool) -> None:
        self.done += 1
        if self._marks and self.done == self._marks[0]:
            self._marks.pop(0)
            self.memory.append(resident())
        self.ended = time.perf_counter()
        if self.done == self._stop_at:
            self._stop.stop("the benchmark")


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Spent:
    """Seconds, and how often."""

    seconds: dict[str, float]
    times: Counter[str]


@contextmanager
def timed(parts: dict[str, tuple[object, str]]) -> Iterator[Spent]:
    """What is spent in methods, by the names of ``parts``, while this is entered."""
    spent = Spent(dict.fromkeys(parts, 0.0), Counter())
    before = {}
    for name, (owner, method) in parts.items():
        before[name] = getattr(owner, method)

        def clocked(*arguments: Any, _real: Any = before[name], _name: str = name, **named: Any) -> Any:
            begun = time.perf_counter()
            try:
                return _real(*arguments, **named)
            finally:
                spent.seconds[_name] += time.perf_counter() - begun
                spent.times[_name] += 1

        setattr(owner, method, clocked)
    try:
        yield spent
    finally:
        for name, (owner, method) in parts.items():
            setattr(owner, method, before[name])


def measure(
    folder: Path, *, tasks: int, until: int | None = None, workers: int = 2, seconds: float = 0.0
) -> dict[str, Any]:
    """A run of so many tasks; it is stopped after ``until``. ``seconds``: that a transfer sleeps."""
    folder.mkdir(parents=True, exist_ok=True)
    paths, until = RunPaths(folder), tasks if until is None else until
    before, called = resident(), time.perf_counter()
    todo = Made(tasks)
    reader = ManifestReader(paths)
    forecaster = Forecaster(["cpu"] * workers, 1, "auto", None, file=folder / "measured")
    with entered(paths) as writer, StopSignals() as stop:
        reader.follow(writer.name, writer.is_alive)
        tally = Tally(todo, 0, workers, forecaster)
        watch = _Watch(tasks, until, stop)
        view = ProgressView(tally, Console(file=io.StringIO()))
        with LiveFile(paths, writer.name, tally) as live:
            run = scheduler.Scheduler(
                paths, WorkerOptions(folder, _WEIGHTS, 1, batch=1), ["cpu"] * workers, 2, 600.0, writer,
                News(reader.more, partial(_decide, reader, paths)), Observers(tally, live, view, watch), stop,
                start=partial(_start, seconds),
            )  # fmt: skip
            with timed(_PARTS) as spent:
                run.run(todo, {})
    took = watch.ended - watch.begun
    return {
        "tasks": tasks, "done": watch.done, "seconds": took, "per_second": watch.done / took,
        "first_after": watch.begun - called,
        "processor_ms": (time.process_time() - watch.processor) / watch.done * 1e3,
        "parts_ms": {name: each / watch.done * 1e3 for name, each in spent.seconds.items()},
        "memory_before": before, "memory": watch.memory, "syncs": spent.times["of that, flush"],
    }  # fmt: skip


def _start(seconds: float, slot: int, device: str, options: WorkerOptions) -> Worker:
    return WorkerProcess(slot, device, options, partial(work, seconds=seconds))


def _decide(reader: ManifestReader, paths: RunPaths, task: Task) -> Decision:
    (found,) = decide([task], reader.history, paths, retries=2)
    return found


_PARTS: dict[str, tuple[object, str]] = {
    "hand out": (Dealer, "deal"),
    "of that, claim": (Claims, "take"),
    "of that, heed others": (Backlog, "_heed"),
    "of that, tell workers": (Worker, "give"),
    "listen": (scheduler.Scheduler, "_listen"),
    "of that, wait": (connection, "wait"),
    "of that, manifest": (ManifestWriter, "extend"),
    "of that, flush": (os, "fdatasync"),
    "of that, let go": (Claims, "release"),
    "of that, tell observers": (Observers, "finished"),
}
