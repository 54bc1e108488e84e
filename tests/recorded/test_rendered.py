"""What stands at each output's name, by the last line about it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_batch import columns
from nst_batch.columns import NONE, Strings, hashes
from nst_batch.recorded import gathering, rendered
from nst_batch.recorded.gathering import Kinds, Rows
from nst_batch.recorded.highlights import Took
from nst_batch.recorded.lines import Line, Place, parse
from nst_batch.recorded.manifest import inputs_of, line
from nst_batch.recorded.rendered import Rendered, RenderedTable
from tests.lines import done, task


def made(output: str, finished: str = "T1", steps: int = 5, data: bytes = b"picture") -> Line:
    """A done line."""
    each = task(output, steps=steps)
    found = parse(line(each, done(each, data, finished)))
    assert found is not None
    return found


def place(number: int) -> Place:
    return Place(f"part{number % 3}.jsonl", number * 100)


def merged(table: RenderedTable, *lines: Line, first: int = 0) -> RenderedTable:
    rows = [Rows(place(number).part) for number in range(first, first + len(lines))]
    for number, (each, into) in enumerate(zip(lines, rows, strict=True), first):
        into.add(each, place(number).offset)
    table.merge(rows)
    return table


def known(table: RenderedTable) -> dict[str, tuple[str, int, str, Place]]:
    return {output: (each.task, each.bytes, each.finished, each.place) for output, each in table.items()}


NAMES = ["a.png", "b/é\udcff.png", "c/日.png", "A.png"]


def test_nothing_is_known_of_nothing() -> None:
    table = RenderedTable()
    assert (
        (len(table), list(table), table.get("a.png")) == (0, [], None)
        and "a.png" not in table
        and not table.__contains__(5)
    )
    assert table.rows(hashes(["a.png"])).tolist() == [NONE]
    with pytest.raises(KeyError):
        table["a.png"]
    assert known(merged(table)) == {} == known(RenderedTable.read(table.header(), table.columns()))


def test_what_lines_say_is_known_of_their_outputs() -> None:
    lines = [made(name, f"T{n}", steps=n + 1, data=bytes(n)) for n, name in enumerate(NAMES)]
    table = merged(RenderedTable(), *lines)
    assert known(table) == {
        each.output: (each.task, each.bytes, each.finished, place(n)) for n, each in enumerate(lines)
    }
    assert table["a.png"] == Rendered(lines[0].task, 0, "T0", Place("elsewhere", 7))  # where it stands is no difference
    rows = table.rows(hashes([*NAMES[::-1], "z.png"])).tolist()
    assert [NONE if row == NONE else table.outputs[row] for row in rows] == [*NAMES[::-1], NONE]
    row = rows[0]
    assert table.inputs[row].tobytes() == lines[3].made_of
    assert json.loads(table.settings_kinds.values[table.settings[row]])["steps"] == 4
    assert table.weights_kinds.values == [f"{'e' * 64} torchvision"] and inputs_of(task())["style"]


def simply(lines: list[Line]) -> dict[str, tuple[str, int, str, Place]]:
    """The last line of each output, one after another."""
    found: dict[str, tuple[str, int, str, Place]] = {}
    for number, each in enumerate(lines):
        before = found.get(each.output)
        if before is None or before[2] <= each.finished:
            found[each.output] = each.task, each.bytes, each.finished, place(number)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_of_many_lines_the_last_counts_however_they_come(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Merged in one go, in several, one by one, kept in a file between."""
    numbers = random.Random(seed)
    if seed % 2:  # as if all names had one hash
        monkeypatch.setattr(Strings, "hashes", lambda self: np.zeros(len(self), np.int64))
        monkeypatch.setattr(rendered, "hash", lambda _: 0, raising=False)
    lines = [
        made(numbers.choice(NAMES), f"T{numbers.randrange(8)}", numbers.randrange(1, 4), numbers.randbytes(number))
        for number in range(25)
    ]
    table, at = RenderedTable(), 0
    while at < len(lines):
        count = numbers.randrange(1, 9)
        some = lines[at : at + count]
        if numbers.random() < 0.5:
            merged(table, *some, first=at)
        else:
            for number, each in enumerate(some, at):
                table.add(each, place(number))
        if numbers.random() < 0.3:
            table = RenderedTable.read(json.loads(json.dumps(table.header())), table.columns())
        at += count
        assert known(table) == simply(lines[:at]) and len(table) == len(simply(lines[:at]))
    last = {each.task: each.finished for each in sorted(lines, key=lambda each: each.finished)}
    told: dict[str, str] = {}
    for tasks, moments in table.done():
        for row in range(len(tasks)):
            digest, moment = tasks[row].tobytes().hex(), moments[row].decode()
            told[digest] = max(moment, told.get(digest, ""))
    in_table = {each[0] for each in known(table).values()}
    assert in_table <= set(told) <= set(last) and all(told[digest] == last[digest] for digest in in_table & set(told))


