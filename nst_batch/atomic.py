"""Whole files or none: write under a temporary name, flush to disk, rename, flush the folder.

A process killed at any moment leaves the old file, or the new one, and perhaps a temporary file whose name ends
in ``TEMPORARY_SUFFIX``; the next run removes those.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

TEMPORARY_SUFFIX = ".nst-tmp"
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
    temporary = path.with_name(_temporary_name(path.name))
    descriptor = _create(temporary)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        before_replacing()
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def _create(temporary: Path) -> int:
    """Its descriptor; its folder is made too, and again where somebody removes it meanwhile, since it is empty."""
    for tries_left in (2, 1, 0):
        try:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileNotFoundError:
            if not tries_left:
                raise
    raise AssertionError("the last try returns or raises")


def is_temporary(name: str) -> bool:
    """Whether a file of that name is one that a killed process may have left."""
    return _OURS.fullmatch(name) is not None


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


def remove_temporaries(root: Path) -> int:
    """Delete what killed processes left below ``root``; returns how many. Call it only when no writer is alive."""
    found = root.rglob(f".*{TEMPORARY_SUFFIX}")
    leftovers = [path for path in found if _OURS.fullmatch(path.name) and path.is_file() and not path.is_symlink()]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


def _temporary_name(name: str) -> str:
    """A hidden, unique name that starts like ``name`` and fits the file system."""
    ending = f".{secrets.token_hex(6)}{TEMPORARY_SUFFIX}"
    kept = os.fsencode(name)[: _LONGEST_NAME - len(ending) - 1]
    return "." + kept.decode(errors="ignore") + ending  # cut characters are dropped: macOS wants whole ones
