"""Lists of pictures: text files with a path a line. A million take a second; mostly, only one of them is looked for."""

from __future__ import annotations

import itertools
import os
import re
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from nst_batch.archives import tar_finding
from nst_batch.archives.tar_headers import ArchiveError
from nst_batch.paths import ARCHIVE_SUFFIX
from nst_batch.pipeline_file.file_kinds import folder_not_ours
from nst_batch.pipeline_file.inputs import Found, is_picture_in, located
from nst_batch.pipeline_file.left_out import Exclusion, LeftOut

_ARCHIVE = re.compile(r"\.(?:tar(?:\.\w+)?|tgz|tbz2?|txz)(?=/)", re.IGNORECASE)
_LOOKS = 100  # of paths that are looked for before all of them are


class ListMistake(ValueError):
    """A list cannot be used."""


def read_list(file: Path) -> list[str]:
    """The paths in a list, as they stand there: blank lines and those that begin with ``#`` are passed over.

    Raises:
        ListMistake: it is no text, it names nothing, or nothing of what it names is there.
        OSError: it cannot be read.
    """
    found, first = [], 0
    prefix = prefix_of(file)
    try:
        with file.open(encoding="utf-8-sig", newline="\n") as lines:  # other marks for ends of lines may be in names
            for number, line in enumerate(lines, 1):
                written = line.rstrip("\n").removesuffix("\r")
                if not written or written.startswith("#") or written.isspace():
                    continue
                if "\0" in written:
                    raise ListMistake(f"{file}:{number}: zero bytes in this line; a list should be text")
                first = first or number
                found.append(placed(written, prefix))
    except UnicodeDecodeError as error:
        raise ListMistake(f"{file}:{not_utf8_at(file)}: not UTF-8 text, as a list should be") from error
    if not found:
        raise ListMistake(f"{file}: no path in it; a list needs one a line")
    if not any_is_there(found):
        raise ListMistake(f"{file}:{first}: {none_is_there(found, 'list')}")
    return found


def prefix_of(file: Path) -> str:
    """What makes a relative path in ``file`` one from here: paths in a file start at the folder that it lies in."""
    folder = str(file.parent)
    return "" if folder == "." else folder.rstrip("/") + "/"


def found_in(
    file: Path,
    paths: Sequence[str],
    exclude: Exclusion = Exclusion(),  # noqa: B008 - frozen
    left_out: LeftOut | None = None,
) -> Found:
    """What a list or a table names, each once. The fixed part is its own folder; of what lies elsewhere, the root."""
    prefix, left_out = prefix_of(file), LeftOut() if left_out is None else left_out
    kept, here = tuple(dict.fromkeys(paths)), prefix or "/"
    elsewhere = [place for place, path in enumerate(kept) if path.startswith(here) != bool(prefix)]
    begins = array("i", [len(prefix)]) * len(kept)
    for place in elsewhere:
        begins[place] = 1
    if exclude == Exclusion():
        return Found(kept, begins, left_out)
    found = list[tuple[str, int]]()
    for path, begin in zip(kept, begins, strict=True):
        if exclude.has(path, begin):
            left_out.add("by exclude", path)
        else:
            found.append((path, begin))
    return Found(tuple(path for path, _ in found), array("i", [begin for _, begin in found]), left_out)


def in_archives(paths: list[str], left_out: LeftOut) -> list[str]:
    """With the pictures in tar files in their places, where a list names shards. One that cannot be read stands for
    itself, and fails alone.

    Raises:
        ListMistake: none can be read.
    """
    if not any(path.endswith(ARCHIVE_SUFFIX) for path in paths):
        return paths
    found, errors = list[str](), list[ArchiveError]()
    for path in paths:
        try:
            members = tar_finding.of_all([path], "", is_picture_in) or [path]
        except ArchiveError as error:
            errors.append(error)
            members = [path]
        for member in members:
            if folder := folder_not_ours(member[len(path) :]):
                left_out.add(f"in {folder}", member)
            else:
                found.append(member)
    if len(errors) == len(paths):
        raise ListMistake("; ".join(map(str, errors)))
    return found


def placed(written: str, prefix: str) -> str:
    """A path as it is written in a list, with what relative ones start at.

    It is a name and no pattern: ``*`` and ``[`` are letters like others, and so is ``~`` but for ``~/``.
    """
    if written.startswith("/"):
        prefix = ""
    elif written.startswith("~/"):
        prefix, written = "", str(located(written, Path()))
    elif written.startswith("./"):  # as `find .` has it, and as one writes names that begin with # or ~/
        written = written[2:] or "."
    if "//" in written or "/./" in written or written.startswith("./"):
        written = str(PurePosixPath(written))
    return prefix + written


def any_is_there(paths: Sequence[str]) -> bool:
    """Whether any of them is: seldom more than the first is looked for."""
    here_and_there = paths[:: max(1, len(paths) // _LOOKS)]
    return any(map(is_there, itertools.chain(here_and_there, paths)))


def is_there(path: str) -> bool:
    """Whether there is such a file, or the archive whose member it is: ``shards/000.tar/a.jpg``."""
    return os.path.lexists(path) or any(
        os.path.isfile(path[: found.end()])  # noqa: PTH113 - names that are none are no error
        for found in _ARCHIVE.finditer(path)
    )


def none_is_there(paths: Sequence[str], kind: str) -> str:
    """What to say when nothing of what a list or a table names is there."""
    others = f", as with all {len(paths):,} paths" if len(paths) > 1 else ""
    return f"no such file: {paths[0]}{others}; relative paths start at the {kind}'s folder"


def not_utf8_at(file: Path) -> int:
    """The first line that is not UTF-8."""
    with file.open("rb") as lines:
        return _first_not_utf8(lines)


def _first_not_utf8(lines: Iterable[bytes]) -> int:
    for number, line in enumerate(lines, 1):
        try:
            line.decode()
        except UnicodeDecodeError:
            return number
    return 1
