"""Whole files or none: write under a temporary name, flush to disk, rename, flush the folder.

A process killed at any moment leaves the old file, or the new one, and perhaps a temporary file whose name ends
in ``TEMPORARY_SUFFIX``; the next run removes those.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

TEMPORARY_SUFFIX = ".nst-tmp"
MODE = 0o666  # less what the umask, or the folder's default access list, takes away: others may work here, too
_OURS = re.compile(rf"\..*\.[0-9a-f]{{12}}{re.escape(TEMPORARY_SUFFIX)}", re.DOTALL)
_LONGEST_NAME = 255  # bytes, of every common file system


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Put ``data`` at ``path``, durably; its folder is made when missing.

    ``durable``: a power cut may not undo it, for which disks are waited for.

    Raises:
        OSError: the folder cannot be made or written; nothing is left behind, and an old file stays as it was.
    """
    write_in_parts(path, [data], durable=durable)


def write_in_parts(
    path: Path, parts: Iterable[bytes], *, durable: bool = True, before_replacing: Callable[[], None] = lambda: None
) -> None:
    """As ``write_atomic``, of parts that are made one after another.

    Args:
        path: of the file.
        parts: of its bytes.
        durable: a power cut may not undo it.
        before_replacing: called when all is on the disk; what it raises leaves the old file.

    Raises:
        OSError: see ``write_atomic``. What ``parts`` and ``before_replacing`` raise is passed on likewise.
    """
    with writing(path, durable=durable, before_replacing=before_replacing) as file:
        for part in parts:
            file.write(part)


@contextmanager
def writing(
    path: Path, *, durable: bool = True, before_replacing: Callable[[], None] = lambda: None
) -> Iterator[BinaryIO]:
    """A file to write into, which is put at ``path`` when this ends without an error; its folder is made when missing.

    Raises:
        OSError: see ``write_atomic``.
    """
    with (
        written(path, durable=durable, make_folder=True, before_replacing=before_replacing) as descriptor,
        os.fdopen(descriptor, "wb", closefd=False) as file,
    ):
        yield file


@contextmanager
def written(
    path: Path,
    *,
    durable: bool = True,
    make_folder: bool = False,
    before_replacing: Callable[[], None] = lambda: None,
) -> Iterator[int]:
    """A descriptor to write into; what was written is put at ``path`` when this ends without an error.

    Raises:
        OSError: the folder is not there or cannot be written; nothing is left behind, and an old file stays as it was.
    """
    temporary = path.with_name(_temporary_name(path.name))
    descriptor = _create(temporary) if make_folder else _open_new(temporary)
    try:
        try:
            yield descriptor
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        before_replacing()
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def _open_new(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, MODE)


def _create(temporary: Path) -> int:
    """Its descriptor; its folder is made too, and again where somebody removes it meanwhile, since it is empty."""
    for tries_left in (2, 1, 0):
        try:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            return _open_new(temporary)
        except FileNotFoundError:
            if not tries_left:
                raise
    raise AssertionError("the last try returns or raises")


def is_temporary(name: str) -> bool:
    """Whether a file of that name is one that a killed process may have left."""
    return _OURS.fullmatch(name) is not None


def write_all(descriptor: int, data: bytes) -> None:
    """Write ``data``, in as many goes as the system takes.

    Raises:
        OSError: not all of it could be written.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def takes(folder: Path, size: int) -> bool:
    """Whether so many bytes can be written into ``folder`` now; tried, since only that takes quotas into account."""
    temporary = folder / _temporary_name("room")
    try:
        with temporary.open("xb") as file:
            file.write(bytes(size))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return True


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable (a rename is not, until its folder is flushed)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_lock(path: Path) -> int:
    """The descriptor of a file that is there to be locked; it is made when missing, as its folder is.

    Raises:
        OSError: it can be neither made nor read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, MODE)
    except PermissionError:  # it is another user's, who lets others read it alone
        return os.open(path, os.O_RDONLY)


def keep(descriptor: int) -> None:
    """Let nobody take a file for a leftover that is being written for long, where the file system has locks."""
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def remove_temporaries(root: Path) -> int:
    """Delete what killed processes left below ``root``; returns how many. Call it only when no writer is alive.

    What somebody ``keep``s stays.
    """
    found = root.rglob(f".*{TEMPORARY_SUFFIX}")
    leftovers = [path for path in found if _OURS.fullmatch(path.name) and path.is_file() and not path.is_symlink()]
    leftovers = [path for path in leftovers if not _is_kept(path)]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


def _is_kept(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without locks
    finally:
        os.close(descriptor)
    return False


def _temporary_name(name: str) -> str:
    """A hidden, unique name that starts like ``name`` and fits the file system."""
    ending = f".{secrets.token_hex(6)}{TEMPORARY_SUFFIX}"
    kept = os.fsencode(name)[: _LONGEST_NAME - len(ending) - 1]
    return "." + kept.decode(errors="ignore") + ending  # cut characters are dropped: macOS wants whole ones
