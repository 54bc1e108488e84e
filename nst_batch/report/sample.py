"""Which pictures a page shows of a run that has more than anybody looks at.

Failures first, some of each kind; then what took longest; then what is done, spread over contents, styles and settings.
Lots are drawn by the tasks' ids: the same tasks in the same states give the same pictures, whoever makes the page, and
while a run goes on, most of them stay.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nst_batch.columns import NONE, Ints, halves
from nst_batch.errors import UsageError
from nst_batch.planning.task_table import TaskTable
from nst_batch.recorded.alike import Kinds
from nst_batch.recorded.history import History, last_words
from nst_batch.recorded.status import DONE, FAILED

WHOLE = 5000  # pictures that a page shows unasked; of a larger run it shows a sample
USUAL = 500  # pictures of that
ALL = sys.maxsize

_FAILED, _SLOWEST = 4, 50  # one in so many, at most
_OF_A_KIND = 12  # failures, as long as there is something else to be seen
_TRIED = 50  # candidates for each place
_MOST_FAILURES = 100_000  # that are told apart by what they say

Keys = npt.NDArray[np.uint64]
States = npt.NDArray[np.uint8]


def parsed(text: str | None) -> int | None:
    """How many pictures ``--sample`` asks for: ``ALL``, or None where it was not given.

    Raises:
        UsageError: neither a number nor ``all``.
    """
    if text is None:
        return None
    if text == "all":
        return ALL
    try:
        many = int(text)
    except ValueError:
        many = 0
    if many < 1:
        raise UsageError(f"--sample {text}: how many pictures is that?", hint="write a number, or all")
    return many


@dataclass(frozen=True)
class Sample:
    """Rows of the tasks that are shown, in the order of the plan; of those that failed, how many failed likewise."""

    rows: Ints
    alike: dict[int, int] = field(default_factory=dict)


def chosen(tasks: TaskTable, states: States, known: History, most: int | None = None, seed: int = 0) -> Sample | None:
    """The tasks that a page shows; None: all of them.

    Args:
        tasks: of the run.
        states: of each.
        known: what was read of the manifest.
        most: pictures; None: as is usual for so many tasks.
        seed: another one gives other pictures.
    """
    if most is None:
        most = len(tasks) if len(tasks) <= WHOLE else USUAL
    if len(tasks) <= most:
        return None
    keys = _keys(tasks, seed)
    done, failed = np.flatnonzero(states == DONE), np.flatnonzero(states == FAILED)
    few = max(most // _FAILED, most - len(done))
    alike = _of_each_kind(tasks, failed, known, keys, few, _OF_A_KIND if len(done) > most else few)
    picked = np.array(list(alike), np.int64)
    slow = [tasks.row_of(took.output) for took in known.highlights.slowest(most // _SLOWEST)]
    there = np.array([row for row in slow if row != NONE and states[row] == DONE], np.int64)
    picked = np.concatenate([picked, there])
    left = np.setdiff1d(done, there, assume_unique=True)
    picked = np.concatenate([picked, _spread(tasks, left, keys, most - len(picked))])
    if not len(picked):  # nothing has come to an end yet
        picked = _spread(tasks, np.arange(len(tasks)), keys, most)
    return Sample(np.sort(picked), alike)


def _keys(tasks: TaskTable, seed: int) -> Keys:
    """A number for each task, as good as drawn by lot."""
    found: Keys = halves(tasks.ids).view(np.uint64) ^ np.uint64(seed * 0x9E3779B97F4A7C15 % (1 << 64))
    found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    found ^= found >> np.uint64(31)
    return found


def _first(rows: Ints, keys: Keys, many: int) -> Ints:
    """Those whose lot comes first, in that order."""
    if many < len(rows):
        rows = rows[np.argpartition(keys[rows], many)[:many]]
    return rows[np.argsort(keys[rows])]


def _of_each_kind(
    tasks: TaskTable, failed: Ints, known: History, keys: Keys, many: int, of_a_kind: int
) -> dict[int, int]:
    """One of each kind of failure, then another of each, and so on; and how many there are of its kind."""
    kinds, seen, found = Kinds(), Counter[int](), list[tuple[int, int, int]]()
    for row in _first(failed, keys, _MOST_FAILURES).tolist():
        kind = kinds.of(*last_words(known.attempts[tasks.id(row)]))
        if seen[kind] < of_a_kind:
            found.append((seen[kind], row, kind))
        seen[kind] += 1
    return {row: seen[kind] for _, row, kind in sorted(found, key=lambda each: each[0])[:many]}


def _spread(tasks: TaskTable, rows: Ints, keys: Keys, many: int) -> Ints:
    """So many of them, of each content, style and setting as many as of the others, as far as that can be."""
    columns = [column[rows] for column in (tasks.contents, tasks.group_of, tasks.variant_of)]
    shares = [-(-many // max(1, len(np.unique(column)))) for column in columns]
    tried = _first(rows, keys, _TRIED * many)
    each = list(zip(*(column[tried].tolist() for column in (tasks.contents, tasks.group_of, tasks.variant_of)),
                    strict=True))  # fmt: skip
    taken, counts = dict[int, None](), [Counter[int]() for _ in shares]
    for slack in (1, 2, len(tried)):
        for place, values in enumerate(each):
            if len(taken) >= many:
                break
            if place not in taken and _is_room(counts, values, shares, slack):
                taken[place] = None
                for count, value in zip(counts, values, strict=True):
                    count[value] += 1
    return tried[list(taken)]


def _is_room(counts: Sequence[Counter[int]], values: Sequence[int], shares: Sequence[int], slack: int) -> bool:
    return all(count[value] < share * slack for count, value, share in zip(counts, values, shares, strict=True))
