"""The manifest as it is read: all parts merged into what is known of each output and each task."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nst_batch.columns import NONE, Bytes, Index, halves, key_of
from nst_batch.paths import RunPaths
from nst_batch.recorded import recall
from nst_batch.recorded.gatherers import Gatherers
from nst_batch.recorded.gathering import Gathered, Rows, moment_of
from nst_batch.recorded.highlights import Highlights
from nst_batch.recorded.lines import Line, Place, WholeLines, parse, whole
from nst_batch.recorded.parts import Parts, Repeats, is_head, writer_of
from nst_batch.recorded.rendered import RenderedTable
from nst_batch.records import Task


@dataclass
class Attempts:
    """Failures of a task since it was last done; ``place`` is that of the last one's line."""

    failed: int = 0
    deaths: int = 0
    transient: bool = True
    finished: str = ""
    error: Mapping[str, Any] = field(default_factory=dict)
    place: Place | None = field(default=None, compare=False)


_NONE = Attempts()


@dataclass
class History:
    """All parts of a manifest, merged."""

    rendered: RenderedTable = field(default_factory=RenderedTable)  # by output name
    attempts: dict[str, Attempts] = field(default_factory=dict)  # by task id
    parts: int = 0
    lines: int = 0
    skipped: int = 0  # lines that are broken, torn, or of a newer schema
    highlights: Highlights = field(default_factory=Highlights)


@dataclass(frozen=True)
class _Failed:
    """A failed line."""

    finished: str
    task: str
    error: Mapping[str, Any]
    place: Place


