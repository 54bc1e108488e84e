"""Names of outputs: what placeholders stand for, task by task, and which names can be used."""

from __future__ import annotations

import hashlib
import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, TypeVar

import numpy as np

from nst_batch.archives import tars
from nst_batch.columns import NONE, Bytes, Index, Ints, hashes, numbers
from nst_batch.errors import PlanError
from nst_batch.paths import ARCHIVE_SUFFIX, LOOSE_SUFFIX
from nst_batch.planning.fanout import bucket
from nst_batch.planning.pairs import Pairs, StyleFile
from nst_batch.planning.task_table import TaskTable
from nst_batch.planning.variants import Variants
from nst_batch.records import Task
from nst_batch.settings import INIT_WORDS, SETTINGS, TransferSettings, plain

T = TypeVar("T")

_LONGEST_NAME = 200  # bytes; file systems allow 255, temporary names need some
_MISLEADING = "/\\" + "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Separators, and marks that turn round what follows them, as in ``photo_gpj.exe``."""

_LONGEST_PART = 90  # bytes of a picture's own name in an output's name, so that two of them fit
_PLAIN_PART = re.compile(rf"[ !-\-0-\[\]-~][ -.0-\[\]-~]{{0,{_LONGEST_PART - 1}}}")
_OURS = ("manifest", "state")  # folders
_LOOSE = f"{ARCHIVE_SUFFIX}{LOOSE_SUFFIX}/"  # ends the name of another one of ours


def starts_from_file(init: str) -> bool:
    """Whether the picture starts from a file."""
    return init not in INIT_WORDS


class Names:
    """What placeholders in ``output.name`` and ``init`` stand for, task by task."""

    def __init__(
        self,
        pairs: Pairs,
        variants: Variants,
        points: Sequence[Mapping[str, Any]],
        content_of: Ints,
        group_of: Ints,
        variant_of: Ints,
    ) -> None:
        self._pairs, self.variants, self._points = pairs, variants, points
        self._content_of, self._group_of, self.variant_of = content_of, group_of, variant_of

    def only(self, rows: Ints) -> Names:
        """Of some tasks."""
        return Names(
            self._pairs, self.variants, self._points, self._content_of[rows], self._group_of[rows],
            self.variant_of[rows],
        )  # fmt: skip

    def of(self, template: str, ids: Bytes | None = None) -> Iterator[str]:
        """The template filled in."""
        pieces = list[Iterable[str]]()
        parsed = [(literal, field) for literal, field, *_ in string.Formatter().parse(template)]
        for place, (literal, field) in enumerate(parsed):
            behind_folder = place > 0 and parsed[place - 1][1] in _FOLDERS
            if literal := literal.removeprefix("/") if behind_folder else literal:
                pieces.append(_always(literal))
            if field in _FOLDERS:
                slash = parsed[place + 1][0][:1] if place + 1 < len(parsed) else ""
                pieces.append(self._folders(field, slash if slash == "/" else ""))
            elif field is not None:
                pieces.append(self._column(field, ids))
        return map("".join, _zipped(pieces, len(self._content_of)))

    def _column(self, field: str, ids: Bytes | None) -> Iterable[str]:
        if field == "task":
            return (each.tobytes().hex()[:12] for each in ids) if ids is not None else ()
        if field == "shard":
            return self._of_contents(_sharding())
        if field in _OF_PATH:
            return self._of_contents(_OF_PATH[field])
        if field.replace("style", "content", 1) in _OF_PATH:
            return _of_few(lambda group: _of_group(field, group), self._pairs.groups, self._group_of)
        if field == "bucket":
            return self._buckets()
        if field == "sweep":
            words = ["".join(f"__{name}={_word(value)}" for name, value in point.items()) for point in self._points]
            return map(words.__getitem__, numbers(self.variant_of % len(words)))
        values, codes = self.variants.setting(field)
        return map([_word(plain(value)) for value in values].__getitem__, numbers(codes[self.variant_of]))

    def _folders(self, field: str, slash: str) -> Iterable[str]:
        """The folders below the pattern's fixed part; ``slash`` goes behind them, if there are any."""
        pairs, folders = self._pairs, _foldering()

        def called(path: str, begin: int) -> str:
            found = folders(path, begin)
            return found and found + slash

        if field == "content_dir":
            contents = range(len(pairs.contents))
            return _of_few(lambda row: called(pairs.contents[row], pairs.begins[row]), contents, self._content_of)
        return _of_few(lambda group: called(group[0].path, group[0].begin), pairs.groups, self._group_of)

    def _buckets(self) -> Iterator[str]:
        contents, groups = self._pairs.contents, self._pairs.groups
        styles = [[_stem(share.path) for share in group] for group in groups]
        for content, group in zip(numbers(self._content_of), numbers(self._group_of), strict=True):
            yield bucket(_stem(contents[content]), styles[group])

    def _of_contents(self, called: Callable[[str], str]) -> Iterable[str]:
        contents, rows = self._pairs.contents, self._content_of
        if len(rows) == len(contents) and (rows == np.arange(len(rows))).all():
            return map(called, contents)  # each once: a million names need not be there at a time
        return _of_few(called, contents, rows)


