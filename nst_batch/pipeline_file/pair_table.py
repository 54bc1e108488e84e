"""Pairs from a table: a content, a style and settings of their own in each row. A million rows stay columns."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError, ValidationInfo

from nst_batch.pipeline_file.mistakes import dotted, in_words, show
from nst_batch.pipeline_file.spec_values import as_mistake, named_file, setting_type
from nst_batch.pipeline_file.tables import SUFFIXES, Batch, Mistakes, Paths, batches, header, is_table, place
from nst_batch.pipeline_file.yaml_lines import YamlSyntaxError, parse
from nst_batch.settings import SETTINGS, TYPES, Stop, choices

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Indices = NDArray[np.integer[Any]]

COLUMNS = ("content", "style", *SETTINGS)
"""What a table's columns may be called."""
KEPT = "meta."
"""What columns' names begin with that mean nothing here, and go with their pictures into what ``export`` writes."""


@dataclass(frozen=True, eq=False)
class Variants(Sequence[Mapping[str, Any]]):
    """Each combination of settings that rows of a table have, once; one is made when it is asked for.

    ``values``: of each setting that is a column: nothing, for an empty cell, then every value of it, once.
    ``codes``: of each such setting: for each variant, which of the values it has. Shape (variants).
    """

    values: Mapping[str, Sequence[Any]]
    codes: Mapping[str, Indices]
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self.size))]
        if not -self.size <= index < self.size:
            raise IndexError(index)
        given = ((name, int(codes[index])) for name, codes in self.codes.items())
        return {name: self.values[name][code] for name, code in given if code}


