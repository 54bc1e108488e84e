"""What the page shows of a run, as values that JSON can hold."""

from __future__ import annotations

import dataclasses
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from nst_batch import __version__
from nst_batch.archives import tar_outputs, tars
from nst_batch.paths import RunPaths
from nst_batch.planning.planned import read_plan
from nst_batch.planning.task_table import TaskTable
from nst_batch.recorded.history import Records, read
from nst_batch.recorded.status import STATES, states_of
from nst_batch.records import Task, utc_now
from nst_batch.report.sample import chosen
from nst_batch.settings import TransferSettings

SHOWN = (
    *(
        "losses",
        "curve",
        "terms",
        "balance",
        "evaluations",
        "scales",
        "seconds",
        "together",
        "width",
        "height",
        "bytes",
    ),
    *("device", "host", "precision", "attempt", "finished", "peak_memory_bytes", "given_up", "notes"),
)
"""Fields of a manifest line that go into the page."""


_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_DIGITS = 4  # of measured numbers: what a page can show of them


@dataclasses.dataclass(frozen=True)
class Gallery:
    """What the page shows, and the picture files that it shows small, by their place in ``thumbnails``."""

    values: dict[str, Any]
    thumbnails: list[Path]


def gallery(paths: RunPaths, *, live: bool = False, most: int | None = None, seed: int = 0) -> Gallery:
    """Everything about a run's pictures, or about a sample of them.

    Args:
        paths: of the run.
        live: the run goes on.
        most: pictures; None: all, up to some thousands.
        seed: which sample.

    Raises:
        UsageError: no run was ever started there.
    """
    known, every = read(paths), read_plan(paths)
    numbers, found = states_of(every, known, paths)
    records = Records(paths, known)
    sample = chosen(every, numbers, known, most, seed)
    rows = np.arange(len(every)) if sample is None else sample.rows
    tasks = every if sample is None else every.only(rows)
    states = [
        (task, state, records.of(task, state))
        for task, state in zip(tasks, (STATES[number] for number in numbers[rows]), strict=True)
    ]
    files = _Files(paths)
    contents, styles = _Names(files), _Names(files)
    common = _common([record["settings"] for _, state, record in states if state == "done" and record])
    pictures = list[dict[str, Any]]()
    for row, (item, state, record) in enumerate(states):
        place = {
            "content": contents.of([item.content.path]),
            "style": styles.of([style.source.path for style in item.styles]),
        }
        pictures.append({**place, **_picture(item, tasks.point(row), state, record, common, files)})
    for row in np.flatnonzero(found.altered[rows]).tolist():
        pictures[row]["notes"] = ["altered since it was rendered", *pictures[row].get("notes", ())]
    if sample:
        for row, alike in sample.alike.items():
            pictures[int(np.searchsorted(rows, row))]["error"]["alike"] = alike
    weights = {record["weights"]["name"] for _, _, record in states if record}
    values = {
        "name": _name(paths.root.resolve().name),
        "version": __version__,
        "written": utc_now(),
        "live": live,
        "counts": {state: int((numbers == STATES.index(state)).sum()) for state in ("done", "failed", "todo")},
        "sample": None if sample is None else _whole(every),
        "weights": sorted(map(_name, weights)),
        "skipped": known.skipped,
        "axes": _axes(tasks.point(row) for row in range(len(tasks))),
        "contents": contents.listed(),
        "styles": styles.listed(),
        "settings": _plain(common),
        "defaults": _plain(dataclasses.asdict(TransferSettings())),
        "pictures": pictures,
    }
    return Gallery(values, files.small)


def _whole(tasks: TaskTable) -> dict[str, int]:
    """What there is of which the page shows a sample."""
    contents, styles = len(np.unique(tasks.contents)), len(np.unique(tasks.group_of))
    return {"pictures": len(tasks), "contents": contents, "styles": styles}


def text(value: str) -> str:
    """A name as a page can show it: bytes that are no text, what moves the cursor, and what turns the direction of
    writing round, are shown as escapes."""
    return "".join(c if _is_shown(c) else _escape(c) for c in value)


