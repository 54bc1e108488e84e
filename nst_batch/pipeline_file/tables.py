"""Tables as batches of columns: csv, tsv, jsonl and parquet, read once from top to bottom."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nst_batch.pipeline_file.lists import any_is_there, none_is_there, not_utf8_at, placed, prefix_of

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
MOST_TOLD = 40
"""Mistakes of one table that are told; the rest are counted."""

_MOST_KEPT = 10_000
_BATCH = 500  # rows; with more, Python's collector of garbage looks at them again and again
_LINE_END = re.compile(r"\r\n|\r|\n")
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_INDEX = re.compile(r"|Unnamed: \d+|__index_level_\d+__")
"""Columns that pandas adds: numbers of rows."""
_DECIMAL_COMMA = re.compile(r"\s*([+-]?\d+),(\d+)\s*")

Wanted = Callable[[str], bool]
"""Whether a column is, by its name."""


class TableMistakes(ValueError):
    """A table cannot be used; ``mistakes`` has a line for each, which says where it stands."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = list(mistakes)


class Batch(NamedTuple):
    """Some rows of a table.

    ``lines``: where each row stands in the file; the row's own number in parquet, which has no lines.
    ``columns``: a cell for each row, None or empty text where there is nothing. The first batch of csv, tsv and parquet
    has no rows, and all columns of the file; those after it have rows, and the columns that were asked for. Batches of
    jsonl have whatever is in their rows.
    """

    lines: Sequence[int]
    columns: dict[str, Sequence[Any]]


class Mistakes:
    """What is wrong in a table, with the lines where it is."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._found: list[tuple[int, str]] = []
        self._more = 0

    def add(self, line: int, text: str) -> None:
        """One mistake; line 0: of the whole file."""
        if len(self._found) < _MOST_KEPT:
            self._found.append((line, text))
        else:
            self._more += 1

    def told(self) -> list[str]:
        """In the order of the file, as many as one reads, and how many more there are."""
        found = sorted(self._found, key=lambda each: each[0])
        told = [f"{place(self._file, line)}: {text}" for line, text in found[:MOST_TOLD]]
        more = len(found) - len(told) + self._more
        return [*told, f"{self._file}: and {more:,} more mistakes"] if more else told

    def refuse(self) -> None:
        """Nothing, where nothing is wrong.

        Raises:
            TableMistakes: all that was added.
        """
        if self._found:
            raise TableMistakes(self.told())


def place(file: Path, line: int) -> str:
    """``pairs.csv:17``."""
    return f"{file}:{line}" if line else str(file)


def header(file: Path) -> int:
    """The line in which a table names its columns; 0 where that is no line."""
    return 1 if file.suffix.lower() in _SEPARATORS else 0


def is_table(file: Path) -> bool:
    """By its ending."""
    return file.suffix.lower() in SUFFIXES


def batches(file: Path, wanted: Wanted, mistakes: Mistakes) -> Iterator[Batch]:
    """The rows of a table, some at a time; those that are none are passed over, and added to ``mistakes``. Rows with
    nothing in them are none, and neither are columns in which pandas has numbered rows.

    Args:
        file: with one of ``SUFFIXES``.
        wanted: which columns are read.
        mistakes: of this file.

    Raises:
        OSError: it cannot be read.
    """
    suffix = file.suffix.lower()
    try:
        for lines, columns in _READERS[suffix](file, wanted, mistakes):
            yield Batch(lines, {name: cells for name, cells in columns.items() if not _INDEX.fullmatch(name)})
    except UnicodeDecodeError:
        mistakes.add(not_utf8_at(file), f"not UTF-8 text, as {suffix} should be")


def _refuse_twice(columns: Sequence[str], line: int, mistakes: Mistakes) -> None:
    for name in sorted({name for name in columns if columns.count(name) > 1}):
        mistakes.add(line, f"two columns are called {name!r}; keep one")
    mistakes.refuse()


# --- csv and tsv ------------------------------------------------------------------------------------------------------


def _delimited(file: Path, wanted: Wanted, mistakes: Mistakes) -> Iterator[Batch]:
    with file.open(encoding="utf-8-sig", newline="") as text:
        separator = _separator(file, text.readline())
        text.seek(0)
        rows = csv.reader(text, delimiter=separator, strict=True)
        try:
            columns = next(rows, [])
            _refuse_twice(columns, 1, mistakes)
            yield Batch((), {name: () for name in columns})
            while some := _some(rows, len(columns), mistakes):
                lines, cells = some
                if lines:
                    turned = zip(columns, zip(*cells, strict=True), strict=True)
                    kept: dict[str, Sequence[Any]] = {name: column for name, column in turned if wanted(name)}
                    yield Batch(lines, _with_points(kept) if separator == ";" else kept)
        except csv.Error as error:
            mistakes.add(rows.line_num, f"not {file.suffix[1:].lower()}: {error}; look for a quote that is not closed")


def _separator(file: Path, header: str) -> str:
    """As the ending says; but spreadsheets write semicolons into .csv where commas begin decimals."""
    usual = _SEPARATORS[file.suffix.lower()]
    return ";" if usual == "," and ";" in header and "," not in header else usual


def _with_points(columns: dict[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Numbers with decimal commas as YAML has them; not in paths."""
    return {
        name: cells if name in ("content", "style") else [_DECIMAL_COMMA.sub(r"\1.\2", cell) for cell in cells]
        for name, cells in columns.items()
    }


