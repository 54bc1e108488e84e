"""Mistakes of a pipeline file in words: where each one stands, what is wrong, and what would be right."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from nst_batch.pipeline_file.yaml_lines import Document, Place, YamlSyntaxError, parse
from nst_batch.settings import choices


class Report:
    """Mistakes as lines, in the order of the file."""

    def __init__(self, path: Path, document: Document) -> None:
        self._path = path
        self._document = document
        self._overridden: set[Place] = set()
        self._found: list[tuple[int, str]] = []

    @property
    def mistakes(self) -> list[str]:
        """``file:line: key: message`` for each, once."""
        return list(dict.fromkeys(text for _, text in sorted(self._found, key=lambda item: item[0])))

    def add(self, place: Place, message: str, line: int | None = None) -> None:
        """One mistake; ``place`` may have parts that pydantic put in."""
        known, known_line = self._document.locate(place)
        real = tuple(part for part in place if not (isinstance(part, str) and part.startswith("<")))
        key = dotted(real if len(real) > len(known) else known)
        line = known_line if line is None else line
        given = any(known[: len(o)] == o for o in self._overridden)
        origin = "--set" if given or not line else f"{self._path}:{line}"  # line 0: only --set made this place
        self._found.append((line, f"{origin}: {key}: {message}" if key else f"{origin}: {message}"))

    def add_from(self, place: Place, lines: Iterable[str]) -> None:
        """Mistakes in a file that is named at ``place``; each line says itself where it is."""
        line = self._document.locate(place)[1]
        self._found += [(line, text) for text in lines]

    def override(self, key: str, text: str) -> None:
        """Put a ``--set`` value into the document's data."""
        place: Place = tuple(int(part) if part.isdecimal() else part for part in key.split("."))
        value: Any = text  # what is not YAML is text as it stands, like {content}.jpg
        with contextlib.suppress(YamlSyntaxError):
            value = parse(text).data
        at: Any = self._document.data
        for part in place[:-1]:
            at = at.setdefault(part, {}) if isinstance(at, dict) else at[part] if _has(at, part) else None
        if isinstance(at, dict) or _has(at, place[-1]):
            at[place[-1]] = value
            self._overridden.add(place)
            for length in range(1, len(place) + 1):
                self._document.lines.setdefault(place[:length], 0)
        else:
            self._found.append((0, f"--set: {key}: there is no such key to set; `nst-batch schema` shows them all"))


def _has(at: Any, part: str | int) -> bool:
    return isinstance(at, list) and isinstance(part, int) and part < len(at)


def dotted(place: Place) -> str:
    """``pairs[2].content``, as people write it."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


_KINDS = {"model_type": "keys and values", "dataclass_type": "keys and values", "tuple_type": "a list"}
"""pydantic's words for these are Python's."""


def in_words(item: Any, fields_at: Callable[[Place], list[str]]) -> str:
    """One of pydantic's errors, in our words; ``fields_at`` tells which fields the section at a place may have."""
    kind, value, place = item["type"], item.get("input"), item["loc"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown field; {choices(place[-1], fields_at(place[:-1]))}"
    if kind == "missing":
        return "missing; this key must be given"
    if kind == "literal_error":
        valid = re.findall(r"'([^']*)'|(\d+)", item["ctx"]["expected"])
        return (
            f"should not be {show(value)}; {choices(value, [word or number for word, number in valid])}{_else(place)}"
        )
    if kind == "string_pattern_mismatch":
        return f"letters, digits, '_', '-' and '.' only, not {show(value)}"
    if kind == "value_error":
        return str(item["ctx"]["error"])
    if kind in _KINDS:
        return f"should be {_KINDS[kind]}, not {show(value)}"
    if kind == "too_short":
        return "at least one is needed"
    message = item["msg"].partition(",")[0]  # then follows how it was read
    wanted = message.removeprefix("Input should be ")
    return f"{message}: {show(value)}" if wanted == message else f"should be {wanted}, not {show(value)}"


def _else(place: Place) -> str:
    """What else may stand where a word does: ``, or a number``, of the tag ``<word, or a number>``."""
    return next((part[5:-1] for part in place if isinstance(part, str) and part.startswith("<word")), "")


def show(value: Any) -> str:
    """A value, short enough for one line."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return "this"  # a number with more digits than Python prints
    return text if len(text) <= 60 else text[:57] + "..."
