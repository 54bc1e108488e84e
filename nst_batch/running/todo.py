"""What is to be rendered, as those who hand it out and reckon with it ask for it: in which order, where a picture is
among it, and how much of a kind there is. Tasks may be made when they are asked for; nobody here keeps them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from nst_batch.columns import Bytes, Ints
from nst_batch.paths import ARCHIVE_SUFFIX, archive_of
from nst_batch.recorded.decisions import Decision, Decisions
from nst_batch.records import Task
from nst_batch.sizes import size_of


@runtime_checkable
class Todo(Protocol):
    """A sequence of decisions, and what can be asked of all of them at once."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, place: int, /) -> Decision:
        """One of them."""

    def hand_out_order(self) -> Sequence[int]:
        """Their places, in the order in which they are handed out: see ``hand_out_order``."""

    def place_of(self, output: str) -> int | None:
        """Where the task is that is to write a picture; None: it is not among them."""

    def kinds(self) -> Iterable[tuple[Task, int]]:
        """One task of each kind, and how many there are: of a kind are those that cost as much, with the same settings
        and contents of the same size."""


class Listed:
    """What is to be rendered, from any decisions there are.

    Args:
        decisions: all of them.
    """

    def __init__(self, decisions: Iterable[Decision]) -> None:
        self._decisions = list(decisions)

    def __len__(self) -> int:
        return len(self._decisions)

    def __getitem__(self, place: int, /) -> Decision:
        return self._decisions[place]

    def hand_out_order(self) -> Sequence[int]:
        """See ``Todo``."""
        return hand_out_order(self._decisions)

    def place_of(self, output: str) -> int | None:
        """See ``Todo``."""
        return self._places.get(output)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {each.task.output: place for place, each in enumerate(self._decisions)}

    def kinds(self) -> Iterable[tuple[Task, int]]:
        """See ``Todo``."""
        return kinds(each.task for each in self._decisions)


class InColumns:
    """The same of decisions that are columns, without making any of them.

    Args:
        decisions: all of them.
    """

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions

    def __len__(self) -> int:
        return len(self._decisions)

    def __getitem__(self, place: int, /) -> Decision:
        return self._decisions[place]

    def hand_out_order(self) -> Sequence[int]:
        """See ``Todo``. Of tasks that are equal in all else, those come first that were planned first."""
        tasks, rows = self._decisions.tasks, self._decisions.rows
        digests = _beginnings(tasks.sources.digests)
        firsts = np.fromiter((group[0].source for group in tasks.groups), np.int64, len(tasks.groups))
        widths, heights = tasks.shapes[rows].T
        styles, contents = digests[firsts[tasks.group_of[rows]]], digests[tasks.contents[rows]]
        keys = [contents, styles, heights, widths, -tasks.costs[rows], *self._archives()]
        order: Sequence[int] = np.lexsort(keys)  # type: ignore[assignment]
        return order

    def _archives(self) -> list[Ints]:
        """A number for the archive of each task, if there are any."""
        outputs = self._decisions.tasks.outputs
        if not outputs.mention(f"{ARCHIVE_SUFFIX}/"):
            return []
        names = [_archive(output) for output in outputs]
        numbers = {name: number for number, name in enumerate(sorted(set(names)))}
        return [np.array([numbers[names[row]] for row in self._decisions.rows.tolist()], np.int64)]

    def place_of(self, output: str) -> int | None:
        """See ``Todo``."""
        row = self._decisions.tasks.row_of(output)
        rows, order = self._by_row
        place = int(np.searchsorted(rows, row))
        return int(order[place]) if place < len(rows) and rows[place] == row else None

    @cached_property
    def _by_row(self) -> tuple[Ints, Ints]:
        order = np.argsort(self._decisions.rows)
        return self._decisions.rows[order], order

    def kinds(self) -> Iterable[tuple[Task, int]]:
        """See ``Todo``."""
        tasks = self._decisions.tasks
        return [(tasks[row], count) for row, count in tasks.kinds(self._decisions.rows)]


def _beginnings(digests: Bytes) -> npt.NDArray[np.uint64]:
    """The first 64 bits of each: enough to have equal ones side by side."""
    return np.ascontiguousarray(digests[:, :8]).view(">u8").ravel().astype(np.uint64)


def as_todo(decisions: Iterable[Decision] | Todo) -> Todo:
    """What is to be rendered, of whatever kind the sequence is."""
    if isinstance(decisions, Decisions):
        return InColumns(decisions)
    return decisions if isinstance(decisions, Todo) else Listed(decisions)


def hand_out_order(todo: Sequence[Decision]) -> list[int]:
    """Longest first, so that no long task starts last; of equal ones, those of a shape side by side, since they can be
    rendered together, and of these those of a style, whose targets are cached. But one archive after another, so that
    each can be packed as soon as it is complete. Places in ``todo``."""
    return sorted(range(len(todo)), key=lambda place: _rank(todo[place].task))


def _rank(task: Task) -> tuple[object, ...]:
    return (_archive(task.output), -task.cost, size_of(task), task.style.digest, task.content.digest, task.output)


def _archive(output: str) -> str:
    """The tar file into which an output goes; none for others."""
    parts = archive_of(output)
    return parts[0] if parts else ""


def kinds(tasks: Iterable[Task]) -> list[tuple[Task, int]]:
    """One task of each kind, and how many there are."""
    first = dict[tuple[object, ...], Task]()
    counts = Counter[tuple[object, ...]]()
    for task in tasks:
        key = (task.settings, task.content.width, task.content.height, task.cost)
        first.setdefault(key, task)
        counts[key] += 1
    return [(task, counts[key]) for key, task in first.items()]
