"""Numbers and names as people read them, and lines that fit."""

from __future__ import annotations

import re
import time

import pytest
from rich.cells import cell_len

from nst_batch.cli.figures import (
    Column,
    ahead,
    bar,
    clock,
    count,
    joined,
    moment,
    per_hour,
    picture,
    pictures,
    plain,
    short,
    table,
)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3723, "1:02:03")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_the_end_is_told_by_the_clock_on_the_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    noon = time.mktime((2026, 3, 4, 12, 0, 0, 0, 0, -1))
    monkeypatch.setattr("nst_batch.cli.figures.time.time", lambda: noon)
    assert moment(90 * 60) == "13:30"
    assert re.fullmatch(r"\w+ 12:00", moment(86400)) and re.fullmatch(r"14 \w+ 12:00", moment(10 * 86400))
    assert ahead(90 * 60) == "about 1:30:00 left, done at 13:30"
    assert ahead(None) == "time left not known yet"


def test_numbers() -> None:
    assert [count(n, "writer") for n in (1, 2, 0, 2.5, 12345)] == [
        "1 writer", "2 writers", "0 writers", "2.5 writers", "12,345 writers",
    ]  # fmt: skip
    assert [per_hour(n) for n in (0.25, 9.96, 1234.4)] == ["0.2 pictures/h", "10.0 pictures/h", "1,234 pictures/h"]


@pytest.mark.parametrize("text", ["a", "abcdefghij", "写真のとても長い名前です", "a写b真c", ""])
@pytest.mark.parametrize("width", [0, 1, 2, 5, 8, 40])
def test_a_short_text_keeps_its_beginning_and_its_end(text: str, width: int) -> None:
    found = short(text, width)
    assert cell_len(found) <= max(width, 0) or found == text == ""
    if cell_len(text) <= width:
        assert found == text
    elif width >= 5:
        first, last = found.split("…")
        assert text.startswith(first) and text.endswith(last) and first and last


def test_names_are_those_of_pictures_and_harmless() -> None:
    assert picture("in/a.b.png") == "in/a.b" and picture("a\nb\x1b.png") == "a?b\\x1b"
    assert pictures(["a.png", "b.png", "c.png"], 20) == "a +2"
    assert pictures(["abcdefghijkl.png", "b.png"], 8) == "ab…kl +1" and pictures([], 20) == ""


@pytest.mark.parametrize("fraction", [-1.0, 0.0, 0.3, 1.0, 7.0])
def test_a_bar_is_as_long_as_it_is_wide(fraction: float) -> None:
    (full, _), (rest, _) = bar(fraction, 10)
    assert len(full + rest) == 10 and len(full) == round(10 * min(1, max(0, fraction)))


COLUMNS = (Column("cyan"), Column(gives_way=True), Column(right=True, needs=40), Column(gives_way=True))


def test_a_table_stands_straight_and_fits() -> None:
    rows = [["cpu", "a long name of a picture", "12/300", "why"], ["cuda:0", "写真", "1/3", "a reason of many words"]]
    full = [plain(line) for line in table(rows, COLUMNS, None)]
    assert full == [
        "cpu     a long name of a picture  12/300  why",
        "cuda:0  写真                         1/3  a reason of many words",
    ]
    for width in (100, 60, 45, 40, 30):
        found = [plain(line) for line in table(rows, COLUMNS, width)]
        assert all(cell_len(line) <= width for line in found)
        assert all(("/3" in line) == (width >= 40) for line in found)
    assert [plain(line) for line in table(rows, COLUMNS, 100)] == full
    assert table([], COLUMNS, 80) == []


def test_what_is_short_gives_what_it_does_not_need_to_what_is_long() -> None:
    columns = (Column(gives_way=True), Column(gives_way=True))
    (line,) = table([["abc", "x" * 50]], columns, 40)
    assert plain(line).startswith("abc  xxx") and cell_len(plain(line)) == 40


def test_a_sentence_leaves_out_its_end_where_there_is_no_room() -> None:
    assert joined(["one", "two", "three"], None) == joined(["one", "two", "three"], 15) == "one, two, three"
    assert joined(["one", "two", "three"], 14) == "one, two" and joined(["one"], 1) == "one" and joined([], 9) == ""
