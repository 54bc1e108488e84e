"""Tasks as columns: what is made of them, chosen from them, and kept of them."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_batch import columns
from nst_batch.columns import NONE, Strings
from nst_batch.demands import work
from nst_batch.planning import task_table
from nst_batch.planning.task_table import Kind, TaskTable
from nst_batch.records import OutputFormat, Source, Style, Task
from nst_batch.settings import Stop, TransferSettings
from nst_batch.sizes import target_size
from tests import runs
from tests.lines import CONTENT, MASK, START, STYLE, TWO, WEIGHTS, task

WIDE = Source("photos/wide\udcff.png", "7" * 64, 10, 128, 32, MASK)
UNREAD = Source("photos/unread.png", "8" * 64, 0)


def with_cost(each: Task) -> Task:
    """As a table gives it."""
    width, height = each.content.width, each.content.height
    if not width:
        return each
    return dataclasses.replace(each, cost=work(each.settings, *target_size(width, height, each.settings)))


TASKS = [
    with_cost(each)
    for each in (
        task("a.png"),
        task("b/é\udcff.png", content=WIDE, styles=TWO),
        task("c.png", content=UNREAD, init="file", start=START),
        task("d.png", steps=7, stop=Stop(), scales=(64,)),
        task("e.png", content=dataclasses.replace(WIDE, mask=None), masks=False),
        task("f.png", steps=7, stop=Stop(), scales=(64,)),
        dataclasses.replace(task("g.tif"), format=OutputFormat(".tif", 16, 80), weights=dataclasses.replace(WEIGHTS)),
    )
]


@pytest.fixture
def table() -> TaskTable:
    return TaskTable.of(TASKS)


def test_tasks_are_what_they_were(table: TaskTable) -> None:
    assert list(table) == TASKS and len(table) == len(TASKS)
    assert [table[row] for row in range(-len(TASKS), 0)] == TASKS and table[np.int64(3)] == TASKS[3]
    assert TaskTable.of(table) is table and table == TaskTable.of(iter(TASKS))
    for row in (len(TASKS), -len(TASKS) - 1):
        with pytest.raises(IndexError):
            table[row]


def test_what_tasks_share_is_there_once(table: TaskTable) -> None:
    assert (len(table.variants), len(table.groups)) == (5, 2)
    assert table[3].settings is table[5].settings and table[0].styles is table[3].styles
    assert len(table.sources) == 7 + 1  # and one mask


def test_slices_and_choices_are_tables(table: TaskTable) -> None:
    for part in (slice(2), slice(1, None, 2), slice(None, None, -1), slice(5, 2), slice(-2, 99)):
        assert isinstance(table[part], TaskTable) and list(table[part]) == TASKS[part]
    assert list(table.only(np.array([4, 0, 4]))) == [TASKS[4], TASKS[0], TASKS[4]]


def test_tables_are_equal_by_their_tasks(table: TaskTable) -> None:
    assert table == TASKS and table == tuple(TASKS) and table[::-1] == TASKS[::-1]
    assert table != TASKS[:-1] and table != [*TASKS[:-1], TASKS[0]] and table != 5
    with pytest.raises(TypeError):
        hash(table)


def test_no_tasks_at_all() -> None:
    none = TaskTable.of([])
    assert list(none) == [] and none == [] and none[:] == []
    assert (none.costs.shape, none.shapes.shape) == ((0,), (0, 2))
    assert none.kinds(np.zeros(0, np.int64)) == [] and none.by_kind(lambda _: 1.0).shape == (0,)
    assert none.row_of("a.png") == NONE and none.rows_of("f" * 32) == []
    assert none.pruned() == [] and none.joined(none) == [] and none.rendered_otherwise(none) == []
    assert TaskTable.read(none.header(), none.arrays()) == []
    assert none.joined(TaskTable.of(TASKS)) == TASKS == TaskTable.of(TASKS).joined(none)


def test_rows_by_name_and_by_id(table: TaskTable) -> None:
    assert [table.row_of(each.output) for each in TASKS] == list(range(len(TASKS)))
    assert table.row_of("z.png") == NONE
    assert table.rows_of(TASKS[3].id) == [3, 5]  # one picture under two names
    for unknown in ("f" * 32, "", "f", "no digits", TASKS[0].id[:30]):
        assert table.rows_of(unknown) == []


def test_names_and_ids_of_one_hash_are_told_apart(table: TaskTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a million million million names had been met."""
    monkeypatch.setattr(columns.Strings, "hashes", lambda self: np.zeros(len(self), np.int64))
    monkeypatch.setattr(task_table, "hash", lambda _: 0, raising=False)
    monkeypatch.setattr(task_table, "halves", lambda digests: np.zeros(len(digests), np.int64))
    monkeypatch.setattr(task_table, "key_of", lambda _: 0)
    assert [table.row_of(each.output) for each in TASKS] == list(range(len(TASKS)))
    assert table.row_of("z.png") == NONE
    assert (table.rows_of(TASKS[1].id), table.rows_of(TASKS[3].id), table.rows_of("f" * 32)) == ([1], [3, 5], [])


