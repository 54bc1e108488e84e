"""What a stretch of a part comes to: its done lines in columns, its failed ones as they were written.

Stretches can be gathered in any order, and by other processes (``gatherers.py``); they are put together in the order in
which they stand (``rendered.py``, ``history.py``).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nst_batch.columns import NONE
from nst_batch.planning.task_table import ID_BYTES
from nst_batch.recorded.highlights import Highlights
from nst_batch.recorded.lines import Line, parse
from nst_batch.recorded.parts import READ_BYTES, Stretch, is_head

TIME_BYTES = 32
_MOST_KINDS = 4096  # of settings that are told apart without reading a line again


class Kinds:
    """Distinct values, by number; of more than some thousands the later ones have none."""

    def __init__(self, values: list[str] | None = None) -> None:
        self.values = list(values or [])
        self._places = {value: place for place, value in enumerate(self.values)}

    def find(self, value: str) -> int:
        """Its number, or ``NONE``: it was never met, or too late."""
        return self._places.get(value, NONE)

    def place(self, value: str) -> int:
        """Its number, which it gets now if it was never met, or ``NONE``."""
        found = self.find(value)
        if found == NONE and len(self.values) < _MOST_KINDS:
            found = self._places[value] = len(self.values)
            self.values.append(value)
        return found


def moment_of(finished: str) -> bytes:
    """When a line was finished, as far as it counts: bytes that sort as times do."""
    return finished.encode("utf-8", "surrogateescape")[:TIME_BYTES]


class Rows:
    """Done lines of a part on their way into columns; see ``RenderedTable``, whose kinds have other numbers.

    Args:
        part: its file name.
    """

    def __init__(self, part: str) -> None:
        self.part = part
        self.weights_kinds, self.settings_kinds = Kinds(), Kinds()
        self._outputs, self._tasks, self._inputs = bytearray(), bytearray(), bytearray()
        self._finished, self._numbers = bytearray(), array("q")
        self._settings, self._weights = (b"", NONE), (("", ""), NONE)  # of the last line: mostly the next one's, too

    def add(self, line: Line, offset: int) -> None:
        """One line, and where it begins."""
        outputs = self._outputs
        outputs += line.output.encode("utf-8", "surrogateescape")
        self._tasks += bytes.fromhex(line.task)
        self._inputs += line.made_of
        self._finished += moment_of(line.finished).ljust(TIME_BYTES, b"\0")
        settings, weights = bytes(line.settings), (line.weights.digest, line.weights.format)
        if settings != self._settings[0]:
            self._settings = settings, self.settings_kinds.place(settings.decode("utf-8", "surrogateescape"))
        if weights != self._weights[0]:
            self._weights = weights, self.weights_kinds.place(" ".join(weights))
        self._numbers.extend((len(outputs), line.bytes, self._weights[1], self._settings[1], offset))

    def __len__(self) -> int:
        """How many there are."""
        return len(self._numbers) // 5

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """As ``RenderedTable.columns``, but for ``parts``."""
        numbers = np.frombuffer(self._numbers, np.int64) if self._numbers else np.zeros(0, np.int64)
        ends, sizes, weights, settings, offsets = np.ascontiguousarray(numbers.reshape(-1, 5).T)
        return {
            "outputs": np.frombuffer(self._outputs, np.uint8), "output_ends": ends,
            "tasks": np.frombuffer(self._tasks, np.uint8).reshape(-1, ID_BYTES), "sizes": sizes,
            "finished": np.frombuffer(self._finished, f"S{TIME_BYTES}"),
            "inputs": np.frombuffer(self._inputs, np.uint8).reshape(-1, 8),
            "weights": weights, "settings": settings, "offsets": offsets,
        }  # fmt: skip


@dataclass
class Gathered:
    """What a stretch of a part had.

    ``failed`` and ``cut``: lines, and where they begin; ``cut``: one at the end of the part that is not written whole.
    ``skipped``: how many lines were none. ``end``: of the last whole line; 0: there is none.
    """

    done: Rows
    failed: list[tuple[int, bytes]] = field(default_factory=list)
    cut: tuple[int, bytes] | None = None
    skipped: int = 0
    highlights: Highlights = field(default_factory=Highlights)
    end: int = 0


def gather(folder: Path, stretch: Stretch) -> Gathered | None:
    """Read a stretch of a part in ``folder``; None: the part has gone.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with (folder / stretch.part).open("rb", buffering=READ_BYTES) as file:
            return _gathered(file, stretch)
    except FileNotFoundError:
        return None


def _gathered(file: BinaryIO, stretch: Stretch) -> Gathered:
    found = Gathered(Rows(stretch.part))
    for begin, raw in _lines(file, stretch):
        if not raw.endswith(b"\n"):
            found.cut = begin, raw
            break
        found.end = begin + len(raw)
        line = parse(raw)
        if line is None:
            found.skipped += not (begin == 0 and is_head(raw))
        elif line.status == "done":
            found.done.add(line, begin)
            found.highlights.heed(line)
        else:
            found.failed.append((begin, raw))
    return found


def _lines(file: BinaryIO, stretch: Stretch) -> Iterator[tuple[int, bytes]]:
    """Lines that begin in a stretch, which may begin and end within lines."""
    begin = stretch.begin
    if begin:
        file.seek(begin - 1)
        begin += len(file.readline()) - 1
    for raw in file:
        if begin >= stretch.end and not stretch.is_last:
            return
        yield begin, raw
        begin += len(raw)
