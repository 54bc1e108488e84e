"""Numbers and names as people read them, and lines of them, one below the other, that fit a terminal."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from nst_batch.cli.console import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Line = tuple[tuple[str, str], ...]
"""One line: its parts, each with its style as rich has it."""

_DAY_SECONDS = 86400.0
_NARROWEST = 8  # columns of the terminal, of what gives way


def clock(seconds: float) -> str:
    """``1:02:03``, or ``2:03`` under an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def moment(seconds: float) -> str:
    """The time in so many seconds, of this machine's clock: ``14:32``, with the day if it is another one."""
    now = time.time()
    then = time.localtime(now + seconds)
    today = time.localtime(now)[:3] == then[:3]
    return time.strftime("%H:%M" if today else "%a %H:%M" if seconds < 6 * _DAY_SECONDS else "%d %b %H:%M", then)


def ahead(seconds: float | None) -> str:
    """How long something will take, and when it is over."""
    return "time left not known yet" if seconds is None else f"about {clock(seconds)} left, done at {moment(seconds)}"


def count(number: float, what: str) -> str:
    """``1 picture``, ``2 pictures``; ``0.5 pictures``."""
    shown = f"{number:,.0f}" if number == round(number) or number >= 100 else f"{number:.1f}"
    return f"{shown} {what}{'' if number == 1 else 's'}"


def per_hour(pictures: float) -> str:
    """Pictures an hour."""
    return f"{pictures:,.0f} pictures/h" if pictures >= 10 else f"{pictures:.1f} pictures/h"


def picture(output: str) -> str:
    """A picture's name without its ending, in one line."""
    return printable(str(PurePath(output).with_suffix(""))).replace("\n", "?")


def pictures(outputs: Sequence[str], width: int) -> str:
    """What somebody has in hand, in so many columns."""
    more = f" +{len(outputs) - 1}" if len(outputs) > 1 else ""
    return short(picture(outputs[0]), width - len(more)) + more if outputs else ""


def short(text: str, width: int) -> str:
    """A text in so many columns, with its beginning and its end."""
    from rich.cells import cell_len

    if cell_len(text) <= width:
        return text
    first, last = text[: len(text) // 2], text[len(text) // 2 :]
    while first and cell_len(first) > (width - 1) - (width - 1) // 2:
        first = first[:-1]
    while last and cell_len(last) > width - 1 - cell_len(first):
        last = last[1:]
    return f"{first}…{last}" if width > 0 else ""


def joined(parts: Sequence[str], width: int | None) -> str:
    """Parts of a sentence, with commas; those at the end are left out where there is no room (None: there is)."""
    text = parts[0] if parts else ""
    for part in parts[1:]:
        if width is not None and len(text) + 2 + len(part) > width:
            break
        text = f"{text}, {part}"
    return text


def bar(fraction: float, width: int) -> Line:
    """How far something is."""
    full = min(width, max(0, round(fraction * width)))
    return (("━" * full, "cyan"), ("━" * (width - full), "bright_black"))


@dataclass(frozen=True)
class Column:
    """Of a table: its style, whether it stands on the right, whether it gives way to others, and the narrowest terminal
    (in columns) on which it is shown."""

    style: str = ""
    right: bool = False
    gives_way: bool = False
    needs: int = 0


def table(rows: Sequence[Sequence[str]], columns: Sequence[Column], width: int | None) -> list[Line]:
    """Rows one below the other.

    Args:
        rows: as many texts as there are columns.
        columns: those that give way share the room that others leave.
        width: of the terminal; None: there is none, and all is shown in full.
    """
    from rich.cells import cell_len

    shown = [place for place, column in enumerate(columns) if width is None or column.needs <= width]
    widths = {place: max((cell_len(row[place]) for row in rows), default=0) for place in shown}
    shown = [place for place in shown if widths[place]]
    if width is not None:
        room = width - sum(widths[place] for place in shown if not columns[place].gives_way) - 2 * (len(shown) - 1)
        giving = sorted((place for place in shown if columns[place].gives_way), key=lambda place: widths[place])
        for place, others in zip(giving, range(len(giving), 0, -1), strict=True):
            widths[place] = min(widths[place], max(_NARROWEST, room // others))
            room -= widths[place]
    return [tuple(_cells(row, shown, columns, widths)) for row in rows]


def _cells(
    row: Sequence[str], shown: Sequence[int], columns: Sequence[Column], widths: dict[int, int]
) -> Iterable[tuple[str, str]]:
    from rich.cells import cell_len

    end = max((place for place in shown if row[place]), key=shown.index, default=-1)
    for place in shown:
        text, last = short(row[place], widths[place]), place == end
        blank = " " * (widths[place] - cell_len(text))
        before, behind = (blank, "") if columns[place].right else ("", "" if last else blank)
        yield before + text + behind + ("" if last else "  "), columns[place].style
        if last:
            return


def plain(line: Line) -> str:
    """A line without its styles."""
    return "".join(text for text, _ in line).rstrip()


def styled(line: Line) -> Text:
    """A line for rich."""
    from rich.text import Text

    return Text.assemble(*line, end="")


def terminal_size(console: Console) -> tuple[int, int]:
    """Columns and lines as they are now: rich believes ``COLUMNS``, which shells may have left from before."""
    with contextlib.suppress(OSError, ValueError):  # no terminal of the system's
        width, height = os.get_terminal_size(console.file.fileno())
        if width and height:
            return width, height
    return console.size


def show(lines: Callable[[int | None], Sequence[Line]], console: Console | None = None) -> None:
    """Lines for so many columns (None: in full), on standard output or elsewhere, as it is a terminal or not."""
    from rich.console import Console

    console = console or Console()
    for line in lines(terminal_size(console)[0] - 1 if console.is_terminal else None):
        if console.is_terminal:
            console.print(styled(line), soft_wrap=True)
        else:
            print(plain(line), file=console.file)
