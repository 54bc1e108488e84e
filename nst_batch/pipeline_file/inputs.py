"""Input files: find pictures, say what is left out, and find the masks beside them."""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
import os
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from braceexpand import braceexpand

from nst_batch.archives import tar_finding, tars
from nst_batch.archives.tar_headers import ArchiveError, normal
from nst_batch.errors import in_words
from nst_batch.globs import fixed_part, has_magic
from nst_batch.pipeline_file.file_kinds import (
    IMAGE_SUFFIXES,
    NOT_OURS,
    ending,
    folder_not_ours,
    is_image,
    is_mask,
    is_picture,
    looks_like_a_picture,
    mask_key,
    why_not,
)
from nst_batch.pipeline_file.left_out import Exclusion, LeftOut, together

_VARIABLE = re.compile(r"\$(?:(\w+)|\{([^}]*)\})")
_MOST_NAMES = 1_000_000  # for which braces may stand
_FEW = 5  # errors that are told together
_MOST_ASIDE = 10_000  # entries of folders that are not asked for, in which pictures are counted


class NothingFound(ValueError):
    """A folder, glob or file of the spec yields no picture."""


@dataclass(frozen=True)
class Found:
    """What patterns come to: paths of picture files, and what was left out.

    ``begins``: of each path, where the part below its pattern's fixed part begins: ``n01/a.jpg`` of ``train/*/*.jpg``.
    """

    paths: tuple[str, ...] = ()
    begins: Sequence[int] = ()
    left_out: LeftOut = field(default_factory=LeftOut)

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def located(path: str | Path, base: Path) -> Path:
    """``path`` with its ``~`` and its environment variables (``$SCRATCH``, ``${HOME}``) replaced, unless there is a
    file that is called so; relative ones start at ``base``.

    Raises:
        NothingFound: there is no such user, or a variable is not set.
    """
    if "$" in str(path) and not os.path.lexists(base / path):
        path = _VARIABLE.sub(_value, str(path))
    try:
        return base / Path(path).expanduser()
    except RuntimeError as error:
        raise NothingFound(f"no home folder is known for {path}; write the whole path") from error


def _value(variable: re.Match[str]) -> str:
    value = os.environ.get(variable[1] or variable[2])
    if not value:
        raise NothingFound(f"the environment variable {variable[0]} is not set; set it, or write the path itself")
    return value


def find_pictures(pattern: str, base: Path, exclude: Exclusion = Exclusion()) -> Found:  # noqa: B008 - frozen
    """The picture files that ``pattern`` names, sorted, as absolute paths.

    Args:
        pattern: a folder (its pictures, not those of its subfolders), a glob (``**`` goes through subfolders; a
            picture's ending is found in upper and lower case), names with braces (``shard-{000..009}.tar``, as
            WebDataset has them), or one file, of whatever ending; relative ones start at ``base``.
        exclude: what is left out.

    Raises:
        NothingFound: saying what was looked for, and where.
    """
    path = located(pattern, base)
    if "{" in pattern and not os.path.lexists(path) and len(names := _names(str(located(pattern, Path())))) > 1:
        return _each(names, base, exclude)
    whole = absolute(path)
    if (members := _members(whole, exclude)) is not None:
        if not members.paths:
            raise _nothing(f"in {path}", members.left_out)
        return members
    if path.is_file():
        return Found((whole,), (len(whole) - len(path.name),))
    looking = _Looking(exclude)
    if path.is_dir():
        looking.folder(whole, pattern)
        return looking.found(whole, f"in folder {path}")
    if has_magic(pattern):
        fixed, parts = fixed_part(str(located(pattern, Path())))
        root = absolute(base / fixed)  # base is not a pattern
        looking.matching(root, [*parts[:-1], _either_case(parts[-1])])
        return looking.found(root, f"match {path}")
    if path.exists():
        raise NothingFound(f"{path} is a pipe, a device or a socket, not a picture; name picture files")
    raise NothingFound(f"no such file or folder: {path}; relative paths start at the pipeline file's folder")


def _names(pattern: str) -> list[str]:
    """Those for which braces stand; one where they stand for themselves."""
    try:
        names = list(itertools.islice(braceexpand(pattern, escape=False), _MOST_NAMES + 1))
    except ValueError:  # a brace alone
        return [pattern]
    if len(names) > _MOST_NAMES:
        raise NothingFound(f"{pattern} stands for more than {_MOST_NAMES:,} names; use a glob")
    return names


def _each(names: Sequence[str], base: Path, exclude: Exclusion) -> Found:
    """What several names come to. An archive that cannot be read stands for itself, and fails alone; what is not there
    is left out."""
    groups, left_out, errors = list[Found](), LeftOut(), list[NothingFound]()
    for name in names:
        try:
            groups.append(find_pictures(name, base, exclude))
        except NothingFound as error:
            errors.append(error)
            path = absolute(base / name)
            if os.path.isfile(path):
                groups.append(Found((path,), (path.rfind("/") + 1,)))
            else:
                left_out.add("not there", path)
    if len(errors) == len(names):
        raise NothingFound("; ".join(map(str, errors[:_FEW])))
    return joined((*groups, Found(left_out=left_out)))


