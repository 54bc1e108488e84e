"""Input files: find pictures, and the masks beside them."""

from __future__ import annotations

import glob
import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nst_batch.archives import tar_finding, tars
from nst_batch.archives.tar_headers import ArchiveError, normal
from nst_batch.errors import in_words

MASK_ENDING = ".mask.png"
"""``photo.mask.png`` beside ``photo.jpg`` says which regions of it are which, by colour. It is no picture to render."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
_FEW = 16  # pictures of a folder for whose masks it is not worth while to list it


class NothingFound(ValueError):
    """A folder, glob or file of the spec yields no picture."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def located(path: str | Path, base: Path) -> Path:
    """``path`` with its ``~`` replaced; relative ones start at ``base``.

    Raises:
        NothingFound: there is no such user.
    """
    try:
        return base / Path(path).expanduser()
    except RuntimeError as error:
        raise NothingFound(f"no home folder is known for {path}; write the whole path") from error


def find_pictures(pattern: str, base: Path) -> tuple[str, ...]:
    """The picture files that ``pattern`` names, sorted, as absolute paths.

    Args:
        pattern: a folder (its pictures, not those of its subfolders), a glob (``**`` goes through subfolders),
            or one file, of whatever ending; relative ones start at ``base``.

    Raises:
        NothingFound: saying what was looked for, and where.
    """
    path = located(pattern, base)
    if (members := _members(absolute(path))) is not None:
        if not members:
            raise NothingFound(f"no pictures in {path}; they should end in {_endings()}")
        return tuple(members)
    if path.is_file():
        return (absolute(path),)
    if path.is_dir():
        found = _pictures_in(absolute(path))
        if not found:
            raise NothingFound(f"no pictures in folder {path}; they should end in {_endings()}")
        return tuple(found)
    if glob.has_magic(pattern):
        matches = glob.glob(str(Path(pattern).expanduser()), root_dir=base, recursive=True)  # base is not a pattern
        named = (absolute(os.path.join(base, each)) for each in matches if _is_named_so(os.path.basename(each)))
        found = sorted(filter(os.path.isfile, named), key=lambda each: each.split(os.sep))
        if not found:
            raise NothingFound(f"no pictures match {path}; they should end in {_endings()}")
        return tuple(found)
    if path.exists():
        raise NothingFound(f"{path} is a pipe, a device or a socket, not a picture; name picture files")
    raise NothingFound(f"no such file or folder: {path}; relative paths start at the pipeline file's folder")


def absolute(path: str | Path) -> str:
    """The whole path. Behind a link, ``..`` is the folder above that to which the link leads."""
    text = os.fspath(path)
    if ".." not in text:
        return os.path.abspath(text)
    folder, name = os.path.split(text)
    return os.path.abspath(os.path.join(os.path.realpath(folder), name)) if name != ".." else os.path.realpath(text)


def _members(pattern: str) -> list[str] | None:
    """Pictures in the tar files that a pattern names; None when it names none."""
    try:
        return tar_finding.find(pattern, lambda name: _is_named_so(name.rpartition("/")[2]))
    except ArchiveError as error:
        raise NothingFound(f"{in_words(error)}{f'; {error.hint}' if error.hint else ''}") from error


def _pictures_in(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        names = sorted(each.name for each in entries if _is_named_so(each.name) and _is_file(each))
    before = os.path.join(folder, "")
    return [before + name for name in names]


def _is_named_so(name: str) -> bool:
    """Whether it is a picture by its name: hidden files (``._x.jpg`` of macOS) and masks are not."""
    lower = name.lower()
    return lower.endswith(IMAGE_SUFFIXES) and not name.startswith(".") and not lower.endswith(MASK_ENDING)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _endings() -> str:
    return " ".join(IMAGE_SUFFIXES)


def masks_beside(paths: Sequence[str], archives: Mapping[str, Sequence[int]]) -> dict[int, str]:
    """The masks that are there, by the place of their picture: each folder is listed once, if many are asked for, and
    each archive.

    Args:
        paths: of pictures.
        archives: into which of them they lead, as of ``by_archive``.
    """
    found = dict[int, str]()
    for archive, places in archives.items():
        masks = _masks_of(archive)
        for place in places if masks else ():
            mask = _mask_of(paths[place])
            if normal(mask[len(archive) + 1 :]) in masks:
                found[place] = mask
    if not archives:
        found.update(_beside_files(paths))
    elif sum(map(len, archives.values())) < len(paths):
        outside = list(paths)
        for place in itertools.chain.from_iterable(archives.values()):
            outside[place] = ""
        found.update(_beside_files(outside))
    return found


def _beside_files(paths: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Of pictures that are files; an empty path is none."""
    folders = [path.rpartition("/")[0] for path in paths]
    counts = Counter(folders)
    listed = {folder: _masks_in(folder) for folder, count in counts.items() if count > _FEW}
    bare = {folder for folder, names in listed.items() if not names}
    if len(bare) == len(counts):
        return
    for place, (path, folder) in enumerate(zip(paths, folders, strict=True)):
        if path and folder not in bare:
            mask = _mask_of(path)
            if os.path.basename(mask) in listed[folder] if folder in listed else os.path.isfile(mask):
                yield place, mask


def _mask_of(path: str) -> str:
    return os.path.splitext(path)[0] + MASK_ENDING


def _masks_of(archive: str) -> frozenset[str]:
    try:
        if not tars.mentions(archive, MASK_ENDING):
            return frozenset()
        return frozenset(name for name in tars.index(archive).members if name.endswith(MASK_ENDING))
    except OSError:
        return frozenset()


def _masks_in(folder: str) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(each.name for each in entries if each.name.endswith(MASK_ENDING) and _is_file(each))
    except OSError:
        return frozenset()