class ManifestReader:
    """Reads the parts of a manifest once, and then what others add to them.

    Args:
        paths: of the run.
    """

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths
        self._parts = Parts(paths.manifest)
        self._repeats = Repeats()
        self._cut: list[tuple[bytes, Line | None, Place]] = []  # lines without an end that nobody was told of
        self._told: dict[Place, bool] = {}  # lines without an end of which somebody was: whether they were lines
        self._ahead: Gatherers | None = None
        self._ended: set[str] = set()
        self._own = ""
        self.history = History()

    def records(self) -> Iterator[dict[str, Any]]:
        """Every line, whole, and nothing else."""
        return (whole(raw) for raw, _, _ in self._lines())

    def begin(self) -> None:
        """Have other processes read a large manifest of which nothing is remembered, until ``read`` or ``close``."""
        if not os.path.exists(self.paths.recall):  # noqa: PTH110 - Path's fails in a folder that may not be entered
            stretches = next(self._parts.stretches(), [])
            self._ahead = Gatherers(self.paths.manifest, stretches) if stretches else None

    def close(self) -> None:
        """What was begun is not wanted any more."""
        if self._ahead is not None:
            self._ahead.close()

    def read(self) -> History:
        """Merge every part, in whatever order; none at all gives an empty history. To be called once, first.

        What was read of a large manifest is remembered in the run's folder.
        """
        known = recall.load(self.paths) if self._ahead is None else None
        history, failed = self.history, list[_Failed]()
        if known is not None:
            self._parts.go_on(known.read)
            history.rendered, history.lines, history.skipped = known.rendered, known.lines, known.skipped
            history.highlights = known.highlights
            failed = [_Failed(when, task, error, Place(*place)) for when, task, error, place in known.failed]
        before = sum(self._parts.read.values())
        failed += self._gather()
        history.parts = self._parts.count
        failed = _not_done_since(failed, *history.rendered.done())
        if sum(self._parts.read.values()) - before >= recall.WORTH_BYTES:
            self._remember(failed)
        for each in self._with_unended(failed):
            _merge_failed(history, each)
        return history

    def _gather(self) -> list[_Failed]:
        """Heed all lines that were written whole, but for failed ones, which are given back."""
        done, failed, history = list[Rows](), list[_Failed](), self.history
        for together in self._gatherers():
            found = zip(together.stretches, together.each(), strict=True)
            for part, pairs in itertools.groupby(found, lambda pair: pair[0].part):
                those = list(pairs)
                there = [each for _, each in those if each is not None]
                if len(there) == len(those):  # else it was merged into another meanwhile, and is read there
                    failed += self._heed(part, those[0][0].begin, there, done)
        history.rendered.merge(done)
        if done:
            history.highlights.keep(history.rendered.has)
        return failed

    def _gatherers(self) -> Iterator[Gatherers]:
        """Of what was begun, and then of all that was written since, or of everything."""
        if self._ahead is not None:
            with contextlib.closing(self._ahead) as found:
                yield found
        for stretches in self._parts.stretches():
            with contextlib.closing(Gatherers(self.paths.manifest, stretches)) as found:
                yield found

    def _heed(self, part: str, end: int, found: Iterable[Gathered], done: list[Rows]) -> Iterator[_Failed]:
        """All that was gathered of a part, up to ``end`` or further."""
        history = self.history
        self._cut = [each for each in self._cut if each[2].part != part]  # was seen ahead, and is among these again
        for each in found:
            done.append(each.done)
            history.lines += len(each.done)
            history.skipped += each.skipped
            history.highlights.join(each.highlights)
            for offset, raw in each.failed:
                line = parse(raw)
                if line is not None and self._is_new(part, raw, line):
                    history.lines += 1
                    yield _Failed(line.finished, line.task, line.failure, Place(part, offset))
            end = max(end, each.end)
            if each.cut:
                offset, raw = each.cut
                line = parse(raw)
                if self._is_new(part, raw, line):
                    self._cut.append((raw, line, Place(part, offset)))
                break  # what follows was written meanwhile: it is read next time, with the whole of this line
        self._parts.has_read(part, end)

    def _with_unended(self, failed: list[_Failed]) -> list[_Failed]:
        """Heed lines at the ends of parts that were not written whole: nobody remembers them. Failures that count."""
        found = list(self._cut_ones())
        for _, line, place in found:
            if line.status == "done":
                self.history.rendered.add(line, place)
            else:
                failed = [*failed, _Failed(line.finished, line.task, line.failure, place)]
        return _not_done_since(failed, *self.history.rendered.done()) if found else failed

    def _remember(self, failed: Iterable[_Failed]) -> None:
        history = self.history
        kept = [(each.finished, each.task, dict(each.error), (each.place.part, each.place.offset)) for each in failed]
        known = recall.Recall(
            self._parts.read, history.rendered, kept, history.lines, history.skipped, history.highlights
        )  # fmt: skip
        recall.save(self.paths, known)

    def follow(self, own: str, is_alive: Callable[[str], bool]) -> None:
        """From now on care for parts of others that may grow: not for ``own``, nor for those of writers that ended."""
        self._own = own
        self._ended = {part for part in self._parts.read if not is_alive(writer_of(part))}

    def more(self) -> set[str]:
        """Merge what was added since; the output names that it is about."""
        told = set()
        for _, line, place in self._lines():
            told.add(line.output)
            if line.status == "done":
                self.history.rendered.add(line, place)
                if self.history.attempts.get(line.task, _NONE).finished <= line.finished:
                    self.history.attempts.pop(line.task, None)
            else:
                _merge_failed(self.history, _Failed(line.finished, line.task, line.failure, place))
        return told

    def _wants(self, part: str) -> bool:
        return part not in self._ended and writer_of(part) != self._own

    def _lines(self) -> Iterator[tuple[bytes, Line, Place]]:
        """Lines that are new; those that are broken are counted. The last of a part may be torn, or not yet written
        whole."""
        yield from self._whole_ones()
        yield from self._cut_ones()

    def _whole_ones(self) -> Iterator[tuple[bytes, Line, Place]]:
        for part, offset, raw in self._parts.lines(self._wants):
            place = Place(part, offset)
            was_line = self._told.pop(place, None)
            self.history.skipped -= was_line is False  # it is whole at last
            line = None if was_line else parse(raw)
            if was_line or not self._is_new(part, raw, line):
                continue
            if raw.endswith(b"\n"):
                yield from self._counted(raw, line, place)
            else:
                self._cut.append((raw, line, place))

    def _is_new(self, part: str, raw: bytes, line: Line | None) -> bool:
        """Whether a line counts: it may be no line, but is not the head of a part, nor one that repeats another."""
        return not is_head(raw) if line is None else line.status == "done" or not self._repeats.are(part, raw)

    def _cut_ones(self) -> Iterator[tuple[bytes, Line, Place]]:
        while self._cut:
            raw, line, place = self._cut.pop(0)
            self._told[place] = line is not None
            yield from self._counted(raw, line, place)

    def _counted(self, raw: bytes, line: Line | None, place: Place) -> Iterator[tuple[bytes, Line, Place]]:
        self.history.lines += line is not None
        self.history.skipped += line is None
        if line is not None:
            if line.status == "done":
                self.history.highlights.heed(line)
            yield raw, line, place


