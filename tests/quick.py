"""Workers that are threads of this process and render nothing, so that whole runs take no time.

The border is what renders: scheduler, conversation, pipes, claims and manifest are the real ones.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from nst_batch.recorded.decisions import Decision
from nst_batch.records import Task, TaskResult
from nst_batch.running.finishing import OnResult
from nst_batch.running.links import Worker
from nst_batch.running.messages import Job, Progress, WorkerOptions
from nst_batch.running.observers import Observer
from nst_batch.running.renderer import OnProgress
from nst_batch.running.worker import converse
from tests.lines import done

PATIENCE_SECONDS = 15.0


@dataclass
class Script:
    """What happens at which output.

    ``seconds`` is what each task is said to take, ``deadly`` how many workers die of a task yet; ``held`` are tasks
    that are not done before ``release`` is set.
    """

    seconds: float = 0.001
    deadly: dict[str, int] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    release: threading.Event = field(default_factory=threading.Event)
    rendered: list[tuple[int, str]] = field(default_factory=list)  # (slot, output), as they were begun
    read: list[str] = field(default_factory=list)  # outputs of tasks whose pictures were read ahead


class Renders:
    """Stands in for a ``Renderer``."""

    note = ""
    memory = 0

    def __init__(self, slot: int, script: Script) -> None:
        self._slot, self._script = slot, script

    def render(self, jobs: Sequence[Job], on_progress: OnProgress, on_result: OnResult) -> None:
        """Report a step, and results."""
        script, outputs = self._script, [job.task.output for job in jobs]
        script.rendered += [(self._slot, output) for output in outputs]
        for output in outputs:
            if script.deadly.get(output, 0) > 0:
                script.deadly[output] -= 1
                raise BrokenPipeError("killed")
        ids = tuple(job.task.id for job in jobs)
        on_progress(Progress(ids, 1, 2, 1.0, 1.0))
        begun = time.monotonic()
        while script.held & set(outputs) and not script.release.wait(0.01):
            if time.monotonic() - begun > PATIENCE_SECONDS:
                raise TimeoutError("held for ever")
            on_progress(Progress(ids, 1, 2, 1.0, 1.0))
        for job in jobs:
            on_result(dataclasses.replace(done(job.task), attempt=job.attempt, seconds=script.seconds))

    def wait(self) -> None:
        """Nothing is written."""

    def read_ahead(self, tasks: Sequence[Task]) -> None:
        """Note that."""
        self._script.read += [task.output for task in tasks]


class Thread(Worker):
    """A worker that is a thread."""

    def __init__(self, slot: int, device: str, options: WorkerOptions, script: Script) -> None:
        here, self._there = multiprocessing.Pipe()
        super().__init__(slot, device, here)
        self._sign, self._bell = multiprocessing.Pipe(duplex=False)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(options, script), daemon=True)
        self._thread.start()

    def _work(self, options: WorkerOptions, script: Script) -> None:
        with contextlib.suppress(OSError):
            converse(self._there, options, self.device, lambda *_: Renders(self.slot, script))
        self._ended.set()
        self._there.close()
        self._bell.close()

    @override
    def signs(self) -> tuple[Any, Any]:
        return self.pipe, self._sign

    @override
    def has_ended(self) -> bool:
        return self._ended.is_set()

    @override
    def kill(self) -> None:
        pass

    @override
    def manner_of_death(self) -> str:
        return "was killed"

    @override
    def bury(self) -> None:
        self._thread.join(PATIENCE_SECONDS)


class Notes(Observer):
    """Notes what it is told.

    Args:
        on_finished: what to do when a task has ended.
    """

    def __init__(self, on_finished: Callable[[TaskResult], None] = lambda _: None) -> None:
        self.batches: list[list[str]] = []
        self.results: list[tuple[str, int, str, bool]] = []  # (output, attempt, status, final)
        self.elsewheres: list[str] = []
        self._on_finished = on_finished

    @override
    def started(self, slot: int, device: str, decisions: Sequence[Decision]) -> None:
        self.batches.append([each.task.output for each in decisions])

    @override
    def finished(self, slot: int, result: TaskResult, final: bool) -> None:
        self.results.append((result.output, result.attempt, result.status, final))
        self._on_finished(result)

    @override
    def elsewhere(self, decision: Decision) -> None:
        self.elsewheres.append(decision.task.output)

    def done(self) -> Iterator[str]:
        """Outputs of what was rendered."""
        return (output for output, _, status, _ in self.results if status == "done")