@dataclass(frozen=True, eq=False)
class PairTable:
    """A table's rows, in its order.

    ``contents``, ``styles``: paths, one for each row; equal ones mostly share their text.
    ``variant``: of each row, which of ``variants`` it has. Shape (rows).
    ``lines``: of each row, where it stands in the file.
    ``kept``: of each row, what its columns hold that are called ``meta.…``, as a JSON object; empty without such.
    """

    file: Path
    contents: Sequence[str]
    styles: Sequence[str]
    variant: Indices
    variants: Variants
    lines: Sequence[int]
    kept: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.contents)

    def rows(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Content, style, and the settings of this row alone."""
        from nst_batch.columns import numbers

        variant = functools.lru_cache(4096)(self.variants.__getitem__)
        return zip(self.contents, self.styles, map(variant, numbers(self.variant)), strict=True)

    def place(self, row: int) -> str:
        """Where a row stands: ``pairs.csv:17``."""
        return place(self.file, self.lines[row])

    def combinations(self, names: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        """The first row with each combination of these settings, and the combination; none where no row sets one."""
        from nst_batch.columns import numbers

        columns = {name: self.variants.codes[name][self.variant] for name in names if name in self.variants.codes}
        if columns:
            first, _, codes = _distinct(columns, len(self))
            for index, row in enumerate(numbers(first)):
                given = ((name, int(each[index])) for name, each in codes.items())
                yield row, {name: self.variants.values[name][code] for name, code in given if code}


def _distinct(columns: Mapping[str, Indices], rows: int) -> tuple[Indices, Indices, dict[str, Indices]]:
    """Of columns of codes, the combinations: the first row of each, the combination of each row, and their codes."""
    import numpy as np

    from nst_batch.columns import distinct

    if not columns:
        return np.zeros(min(rows, 1), np.int64), np.zeros(rows, np.uint32), {}
    first, which = distinct(*columns.values())
    return first, which.astype(np.uint32), {name: codes[first] for name, codes in columns.items()}


# --- reading one ------------------------------------------------------------------------------------------------------


def pairs_of(name: str, info: ValidationInfo) -> PairTable:
    """The pairs in what is written as ``@TABLE``. Found while checking, as pictures are."""
    with as_mistake():
        file = named_file(name, info)
        if not is_table(file):
            raise ValueError(f"pairs are in a table, which must end in one of {', '.join(SUFFIXES)}; not {file}")
        return read_pairs(file)


def read_pairs(file: Path) -> PairTable:
    """A table of pairs, checked; cells that are equal are checked once.

    Raises:
        TableMistakes: with all of them, each with its line.
        OSError: the file cannot be read.
    """
    mistakes = Mistakes(file)
    paths = {name: Paths(name, file, mistakes) for name in ("content", "style")}
    settings: dict[str, _Cells] = {}
    lines, unknown, kept = array("L"), set[str](), list[str]()
    for batch in batches(file, lambda name: name in COLUMNS or name.startswith(KEPT), mistakes):
        _refuse_columns(file, batch, unknown, mistakes)
        for name, column in paths.items():
            column.extend(batch.columns.get(name) or [None] * len(batch.lines), batch.lines)
        for name, cells in batch.columns.items():
            if name in SETTINGS:
                settings.setdefault(name, _Cells(name)).extend(cells, len(lines))
        if names := [name for name in batch.columns if name.startswith(KEPT)]:
            kept += [""] * (len(lines) - len(kept)) + _objects(names, batch)
        lines.extend(batch.lines)
    for column in paths.values():
        column.seek(lines[0] if lines else 0)
    values = {name: cells.checked(file, lines, mistakes) for name, cells in settings.items()}
    mistakes.refuse()
    if not lines:
        mistakes.add(0, "no rows in it; a table needs one for each pair")
        mistakes.refuse()
    codes = {name: cells.filled(len(lines)) for name, cells in settings.items()}
    first, variant, distinct = _distinct(codes, len(lines))
    contents, styles = (paths[name].paths for name in ("content", "style"))
    kept += [""] * (len(lines) - len(kept)) if kept else []
    return PairTable(file, contents, styles, variant, Variants(values, distinct, len(first)), lines, kept)


def _objects(names: Sequence[str], batch: Batch) -> list[str]:
    """Of each row, what these columns hold."""
    fields = [name.removeprefix(KEPT) for name in names]
    rows = zip(*(batch.columns[name] for name in names), strict=True)
    return [json.dumps(dict(zip(fields, row, strict=True)), default=str) for row in rows]


def _refuse_columns(file: Path, batch: Batch, unknown: set[str], mistakes: Mistakes) -> None:
    """Columns that mean nothing; and a table, at its head, that has not those that are needed."""
    for name in batch.columns:
        if name not in COLUMNS and name not in unknown and not name.startswith(KEPT):
            unknown.add(name)
            cells = zip(batch.lines, batch.columns[name], strict=True)
            line = next((line for line, cell in cells if cell is not None), header(file))
            others = f"{choices(name, COLUMNS)}; or {KEPT}NAME, to have it in `export`"
            mistakes.add(line, f"unknown column {show(name)}; {others}")
    if not batch.lines:
        for name in ("content", "style"):
            if name not in batch.columns:
                mistakes.add(header(file), f"no column {name}; a pair needs content and style")
        mistakes.refuse()


class _Codes(dict[Any, int]):
    """A number for each cell, in the order in which they are met; 0 for those in which there is nothing."""

    def __init__(self) -> None:
        super().__init__({None: 0, "": 0})
        self.cells: list[Any] = []

    def __missing__(self, cell: Any) -> int:
        code = 0
        if not isinstance(cell, str) or not cell.isspace():
            self.cells.append(cell)
            code = len(self.cells)
        self[cell] = code
        return code


class _Cells:
    """A column of a setting."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._known = _Codes()
        self._codes = array("I")

    def extend(self, cells: Sequence[Any], begin: int) -> None:
        """Cells of rows from ``begin`` on; those before, which it has none of, have nothing."""
        self._fill(begin)
        if not set(map(type, cells)) <= {str, int, float, type(None)}:
            cells = [_plain(cell) for cell in cells]
        self._codes.extend(map(self._known.__getitem__, cells))

    def _fill(self, rows: int) -> None:
        self._codes.frombytes(bytes(self._codes.itemsize * (rows - len(self._codes))))

    def filled(self, rows: int) -> Indices:
        """The code of each row."""
        import numpy as np

        self._fill(rows)
        return np.frombuffer(self._codes, dtype=np.uint32)

    def checked(self, file: Path, lines: Sequence[int], mistakes: Mistakes) -> list[Any]:
        """The value of each code, as the setting has it."""
        adapter: TypeAdapter[Any] = TypeAdapter(setting_type(self._name), config=ConfigDict(extra="forbid"))
        context, by_yaml = {"base": file.parent}, _is_yaml(self._name)
        values: list[Any] = [None]
        wrong = dict[int, str]()
        self._known.clear()  # whose memory is needed for values
        for cell in self._known.cells:
            try:
                values.append(adapter.validate_python(_meant(cell, by_yaml), context=context))
            except ValidationError as error:
                wrong[len(values)] = "; ".join(_in_words(self._name, item) for item in error.errors(include_url=False))
                values.append(None)
        if wrong:
            self._refuse(wrong, lines, mistakes)
        return values

    def _refuse(self, wrong: Mapping[int, str], lines: Sequence[int], mistakes: Mistakes) -> None:
        """Each wrong cell where it stands first."""
        import numpy as np

        codes, first, counts = np.unique(self.filled(len(lines)), return_index=True, return_counts=True)
        for code, row, count in zip(codes.tolist(), first.tolist(), counts.tolist(), strict=True):
            if code in wrong:
                mistakes.add(lines[row], wrong[code] + (f" (in {count:,} rows)" if count > 1 else ""))


def _is_yaml(name: str) -> bool:
    """Whether a setting may be more than a word or a number, so that its text has to be read as YAML."""
    return TYPES[name] not in (int, float, bool, str) and get_origin(TYPES[name]) is not Literal


def _meant(cell: Any, by_yaml: bool) -> Any:
    """What a cell says, as a pipeline file would have it."""
    if not isinstance(cell, str):
        return cell
    text = cell.strip()
    if by_yaml:
        with contextlib.suppress(YamlSyntaxError):
            return parse(text).data
    return text


def _plain(cell: Any) -> Any:
    """Lists and what else cannot be compared, as the text that csv would have."""
    if cell is None or (isinstance(cell, str | int | float) and not isinstance(cell, bool)):
        return cell
    return json.dumps(cell, default=str)


def _in_words(name: str, item: Any) -> str:
    where = dotted((name, *(part for part in item["loc"] if not str(part).startswith("<"))))
    return f"{where}: {in_words(item, lambda _: [field.name for field in dataclasses.fields(Stop)])}"