def test_shapes_and_costs_are_those_of_each_task(table: TaskTable) -> None:
    for row, each in enumerate(TASKS):
        width, height = each.content.width, each.content.height
        expected = list(target_size(width, height, each.settings)) if width else [0, 0]
        assert table.shapes[row].tolist() == expected
    assert table.costs.tolist() == [each.cost for each in TASKS] and table.costs[2] == 0 < table.costs[0]


def test_tasks_of_a_kind_are_counted_together(table: TaskTable) -> None:
    every = table.kinds(np.arange(len(TASKS)))
    assert sorted(kind.tasks for kind in every) == [1, 1, 1, 1, 1, 2] and Kind(3, 2) in every
    assert table.kinds(np.array([5])) == [Kind(3, 1)]  # the first of its kind, though it is not asked for
    asked: list[str] = []

    def steps(each: Task) -> float:
        asked.append(each.output)
        return each.settings.steps

    numbers = table.by_kind(steps)
    assert numbers.tolist() == [each.settings.steps for each in TASKS]
    assert len(asked) == 6


def test_contents_of_many_sizes_are_of_few_kinds() -> None:
    """What counts is the size of the result."""
    contents = [Source(f"{n}.png", f"{n:064x}", 1, 1000 + n, 500 + n // 2) for n in range(50)]
    table = TaskTable.of(task(each.path, content=each, size=64) for each in contents)
    assert len(table.kinds(np.arange(50))) <= 3
    assert table.costs.tolist() == [with_cost(each).cost for each in table]


def test_what_is_particular_to_variants() -> None:
    table = TaskTable.of([task("a.png"), task("b.png", steps=3), task("c.png", steps=3, size=64)])
    assert [table.point(row) for row in range(3)] == [
        {"size": 512, "steps": 120}, {"size": 512, "steps": 3}, {"size": 64, "steps": 3},
    ]  # fmt: skip
    assert [table[1:].point(row) for row in range(2)] == [{"size": 512}, {"size": 64}]
    assert TaskTable.of([task()]).point(0) == {}


def test_tables_one_behind_another(table: TaskTable) -> None:
    both = table[:3].joined(table[2:])
    assert list(both) == [*TASKS[:3], *TASKS[2:]]
    assert list(both.joined(both)) == [*both, *both]


def test_what_no_task_needs_can_be_left_out(table: TaskTable) -> None:
    for rows in ([1], [2], [0, 3], [4, 1, 4], [], list(range(len(TASKS)))):
        found = table.only(np.array(rows, np.int64)).pruned()
        assert list(found) == [TASKS[row] for row in rows]
        assert set(range(len(found.groups))) == set(found.group_of.tolist())
        assert set(range(len(found.variants))) == set(found.variant_of.tolist())
        needed = {source.path for each in found for source in (each.content, *(s.source for s in each.styles))}
        needed |= {each.start.path for each in found if each.start}
        masks = {found.sources.paths[row] for row in found.sources.masks.tolist() if row != NONE}
        assert set(found.sources.paths) == needed | masks
    again = table
    for _ in range(5):
        again = again.only(np.array([1])).pruned().joined(table)
    assert len(again.sources) <= 2 * len(table.sources) and len(again.variants) <= 2 * len(table.variants)


def test_other_pictures_under_the_same_names_are_named(table: TaskTable) -> None:
    others = TaskTable.of([task("a.png", steps=9), task("z.png"), TASKS[1]])
    assert table.rendered_otherwise(others) == others.rendered_otherwise(table) == ["a.png"]
    assert table.rendered_otherwise(table) == []


def test_a_table_comes_back_from_a_file(table: TaskTable, tmp_path: Path) -> None:
    for some in (table, table[1:2], table[:0]):
        columns.save(tmp_path / "t.npz", some.header(), some.arrays())
        assert TaskTable.read(*columns.load(tmp_path / "t.npz")) == some


DAMAGED: dict[str, Callable[[dict[str, Any]], object]] = {
    "fewer ids": lambda arrays: arrays.update(ids=arrays["ids"][1:]),
    "short ids": lambda arrays: arrays.update(ids=arrays["ids"][:, 1:]),
    "no such content": lambda arrays: arrays.update(contents=arrays["contents"] + 99),
    "no such group": lambda arrays: arrays.update(groups=arrays["groups"] + 9),
    "no such variant": lambda arrays: arrays.update(variants=arrays["variants"] - 1),
    "no such start": lambda arrays: arrays.update(starts=arrays["starts"] - 1),
    "no such style": lambda arrays: arrays.update(share_sources=arrays["share_sources"] + 99),
    "a group of nothing": lambda arrays: arrays.update(group_ends=arrays["group_ends"][[0, 0, 1]]),
    "a group too many": lambda arrays: arrays.update(group_ends=arrays["group_ends"] + 1),
    "names that end elsewhere": lambda arrays: arrays.update(output_ends=arrays["output_ends"] + 1),
    "no names": lambda arrays: arrays.pop("outputs"),
    "no regions": lambda arrays: arrays.pop("share_regions"),
    "regions that are numbers": lambda arrays: arrays.update(share_regions=np.zeros(3)),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_columns_of_something_else_are_refused(table: TaskTable, kind: str) -> None:
    arrays: dict[str, Any] = table.arrays()
    DAMAGED[kind](arrays)
    with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
        TaskTable.read(table.header(), arrays)


@pytest.mark.parametrize("header", [{}, {"variants": [{}]}, {"variants": []}, {"variants": 5}], ids=str)
def test_a_header_of_something_else_is_refused(table: TaskTable, header: dict[str, Any]) -> None:
    with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
        TaskTable.read(header, table.arrays())


def test_a_task_goes_to_a_worker_without_its_table() -> None:
    contents = [Source(f"{n}.png", f"{n:064x}", 1, 64, 48) for n in range(3000)]
    table = TaskTable.of(task(each.path, content=each) for each in contents)
    one = table[5]
    assert len(pickle.dumps(one)) < 4000
    assert pickle.loads(pickle.dumps(one)) == one and type(one.cost) is float and type(one.content.bytes) is int


def test_a_table_that_goes_to_another_process_has_its_hashes_made_there(tmp_path: Path) -> None:
    table = TaskTable.of(TASKS)
    assert table.row_of("f.png") == 5 and table.costs[0] and table[0]
    (tmp_path / "t").write_bytes(pickle.dumps(table))
    program = "import pickle, sys; t = pickle.load(open(sys.argv[1], 'rb')); print(t.row_of('f.png'), len(t[1].styles))"
    there = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "t")],
        cwd=runs.REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.split() == ["5", "2"]


def test_few_groups_of_styles_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_table, "_KEPT", 2)
    styles = [Source(f"{n}.png", f"{n:064x}", 1) for n in range(7)]
    tasks = [with_cost(task(f"{n}.png", style=each)) for n, each in enumerate(styles)]
    table = TaskTable.of(tasks)
    assert list(table) == tasks and len(table._styles) <= 2
    assert STYLE not in styles and table[0].content == CONTENT and table[3].styles == (Style(styles[3]),)


def test_a_setting_of_another_version_is_refused(table: TaskTable) -> None:
    header = table.header()
    header["variants"][0]["settings"]["from_tomorrow"] = 1
    with pytest.raises(TypeError):
        TaskTable.read(header, table.arrays())
    assert TransferSettings().steps == 120


def test_what_is_kept_of_tasks_goes_where_they_go(tmp_path: Path) -> None:
    kept = [f'{{"n": {n}}}' for n in range(4)]
    table = dataclasses.replace(TaskTable.of(task(f"{n}.png", seed=n) for n in range(4)), kept=Strings.of(kept))
    bare = TaskTable.of([task("x.png", seed=9)])
    assert list(table.only(np.array([2, 0])).kept or ()) == [kept[2], kept[0]]
    assert list(table.pruned().joined(bare).kept or ()) == [*kept, ""]
    assert list(bare.joined(table).kept or ()) == ["", *kept] and bare.joined(bare).kept is None
    again = TaskTable.read(table.header(), table.arrays())
    assert again == table and list(again.kept or ()) == kept
    with pytest.raises(ValueError, match="kept"):
        TaskTable.read(table.header(), {**table.arrays(), "kept_ends": table.arrays()["kept_ends"][:-1]})
