"""Hands tasks to workers, one process and one private pipe each, and outlives their deaths.

A shared queue would be left unusable by a process that dies holding its lock; with a pipe each, a death is seen at
once, the lost task is known, and nobody else is touched. Tasks are handed out as workers become free, longest
first, so that all finish together: one by one, or several of a kind to a GPU. Only this process writes the manifest.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from multiprocessing import connection

from nst_batch.errors import Interrupted, UsageError, WorkerDied
from nst_batch.paths import RunPaths
from nst_batch.planning.shares import ALONE, Part
from nst_batch.recorded.decisions import Decision
from nst_batch.recorded.manifest import ManifestWriter, line
from nst_batch.recorded.rendered import Rendered
from nst_batch.recorded.writers import Writer
from nst_batch.records import TaskResult
from nst_batch.running import awake
from nst_batch.running.backlog import Backlog, News
from nst_batch.running.claims import Claims
from nst_batch.running.deadline import NEVER, Deadline
from nst_batch.running.dealing import Dealer
from nst_batch.running.deaths import lost_with
from nst_batch.running.links import LEAVE_SECONDS, Start, Worker
from nst_batch.running.messages import Broken, Finished, Job, Note, Progress, Ready, Returned, WorkerOptions
from nst_batch.running.observers import Observer
from nst_batch.running.processes import WorkerProcess
from nst_batch.running.recording import Ended, Outcome, Recorder
from nst_batch.running.signals import StopSignals

WAKE_SECONDS = 0.25  # how late a signal or a retry may be noticed
TIME_LIMIT = "the time limit"
FALSE_STARTS = 3  # deaths in a row before a worker was ever ready, after which its device is given up


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
        self._false_starts: Counter[int] = Counter()  # by slot
        self._patient = True
        self._moved = False
        self._begin((), {})

    def _begin(self, todo: Iterable[Decision], owned: Mapping[str, Rendered]) -> None:
        self._backlog = Backlog(
            todo, owned, self._claims, self._news, lambda each: self._recorder.elsewhere(each), self._part
        )
        self._dealer = Dealer(self._backlog, self._deadline, self._options, self._observer)
        self._recorder = Recorder(
            self._paths, self._manifest, self._backlog, self._retries, self._timeout, self._options.threads,
            self._observer, self._signals,
        )  # fmt: skip

    def run(self, todo: Iterable[Decision], owned: Mapping[str, Rendered]) -> Outcome:
        """Render every task of ``todo``; ``owned`` is what the manifest knows to stand at output names.

        Raises:
            UsageError: no worker can work, for example since the weights cannot be loaded.
            WorkerDied: no worker comes up.
            ManifestError: a result cannot be recorded; everything recorded so far stands.
            StorageError: the disk was full or read-only for ``timeout`` seconds.
            KeyboardInterrupt: a second signal came; workers were killed.
        """
        self._begin(todo, owned)
        workers: list[Worker] = []
        try:
            for slot in range(min(len(self._devices), self._backlog.waiting)):
                workers.append(self._start(slot, self._devices[slot], self._options))
            while self._unfinished(workers) and not self._signals.seen:
                self._dealer.deal(workers)
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
        return self._recorder.outcome(self._moved)

    def run_inline(self, todo: Iterable[Decision], owned: Mapping[str, Rendered]) -> Outcome:
        """The same in this process, on the first device: for debuggers. A crash is a crash."""
        from nst_batch.running.renderer import Renderer

        self._begin(todo, owned)
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
                picked, results = self._dealer.next_batch(renderer.memory, workers=1), list[TaskResult]()
                (batch,) = self._backlog.confirm([picked])
                if not batch:
                    if not picked:
                        time.sleep(WAKE_SECONDS)
                    self._wait_for_others([])
                    continue
                self._dealer.begin(batch, 0, device)
                renderer.render(batch, on_progress, results.append)
                renderer.wait()
                jobs = {job.task.output: job for job in batch}
                self._record((0, jobs[result.output], result) for result in results)
        except Interrupted:
            self._observer.note("stopped in the middle of a picture")
        finally:
            self._manifest.close()
            self._backlog.close()
        return self._recorder.outcome(self._moved)

    def _unfinished(self, workers: list[Worker]) -> bool:
        return self._backlog.unfinished or any(each.jobs for each in workers)

    def _wait_for_others(self, workers: list[Worker]) -> None:
        """Heed other runs; when only they have tasks in hand, wait for what becomes of them."""
        self._backlog.look()
        if self._patient and self._backlog.elsewhere and not (self._backlog.waiting or any(w.jobs for w in workers)):
            self._patient = False
            self._observer.note(f"waiting for {self._backlog.elsewhere} that another run has in hand")

    def _heed_deadline(self, workers: list[Worker]) -> None:
        if not self._signals.seen and self._deadline.is_over(self._backlog, [each for each in workers if each.jobs]):
            self._signals.stop(TIME_LIMIT)

    def _listen(self, workers: list[Worker]) -> None:
        """Read what has come, within ``WAKE_SECONDS``, and record it; replace workers that have died."""
        by_sign = {sign: each for each in workers for sign in each.signs()}
        signs = connection.wait(list(by_sign), timeout=WAKE_SECONDS)
        told = list({by_sign[sign].slot: by_sign[sign] for sign in signs}.values())
        dead = [each for each in told if each.has_ended()]  # asked first: what it sent before is read below
        self._read(told)
        for each in dead:
            self._replace(each, workers)

    def _read(self, workers: Iterable[Worker]) -> None:
        ended = list[Ended]()
        try:
            for each in workers:
                for message in each.messages():
                    if isinstance(message, Finished):
                        ended += self._taken_from(each, message)
                    else:
                        self._heed(each, message)
        finally:
            self._recorder.record(ended)

    def _taken_from(self, each: Worker, finished: Finished) -> list[Ended]:
        """A task that a worker has in hand no more; nothing, if it never had."""
        result = finished.result
        job = each.jobs.pop(result.output, None)
        if job is None:
            return []
        each.pace.learn(job.task, result)
        return [Ended(each.slot, job, result, finished.line)]

    def _heed(self, each: Worker, message: object) -> None:
        if isinstance(message, Progress):
            self._moved = True
            self._observer.progressed(each.slot, message)
        elif isinstance(message, Ready):
            each.ready, each.memory = True, message.memory
            self._false_starts[each.slot] = 0
            each.done()
            if each.batches:
                self._dealer.begin(each.batches[0], each.slot, each.device)
        elif isinstance(message, Returned):
            self._backlog.put_back(each.take_back(message))
        elif isinstance(message, Note):
            self._observer.note(message.text)
        elif isinstance(message, Broken):
            raise UsageError(message.message, message.hint)

    def _end_stalled(self, workers: list[Worker]) -> None:
        """A worker that hangs (a file server that does not answer, a driver in a loop) is treated as one that died."""
        for each in workers:
            if each.jobs and each.silent_for() > self._timeout:
                each.end(f"made no step for {self._timeout:g} s and was ended")

    def _record(self, results: Iterable[tuple[int, Job, TaskResult]]) -> None:
        """What came from no worker's process, which would have made the lines."""
        self._recorder.record(Ended(slot, job, result, line(job.task, result)) for slot, job, result in results)

    def _replace(self, each: Worker, workers: list[Worker]) -> None:
        """A worker has died: its tasks are known and tried again, and another takes its place if there is work."""
        each.bury()
        how = each.manner_of_death()
        workers.remove(each)
        each.pipe.close()
        self._observer.note(f"worker {each.slot} on {each.device} {how}")
        ran_out = each.was_killed_for_memory()
        self._backlog.put_back(each.ahead)
        if each.was_lost():
            self._hand_back(each)
        else:
            lost = [(replace(job, thrift=job.thrift + ran_out), lost_with(each, job)) for job in each.begun]
            self._record((each.slot, job, result) for job, result in lost)
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
        self._backlog.put_back(each.begun)
        for job in each.begun:
            self._observer.finished(each.slot, lost_with(each, job), final=False)

    def _stop(self, workers: list[Worker]) -> None:
        """After a first signal: every worker drops its tasks and leaves; results already on their way are kept."""
        again = "" if self._signals.patient else "; a second signal ends them at once"
        self._observer.note(f"stopping ({self._signals.reasons[0]}): workers finish their step{again}")
        for each in workers:
            each.tell_to_stop()
        deadline = awake.seconds() + LEAVE_SECONDS
        while awake.seconds() < deadline and not all(each.has_ended() for each in workers):
            connection.wait([each.signs()[1] for each in workers if not each.has_ended()], timeout=WAKE_SECONDS)
            self._read(workers)
