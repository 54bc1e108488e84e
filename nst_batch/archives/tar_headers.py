"""The headers of a tar file: what is in it.

A member is bytes with a name, and no more: links, devices and folders are passed over, and so is whatever goes up with
``..``. Of what is wrong with an archive, all before it is read.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tarfile
from dataclasses import dataclass

OWNER = "nst_batch"
"""Who owns the members that nst_batch writes: the mark that it has made an archive."""

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
_BLOCK = tarfile.BLOCKSIZE
_LONGEST_HEADER = 1 << 20  # bytes of an extended header: names, times; what is longer is left to tarfile
_LONGEST = 1 << 62  # bytes: what a system call takes
_MARK = OWNER.encode() + b"\0"


class ArchiveError(OSError):
    """What is wrong with an archive, in words. ``hint`` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Status:
    """What shows that a member is as it was: its size, and its archive's size and time."""

    size: int
    archive_size: int
    mtime_ns: int

    @property
    def stamp(self) -> int:
        """One number of 63 bits that is another when its archive is."""
        data = f"{self.archive_size} {self.mtime_ns}".encode()
        return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") >> 1


@dataclass(frozen=True)
class Index:
    """What is in an archive.

    Attributes:
        size: of the archive, in bytes.
        mtime_ns: when it was changed.
        members: (offset, size) of each member's bytes, by name; of two with one name, the later.
        others: entries that are no bytes with a usable name: links, devices, names with ``..``; folders are not
            counted.
        foreign: the first entry that nst_batch did not write; empty when there is none.
        damage: why there may have been more, empty for a whole archive.
    """

    size: int
    mtime_ns: int
    members: dict[str, tuple[int, int]]
    others: int = 0
    foreign: str = ""
    damage: str = ""

    def status(self, name: str) -> Status:
        """Of a member."""
        return Status(self.members[name][1], self.size, self.mtime_ns)

    @functools.cached_property
    def samples(self) -> dict[str, list[str]]:
        """Names of members, by the key of the sample that they belong to."""
        found: dict[str, list[str]] = {}
        for name in self.members:
            found.setdefault(key_of(name), []).append(name)
        return found


def normal(name: str) -> str:
    """A member's name as a path has it: no ``./`` and no ``/`` at its head. Empty for what cannot be named: ``..``."""
    if not name.startswith(("/", ".")) and "/." not in name and "//" not in name and not name.endswith("/"):
        return name
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return "" if ".." in parts else "/".join(parts)


def key_of(name: str) -> str:
    """The key of a member's sample, as WebDataset has it: its name up to the first dot after the last ``/``.

    A file of which the name begins with a dot, or has none, belongs to nothing: it is its own key.
    """
    folder, slash, base = name.rpartition("/")
    key = base.partition(".")[0]
    return f"{folder}{slash}{key}" if key else name


class _Odd(ValueError):
    """A header that is left to tarfile."""


def read_headers(descriptor: int, archive: str, status: os.stat_result) -> Index:
    """What is in an archive.

    Raises:
        ArchiveError: it is not a tar file, or a compressed one.
        OSError: it cannot be read.
    """
    head = os.pread(descriptor, _BLOCK, 0)
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            raise compressed(archive, name)
    if not head:
        raise ArchiveError(f"{archive}: an empty file, not a tar file", "get it again, or remove it")
    walk = _Walk(descriptor)
    try:
        walk.whole()
    except (_Odd, ValueError):
        walk = _TarfileWalk(descriptor)
        walk.whole()
    if not walk.entries and walk.damage:
        raise ArchiveError(f"{archive}: not a tar file", "get it again, or remove it")
    ends = max((offset + size for offset, size in walk.members.values()), default=0)
    damage = "is cut off in the middle of a member" if ends > status.st_size else walk.damage
    return Index(status.st_size, status.st_mtime_ns, walk.members, walk.others, walk.foreign, damage)


