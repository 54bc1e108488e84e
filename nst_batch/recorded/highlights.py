"""What stands out among many pictures: those that took longest, the last one, and the most memory that any took."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nst_batch.recorded.lines import Line

_MOST = 1e18  # that a number can be
_FEW, _MANY = 50, 1000  # of the slowest, that are kept of as many while reading


@dataclass(frozen=True)
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

    def heed(self, line: Line) -> None:
        """A done line."""
        took = Took(
            line.output, _number(line.seconds), int(_number(line.width)), int(_number(line.height)), line.finished
        )
        self.peak_memory_bytes = max(self.peak_memory_bytes, int(_number(line.peak_memory_bytes)))
        if self.last is None or self.last.finished <= took.finished:
            self.last = took
        before = self._slowest.get(took.output)
        if before is None or before.finished <= took.finished:
            self._slowest[took.output] = took
        if len(self._slowest) > _MANY:
            self._slowest = {each.output: each for each in self.slowest(_FEW)}

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
