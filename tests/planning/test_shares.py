"""Who renders what."""

from __future__ import annotations

import dataclasses
import random

import pytest

from nst_batch.errors import UsageError
from nst_batch.planning.shares import Part, own_first, parse, shard
from nst_batch.planning.task_table import TaskTable
from nst_batch.records import Source, Style, Task, Weights
from nst_batch.settings import TransferSettings

PICTURE = Source("a.png", "0" * 64, 1, 8, 8)


def tasks(costs: list[float]) -> TaskTable:
    """Of pictures as wide as they shall cost; 0: nobody knows how wide."""
    style, settings, weights = (
        (Style(PICTURE),),
        TransferSettings(fit="native", scales=(), octaves=1),
        Weights("w", "d"),
    )
    contents = [dataclasses.replace(PICTURE, width=round(32 * each), height=32) for each in costs]
    return TaskTable.of(
        Task(f"{number:032x}", each, style, settings, weights, f"{number}.png") for number, each in enumerate(contents)
    )


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "/", "-1/4", "1/4/2", "²/4", "a/b", ""])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(UsageError, match="1/N to N/N"):
        parse(text)


def test_shards_count_from_one() -> None:
    assert parse("1/4") == Part(0, 4) and parse("4/4") == Part(3, 4)


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_shards_are_all_of_it_and_balanced(count: int) -> None:
    chance = random.Random(count)
    all_of_it = tasks([10 ** chance.uniform(0, 3) for _ in range(50)])
    parts = [shard(all_of_it, Part(index, count)) for index in range(count)]
    assert sorted(task.output for part in parts for task in part) == sorted(task.output for task in all_of_it)
    loads = [sum(task.cost for task in part) for part in parts]
    ideal = max(sum(loads) / count, max(task.cost for task in all_of_it))
    assert max(loads) <= 4 / 3 * ideal
    assert all([task for task in all_of_it if task in part] == list(part) for part in parts), "another order"


def test_tasks_without_a_cost_are_shared_out_too() -> None:
    """Pictures that cannot be read: their size is not known."""
    parts = [shard(tasks([0.0] * 9), Part(index, 3)) for index in range(3)]
    assert [len(part) for part in parts] == [3, 3, 3]


def test_each_begins_with_others_and_ends_with_all() -> None:
    everything = list(range(11))
    orders = [own_first(everything, Part(index, 3)) for index in range(3)]
    assert [order[:4] for order in orders] == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 0]]
    assert all(sorted(order) == everything for order in orders)
    assert orders[2][3:] == [0, 1, 3, 4, 6, 7, 9, 10], "others' tasks, the longest first"
    assert own_first(everything, Part(0, 1)) == everything
