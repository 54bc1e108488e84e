"""What the scheduler and its workers say to each other, over one private pipe for each worker.

Scheduler to worker: ``Job``, ``Stop``, or the end of the pipe. Worker to scheduler: ``Ready`` or ``Broken`` once, then
``Progress`` and one ``TaskResult`` for each job.
"""

from __future__ import annotations

from dataclasses import dataclass

from nst_batch.records import Task


@dataclass(frozen=True)
class Job:
    """A task handed to a worker. ``owned``: the manifest says that this run made what is at the output's name."""

    task: Task
    attempt: int = 1
    owned: bool = False


@dataclass(frozen=True)
class Stop:
    """Leave, and drop the task in hand."""


@dataclass(frozen=True)
class Ready:
    """The worker has its network and waits for jobs."""


@dataclass(frozen=True)
class Broken:
    """The worker can do no job at all (weights that cannot be loaded); it has left."""

    message: str
    hint: str


@dataclass(frozen=True)
class Progress:
    """Where a worker is in its task."""

    task: str  # id
    step: int  # evaluations made
    steps: int
    loss: float
    rate: float  # evaluations a second