def _some(rows: Any, width: int, mistakes: Mistakes) -> tuple[Sequence[int], list[list[str]]] | None:
    """The next rows of a reader of csv, as far as they have all their cells, and the lines in which they end."""
    line = rows.line_num
    some = list(itertools.islice(rows, _BATCH))
    if not some:
        return None
    if rows.line_num - line == len(some) and set(map(len, some)) == {width} and all(map(any, some)):
        return range(line + 1, rows.line_num + 1), some
    lines, whole = [], []
    for row in some:
        line += 1 + sum(len(_LINE_END.findall(cell)) for cell in row)
        if not any(row):  # an empty line is none, and neither is one of commas alone
            continue
        if len(row) == width:
            lines.append(line)
            whole.append(row)
        else:
            mistakes.add(line, f"{len(row)} cells, where the first line names {width}; give one for each")
    return lines, whole


# --- jsonl ------------------------------------------------------------------------------------------------------------


def _json_lines(file: Path, _: Wanted, mistakes: Mistakes) -> Iterator[Batch]:
    with file.open(encoding="utf-8-sig", newline="\n") as text:
        numbered = enumerate(text, 1)
        while some := list(itertools.islice(numbered, _BATCH)):
            lines, rows = [], []
            for line, written in some:
                if written.isspace():
                    continue
                row = _row(written)
                if isinstance(row, dict):
                    lines.append(line)
                    rows.append(row)
                else:
                    mistakes.add(line, 'not a JSON object; a line should be as {"content": "a.jpg"}')
            columns = dict.fromkeys(itertools.chain.from_iterable(rows))
            if rows:
                yield Batch(lines, {name: [row.get(name) for row in rows] for name in columns})


def _row(written: str) -> Any:
    try:
        return json.loads(written)
    except (ValueError, RecursionError):
        return None


# --- parquet ----------------------------------------------------------------------------------------------------------


