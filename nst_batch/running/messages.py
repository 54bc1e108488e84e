"""What the scheduler and its workers say to each other, over one private pipe for each worker.

Scheduler to worker: ``Jobs``, ``Soon``, ``Recall``, ``Stop``, or the end of the pipe. Worker to scheduler: ``Ready`` or
``Broken`` once; then, for each batch of ``Jobs`` in their order, ``Progress``, ``Ready`` when the device is free again,
and one ``Finished`` for each job, which may come later, when its file is in place. A batch is begun when the one before
it was told to be ready: so it is known what a worker had begun that has died.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nst_batch.records import Limits, Task, TaskResult, Weights


@dataclass(frozen=True)
class WorkerOptions:
    """What every worker of a run is started with.

    ``root`` is the run's folder; ``threads`` are torch's CPU threads (on the CPU, equal threads give equal bytes);
    ``batch`` is how many tasks are rendered together, None: as many as pay; ``compile`` whether kernels are built and
    closures recorded; ``limits`` what input pictures may be; ``tile`` how many rows are computed at a time;
    ``memory`` how many bytes each worker may take, None: as many as are free; ``sharing`` how many workers share what
    the machine has; ``labels`` whether those beside a content in its tar file go with its pictures.
    """

    root: Path
    weights: Weights
    threads: int
    batch: int | None = None
    compile: Literal["auto", "on", "off"] = "auto"
    limits: Limits = field(default_factory=Limits)
    tile: int | Literal["auto", "off"] = "auto"
    memory: int | None = None
    sharing: int = 1
    labels: bool = True


@dataclass(frozen=True)
class Job:
    """A task handed to a worker.

    ``owned``: the manifest says that this run made what is at the output's name; ``bytes``: how many it had, None:
    whatever is there may be replaced; ``thrift``: how many processes were killed for it since memory ran out.
    """

    task: Task
    attempt: int = 1
    owned: bool = False
    bytes: int | None = None
    thrift: int = 0


@dataclass(frozen=True)
class Jobs:
    """Batches to render, one after another; the tasks of each together, where that can be done."""

    batches: tuple[tuple[Job, ...], ...]


@dataclass(frozen=True)
class Soon:
    """Tasks that will probably come next: their pictures may be read now."""

    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Recall:
    """Give back what was not begun."""


@dataclass(frozen=True)
class Returned:
    """The answer to ``Recall``: outputs of tasks that the worker will not render."""

    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Stop:
    """Leave, and drop the tasks in hand."""


@dataclass(frozen=True)
class Ready:
    """The worker has its network, and is done with what it rendered. ``memory``: free bytes of its GPU; 0: it has
    none."""

    memory: int = 0


@dataclass(frozen=True)
class Finished:
    """A task has come to its end. ``line`` is the manifest's about it; ``result`` lacks what only that has to have:
    ``curve`` and ``terms``."""

    result: TaskResult
    line: bytes


@dataclass(frozen=True)
class Broken:
    """The worker can do no job at all (weights that cannot be loaded); it has left."""

    message: str
    hint: str


@dataclass(frozen=True)
class Note:
    """Something about this worker that a person should know."""

    text: str


@dataclass(frozen=True)
class Progress:
    """Where a worker is in its tasks."""

    tasks: tuple[str, ...]  # ids
    step: int  # evaluations made
    steps: int
    loss: float  # their mean
    rate: float  # evaluations a second, of all tasks together
