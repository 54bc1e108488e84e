"""Which places of an order nobody has taken yet: a few ranges, however many places there are."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

LOOKED_AT = 64  # places at the head of a range that are asked one by one, before it is halved


class Places:
    """Places from 0 on, mostly taken from the front.

    Args:
        ends: of ranges of the order: ``(3, 8)`` are 0 to 2, and 3 to 7.
        is_open: whether there is still anything at a place that was not taken.
    """

    def __init__(self, ends: Sequence[int], is_open: Callable[[int], bool]) -> None:
        begins = (0, *ends)
        self._ranges = [range(*pair) for pair in zip(begins, ends, strict=False) if pair[0] < pair[1]]
        self._is_open = is_open

    def __iter__(self) -> Iterator[int]:
        """The open ones."""
        return self.behind(0)

    def behind(self, place: int) -> Iterator[int]:
        """Open places from this one on."""
        for each in list(self._ranges):
            if place < each.stop:
                yield from filter(self._is_open, each[max(0, place - each.start) :])

    def take(self, place: int) -> None:
        """One less."""
        for number, each in enumerate(self._ranges):
            if place in each:
                left = (range(each.start, place), range(place + 1, each.stop))
                self._ranges[number : number + 1] = [part for part in left if part]
                return

    def first(self, fits: Callable[[int], bool]) -> int | None:
        """The first open place that fits; None: there is none.

        At the head of each range, that is. Behind it, places fit from one of them on, or it is taken for granted that
        they do, so that a million are not asked.
        """
        self._trim()
        for each in self._ranges:
            near, far = each[:LOOKED_AT], each[LOOKED_AT:]
            found = next((place for place in near if self._is_open(place) and fits(place)), None)
            if found is None and far and fits(far[-1]):
                found = next(filter(self._is_open, far[bisect_left(far, True, key=fits) :]), None)
            if found is not None:
                return found
        return None

    def _trim(self) -> None:
        """Forget what is not open any more at the heads of ranges."""
        for number, each in enumerate(self._ranges):
            if not self._is_open(each.start):
                begin = next(filter(self._is_open, each), each.stop)
                self._ranges[number] = range(begin, each.stop)
        self._ranges = [each for each in self._ranges if each]
