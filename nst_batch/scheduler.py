"""Hands tasks to workers, one process and one private pipe each, and outlives their deaths.

A shared queue would be left unusable by a process that dies holding its lock; with a pipe each, a death is seen at
once, the lost task is known, and nobody else is touched. Tasks are handed out as workers become free, longest
first, so that all finish together: one by one, or several of a kind to a GPU. Only this process writes the manifest.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from multiprocessing import connection

from nst_batch.atomic import takes
from nst_batch.backlog import Backlog, News
from nst_batch.batches import limit
from nst_batch.claims import Claims
from nst_batch.deadline import NEVER, Deadline
from nst_batch.deaths import lost_with
from nst_batch.decisions import DEATHS_TO_QUARANTINE, Decision
from nst_batch.errors import (
    Interrupted,
    ManifestError,
    NstError,
    StorageError,
    UsageError,
    WorkerDied,
)
from nst_batch.forecasts import remember
from nst_batch.links import LEAVE_SECONDS, Start, Worker
from nst_batch.manifest import ManifestWriter
from nst_batch.messages import Broken, Job, Note, Progress, Ready, WorkerOptions
from nst_batch.observers import Observer
from nst_batch.paths import RunPaths
from nst_batch.processes import WorkerProcess
from nst_batch.records import Task, TaskResult
from nst_batch.shares import ALONE, Part
from nst_batch.signals import StopSignals
from nst_batch.writers import Writer

WAKE_SECONDS = 0.25  # how late a signal or a retry may be noticed
HIGHER = 1.1  # peaks of memory, against those before, that are a task's own
REMEMBER_SECONDS = 1.0  # between two tasks of which what they took is remembered
ROOM_BYTES = 1 << 20  # what a disk has to take before a run goes on that found it full
TIME_LIMIT = "the time limit"
FALSE_STARTS = 3  # deaths in a row before a worker was ever ready, after which its device is given up


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


class Scheduler:
    """Renders tasks on several devices.

    Args:
        paths: of the run.
        options: for every worker.
        devices: one worker for each.
        retries: further tries after a passing failure.
        timeout: seconds without a step after which a worker is ended.
        writer: this process, in the run's folder.
        news: of others that write there.
        observer: is told what happens.
        stop: entered by the caller, so that a signal counts from the program's first moment.
        part: which of several schedulers this is that render the same tasks.
        deadline: when this one has to be over.
        start: begins a worker; a process of this machine, or an actor of another.
    """

    def __init__(
        self,
        paths: RunPaths,
        options: WorkerOptions,
        devices: Sequence[str],
        retries: int,
        timeout: float,
        writer: Writer,
        news: News,
        observer: Observer,
        stop: StopSignals,
        part: Part = ALONE,
        deadline: Deadline = NEVER,
        start: Start = WorkerProcess,
    ) -> None:
        self._paths = paths
        self._options = options
        self._devices = devices
        self._retries = retries
        self._timeout = timeout
        self._observer = observer
        self._signals = stop
        self._part = part
        self._deadline = deadline
        self._start = start
        self._claims = Claims(paths, writer)
        self._news = news
        self._manifest = ManifestWriter(paths, writer.name)
        self._backlog = self._backlog_of((), frozenset())
        self._deaths: Counter[str] = Counter()  # by task id
        self._false_starts: Counter[int] = Counter()  # by slot
        self._rendered = self._failed = self._elsewhere = self._evaluations = 0
        self._remembered = -math.inf
        self._peaks: dict[int, int] = {}  # by slot, in bytes
        self._patient = True
        self._moved = False

    def run(self, todo: Iterable[Decision], owned: Container[str]) -> Outcome:
        """Render every task of ``todo``; ``owned`` are the output names that the manifest knows.

        Raises:
            UsageError: no worker can work, for example since the weights cannot be loaded.
            WorkerDied: no worker comes up.
            ManifestError: a result cannot be recorded; everything recorded so far stands.
            StorageError: the disk was full or read-only for ``timeout`` seconds.
            KeyboardInterrupt: a second signal came; workers were killed.
        """
        self._backlog = self._backlog_of(todo, owned)
        workers: list[Worker] = []
        try:
            for slot in range(min(len(self._devices), self._backlog.waiting)):
                workers.append(self._start(slot, self._devices[slot], self._options))
            while self._unfinished(workers) and not self._signals.seen:
                self._hand_out(workers)
                self._listen(workers)
                self._end_stalled(workers)
                self._wait_for_others(workers)
                self._heed_deadline(workers)
                self._observer.tick()
            if self._signals.seen:
                self._stop(workers)
        finally:
            for each in workers:
                each.dismiss()
            for each in workers:
                each.bury()
            self._manifest.close()
            self._backlog.close()
        return self._outcome()

    def run_inline(self, todo: Iterable[Decision], owned: Container[str]) -> Outcome:
        """The same in this process, on the first device: for debuggers. A crash is a crash."""
        from nst_batch.renderer import Renderer

        self._backlog = self._backlog_of(todo, owned)
        device = self._devices[0]
        renderer = Renderer(self._options, device)
        if renderer.note:
            self._observer.note(renderer.note)

        def on_progress(progress: Progress) -> None:
            self._moved = True
            self._observer.progressed(0, progress)
            self._observer.tick()
            if self._signals.seen:
                raise Interrupted("told to stop")

        try:
            while self._backlog.unfinished and not self._signals.seen:
                batch, results = self._next_batch(renderer.memory, workers=1), list[TaskResult]()
                if not batch:
                    time.sleep(WAKE_SECONDS)
                    self._wait_for_others([])
                    continue
                self._tell_started(batch, 0, device)
                renderer.render(batch, on_progress, results.append)
                renderer.wait()
                jobs = {job.task.output: job for job in batch}
                for result in results:
                    self._record(0, jobs[result.output], result)
        except Interrupted:
            self._observer.note("stopped in the middle of a picture")
        finally:
            self._manifest.close()
            self._backlog.close()
        return self._outcome()

    def _backlog_of(self, todo: Iterable[Decision], owned: Container[str]) -> Backlog:
        return Backlog(todo, owned, self._claims, self._news, self._on_elsewhere, self._part)

    def _outcome(self) -> Outcome:
        moved = self._moved or self._rendered > 0
        return Outcome(self._rendered, self._failed, self._signals.seen, self._elsewhere, moved, self._evaluations)

    def _on_elsewhere(self, decision: Decision) -> None:
        if decision.state == "done":
            self._elsewhere += 1
        else:
            self._failed += 1
        self._observer.elsewhere(decision)

    def _unfinished(self, workers: list[Worker]) -> bool:
        return self._backlog.unfinished or any(each.jobs for each in workers)

    def _wait_for_others(self, workers: list[Worker]) -> None:
        """Heed other runs; when only they have tasks in hand, wait for what becomes of them."""
        self._backlog.look()
        if self._patient and self._backlog.elsewhere and not (self._backlog.waiting or any(w.jobs for w in workers)):
            self._patient = False
            self._observer.note(f"waiting for {self._backlog.elsewhere} that another run has in hand")

    def _hand_out(self, workers: list[Worker]) -> None:
        for each in workers:
            if not each.idle or self._keeps_to_itself(each):
                continue
            batch = self._next_batch(each.memory, len(workers))
            if batch and each.give(batch):
                self._tell_started(batch, each.slot, each.device)
                each.tell_soon(self._backlog.ahead((len(workers) - 1) * len(batch), len(batch)))
            else:
                self._backlog.put_back(batch)

    def _keeps_to_itself(self, each: Worker) -> bool:
        """What has failed before goes alone: nothing else is lost if it takes the worker down."""
        following = self._backlog.following
        again = any(job.attempt > 1 for job in each.jobs.values())
        return bool(each.jobs) and (again or (following is not None and following.attempt > 1))

    def _next_batch(self, memory: int, workers: int) -> list[Job]:
        """What a worker with so much memory gets next."""
        return self._deadline.batch(self._backlog, lambda task: limit(task, self._options.batch, memory), workers)

    def _heed_deadline(self, workers: list[Worker]) -> None:
        if not self._signals.seen and self._deadline.is_over(self._backlog, [each for each in workers if each.jobs]):
            self._signals.stop(TIME_LIMIT)

    def _tell_started(self, batch: Sequence[Job], slot: int, device: str) -> None:
        self._observer.started(slot, device, [self._backlog.decisions[job.task.output] for job in batch])

    def _listen(self, workers: list[Worker]) -> None:
        """Read what has come, within ``WAKE_SECONDS``; replace workers that have died."""
        by_sign = {sign: each for each in workers for sign in each.signs()}
        signs = connection.wait(list(by_sign), timeout=WAKE_SECONDS)
        for each in {by_sign[sign].slot: by_sign[sign] for sign in signs}.values():
            ended = each.has_ended()  # asked first: what it sent before is read below
            self._read(each)
            if ended:
                self._replace(each, workers)

    def _read(self, each: Worker) -> None:
        for message in each.messages():
            if isinstance(message, Progress):
                self._moved = True
                self._observer.progressed(each.slot, message)
            elif isinstance(message, TaskResult) and message.output in each.jobs:
                self._record(each.slot, each.jobs.pop(message.output), message)
            elif isinstance(message, Ready):
                each.ready = each.idle = True
                each.memory = message.memory
                self._false_starts[each.slot] = 0
            elif isinstance(message, Note):
                self._observer.note(message.text)
            elif isinstance(message, Broken):
                raise UsageError(message.message, message.hint)

    def _end_stalled(self, workers: list[Worker]) -> None:
        """A worker that hangs (a file server that does not answer, a driver in a loop) is treated as one that died."""
        for each in workers:
            if each.jobs and each.silent_for() > self._timeout:
                each.end(f"made no step for {self._timeout:g} s and was ended")

    def _record(self, slot: int, job: Job, result: TaskResult) -> None:
        """Write the line first; then the task is what the line says."""
        if result.error is not None and result.error.type == StorageError.__name__:
            self._backlog.put_back([job])  # not this task's fault, and no more to be recorded now than to be written
            self._observer.finished(slot, result, final=False)
            self._wait_for_room(StorageError(result.error.message, result.bytes), result.bytes)
            return
        self._append(job, result)
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
            remember(task, result, self._options.threads, highest=result.peak_memory_bytes > HIGHER * before)

    def _append(self, job: Job, result: TaskResult) -> None:
        while True:
            try:
                self._manifest.append(job.task, result)
            except ManifestError as error:
                if not error.out_of_room or self._signals.seen:
                    raise
                self._wait_for_room(error, 0)
            else:
                return

    def _wait_for_room(self, error: NstError, wanted: int) -> None:
        """Until the disk takes something again, or a signal comes: a night is not lost for an hour without room.

        Raises:
            NstError: ``error``, after as long as a worker may make no step.
        """
        self._observer.note(f"{error}: waiting for room, {self._timeout:g} s at most")
        deadline = time.monotonic() + self._timeout
        while not takes(self._paths.root, max(wanted, ROOM_BYTES)) and not self._signals.seen:
            if time.monotonic() > deadline:
                raise error
            time.sleep(WAKE_SECONDS)
            self._observer.tick()

    def _replace(self, each: Worker, workers: list[Worker]) -> None:
        """A worker has died: its tasks are known and tried again, and another takes its place if there is work."""
        each.bury()
        how = each.manner_of_death()
        workers.remove(each)
        each.pipe.close()
        self._observer.note(f"worker {each.slot} on {each.device} {how}")
        ran_out = each.was_killed_for_memory()
        if each.was_lost():
            self._hand_back(each)
        for job in each.jobs.values():
            self._record(each.slot, replace(job, thrift=job.thrift + ran_out), lost_with(each, job))
        if not each.ready:
            self._false_starts[each.slot] += 1
        if self._false_starts[each.slot] < FALSE_STARTS:
            if self._unfinished(workers):
                workers.append(self._start(each.slot, each.device, self._options))
        elif not workers:
            raise WorkerDied(
                f"no worker comes up: the last one, on {each.device}, {how}",
                hint="look at the messages above; `run --inline` shows the error in this process",
            )

    def _hand_back(self, each: Worker) -> None:
        """Its machine has gone, which is no failure of its tasks."""
        self._backlog.put_back(list(each.jobs.values()))
        for job in each.jobs.values():
            self._observer.finished(each.slot, lost_with(each, job), final=False)
        each.jobs.clear()

    def _stop(self, workers: list[Worker]) -> None:
        """After a first signal: every worker drops its tasks and leaves; results already on their way are kept."""
        again = "" if self._signals.patient else "; a second signal ends them at once"
        self._observer.note(f"stopping ({self._signals.reasons[0]}): workers finish their step{again}")
        for each in workers:
            each.tell_to_stop()
        deadline = time.monotonic() + LEAVE_SECONDS
        while time.monotonic() < deadline and not all(each.has_ended() for each in workers):
            connection.wait([each.signs()[1] for each in workers if not each.has_ended()], timeout=WAKE_SECONDS)
            for each in workers:
                self._read(each)