def _of_few(called: Callable[[T], str], values: Sequence[T], rows: Ints) -> Iterable[str]:
    """Of what each row has, which is asked for no more often than there are values, or rows."""
    if len(rows) < len(values):
        return (called(values[row]) for row in numbers(rows))
    return map([called(value) for value in values].__getitem__, numbers(rows))


def _always(value: str) -> Iterator[str]:
    while True:
        yield value


def _zipped(pieces: Sequence[Iterable[str]], count: int) -> Iterator[tuple[str, ...]]:
    """So many of each; a template may be nothing but words."""
    return (piece for _, piece in zip(range(count), zip(*pieces, strict=False), strict=False))


def starts(names: Names) -> list[str]:
    """The file that each picture starts from, empty where it starts from no file; none where none does."""
    values, codes = names.variants.setting("init")
    templates = {value: place for place, value in enumerate(dict.fromkeys(filter(starts_from_file, values)))}
    which = np.array([templates.get(value, NONE) for value in values], np.int64)[codes[names.variant_of]]
    if not (which != NONE).any():
        return []
    found = np.full(len(which), "", object)
    order = np.argsort(which, kind="stable")
    begins = np.searchsorted(which[order], np.arange(len(templates) + 1))
    for template, place in templates.items():  # mostly one, of however many settings
        rows = order[begins[place] : begins[place + 1]]
        found[rows] = list(names.only(rows).of(template))
    return list(found)


def _stem(path: str) -> str:
    name = path[path.rfind("/") + 1 :]
    place = name.rfind(".")
    return name[:place] if 0 < place < len(name) - 1 else name


def _split(path: str) -> tuple[str, str]:
    """The stem and the suffix of a file's name, as pathlib has them, some times faster."""
    name = path.rpartition("/")[2]
    place = name.rfind(".")
    return (name[:place], name[place:]) if 0 < place < len(name) - 1 else (name, "")


_FOLDERS = ("content_dir", "style_dir")

_OF_PATH: dict[str, Callable[[str], str]] = {
    "content": lambda path: _part(_stem(path)),
    "content_suffix": lambda path: _split(path)[1][1:],
    "content_folder": lambda path: _part(path.rpartition("/")[0].rpartition("/")[2]),
}


def _foldering() -> Callable[[str, int], str]:
    """What gives the folders of a picture from where its part below the pattern's fixed part begins; in a tar file,
    those in it."""
    split = tars.splitter()

    def folders(path: str, begin: int) -> str:
        parts = split(path)
        below = path[max(begin, len(parts[0]) + 1) if parts else begin :].rpartition("/")[0]
        return "/".join(_part(each) for each in below.split("/") if each)

    return folders


def _sharding() -> Callable[[str], str]:
    """What gives the name of a content's tar file; of its folder, where it is in none."""
    split = tars.splitter()

    def shard(path: str) -> str:
        parts = split(path)
        return _part(_stem(parts[0]) if parts else path.rpartition("/")[0].rpartition("/")[2])

    return shard


