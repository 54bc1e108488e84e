"""Patterns of names, as shells have them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

_MAGIC = re.compile(r"[*?\[]")


def has_magic(part: str) -> bool:
    """Whether a name is a pattern."""
    return _MAGIC.search(part) is not None


def fixed_part(pattern: str) -> tuple[str, list[str]]:
    """What stands before the first part of a path that is a pattern, and the parts from there on."""
    parts = pattern.split("/")
    place = next((place for place, part in enumerate(parts) if has_magic(part)), len(parts))
    return "/".join(parts[:place]) or ("/" if place and pattern.startswith("/") else ""), parts[place:]


def fits(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Whether the parts of a path fit: ``*`` stays in a folder, ``**`` goes through those below."""
    if not patterns:
        return not parts
    if patterns[0] == "**":
        rest = patterns[1:]
        return bool(parts) if not rest else any(fits(parts[place:], rest) for place in range(len(parts)))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], patterns[0]) and fits(parts[1:], patterns[1:])
