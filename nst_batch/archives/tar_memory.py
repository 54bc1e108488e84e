"""What is in archives by the thousand: as columns, which take a quarter of what objects do, and in a file between
runs, so that headers are read once for as long as an archive's size and time stay the same.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nst_batch import columns
from nst_batch.archives.tar_headers import Index
from nst_batch.columns import Ints, Strings

_FORMAT = 1
_FRESH_NS = 2_000_000_000  # an archive changed this lately may change again within one tick of the file system's clock


@dataclass(frozen=True, eq=False)
class PackedIndex:
    """An ``Index`` as columns.

    Attributes:
        inode: of the archive; 0 where it was not looked at.
        lasting: whether it may be kept between runs.
        names, offsets, sizes: of members, a row each.
    """

    size: int
    mtime_ns: int
    inode: int
    lasting: bool
    names: Strings
    offsets: Ints
    sizes: Ints
    others: int
    foreign: str
    damage: str

    @classmethod
    def of(cls, index: Index, inode: int) -> PackedIndex:
        """The same, made small."""
        lasting = time.time_ns() - index.mtime_ns > _FRESH_NS
        places = np.array(list(index.members.values()), np.int64).reshape(-1, 2)
        return cls(
            index.size, index.mtime_ns, inode, lasting, Strings.of(index.members), places[:, 0].copy(),
            places[:, 1].copy(), index.others, index.foreign, index.damage,
        )  # fmt: skip

    def index(self) -> Index:
        """The same, made quick."""
        places = zip(self.offsets.tolist(), self.sizes.tolist(), strict=True)
        members = dict(zip(self.names, places, strict=True))
        return Index(self.size, self.mtime_ns, members, self.others, self.foreign, self.damage)

    def is_of(self, status: os.stat_result) -> bool:
        """Whether an archive is still the one of which this was read."""
        if (self.size, self.mtime_ns) != (status.st_size, status.st_mtime_ns):
            return False
        return self.inode in (0, status.st_ino)


class TarMemory:
    """Indexes of archives, by their paths. Several threads may ask."""

    def __init__(self) -> None:
        self._known: dict[str, PackedIndex] = {}
        self._files: dict[Path, bool] = {}  # whether each has been read
        self._damaged: dict[str, str] = {}  # of archives that were asked for
        self._changed = False
        self._lock = threading.Lock()

    def read(self, file: Path) -> None:
        """Use what ``save`` has written there, once it is needed; a missing or damaged file is an empty one."""
        self._files.setdefault(file, False)

    def find(self, archive: str, status: os.stat_result) -> PackedIndex | None:
        """What is known of an archive, as it is now."""
        with self._lock:
            for file in [each for each, was_read in self._files.items() if not was_read]:
                self._known = {**_read(file), **self._known}
                self._files[file] = True
            found = self._known.get(archive)
            if found is None or not found.is_of(status):
                return None
            self._note(archive, found.damage)
            return found

    def add(self, archive: str, status: os.stat_result, index: Index) -> None:
        """Remember what was read of an archive."""
        packed = PackedIndex.of(index, status.st_ino)
        with self._lock:
            self._known[archive] = packed
            self._note(archive, packed.damage)
            self._changed = self._changed or packed.lasting

    def damaged(self) -> dict[str, str]:
        """What is wrong with archives that were asked for, by their paths: they may have held more."""
        with self._lock:
            return dict(sorted(self._damaged.items()))

    def _note(self, archive: str, damage: str) -> None:
        if damage:
            self._damaged[archive] = damage
        else:
            self._damaged.pop(archive, None)

    def save(self, file: Path) -> None:
        """Write what is known, if it has changed and the file's folder is there; archives that are gone are left out.

        It is a cache: where nothing can be written, nothing is.
        """
        if not self._changed or not file.parent.is_dir():
            return
        kept = {archive: each for archive, each in self._known.items() if each.lasting and os.path.lexists(archive)}
        with contextlib.suppress(OSError):
            _write(file, kept)
            self._changed = False


def _write(file: Path, known: dict[str, PackedIndex]) -> None:
    every = list(known.values())
    archives = [
        [
            archive,
            each.size,
            each.mtime_ns,
            len(each.names),
            len(each.names.data),
            each.others,
            each.foreign,
            each.damage,
        ]
        for archive, each in known.items()
    ]
    arrays = {
        "names": np.concatenate([np.zeros(0, np.uint8), *(each.names.data for each in every)]),
        "ends": np.concatenate([np.zeros(0, np.int64), *(each.names.ends for each in every)]),
        "offsets": np.concatenate([np.zeros(0, np.int64), *(each.offsets for each in every)]),
        "sizes": np.concatenate([np.zeros(0, np.int64), *(each.sizes for each in every)]),
    }
    columns.save(file, {"format": _FORMAT, "archives": archives}, arrays, durable=False)


def _read(file: Path) -> dict[str, PackedIndex]:
    try:
        header, arrays = columns.load(file)
        return dict(_each(header, arrays)) if header["format"] == _FORMAT else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _each(header: Any, arrays: columns.Arrays) -> Iterator[tuple[str, PackedIndex]]:
    row = byte = 0
    for archive, size, mtime_ns, count, length, others, foreign, damage in header["archives"]:
        rows = slice(row, row + count)
        names = Strings(arrays["names"][byte : byte + length], arrays["ends"][rows])
        offsets, sizes = arrays["offsets"][rows], arrays["sizes"][rows]
        if not len(names) == len(offsets) == len(sizes) == count:
            raise ValueError("columns of different lengths")
        yield archive, PackedIndex(size, mtime_ns, 0, True, names, offsets, sizes, others, foreign, damage)
        row, byte = row + count, byte + length
