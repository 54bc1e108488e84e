"""Which pictures are in tar files: of one, of many, of a folder in one, by patterns.

In an archive a folder is only a part of names: whoever names an archive, or a folder in it, names all that is below.
"""

from __future__ import annotations

import glob
import os
import re
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path

from nst_batch.archives import tars
from nst_batch.archives.tar_headers import ArchiveError, normal
from nst_batch.globs import fits

Wanted = Callable[[str], bool]
"""Whether a member is a picture to render, by its name."""


def find(pattern: str, wanted: Wanted) -> list[str] | None:
    """Paths of the pictures in the archives that a pattern names, sorted; None when it names no archive.

    Args:
        pattern: a whole path: of a tar file, a member or a folder in one, a folder that has tar files and no pictures
            of its own, or a glob of any of these (``shard-*.tar``, ``shard-*.tar/**/*.jpg``).
        wanted: which members count; one that is named without a pattern always does.

    Of several archives, one that cannot be read stands for itself: it fails alone, as a picture does.

    Raises:
        ArchiveError: an archive is none, or a compressed one; of several, all.
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
        return [f"{archive}/{name}" for name in sorted(names) if wanted(name) and fits(name.split("/"), patterns)]
    return [f"{archive}/{name}" for name in tars.members(archive, inner) if wanted(name)]


def _of_folder(folder: str, wanted: Wanted) -> list[str] | None:
    """Of all archives in a folder that has no pictures."""
    named = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if wanted(entry.name):
                return None
            if not entry.name.startswith("."):
                named.append(entry.path)
    return of_all(sorted(named), "", wanted)


def _matching(pattern: str, wanted: Wanted) -> list[str] | None:
    """Of all archives that a glob matches, as a whole or with the head that ends in ``.tar``."""
    heads = [(pattern, "")]
    heads += [(pattern[: found.end()], pattern[found.end() + 1 :]) for found in re.finditer(r"\.tar(?=/)", pattern)]
    for outer, inner in heads:
        found = of_all(sorted(glob.glob(outer, recursive=True)), inner, wanted)
        if found is not None:
            return found
    return None


def of_all(paths: Iterable[str], inner: str, wanted: Wanted) -> list[str] | None:
    """Pictures in those of ``paths`` that are archives, as of ``find``; None when none is."""
    found, whole, errors = list[str](), 0, list[ArchiveError]()
    for path in paths:
        try:
            if tars.is_archive(path):
                found += _in(path, inner, wanted)
                whole += 1
        except ArchiveError as error:
            errors.append(error)
            found.append(path)
    if not errors:
        return found if whole else None
    if not whole:
        raise ArchiveError("; ".join(map(str, errors)), errors[0].hint)
    return found
