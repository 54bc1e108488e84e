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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

TEMPORARY_SUFFIX = ".nst-tmp"
_OURS = re.compile(rf"\..*\.[0-9a-f]{{12}}{re.escape(TEMPORARY_SUFFIX)}", re.DOTALL)
_LONGEST_NAME = 255  # bytes, of every common file system


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Put ``data`` at ``path``, durably; its folder is made when missing.

    ``durable``: a power cut may not undo it, for which disks are waited for.

    Raises:
        OSError: the folder cannot be made or written; nothing is left behind, and an old file stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with written(path, durable=durable) as descriptor:
        write_all(descriptor, data)


@contextmanager
def written(path: Path, *, durable: bool = True) -> Iterator[int]:
    """A descriptor to write into; what was written is put at ``path`` when this ends without an error.

    Raises:
        OSError: the folder is not there or cannot be written; nothing is left behind, and an old file stays as it was.
    """
    temporary = path.with_name(_temporary_name(path.name))
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        try:
            yield descriptor
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """Write ``data``, in as many goes as the system takes.

    Raises:
        OSError: not all of it could be written.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


@contextmanager
def writing(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """As ``write_atomic``, of what is written piece by piece: it is at ``path`` when this ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written(path, durable=durable) as descriptor, os.fdopen(descriptor, "wb", closefd=False) as file:
        yield file
        file.flush()


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
