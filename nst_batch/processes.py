"""A worker process as the scheduler sees it: started, told, heard, and missed when it dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch.multiprocessing

from nst_batch.memory import kills
from nst_batch.messages import Broken, Job, Jobs, Soon, Stop, WorkerOptions
from nst_batch.records import Task, utc_now

LEAVE_SECONDS = 8.0  # what a process has to go by itself: ten for all of them together

# glibc gives large freed blocks back to the kernel at once, and the next large tensor pays a page fault for every
# 4 KiB of it: a third of the time of a closure on a CPU. These keep the blocks. Read when a process starts.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
}


class WorkerProcess:
    """One spawned worker and the pipe to it.

    Attributes:
        ready: it has its network.
        idle: its device waits for tasks.
        memory: free bytes of its GPU; 0: it has none.
        jobs: what it has in hand, by output name; files may be on their way while it is idle.
        since: when it got the last of that, as ``utc_now``.
    """

    def __init__(self, slot: int, device: str, options: WorkerOptions) -> None:
        self.slot = slot
        self.device = device
        self.ready = self.idle = False
        self.memory = 0
        self.jobs: dict[str, Job] = {}
        self.since = ""
        self._heard = time.monotonic()
        self._why_ended = ""
        self._kills = kills()
        context = torch.multiprocessing.get_context("spawn")  # CUDA cannot be used in forked processes
        self.pipe, there = context.Pipe()
        self._process = context.Process(
            target=_work,
            args=(there, options, device),
            name=f"nst-batch worker {slot} on {device}",
            daemon=True,
        )
        with _environment(ALLOCATOR):
            self._process.start()
        there.close()  # so that the pipe ends when the worker does

    def signs(self) -> tuple[Any, Any]:
        """What ``connection.wait`` waits for: a message, or the end of the process."""
        return self.pipe, self._process.sentinel

    def give(self, jobs: Sequence[Job]) -> bool:
        """Hand tasks out; False if the worker is no longer there to take them."""
        if not self._tell(Jobs(tuple(jobs))):
            return False
        self.jobs.update({job.task.output: job for job in jobs})
        self.idle, self.since, self._heard = False, utc_now(), time.monotonic()
        return True

    def tell_soon(self, tasks: Sequence[Task]) -> None:
        """What it will probably get next."""
        self._tell(Soon(tuple(tasks)))

    def tell_to_stop(self) -> None:
        """Ask it to drop its tasks and leave."""
        self._tell(Stop())

    def _tell(self, message: object) -> bool:
        try:
            self.pipe.send(message)
        except OSError:
            return False  # it has left already
        return True

    def messages(self) -> Iterator[object]:
        """Every message that is there, without waiting; those of a dead worker too."""
        try:
            while self.pipe.poll():
                message = self.pipe.recv()
                self._heard = time.monotonic()
                yield message
        except (EOFError, OSError):
            return

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.exitcode is not None

    def silent_for(self) -> float:
        """Seconds since it said anything, or was given anything."""
        return time.monotonic() - self._heard

    def end(self, why: str) -> None:
        """Kill it; ``why`` is then the manner of its death."""
        self._why_ended = why
        self._process.kill()

    def manner_of_death(self) -> str:
        """How a process that has ended did so, as ``was killed by SIGKILL``."""
        if self._why_ended:
            return self._why_ended
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit status {code}"

    def was_killed_for_memory(self) -> bool:
        """Whether the system killed it, or another one of this run, since memory had run out."""
        return self._process.exitcode == -signal.SIGKILL and not self._why_ended and kills() > self._kills

    def dismiss(self) -> None:
        """Close the pipe, which tells an idle worker to leave; one that is busy or still loading is ended."""
        self.pipe.close()
        if self.jobs or not self.ready:
            self._process.kill()

    def bury(self) -> None:
        """Wait until it has gone; see to it that it does."""
        self._process.join(timeout=LEAVE_SECONDS)
        if not self.has_ended():
            self._process.kill()
            self._process.join()


def _work(*arguments: Any) -> None:
    """A worker process starts here, so that its parent need not import what only workers use."""
    try:
        from nst_batch.worker import main
    except (ImportError, OSError, MemoryError) as error:  # a limit on memory or open files that torch does not fit in
        pipe = arguments[0]
        pipe.send(Broken(f"a worker cannot start: {error}", hint="see the limits in `ulimit -a`"))
        return
    main(*arguments)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a process started inside, except those that the user has set."""
    ours = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
