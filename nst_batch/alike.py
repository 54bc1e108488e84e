"""Failures that are alike, together: a hundred tasks of one broken picture are one thing to mend."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NAMED = 3  # pictures of a group


@dataclass(frozen=True)
class Group:
    """Failures that are alike."""

    count: int
    message: str
    hint: str
    outputs: tuple[str, ...]  # a few of them


def groups(failures: dict[str, tuple[str, str]]) -> list[Group]:
    """Failures by what they have in common, the most frequent first."""
    found: dict[tuple[str, str], list[str]] = {}
    for output, (message, hint) in failures.items():
        found.setdefault((re.sub(r"\d+", "N", _without_file(message)), hint), []).append(output)
    ordered = sorted(found.items(), key=lambda each: (-len(each[1]), each[1]))
    return [
        Group(len(outputs), _common([failures[each][0] for each in outputs]), hint, tuple(sorted(outputs)[:_NAMED]))
        for (_, hint), outputs in ordered
    ]


def _common(messages: Sequence[str]) -> str:
    return messages[0] if len(set(messages)) == 1 else _without_file(messages[0])


def _without_file(message: str) -> str:
    """A message that begins with a file's name, without it."""
    return re.sub(r"\A[^:]*/[^:]*: ", "", message)
