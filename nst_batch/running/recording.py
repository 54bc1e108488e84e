"""What becomes of tasks that come back: their lines, on disk before anything else, and then whether each is over or is
tried again."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from nst_batch.atomic import takes
from nst_batch.errors import ManifestError, NstError, StorageError, WorkerDied
from nst_batch.paths import RunPaths
from nst_batch.planning.forecasts import remember
from nst_batch.recorded.decisions import DEATHS_TO_QUARANTINE, Decision
from nst_batch.recorded.manifest import ManifestWriter
from nst_batch.records import Task, TaskResult
from nst_batch.running import awake
from nst_batch.running.backlog import Backlog
from nst_batch.running.messages import Job
from nst_batch.running.observers import Observer
from nst_batch.running.signals import StopSignals

WAKE_SECONDS = 0.25  # between two looks whether there is room again
HIGHER = 1.1  # peaks of memory, against those before, that are a task's own
REMEMBER_SECONDS = 1.0  # between two tasks of which what they took is remembered
ROOM_BYTES = 1 << 20  # what a disk has to take before a run goes on that found it full


@dataclass(frozen=True)
class Outcome:
    """What a run did: pictures rendered, tasks given up, whether a signal ended it early, tasks that another run did
    meanwhile, whether it made any step at all, and how many evaluations its pictures took."""

    rendered: int
    failed: int
    interrupted: bool
    elsewhere: int = 0
    moved: bool = True
    evaluations: int = 0


@dataclass(frozen=True)
class Ended:
    """A task that a worker has come to an end with, and the manifest's line about it."""

    slot: int
    job: Job
    result: TaskResult
    line: bytes

    @property
    def found_no_room(self) -> bool:
        """Whether a disk was full: not the task's fault, and no more to be recorded now than to be written."""
        return self.result.error is not None and self.result.error.type == StorageError.__name__


class Recorder:
    """Writes the manifest of a run, and keeps count.

    Args:
        paths: of the run.
        manifest: this process's part.
        backlog: what is left.
        retries: further tries after a passing failure.
        timeout: how long, in seconds, a full disk is waited for.
        threads: of each worker.
        observer: is told of each task once its line is on disk.
        signals: end the waiting.
    """

    def __init__(
        self,
        paths: RunPaths,
        manifest: ManifestWriter,
        backlog: Backlog,
        retries: int,
        timeout: float,
        threads: int,
        observer: Observer,
        signals: StopSignals,
    ) -> None:
        self._rendered = self._failed = self._elsewhere = self._evaluations = 0
        self._paths = paths
        self._manifest = manifest
        self._backlog = backlog
        self._retries = retries
        self._timeout = timeout
        self._threads = threads
        self._observer = observer
        self._signals = signals
        self._deaths: Counter[str] = Counter()  # by task id
        self._remembered = -math.inf
        self._peaks: dict[int, int] = {}  # by slot, in bytes

    def outcome(self, moved: bool) -> Outcome:
        """What became of the run so far."""
        return Outcome(
            self._rendered, self._failed, self._signals.seen, self._elsewhere, moved or self._rendered > 0,
            self._evaluations,
        )  # fmt: skip

    def elsewhere(self, decision: Decision) -> None:
        """Another run has brought a task to its end, and recorded that."""
        if decision.state == "done":
            self._elsewhere += 1
        else:
            self._failed += 1
        self._observer.elsewhere(decision)

    def record(self, ended: Iterable[Ended]) -> None:
        """Write the lines of all that came in together; then each task is what its line says.

        Raises:
            ManifestError: they cannot be recorded; everything recorded so far stands.
            StorageError: the disk was full or read-only for as long as it was waited for.
        """
        ended = list(ended)
        told = [each for each in ended if not each.found_no_room]
        self._append(deque(each.line for each in told))
        for each in told:
            self._conclude(each.slot, each.job, each.result)
        refused = [each for each in ended if each.found_no_room]
        for each in refused:
            self._backlog.put_back([each.job])
            self._observer.finished(each.slot, each.result, final=False)
        if refused:
            most = max((each.result for each in refused), key=lambda result: result.bytes)
            message = most.error.message if most.error else ""
            self._wait_for_room(StorageError(message, most.bytes), most.bytes)

    def _conclude(self, slot: int, job: Job, result: TaskResult) -> None:
        again = result.error is not None and result.error.transient and job.attempt <= self._retries
        if result.error is not None and result.error.type == WorkerDied.__name__:
            self._deaths[job.task.id] += 1
            again = again and self._deaths[job.task.id] < DEATHS_TO_QUARANTINE
        if result.status == "done":
            self._rendered += 1
            self._evaluations += result.evaluations - result.resumed
            self._remember(slot, job.task, result)
        elif again:
            self._backlog.rest(job)
        else:
            self._failed += 1
        if not again:
            self._backlog.over(job.task)
        self._observer.finished(slot, result, final=not again)

    def _remember(self, slot: int, task: Task, result: TaskResult) -> None:
        """What tasks take, now and then, for forecasts."""
        before = self._peaks.get(slot, 0)
        self._peaks[slot] = max(before, result.peak_memory_bytes)
        if time.monotonic() - self._remembered > REMEMBER_SECONDS:
            self._remembered = time.monotonic()
            remember(task, result, self._threads, highest=result.peak_memory_bytes > HIGHER * before)

    def _append(self, lines: deque[bytes]) -> None:
        while lines:
            try:
                self._manifest.extend(lines)
            except ManifestError as error:
                if not error.out_of_room or self._signals.seen:
                    raise
                self._wait_for_room(error, 0)

    def _wait_for_room(self, error: NstError, wanted: int) -> None:
        """Until the disk takes something again, or a signal comes: a night is not lost for an hour without room.

        Raises:
            NstError: ``error``, after as long as a worker may make no step.
        """
        self._observer.note(f"{error}: waiting for room, {self._timeout:g} s at most")
        deadline = awake.seconds() + self._timeout
        while not takes(self._paths.root, max(wanted, ROOM_BYTES)) and not self._signals.seen:
            if awake.seconds() > deadline:
                raise error
            time.sleep(WAKE_SECONDS)
            self._observer.tick()
