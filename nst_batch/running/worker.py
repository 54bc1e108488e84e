"""A worker process: one device, one loaded VGG-19; tasks come in by a pipe, results go out by it."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing import connection, parent_process
from typing import Protocol, TypeAlias

from nst_batch.errors import Interrupted, NstError
from nst_batch.memory import has_run_out
from nst_batch.recorded.manifest import line
from nst_batch.records import Task, TaskResult
from nst_batch.running.finishing import OnResult
from nst_batch.running.links import Pipe
from nst_batch.running.messages import (
    Broken,
    Finished,
    Job,
    Jobs,
    Note,
    Progress,
    Ready,
    Recall,
    Returned,
    Soon,
    WorkerOptions,
)
from nst_batch.running.renderer import OnProgress, Renderer
from nst_batch.running.signals import HEEDED


class Renders(Protocol):
    """What a conversation needs of a ``Renderer``: what renders pictures, or stands in for it."""

    @property
    def note(self) -> str:
        """See ``Renderer``."""

    @property
    def memory(self) -> int:
        """See ``Renderer``."""

    def render(self, jobs: Sequence[Job], on_progress: OnProgress, on_result: OnResult) -> None:
        """See ``Renderer``."""

    def wait(self) -> None:
        """See ``Renderer``."""

    def read_ahead(self, tasks: Sequence[Task]) -> None:
        """See ``Renderer``."""


Begin: TypeAlias = Callable[[WorkerOptions, str], Renders]
"""Makes what renders on a device; raises as ``Renderer`` does."""


def main(pipe: Pipe, options: WorkerOptions, device: str, begin: Begin = Renderer) -> None:
    """A worker process: until its pipe closes, or says ``Stop``, take Jobs and send back a TaskResult for each.

    Between, send Progress. Signals are the scheduler's business: a terminal's Ctrl-C and a cluster's SIGTERM reach
    every process of a run, and workers must not die of them before they have been told to stop.
    """
    for number in HEEDED:
        signal.signal(number, signal.SIG_IGN)
    _leave_with_parent()
    converse(pipe, options, device, begin)


def converse(pipe: Pipe, options: WorkerOptions, device: str, begin: Begin = Renderer) -> None:
    """The same in a process that is somebody else's, in any thread of it."""
    renderer = _renderer(options, device, begin)
    if isinstance(renderer, Broken):
        pipe.send(renderer)
        return
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        with contextlib.suppress(Interrupted):
            _Conversation(pipe, renderer, device).go_on()
        renderer.wait()


class _Conversation:
    """What is said over the pipe."""

    def __init__(self, pipe: Pipe, renderer: Renders, device: str) -> None:
        self._pipe = pipe
        self._renderer = renderer
        self._device = device
        self._batches = deque[tuple[Job, ...]]()
        self._news = select.poll()
        self._news.register(pipe, select.POLLIN)
        self._one_at_a_time = threading.Lock()  # results come from another thread
        self._noted = ""

    def go_on(self) -> None:
        """Until it is over.

        Raises:
            Interrupted: told to stop.
            EOFError: the scheduler has gone.
        """
        self._tell_note()
        self._send(Ready(self._renderer.memory))
        while True:
            while not self._batches or self._news.poll(0):
                self._hear(self._pipe.recv())
            batch = self._batches.popleft()
            self._read_ahead()
            tasks = {job.task.output: job.task for job in batch}
            self._renderer.render(batch, self._on_progress, partial(self._on_result, tasks))
            self._tell_note()
            self._send(Ready(self._renderer.memory))

    def _hear(self, message: object) -> None:
        if isinstance(message, Jobs):
            self._batches.extend(message.batches)
        elif isinstance(message, Soon):
            self._renderer.read_ahead(message.tasks)
        elif isinstance(message, Recall):
            self._send(Returned(tuple(job.task.output for batch in self._batches for job in batch)))
            self._batches.clear()
        else:
            raise Interrupted("told to stop")

    def _read_ahead(self) -> None:
        """The pictures of what comes next."""
        if self._batches:
            self._renderer.read_ahead([job.task for job in self._batches[0]])

    def _send(self, message: object) -> None:
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with self._one_at_a_time:
            self._pipe.send_bytes(data)

    def _on_progress(self, progress: Progress) -> None:
        self._send(progress)
        has_next = bool(self._batches)
        while self._news.poll(0):
            self._hear(self._pipe.recv())
        if not has_next:
            self._read_ahead()

    def _on_result(self, tasks: Mapping[str, Task], result: TaskResult) -> None:
        """Here, and not in the scheduler, which has many workers to hear, its line is made."""
        self._send(Finished(replace(result, curve=(), terms={}), line(tasks[result.output], result)))

    def _tell_note(self) -> None:
        note = self._renderer.note
        if note != self._noted:
            self._noted = note
            self._send(Note(f"worker on {self._device}: {note}"))


def _renderer(options: WorkerOptions, device: str, begin: Begin) -> Renders | Broken:
    try:
        return begin(options, device)
    except Exception as error:
        if has_run_out(error.__cause__ or error):
            return Broken(
                f"{device}: memory does not hold the network: {str(error) or type(error).__name__}",
                "use fewer workers, or a higher limit",
            )
        if isinstance(error, NstError):
            return Broken(str(error), error.hint)
        raise


def _leave_with_parent() -> None:
    """End this process at once when the scheduler's ends, however it ends: nobody is left to record a result."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(0)  # threads of torch may be deep in a kernel; files are safe at any moment

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
