"""Which tasks are rendered together, and how many.

A small picture leaves most of a GPU idle; several of one shape, with the same settings, share every pass through the
network. On a CPU one picture alone has work for every core.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from itertools import islice

from nst_batch.demands import Way, stage_bytes
from nst_batch.memory import SHARE
from nst_batch.records import Task
from nst_batch.running.messages import Job
from nst_batch.sizes import size_of

MOST = 16  # tasks at once: so many are lost with a process that dies
PIXELS = 4 << 20  # in all pictures at once, at most: that keeps any GPU busy
_EACH_ONES_OWN = ("seed", "init")  # settings that may differ between pictures rendered together


def limit(task: Task, wanted: int | None, memory: int) -> int:
    """How many tasks like this one a worker takes at once.

    Args:
        task: the first of them.
        wanted: ``run.batch``; None: by what pays.
        memory: free bytes of the worker's GPU; 0: it is a CPU.
    """
    if wanted is not None:
        return wanted
    (width, height), settings = size_of(task), task.settings
    if memory == 0 or width == 0:
        return 1
    each = stage_bytes(settings, width, height, Way(None, settings.pairs(settings.steps)))
    return max(1, min(MOST, PIXELS // (width * height), int(SHARE * memory / each)))


def first_batch(waiting: Iterable[Job], most: int) -> list[Job]:
    """The first task of ``waiting``, and those right behind it that can share its passes; ``most`` in all.

    What has failed before is tried alone, so that it takes nobody down with it.
    """
    batch: list[Job] = []
    for job in islice(waiting, most):
        if batch and (job.attempt > 1 or batch[0].attempt > 1 or not alike(batch[0].task, job.task)):
            break
        batch.append(job)
    return batch


def alike(one: Task, other: Task) -> bool:
    """Whether two tasks can share passes: one shape, no regions, and settings that are the same where it matters."""
    if not (_shareable(one) and _shareable(other) and size_of(one) == size_of(other)):
        return False
    names = (field.name for field in dataclasses.fields(one.settings))
    return one.settings == other.settings or all(
        getattr(one.settings, name) == getattr(other.settings, name) for name in names if name not in _EACH_ONES_OWN
    )


def _shareable(task: Task) -> bool:
    regions = task.content.mask is not None and task.settings.masks
    return task.content.width > 0 and not regions and task.settings.line_search == "none"
