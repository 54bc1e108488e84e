"""Finished pictures go into their tar files.

Until then they are files in a folder beside the archive, under the names that they will have in it. An archive is made
anew, with what the old one held and what is loose, beside the old one; when it is on the disk it takes the old one's
name, and only then the loose files are removed. Killed at any moment, nothing is lost, and the next to pack goes on.

Who packs holds a lock. Where locks do not work, an archive that has changed meanwhile is not replaced, and a file that
has changed meanwhile is not removed. Nothing is touched that nst_batch did not make.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nst_batch.archives import tar_outputs, tars
from nst_batch.archives.tar_headers import OWNER, key_of
from nst_batch.archives.tar_outputs import ASIDE
from nst_batch.atomic import is_temporary, open_lock, write_in_parts
from nst_batch.errors import OutputError
from nst_batch.paths import RunPaths
from nst_batch.pipeline_file.file_kinds import IMAGE_SUFFIXES
from nst_batch.transfer.metadata import made_by_us

_TRIES = 3
_WAIT_SECONDS = 0.05  # between looks at a lock
_CHUNK = 1 << 20

State = tuple[int, int, int]
"""What tells a file from the one that took its place: inode, size, time."""


class Stopped(Exception):
    """It was to stop; nothing has changed."""


class _Moved(Exception):
    """Somebody else has changed what was being packed."""


@dataclass(frozen=True)
class _Loose:
    """A file that is to be packed: its name in the archive, and what it was when it was looked at."""

    name: str
    path: Path
    state: State


def pack(paths: RunPaths, archive: str, stopped: Callable[[], bool] = lambda: False) -> int:
    """Put what is loose into its archive; how many files that were.

    Args:
        paths: of the run.
        archive: its name in the run's folder.
        stopped: asked now and then whether to give up.

    Raises:
        Stopped: it was.
        OutputError: the archive there is not ours, or broken.
        OSError: no room, or the folder may not be written; then all is as it was.
    """
    if not paths.loose(archive).is_dir():
        return 0
    with _locked(paths.packing(archive), stopped):
        for _ in range(_TRIES):
            with contextlib.suppress(_Moved, FileNotFoundError):
                return _pack(paths, archive, stopped)
    raise OutputError(
        f"{paths.root / archive}: another process goes on changing it or {paths.loose(archive).name}",
        hint="run again when no other writes there",
    )


def _pack(paths: RunPaths, archive: str, stopped: Callable[[], bool]) -> int:
    target, folder = paths.root / archive, paths.loose(archive)
    _put_back(folder)
    before = _state(target)
    if objection := tar_outputs.objection(paths, archive):
        raise OutputError(
            f"{target}: {objection}; what belongs into it stays in {folder.name}",
            hint="move the archive away, or choose another output.name; then run again",
        )
    old = tars.index(str(target)).members if before else {}
    loose = _packable(folder, old)
    if loose:

        def unchanged() -> None:
            if _state(target) != before:
                raise _Moved

        write_in_parts(target, _archive(target, old, loose, stopped), before_replacing=unchanged)
        _remove(folder, loose, target)
    _remove_empty(folder)
    return len(loose)


def _archive(
    target: Path, old: dict[str, tuple[int, int]], loose: list[_Loose], stopped: Callable[[], bool]
) -> Iterator[bytes]:
    """The bytes of the new archive: the old one's members, but those that are loose too, and the loose ones."""
    new = {each.name: each for each in loose}
    written = 0
    with target.open("rb") if old else contextlib.nullcontext() as kept:
        for name in sorted(old.keys() | new.keys(), key=_order):
            if stopped():
                raise Stopped
            size = new[name].state[1] if name in new else old[name][1]
            head, tail = _header(name, size), _padding(size)
            yield head
            if name in new:
                yield from _bytes_of(new[name])
            elif kept is not None:
                yield from _copied(kept.fileno(), *old[name])
            yield tail
            written += len(head) + size + len(tail)
    yield _end(written)


