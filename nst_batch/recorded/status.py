"""The state of each task of a run, by its manifest and its pictures. Reads only, but remembers what is in archives."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice, repeat
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from nst_batch.archives import tar_outputs, tars
from nst_batch.columns import NONE, Ints, hashes
from nst_batch.paths import ARCHIVE_SUFFIX, RunPaths, archive_of
from nst_batch.planning.looking import Looks
from nst_batch.planning.task_table import TaskTable
from nst_batch.recorded.history import History
from nst_batch.records import Task

TODO, DONE, FAILED = range(3)
STATES = ("todo", "done", "failed")
"""By number."""

_AT_ONCE = 1 << 14  # files of a folder that are looked at together

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Look:
    """What is found under the names of tasks.

    Attributes:
        before: which row of what was rendered is about each, ``NONE``: none.
        same: whether what was last rendered there is that very task.
        sizes: bytes of the file there, ``NONE``: there is none, or none was ever rendered.
        expected: bytes as they were recorded.
        altered: whether somebody has changed the file since. Such a task counts as done. An empty file is as good as
            none: there is nothing in it to be lost.
    """

    before: Ints
    same: Flags
    sizes: Ints
    expected: Ints
    altered: Flags

    @property
    def states(self) -> npt.NDArray[np.uint8]:
        """Each task's, but for those that failed."""
        return np.where(self.altered | (self.same & (self.sizes == self.expected)), DONE, TODO).astype(np.uint8)


def look(tasks: TaskTable, history: History, paths: RunPaths) -> Look:
    """Look for the pictures of all tasks."""
    before = history.rendered.rows(tasks.output_hashes)
    same = is_same(tasks, history, before)
    sizes = sizes_of(tasks, paths, before != NONE)
    expected = recorded_sizes(history, before)
    altered: Flags = (before != NONE) & (sizes > 0) & (sizes != expected)
    for row in np.flatnonzero(altered & ~same).tolist():
        altered[row] = not is_of(paths, tasks.outputs[row], tasks.id(row))
    return Look(before, same, sizes, expected, altered)


def states_of(tasks: TaskTable, history: History, paths: RunPaths) -> tuple[npt.NDArray[np.uint8], Look]:
    """Each task's state by number, and what was found."""
    found = look(tasks, history, paths)
    states = found.states
    for identity in history.attempts:
        for row in tasks.rows_of(identity):
            if states[row] != DONE:
                states[row] = FAILED
    return states, found


def state_of(task: Task, history: History, paths: RunPaths, size: int | None) -> tuple[int, bool]:
    """The same of one task, and whether its picture is altered; ``size`` is that of the file under its name, None:
    there is none."""
    found = history.rendered.get(task.output)
    if found is not None and size is not None:
        same, altered = found.task == task.id, 0 < size != found.bytes
        altered = altered and (same or not is_of(paths, task.output, task.id))
        if altered or (same and size == found.bytes):
            return DONE, altered
    return FAILED if task.id in history.attempts else TODO, False


def is_of(paths: RunPaths, output: str, task: str) -> bool:
    """Whether a picture says that it is of this task: its record was lost with its run, and nobody has changed it."""
    from nst_batch.transfer.metadata import read_metadata  # Pillow, for a few of a million

    try:
        found = read_metadata(tar_outputs.place(paths, output))
    except OSError:
        return False
    return found is not None and found.get("task") == task


def is_same(tasks: TaskTable, history: History, before: Ints) -> Flags:
    """Whether what was last rendered under a task's name (``before``: in which row) is that very task."""
    if not len(history.rendered.tasks):
        return np.zeros(len(tasks), np.bool_)
    same: Flags = (before != NONE) & (history.rendered.tasks[before] == tasks.ids).all(1)
    return same


def recorded_sizes(history: History, before: Ints) -> Ints:
    """Bytes of each picture as they were recorded, ``NONE`` where nothing was."""
    if not len(history.rendered.sizes):
        return np.full(len(before), NONE, np.int64)
    return np.where(before != NONE, history.rendered.sizes[before], NONE)


def sizes_of(tasks: TaskTable, paths: RunPaths, wanted: Flags) -> Ints:
    """Bytes of the files under the names of those tasks that are ``wanted``, ``NONE`` where there is none.

    Each folder is listed once: of a million pictures, asking for each would be asking a million times.
    """
    found = np.full(len(tasks), NONE, np.int64)
    if not wanted.any():
        return found
    outputs = tasks.outputs if wanted.all() else tasks.outputs.only(np.flatnonzero(wanted))
    folders, archives = folders_of(outputs)
    with tars.remembering() as memory:
        memory.read(paths.archives)
        for archive in archives:
            members = tar_outputs.sizes(paths, archive)
            rows = tasks.by_output.rows(hashes(f"{archive}/{name}" for name in members))
            there = (rows != NONE) & wanted[rows]
            found[rows[there]] = np.fromiter(members.values(), np.int64)[there]
        memory.save(paths.archives)
    looks = Looks()
    for folder in folders:
        for entries in _listed(os.fspath(paths.output(folder))):
            before = f"{folder}/" if folder else ""
            rows = tasks.by_output.rows(hashes(before + each.name for each in entries))
            asked = np.flatnonzero((rows != NONE) & wanted[rows]).tolist()
            looks.each(partial(_look, entries, rows, found), asked)
    return found


def folders_of(outputs: Iterable[str]) -> tuple[list[str], list[str]]:
    """The folders and the archives in which they are, each once."""
    folders = dict.fromkeys(map(itemgetter(0), map(str.rpartition, outputs, repeat("/"))))
    archives = {folder: archive_of(f"{folder}/") for folder in folders if ARCHIVE_SUFFIX in folder}
    inside = dict.fromkeys(parts[0] for parts in archives.values() if parts)
    return [folder for folder in folders if not archives.get(folder)], list(inside)


def size_of(paths: RunPaths, output: str) -> int | None:
    """Bytes of the file under one name; None: there is none."""
    try:
        place = tar_outputs.place(paths, output)
        if tars.split(os.fspath(place)):
            return tars.stat(os.fspath(place)).size
        found = place.stat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _listed(folder: str) -> Iterator[list[os.DirEntry[str]]]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        while some := list(islice(entries, _AT_ONCE)):
            yield some


def _look(entries: list[os.DirEntry[str]], rows: Ints, sizes: Ints, place: int) -> None:
    """Note the size of one of them, if it is a file and has not gone since it was listed."""
    try:
        found = entries[place].stat()
    except OSError:
        return
    if stat.S_ISREG(found.st_mode):
        sizes[rows[place]] = found.st_size
