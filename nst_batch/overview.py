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
from typing import Any

from nst_batch import decisions, disk, live
from nst_batch.alike import Group, groups
from nst_batch.disk import Room
from nst_batch.eta import Ahead, kind, kinds, seconds_left
from nst_batch.history import ManifestReader, last_words
from nst_batch.live import Live
from nst_batch.paths import RunPaths
from nst_batch.planned import Planned, read_plan
from nst_batch.status import state_of
from nst_batch.writers import Heartbeats

SLOWEST = 5
_FEW, _MANY = 50, 1000  # of the slowest, that are kept of as many while reading


@dataclass(frozen=True)
class Took:
    """What a task took: seconds of its device, and its picture's size."""

    output: str
    seconds: float
    width: int
    height: int
    finished: str


@dataclass(frozen=True)
class Device:
    """A worker's device: the share of the time since its writer began in which it was busy."""

    host: str
    device: str
    busy: float


@dataclass(frozen=True)
class Overview:
    """A run's state. ``writers`` are those that live."""

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
    writers: list[Live] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether nobody is at work."""
        return not self.writers

    def with_counts(self, name: str, counts: Mapping[str, int], given_up: dict[str, tuple[str, str]]) -> Overview:
        """The same with tasks as a pipeline file has them now."""
        failures = {output: message for output, (message, _) in given_up.items()}
        hints = {output: hint for output, (_, hint) in given_up.items()}
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
        self._slowest: dict[str, Took] = {}
        self._last: Took | None = None
        self._peak = 0
        self._reader = ManifestReader(paths, self._heed)
        self._plan: dict[str, Planned] = {}
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
        for output in told & self._plan.keys():
            self._place(self._plan[output], self._size(output))
        writers = [each for each in live.read(self._paths) if alive.get(each.writer) and not each.ended]
        return self._overview(writers)

    def _begin(self) -> None:
        """Look for every picture of the plan."""
        self._plan_file = _stamp(self._paths)
        self._plan = read_plan(self._paths)
        self._states: dict[str, str] = {}
        self._todo = Counter[int]()  # by kind of cost
        self._work = self._work_done = 0.0
        self._failed: dict[str, tuple[str, str]] = {}
        self._bytes = {"todo": 0, "expected": 0, "written": 0}
        size_of = decisions.output_sizes(self._paths)
        for item in self._plan.values():
            self._work += item.cost
            self._add(item, "todo", 1)
            self._place(item, size_of(item.output))

    def _size(self, output: str) -> int | None:
        try:
            return self._paths.output(output).stat().st_size
        except OSError:
            return None

    def _place(self, item: Planned, size: int | None) -> None:
        """Put a task where it belongs, from where it was."""
        state = state_of(item, self._history, size)
        if state == "failed":
            self._failed[item.output] = last_words(self._history.attempts[item.task])
        else:
            self._failed.pop(item.output, None)
        before = self._states.get(item.output, "todo")
        if state != before:
            self._add(item, before, -1, size or 0)
            self._add(item, state, 1, size or 0)

    def _add(self, item: Planned, state: str, sign: int, size: int = 0) -> None:
        self._states[item.output] = state
        if state == "todo":
            self._todo[kind(max(item.cost, 1.0))] += sign
            self._bytes["todo"] += sign * item.bytes
        elif state == "done":
            self._work_done += sign * item.cost
            self._bytes["expected"] += sign * item.bytes
            self._bytes["written"] += sign * size * (item.bytes > 0)

    def _heed(self, record: dict[str, Any]) -> None:
        if record["status"] != "done":
            return
        took = Took(
            record["output"], _number(record.get("seconds")), int(_number(record.get("width"))),
            int(_number(record.get("height"))), record["finished"],
        )  # fmt: skip
        self._peak = max(self._peak, int(_number(record.get("peak_memory_bytes"))))
        if self._last is None or self._last.finished <= took.finished:
            self._last = took
        before = self._slowest.get(took.output)
        if before is None or before.finished <= took.finished:
            self._slowest[took.output] = took
        if len(self._slowest) > _MANY:
            self._slowest = {each.output: each for each in _longest(self._slowest.values(), _FEW)}

    def _overview(self, writers: list[Live]) -> Overview:
        counts = Counter(self._states.values())
        workers = [(each, worker) for each in writers for worker in each.state.workers]
        in_hand = {output: worker.done for _, worker in workers for output in worker.outputs}
        going_on = sum(self._plan[output].cost * done for output, done in in_hand.items() if output in self._plan)
        hourly = [each.state.pictures_per_hour for each in writers if each.state.pictures_per_hour is not None]
        return Overview(
            self._paths.root.resolve().name,
            len(self._plan), counts["done"], counts["failed"], counts["todo"],
            {output: message for output, (message, _) in self._failed.items()},
            {output: hint for output, (_, hint) in self._failed.items()},
            groups(self._failed),
            min(1.0, (self._work_done + going_on) / self._work) if self._work else float(not counts["todo"]),
            self._seconds_left(writers, in_hand),
            sum(hourly) if hourly else None,
            sum(each.state.evaluations_per_second for each in writers),
            [Device(each.host, worker.device, min(1.0, worker.busy / max(each.state.elapsed, 1e-9)))
             for each, worker in workers],
            _longest((took for took in self._slowest.values() if took.output in self._plan), SLOWEST),
            self._last, self._peak, self._room(writers), writers,
        )  # fmt: skip

    def _room(self, writers: Sequence[Live]) -> Room:
        """Pictures that are not there yet, and checkpoints of what is in hand."""
        more = self._bytes["todo"] * disk.correction(self._bytes["written"], self._bytes["expected"])
        outputs = [output for each in writers for worker in each.state.workers for output in worker.outputs]
        kept = [self._plan[output].checkpoint_bytes for output in outputs if output in self._plan]
        return Room(int(more) + sum(kept) + max(kept, default=0), disk.free(self._paths.root))

    def _seconds_left(self, writers: Sequence[Live], in_hand: dict[str, float]) -> float | None:
        """What one writer says; several share what is left."""
        if len(writers) < 2:
            return writers[0].state.seconds_left if writers else None
        paces = [each.state.seconds_per_cost for each in writers if each.state.seconds_per_cost]
        if not paces:
            return None
        pace, waiting = statistics.median(paces), self._todo.copy()
        waiting.subtract(kind(max(self._plan[each].cost, 1.0)) for each in in_hand if self._states.get(each) == "todo")
        newest = max(_time(each.updated) for each in writers)
        ahead = [
            Ahead(max(0.0, (worker.left or 0.0) - (newest - _time(each.updated))))
            for each in writers
            for worker in each.state.workers
        ]
        tasks = [(cost * pace, count) for cost, count in kinds(waiting)]
        return seconds_left(ahead, tasks) if ahead else None


def _longest(found: Iterable[Took], most: int) -> list[Took]:
    return sorted(found, key=lambda each: -each.seconds)[:most]


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


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
