"""Outputs in tar files: where each lies now, as a loose file beside its archive or as a member of it.

A finished picture is a loose file first. The loose one is newer, if both are there.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from nst_batch.archives import tars
from nst_batch.paths import RunPaths, archive_of

ASIDE = ".nst-packed-"
"""Begins the name of a folder of loose files that are being removed, since they have been packed."""


def archives(outputs: Iterable[str]) -> Counter[str]:
    """How many of these outputs go into each archive; those that go into none are not counted."""
    return Counter(parts[0] for output in outputs if (parts := archive_of(output)))


def place(paths: RunPaths, output: str) -> Path:
    """Where an output is, or would be: a loose file, a member's path, or for others the plain file."""
    written = paths.written(output)
    return written if archive_of(output) is None or written.is_file() else paths.output(output)


def sizes(paths: RunPaths, archive: str) -> dict[str, int]:
    """The size of all that is there of an archive's outputs, by the member's name: one listing, no look at each."""
    folder = str(paths.loose(archive))
    loose = {name[len(folder) + 1 :]: size for name, size in _files(folder)}  # first: they may be packed meanwhile
    try:
        index = tars.index(str(paths.root / archive))
    except OSError:
        return loose
    packed = index.members.items()
    return {name: size for name, (offset, size) in packed if offset + size <= index.size} | loose


def read(paths: RunPaths, output: str) -> bytes:
    """The bytes of an output, wherever they are.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    try:
        return paths.written(output).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if archive_of(output) is None:
            raise
        return tars.read(str(paths.output(output)))  # it may have been packed a moment ago


def sha256(paths: RunPaths, output: str) -> str:
    """SHA-256 of an output's bytes, 64 hex digits. Raises as ``read`` does."""
    return hashlib.sha256(read(paths, output)).hexdigest()


def objection(paths: RunPaths, archive: str) -> str:
    """Why an archive cannot be made anew with more in it, in words: it holds what nst_batch did not make, or is broken.
    Empty: it can."""
    path = paths.root / archive
    if not os.path.lexists(path):
        return ""
    try:
        found = tars.index(str(path))
    except OSError as error:
        return error.strerror or str(error)
    if found.foreign:
        return f"nst_batch did not make all of it ({found.foreign!r})"
    if found.others:
        return "it has links or devices in it"
    return f"it {found.damage}" if found.damage else ""


def _files(folder: str) -> Iterable[tuple[str, int]]:
    """Files below a folder, and their sizes."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(ASIDE):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(entry.path)
                elif entry.is_file():
                    yield entry.path, entry.stat().st_size
    except OSError:
        return  # it has gone since, or was never there
