"""A worker process as the scheduler sees it: started, told, heard, and missed when it dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.multiprocessing

from nst_batch.messages import Job, Stop
from nst_batch.records import Weights, utc_now

LEAVE_SECONDS = 10.0  # what a process has to go by itself

# glibc gives large freed blocks back to the kernel at once, and the next large tensor pays a page fault for every
# 4 KiB of it: a third of the time of a closure on a CPU. These keep the blocks. Read when a process starts.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
}


@dataclass(frozen=True)
class WorkerArguments:
    """What every worker of a run is started with."""

    root: Path
    weights: Weights
    threads: int


class WorkerProcess:
    """One spawned worker and the pipe to it.

    Attributes:
        ready: it has its network.
        job: what it has in hand.
        since: when it got that, as ``utc_now``.
    """

    def __init__(self, slot: int, device: str, arguments: WorkerArguments) -> None:
        self.slot = slot
        self.device = device
        self.ready = False
        self.job: Job | None = None
        self.since = ""
        context = torch.multiprocessing.get_context("spawn")  # CUDA cannot be used in forked processes
        self.pipe, there = context.Pipe()
        self._process = context.Process(
            target=_work,
            args=(there, arguments.root, arguments.weights, device, arguments.threads),
            name=f"nst-batch worker {slot} on {device}",
            daemon=True,
        )
        with _environment(ALLOCATOR):
            self._process.start()
        there.close()  # so that the pipe ends when the worker does

    def signs(self) -> tuple[Any, Any]:
        """What ``connection.wait`` waits for: a message, or the end of the process."""
        return self.pipe, self._process.sentinel

    def give(self, job: Job) -> bool:
        """Hand a task out; False if the worker is no longer there to take it."""
        try:
            self.pipe.send(job)
        except OSError:
            return False
        self.job, self.since = job, utc_now()
        return True

    def tell_to_stop(self) -> None:
        """Ask it to drop its task and leave."""
        try:
            self.pipe.send(Stop())
        except OSError:
            return  # it has left already

    def messages(self) -> Iterator[object]:
        """Every message that is there, without waiting; those of a dead worker too."""
        try:
            while self.pipe.poll():
                yield self.pipe.recv()
        except (EOFError, OSError):
            return

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.exitcode is not None

    def manner_of_death(self) -> str:
        """How a process that has ended did so, as ``was killed by SIGKILL``."""
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit status {code}"

    def dismiss(self) -> None:
        """Close the pipe, which tells an idle worker to leave; one that is busy or still loading is ended."""
        self.pipe.close()
        if self.job is not None or not self.ready:
            self._process.kill()

    def bury(self) -> None:
        """Wait until it has gone; see to it that it does."""
        self._process.join(timeout=LEAVE_SECONDS)
        if not self.has_ended():
            self._process.kill()
            self._process.join()


def _work(*arguments: Any) -> None:
    """A worker process starts here, so that its parent need not import what only workers use."""
    from nst_batch.worker import main

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