class _Walk:
    """From header to header: a tenth of what tarfile takes, for what almost every archive is made of.

    (tarfile takes 20 us a member, and 43 where times have fractions, as Python writes them; this takes 4 and 8.)
    """

    def __init__(self, descriptor: int) -> None:
        self.members: dict[str, tuple[int, int]] = {}
        self.entries = 0
        self.others = 0
        self.foreign = ""
        self.damage = ""
        self._descriptor = descriptor

    def whole(self) -> None:
        """To the end.

        Raises:
            ValueError: there is something that is left to tarfile.
        """
        offset, name, size = 0, "", -1  # as an extended header says of the next one
        while header := self._header(offset):
            kind, length = header[156], int(header[124:136].rstrip(b" \0") or b"0", 8)
            if length < 0:
                raise _Odd(length)
            offset += _BLOCK
            if kind in b"xgLK":
                said_name, said_size = _extended(kind, self._data(offset, length))
                name, size = said_name or name, said_size if said_size >= 0 else size
                offset += _blocks(length)
                continue
            length = size if size >= 0 else length
            if length > _LONGEST:
                raise _Odd(length)
            name = name or _name(header)
            if kind in b"0\0007" and not (kind == 0 and name.endswith("/")):
                self.add(name, offset, length, header)
                offset += _blocks(length)
            elif kind in b"123456\0":
                self.add_other(name, header, is_folder=kind in b"5\0")
            else:
                raise _Odd(kind)
            name, size = "", -1

    def add(self, name: str, offset: int, size: int, header: bytes) -> None:
        """A member."""
        usable = normal(name)
        if not usable:
            self.add_other(name, header)
            return
        self.entries += 1
        self.members.pop(usable, None)  # the last one stands where it stands in the archive
        self.members[usable] = offset, size
        if header[265:275] != _MARK and not self.foreign:
            self.foreign = usable

    def add_other(self, name: str, header: bytes, *, is_folder: bool = False) -> None:
        """An entry that is no member."""
        self.entries += 1
        self.others += not is_folder
        if header[265:275] != _MARK and not self.foreign:
            self.foreign = name

    def _header(self, offset: int) -> bytes:
        """The next header, empty at the end."""
        header = os.pread(self._descriptor, _BLOCK, offset)
        if len(header) < _BLOCK:
            self.damage = "is cut off in the middle of a header" if header else "has no mark at its end: is it whole?"
            return b""
        if header[0] == 0 and not header.strip(b"\0"):
            return b""
        if not _is_sum_right(header):
            self.damage = f"has no header where one should be, at byte {offset:,}"
            return b""
        return header

    def _data(self, offset: int, length: int) -> bytes:
        if length > _LONGEST_HEADER:
            raise _Odd(length)
        data = os.pread(self._descriptor, length, offset)
        if len(data) < length:
            raise _Odd(length)
        return data


class _TarfileWalk(_Walk):
    """The same by the standard library: sparse files, volumes, sizes beyond 8 GB, and whatever else there has been."""

    def whole(self) -> None:
        """To the end, or to what tarfile cannot read."""
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            try:
                file.seek(0)
                with tarfile.open(fileobj=file, mode="r:", errors="surrogateescape", encoding="utf-8") as tar:
                    self._each(tar)
                    self._header(tar.offset)  # is it the end?
            except (tarfile.TarError, ValueError, OSError, EOFError, OverflowError, RecursionError) as error:
                self.damage = f"cannot be read to its end: {error}"

    def _each(self, tar: tarfile.TarFile) -> None:
        before = -1
        for each in tar:
            if each.offset <= before or not 0 <= each.size <= _LONGEST:  # some versions of tarfile go round in circles
                raise ValueError("a header leads back")
            before = each.offset
            header = bytes(265) + each.uname.encode(errors="surrogateescape").ljust(10, b"\0")
            if each.isreg() and not each.issparse():
                self.add(each.name, each.offset_data, each.size, header)
            else:
                self.add_other(each.name, header, is_folder=each.isdir())


def _blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _name(header: bytes) -> str:
    name = header[:100].partition(b"\0")[0]
    if header[345] and header[257:263] == b"ustar\0":
        name = header[345:500].partition(b"\0")[0] + b"/" + name
    return name.decode("utf-8", "surrogateescape")


def _is_sum_right(header: bytes) -> bool:
    """The header's sum, with blanks in its own place. 256 is 1 modulo 255, and so is each power of it: the whole header
    as a number gives the sum of its bytes modulo 255, ten times as fast; that and the magic word are enough."""
    try:
        said = int(header[148:156].rstrip(b" \0").lstrip() or b"0", 8)
    except ValueError:
        return False
    if header[257:262] == b"ustar":
        whole = int.from_bytes(header, "little") - (int.from_bytes(header[148:156], "little") << 148 * 8)
        return (whole + 256 - said) % 255 == 0
    return sum(header[:148]) + 256 + sum(header[156:]) == said


def _extended(kind: int, data: bytes) -> tuple[str, int]:
    """(name, size) that a header says of the next member; empty and -1 where it says nothing of them."""
    if kind == ord("L"):
        return data.partition(b"\0")[0].decode("utf-8", "surrogateescape"), -1
    if kind == ord("K"):
        return "", -1  # where a link leads to
    name, size, at = "", -1, 0
    while at < len(data) and data[at]:
        blank = data.index(b" ", at)
        ends = at + int(data[at:blank])
        if ends <= blank:
            raise _Odd(data)
        word, _, value = data[blank + 1 : ends - 1].partition(b"=")
        if word == b"path":
            name = value.decode("utf-8", "surrogateescape")
        elif word == b"size":
            size = max(int(value), 0)
        elif word.startswith(b"GNU.sparse"):
            raise _Odd(word)
        at = ends
    if kind == ord("g") and (name or size >= 0):
        raise _Odd(data)
    return name, size


def compressed(archive: str, how: str = "") -> ArchiveError:
    """What is wrong with an archive that is compressed."""
    return ArchiveError(
        f"{archive}: compressed{f' with {how}' if how else ''}: members of compressed archives cannot be read alone",
        "decompress it (gunzip, zstd -d): pictures are compressed already, and a plain .tar is hardly larger",
    )
