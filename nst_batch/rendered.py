"""What stands at each output's name, by the last line about it: a million of them in columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from nst_batch.columns import NONE, Bytes, Index, Ints, Strings
from nst_batch.lines import Line, Place
from nst_batch.task_table import ID_BYTES

_MOST_KINDS = 4096  # of settings that are told apart without reading a line again
_TIME_BYTES = 32
T = TypeVar("T")


@dataclass(frozen=True)
class Rendered:
    """The last thing known to have been put at an output's name; ``place`` is that of its line."""

    task: str
    bytes: int
    finished: str
    place: Place = field(compare=False)


class Kinds:
    """Distinct values, by number; of more than some thousands the later ones have none."""

    def __init__(self, values: list[str] | None = None) -> None:
        self.values = list(values or [])
        self._places = {value: place for place, value in enumerate(self.values)}

    def place(self, value: str) -> int:
        """Its number, or ``NONE``."""
        found = self._places.get(value, NONE)
        if found == NONE and len(self.values) < _MOST_KINDS:
            found = self._places[value] = len(self.values)
            self.values.append(value)
        return found


class RenderedTable(Mapping[str, Rendered]):
    """By output name, what was last rendered there.

    Attributes:
        outputs: names, a row each.
        tasks: ids, Nx16.
        sizes: bytes of each picture.
        finished: when, as text, of which the first 32 bytes count.
        inputs: 64 bits of what each was made of, Nx8.
        weights, settings: numbers among ``weights_kinds`` and ``settings_kinds`` (JSON as it was written), or ``NONE``.
        parts, offsets: where the lines stand; parts by number among ``part_names``.
    """

    def __init__(self) -> None:
        self.weights_kinds, self.settings_kinds, self.part_names = Kinds(), Kinds(), list[str]()
        self._set(_Rows(self).columns())
        self._later: dict[str, tuple[Line, Place]] = {}

    def _set(self, columns: Mapping[str, Any]) -> None:
        self.outputs = Strings(columns["outputs"], columns["output_ends"])
        self.tasks: Bytes = columns["tasks"]
        self.sizes: Ints = columns["sizes"]
        self.finished: npt.NDArray[np.bytes_] = columns["finished"]
        self.inputs: Bytes = columns["inputs"]
        self.weights: Ints = columns["weights"]
        self.settings: Ints = columns["settings"]
        self.parts: Ints = columns["parts"]
        self.offsets: Ints = columns["offsets"]
        self._index: Index | None = None

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """All of it as arrays."""
        self.settle()
        return {
            "outputs": self.outputs.data, "output_ends": self.outputs.ends, "tasks": self.tasks, "sizes": self.sizes,
            "finished": self.finished, "inputs": self.inputs, "weights": self.weights, "settings": self.settings,
            "parts": self.parts, "offsets": self.offsets,
        }  # fmt: skip

    def header(self) -> dict[str, Any]:
        """What JSON can hold of it."""
        return {
            "weights": self.weights_kinds.values, "settings": self.settings_kinds.values, "parts": self.part_names,
        }  # fmt: skip

    @classmethod
    def read(cls, header: Mapping[str, Any], columns: Mapping[str, npt.NDArray[Any]]) -> RenderedTable:
        """What ``header`` and ``columns`` gave."""
        table = cls()
        table.weights_kinds, table.settings_kinds = Kinds(header["weights"]), Kinds(header["settings"])
        table.part_names = list(header["parts"])
        table._set(columns)
        return table

    # --- one output

    def __getitem__(self, output: str) -> Rendered:
        """What is known of an output."""
        if output in self._later:
            line, place = self._later[output]
            return Rendered(line.task, line.bytes, line.finished, place)
        row = self._row(output)
        if row == NONE:
            raise KeyError(output)
        return self.at(row)

    def __contains__(self, output: object) -> bool:
        """Whether anything was ever rendered there."""
        return isinstance(output, str) and (output in self._later or self._row(output) != NONE)

    def __iter__(self) -> Iterator[str]:
        """Every output name."""
        yield from self.outputs
        yield from (output for output in self._later if self._row(output) == NONE)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.outputs) + sum(self._row(output) == NONE for output in self._later)

    def at(self, row: int) -> Rendered:
        """What is known of a row's output."""
        finished = self.finished[row].decode(errors="surrogateescape")
        task = self.tasks[row].tobytes().hex()
        return Rendered(task, int(self.sizes[row]), finished, self.place(row))

    def place(self, row: int) -> Place:
        """Where a row's line stands."""
        return Place(self.part_names[self.parts[row]], int(self.offsets[row]))

    def add(self, line: Line, place: Place) -> None:
        """A done line that came later."""
        before = self.get(line.output)
        if before is None or before.finished <= line.finished[:_TIME_BYTES]:
            self._later[line.output] = line, place

    # --- all of them

    def gather(self) -> _Rows:
        """For many lines at once: fill what this gives, and hand it to ``merge``."""
        return _Rows(self)

    def merge(self, rows: _Rows) -> None:
        """Heed many lines: of each output, the last one counts."""
        old, new = self.columns(), rows.columns()
        both = {name: np.concatenate([old[name], new[name]]) for name in new if name != "output_ends"}
        both["output_ends"] = np.concatenate([old["output_ends"], len(old["outputs"]) + new["output_ends"]])
        self._set(both if len(old["output_ends"]) else new)
        if self._by_output.repeated:
            self._keep(self._last_of_each())

    def settle(self) -> None:
        """Put what came later among the rest."""
        if self._later:
            rows = self.gather()
            for line, place in self._later.values():
                rows.add(line, place.part, place.offset)
            self._later = {}
            self.merge(rows)

    def rows(self, outputs: Ints) -> Ints:
        """The row of each output name, by its hash; ``NONE`` where nothing was rendered."""
        self.settle()
        return self._by_output.rows(outputs)

    @property
    def _by_output(self) -> Index:
        if self._index is None:
            self._index = Index(self.outputs.hashes())
        return self._index

    def _row(self, output: str) -> int:
        rows = self._by_output.all_rows(hash(output)).tolist()
        return next((row for row in rows if self.outputs[row] == output), NONE)

    def _last_of_each(self) -> Ints:
        last = dict[str, int]()
        for row, output in enumerate(self.outputs):
            before = last.setdefault(output, row)
            if self.finished[before] <= self.finished[row]:
                last[output] = row
        return np.array(sorted(last.values()), np.int64)

    def _keep(self, rows: Ints) -> None:
        kept = {name: column[rows] for name, column in self.columns().items() if name not in ("outputs", "output_ends")}
        outputs = self.outputs.only(rows)
        self._set({**kept, "outputs": outputs.data, "output_ends": outputs.ends})


