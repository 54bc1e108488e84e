"""A run while it goes on, and after, from its folder alone: its plan, its manifest, its pictures, and what its writers
say of themselves. Reads only; from any machine; without torch.

The manifest is read once; then only what is added. So are pictures looked for: once, and when their lines appear.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

import numpy as np

from nst_batch.columns import NONE
from nst_batch.paths import RunPaths
from nst_batch.planning import disk
from nst_batch.planning.disk import Room, checkpoint_bytes, picture_bytes
from nst_batch.planning.planned import read_plan
from nst_batch.recorded import status
from nst_batch.recorded.alike import NAMED, Group, Kinds, groups, in_order
from nst_batch.recorded.highlights import Took
from nst_batch.recorded.history import ManifestReader, last_words
from nst_batch.recorded.status import DONE, FAILED, TODO
from nst_batch.recorded.writers import Heartbeats
from nst_batch.running import live
from nst_batch.running.eta import Ahead, kind, kinds, seconds_left
from nst_batch.running.live import Live

SLOWEST = 5
MOST_FAILURES = 1000  # that are told one by one; groups tell of all
_LOOKED_AT = 1000  # of the slowest, among which those of the plan are


@dataclass(frozen=True)
class Device:
    """A worker's device: the share of the time since its writer began in which it was busy."""

    host: str
    device: str
    busy: float


