"""Which parts of a manifest count, and which lines of them are still to be read.

A part may hold the lines of others, which it replaces: the first line of such a merged part says of which, how much of
each, and how long the whole is. Those that are still there, since a compaction was killed or a folder was copied, are
not read again. Readers that go on while parts are merged see each line once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nst_batch.paths import MERGED_SUFFIX, PART_SUFFIX

STATUS = "replaces"
_BEGINNING = b'{"v":1,"status":"replaces",'
READ_BYTES = 1 << 18  # at once: with the usual 8 KiB, a line of 6 kB takes five times as long
STRETCH_BYTES = 32 << 20
_END_BYTES = 4096  # of what was merged, by which it is known again: the times of the last line are among them


@dataclass(frozen=True)
class Replaced:
    """A part that another replaces.

    ``bytes``: its first ones, which were merged; ``end``: a digest of the last of these. ``kept``: how many bytes the
    other has of it, in the order of the parts; 0 if it was merged into one of them before. ``done``: done lines it had.
    """

    bytes: int
    kept: int
    done: int
    end: str


@dataclass(frozen=True)
class Head:
    """What the first line of a merged part says: ``parts``, by file name. Lines begin at ``start`` and end at ``size``.

    ``is_whole``: whether the file is as long as that.
    """

    parts: Mapping[str, Replaced]
    start: int
    size: int
    is_whole: bool


@dataclass(frozen=True)
class Stretch:
    """Lines that begin at bytes of a part: from ``begin``, which may be within a line that is not of them, up to where
    ``is_last`` says that there is no other, or else up to ``end``."""

    part: str
    begin: int
    end: int
    is_last: bool = False


def is_merged(part: str) -> bool:
    """Whether it replaces others, by its name."""
    return part.endswith(MERGED_SUFFIX)


def writer_of(part: str) -> str:
    """Whose part it is: a writer's further ones have a number behind its name."""
    return part.partition(".")[0]


def is_head(raw: bytes) -> bool:
    """Whether a line says what its part replaces, and is nobody's result."""
    return raw.startswith(_BEGINNING)


def head_line(parts: Mapping[str, Replaced], follows: int) -> bytes:
    """The first line of a merged part, newline included; so many bytes follow it."""
    told = {"v": 1, "status": STATUS, "follows": follows, "parts": {name: asdict(each) for name, each in parts.items()}}
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"


def read_head(path: Path) -> Head | None:
    """Of a merged part; None where its first line is none, or it has gone."""
    try:
        with path.open("rb") as file:
            raw = file.readline()
            told = json.loads(raw)
            parts = {name: _replaced(each) for name, each in told["parts"].items()}
            size = len(raw) + int(told["follows"])
            whole = raw.endswith(b"\n") and os.fstat(file.fileno()).st_size >= size
            return Head(parts, len(raw), size, whole and os.pread(file.fileno(), 1, size - 1) == b"\n")
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _replaced(told: Mapping[str, Any]) -> Replaced:
    return Replaced(int(told["bytes"]), int(told["kept"]), int(told["done"]), str(told["end"]))


def end_of(path: Path, size: int) -> str:
    """A digest of the last of a file's first ``size`` bytes.

    Raises:
        OSError: it cannot be read.
    """
    begin = max(0, size - _END_BYTES)
    with path.open("rb") as file:
        data = os.pread(file.fileno(), size - begin, begin)
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def is_same(path: Path, replaced: Replaced) -> bool:
    """Whether a file is the one that was merged, and no other of its name; it may have become longer."""
    try:
        return path.stat().st_size >= replaced.bytes and end_of(path, replaced.bytes) == replaced.end
    except OSError:
        return False


def heads(folder: Path) -> dict[str, Head]:
    """Of all merged parts that are whole, by file name."""
    found = {part: read_head(folder / part) for part in names_in(folder) if is_merged(part)}
    return {part: head for part, head in found.items() if head is not None and head.is_whole}


def done_before(folder: Path) -> dict[str, int]:
    """Done lines of parts that were merged and have gone, by file name."""
    there = names_in(folder)
    told = {name: each.done for head in heads(folder).values() for name, each in head.parts.items()}
    return {name: done for name, done in told.items() if name not in there and not is_merged(name)}


def names_in(folder: Path) -> set[str]:
    """File names of all parts that are there."""
    try:
        return {entry.name for entry in os.scandir(folder) if entry.name.endswith(PART_SUFFIX)}
    except OSError:
        return set()