def _bytes_of(loose: _Loose) -> Iterator[bytes]:
    with loose.path.open("rb") as file:
        if _of(os.fstat(file.fileno())) != loose.state:
            raise _Moved
        yield from _copied(file.fileno(), 0, loose.state[1])


def _copied(descriptor: int, offset: int, size: int) -> Iterator[bytes]:
    while size:
        data = os.pread(descriptor, min(size, _CHUNK), offset)
        if not data:
            raise _Moved
        yield data
        offset, size = offset + len(data), size - len(data)


def _header(name: str, size: int) -> bytes:
    """What stands before a member's bytes: the same for the same name and size, and with our mark."""
    about = tarfile.TarInfo(name)
    about.size, about.mode, about.uname = size, 0o644, OWNER
    return about.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    """What stands behind a member's bytes."""
    return bytes(-(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE - size)


def _end(size: int) -> bytes:
    """What stands at the end of an archive that has so many bytes before it."""
    return bytes(-(-(size + 2 * tarfile.BLOCKSIZE) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE - size)


def _order(name: str) -> tuple[bytes, bytes]:
    """By which members are sorted: files of one sample stand together."""
    return key_of(name).encode(errors="surrogateescape"), name.encode(errors="surrogateescape")


# --- loose files ------------------------------------------------------------------------------------------------------


def _packable(folder: Path, old: dict[str, tuple[int, int]]) -> list[_Loose]:
    """Our pictures, and what stands beside one of them; what else there may be is somebody's own."""
    found = [each for each in _files(folder) if not is_temporary(each.path.name)]
    pictures = [each for each in found if _is_picture(each.name) and made_by_us(each.path)]
    keys = {key_of(each.name) for each in pictures} | {key_of(name) for name in old}
    return pictures + [each for each in found if not _is_picture(each.name) and key_of(each.name) in keys]


def _is_picture(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def _files(folder: Path) -> Iterator[_Loose]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(ASIDE)]
        for name in names:
            path = Path(parent, name)
            if (state := _state(path)) and not path.is_symlink() and path.is_file():
                yield _Loose(path.relative_to(folder).as_posix(), path, state)


def _remove(folder: Path, loose: list[_Loose], target: Path) -> None:
    """Remove files that have been packed, as the archive itself says."""
    state, there = _state(target), tars.index(str(target)).members
    aside = folder / f"{ASIDE}{secrets.token_hex(6)}"
    for each in loose:
        if _state(target) != state or there.get(each.name, (0, -1))[1] != each.state[1]:
            raise _Moved
        _remove_one(each, aside / each.name)


def _remove_one(loose: _Loose, aside: Path) -> None:
    """Not one that took its place since: that is put back."""
    aside.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        loose.path.rename(aside)
        if _state(aside) == loose.state:
            aside.unlink()
        else:
            _restore(aside, loose.path)


def _put_back(folder: Path) -> None:
    """Files that somebody was removing when he was killed: they are packed once more, which changes nothing."""
    for aside in folder.glob(f"{ASIDE}*"):
        for each in _files(aside):
            _restore(each.path, folder / each.name)


def _restore(aside: Path, path: Path) -> None:
    """Put a file back, but for where there is a newer one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(aside, path)
    except FileExistsError:
        pass
    except OSError:  # a file system that has no links
        if not path.exists():
            aside.rename(path)
            return
    aside.unlink()


def _remove_empty(folder: Path) -> None:
    for parent, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):  # not empty
            Path(parent).rmdir()


def _state(path: Path) -> State | None:
    try:
        return _of(path.stat())
    except OSError:
        return None


def _of(status: os.stat_result) -> State:
    return status.st_ino, status.st_size, status.st_mtime_ns


@contextmanager
def _locked(path: Path, stopped: Callable[[], bool]) -> Iterator[None]:
    """Alone, among those whose locks work here."""
    descriptor = open_lock(path)
    try:
        while not _is_taken(descriptor):
            if stopped():
                raise Stopped
            time.sleep(_WAIT_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _is_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
