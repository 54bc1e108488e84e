"""Several parts of a manifest, of which some lines are kept, become one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nst_batch.atomic import keep, write_all, written
from nst_batch.recorded.parts import Head, Replaced, end_of, head_line
from nst_batch.recorded.superseded import Mask, Rows

LARGEST = 2 << 30
"""Bytes of parts that are merged into one: so much room is needed at a time, and so much is copied again at most."""

_CHUNK = 1 << 20
_FEW = 0.01  # of a part's bytes


@dataclass
class Part:
    """A part that was looked through.

    ``first`` and ``last``: its rows, and behind them. ``read``: so many bytes were. ``size``: of the file.
    ``repeated``: lines that another part has, too. ``lacks_newline``: its last line does.
    """

    name: str
    size: int
    first: int
    last: int
    read: int = 0
    done: int = 0
    broken: int = 0
    repeated: int = 0
    lacks_newline: bool = False
    head: Head | None = None

    @property
    def length(self) -> int:
        """Bytes that are there to be kept."""
        return self.size - (self.head.start if self.head else 0)


class Group:
    """Parts that are merged into one.

    Attributes:
        parts: those.
        size: bytes of what they are merged into.
        gone: lines that are left out.
        changes: whether that is another than the only part that there is.
    """

    def __init__(self, folder: Path, parts: Sequence[Part], rows: Rows, gone: Mask) -> None:
        self.parts = parts
        self._folder, self._rows, self._gone = folder, rows, gone
        kept = {part.name: self._kept(part) for part in parts}
        follows = sum(kept.values())
        self.gone = sum(int(np.count_nonzero(gone[part.first : part.last])) for part in parts)
        self.changes = len(parts) > 1 or _is_worth_it(parts[0], kept[parts[0].name])
        self._head = head_line(_replaced(folder, parts, kept), follows) if self.changes else b""
        self.size = len(self._head) + follows

    def merge(self, path: Path, advance: Callable[[int], None]) -> None:
        """Write it.

        Raises:
            OSError: it cannot be written whole, or a part has gone; nothing has changed.
        """
        with written(path) as descriptor:
            keep(descriptor)
            write_all(descriptor, self._head)
            for part in self.parts:
                self._copy(part, descriptor, advance)
            if os.fstat(descriptor).st_size != self.size:
                raise OSError("a part was changed meanwhile")

    def _copy(self, part: Part, descriptor: int, advance: Callable[[int], None]) -> None:
        ranges = self._ranges(part)
        with (self._folder / part.name).open("rb") as file:
            for begin, end in ranges.tolist():
                while begin < end and (data := os.pread(file.fileno(), min(_CHUNK, end - begin), begin)):
                    write_all(descriptor, data)
                    begin += len(data)
                    advance(len(data))
        write_all(descriptor, b"\n" * _lacks_newline(part, ranges))

    def _kept(self, part: Part) -> int:
        """How many bytes of a part are kept."""
        ranges = self._ranges(part)
        return int((ranges[:, 1] - ranges[:, 0]).sum()) + _lacks_newline(part, ranges)

    def _ranges(self, part: Part) -> NDArray[np.int64]:
        """Where the lines are that are kept: begin and end."""
        lines = slice(part.first, part.last)
        kept = ~self._gone[lines]
        begins, ends = (np.frombuffer(each, np.int64)[lines][kept] for each in (self._rows.begins, self._rows.ends))
        gaps = begins[1:] != ends[:-1]
        some = np.ones(min(1, len(begins)), np.bool_)
        return np.stack((begins[np.append(some, gaps)], ends[np.append(gaps, some)]), axis=1)


def _is_worth_it(part: Part, kept: int) -> bool:
    """Whether a part is copied for what goes from it: one that was merged before not for a few lines."""
    return abs(part.length - kept) > (part.length * _FEW if part.head else 0)


def _lacks_newline(part: Part, ranges: NDArray[np.int64]) -> bool:
    """Whether the last line that is kept is a part's last, which was cut behind its last brace."""
    return part.lacks_newline and len(ranges) > 0 and int(ranges[-1, 1]) == part.read


def _replaced(folder: Path, parts: Sequence[Part], kept: Mapping[str, int]) -> dict[str, Replaced]:
    """What a group replaces: its parts in their order, and what these have replaced."""
    found = dict[str, Replaced]()
    for part in parts:
        for name, each in part.head.parts.items() if part.head else ():
            if name not in found or found[name].bytes < each.bytes:
                found[name] = replace(each, kept=0)
    for part in parts:
        before = found.pop(part.name, None)
        done = part.done + (before.done if before else 0)
        found[part.name] = Replaced(part.read, kept[part.name], done, end_of(folder / part.name, part.read))
    return found


def groups(parts: Sequence[Part]) -> list[list[Part]]:
    """Which are merged with which: large ones stay alone, so that they are seldom copied again."""
    found = [[part] for part in parts if part.size > LARGEST // 2]
    small, size = list[Part](), 0
    for part in parts:
        if part.size > LARGEST // 2:
            continue
        if small and size + part.size > LARGEST:
            found.append(small)
            small, size = [], 0
        small.append(part)
        size += part.size
    return [*found, small] if small else found
