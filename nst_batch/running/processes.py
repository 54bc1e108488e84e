"""Worker processes of this machine."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, TypeAlias

import torch.multiprocessing
from typing_extensions import override

from nst_batch import environment
from nst_batch.memory import kills
from nst_batch.running.links import LEAVE_SECONDS, Pipe, Worker
from nst_batch.running.messages import Broken, WorkerOptions

Work: TypeAlias = Callable[[Pipe, WorkerOptions, str], None]


class WorkerProcess(Worker):
    """One spawned worker and the pipe to it.

    Args:
        slot: its number.
        device: that it renders on.
        options: of the run.
        work: what the process does with its pipe, the options and the device.
    """

    def __init__(self, slot: int, device: str, options: WorkerOptions, work: Work | None = None) -> None:
        context = torch.multiprocessing.get_context("spawn")  # CUDA cannot be used in forked processes
        here, there = context.Pipe()
        super().__init__(slot, device, here)
        self._kills = kills()
        self._process = context.Process(
            target=work or _work,
            args=(there, options, device),
            name=f"nst-batch worker {slot} on {device}",
            daemon=True,
        )
        with environment.applied(environment.ALLOCATOR | environment.OPENMP):
            self._process.start()
        there.close()  # so that the pipe ends when the worker does

    @override
    def signs(self) -> tuple[Any, Any]:
        return self.pipe, self._process.sentinel

    @override
    def has_ended(self) -> bool:
        return self._process.exitcode is not None

    @override
    def kill(self) -> None:
        self._process.kill()

    @override
    def manner_of_death(self) -> str:
        if self.why_ended:
            return self.why_ended
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit status {code}"

    @override
    def was_killed_for_memory(self) -> bool:
        return self._process.exitcode == -signal.SIGKILL and not self.why_ended and kills() > self._kills

    @override
    def bury(self) -> None:
        self._process.join(timeout=LEAVE_SECONDS)
        if not self.has_ended():
            self._process.kill()
            self._process.join()


def _work(*arguments: Any) -> None:
    """A worker process starts here, so that its parent need not import what only workers use."""
    try:
        from nst_batch.running.worker import main
    except (ImportError, OSError, MemoryError) as error:  # a limit on memory or open files that torch does not fit in
        pipe = arguments[0]
        pipe.send(Broken(f"a worker cannot start: {error}", hint="see the limits in `ulimit -a`"))
        return
    main(*arguments)
