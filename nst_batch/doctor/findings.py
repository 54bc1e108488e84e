"""What an examination finds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]
"""``warning``: it renders, but slower, or with less than there could be; ``problem``: it does not render."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    ``text`` says how it is, in one line; ``remedy`` what to do about it, one thing a line, or nothing.
    """

    name: str
    level: Level
    text: str
    remedy: str = ""


def prevents(findings: Iterable[Finding]) -> bool:
    """Whether anything that was found keeps pictures from being rendered."""
    return any(each.level == "problem" for each in findings)


def first_line(error: object) -> str:
    """Of a message that may have many; the class's name where it is empty."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
