"""A tar file is a folder: a path such as ``shard-000.tar/n01440764/img.jpg`` names a member's bytes.

Members are read where they lie; nothing is unpacked. The headers of an archive are read once in each process, for as
long as the archive stays the same, and while ``remembering`` of any number of archives. Only uncompressed archives can
be read so.
"""

from __future__ import annotations

import errno
import os
import re
import stat as modes
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from nst_batch.archives.tar_headers import ArchiveError, Index, Status, compressed, key_of, normal, read_headers
from nst_batch.archives.tar_memory import TarMemory
from nst_batch.paths import ARCHIVE_SUFFIX, archive_of

_FOLDER = re.compile(r"(?<=[^/])\.(?:tar(?P<packed>\.(?:gz|bz2|xz|zst|lz4|Z))?|(?P<short>tgz|tbz2?|txz))(?=/)")
_KEPT_MEMBERS = 1 << 18  # of all indexes together: about 60 MB


# --- names ------------------------------------------------------------------------------------------------------------


def split(path: str) -> tuple[str, str] | None:
    """(archive, member) of a path into an archive; None for other paths, which costs no look at the disk but where
    a folder's name ends as an archive's does.

    Raises:
        ArchiveError: the archive is a compressed one.
    """
    for found in _FOLDER.finditer(path):
        archive = path[: found.end()]
        if _is_file(archive):
            if found["packed"] or found["short"]:
                raise compressed(archive)
            return archive, path[found.end() + 1 :]
    return None


def splitter() -> Callable[[str], tuple[str, str] | None]:
    """``split`` for many paths: an archive that was found is not looked for again."""
    known = set[str]()

    def split_one(path: str) -> tuple[str, str] | None:
        if ".t" not in path:  # as most are, of a million
            return None
        head, slash, member = path.partition(f"{ARCHIVE_SUFFIX}/")
        if slash and head + ARCHIVE_SUFFIX in known:
            return head + ARCHIVE_SUFFIX, member
        parts = split(path)
        if parts is not None:
            known.add(parts[0])
        return parts

    return split_one


def is_archive(path: str) -> bool:
    """Whether a path is that of a tar file.

    Raises:
        ArchiveError: it is a compressed one.
    """
    found = _FOLDER.search(f"{path.rpartition('/')[2]}/")
    if found is None or not _is_file(path):
        return False
    if found["packed"] or found["short"]:
        raise compressed(path)
    return True


def _is_file(path: str) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - five times as fast, and names that are none are no error


def keyed(output: str) -> str:
    """An output's name of which WebDataset finds the key: only the dot before the ending stays in ``a__steps=0.5.png``.

    Others, which are not written into an archive, stay as they are.
    """
    if archive_of(output) is None:
        return output
    folder, slash, base = output.rpartition("/")
    stem, dot, ending = base.rpartition(".")
    return f"{folder}{slash}{stem.replace('.', '_')}{dot}{ending}"


# --- reading ----------------------------------------------------------------------------------------------------------


def index(archive: str) -> Index:
    """What is in an archive.

    Raises:
        ArchiveError: it is not a tar file, or a compressed one.
        OSError: it cannot be read.
    """
    with _opened(archive) as (_, found):
        return found


def mentions(archive: str, text: str) -> bool:
    """Whether a name in an archive may have this in it: of one that is remembered, without a look at each. Raises as
    ``index`` does."""
    memory = _indexes.memory
    packed = memory.find(archive, os.stat(archive)) if memory is not None else None  # noqa: PTH116
    return packed is None or packed.names.mention(text)


def members(archive: str, folder: str = "") -> list[str]:
    """Names of members in a folder of the archive and in all below it, sorted. Raises as ``index`` does."""
    folder = normal(folder)
    names = index(archive).members
    return sorted(name for name in names if not folder or name.startswith(f"{folder}/"))


def exists(path: str) -> bool:
    """Whether a path names a member that is there; never raises."""
    try:
        stat(path)
    except (OSError, ValueError):
        return False
    return True


def stat(path: str) -> Status:
    """Of a member, by its path.

    Raises:
        FileNotFoundError: there is no such member, or the path leads into no archive.
        OSError: see ``index``.
    """
    with _opened_member(path) as (_, found, name):
        return found.status(name)


def read(path: str) -> bytes:
    """A member's bytes, by its path.

    Raises:
        ArchiveError: the archive ends before the member does, or see ``index``.
        OSError: see ``stat``.
    """
    with _opened_member(path) as (descriptor, found, name):
        return _bytes_of(descriptor, found, name, path)