def _of_group(field: str, group: tuple[StyleFile, ...]) -> str:
    if field == "style":
        return _part("+".join(_split(share.path)[0] for share in group))
    return _OF_PATH[field.replace("style", "content", 1)](group[0].path)


def _part(text: str) -> str:
    """A file's stem as a part of a name: no control characters, no separators, not hidden, not too long."""
    if _PLAIN_PART.fullmatch(text):
        return text
    clean = "".join("_" if unicodedata.category(c) == "Cc" or c in _MISLEADING else c for c in text).lstrip(".")
    encoded = clean.encode(errors="surrogateescape")
    if len(encoded) > _LONGEST_PART:
        digest = hashlib.blake2b(encoded, digest_size=4).hexdigest()
        clean = f"{encoded[: _LONGEST_PART - 9].decode(errors='ignore')}~{digest}"
    return clean or "_"


def _word(value: Any) -> str:
    """A setting's value inside a file name."""
    if isinstance(value, dict):
        return "+".join(_word(item) for item in value.values())
    if isinstance(value, tuple):
        return "+".join(_word(item) for item in value)
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else _part(str(value).replace("/", "-"))


def checked(output: str) -> str:
    """The same name, if it can be used.

    Raises:
        PlanError: it leaves the run folder, is too long, or in a folder of ours.
    """
    plain = output.isascii() and len(output) <= _LONGEST_NAME and ".." not in output and _LOOSE not in output
    if not plain or output.partition("/")[0].lower() in ("", ".", *_OURS) or output[-1] == "/":
        _check(output)
    return output


def _check(output: str) -> None:
    path = PurePosixPath(output)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise PlanError(
            f"output.name: {output!r} leaves the output folder", hint="it may not begin with '/' nor go up with '..'"
        )
    if (_folded(path.parts[0]) in _OURS and len(path.parts) > 1) or _LOOSE in output:
        raise PlanError(
            f"output.name: {output!r} is in a folder that nst_batch keeps for itself", hint="name the folder otherwise"
        )
    if any(len(part.encode(errors="surrogateescape")) > _LONGEST_NAME for part in path.parts):
        raise PlanError(
            f"output.name: longer than {_LONGEST_NAME} bytes: {output!r}", hint="shorten it; {task} is short"
        )


def refuse_collisions(tasks: TaskTable, template: str, names: Names) -> None:
    """Two tasks must not write one file, on any file system (some fold case and accents)."""
    if not Index(hashes(map(_folded, tasks.outputs), len(tasks))).repeated:
        return
    taken: dict[str, int] = {}
    for row, output in enumerate(tasks.outputs):
        other = taken.setdefault(_folded(output), row)
        if other != row:
            one, two = tasks[other], tasks[row]
            raise PlanError(
                f"output.name: two tasks would write {output!r}: {_made_of(one)} and {_made_of(two)}",
                hint=_tell_apart(one, two, template, names.only(np.array([other, row]))),
            )


def _made_of(task: Task) -> str:
    return " x ".join([task.content.path, "+".join(style.source.path for style in task.styles)])


def _folded(name: str) -> str:
    """Equal for names that are one file on some file system."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def _tell_apart(one: Task, other: Task, template: str, names: Names) -> str:
    """Which placeholder that ``template`` lacks would give two tasks two names."""
    if one.id == other.id:
        return "both are the same picture: ask for it once"
    for field in (f"{kind}{what}" for kind in ("content", "style") for what in ("", "_dir", "_suffix", "_folder")):
        if f"{{{field}}}" not in template and len({*map(_folded, names.of(f"{{{field}}}"))}) > 1:
            return f"add {{{field}}}{'/' if field.endswith(('_dir', '_folder')) else ''} to output.name"
    if differing := _differing(one.settings, other.settings, template):
        named = " and ".join(f"{{{name}}}" for name in differing[:3])
        return f"add {named} to output.name, or {{task}}, which always differs"
    return "add {task} to output.name"


def _differing(one: TransferSettings, other: TransferSettings, template: str) -> list[str]:
    """Settings that differ where a name can show it, and that ``template`` has not."""
    names = (name for name in SETTINGS if f"{{{name}}}" not in template)
    return [name for name in names if _word(getattr(one, name)) != _word(getattr(other, name))]
