"""Which lines of a manifest nobody looks at any more: pictures that were rendered again, failures before a success.

Of each line, 80 bytes are kept in memory. A line that is not understood in full supersedes nothing, and stays.
"""

from __future__ import annotations

import hashlib
import json
from array import array

import numpy as np
from numpy.typing import NDArray

from nst_batch.recorded.lines import parse

OTHER, DONE, FAILED = range(3)
"""Kinds of lines; others are not understood."""

_MOMENT_BYTES = 32  # of ``finished`` as it is written: 2026-01-01T00:00:00.000000+00:00

Mask = NDArray[np.bool_]


class Rows:
    """What is known of lines, a row each."""

    def __init__(self) -> None:
        self.begins, self.ends = array("Q"), array("Q")
        self._kinds = bytearray()
        self._outputs, self._tasks, self._moments = bytearray(), bytearray(), bytearray()

    def __len__(self) -> int:
        return len(self._kinds)

    def add(self, raw: bytes, begin: int) -> int | None:
        """A row for the line that begins there; its kind, or None where it is no line, but broken."""
        found = _read(raw)
        if found is None:
            return None
        kind, output, task, finished = found
        moment = finished.encode(errors="surrogatepass")
        if len(moment) > _MOMENT_BYTES or b"\0" in moment:
            kind = OTHER  # written by nobody; it cannot be told which is later
        self.begins.append(begin)
        self.ends.append(begin + len(raw))
        self._kinds.append(kind)
        self._outputs += _digest(output)
        self._tasks += _digest(task)
        self._moments += moment[:_MOMENT_BYTES].ljust(_MOMENT_BYTES, b"\0")
        return kind

    def take_back(self) -> None:
        """Forget the last one."""
        for column, width in ((self._kinds, 1), (self._outputs, 16), (self._tasks, 16), (self._moments, _MOMENT_BYTES)):
            del column[-width:]
        self.begins.pop()
        self.ends.pop()

    @property
    def kinds(self) -> NDArray[np.uint8]:
        """Of each row."""
        return np.frombuffer(self._kinds, np.uint8)

    def superseded(self, stays: Mask) -> Mask:
        """Which rows need not be kept.

        Args:
            stays: rows of lines that have to stay where they are.
        """
        kinds = self.kinds
        outputs, tasks = (np.frombuffer(each, np.uint64).reshape(-1, 2) for each in (self._outputs, self._tasks))
        moments = np.frombuffer(self._moments, ">u8").reshape(-1, _MOMENT_BYTES // 8)  # in order as texts are
        gone: Mask = np.zeros(len(self), np.bool_)
        done = np.flatnonzero(kinds == DONE)
        _rendered_again(gone, done, outputs, moments)
        _told_of_others(gone, done, tasks, moments)
        failed = tasks[kinds == FAILED, 0]
        told = np.flatnonzero((kinds != OTHER) & np.isin(tasks[:, 0], failed))
        _failed_before(gone, told, kinds == DONE, tasks, moments)
        gone[stays] = False
        return gone


def _read(raw: bytes) -> tuple[int, str, str, str] | None:
    """Kind, output, task and when it was finished."""
    line = parse(raw)
    if line is None:
        return (OTHER, "", "", "") if _is_foreign(raw) else None
    return DONE if line.status == "done" else FAILED, line.output, line.task, line.finished


def _is_foreign(raw: bytes) -> bool:
    """Whether it is a whole line, of a schema that others understand."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and isinstance(found.get("v"), int)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


def _rendered_again(
    gone: Mask, done: NDArray[np.int64], outputs: NDArray[np.uint64], moments: NDArray[np.uint64]
) -> None:
    """Mark all but the last done line of each output; of equally late ones, the last that is read counts."""
    first = outputs[done, 0]
    order = np.argsort(first, kind="stable")
    same = first[order[1:]] == first[order[:-1]]
    shared = np.zeros(len(done), np.bool_)
    shared[order[1:][same]] = shared[order[:-1][same]] = True
    rows = done[shared]  # mostly few
    order = rows[np.lexsort((*moments[rows].T[::-1], *outputs[rows].T))]
    gone[order[:-1][~_changes(outputs[order])]] = True


def _told_of_others(
    gone: Mask, done: NDArray[np.int64], tasks: NDArray[np.uint64], moments: NDArray[np.uint64]
) -> None:
    """Keep the last done line of a task whose picture counts under another name: its losses are told of that, too."""
    again = done[gone[done]]
    rows = done[np.isin(tasks[done, 0], tasks[again, 0])]
    if not len(rows):
        return
    order = rows[np.lexsort((*moments[rows].T[::-1], *tasks[rows].T))]
    starts = np.flatnonzero(np.concatenate(([True], _changes(tasks[order]))))
    counts = np.logical_or.reduceat(~gone[order], starts)
    gone[order[np.append(starts[1:], len(order)) - 1][counts]] = False


def _failed_before(
    gone: Mask, told: NDArray[np.int64], is_done: Mask, tasks: NDArray[np.uint64], moments: NDArray[np.uint64]
) -> None:
    """Mark failed lines of tasks that were done later, or at the same time.

    The line that says so stays this time, though its picture may have been rendered again: some of the failures may lie
    elsewhere, or be in the memory of who is reading them now.
    """
    if not len(told):
        return
    order = told[np.lexsort((is_done[told], *moments[told].T[::-1], *tasks[told].T))]
    starts = np.flatnonzero(np.concatenate(([True], _changes(tasks[order]))))
    places = np.arange(len(order))
    last = np.maximum.reduceat(np.where(is_done[order], places, -1), starts)
    last = np.repeat(last, np.diff(np.append(starts, len(order))))
    forgotten = ~is_done[order] & (places < last)
    gone[order[forgotten]] = True
    gone[order[last[forgotten]]] = False


def _changes(keys: NDArray[np.uint64]) -> Mask:
    """Between which neighbours a key of two words changes."""
    found: Mask = (keys[1:] != keys[:-1]).any(axis=1)
    return found