class Parts:
    """The parts of a manifest as one reader goes through them, again and again.

    Args:
        folder: of the manifest.

    Attributes:
        read: bytes of each part that are read, or need not be, by file name.
        count: parts that were looked into by the last ``lines``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.read: dict[str, int] = {}
        self.count = 0
        self._wanted: dict[str, list[tuple[int, int]]] = {}  # of merged parts, what is not read: begin and end
        self._sizes: dict[str, int] = {}  # of merged parts that are being gathered
        self._resumed = set[str]()  # parts that another reader read so far, and this one has not met yet

    def go_on(self, read: Mapping[str, int]) -> None:
        """Begin where another reader was, who has left out what was not written whole then."""
        self.read = dict(read)
        self._resumed = set(read)

    def lines(self, is_wanted: Callable[[str], bool] = lambda _: True) -> Iterator[tuple[str, int, bytes]]:
        """Every line that is new: its part, where it begins there, and its bytes, newline included.

        The last line of a part that is met for the first time may lack its newline. ``is_wanted`` is asked for each
        part, by its file name. Merged parts come last, and a part that was merged and removed while others were read is
        found in the one that replaces it.
        """
        for fresh in self._fresh(is_wanted):
            for part in fresh:
                with contextlib.suppress(FileNotFoundError):
                    yield from self._merged_lines(part) if part in self._wanted else self._lines(part)

    def stretches(self) -> Iterator[list[Stretch]]:
        """Where all lines are that are new, for who gathers them and tells it by ``has_read``, part after part.

        Some come when the others have been told of, as with ``lines``.
        """
        for fresh in self._fresh(lambda _: True):
            yield [stretch for part in fresh for stretch in self._stretches(part)]

    def has_read(self, part: str, end: int) -> None:
        """A part was gathered, up to there."""
        self._resumed.discard(part)
        self.read[part] = self._sizes.pop(part, end)

    def _fresh(self, is_wanted: Callable[[str], bool]) -> Iterator[list[str]]:
        looked = set[str]()
        while fresh := [part for part in self._listed() if part not in looked and is_wanted(part)]:
            looked.update(fresh)
            self.count = len(looked)
            yield fresh

    def _stretches(self, part: str) -> list[Stretch]:
        if part in self._wanted:
            wanted, self._sizes[part] = self._wanted.pop(part), self.read.pop(part)
            return [stretch for begin, end in wanted for stretch in _split(part, begin, end)]
        begin = self.read.get(part, 0)
        with contextlib.suppress(FileNotFoundError):
            size = (self._folder / part).stat().st_size
            if size > begin:
                *others, last = _split(part, begin, size)
                return [*others, replace(last, is_last=True)]
            self.has_read(part, begin)
        return []

    def _lines(self, part: str) -> Iterator[tuple[str, int, bytes]]:
        with (self._folder / part).open("rb", buffering=READ_BYTES) as file:
            first = part not in self.read or part in self._resumed
            self._resumed.discard(part)
            file.seek(self.read.setdefault(part, 0))
            for raw in file:
                ends = raw.endswith(b"\n")
                if not (ends or first):
                    return  # until there is more of it
                begin = self.read[part]
                self.read[part] += len(raw) if ends else 0
                yield part, begin, raw

    def _merged_lines(self, part: str) -> Iterator[tuple[str, int, bytes]]:
        wanted, size = self._wanted.pop(part), self.read.pop(part)
        with (self._folder / part).open("rb", buffering=READ_BYTES) as file:
            self.read[part] = size  # not if it was merged and has gone
            for begin, end in wanted:
                file.seek(begin)
                while begin < end and (raw := file.readline()):
                    yield part, begin, raw
                    begin += len(raw)

    def _listed(self) -> list[str]:
        names = names_in(self._folder)
        new = {part: read_head(self._folder / part) for part in names if is_merged(part) and part not in self.read}
        told = {part: head for part, head in new.items() if head is not None}
        cut = {part for part, head in told.items() if not head.is_whole and _holds_all_of(names, head)}
        self._meet({part: head for part, head in told.items() if head.is_whole}, names)
        return sorted(names - cut, key=lambda part: (is_merged(part), part))

    def _meet(self, new: Mapping[str, Head], names: set[str]) -> None:
        """See what of new merged parts is not known, and that what they replace is not read once more."""
        for part, head in sorted(new.items()):
            if all(self._knows(name, each) for name, each in head.parts.items() if each.kept):
                self.read[part] = head.size
        for part, head in sorted(new.items(), key=lambda each: (-len(each[1].parts), each[0])):  # before what it merged
            if part not in self.read:
                self._wanted[part] = self._unknown(head)
                self.read[part] = head.size
            for name, each in head.parts.items():
                if name not in names or is_same(self._folder / name, each):
                    self.read[name] = max(self.read.get(name, 0), each.bytes)

    def _unknown(self, head: Head) -> list[tuple[int, int]]:
        """Where the lines of parts are that were not read to their end."""
        found, begin = list[tuple[int, int]](), head.start
        for name, each in head.parts.items():
            end = begin + each.kept
            if each.kept and not self._knows(name, each):
                if found and found[-1][1] == begin:
                    begin = found.pop()[0]
                found.append((begin, end))
            begin = end
        return found

    def _knows(self, name: str, replaced: Replaced) -> bool:
        return self.read.get(name, -1) >= replaced.bytes


def _split(part: str, begin: int, end: int) -> list[Stretch]:
    """Of some bytes of a part."""
    begins = range(begin, end, STRETCH_BYTES)
    return [Stretch(part, each, min(end, each + STRETCH_BYTES)) for each in begins]


def _holds_all_of(names: set[str], head: Head) -> bool:
    """Whether all is there that a merged part was made from: then one that is cut is not needed."""
    return all(name in names for name, each in head.parts.items() if each.kept)


class Repeats:
    """Tells failed lines that a merged part repeats: failures are counted, so that each must count once.

    Nothing is repeated but for readers that had read some of a part when it was merged, and where two compactions ran
    at once.
    """

    def __init__(self) -> None:
        self._first: dict[bytes, str] = {}  # part, by a digest of the line

    def are(self, part: str, raw: bytes) -> bool:
        """Whether another part had this very line. To be asked once for each that failed, in the order of reading."""
        digest = hashlib.blake2b(raw.removesuffix(b"\n"), digest_size=16).digest()
        return self._first.setdefault(digest, part) != part and is_merged(part)