def test_what_came_later_is_found_by_its_hash_too() -> None:
    table = merged(RenderedTable(), made("a.png"))
    table.add(made("b.png", steps=9), place(7))
    assert list(table) == ["a.png", "b.png"] and len(table) == 2
    (row,) = table.rows(hashes(["b.png"])).tolist()
    assert table.outputs[row] == "b.png" and table["b.png"].place == place(7)


def test_times_count_as_far_as_they_are_kept() -> None:
    early, late = "2026-01-01T00:00:00.000000+00:00" + " and more", "2026-01-01T00:00:00.000001+00:00"
    for one, two in ((early, late), (late, early)):
        table = RenderedTable()
        table.add(made("a.png", one), place(0))
        table.add(made("a.png", two, steps=9), place(1))
        assert table["a.png"].finished == late
        assert merged(RenderedTable(), made("a.png", one), made("a.png", two, steps=9))["a.png"].finished == late


def test_whether_a_time_is_the_last_one() -> None:
    table = merged(RenderedTable(), made("a.png", "T1"), made("a.png", "T2", steps=9))
    asked = [Took(output, 1.0, 8, 8, at) for output, at in (("a.png", "T1"), ("a.png", "T2"), ("b.png", "T2"))]
    assert [table.has(each) for each in asked] == [False, True, False]


def test_kinds_that_are_numbered_otherwise_in_each_part_are_one() -> None:
    one, two = Rows("one"), Rows("two")
    for rows, order in ((one, (1, 2, 3)), (two, (3, 4, 1))):
        for steps in order:
            rows.add(made(f"{rows.part}{steps}.png", steps=steps), steps)
    table = RenderedTable()
    table.merge([one, two])
    table.merge([])
    settings = {output: table.settings_kinds.values[table.settings[row]] for row, output in enumerate(table.outputs)}
    assert all(f'"steps":{name[3]},' in settings[name] for name in settings) and len(settings) == 6
    assert len(table.settings_kinds.values) == 4 and len(table.weights_kinds.values) == 1
    assert table["two4.png"].place == Place("two", 4) and table["one3.png"].place == Place("one", 3)


def test_of_many_kinds_the_later_ones_have_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "_MOST_KINDS", 2)
    kinds = Kinds()
    assert [kinds.place(each) for each in "abca"] == [0, 1, NONE, 0]
    assert (kinds.find("b"), kinds.find("c"), kinds.values) == (1, NONE, ["a", "b"])
    assert Kinds(["x", "y"]).find("y") == 1 and kinds.find("z") == NONE
    table = merged(RenderedTable(), *(made(f"{n}.png", steps=n + 1) for n in range(4)))
    assert table.settings.tolist() == [0, 1, NONE, NONE]
    assert known(RenderedTable.read(table.header(), table.columns())) == known(table)


CHANGES: dict[str, Any] = {
    "outputs": np.zeros(2, np.uint8), "output_ends": np.array([5, 3]), "tasks": np.zeros((2, 15), np.uint8),
    "sizes": np.zeros(3, np.int64), "finished": np.zeros(2, "S20"), "inputs": np.zeros((2, 4), np.uint8),
    "weights": np.array([0, 1]), "settings": np.array([0, -2]), "parts": np.array([0, -1]), "offsets": np.zeros(2),
    "other_tasks": np.zeros((1, 16), np.uint8), "other_finished": np.zeros((0, 2), "S32"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_columns_of_something_else_are_refused(name: str, tmp_path: Path) -> None:
    table = merged(RenderedTable(), made("a.png"), made("b.png"))
    columns.save(tmp_path / "t.npz", table.header(), table.columns())
    header, arrays = columns.load(tmp_path / "t.npz")
    assert known(RenderedTable.read(header, arrays)) == known(table)
    with pytest.raises(ValueError):
        RenderedTable.read(header, {**arrays, name: CHANGES[name]})
    arrays.pop(name)
    with pytest.raises(ValueError):
        RenderedTable.read(header, arrays)
