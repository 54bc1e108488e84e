"""The user's cache, and the folder that pictures go to: whether files can be made there, as runs make them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nst_batch.atomic import MODE, TEMPORARY_SUFFIX, write_atomic
from nst_batch.doctor.findings import Finding
from nst_batch.errors import in_words
from nst_batch.memory import in_words as size_in_words
from nst_batch.transfer.user_cache import cache_folder

LEAST_BYTES, FEW_BYTES = 50 * 10**6, 10**9
_ASK = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_SH | fcntl.LOCK_NB)"


@dataclass(frozen=True)
class Behaviour:
    """What a folder's file system does: ``refused`` says why nothing can be written (empty: it can); ``exclusive``,
    that of two who make the same file one is told no; ``locks``, that other processes see a lock."""

    refused: str = ""
    exclusive: bool = True
    locks: bool = True


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there: what a run would make it in."""
    folder = Path(os.path.abspath(folder))
    return next((each for each in (folder, *folder.parents) if os.path.lexists(each)), folder)


def behaviour(folder: Path) -> Behaviour:
    """Tried with two small files, which are removed."""
    stem = f".doctor.{secrets.token_hex(6)}"
    whole, claim = (folder / f"{stem}.{kind}{TEMPORARY_SUFFIX}" for kind in ("whole", "claim"))
    try:
        write_atomic(whole, b"nst_batch doctor")
        return Behaviour(exclusive=_is_exclusive(claim), locks=_locks(whole))
    except OSError as error:
        return Behaviour(refused=in_words(error) if error.filename is None else error.strerror or "refused")
    finally:
        for path in (whole, claim):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _is_exclusive(path: Path) -> bool:
    """Raises OSError: it cannot even be made once."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    os.close(os.open(path, flags, MODE))
    try:
        os.close(os.open(path, flags, MODE))
    except FileExistsError:
        return True
    return False


def _locks(path: Path) -> bool:
    """Whether another process is refused a lock that this one holds."""
    with path.open("rb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            asked = subprocess.run(
                [sys.executable, "-ISc", _ASK, str(path)], capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.SubprocessError):
            return False
    return "BlockingIOError" in asked.stderr


def cache(folder: Path | None = None) -> Finding:
    """Where what this machine has made once is kept."""
    folder = folder or cache_folder()
    seen = existing(folder)
    refused = behaviour(seen).refused if seen.is_dir() else "is a file, not a folder"
    if not refused:
        return Finding("cache", "ok", str(folder))
    told = f"{seen}: {refused}; each process makes again what it needs, for seconds"
    return Finding("cache", "warning", told, "export XDG_CACHE_HOME=FOLDER, one that can be written")


def output(folder: Path, wanted: int = 0) -> Iterator[Finding]:
    """The folder that pictures go to.

    Args:
        folder: it need not be there yet.
        wanted: bytes that the pictures will take, about.
    """
    seen = existing(folder)
    elsewhere = "set output.dir to a folder that can be written"
    found = behaviour(seen) if seen.is_dir() else Behaviour("is a file, not a folder")
    if found.refused:
        yield Finding("output", "problem", f"{seen}: {found.refused}", elsewhere)
        return
    yield Finding("output", "ok", str(folder) + ("" if seen == Path(os.path.abspath(folder)) else ", to be made"))
    yield _sharing(found)
    yield room(shutil.disk_usage(seen).free, wanted)


def _sharing(found: Behaviour) -> Finding:
    if found.exclusive and found.locks:
        return Finding("file system", "ok", "files are made by one alone, and locks are seen")
    if not found.exclusive:
        told = "two processes can make the same file: runs that share this folder render pictures twice"
        return Finding("file system", "warning", told, "render on one machine, or give each a part: run --shard 1/2")
    told = "no locks: that a run was killed is noticed after three minutes only"
    return Finding("file system", "warning", told, "nothing need be done; another file system has them")


def room(free: int, wanted: int = 0) -> Finding:
    """Bytes that are free for pictures."""
    told = f"{size_in_words(free)} free"
    told += f", pictures and checkpoints take about {size_in_words(wanted)}" if wanted else ""
    if free < LEAST_BYTES:
        return Finding("disk", "problem", told, "make room, or set output.dir to a folder on another disk")
    if free < max(FEW_BYTES, wanted):
        return Finding("disk", "warning", told, "make room: a run waits while the disk is full")
    return Finding("disk", "ok", told)
