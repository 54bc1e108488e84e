"""What stands out among many pictures: those that took longest, the last one, and the most memory that any took."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nst_batch.recorded.lines import Line

_MOST = 1e18  # that a number can be
_FEW, _MANY = 50, 1000  # of the slowest, that are kept of as many while reading


@dataclass(slots=True)  # not frozen, which takes three times as long to make: there may be one for each line
class Took:
    """What a task took: seconds of its device, and its picture's size."""

    output: str
    seconds: float
    width: int
    height: int
    finished: str


@dataclass
class Highlights:
    """Of the lines that were heeded."""

    last: Took | None = None
    peak_memory_bytes: int = 0
    _slowest: dict[str, Took] = field(default_factory=dict)
    _least: float = 0.0  # seconds: others that took less are not among the slowest

    def heed(self, line: Line) -> None:
        """A done line."""
        seconds, memory = _number(line.seconds), _number(line.peak_memory_bytes)
        if memory > self.peak_memory_bytes:
            self.peak_memory_bytes = int(memory)
        is_last = self.last is None or self.last.finished <= line.finished
        if is_last or seconds >= self._least or line.output in self._slowest:
            took = Took(line.output, seconds, int(_number(line.width)), int(_number(line.height)), line.finished)
            self.last = took if is_last else self.last
            self._add(took)

    def join(self, others: Highlights) -> None:
        """Those of lines that came later."""
        self.peak_memory_bytes = max(self.peak_memory_bytes, others.peak_memory_bytes)
        if self.last is None or (others.last is not None and self.last.finished <= others.last.finished):
            self.last = others.last
        for took in others._slowest.values():
            self._add(took)

    def _add(self, took: Took) -> None:
        before = self._slowest.get(took.output)
        if before is None or before.finished <= took.finished:
            self._slowest[took.output] = took
        if len(self._slowest) > _MANY:
            few = self.slowest(_FEW)
            self._slowest, self._least = {each.output: each for each in few}, few[-1].seconds

    def keep(self, stands: Callable[[Took], bool]) -> None:
        """Forget pictures among the slowest that were rendered once more since."""
        self._slowest = {output: took for output, took in self._slowest.items() if stands(took)}
        self._least = 0.0

    def slowest(self, most: int) -> list[Took]:
        """Those that took longest, the longest first."""
        return longest(self._slowest.values(), most)

    def values(self) -> dict[str, Any]:
        """As JSON can hold them."""
        slowest = [dataclasses.asdict(each) for each in self.slowest(_FEW)]
        last = dataclasses.asdict(self.last) if self.last else None
        return {"slowest": slowest, "last": last, "peak_memory_bytes": self.peak_memory_bytes}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Highlights:
        """What ``values`` gave."""
        slowest = {each["output"]: Took(**each) for each in values["slowest"]}
        return cls(Took(**values["last"]) if values["last"] else None, int(values["peak_memory_bytes"]), slowest)


def longest(found: Iterable[Took], most: int) -> list[Took]:
    """The first of them, by seconds; by name where these are equal."""
    return sorted(found, key=lambda each: (-each.seconds, each.output))[:most]


def _number(value: object) -> float:
    """What a line may have in place of a number counts as none."""
    if not isinstance(value, int | float) or not abs(value) < _MOST:
        return 0.0
    return float(value)
