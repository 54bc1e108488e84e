"""A worker process: one device, one loaded VGG-19; tasks come in by a pipe, results go out by it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from multiprocessing import connection, parent_process

from nst_batch.errors import Interrupted, NstError
from nst_batch.links import Pipe
from nst_batch.memory import has_run_out
from nst_batch.messages import Broken, Jobs, Note, Progress, Ready, Soon, WorkerOptions
from nst_batch.renderer import Renderer


def main(pipe: Pipe, options: WorkerOptions, device: str) -> None:
    """A worker process: until its pipe closes, or says ``Stop``, take Jobs and send back a TaskResult for each.

    Between, send Progress. Signals are the scheduler's business: a terminal's Ctrl-C and a cluster's SIGTERM reach
    every process of a run, and workers must not die of them before they have been told to stop.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _leave_with_parent()
    converse(pipe, options, device)


def converse(pipe: Pipe, options: WorkerOptions, device: str) -> None:
    """The same in a process that is somebody else's, in any thread of it."""
    renderer = _renderer(options, device)
    if isinstance(renderer, Broken):
        pipe.send(renderer)
        return
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        with contextlib.suppress(Interrupted):
            _Conversation(pipe, renderer, device).go_on()
        renderer.wait()


class _Conversation:
    """What is said over the pipe."""

    def __init__(self, pipe: Pipe, renderer: Renderer, device: str) -> None:
        self._pipe = pipe
        self._renderer = renderer
        self._device = device
        self._one_at_a_time = threading.Lock()  # results come from another thread
        self._noted = ""

    def go_on(self) -> None:
        """Until it is over.

        Raises:
            Interrupted: told to stop in the middle of a picture.
            EOFError: the scheduler has gone.
        """
        self._tell_note()
        self._send(Ready(self._renderer.memory))
        while isinstance(message := self._pipe.recv(), Jobs | Soon):
            if isinstance(message, Soon):
                self._renderer.read_ahead(message.tasks)
                continue
            self._renderer.render(message.jobs, self._on_progress, self._send)
            self._tell_note()
            self._send(Ready(self._renderer.memory))

    def _send(self, message: object) -> None:
        with self._one_at_a_time:
            self._pipe.send(message)

    def _on_progress(self, progress: Progress) -> None:
        self._send(progress)
        while self._pipe.poll():
            message = self._pipe.recv()
            if not isinstance(message, Soon):
                raise Interrupted("told to stop")
            self._renderer.read_ahead(message.tasks)

    def _tell_note(self) -> None:
        note = self._renderer.note
        if note != self._noted:
            self._noted = note
            self._send(Note(f"worker on {self._device}: {note}"))


def _renderer(options: WorkerOptions, device: str) -> Renderer | Broken:
    try:
        return Renderer(options, device)
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
