"""A worker: one process, one device, one loaded VGG-19; tasks come in, results go out, nothing is raised.

``Renderer`` does the work and is also what ``run --inline`` uses; ``main`` is the process around it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from multiprocessing import connection, parent_process
from pathlib import Path

import torch

from nst_batch import __version__
from nst_batch.checkpoints import Checkpoints
from nst_batch.errors import CompileError, DivergedError, Interrupted, NstError
from nst_batch.finishing import Finisher, OnResult
from nst_batch.messages import Broken, Job, Jobs, Note, Progress, Ready, Soon, WorkerOptions
from nst_batch.paths import RunPaths
from nst_batch.records import Failure, Source, Task, TaskResult, utc_now
from nst_batch.transfer.images import load_picture
from nst_batch.transfer.member import Request
from nst_batch.transfer.pictures import Picture, StylePart, decode
from nst_batch.transfer.snapshot import State
from nst_batch.transfer.stylize import Stylizer

REPORT_SECONDS = 0.2  # between two Progress messages: often enough for eyes, rare enough to cost nothing
CHECKPOINT_SECONDS = 60.0  # between two checkpoints: what a crash may cost
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
        device: as torch names it.

    Raises:
        WeightsError: the weights cannot be loaded.
        CompileError: ``compile: on``, and there is nothing to compile with.
    """

    def __init__(self, options: WorkerOptions, device: str) -> None:
        torch.set_num_threads(options.threads)
        self._options = options
        self._device = device
        self._stylizer = Stylizer(options.weights, device, compiled=options.compile != "off")
        if options.compile == "on" and self.note:
            raise CompileError(self.note, hint="install a C++ compiler (c++, g++ or clang++), or set run.compile: auto")
        self._finisher = Finisher(RunPaths(options.root))
        self._checkpoints = Checkpoints(RunPaths(options.root))
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="reader")

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
        """Read these tasks' pictures in another thread, so that they are there when they are wanted."""
        for task in tasks:
            for source in (task.content, *(style.source for style in task.styles)):
                self._reader.submit(decode, self._picture(source), self._stylizer.cache)  # errors come up again in time

    def _render(self, jobs: Sequence[Job], on_progress: OnProgress, on_result: OnResult) -> None:
        """All at once; where that fails, for whatever reason, in two halves, until each is by itself."""
        begun, started = time.perf_counter(), utc_now()
        requests: list[Request] = []
        _reset_peak_memory(self._device)

        def common(job: Job) -> TaskResult:
            return TaskResult(
                job.task.id, "failed", job.task.output, attempt=job.attempt, started=started, finished=utc_now(),
                seconds=(time.perf_counter() - begun) / len(jobs), together=len(jobs), device=self._device_name(),
                host=socket.gethostname(), versions=VERSIONS, peak_memory_bytes=_peak_memory(self._device),
                resumed=_made(requests),
            )  # fmt: skip

        try:
            for job in jobs:
                self._finisher.check(job)
            requests = self._requests(jobs)
            reporter = _Reporter([job.task for job in jobs], on_progress, self._checkpoints)
            stylized = self._stylizer.transfer_all(requests, reporter)
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - one bad task never stops a batch, whatever went wrong
            failure = Failure.of(error)  # and no more of it: its frames hold on to the memory of what went wrong
        else:
            self.wait()  # for the files of those before: no more pictures than these are ever kept
            for job, each in zip(jobs, stylized, strict=True):
                if isinstance(each, DivergedError):
                    self._fail(job, common(job), Failure.of(each), on_result)
                else:
                    self._finisher.finish(job, each, common(job), on_result)
            return
        if len(jobs) == 1:
            self._fail(jobs[0], common(jobs[0]), failure, on_result)
            return
        half = len(jobs) // 2
        self._render(jobs[:half], on_progress, on_result)
        self._render(jobs[half:], on_progress, on_result)

    def _requests(self, jobs: Sequence[Job]) -> list[Request]:
        """What the jobs ask for; one alone goes on where it was."""
        requests = [self._request(job.task) for job in jobs]
        if len(jobs) > 1:
            return requests
        state = self._checkpoints.find(jobs[0].task, torch.device(self._device))
        return [dataclasses.replace(requests[0], resumed=state)]

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
        on_result(dataclasses.replace(common, error=failure, peak_memory_bytes=0))

    def _device_name(self) -> str:
        if self._device.startswith("cuda"):
            return f"{self._device} ({torch.cuda.get_device_name(self._device)})"
        return self._device


def _made(requests: Sequence[Request]) -> int:
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
        self._begun = self._reported = self._kept = time.perf_counter()
        self._first: int | None = None
        self._told_to_stop: Interrupted | None = None
        self._patience = SEARCH_PATIENCE

    def __call__(self, step: int, losses: list[float], states: Callable[[], list[State] | None]) -> None:
        """See ``OnSteps``."""
        now = time.perf_counter()
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
        elif now - self._kept >= CHECKPOINT_SECONDS and self._keep(states):
            self._kept = now

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


def _reset_peak_memory(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the high-water mark of resident memory


def _peak_memory(device: str) -> int:
    """Bytes: of the GPU's allocator for this task, or resident in this process (on Linux, for this task)."""
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(device))
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        scale = 1 if platform.system() == "Darwin" else 1024  # macOS counts bytes, others KiB
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


# --- the process ------------------------------------------------------------------------------------------------------


def main(pipe: connection.Connection[object, object], options: WorkerOptions, device: str) -> None:
    """A worker process: until its pipe closes, or says ``Stop``, take Jobs and send back a TaskResult for each.

    Between, send Progress. Signals are the scheduler's business: a terminal's Ctrl-C and a cluster's SIGTERM reach
    every process of a run, and workers must not die of them before they have been told to stop.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _leave_with_parent()
    one_at_a_time = threading.Lock()  # results come from another thread

    def send(message: object) -> None:
        with one_at_a_time:
            pipe.send(message)

    try:
        renderer = Renderer(options, device)
    except NstError as error:
        send(Broken(str(error), error.hint))
        return

    def on_progress(progress: Progress) -> None:
        send(progress)
        while pipe.poll():
            message = pipe.recv()
            if not isinstance(message, Soon):
                raise Interrupted("told to stop")
            renderer.read_ahead(message.tasks)

    def tell_note(said: str) -> str:
        note = renderer.note
        if note != said:
            send(Note(f"worker on {device}: {note}"))
        return note

    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        said = tell_note("")
        with contextlib.suppress(Interrupted):
            send(Ready(renderer.memory))
            while isinstance(message := pipe.recv(), Jobs | Soon):
                if isinstance(message, Soon):
                    renderer.read_ahead(message.tasks)
                    continue
                renderer.render(message.jobs, on_progress, send)
                said = tell_note(said)
                send(Ready(renderer.memory))
        renderer.wait()


def _leave_with_parent() -> None:
    """End this process at once when the scheduler's ends, however it ends: nobody is left to record a result."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(0)  # threads of torch may be deep in a kernel; files are safe at any moment

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