@dataclass(frozen=True)
class Overview:
    """A run's state. ``writers`` are those that live; ``failures`` and ``hints`` tell of the first thousand;
    ``altered``: so many of what is done were changed since by others, and are kept."""

    name: str
    tasks: int
    done: int
    failed: int
    todo: int
    failures: dict[str, str]  # by output name
    hints: dict[str, str]
    groups: list[Group]
    fraction: float  # of all work, in operations
    seconds_left: float | None
    pictures_per_hour: float | None
    evaluations_per_second: float
    devices: list[Device]
    slowest: list[Took]
    last: Took | None
    peak_memory_bytes: int
    disk: Room
    altered: int = 0
    altered_outputs: list[str] = field(default_factory=list)  # the first of them
    writers: list[Live] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether nobody is at work."""
        return not self.writers

    def with_counts(self, name: str, counts: Mapping[str, int], given_up: dict[str, tuple[str, str]]) -> Overview:
        """The same with tasks as a pipeline file has them now."""
        failures, hints = _first(given_up)
        tasks, done, failed, todo = (counts[key] for key in ("tasks", "done", "failed", "todo"))
        return dataclasses.replace(
            self, name=name, tasks=tasks, done=done, failed=failed, todo=todo, failures=failures, hints=hints,
            groups=groups(given_up), fraction=self.fraction if self.writers else done / tasks if tasks else 1.0,
        )  # fmt: skip


def nothing_yet(paths: RunPaths) -> Overview:
    """Of a folder in which no run was started."""
    room = Room(0, disk.free(paths.root))
    return Overview("", 0, 0, 0, 0, {}, {}, [], 0.0, None, None, 0.0, [], [], None, 0, room)


class Follower:
    """Looks at a run's folder, again and again.

    Args:
        paths: of the run.

    Raises:
        UsageError: no run was ever started there.
    """

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths
        self._beats = Heartbeats(paths)
        self._reader = ManifestReader(paths)
        self._plan_file: tuple[int, int] | None = None
        self._history = self._reader.read()
        self._begin()

    def look(self) -> Overview:
        """As it is now.

        Raises:
            UsageError: its plan has gone.
        """
        alive = {each.name: self._beats.is_alive(each.name) for each in _listed(self._paths)}
        told = self._reader.more()
        self._reader.follow("", lambda writer: alive.get(writer, False))  # who was dead before will add nothing
        if _stamp(self._paths) != self._plan_file:
            self._begin()
        for output in told:
            if (row := self._plan.row_of(output)) != NONE:
                self._place(row, status.size_of(self._paths, output))
        writers = [each for each in live.read(self._paths) if alive.get(each.writer) and not each.ended]
        return self._overview(writers)

    def _begin(self) -> None:
        """Look for every picture of the plan."""
        self._plan_file = _stamp(self._paths)
        plan = self._plan = read_plan(self._paths)
        self._bytes = plan.by_kind(picture_bytes)
        self._states, found = status.states_of(plan, self._history, self._paths)
        self._altered = dict.fromkeys(np.flatnonzero(found.altered).tolist())
        done, todo = self._states == DONE, self._states == TODO
        self._work, self._work_done = float(plan.costs.sum()), float(plan.costs[done].sum())
        costs, counts = np.unique(plan.costs[todo], return_counts=True)
        self._todo = Counter[int]()  # by kind of cost
        for cost, count in zip(costs.tolist(), counts.tolist(), strict=True):
            self._todo[kind(max(cost, 1.0))] += count
        self._wanted = float(self._bytes[todo].sum())
        self._expected = float(self._bytes[done].sum())
        self._written = float(found.sizes[done & (self._bytes > 0)].sum())
        self._kinds, self._kind_of = Kinds(), np.full(len(plan), NONE, np.int32)
        for row in np.flatnonzero(self._states == FAILED).tolist():
            self._kind_of[row] = self._kinds.of(*self._last_words(row))
        self._failures: tuple[dict[str, tuple[str, str]], list[Group]] | None = None

    def _place(self, row: int, size: int | None) -> None:
        """Put a task where it belongs, from where it was."""
        task, before = self._plan[row], int(self._states[row])
        state, altered = status.state_of(task, self._history, self._paths, size)
        self._altered.pop(row, None)
        self._altered |= {row: None} if altered else {}
        if FAILED in (state, before):
            self._kind_of[row] = self._kinds.of(*self._last_words(row)) if state == FAILED else NONE
            self._failures = None
        if state != before:
            self._add(row, before, -1, size or 0)
            self._add(row, state, 1, size or 0)
            self._states[row] = state

    def _last_words(self, row: int) -> tuple[str, str]:
        return last_words(self._history.attempts[self._plan.id(row)])

    def _told_failures(self) -> tuple[dict[str, tuple[str, str]], list[Group]]:
        """The first of them one by one, and all of them by what they have in common; anew only where that changed."""
        if self._failures is None:
            rows = np.flatnonzero(self._states == FAILED)
            told = {self._plan.outputs[row]: self._last_words(row) for row in rows[:MOST_FAILURES].tolist()}
            rows = rows[np.argsort(self._kind_of[rows], kind="stable")]
            kinds, first, counts = np.unique(self._kind_of[rows], return_index=True, return_counts=True)
            self._failures = (
                told,
                in_order(
                    self._kinds.group(
                        kind, count, sorted(self._plan.outputs[row] for row in rows[at : at + few].tolist())
                    )
                    for kind, at, count in zip(kinds.tolist(), first.tolist(), counts.tolist(), strict=True)
                    for few in (min(count, NAMED),)
                ),
            )
        return self._failures

    def _add(self, row: int, state: int, sign: int, size: int) -> None:
        cost, expected = float(self._plan.costs[row]), float(self._bytes[row])
        if state == TODO:
            self._todo[kind(max(cost, 1.0))] += sign
            self._wanted += sign * expected
        elif state == DONE:
            self._work_done += sign * cost
            self._expected += sign * expected
            self._written += sign * size * (expected > 0)

    def _overview(self, writers: list[Live]) -> Overview:
        counts = np.bincount(self._states, minlength=len(status.STATES)).tolist()
        workers = [(each, worker) for each in writers for worker in each.state.workers]
        in_hand = {
            row: worker.done
            for _, worker in workers
            for output in worker.outputs
            if (row := self._plan.row_of(output)) != NONE
        }
        going_on = sum(float(self._plan.costs[row]) * done for row, done in in_hand.items())
        seen, (told, alike) = self._history.highlights, self._told_failures()
        hourly = [each.state.pictures_per_hour for each in writers if each.state.pictures_per_hour is not None]
        return Overview(
            self._paths.root.resolve().name,
            len(self._plan), counts[DONE], counts[FAILED], counts[TODO],
            *_first(told), alike,
            min(1.0, (self._work_done + going_on) / self._work) if self._work else float(not counts[TODO]),
            self._seconds_left(writers, in_hand),
            sum(hourly) if hourly else None,
            sum(each.state.evaluations_per_second for each in writers),
            [Device(each.host, worker.device, min(1.0, worker.busy / max(each.state.elapsed, 1e-9)))
             for each, worker in workers],
            [took for took in seen.slowest(_LOOKED_AT) if self._plan.row_of(took.output) != NONE][:SLOWEST],
            seen.last, seen.peak_memory_bytes, self._room(in_hand), len(self._altered),
            [self._plan.outputs[row] for row in islice(self._altered, NAMED)], writers,
        )  # fmt: skip

    def _room(self, in_hand: Iterable[int]) -> Room:
        """Pictures that are not there yet, and checkpoints of what is in hand."""
        more = self._wanted * disk.correction(int(self._written), int(self._expected))
        kept = [checkpoint_bytes(self._plan[row]) for row in in_hand]
        return Room(int(more) + sum(kept) + max(kept, default=0), disk.free(self._paths.root))

    def _seconds_left(self, writers: Sequence[Live], in_hand: Iterable[int]) -> float | None:
        """What one writer says; several share what is left."""
        if len(writers) < 2:
            return writers[0].state.seconds_left if writers else None
        paces = [each.state.seconds_per_cost for each in writers if each.state.seconds_per_cost]
        if not paces:
            return None
        pace, waiting = statistics.median(paces), self._todo.copy()
        waiting.subtract(kind(max(float(self._plan.costs[row]), 1.0)) for row in in_hand if self._states[row] == TODO)
        newest = max(_time(each.updated) for each in writers)
        ahead = [
            Ahead(max(0.0, (worker.left or 0.0) - (newest - _time(each.updated))))
            for each in writers
            for worker in each.state.workers
        ]
        tasks = [(cost * pace, count) for cost, count in kinds(waiting)]
        return seconds_left(ahead, tasks) if ahead else None


def _first(failures: Mapping[str, tuple[str, str]]) -> tuple[dict[str, str], dict[str, str]]:
    """Messages and hints of so many as are told one by one."""
    told = dict(islice(failures.items(), MOST_FAILURES))
    return {output: message for output, (message, _) in told.items()}, {key: hint for key, (_, hint) in told.items()}


def _time(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def _listed(paths: RunPaths) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(paths.writers) as entries:
            return list(entries)
    except OSError:
        return []


def _stamp(paths: RunPaths) -> tuple[int, int] | None:
    try:
        found = paths.plan.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
