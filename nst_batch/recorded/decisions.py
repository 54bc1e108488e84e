"""Whether each task is to be rendered, and why, from what is recorded and what is there. Pure but for looking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
import numpy.typing as npt

from nst_batch.archives import tar_outputs
from nst_batch.columns import NONE, Ints
from nst_batch.paths import RunPaths
from nst_batch.planning.task_table import TaskTable
from nst_batch.recorded import changes, status
from nst_batch.recorded.changes import Changes, what_changed
from nst_batch.recorded.history import Attempts, History, Records, last_words
from nst_batch.recorded.lines import WholeLines
from nst_batch.recorded.status import DONE, FAILED, STATES, TODO
from nst_batch.records import Task

DEATHS_TO_QUARANTINE = 2
"""A task that was in hand when this many workers died is not handed out again unless asked."""

NEW, MISSING, ALTERED, FORCED = "new", "output missing", "altered, kept", "forced"
REASONS = ("", NEW, MISSING, ALTERED, FORCED, "failed", "quarantined", *changes.REASONS)
_NUMBER = {reason: number for number, reason in enumerate(REASONS)}


@dataclass(frozen=True)
class Decision:
    """Whether a task is to be rendered, and why.

    ``state`` is ``done``, ``todo``, or ``failed`` (given up, until ``--retry-failed``). ``reason`` is the group that
    ``plan`` counts by, ``detail`` the rest of the sentence.
    """

    task: Task
    state: str
    reason: str = ""
    detail: str = ""
    attempts: int = 0  # failed so far
    hint: str = ""  # what may be done about the last failure


@dataclass(frozen=True)
class _Told:
    """What is to be said of a task beside its reason."""

    detail: str = ""
    attempts: int = 0
    hint: str = ""


@dataclass(frozen=True, eq=False)
class Decisions(Sequence[Decision]):
    """Decisions about many tasks, or about some of them: each is made when it is asked for.

    Attributes:
        tasks: all of them.
        rows: those that this is about.
        states, reasons: numbers of ``STATES`` and ``REASONS``, for each of ``tasks``.
    """

    tasks: TaskTable
    rows: Ints
    states: npt.NDArray[np.uint8]
    reasons: npt.NDArray[np.uint8]
    _records: Records = field(repr=False)
    _told: dict[int, _Told] = field(repr=False)

    def __len__(self) -> int:
        """How many."""
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Decision: ...
    @overload
    def __getitem__(self, place: slice) -> Decisions: ...
    def __getitem__(self, place: int | slice) -> Decision | Decisions:
        """One of them, or some."""
        if isinstance(place, slice):
            return self._about(self.rows[place])
        return self.of(int(self.rows[place]))

    def of(self, row: int) -> Decision:
        """About the task in that row of ``tasks``."""
        task, told = self.tasks[row], self._told.get(row)
        reason = REASONS[self.reasons[row]]
        if told is None:
            told = _Told(self._detail(task, reason))
        return Decision(task, STATES[self.states[row]], reason, told.detail, told.attempts, told.hint)

    def only(self, state: str) -> Decisions:
        """Those of a state."""
        return self._about(self.rows[self.states[self.rows] == STATES.index(state)])

    def but(self, state: str) -> Decisions:
        """All others."""
        return self._about(self.rows[self.states[self.rows] != STATES.index(state)])

    def counts(self) -> dict[str, int]:
        """Tasks by state."""
        found = np.bincount(self.states[self.rows], minlength=len(STATES))
        return {state: int(found[STATES.index(state)]) for state in ("done", "failed", "todo")}

    def altered(self) -> Decisions:
        """What is done, since somebody has changed the picture."""
        return self._about(self.rows[self.reasons[self.rows] == _NUMBER[ALTERED]])

    def counts_of_reasons(self) -> dict[str, int]:
        """Tasks to do, by why; in the order in which reasons are met."""
        found = self.reasons[self.only("todo").rows]
        numbers, first, counts = np.unique(found, return_index=True, return_counts=True)
        order = np.argsort(first)
        return {REASONS[numbers[place]]: int(counts[place]) for place in order}

    def _about(self, rows: Ints) -> Decisions:
        return Decisions(self.tasks, rows, self.states, self.reasons, self._records, self._told)

    def _detail(self, task: Task, reason: str) -> str:
        if reason == MISSING:
            return task.output
        if reason in changes.REASONS:
            record = self._records.done(task.output)
            return what_changed(task, record)[1] if record else ""
        return ""


def decide(
    tasks: Iterable[Task],
    history: History,
    paths: RunPaths,
    *,
    retries: int,
    verify: bool = False,
    force: bool = False,
    retry_failed: bool = False,
) -> Decisions:
    """What to do with each task.

    Done means: the last line about the task's output is a ``done`` line of this very task, and the file is there with
    the recorded size. What somebody has changed since (it has another size; ``verify``: or another SHA-256) is theirs,
    and kept, whatever the task is now: that is done, too.
    """
    table = TaskTable.of(tasks)
    seen = status.look(table, history, paths)
    before, same, sizes, states = seen.before, seen.same, seen.sizes, seen.states
    reasons = np.zeros(len(table), np.uint8)
    told = dict[int, _Told]()
    reasons[before == NONE] = _NUMBER[NEW]
    reasons[same & (states != DONE)] = _NUMBER[MISSING]
    for row in np.flatnonzero(seen.altered).tolist():
        reasons[row], told[row] = _NUMBER[ALTERED], _Told(_other_size(int(sizes[row]), int(seen.expected[row])))
    found, records = Changes(table, history.rendered, WholeLines(paths.manifest)), Records(paths, history)
    for row in np.flatnonzero((before != NONE) & ~same & ~seen.altered).tolist():
        reasons[row] = _NUMBER[found.reason(row, int(before[row]))]
    if verify:
        for row in np.flatnonzero((before != NONE) & (sizes == seen.expected)).tolist():
            output = table.outputs[row]
            if tar_outputs.sha256(paths, output) != records.done(output).get("sha256"):
                states[row], reasons[row], told[row] = DONE, _NUMBER[ALTERED], _Told(_OTHER_BYTES)
    if force:
        states[:], reasons[:] = TODO, _NUMBER[FORCED]
        told.clear()
    else:
        _heed_failures(table, history, states, reasons, told, retries, retry_failed)
    return Decisions(table, np.arange(len(table)), states, reasons, records, told)


_OTHER_BYTES = "same size, other bytes"


def _other_size(size: int, recorded: int) -> str:
    return f"{size} bytes, {recorded} recorded"


def _heed_failures(
    tasks: TaskTable,
    history: History,
    states: npt.NDArray[np.uint8],
    reasons: npt.NDArray[np.uint8],
    told: dict[int, _Told],
    retries: int,
    retry_failed: bool,
) -> None:
    for identity, attempts in history.attempts.items():
        for row in tasks.rows_of(identity):
            if states[row] != DONE and attempts.failed:
                state, reason, told[row] = _after_failures(attempts, retries, retry_failed)
                states[row], reasons[row] = state, _NUMBER[reason]


def _after_failures(attempts: Attempts, retries: int, retry_failed: bool) -> tuple[int, str, _Told]:
    message, hint = last_words(attempts)
    count = f"{attempts.failed} of {retries + 1}: {message}" if attempts.transient else message
    if attempts.deaths >= DEATHS_TO_QUARANTINE:
        reason, given_up = "quarantined", True
        count = f"{attempts.deaths} workers died with it: {message}"
    else:
        reason, given_up = "failed", not attempts.transient or attempts.failed > retries
    state = FAILED if given_up and not retry_failed else TODO
    return state, reason, _Told(count, attempts.failed, hint)


def decide_now(task: Task, history: History, paths: RunPaths, *, retries: int) -> Decision:
    """The same about one task, of which another run has recorded something."""
    size = status.size_of(paths, task.output)
    state, altered = status.state_of(task, history, paths, size)
    if altered and size is not None:
        return Decision(task, "done", ALTERED, _other_size(size, history.rendered[task.output].bytes))
    if state == DONE:
        return Decision(task, "done")
    attempts = history.attempts.get(task.id)
    if attempts is not None:
        state, reason, told = _after_failures(attempts, retries, retry_failed=False)
        return Decision(task, STATES[state], reason, told.detail, told.attempts, told.hint)
    reason, detail = _why(task, history, paths)
    return Decision(task, "todo", reason, detail)


def _why(task: Task, history: History, paths: RunPaths) -> tuple[str, str]:
    found = history.rendered.get(task.output)
    if found is None:
        return NEW, ""
    if found.task != task.id:
        record = Records(paths, history).done(task.output)
        return what_changed(task, record) if record else (changes.ALGORITHM, "")
    return MISSING, task.output
