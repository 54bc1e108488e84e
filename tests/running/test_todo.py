"""What is to be rendered, from a list, and from what makes tasks when they are asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from nst_batch.pipeline import Choices, prepare
from nst_batch.recorded.decisions import Decision
from nst_batch.records import Task
from nst_batch.running.todo import InColumns, Listed, Todo, as_todo, hand_out_order, kinds
from tests import runs
from tests.lines import task

LARGE = dataclasses.replace(task("large.png"), cost=9.0)
SMALL = [dataclasses.replace(task(f"{name}.png"), cost=1.0) for name in "ba"]
ALL = [Decision(each, "todo", "new") for each in (SMALL[0], LARGE, SMALL[1])]


class Made(Sequence[Decision]):
    """A plan that makes tasks."""

    def __init__(self, count: int) -> None:
        self.size, self.made = count, 0

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, place: int) -> Decision:  # type: ignore[override]
        self.made += 1
        return Decision(task(f"{place}.png"), "todo", "new")

    def hand_out_order(self) -> Sequence[int]:
        return range(self.size)

    def place_of(self, output: str) -> int | None:
        return int(output.removesuffix(".png"))

    def kinds(self) -> list[tuple[Task, int]]:
        return [(task(), self.size)]


def test_a_list_is_asked_all_that_a_plan_is() -> None:
    todo = as_todo(ALL)
    assert isinstance(todo, Listed) and len(todo) == 3 and todo[1] is ALL[1]
    assert list(todo.hand_out_order()) == hand_out_order(ALL) == [1, 2, 0]
    assert [todo.place_of(each.task.output) for each in ALL] == [0, 1, 2] and todo.place_of("x.png") is None
    assert [(each.cost, count) for each, count in todo.kinds()] == [(1.0, 2), (9.0, 1)]


def test_a_plan_is_taken_as_it_is() -> None:
    made: object = Made(5)
    assert isinstance(made, Todo) and as_todo(made) is made and not isinstance(ALL, Todo)


def test_columns_are_asked_the_same_and_answer_the_same(tmp_path: Path) -> None:
    runs.make_pictures(tmp_path, contents=3, styles=3)
    for number, size in enumerate((64, 48)):
        runs.save_picture(tmp_path / "content" / f"larger{number}.png", seed=number, size=size)
    (tmp_path / "content" / "letter.png").write_text("Dear diary")
    file = runs.write_pipeline(tmp_path, tmp_path / "unused", transfer__size=64, sweep={"steps": [5, 9]})
    decided = prepare(file, {"weights": "random"}, Choices(), print).todo()
    for some in (decided, decided[5:30], decided[:0]):
        columns, listed = as_todo(some), as_todo(list(some))
        assert isinstance(columns, InColumns) and len(columns) == len(some)
        order = [some[int(place)] for place in columns.hand_out_order()]
        assert order == [some[place] for place in listed.hand_out_order()]
        assert [columns.place_of(each.task.output) for each in some] == list(range(len(some)))
        assert sorted(count for _, count in columns.kinds()) == sorted(count for _, count in listed.kinds())
    assert as_todo(decided[5:30]).place_of(decided[4].task.output) is None
    assert as_todo(decided).place_of("x.png") is None


def test_archives_are_filled_one_after_another(tmp_path: Path) -> None:
    runs.make_pictures(tmp_path, contents=4, styles=2)
    runs.save_picture(tmp_path / "content" / "c3.png", seed=3, size=64)
    file = runs.write_pipeline(tmp_path, tmp_path / "unused", output__name="{style}.tar/{content}.png")
    decided = prepare(file, {"weights": "random", "transfer.size": "64"}, Choices(), print).todo()
    order = [decided[int(place)].task.output for place in as_todo(decided).hand_out_order()]
    assert order == [decided[place].task.output for place in hand_out_order(decided)]
    assert order[0] == "s0.tar/c3.png" and order[4] == "s1.tar/c3.png", "the longest of each first"
    assert [output.partition("/")[0] for output in order] == ["s0.tar"] * 4 + ["s1.tar"] * 4


def test_what_makes_a_kind() -> None:
    other = dataclasses.replace(LARGE, settings=dataclasses.replace(LARGE.settings, steps=7))
    wide = dataclasses.replace(LARGE, content=dataclasses.replace(LARGE.content, width=99))
    again = dataclasses.replace(LARGE, id="0" * 32, output="again.png")
    assert [count for _, count in kinds([LARGE, other, wide, again])] == [2, 1, 1]