def _is_shown(c: str) -> bool:
    return c == "\n" or (unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") and c not in _DIRECTIONS)


def _escape(c: str) -> str:
    return f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else ascii(c)[1:-1]


def _name(value: str) -> str:
    """As ``text``, on one line."""
    return text(value).replace("\n", "\\n")


class _Files:
    """Picture files: where the page finds them, and which are to be shown small."""

    def __init__(self, paths: RunPaths) -> None:
        self._root = paths.root.resolve()
        self._places: dict[Path, int] = {}

    @property
    def small(self) -> list[Path]:
        return list(self._places)

    def output(self, name: str) -> dict[str, Any]:
        """As ``of``, of a picture by its name in the run's folder."""
        return self.of(tar_outputs.place(RunPaths(self._root), name))

    def of(self, path: Path) -> dict[str, Any]:
        """The link to a file, seen from the page, and the place of its thumbnail."""
        there = self._places.setdefault(path, len(self._places))
        if tars.split(str(path)) is not None:  # browsers cannot open a member
            return {"thumbnail": there}
        link = os.path.relpath(os.path.abspath(path), self._root)
        return {"href": quote(link.encode(errors="surrogateescape")), "thumbnail": there}


class _Names:
    """Contents or styles: each once, in the order in which they are met."""

    def __init__(self, files: _Files) -> None:
        self._files = files
        self._places: dict[tuple[str, ...], int] = {}

    def of(self, paths: Sequence[str]) -> int:
        """Its place in the list."""
        return self._places.setdefault(tuple(paths), len(self._places))

    def listed(self) -> list[dict[str, Any]]:
        """Each with a name as short as it may be."""
        return [
            {"name": _name(name), "paths": [_name(path) for path in paths], **self._files.of(Path(paths[0]))}
            for paths, name in zip(self._places, _short(list(self._places)), strict=True)
        ]


def _short(names: Sequence[tuple[str, ...]]) -> list[str]:
    """The files' stems; with endings, or folders too, where two would be called alike."""

    def called(place: int, paths: Iterable[str]) -> str:
        ways = (lambda p: p.stem, lambda p: p.name, lambda p: f"{p.parent.name}/{p.stem}", str)
        return " + ".join(ways[place](Path(path)) for path in paths)

    chosen = [called(0, paths) for paths in names]
    for place in (1, 2, 3):
        count = Counter(chosen)
        pairs = zip(names, chosen, strict=True)
        chosen = [called(place, paths) if count[name] > 1 else name for paths, name in pairs]
    return chosen


def _picture(
    item: Task,
    point: Mapping[str, Any],
    state: str,
    record: Mapping[str, Any],
    common: Mapping[str, Any],
    files: _Files,
) -> dict[str, Any]:
    shown: dict[str, Any] = {"output": _name(item.output), "state": state, "task": item.id}
    if point:
        shown["point"] = _plain(point)
    if state == "done":
        shown |= files.output(item.output)
        shown |= {key: _rounded(record[key]) for key in SHOWN if record.get(key)}
        settings = {key: value for key, value in record.get("settings", {}).items() if common.get(key, ...) != value}
        shown["settings"] = _plain(settings)
    elif state == "failed":
        error = record.get("error") or {}
        shown["error"] = {key: text(str(error.get(key) or "")) for key in ("type", "message", "hint")}
        shown |= {key: _plain(record[key]) for key in ("attempt", "device", "host", "finished") if record.get(key)}
    return shown


def _common(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all have in common."""
    first = settings[0] if settings else {}
    return {key: value for key, value in first.items() if all(each.get(key, ...) == value for each in settings)}


def _axes(points: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The settings in which pictures of one pair differ, and their values in the order in which they are met."""
    values: dict[str, list[Any]] = {}
    for point in points:
        for name, value in point.items():
            known = values.setdefault(name, [])
            if (plain := _plain(value)) not in known:
                known.append(plain)
    return [{"name": name, "values": known} for name, known in values.items()]


def _plain(value: Any) -> Any:
    """As JSON has it, with names that can be shown."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return text(value) if isinstance(value, str) else value


def _rounded(value: Any) -> Any:
    """Measured values, with as many digits as a page can show."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [float(f"{item:.{_DIGITS}g}") if type(item) is float else _rounded(item) for item in value]
    return _plain(value)
