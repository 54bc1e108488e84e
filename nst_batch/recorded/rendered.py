"""What stands at each output's name, by the last line about it: a million of them in columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nst_batch.columns import NONE, Bytes, Index, Ints, Strings, places_in, rows_of, strings_of
from nst_batch.planning.task_table import ID_BYTES
from nst_batch.recorded.gathering import TIME_BYTES, Kinds, Rows, moment_of
from nst_batch.recorded.highlights import Took
from nst_batch.recorded.lines import Line, Place


@dataclass(frozen=True)
class Rendered:
    """The last thing known to have been put at an output's name; ``place`` is that of its line."""

    task: str
    bytes: int
    finished: str
    place: Place = field(compare=False)


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
        other_tasks, other_finished: when tasks were done in whose place others were rendered later.
    """

    def __init__(self) -> None:
        self.weights_kinds, self.settings_kinds, self.part_names = Kinds(), Kinds(), list[str]()
        self.other_tasks: Bytes = np.zeros((0, ID_BYTES), np.uint8)
        self.other_finished: npt.NDArray[np.bytes_] = np.zeros(0, f"S{TIME_BYTES}")
        self._set({**Rows("").columns(), "parts": np.zeros(0, np.int64)})
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
        return {**self._columns(), "other_tasks": self.other_tasks, "other_finished": self.other_finished}

    def _columns(self) -> dict[str, npt.NDArray[Any]]:
        self.settle()
        return {
            "outputs": self.outputs.data, "output_ends": self.outputs.ends, "tasks": self.tasks, "sizes": self.sizes,
            "finished": self.finished, "inputs": self.inputs, "weights": self.weights, "settings": self.settings,
            "parts": self.parts, "offsets": self.offsets,
        }  # fmt: skip

    def header(self) -> dict[str, Any]:
        """What JSON can hold of it."""
        self.settle()
        return {
            "weights": self.weights_kinds.values, "settings": self.settings_kinds.values, "parts": self.part_names,
        }  # fmt: skip

    @classmethod
    def read(cls, header: Mapping[str, Any], columns: Mapping[str, npt.NDArray[Any]]) -> RenderedTable:
        """What ``header`` and ``columns`` gave.

        Raises:
            ValueError, LookupError or TypeError: it is something else.
        """
        table, found = cls(), rows_of(columns, _COLUMNS)
        table.weights_kinds, table.settings_kinds = Kinds(header["weights"]), Kinds(header["settings"])
        table.part_names = list(map(str, header["parts"]))
        for name, values in (("weights", table.weights_kinds.values), ("settings", table.settings_kinds.values)):
            places_in(found[name], len(values), or_none=True)
        places_in(found["parts"], len(table.part_names))
        others = rows_of(columns, _OTHERS)
        table.other_tasks, table.other_finished = others["other_tasks"], others["other_finished"]
        table._set({**found, "outputs": strings_of(columns, "outputs", "output_ends").data})
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

    def has(self, took: Took) -> bool:
        """Whether it is the last thing known of its output."""
        found = self.get(took.output)
        return found is not None and moment_of(found.finished) == moment_of(took.finished)

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
        if before is None or moment_of(before.finished) <= moment_of(line.finished):
            self._later[line.output] = line, place

    # --- all of them

    def merge(self, gathered: Sequence[Rows]) -> None:
        """Heed many lines: of each output, the last one counts."""
        if any(map(len, gathered)):
            self.settle()
            parts = {name: number for number, name in enumerate(self.part_names)}
            every = [self._columns(), *(self._numbered(rows, parts) for rows in gathered if len(rows))]
            self.part_names = list(parts)
            both = {name: np.concatenate([each[name] for each in every]) for name in every[0]}
            lengths = np.cumsum([0, *(len(each["outputs"]) for each in every[:-1])])
            both["output_ends"] += np.repeat(lengths, [len(each["output_ends"]) for each in every])
            self._set(both)
            if self._by_output.repeated:
                self._keep(self._last_of_each())

    def _numbered(self, rows: Rows, parts: dict[str, int]) -> dict[str, npt.NDArray[Any]]:
        """Their columns, with this table's numbers of kinds and parts."""
        found = rows.columns()
        for name, kinds, theirs in (
            ("weights", self.weights_kinds, rows.weights_kinds), ("settings", self.settings_kinds, rows.settings_kinds),
        ):  # fmt: skip
            found[name] = np.array([*map(kinds.place, theirs.values), NONE], np.int64)[found[name]]  # NONE is the last
        return {**found, "parts": np.full(len(rows), parts.setdefault(rows.part, len(parts)), np.int64)}

    def settle(self) -> None:
        """Put what came later among the rest."""
        if self._later:
            rows = dict[str, Rows]()
            for line, place in self._later.values():
                rows.setdefault(place.part, Rows(place.part)).add(line, place.offset)
            self._later = {}
            self.merge(list(rows.values()))

    def done(self) -> list[tuple[Bytes, npt.NDArray[np.bytes_]]]:
        """Which tasks were done, and when each was done last, others in whose place they are among them."""
        self.settle()
        return [(self.tasks, self.finished), (self.other_tasks, self.other_finished)]

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
        last, kept = dict[str, int](), np.ones(len(self.outputs), np.bool_)
        for row in self._by_output.shared().tolist():
            before = last.setdefault(self.outputs[row], row)
            if before != row:
                later = self.finished[before] <= self.finished[row]
                kept[before if later else row] = False
                last[self.outputs[row]] = row if later else before
        return np.flatnonzero(kept)

    def _keep(self, rows: Ints) -> None:
        gone = np.ones(len(self.outputs), np.bool_)
        gone[rows] = False
        self.other_tasks = np.concatenate([self.other_tasks, self.tasks[gone]])
        self.other_finished = np.concatenate([self.other_finished, self.finished[gone]])
        columns = self._columns()
        kept = {name: column[rows] for name, column in columns.items() if name not in ("outputs", "output_ends")}
        outputs = self.outputs.only(rows)
        self._set({**kept, "outputs": outputs.data, "output_ends": outputs.ends})


_COLUMNS: dict[str, tuple[str, int | None]] = {
    "output_ends": ("int64", None), "tasks": ("uint8", ID_BYTES), "sizes": ("int64", None),
    "finished": (f"S{TIME_BYTES}", None), "inputs": ("uint8", 8), "weights": ("int64", None),
    "settings": ("int64", None), "parts": ("int64", None), "offsets": ("int64", None),
}  # fmt: skip
_OTHERS: dict[str, tuple[str, int | None]] = {
    "other_tasks": ("uint8", ID_BYTES), "other_finished": (f"S{TIME_BYTES}", None),
}  # fmt: skip
