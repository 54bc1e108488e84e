"""What is in input files: digests of their bytes, and sizes by their headers; what is known of a file is remembered.

Pillow reads headers here, nothing decodes pixels, and nothing imports torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nst_batch import tar_finding, tars
from nst_batch.columns import NONE, Bytes, Index, Ints, Strings, halves, load, save
from nst_batch.inputs import masks_beside, sha256_of
from nst_batch.records import Limits, Source
from nst_batch.source_table import SourceTable
from nst_batch.tar_headers import Status, normal

_FRESH_NS = 2_000_000_000  # a file changed this lately may change again within one tick of the file system's clock
_FORMAT = 1  # of the cache's file
_AT_ONCE = 1 << 20  # bytes of a file that is read whole
_FEW, _CHUNK = 16, 64  # files for which no thread is worth while; that a thread reads in turn
_EXIF_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height

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


class InputCache:
    """SHA-256 and header of input files, read once for each (path, size, mtime_ns).

    Args:
        file: where ``save`` keeps them between runs; a missing or damaged one is an empty one.
        limits: files with more bytes are pictures of nobody's, and not read.
        progress: told while files are read.
    """

    def __init__(
        self,
        file: Path,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        progress: Progress = lambda *_: None,
    ) -> None:
        self._file = file
        self._limits = limits
        self._progress = progress
        self._known = _read(file)
        self._changed = False

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
        sizes, times, changed = _stats(every, archives)
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
        return str(found.digests[0].tobytes().hex())

    def save(self, *, make_folder: bool = False) -> None:
        """Write the cache, if it has changed and its run folder exists (planning alone makes no folders)."""
        if self._changed and (make_folder or self._file.parent.is_dir()):
            with contextlib.suppress(OSError):  # a cache: planning works in a folder that cannot be written too
                save(self._file, _FORMAT, self._known.arrays())
                self._changed = False

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
        """Fill rows in from the files' bytes, by several threads: disks far away are waited for at once."""
        if not rows:
            return

        def look(row: int) -> _Seen:
            return _seen(paths[row], int(found.sizes[row]), most)

        remembered, now = list[int](), time.time_ns()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what its task will meet again
                for done, (row, seen) in enumerate(zip(rows, _in_threads(look, rows), strict=True), 1):
                    found.digests[row] = np.frombuffer(seen.digest, np.uint8)
                    found.widths[row], found.heights[row] = seen.width, seen.height
                    if seen.lasting and now - int(changed[row]) > _FRESH_NS:
                        remembered.append(row)
                    self._progress(done, len(rows))
        finally:
            if remembered:
                self._known = self._known.and_then(_Known(*(column[remembered] for column in found._columns())))
                self._changed = True


class _Seen(NamedTuple):
    """What a file's bytes say; ``lasting``: they were read."""

    digest: bytes
    width: int
    height: int
    lasting: bool


def _seen(path: str, size: int, most: float) -> _Seen:
    if size > most:
        return _Seen(_digest_of(f"too large {path} {size}"), 0, 0, False)
    try:
        if tars.split(path):
            data = tars.read(path)
            return _Seen(hashlib.sha256(data).digest(), *_header_size(io.BytesIO(data)), True)
        with open(path, "rb") as file:
            data = file.read(_AT_ONCE) if size < _AT_ONCE else b""
        if 0 < len(data) < _AT_ONCE:
            return _Seen(hashlib.sha256(data).digest(), *_header_size(io.BytesIO(data)), True)
        return _Seen(bytes.fromhex(sha256_of(Path(path))), *_header_size(path), True)
    except OSError:
        return _Seen(_digest_of(f"unreadable {path}"), 0, 0, False)


def _digest_of(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


def _in_threads(look: Callable[[int], _Seen], rows: Sequence[int]) -> Iterator[_Seen]:
    """What each row's file says, in their order."""
    if len(rows) <= _FEW:
        yield from map(look, rows)
        return
    threads = ThreadPoolExecutor(min(32, 2 * (os.cpu_count() or 1) + 2), thread_name_prefix="inputs")
    try:
        chunks = (rows[first : first + _CHUNK] for first in range(0, len(rows), _CHUNK))
        under_way = deque(threads.submit(_all_of, look, chunk) for chunk in islice(chunks, 64))
        while under_way:
            yield from under_way.popleft().result()
            under_way.extend(threads.submit(_all_of, look, chunk) for chunk in islice(chunks, 1))
    finally:
        threads.shutdown(wait=True, cancel_futures=True)


def _all_of(look: Callable[[int], _Seen], rows: Sequence[int]) -> list[_Seen]:
    return list(map(look, rows))


def _stats(paths: Sequence[str], archives: Mapping[str, Sequence[int]]) -> tuple[Ints, Ints, Ints]:
    """Bytes of each file, what is another when it is changed (of most, mtime_ns), and when that was, in ns; -1 where it
    cannot be looked at."""
    found = np.full((3, len(paths)), -1, np.int64)
    inside = np.zeros(len(paths), np.bool_)
    for archive, places in archives.items():
        inside[places] = True
        with contextlib.suppress(OSError):
            found[:, places] = _stats_in(archive, [paths[place] for place in places])
    for place in np.flatnonzero(~inside).tolist():
        try:
            status = os.stat(paths[place])
        except (OSError, ValueError):
            continue
        found[0, place], found[1:, place] = status.st_size, status.st_mtime_ns
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


def _header_size(file: str | io.BytesIO) -> tuple[int, int]:
    """(width, height) in pixels, upright, from the header alone; (0, 0) if Pillow does not know the file."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            width, height = image.size
            turned = image.getexif().get(_EXIF_ORIENTATION) in _TURNED
    except Exception:  # noqa: BLE001 - any decoder error, on a file that may hold anything: the task itself will say why
        return 0, 0
    return (height, width) if turned else (width, height)


def _read(file: Path) -> _Known:
    try:
        header, arrays = load(file)
        if header != _FORMAT:
            return _Known.none()
        return _Known(**{each.name: arrays[each.name] for each in fields(_Known)})
    except (OSError, ValueError, LookupError):
        return _Known.none()