def _parquet(file: Path, wanted: Wanted, mistakes: Mistakes) -> Iterator[Batch]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        mistakes.add(0, "parquet needs pyarrow: pip install 'nst_batch[parquet]'; or write the table as .csv")
        return
    try:
        with parquet.ParquetFile(file, pre_buffer=False) as table:
            columns = list(table.schema_arrow.names)
            _refuse_twice(columns, 0, mistakes)
            yield Batch((), {name: () for name in columns})
            names, row = [name for name in columns if wanted(name)], 1
            for batch in table.iter_batches(_BATCH, columns=names, use_threads=False):
                yield Batch(range(row, row + len(batch)), {name: batch[name].to_pylist() for name in names})
                row += len(batch)
    except (pa.ArrowException, OSError) as error:
        if getattr(error, "errno", None):
            raise  # the file system's
        mistakes.add(0, f"not a whole parquet file: {str(error).splitlines()[0]}; write it again")


_READERS: dict[str, Callable[[Path, Wanted, Mistakes], Iterator[Batch]]] = {
    ".csv": _delimited, ".tsv": _delimited, ".jsonl": _json_lines, ".parquet": _parquet,
}  # fmt: skip


# --- paths in cells ---------------------------------------------------------------------------------------------------


class Paths:
    """A column of paths, of files that lie where the table says: relative ones start at its folder.

    Paths that come again soon share their text, so that a million rows of a thousand styles hold a thousand.
    """

    _MOST_SHARED = 100_000

    def __init__(self, name: str, file: Path, mistakes: Mistakes) -> None:
        self.paths: list[str] = []
        self._name = name
        self._prefix = prefix_of(file)
        self._mistakes = mistakes
        self._shared: dict[str, str] = {}
        self._all_named = True

    def extend(self, cells: Sequence[Any], lines: Sequence[int]) -> None:
        """Further cells, and where they stand."""
        shared = self._shared
        for cell, line in zip(cells, lines, strict=True):
            path = shared.get(cell) if isinstance(cell, str) else None
            if path is None:
                path = self._path(cell, line)
                if len(shared) >= self._MOST_SHARED:
                    shared.clear()
                if path:
                    shared[cell] = path
                else:
                    self._all_named = False
            self.paths.append(path)

    def _path(self, cell: Any, line: int) -> str:
        if not isinstance(cell, str) or not cell or cell.isspace():
            self._mistakes.add(line, f"{self._name}: should be the path of a file, and there is none")
        elif not _is_a_name(cell):
            self._mistakes.add(line, f"{self._name}: a path must be text that a file can be called by")
        else:
            return placed(cell, self._prefix)
        return ""

    def seek(self, line: int) -> None:
        """A mistake, if there is nothing where any of them leads; ``line`` is that of the first."""
        if self.paths and self._all_named and not any_is_there(self.paths):
            self._mistakes.add(line, f"{self._name}: {none_is_there(self.paths, 'table')}")


def _is_a_name(text: str) -> bool:
    if text.isascii():
        return "\0" not in text
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def column(file: Path, name: str, others: Collection[str]) -> list[str]:
    """One column of a table, of paths, as a list of pictures.

    Args:
        file: with one of ``SUFFIXES``.
        name: of the column; others are passed over,
        others: but for these, which would mean something beside it.

    Raises:
        TableMistakes: it cannot be used.
        OSError: it cannot be read.
    """
    mistakes = Mistakes(file)
    found, first = Paths(name, file, mistakes), 0
    for lines, columns in batches(file, (name,).__contains__, mistakes):
        if not first:
            _refuse_others(file, name, columns, others, mistakes)
        first = first or next(iter(lines), 0)
        found.extend(columns.get(name) or [None] * len(lines), lines)
    mistakes.refuse()
    if not found.paths:
        mistakes.add(0, f"no rows in it; a table needs one for each {name}")
    found.seek(first)
    mistakes.refuse()
    return found.paths


def _refuse_others(
    file: Path, name: str, columns: Collection[str], others: Collection[str], mistakes: Mistakes
) -> None:
    for other in columns:
        if other in others:
            mistakes.add(
                header(file), f"{other}: has no effect here, where {name} is read alone; name the table as pairs"
            )
    if name not in columns:
        mistakes.add(header(file), f"no column {name}; name the one with the paths so")
    mistakes.refuse()
