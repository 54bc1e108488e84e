"""Which of several processes renders which tasks: by agreement beforehand, or where each begins."""

from __future__ import annotations

import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from nst_batch.errors import UsageError
from nst_batch.planning.task_table import TaskTable

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """One of ``count``; the first has ``index`` 0."""

    index: int
    count: int


ALONE = Part(0, 1)


def parse(text: str) -> Part:
    """``2/8``: the second of eight.

    Raises:
        UsageError: it is none.
    """
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
    if found and 1 <= int(found[1]) <= int(found[2]):
        return Part(int(found[1]) - 1, int(found[2]))
    raise UsageError(
        f"--shard {text}: write I/N, from 1/N to N/N",
        hint="where a system counts from 0, add 1, as in --shard $((JOB_COMPLETION_INDEX + 1))/8",
    )


def shard(tasks: TaskTable, part: Part) -> TaskTable:
    """The tasks of one shard, in their order: of about the same work for each, whoever asks, whatever is done.

    The longest first, each to whoever has least so far: at most a third more than the best there is (Graham, "Bounds on
    multiprocessing timing anomalies", 1969).
    """
    loads = [(0.0, number) for number in range(part.count)]
    mine = list[int]()
    outputs, costs = list(tasks.outputs), tasks.costs.tolist()
    for row in sorted(range(len(tasks)), key=lambda each: (-costs[each], outputs[each])):
        load, number = loads[0]
        heapq.heapreplace(loads, (load + max(costs[row], 1.0), number))
        if number == part.index:
            mine.append(row)
    return tasks.only(np.array(sorted(mine), np.int64))


def own_first(ordered: Sequence[T], part: Part) -> list[T]:
    """Every ``count``-th, beginning at another one for each process, and then all others, each in their order.

    So processes that share a list from the longest task to the shortest do not all reach for the same one, and still
    nobody begins a long one last.
    """
    own = ordered[part.index :: part.count]
    return [*own, *(each for place, each in enumerate(ordered) if place % part.count != part.index)]