def joined(groups: Sequence[Found]) -> Found:
    """All files of all patterns, in the order written, each once."""
    if len(groups) == 1:
        return groups[0]
    begins = dict[str, int]()
    for group in groups:
        for path, begin in zip(group.paths, group.begins, strict=True):
            begins.setdefault(path, begin)
    return Found(tuple(begins), array("i", begins.values()), together((each.left_out for each in groups), begins))


def absolute(path: str | Path) -> str:
    """The whole path. Behind a link, ``..`` is the folder above that to which the link leads."""
    text = os.fspath(path)
    if ".." not in text:
        return os.path.abspath(text)
    folder, name = os.path.split(text)
    return os.path.abspath(os.path.join(os.path.realpath(folder), name)) if name != ".." else os.path.realpath(text)


def _either_case(name: str) -> str:
    """``*.[jJ][pP][gG]`` for ``*.jpg``: cameras write both."""
    stem, suffix = name[: len(name) - len(ending(name))], ending(name)
    if suffix not in IMAGE_SUFFIXES:
        return name
    return stem + "".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in suffix)


def _nothing(where: str, left_out: LeftOut) -> NothingFound:
    told = left_out.told()
    told = f"; left out: {told}" if told else ""
    return NothingFound(f"no pictures {where}{told}; they should end in .jpg, .png, .heic, … (docs/formats.md)")


def is_picture_in(member: str) -> bool:
    """Whether a member of an archive is a picture, by its name."""
    return is_picture(member.rpartition("/")[2])


def _members(pattern: str, exclude: Exclusion) -> Found | None:
    """Pictures in the tar files that a pattern names; None when it names none."""
    try:
        head, slash, name = pattern.rpartition("/")
        either = head + slash + (_either_case(name) if has_magic(pattern) else name)
        paths = tar_finding.find(either, is_picture_in)
    except ArchiveError as error:
        raise NothingFound(f"{in_words(error)}{f'; {error.hint}' if error.hint else ''}") from error
    if paths is None:
        return None
    begin = len(fixed_part(pattern)[0]) + 1 if has_magic(pattern) else len(pattern) + 1
    kept, left_out = list[str](), LeftOut()
    for path in paths:
        if path == pattern:
            return Found((path,), (path.rfind("/") + 1,))
        if folder := folder_not_ours(path[begin:]):
            left_out.add(f"in {folder}", path)
        elif exclude.has(path, begin):
            left_out.add("by exclude", path)
        else:
            kept.append(path)
    return Found(tuple(kept), array("i", [begin]) * len(kept), left_out)


