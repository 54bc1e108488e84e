"""What is in input files, and remembered: digests of their bytes, and sizes by their headers."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nst_batch.archives import tar_finding, tars
from nst_batch.archives.tar_headers import Status, normal
from nst_batch.columns import NONE, Bytes, Index, Ints, Strings, halves, load, rows_of, save
from nst_batch.pipeline_file.inputs import masks_beside
from nst_batch.planning.input_files import opened, see, unreadable
from nst_batch.planning.looking import Looks, in_threads
from nst_batch.planning.source_table import SourceTable
from nst_batch.records import Limits, Source

_FRESH_NS = 2_000_000_000  # a file changed this lately may change again within one tick of the file system's clock
_FORMAT = 2  # of the cache's file; another where headers are read otherwise
_MANY = 1000  # files: what was read of more is kept, even where there is no run yet

Progress = Callable[[int, int], None]
"""Told how many of so many files have been read."""


@dataclass(frozen=True, eq=False)
class _Known:
    """What is remembered of files, a row each: a digest of the path, size and time, and what was found in it."""

    keys: Bytes  # Nx16
    sizes: Ints
    times: Ints  # ns
    digests: Bytes  # Nx32
    widths: Ints
    heights: Ints

    @classmethod
    def none(cls) -> _Known:
        nothing = np.zeros(0, np.int64)
        return cls(np.zeros((0, 16), np.uint8), nothing, nothing, np.zeros((0, 32), np.uint8), nothing, nothing)

    def and_then(self, later: _Known) -> _Known:
        """These, and others behind them; of the same path, the later ones."""
        both = _Known(*(np.concatenate(pair) for pair in zip(self._columns(), later._columns(), strict=True)))
        halves_of = halves(both.keys)
        last = Index(halves_of).rows(halves_of) == np.arange(len(halves_of))
        return _Known(*(column[last] for column in both._columns()))

    def _columns(self) -> tuple[npt.NDArray[Any], ...]:
        return tuple(getattr(self, each.name) for each in fields(self))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {each.name: getattr(self, each.name) for each in fields(self)}


_COLUMNS = {
    "keys": (np.uint8, 16), "sizes": (np.int64, None), "times": (np.int64, None), "digests": (np.uint8, 32),
    "widths": (np.int64, None), "heights": (np.int64, None),
}  # fmt: skip


class InputCache:
    """SHA-256 and header of input files, read once for each (path, size, mtime_ns).

    Args:
        file: where ``save`` keeps them between runs; a missing or damaged one is an empty one.
        limits: files with more bytes are pictures of nobody's, and not read.
        progress: told while files are read; what it raises ends that, and what was read is known all the same.
        spare: where they are kept until there is a folder for ``file``, if they are many.
    """

    def __init__(
        self,
        file: Path,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        progress: Progress = lambda *_: None,
        spare: Path | None = None,
    ) -> None:
        self._file = file
        self._limits = limits
        self._progress = progress
        self._spare = spare
        self._known, kept = _read(file), _Known.none() if spare is None else _read(spare)
        self._changed = len(kept.keys) > 0  # to be taken over
        if self._changed:
            self._known = kept.and_then(self._known)
        self._new = 0  # files that were read

    def sources(self, paths: Sequence[str]) -> SourceTable:
        """A row for each path, in their order, and then those of the masks beside them. Widths and heights are 0 where
        the header cannot be read.

        A file whose bytes cannot be read, or are too many, gets a digest of its own, so that its tasks, and no others,
        fail; once it can be read, it counts as changed.
        """
        archives = tar_finding.by_archive(paths)
        beside = masks_beside(paths, archives)
        masks = np.full(len(paths) + len(beside), NONE, np.int64)
        masks[list(beside)] = np.arange(len(paths), len(masks))
        every = [*paths, *beside.values()]
        for archive, places in tar_finding.by_archive(beside.values()).items():
            archives[archive].extend(len(paths) + place for place in places)  # each is in its picture's archive
        sizes, times, changed = _stats(every, archives, lambda done: self._progress(done, len(every)))
        found = self._look_up(every, sizes, times, changed)
        return SourceTable(Strings.of(every), found.digests, np.maximum(sizes, 0), found.widths, found.heights, masks)

    def source(self, path: Path) -> Source:
        """One file, with the mask beside it."""
        return self.sources([str(path)]).source(0)

    def digest(self, path: Path) -> str:
        """SHA-256 of the file's bytes, 64 hex digits.

        Raises:
            OSError: it cannot be read.
        """
        status = path.stat()
        size, time_ns = np.array([status.st_size]), np.array([status.st_mtime_ns])
        found = self._look_up([str(path)], size, time_ns, time_ns, picture=False)
        digest = found.digests[0].tobytes()
        if digest == unreadable(str(path)):
            with opened(str(path)):  # says why
                pass
            raise OSError(errno.EIO, "it could not be read", str(path))
        return str(digest.hex())

    def save(self, *, make_folder: bool = False) -> None:
        """Write the cache, if it has changed and its run folder exists (planning alone makes no folders)."""
        if not self._changed:
            return
        with contextlib.suppress(OSError):  # a cache: planning works in a folder that cannot be written too
            if make_folder or self._file.parent.is_dir():
                save(self._file, _FORMAT, self._known.arrays())
                self._changed = False
                if self._spare is not None:
                    self._spare.unlink(missing_ok=True)
            elif self._spare is not None and self._new > _MANY:
                save(self._spare, _FORMAT, self._known.arrays(), durable=False)
                self._new = 0

    def _look_up(
        self, paths: Sequence[str], sizes: Ints, times: Ints, changed: Ints, *, picture: bool = True
    ) -> _Known:
        """A row for each file, from what is known or from its bytes."""
        keys, known, count = _keys(paths), self._known, len(paths)
        nothing = np.zeros(count, np.int64)
        found = _Known(keys, sizes, times, np.zeros((count, 32), np.uint8), nothing, nothing.copy())
        rows = Index(halves(known.keys)).rows(halves(keys))
        there = np.flatnonzero(rows != NONE)
        rows = rows[there]
        same = (known.keys[rows] == keys[there]).all(1)
        same &= (known.sizes[rows] == sizes[there]) & (known.times[rows] == times[there])
        there, rows = there[same], rows[same]
        found.digests[there], found.widths[there], found.heights[there] = (
            known.digests[rows], known.widths[rows], known.heights[rows],
        )  # fmt: skip
        unknown = np.ones(count, np.bool_)
        unknown[there] = False
        most = self._limits.bytes if picture else math.inf
        self._read_all(np.flatnonzero(unknown).tolist(), paths, found, changed, most)
        return found

    def _read_all(self, rows: Sequence[int], paths: Sequence[str], found: _Known, changed: Ints, most: float) -> None:
        """Fill rows in from the files' bytes."""
        if not rows:
            return

        remembered, now = list[int](), time.time_ns()

        def look(row: int) -> None:
            seen = see(paths[row], int(found.sizes[row]), most)
            found.digests[row] = np.frombuffer(seen.digest, np.uint8)
            found.widths[row], found.heights[row] = seen.width, seen.height
            if seen.lasting and now - int(changed[row]) > _FRESH_NS:
                remembered.append(row)

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what its task will meet again
                in_threads(look, rows, lambda done: self._progress(done, len(rows)))
        finally:
            if remembered:
                self._known = self._known.and_then(_Known(*(column[remembered] for column in found._columns())))
                self._changed = True
                self._new += len(remembered)


