"""Everything that is known of a run's tasks, a flat row each, from its folder alone: for tables and other programs.

Rows are made some thousands at a time, and never kept: a million of them take no more memory than these.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from nst_batch.columns import Ints
from nst_batch.paths import RunPaths
from nst_batch.planning.planned import read_plan
from nst_batch.recorded.history import Records, read
from nst_batch.recorded.lines import Place, whole
from nst_batch.recorded.status import DONE, FAILED, STATES, states_of

Row = dict[str, Any]

_AT_ONCE = 1 << 12  # rows; their lines are read together, in the order in which they stand on the disk
_LOOKED_AT = 1 << 10  # rows of a large table by which its columns are known; what others have beside is found later
_LEFT_OUT = frozenset(("v", "status", "curve", "terms"))
_ALIKE = frozenset(("settings", "weights", "versions"))  # in most lines of a run the same
_KEPT = 1 << 12  # of these

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE = msgspec.json.Decoder()


def rows(paths: RunPaths) -> Iterator[Row]:
    """A row a task, in the order of the plan: ``output``, ``state`` (done, failed or todo), its pictures, and, as far
    as there are any, the fields of its last manifest line. What lies inside others is named with dots, as
    ``losses.total`` and ``settings.size``; lists are JSON. ``meta.…`` is what a table of pairs has of it.

    Raises:
        UsageError: no run was ever started there.
    """
    for some in Table(paths).rows():
        yield from some


class Table:
    """The rows of a run, as often as they are wanted.

    Args:
        paths: of the run.

    Raises:
        UsageError: no run was ever started there.
    """

    def __init__(self, paths: RunPaths) -> None:
        self._known, self._tasks = read(paths), read_plan(paths)
        self._states = states_of(self._tasks, self._known, paths)[0]
        self._records = Records(paths, self._known)
        self._flat = _Flat()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._tasks)

    def rows(self, wanted: Ints | None = None) -> Iterator[list[Row]]:
        """All of them (or those that are ``wanted``), some thousands at a time."""
        which = np.arange(len(self)) if wanted is None else wanted
        for first in range(0, len(which), _AT_ONCE):
            yield list(self._some(which[first : first + _AT_ONCE]))

    def unlike(self) -> Ints:
        """Rows that have every column there is, as far as can be told without reading all of them."""
        if len(self) <= _AT_ONCE:
            return np.arange(len(self))
        rendered = self._known.rendered
        before = rendered.rows(self._tasks.output_hashes)
        settings = rendered.settings[before] if len(rendered.settings) else before
        kinds = np.where(self._states == DONE, settings + len(STATES), self._states)
        first = np.unique(kinds, return_index=True)[1][:_AT_ONCE]
        spread = np.linspace(0, len(self) - 1, _LOOKED_AT).astype(np.int64)
        return np.unique(np.concatenate([first, spread]))

    def _some(self, which: Ints) -> Iterator[Row]:
        tasks, sources = self._tasks, self._tasks.sources
        for row, raw in zip(which.tolist(), self._records.raw(self._places(which)), strict=True):
            style = tasks.groups[tasks.group_of[row]][0].source
            about = {"output": tasks.outputs[row], "state": STATES[self._states[row]],
                     "content": {"path": sources.paths[int(tasks.contents[row])]},
                     "style": {"path": sources.paths[style]}}  # fmt: skip
            if tasks.kept and tasks.kept[row]:
                about["meta"] = _VALUE.decode(tasks.kept[row])
            yield self._flat.row(about, raw)

    def _places(self, which: Ints) -> list[Place | None]:
        """Where their last lines stand."""
        tasks, rendered, attempts = self._tasks, self._known.rendered, self._known.attempts
        before = rendered.rows(tasks.output_hashes[which])
        found = list[Place | None]()
        for row, state, done in zip(which.tolist(), self._states[which].tolist(), before.tolist(), strict=True):
            if state == DONE:
                found.append(rendered.place(done))
            else:
                found.append(attempts[tasks.id(row)].place if state == FAILED else None)
        return found


class _Flat:
    """Makes lines flat. What is the same in most of them is made flat once."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, bytes], Row] = {}

    def row(self, about: Mapping[str, Any], raw: bytes) -> Row:
        """What is known without the line, and what it says; ``raw`` may be empty."""
        try:
            return self._made({**about, **(_FIELDS.decode(raw) if raw else {})})
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._made({**about, **_odd(raw)})

    def _made(self, fields: Mapping[str, Any]) -> Row:
        found = Row()
        for key, value in fields.items():
            if key in _LEFT_OUT:
                continue
            if not isinstance(value, msgspec.Raw):
                _put(found, key, value)
            elif key in _ALIKE:
                found.update(self._alike(key, bytes(value)))
            else:
                _put(found, key, _VALUE.decode(value))
        return found

    def _alike(self, key: str, raw: bytes) -> Row:
        known = self._kept.get((key, raw))
        if known is None:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            known = self._kept[key, raw] = Row()
            _put(known, key, _VALUE.decode(raw))
        return known


def _odd(raw: bytes) -> dict[str, Any]:
    """Of a line that has names which are no text."""
    try:
        return whole(raw)
    except ValueError:  # it is another file now
        return {}


def _put(row: Row, name: str, value: Any) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _put(row, f"{name}.{key}", item)
    else:
        row[name] = json.dumps(value) if isinstance(value, list) else value


def text(value: str) -> str:
    """Names of files may be no text; such bytes are shown as escapes."""
    return value if value.isascii() else value.encode(errors="backslashreplace").decode()
