"""What is begun before a job's time is up."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nst_batch.paths import RunPaths
from nst_batch.recorded.decisions import Decision
from nst_batch.recorded.writers import entered
from nst_batch.records import Task
from nst_batch.running.backlog import Backlog, News
from nst_batch.running.claims import Claims
from nst_batch.running.deadline import NEVER, Deadline
from tests.lines import task

Clock = list[float]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The border that is faked here: time."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def backlog_of(tmp_path: Path) -> Iterator[Callable[[list[float]], Backlog]]:
    """Tasks that take so many seconds each."""
    paths = RunPaths(tmp_path)
    with entered(paths) as writer:

        def make(seconds: list[float]) -> Backlog:
            todo = [
                Decision(dataclasses.replace(task(f"{number}.png"), id=f"{number:032x}", cost=each), "todo")
                for number, each in enumerate(seconds)
            ]
            news = News(set, lambda task: Decision(task, "todo"))
            return Backlog(todo, {}, Claims(paths, writer), news, lambda _: None)

        yield make


def cost(task: Task) -> float:
    return task.cost


def taken(deadline: Deadline, backlog: Backlog, most: int = 1) -> list[float]:
    return [job.task.cost for job in deadline.batch(backlog, lambda _: most, 1)]


def test_without_a_limit_nothing_is_asked(backlog_of: Callable[[list[float]], Backlog]) -> None:
    backlog = backlog_of([1.0, 1e9])
    assert taken(NEVER, backlog) == [1e9] and taken(NEVER, backlog) == [1.0]
    assert not NEVER.is_over(backlog, []) and NEVER.left() == math.inf


def test_the_longest_that_can_be_done_comes_first(clock: Clock, backlog_of: Callable[[list[float]], Backlog]) -> None:
    backlog, deadline = backlog_of([500.0, 300.0, 100.0, 20.0]), Deadline(420.0, 20.0, cost)
    assert taken(deadline, backlog) == [300.0]
    clock[0] += 300
    assert deadline.left() == pytest.approx(100) and taken(deadline, backlog) == [20.0]
    assert taken(deadline, backlog) == [500.0], "more than a minute is left, and nothing that is begun is lost"


def test_in_the_last_minute_nothing_is_begun_that_cannot_be_done(
    clock: Clock, backlog_of: Callable[[list[float]], Backlog]
) -> None:
    backlog, deadline = backlog_of([500.0, 100.0, 20.0]), Deadline(150.0, 10.0, cost)
    assert taken(deadline, backlog) == [100.0]
    clock[0] += 85
    assert taken(deadline, backlog) == [20.0] and not deadline.is_over(backlog, [])
    assert taken(deadline, backlog) == []
    assert not deadline.is_over(backlog, ["a worker"]), "pictures in hand are rendered while there is time"
    assert deadline.is_over(backlog, []), "what waits is not begun any more"


def test_the_first_task_is_begun_however_long_it_takes(
    clock: Clock, backlog_of: Callable[[list[float]], Backlog]
) -> None:
    """Or a task longer than any job would never be."""
    backlog, deadline = backlog_of([5000.0, 4000.0]), Deadline(50.0, 10.0, cost)
    assert taken(deadline, backlog) == [5000.0] and taken(deadline, backlog) == []


def test_time_is_up_for_everybody(clock: Clock, backlog_of: Callable[[list[float]], Backlog]) -> None:
    backlog, deadline = backlog_of([]), Deadline(60.0, 20.0, cost)
    clock[0] += 39
    assert not deadline.is_over(backlog, ["a worker"])
    clock[0] += 2
    assert deadline.is_over(backlog, ["a worker"])


def test_of_a_short_time_only_a_third_is_kept_back(clock: Clock) -> None:
    assert Deadline(60.0, 600.0, cost).left() == pytest.approx(40)


def test_as_many_together_as_can_be_done(clock: Clock, backlog_of: Callable[[list[float]], Backlog]) -> None:
    """A batch takes about as long as its tasks one by one."""
    made = backlog_of([10.0] * 8)
    assert len(Deadline(40.0, 0.0, cost).batch(made, lambda _: 8, 1)) == 3
    unknown = Deadline(40.0, 0.0, lambda _: None)
    assert len(unknown.batch(made, lambda _: 8, 1)) == 1


def test_nothing_to_do_is_no_reason_to_leave(clock: Clock, backlog_of: Callable[[list[float]], Backlog]) -> None:
    """Others have it in hand, and may fail."""
    backlog, deadline = backlog_of([]), Deadline(1000.0, 0.0, cost)
    assert taken(deadline, backlog) == [] and not deadline.is_over(backlog, [])
