"""Lines that are drawn again; what they look like on a real terminal is in ``test_terminal``."""

from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from nst_batch.cli.figures import Line
from nst_batch.cli.screen import Screen, can_draw


def console(
    width: int = 40, height: int = 10, environment: dict[str, str] | None = None
) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    environ = {"TERM": "xterm-256color", **(environment or {})}
    return Console(file=out, force_terminal=True, width=width, height=height, _environ=environ), out


def taken(out: io.StringIO) -> str:
    """What was written since it was last asked for."""
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text


def seen(text: str) -> str:
    return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", text)


LINES: list[Line] = [(("one", "red"), (" two", "")), (("three", "bold"),)]


def test_what_is_drawn_takes_the_place_of_what_was() -> None:
    terminal, out = console()
    with Screen(terminal) as screen:
        screen.draw(LINES)
        first = taken(out)
        assert seen(first).strip("\r") == "one two\nthree\n" and "\x1b[31mone" in first
        assert first.count("\x1b[?25l") == first.count("\x1b[?25h") == 1 and first.endswith("\x1b[?7h\x1b[?25h")
        screen.draw(LINES[:1])
        assert "\x1b[2A\r" in taken(out)
        screen.say("a note")
        assert "\x1b[1A" in (said := taken(out)) and seen(said).strip("\r") == "a note\n"
        screen.draw(LINES)
        assert "A\r" not in taken(out), "nothing is drawn over a note"
    assert "\x1b[2A\r\x1b[J" in taken(out)
    with Screen(terminal):
        pass
    assert taken(out) == ""


def test_no_line_is_wider_and_no_drawing_higher_than_the_terminal() -> None:
    terminal, out = console(width=30, height=4)
    Screen(terminal).draw([(("写" * 40, ""), ("!", "red"))] + [((str(n), ""),) for n in range(9)])
    first, *rest = seen(taken(out)).strip("\r").splitlines()
    assert cell_len(first) <= 29 and rest == ["0", "1"]


def test_lines_that_a_narrower_terminal_wraps_are_drawn_over_all_the_same() -> None:
    terminal, out = console(width=100)
    screen = Screen(terminal)
    screen.draw([(("x" * 90, ""),), (("y", ""),)])
    taken(out)
    terminal.width = 40
    screen.draw(LINES)
    assert f"\x1b[{3 + 1}A\r\x1b[J" in taken(out), "and nothing is left of what was wrapped"
    screen.draw(LINES)
    assert "A\r\x1b[J" not in taken(out), "no flicker"


@pytest.mark.parametrize(("environment", "draws"), [({}, True), ({"TERM": "dumb"}, False)])
def test_where_lines_can_be_drawn_again(environment: dict[str, str], draws: bool) -> None:
    assert can_draw(console(environment=environment)[0]) == draws
    assert not can_draw(Console(file=io.StringIO()))


def test_colours_are_left_out_where_nobody_wants_them() -> None:
    terminal, out = console(environment={"NO_COLOR": "1"})
    Screen(terminal).draw(LINES)
    assert "\x1b[31m" not in out.getvalue() and "one two" in seen(out.getvalue())