def sidecars(path: str, pictures: Sequence[str]) -> dict[str, bytes]:
    """What stands beside a picture in its archive, by its field: ``cls``, ``json``, ``seg.npy``.

    Where a sample has several pictures, as ``shot.0001.jpg`` and ``shot.0002.jpg``, what begins as one of them does
    (``shot.0001.json``) is that one's, and the rest is everybody's.

    Args:
        path: of the picture; one that is in no archive has no sidecars.
        pictures: endings (lower case) of what is a picture itself, and no sidecar.

    Raises:
        OSError: see ``read``.
    """
    if split(path) is None:
        return {}
    endings = tuple(pictures)
    with _opened_member(path) as (descriptor, found, name):
        key = key_of(name)
        sample = sorted(found.samples[key])
        stems = {each.rpartition(".")[0] for each in sample if each.lower().endswith(endings)}
        owners = {each: _owner(each, stems, key) for each in sample if not each.lower().endswith(endings)}
        mine = (key, name.rpartition(".")[0])
        beside = {each: owner for each, owner in owners.items() if owner in mine and each != name}
        return {each[len(owner) + 1 :]: _bytes_of(descriptor, found, each, path) for each, owner in beside.items()}


def _owner(name: str, stems: Collection[str], key: str) -> str:
    """The longest stem of a picture with which a sidecar's name begins; the sample's key where there is none."""
    return max((stem for stem in stems if name.startswith(f"{stem}.")), key=len, default=key)


@contextmanager
def _opened_member(path: str) -> Iterator[tuple[int, Index, str]]:
    parts = split(path)
    if parts is None:
        raise FileNotFoundError(errno.ENOENT, "it is in no archive", path)
    name = normal(parts[1])
    with _opened(parts[0]) as (descriptor, found):
        if name not in found.members:
            reason = f"no such member; the archive {found.damage}" if found.damage else "no such member"
            raise FileNotFoundError(errno.ENOENT, reason, path)
        yield descriptor, found, name


def _bytes_of(descriptor: int, found: Index, name: str, path: str) -> bytes:
    offset, size = found.members[name]
    data = os.pread(descriptor, size, offset) if offset + size <= found.size else b""
    while len(data) < size:
        more = os.pread(descriptor, size - len(data), offset + len(data)) if data else b""
        if not more:
            raise ArchiveError(f"{path}: the archive ends in the middle of it", "it was cut off: get it again")
        data += more
    return data


# --- indexes, kept ----------------------------------------------------------------------------------------------------


@dataclass
class _Indexes:
    """Those that were asked for last, by what tells one state of a file from another; and a memory of all, perhaps."""

    kept: OrderedDict[tuple[int, ...], Index] = field(default_factory=OrderedDict)
    held: int = 0  # members of all of them
    memory: TarMemory | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, descriptor: int, archive: str) -> Index:
        status = os.fstat(descriptor)
        state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        with self.lock:
            found = self.kept.get(state)
            if found is not None:
                self.kept.move_to_end(state)
                return found
        found = self._recalled(descriptor, archive, status)
        with self.lock:
            if state not in self.kept:
                self.kept[state] = found
                self.held += len(found.members)
            while self.held > _KEPT_MEMBERS and len(self.kept) > 1:
                self.held -= len(self.kept.popitem(last=False)[1].members)
        return found

    def _recalled(self, descriptor: int, archive: str, status: os.stat_result) -> Index:
        memory = self.memory
        if memory is None:
            return read_headers(descriptor, archive, status)
        if packed := memory.find(archive, status):
            return packed.index()
        found = read_headers(descriptor, archive, status)
        memory.add(archive, status, found)
        return found


_indexes = _Indexes()


@contextmanager
def remembering() -> Iterator[TarMemory]:
    """Meanwhile nothing is forgotten that was read of archives. Inside another one, it is that one's memory."""
    outer = _indexes.memory
    _indexes.memory = memory = outer or TarMemory()
    try:
        yield memory
    finally:
        _indexes.memory = outer


@contextmanager
def _opened(archive: str) -> Iterator[tuple[int, Index]]:
    """An archive's descriptor, and what is in that very file: another may be put in its place meanwhile."""
    descriptor = os.open(archive, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        if not modes.S_ISREG(os.fstat(descriptor).st_mode):
            raise ArchiveError(f"{archive}: not a tar file, but a pipe, a device or a folder", "name a tar file")
        yield descriptor, _indexes.of(descriptor, archive)
    finally:
        os.close(descriptor)


def forget() -> None:
    """Read each archive again that is asked for next."""
    with _indexes.lock:
        _indexes.kept.clear()
        _indexes.held = 0
