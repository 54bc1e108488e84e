"""What is recorded of a task whose worker died with it in hand."""

from __future__ import annotations

import socket

import torch

from nst_batch import __version__
from nst_batch.errors import MemoryRanOut, TaskError, WorkerDied
from nst_batch.records import Failure, TaskResult, utc_now
from nst_batch.running.links import Worker
from nst_batch.running.messages import Job


def lost_with(worker: Worker, job: Job) -> TaskResult:
    """A task's result, when its worker has ended without one."""
    return TaskResult(
        job.task.id, "failed", job.task.output, attempt=job.attempt, error=Failure.of(_why(worker)),
        started=worker.since, finished=utc_now(), device=worker.device, host=socket.gethostname(),
        versions={"nst_batch": __version__, "torch": torch.__version__},
    )  # fmt: skip


def _why(worker: Worker) -> TaskError:
    if worker.was_killed_for_memory():
        return MemoryRanOut(
            f"the worker on {worker.device} was killed: the memory that this run may use is used up",
            hint="use a smaller transfer.size, fewer workers, or a higher limit",
        )
    how = worker.manner_of_death()
    return WorkerDied(
        f"the worker on {worker.device} {how}",
        hint="see the messages above, and `dmesg`; run --retry-failed tries it again",
    )