def _stats(
    paths: Sequence[str], archives: Mapping[str, Sequence[int]], tick: Callable[[int], None]
) -> tuple[Ints, Ints, Ints]:
    """Bytes of each file, what is another when it is changed (of most, mtime_ns), and when that was, in ns; -1 where it
    cannot be looked at."""
    found = np.full((3, len(paths)), -1, np.int64)
    inside = np.zeros(len(paths), np.bool_)
    for archive, places in archives.items():
        inside[places] = True
        with contextlib.suppress(OSError):
            found[:, places] = _stats_in(archive, [paths[place] for place in places])

    def look(place: int) -> None:
        try:
            status = os.stat(paths[place])
        except (OSError, ValueError):
            return
        found[0, place], found[1:, place] = status.st_size, status.st_mtime_ns

    Looks().each(look, np.flatnonzero(~inside).tolist(), tick)
    return found[0], found[1], found[2]


def _stats_in(archive: str, paths: Sequence[str]) -> Ints:
    """The same of members of an archive, as rows."""
    index = tars.index(archive)
    begins, nothing = len(archive) + 1, (0, -1)
    sizes = [index.members.get(normal(path[begins:]), nothing)[1] for path in paths]
    found = np.array(3 * [sizes], np.int64)
    found[1, found[0] >= 0] = Status(0, index.size, index.mtime_ns).stamp
    found[2, found[0] >= 0] = index.mtime_ns
    return found


def _keys(paths: Sequence[str]) -> Bytes:
    """128 bits for each path: no names need to be remembered."""
    made = (hashlib.blake2b(path.encode(errors="surrogateescape"), digest_size=16).digest() for path in paths)
    return np.frombuffer(b"".join(made), np.uint8).reshape(-1, 16)


def _read(file: Path) -> _Known:
    try:
        header, arrays = load(file)
        if header != _FORMAT:
            return _Known.none()
        return _Known(**rows_of(arrays, _COLUMNS))
    except (OSError, ValueError):
        return _Known.none()
