"""Parts of a manifest merged into few, without the lines that nobody looks at any more.

A merged part is written under a temporary name, flushed, and renamed; from then on readers leave what it replaces
alone (see ``parts``), and that is removed. Killed at any moment, every line counts once. Lines are copied as they are,
and in the order in which they are read. Parts of writers that live are left to them.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nst_batch.atomic import open_lock, remove_temporaries, sync_folder
from nst_batch.errors import OUT_OF_ROOM, ManifestError, RunLocked, UsageError
from nst_batch.memory import in_words
from nst_batch.paths import PART_SUFFIX, RunPaths, new_name
from nst_batch.planning import disk
from nst_batch.recorded.lines import parse
from nst_batch.recorded.merging import Group, Part, groups
from nst_batch.recorded.parts import Parts, Repeats, heads, is_head, is_same, writer_of
from nst_batch.recorded.superseded import DONE, FAILED, Rows
from nst_batch.recorded.writers import Heartbeats

_LINES = 256  # between two ticks

Tick = Callable[[int, int], None]
"""Told how many bytes of how many are looked through or copied; what it raises ends the compaction."""


@dataclass(frozen=True)
class Sizes:
    """Of a manifest: whole lines, and bytes of files."""

    parts: int
    lines: int
    bytes: int


@dataclass(frozen=True)
class Compacted:
    """What became of a manifest: lines that were ``superseded`` or ``broken`` are gone; so many parts were left to
    their writers, which are ``alive``."""

    before: Sizes
    after: Sizes
    superseded: int
    broken: int
    alive: int

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.before != self.after


def compact(paths: RunPaths, *, dry_run: bool = False, tick: Tick = lambda *_: None) -> Compacted:
    """Merge the parts of a run's manifest; ``dry_run``: only say what would become of them.

    Raises:
        UsageError: nothing was ever recorded there.
        RunLocked: another compaction is going on.
        ManifestError: there is no room, or the system refuses something; every line is where it was, or merged.
    """
    if not paths.manifest.is_dir():
        raise UsageError(
            f"{paths.root}: nothing was recorded here", hint="name a pipeline file, or the output folder of a run"
        )
    try:
        if dry_run:
            return _Compaction(paths, tick).found
        with _alone(paths):
            remove_temporaries(paths.manifest)
            compaction = _Compaction(paths, tick)
            compaction.carry_out()
            return compaction.found
    except OSError as error:
        raise ManifestError(
            f"{paths.manifest}: parts could not be merged: {error.strerror or error}",
            hint="nothing is lost; see that the folder may be written and has room, and try again",
            out_of_room=error.errno in OUT_OF_ROOM,
        ) from error


@contextmanager
def _alone(paths: RunPaths) -> Iterator[None]:
    """One compaction at a time, where the file system has locks; two do no harm, but for their work."""
    descriptor = open_lock(paths.compaction)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunLocked(
                f"{paths.root}: its manifest is being compacted by another process", hint="wait for it"
            ) from error
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(descriptor)


class _Compaction:
    """What is to be done about a manifest, as it was when this was made."""

    def __init__(self, paths: RunPaths, tick: Tick) -> None:
        self._paths = paths
        self._is_alive = Heartbeats(paths).is_alive
        self._sizes = _sizes(paths.manifest)
        alive = {part for part in self._sizes if self._is_alive(writer_of(part))}
        self._leftovers = _leftovers(paths.manifest, self._is_alive)
        self._done, self._total = 0, 2 * sum(self._sizes.values())
        self._tick = tick
        self._rows = Rows()
        self._parts = self._looked_through()
        together = groups([part for part in self._parts if part.name not in alive | self._leftovers])
        stays = np.ones(len(self._rows), np.bool_)
        for part in (part for group in together for part in group):
            stays[part.first : part.last] = False
        gone = self._rows.superseded(stays)
        self._groups = [Group(paths.manifest, group, self._rows, gone) for group in together]
        self._groups = [group for group in self._groups if group.changes]
        self.found = self._compacted(len(alive))

    def carry_out(self) -> None:
        """Merge and remove.

        Raises:
            ManifestError: there is not enough room.
            OSError: something else is in the way.
        """
        needed, free = max((group.size for group in self._groups), default=0), disk.free(self._paths.manifest)
        if free is not None and free < needed:
            raise ManifestError(
                f"{self._paths.manifest}: merging its parts takes {in_words(needed)} beside them, and {in_words(free)} "
                "are free",
                hint="make room; nothing was changed",
                out_of_room=True,
            )
        _remove(self._paths.manifest, self._leftovers)
        for group in self._groups:
            group.merge(self._paths.merged_part(new_name()), self._advance)
            _remove(self._paths.manifest, _leftovers(self._paths.manifest, self._is_alive))
        self._tick(self._total, self._total)

    def _looked_through(self) -> list[Part]:
        """Fill the rows."""
        reader, repeats, found = Parts(self._paths.manifest), Repeats(), dict[str, Part]()
        known = heads(self._paths.manifest)
        for count, (name, begin, raw) in enumerate(reader.lines(lambda part: part in self._sizes)):
            rows = len(self._rows)
            part = found.setdefault(name, Part(name, self._sizes[name], rows, rows, head=known.get(name)))
            if not is_head(raw):
                self._add(part, begin, raw, repeats)
            self._advance(len(raw), again=count % _LINES == 0)
        for name in sorted(reader.read.keys() & self._sizes.keys()):
            part = found.setdefault(name, Part(name, self._sizes[name], 0, 0, head=known.get(name)))
            part.read = max(part.read, reader.read[name])
        return list(found.values())

    def _add(self, part: Part, begin: int, raw: bytes, repeats: Repeats) -> None:
        kind = self._rows.add(raw, begin)
        if kind is None:
            part.broken += 1
            return
        if kind == FAILED and repeats.are(part.name, raw):
            self._rows.take_back()
            part.repeated += 1
            return
        part.last += 1
        part.done += kind == DONE
        part.read = begin + len(raw)
        part.lacks_newline = not raw.endswith(b"\n")

    def _advance(self, count: int, *, again: bool = True) -> None:
        self._done += count
        if again:
            self._tick(min(self._done, self._total), self._total)

    def _compacted(self, alive: int) -> Compacted:
        merged = {part.name: part for group in self._groups for part in group.parts}
        kept = self._sizes.keys() - merged.keys() - self._leftovers
        broken = sum(part.broken for part in merged.values())
        superseded = sum(group.gone for group in self._groups) + sum(part.repeated for part in merged.values())
        lines = len(self._rows) + sum(part.repeated for part in self._parts)
        before = Sizes(len(self._sizes), lines, sum(self._sizes.values()))
        after = Sizes(
            len(kept) + len(self._groups), lines - superseded,
            sum(self._sizes[name] for name in kept) + sum(group.size for group in self._groups),
        )  # fmt: skip
        return Compacted(before, after, superseded, broken, alive)


def _sizes(folder: Path) -> dict[str, int]:
    """Of every part."""
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat().st_size for entry in entries if entry.name.endswith(PART_SUFFIX)}


def _leftovers(folder: Path, is_alive: Callable[[str], bool]) -> set[str]:
    """Parts that were merged and are there still, and have nothing more than was merged."""
    there = _sizes(folder)
    merged = [(name, each) for head in heads(folder).values() for name, each in head.parts.items() if name in there]
    return {
        name
        for name, each in merged
        if not is_alive(writer_of(name)) and is_same(folder / name, each) and _ends_there(folder / name, each.bytes)
    }


def _ends_there(path: Path, size: int) -> bool:
    """Whether no line follows the first ``size`` bytes; one that is torn may."""
    with path.open("rb") as file:
        file.seek(size)
        rest = file.readline()
        return not rest.endswith(b"\n") and parse(rest) is None


def _remove(folder: Path, names: set[str]) -> None:
    for name in sorted(names):
        (folder / name).unlink(missing_ok=True)
    if names:
        sync_folder(folder)