class _Looking:
    """Looks through folders, and keeps pictures apart from what is left out."""

    def __init__(self, exclude: Exclusion) -> None:
        self._exclude = exclude
        self._paths = list[str]()
        self._masks = dict[str, list[str]]()  # by what they have in common with their pictures
        self._left_out = LeftOut()
        self._budget = _MOST_ASIDE

    def folder(self, folder: str, pattern: str) -> None:
        """The pictures of a folder; those of its subfolders are counted."""
        glob = f"{pattern.rstrip('/')}/**/*"
        folders = list[os.DirEntry[str]]()
        for entry in os.scandir(folder):  # of a million, one after another
            self._take(entry)
            if _is_folder(entry):
                folders.append(entry)
        for entry in folders:
            if entry.name in NOT_OURS:
                self._aside(entry)
            elif not entry.name.startswith(".") and not _leads_back(entry):
                self._left_out.add_below(glob, sum(1 for _ in self._pictures_below(entry.path, glob)))

    def matching(self, folder: str, parts: Sequence[str]) -> None:
        """What fits the parts of a glob, below a folder."""
        try:
            entries = list(os.scandir(folder))
        except OSError:  # no such folder, or one that may not be read: as any glob
            return
        self._match(folder, entries, parts)

    def _match(self, folder: str, entries: Sequence[os.DirEntry[str]], parts: Sequence[str]) -> None:
        head, rest = parts[0], parts[1:]
        if head == "**":
            self._match(folder, entries, rest or ["*"])
            for entry in self._folders(entries, "*"):
                self.matching(entry.path, parts)
        elif not rest:
            for entry in entries:
                if fnmatch.fnmatchcase(entry.name, head):
                    self._take(entry)
        elif has_magic(head):
            for entry in self._folders(entries, head):
                self.matching(entry.path, rest)
        else:
            self.matching(os.path.join(folder, head), rest)

    def _folders(self, entries: Iterable[os.DirEntry[str]], pattern: str) -> Iterator[os.DirEntry[str]]:
        """Those that fit; hidden ones do not, and links that lead back are not followed."""
        for entry in entries:
            if _is_folder(entry) and fnmatch.fnmatchcase(entry.name, pattern):
                if entry.name in NOT_OURS:
                    self._aside(entry)
                elif not entry.name.startswith(".") and not _leads_back(entry):
                    yield entry

    def _take(self, entry: os.DirEntry[str]) -> None:
        name, path = entry.name, entry.path
        if is_picture(name):
            if _is_file(entry):
                self._paths.append(path)
            else:
                self._left_out.add(_no_file(entry), path)
        elif is_mask(name):
            self._masks.setdefault(mask_key(path), []).append(path)
        elif not _is_folder(entry):
            if not (why := why_not(name)) and looks_like_a_picture(path):
                self._paths.append(path)
            else:
                self._left_out.add(why or "of an unknown kind", path)

    def _aside(self, folder: os.DirEntry[str]) -> None:
        """A folder that is nobody's pictures."""
        for path in self._pictures_below(folder.path, f"in {folder.name}"):
            self._left_out.add(f"in {folder.name}", path)

    def _pictures_below(self, folder: str, what: str) -> Iterator[str]:
        for above, _, names in os.walk(folder):
            self._budget -= 1 + len(names)
            yield from (os.path.join(above, name) for name in names if is_image(name))
            if self._budget < 0:
                self._left_out.uncounted.add(what)
                return

    def found(self, root: str, where: str) -> Found:
        """All of it.

        Raises:
            NothingFound: there is no picture.
        """
        begin, kept = len(os.path.join(root, "")), list[str]()
        for path in dict.fromkeys(self._paths):  # with ** twice, a glob finds a file twice
            if self._exclude.has(path, begin):
                self._left_out.add("by exclude", path)
            else:
                kept.append(path)
        if self._masks:
            pictures = {mask_key(path) for path in self._paths}
            for mask in (mask for key, masks in self._masks.items() if key not in pictures for mask in masks):
                self._left_out.add(why_not(mask), mask)
        if not kept:
            raise _nothing(where, self._left_out)
        return Found(tuple(sorted(kept, key=_order)), array("i", [begin]) * len(kept), self._left_out)


def _order(path: str) -> str:
    """By folders, and then by names."""
    return path.replace(os.sep, "\0")


def _no_file(entry: os.DirEntry[str]) -> str:
    if _is_folder(entry):
        return "called like a picture, but a folder"
    return "linked to nothing" if entry.is_symlink() else "no file but a pipe"


def _leads_back(entry: os.DirEntry[str]) -> bool:
    if not entry.is_symlink():
        return False
    here, there = (os.path.join(os.path.realpath(each), "") for each in (os.path.dirname(entry.path), entry.path))
    return here.startswith(there)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


# --- masks ------------------------------------------------------------------------------------------------------------


def masks_beside(paths: Sequence[str], archives: Mapping[str, Sequence[int]]) -> dict[int, str]:
    """The masks that are there, by the place of their picture: each folder is listed once, and each archive.

    Args:
        paths: of pictures.
        archives: into which of them they lead, as of ``by_archive``.
    """
    found = dict[int, str]()
    for archive, places in archives.items():
        masks = _masks_of(archive)
        for place in places if masks else ():
            path = paths[place]
            if (mask := masks.get(mask_key(normal(path[len(archive) + 1 :])))) and not is_mask(path):
                found[place] = f"{archive}/{mask}"
    inside = set(itertools.chain.from_iterable(archives.values()))
    masks_in = dict[str, dict[str, str]]()
    for place, path in enumerate(paths):
        if inside and place in inside:
            continue
        folder, _, name = path.rpartition("/")
        if folder not in masks_in:
            masks_in[folder] = _masks_in(folder)
        masks = masks_in[folder]
        if masks and (mask := masks.get(mask_key(name))) and not is_mask(name):
            found[place] = f"{folder}/{mask}"
    return found


def _masks_of(archive: str) -> dict[str, str]:
    try:
        named_so = any(tars.mentions(archive, each) for each in (".mask.", ".Mask.", ".MASK."))
        return _by_key(tars.index(archive).members) if named_so else {}
    except OSError:
        return {}


def _masks_in(folder: str) -> dict[str, str]:
    try:
        with os.scandir(folder or "/") as entries:
            return _by_key(each.name for each in entries if ".mask." in each.name.lower() and _is_file(each))
    except OSError:
        return {}


def _by_key(names: Iterable[str]) -> dict[str, str]:
    """Masks by what they have in common with their pictures; of several for one, a PNG before others."""
    masks = sorted((name for name in names if is_mask(name)), key=lambda name: (ending(name) != ".png", name))
    return {mask_key(name): name for name in reversed(masks)}
