"""Failures that are alike, together: a hundred tasks of one broken picture are one thing to mend."""

from __future__ import annotations

import re
from bisect import insort
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

NAMED = 3  # pictures of a group
_MOST = 1000  # kinds: what more there are is one of its own, since nobody reads on
_NUMBER, _FILE = re.compile(r"\d+"), re.compile(r"\A[^:]*/[^:]*: ")


@dataclass(frozen=True)
class Group:
    """Failures that are alike."""

    count: int
    message: str
    hint: str
    outputs: tuple[str, ...]  # a few of them


class Kinds:
    """What failures have in common, by number: whatever the file is called, and whichever numbers are told."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], int] = {}
        self._said = list[str]()
        self._vary = list[bool]()
        self._hints = list[str]()

    def of(self, message: str, hint: str) -> int:
        """The kind of a failure."""
        key = _NUMBER.sub("N", _without_file(message)), hint
        place = self._places.get(key)
        if place is None:
            if len(self._said) >= _MOST:
                key, message, hint = ("", ""), "something else", ""
            place = self._places.setdefault(key, len(self._said))
        if place == len(self._said):
            self._said.append(message)
            self._vary.append(False)
            self._hints.append(hint)
        elif self._said[place] != message:
            self._vary[place] = True
        return place

    def __len__(self) -> int:
        """How many there are."""
        return len(self._said)

    def group(self, kind: int, count: int, outputs: Iterable[str]) -> Group:
        """So many failures of a kind; ``outputs``: a few of them."""
        said = self._said[kind]
        return Group(count, _without_file(said) if self._vary[kind] else said, self._hints[kind], tuple(outputs))


def groups(failures: Mapping[str, tuple[str, str]]) -> list[Group]:
    """Failures (message and hint, by output) by what they have in common, the most frequent first."""
    kinds, counts, few = Kinds(), Counter[int](), dict[int, list[str]]()
    for output, (message, hint) in failures.items():
        kind = kinds.of(message, hint)
        counts[kind] += 1
        some = few.setdefault(kind, [])
        insort(some, output)
        del some[NAMED:]
    return in_order(kinds.group(kind, count, few[kind]) for kind, count in counts.items())


def in_order(found: Iterable[Group]) -> list[Group]:
    """The most frequent first."""
    return sorted(found, key=lambda each: (-each.count, each.outputs))


def _without_file(message: str) -> str:
    """A message that begins with a file's name, without it."""
    return _FILE.sub("", message)
