"""How much a worker is given before it asks."""

from __future__ import annotations

import dataclasses

import pytest

from nst_batch.records import Task, TaskResult
from nst_batch.running.ahead import MOST, Pace, batches_ahead
from tests import lines

TASK = dataclasses.replace(lines.task(), cost=10.0)


def took(seconds: float, task: Task = TASK) -> TaskResult:
    return dataclasses.replace(lines.done(task), seconds=seconds)


@pytest.mark.parametrize(
    ("seconds", "batches"), [(None, 0), (1.5, 0), (60, 0), (1.0, 1), (0.2, 1), (0.05, 5), (0.001, MOST), (0.0, MOST)]
)
def test_the_shorter_the_more(seconds: float | None, batches: int) -> None:
    assert batches_ahead(seconds) == batches


def test_a_slow_task_is_remembered_for_a_while() -> None:
    pace = Pace()
    assert pace.seconds(TASK) is None
    pace.learn(TASK, took(0.1))
    pace.learn(TASK, took(8.0))
    assert pace.seconds(TASK) == 8.0
    pace.learn(TASK, took(0.1))
    assert pace.seconds(TASK) == pytest.approx(4.05)
    for _ in range(10):
        pace.learn(TASK, took(0.1))
    assert pace.seconds(TASK) == pytest.approx(0.1, rel=0.1)


def test_what_failed_or_was_half_done_says_nothing() -> None:
    pace = Pace()
    pace.learn(TASK, lines.failed(TASK))
    pace.learn(TASK, dataclasses.replace(took(0.1), resumed=90))
    assert pace.seconds(TASK) is None


def test_larger_tasks_take_longer_and_smaller_ones_are_not_relied_upon() -> None:
    pace = Pace()
    pace.learn(TASK, took(0.1))
    assert pace.seconds(dataclasses.replace(TASK, cost=1000.0)) == pytest.approx(10)
    assert pace.seconds(dataclasses.replace(TASK, cost=1.0)) == pytest.approx(0.1)
    pace.learn(dataclasses.replace(TASK, cost=0.0), took(0.1))
    assert pace.seconds(TASK) == pytest.approx(0.1)
