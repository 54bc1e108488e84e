"""Which pictures are in tar files: of one, of many, of a folder in one, by patterns.

In an archive a folder is only a part of names: whoever names an archive, or a folder in it, names all that is below.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path

from nst_batch.archives import tars
from nst_batch.archives.tar_headers import ArchiveError, normal

Wanted = Callable[[str], bool]
"""Whether a member is a picture to render, by its name."""


def find(pattern: str, wanted: Wanted) -> list[str] | None:
    """Paths of the pictures in the archives that a pattern names, sorted; None when it names no archive.

    Args:
        pattern: a whole path: of a tar file, a member or a folder in one, a folder that has tar files and no pictures
            of its own, or a glob of any of these (``shard-*.tar``, ``shard-*.tar/**/*.jpg``).
        wanted: which members count; one that is named without a pattern always does.

    Raises:
        ArchiveError: an archive is none, or a compressed one.
        OSError: it cannot be read.
    """
    parts = tars.split(pattern)
    if parts is not None:
        return _in(parts[0], parts[1], wanted)
    if tars.is_archive(pattern):
        return _in(pattern, "", wanted)
    if Path(pattern).is_dir():
        return _of_folder(pattern, wanted)
    if glob.has_magic(pattern):
        return _matching(pattern, wanted)
    return None


def by_archive(paths: Iterable[str]) -> dict[str, array[int]]:
    """The archives into which paths lead, and the places of those that lead into each: so that what is in an archive
    is looked at once, in whatever order paths come. Those into a compressed one lead into none."""
    found: dict[str, array[int]] = {}
    split = tars.splitter()
    for place, path in enumerate(paths):
        try:
            parts = split(path)
        except ArchiveError:
            continue
        if parts is not None:
            found.setdefault(parts[0], array("q")).append(place)
    return found


def _in(archive: str, inner: str, wanted: Wanted) -> list[str]:
    """What an archive has under a name: a member, a folder, or a pattern."""
    names = tars.index(archive).members
    one = normal(inner)
    if one in names:
        return [f"{archive}/{one}"]
    if glob.has_magic(inner) and not any(name.startswith(f"{one}/") for name in names):
        patterns = one.split("/")
        return [f"{archive}/{name}" for name in sorted(names) if wanted(name) and _fits(name.split("/"), patterns)]
    return [f"{archive}/{name}" for name in tars.members(archive, inner) if wanted(name)]


def _of_folder(folder: str, wanted: Wanted) -> list[str] | None:
    """Of all archives in a folder that has no pictures."""
    archives = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if wanted(entry.name):
                return None
            if not entry.name.startswith(".") and tars.is_archive(entry.path):
                archives.append(entry.path)
    return _of_all(sorted(archives), "", wanted)


def _matching(pattern: str, wanted: Wanted) -> list[str] | None:
    """Of all archives that a glob matches, as a whole or with the head that ends in ``.tar``."""
    heads = [(pattern, "")]
    heads += [(pattern[: found.end()], pattern[found.end() + 1 :]) for found in re.finditer(r"\.tar(?=/)", pattern)]
    for outer, inner in heads:
        matches = sorted(path for path in glob.glob(outer, recursive=True) if tars.is_archive(path))
        if matches:
            return _of_all(matches, inner, wanted)
    return None


def _of_all(archives: list[str], inner: str, wanted: Wanted) -> list[str] | None:
    return [path for archive in archives for path in _in(archive, inner, wanted)] if archives else None


def _fits(parts: list[str], patterns: list[str]) -> bool:
    """As globs do it: ``*`` stays in a folder, ``**`` goes through those below."""
    if not patterns:
        return not parts
    if patterns[0] == "**":
        rest = patterns[1:]
        return bool(parts) if not rest else any(_fits(parts[place:], rest) for place in range(len(parts)))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], patterns[0]) and _fits(parts[1:], patterns[1:])
