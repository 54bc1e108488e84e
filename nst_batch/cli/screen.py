"""The last lines of a terminal, drawn again and again: in one go, without flicker, and without a trace at the end.

The cursor stays at the beginning of the line below, visible: whatever ends the program, the terminal is as it was, and
what the terminal echoes (``^C``) is drawn over. Unlike rich's ``Live``, this knows that lines that were drawn on a wide
terminal take several rows when it is made narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from nst_batch.cli.figures import Line, plain, styled, terminal_size

if TYPE_CHECKING:
    from rich.console import Console

_BEGIN, _END = "\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h"  # the cursor hidden while it moves; nothing wraps
_REST_OF_LINE, _REST_OF_SCREEN = "\x1b[K", "\x1b[J"


class Screen:
    """Where a program shows what it is at.

    Args:
        console: a terminal that can move its cursor: see ``can_draw``.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._drawn: list[int] = []  # columns of each line that is there
        self._size = (0, 0)  # of the terminal that they were drawn on

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    @property
    def width(self) -> int:
        """Columns that may be used: a full line would be wrapped by some terminals."""
        return max(20, terminal_size(self._console)[0] - 1)

    @property
    def height(self) -> int:
        """Lines that may be drawn."""
        return max(1, terminal_size(self._console)[1] - 1)

    def draw(self, lines: Sequence[Line]) -> None:
        """Show these in place of those before; as many as there is room for."""
        size = terminal_size(self._console)
        shown = [self._fitting(line) for line in lines[: self.height]]
        text = "".join(f"{self._ansi(line)}{_REST_OF_LINE}\n" for line in shown)
        anew = "" if size == self._size else _REST_OF_SCREEN  # lines that were wrapped would be joined again some day
        self._write(f"{self._up()}{anew}{text}{_REST_OF_SCREEN}")
        self._size = size
        self._drawn = [_columns(line) for line in shown]

    def say(self, text: str) -> None:
        """A text that stays, above what is drawn."""
        self._write(f"{self._up()}{_REST_OF_SCREEN}\x1b[?7h{text}\n")
        self._drawn = []

    def clear(self) -> None:
        """Take away what is drawn."""
        if self._drawn:
            self._write(f"{self._up()}{_REST_OF_SCREEN}")
            self._drawn = []

    def _up(self) -> str:
        width = max(1, terminal_size(self._console)[0])
        rows = sum(max(1, -(-columns // width)) for columns in self._drawn)
        return f"\x1b[{rows}A\r" if rows else "\r"

    def _fitting(self, line: Line) -> Line:
        from rich.cells import cell_len, set_cell_size

        room, parts = self.width, []
        for text, style in line:
            parts.append((text if cell_len(text) <= room else set_cell_size(text, max(0, room)), style))
            room -= cell_len(parts[-1][0])
        return tuple(parts)

    def _ansi(self, line: Line) -> str:
        with self._console.capture() as captured:
            self._console.print(styled(line), end="", no_wrap=True, overflow="ignore", crop=False, soft_wrap=True)
        return captured.get()

    def _write(self, text: str) -> None:
        self._console.file.write(f"{_BEGIN}{text}{_END}")
        self._console.file.flush()


def _columns(line: Line) -> int:
    from rich.cells import cell_len

    return cell_len(plain(line))


def can_draw(console: Console) -> bool:
    """Whether lines can be drawn again, or have to follow one another."""
    return console.is_terminal and not console.is_dumb_terminal
