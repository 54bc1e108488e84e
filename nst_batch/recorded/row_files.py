"""Rows of a run as csv, jsonl or parquet, written as they are made.

Columns have to be known before the first row is written. They are taken from rows that are as unlike as can be; should
another one have more, all are written once again.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from nst_batch.atomic import writing
from nst_batch.errors import UsageError
from nst_batch.paths import RunPaths
from nst_batch.recorded.rows import Row, Table, text

Tick = Callable[[int, int], None]
"""Told how many rows are written, and of how many."""

_IN_A_GROUP = 1 << 15  # rows of a parquet file's group


def export(paths: RunPaths, file: Path, *, force: bool = False, tick: Tick = lambda _done, _all: None) -> int:
    """Write a run's rows into a file, as its ending says; how many there are.

    Raises:
        UsageError: no run, an ending that is none of ``SUFFIXES``, a file that is there (but for ``force``), or one
            that cannot be written.
    """
    write = _WRITERS.get(file.suffix.lower())
    if write is None:
        raise UsageError(f"{file}: the ending says what is written; use one of {', '.join(SUFFIXES)}")
    if file.exists() and not force:
        raise UsageError(f"{file}: is there already", hint="--force writes over it; or choose another name")
    table = Table(paths)
    try:
        with writing(file) as out:
            write(out, table, tick)
    except OSError as error:
        raise UsageError(
            f"{file}: cannot be written: {error.strerror}",
            hint="see that its folder is there, may be written and has room",
        ) from error
    return len(table)


def _told(table: Table, tick: Tick) -> Iterator[list[Row]]:
    """All rows, and how far that is."""
    done = 0
    for some in table.rows():
        yield some
        done += len(some)
        tick(done, len(table))


class _Columns(dict[str, set[type]]):
    """Every column of any row, in the order in which they are met, with the kinds of its values."""

    def heed(self, rows: Iterable[Row]) -> bool:
        """Whether any of them has another."""
        before = len(self)
        for row in rows:
            if not row.keys() <= self.keys():
                self.update({name: set() for name in row if name not in self})
        return len(self) > before

    def heed_kinds(self, rows: list[Row]) -> bool:
        """Likewise; and whether any has values of another kind."""
        more = self.heed(rows)
        for name, kinds in self.items():
            found = {type(row.get(name)) for row in rows} - {type(None)}
            more = more or not found <= kinds
            kinds |= found
        return more


Write = Callable[[list[Row]], object]


def _in_columns(out: BinaryIO, table: Table, tick: Tick, begun: Callable[[list[str]], Write]) -> None:
    """Rows by what ``begun`` gives for their columns, and again, should there be more columns than were known."""
    columns = _Columns()
    for some in table.rows(table.unlike()):
        columns.heed(some)
    while True:
        _begin_again(out)
        write, grown = begun(list(columns)), False
        for some in _told(table, tick):
            grown = columns.heed(some) or grown
            if not grown:
                write(some)
        if not grown:
            return


def _csv(out: BinaryIO, table: Table, tick: Tick) -> None:
    def begun(columns: list[str]) -> Write:
        def write(rows: list[Row]) -> None:
            lines = io.StringIO(newline="")
            csv.DictWriter(lines, columns, restval="").writerows(rows)
            out.write(lines.getvalue().encode(errors="surrogateescape"))

        write([dict(zip(columns, columns, strict=True))])
        return write

    _in_columns(out, table, tick, begun)


def _jsonl(out: BinaryIO, table: Table, tick: Tick) -> None:
    """Each row with every column: readers take columns from the first rows, as polars does from a hundred."""

    def begun(columns: list[str]) -> Write:
        nothing = dict.fromkeys(columns)
        return lambda rows: out.write("".join(json.dumps({**nothing, **row}) + "\n" for row in rows).encode())

    _in_columns(out, table, tick, begun)


def _parquet(out: BinaryIO, table: Table, tick: Tick) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError("parquet: pyarrow is not installed", hint="pip install 'nst_batch[parquet]'") from error
    columns = _Columns()
    for some in table.rows(table.unlike()):
        columns.heed_kinds(some)
    while True:
        _begin_again(out)
        schema, grown = pa.schema([(name, _type(kinds, pa)) for name, kinds in columns.items()]), False
        with parquet.ParquetWriter(out, schema) as writer:
            waiting = list[Any]()
            for some in _told(table, tick):
                grown = columns.heed_kinds(some) or grown
                if not grown:
                    waiting.append(pa.table([_column(some, field, pa) for field in schema], schema))
                    if sum(map(len, waiting)) >= _IN_A_GROUP:
                        writer.write_table(pa.concat_tables(waiting), _IN_A_GROUP)
                        waiting.clear()
            writer.write_table(pa.concat_tables(waiting or [schema.empty_table()]), _IN_A_GROUP)
        if not grown:
            return


def _begin_again(out: BinaryIO) -> None:
    out.seek(0)
    out.truncate()


def _type(kinds: set[type], pa: Any) -> Any:
    """Settings such as ``init`` or ``history`` are numbers here and words there: then all are words."""
    if kinds and kinds <= {int, float}:
        return pa.int64() if kinds == {int} else pa.float64()
    return pa.null() if not kinds else pa.bool_() if kinds == {bool} else pa.string()


def _column(rows: list[Row], field: Any, pa: Any) -> Any:
    values: list[Any] = [row.get(field.name) for row in rows]
    if field.type == pa.string():
        values = [value if value is None else text(str(value)) for value in values]
    return pa.array(values, field.type)


_WRITERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
SUFFIXES = tuple(_WRITERS)
