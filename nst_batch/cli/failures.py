"""Failures for people: those that are alike together, with what to do about them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nst_batch.cli.console import SHOWN, printable, with_hint
from nst_batch.cli.figures import Line

if TYPE_CHECKING:
    from nst_batch.recorded.alike import Group


def failure_lines(groups: Sequence[Group], width: int | None, *, again: bool = True) -> list[Line]:
    """Each kind, wrapped at ``width`` (None: not at all); ``again``: say how they are tried again."""
    texts = [_failure(each) for each in groups[:SHOWN]]
    if len(groups) > SHOWN:
        texts.append(f"  … and {len(groups) - SHOWN} more kinds of failures; `nst-batch status --json` lists them all")
    lines: list[Line] = [((part, "red"),) for text in texts for part in _wrapped(text, width)]
    if groups and again:
        lines.append((("  `nst-batch run --retry-failed` tries them again", ""),))
    return lines


def altered_line(count: int, first: Sequence[str]) -> str:
    """Of pictures that somebody has changed since, which are kept."""
    names = ", ".join(printable(name) for name in first) + (", …" if count > len(first) else "")
    return f"  {count} altered, kept: {names} (rendered again once deleted, or with --force)"


def _failure(group: Group) -> str:
    what = with_hint(group.message, group.hint)
    if group.count == 1:
        return printable(f"  failed: {group.outputs[0]}: {what}")
    more = ", …" if group.count > len(group.outputs) else ""
    return printable(f"  failed: {group.count} tasks: {what}: {', '.join(group.outputs)}{more}")


def _wrapped(text: str, width: int | None) -> list[str]:
    """A long line as several, indented; long names are broken, too: what is drawn again and again has to fit."""
    if width is None:
        return [text]
    return textwrap.wrap(text, max(20, width), subsequent_indent="    ", break_on_hyphens=False)