def records(paths: RunPaths) -> Iterator[dict[str, Any]]:
    """Every whole line of a manifest, as it was written; part by part."""
    yield from ManifestReader(paths).records()


def read(paths: RunPaths) -> History:
    """All parts of a manifest, merged."""
    return ManifestReader(paths).read()


class Records:
    """The last lines about outputs and tasks, whole, read again when they are asked for.

    Args:
        paths: of the run.
        history: what was read there.
    """

    def __init__(self, paths: RunPaths, history: History) -> None:
        self._history = history
        self._lines = WholeLines(paths.manifest)

    def done(self, output: str) -> dict[str, Any]:
        """The last done line about an output; empty where there is none any more."""
        found = self._history.rendered.get(output)
        return {} if found is None else self._at(found.place)

    def failed(self, task: str) -> dict[str, Any]:
        """The last failed line about a task that was not done since, likewise."""
        found = self._history.attempts.get(task)
        return {} if found is None or found.place is None else self._at(found.place)

    def of(self, task: Task, state: str) -> dict[str, Any]:
        """The line that says what a task's state is; empty where nothing was done."""
        return self.done(task.output) if state == "done" else self.failed(task.id) if state == "failed" else {}

    def raw(self, places: Sequence[Place | None]) -> list[bytes]:
        """Lines as they were written, empty where there is none (None: there never was); read in the parts' order."""
        found = [b""] * len(places)
        for place, number in sorted((place, number) for number, place in enumerate(places) if place is not None):
            with contextlib.suppress(OSError, ValueError):  # its part was merged into another meanwhile
                found[number] = self._lines.raw(place)
        return found

    def _at(self, place: Place) -> dict[str, Any]:
        try:
            return self._lines.at(place)
        except (OSError, ValueError):  # its part was merged into another meanwhile
            return {}


def last_words(attempts: Attempts) -> tuple[str, str]:
    """What was said of the last failure, and what may be done about it."""
    return str(attempts.error.get("message") or ""), str(attempts.error.get("hint") or "")


def _not_done_since(failed: list[_Failed], *done: tuple[Bytes, npt.NDArray[np.bytes_]]) -> list[_Failed]:
    """Failures in the order of time, but those that were before a success (``done``: of which task, and when)."""
    if not failed:
        return []
    found = [(Index(halves(tasks)), tasks, moments) for tasks, moments in done]
    keys = np.array([key_of(bytes.fromhex(each.task[:16])) for each in failed], np.int64)
    ever = np.any([index.rows(keys) != NONE for index, _, _ in found], axis=0).tolist()  # most never were

    def last(task: bytes) -> bytes:
        """When a task was last done."""
        rows = ((tasks, moments, index.all_rows(key_of(task)).tolist()) for index, tasks, moments in found)
        return max((m[row] for tasks, m, those in rows for row in those if tasks[row].tobytes() == task), default=b"")

    left = [
        each
        for each, was in zip(failed, ever, strict=True)
        if not was or moment_of(each.finished) > last(bytes.fromhex(each.task))
    ]
    return sorted(left, key=lambda each: each.finished)


def _merge_failed(history: History, failed: _Failed) -> None:
    """To be called in the order of time."""
    attempts = history.attempts.setdefault(failed.task, Attempts())
    attempts.failed += 1
    attempts.deaths += failed.error.get("type") == "WorkerDied"
    attempts.transient = bool(failed.error.get("transient"))
    attempts.finished = failed.finished
    attempts.error = failed.error
    attempts.place = failed.place
