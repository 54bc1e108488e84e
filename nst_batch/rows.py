"""Everything that is known of a run's tasks, a flat row each, from its folder alone: for tables and other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nst_batch.atomic import write_atomic
from nst_batch.errors import UsageError
from nst_batch.history import Records, read
from nst_batch.paths import RunPaths
from nst_batch.planned import read_plan
from nst_batch.status import STATES, states_of

SUFFIXES = (".csv", ".jsonl", ".parquet")

Row = dict[str, Any]


def rows(paths: RunPaths) -> list[Row]:
    """A row a task, in the order of the plan: ``output``, ``state`` (done, failed or todo), its pictures, and, as far
    as there are any, the fields of its last manifest line. What lies inside others is named with dots, as
    ``losses.total`` and ``settings.size``; lists are JSON.

    Raises:
        UsageError: no run was ever started there.
    """
    known, tasks = read(paths), read_plan(paths)
    records = Records(paths, known)
    found = []
    for row, number in enumerate(states_of(tasks, known, paths)[0].tolist()):
        item, state = tasks[row], STATES[number]
        record: Mapping[str, Any] = records.of(item, state)
        plain = {key: value for key, value in record.items() if key not in ("v", "status", "curve", "terms")}
        about = {"output": item.output, "state": state, "content": {"path": item.content.path},
                 "style": {"path": item.style.path}}  # fmt: skip
        found.append(dict(_flat({**about, **plain})))
    return found


def _flat(value: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, item in value.items():
        name = f"{before}{key}"
        if isinstance(item, Mapping):
            yield from _flat(item, f"{name}.")
        else:
            yield name, json.dumps(item) if isinstance(item, list) else item


def export(paths: RunPaths, file: Path, *, force: bool = False) -> int:
    """Write a run's rows into a file, as its ending says; how many there are.

    Raises:
        UsageError: no run, an ending that is none of ``SUFFIXES``, a file that is there (but for ``force``), or one
            that cannot be written.
    """
    if file.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{file}: the ending says what is written; use one of {', '.join(SUFFIXES)}")
    if file.exists() and not force:
        raise UsageError(f"{file}: is there already", hint="--force writes over it; or choose another name")
    table = rows(paths)
    try:
        write_atomic(file, _WRITERS[file.suffix.lower()](table))
    except OSError as error:
        raise UsageError(
            f"{file}: cannot be written: {error.strerror}",
            hint="see that its folder is there, may be written and has room",
        ) from error
    return len(table)


def _columns(table: Sequence[Row]) -> list[str]:
    """Every column of any row, in the order in which they are met."""
    return list(dict.fromkeys(name for row in table for name in row))


def _csv(table: Sequence[Row]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _columns(table), restval="")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue().encode(errors="surrogateescape")


def _jsonl(table: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in table).encode()


def _parquet(table: Sequence[Row]) -> bytes:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError("parquet: pyarrow is not installed", hint="pip install 'nst_batch[parquet]'") from error
    columns = {name: [_text(row.get(name)) for row in table] for name in _columns(table)}
    arrays = {name: _column(values, pa) for name, values in columns.items()}
    out = io.BytesIO()
    parquet.write_table(pa.table(arrays), out)
    return out.getvalue()


def text(value: str) -> str:
    """Names of files may be no text; such bytes are shown as escapes."""
    return value.encode(errors="backslashreplace").decode()


def _text(value: Any) -> Any:
    return text(value) if isinstance(value, str) else value


def _column(values: Sequence[Any], pa: Any) -> Any:
    """Settings such as ``init`` or ``history`` are numbers here and words there: then all are words."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds - {int, float}) and len(kinds) > 1:
        return pa.array([None if value is None else str(value) for value in values])
    return pa.array(values)


_WRITERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