class _Rows:
    """Done lines on their way into columns."""

    def __init__(self, table: RenderedTable) -> None:
        self._table = table
        self._outputs, self._tasks, self._inputs, self._finished = bytearray(), bytearray(), bytearray(), bytearray()
        self._numbers = _Numbers(6)
        self._parts = {name: number for number, name in enumerate(table.part_names)}

    def add(self, line: Line, part: str, offset: int) -> None:
        """One line."""
        table = self._table
        if part not in self._parts:
            self._parts[part] = len(table.part_names)
            table.part_names.append(part)
        self._outputs += line.output.encode("utf-8", "surrogateescape")
        self._tasks += bytes.fromhex(line.task)
        self._inputs += line.made_of
        moment = line.finished.encode("utf-8", "surrogateescape")[:_TIME_BYTES]
        self._finished += moment.ljust(_TIME_BYTES, b"\0")
        weights = table.weights_kinds.place(f"{line.weights.digest} {line.weights.format}")
        settings = table.settings_kinds.place(bytes(line.settings).decode("utf-8", "surrogateescape"))
        self._numbers.add(len(self._outputs), line.bytes, weights, settings, self._parts[part], offset)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """As ``RenderedTable.columns``."""
        ends, sizes, weights, settings, parts, offsets = self._numbers.columns()
        return {
            "outputs": np.frombuffer(self._outputs, np.uint8), "output_ends": ends,
            "tasks": np.frombuffer(self._tasks, np.uint8).reshape(-1, ID_BYTES), "sizes": sizes,
            "finished": np.frombuffer(self._finished, f"S{_TIME_BYTES}"),
            "inputs": np.frombuffer(self._inputs, np.uint8).reshape(-1, 8),
            "weights": weights, "settings": settings, "parts": parts, "offsets": offsets,
        }  # fmt: skip


class _Numbers:
    """Rows of numbers, eight bytes each."""

    def __init__(self, width: int) -> None:
        from array import array

        self._width, self._values = width, array("q")

    def add(self, *row: int) -> None:
        self._values.extend(row)

    def columns(self) -> Ints:
        values = np.frombuffer(self._values, np.int64) if self._values else np.zeros(0, np.int64)
        return np.ascontiguousarray(values.reshape(-1, self._width).T)
