"""What is left to do, alone and beside others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nst_batch.paths import RunPaths
from nst_batch.pipeline import Choices, prepare
from nst_batch.planning.shares import Part
from nst_batch.recorded.decisions import Decision
from nst_batch.recorded.lines import Place
from nst_batch.recorded.rendered import Rendered
from nst_batch.recorded.writers import Writer, entered
from nst_batch.records import Task
from nst_batch.running import backlog
from nst_batch.running.backlog import Backlog, News
from nst_batch.running.claims import Claims
from nst_batch.running.messages import Job
from nst_batch.running.todo import hand_out_order
from tests import runs
from tests.lines import task
from tests.running.test_todo import Made

NAMES = tuple(f"{letter}.png" for letter in "abcdef")


class Others:
    """What another run records: ``told`` is new; ``states`` are what follows."""

    def __init__(self) -> None:
        self.told: set[str] = set()
        self.states: dict[str, tuple[str, int]] = {}
        self.heard: list[tuple[str, str]] = []

    def say(self, output: str, state: str, attempts: int = 0) -> None:
        self.told.add(output)
        self.states[output] = (state, attempts)

    def more(self) -> set[str]:
        told, self.told = self.told, set()
        return told

    def decide(self, each: Task) -> Decision:
        state, attempts = self.states[each.output]
        return Decision(each, state, attempts=attempts)

    def hear(self, decision: Decision) -> None:
        self.heard.append((decision.task.output, decision.state))


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


@pytest.fixture
def me(paths: RunPaths) -> Iterator[Writer]:
    with entered(paths) as writer:
        yield writer


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "LOOK_SECONDS", 0)
    monkeypatch.setattr(backlog, "BACKOFF_SECONDS", 0)


def backlog_of(paths: RunPaths, writer: Writer, others: Others, names: tuple[str, ...] = NAMES) -> Backlog:
    todo = [Decision(task(name), "todo", attempts=int(name == "f.png")) for name in names]
    news = News(others.more, others.decide)
    return Backlog(todo, {"a.png": Rendered("0" * 32, 7, "", Place("p", 0))}, Claims(paths, writer), news, others.hear)


def taken(each: Backlog, most: int = 1, workers: int = 1) -> list[str]:
    return [job.task.output for job in each.batch(lambda _: most, workers)]


def test_alone_everything_is_handed_out_once_in_order(paths: RunPaths, me: Writer) -> None:
    left = backlog_of(paths, me, Others())
    assert left.waiting == 6 and left.unfinished
    assert left.following == Job(task("a.png"), attempt=1, owned=True, bytes=7)
    assert [job.task.output for job in left.batch(lambda _: 9, 2)] == ["a.png", "b.png", "c.png"]
    assert [each.output for each in left.ahead(1, 5)] == ["e.png", "f.png"]
    assert taken(left) == ["d.png"] and taken(left, 9) == ["e.png"]  # f.png has failed before and goes alone
    assert left.batch(lambda _: 9, 1) == [Job(task("f.png"), attempt=2)]
    assert taken(left) == [] and not left.unfinished and left.waiting == 0


def test_what_rests_comes_again_first_and_stays_ours(paths: RunPaths, me: Writer) -> None:
    left = backlog_of(paths, me, Others())
    (job,) = left.batch(lambda _: 1, 1)
    left.rest(job)
    assert left.waiting == 6
    with entered(paths) as other:
        assert taken(backlog_of(paths, other, Others(), ("a.png",))) == []
    assert left.following == Job(task("a.png"), attempt=2, owned=True, bytes=7)
    assert taken(left, 9) == ["a.png"]


def test_what_no_worker_took_comes_again(paths: RunPaths, me: Writer) -> None:
    left = backlog_of(paths, me, Others())
    left.put_back(left.batch(lambda _: 2, 1))
    assert taken(left, 3) == ["a.png", "b.png", "c.png"]


def test_two_share_the_work_and_nothing_is_done_twice(paths: RunPaths, me: Writer) -> None:
    with entered(paths) as other:
        mine, theirs = backlog_of(paths, me, Others()), backlog_of(paths, other, Others())
        assert [taken(mine), taken(theirs), taken(theirs), taken(mine)] == [["a.png"], ["b.png"], ["c.png"], ["d.png"]]
        assert theirs.elsewhere == 1 and mine.elsewhere == 2  # those that they came upon


def test_what_others_end_is_not_begun(paths: RunPaths, me: Writer) -> None:
    others = Others()
    left = backlog_of(paths, me, others)
    others.say("b.png", "done")
    others.say("c.png", "failed")
    others.say("d.png", "todo", attempts=1)
    left.look()
    assert sorted(others.heard) == [("b.png", "done"), ("c.png", "failed")]
    assert taken(left) == ["a.png"] and left.batch(lambda _: 9, 1) == [Job(task("d.png"), attempt=2)]
    others.say("e.png", "done")  # heard of only when it is claimed
    assert taken(left, 9) == ["f.png"] and others.heard[-1] == ("e.png", "done")
    assert Claims(paths, me).is_free(task("e.png")) and not left.unfinished


def test_what_others_drop_is_taken_up(paths: RunPaths, me: Writer) -> None:
    with entered(paths) as other:
        theirs, mine = (
            backlog_of(paths, other, Others(), ("a.png", "b.png")),
            backlog_of(paths, me, Others(), NAMES[:2]),
        )
        assert taken(theirs, 2) == ["a.png", "b.png"] and taken(mine) == []
        mine.look()
        assert taken(mine) == [] and mine.elsewhere == 2 and mine.unfinished and mine.waiting == 0
        theirs.over(task("b.png"))
        mine.look()
        assert taken(mine, 2) == ["b.png"]
        theirs.close()
        mine.look()
        assert taken(mine, 2) == ["a.png"] and not mine.unfinished


def test_the_work_of_a_dead_run_is_taken_up(paths: RunPaths, me: Writer) -> None:
    mine = backlog_of(paths, me, Others(), ("a.png",))
    with entered(paths) as other:
        assert taken(backlog_of(paths, other, Others(), ("a.png",))) == ["a.png"]
        assert taken(mine) == []
    mine.look()
    assert taken(mine) == ["a.png"]


def test_the_longest_come_first_and_equal_ones_by_style(tmp_path: Path) -> None:
    runs.make_pictures(tmp_path, contents=2, styles=2)
    runs.save_picture(tmp_path / "content" / "large.png", seed=9, size=64)
    file = runs.write_pipeline(tmp_path, tmp_path / "unused", transfer__size=64)
    pipeline = prepare(file, {"weights": "random"}, Choices(), print)
    todo = pipeline.todo()[::-1]
    order = [todo[place].task for place in hand_out_order(todo)]
    assert [task.content.path.endswith("large.png") for task in order] == [True] * 2 + [False] * 4
    assert [task.cost for task in order] == sorted((task.cost for task in order), reverse=True)
    styles = [task.style.path for task in order[2:]]
    assert styles[0] == styles[1] != styles[2] == styles[3]


def test_of_a_million_that_wait_a_few_are_made(paths: RunPaths, me: Writer) -> None:
    others, made = Others(), Made(1_000_000)
    left = Backlog(made, {}, Claims(paths, me), News(others.more, others.decide), others.hear, Part(1, 4))
    assert made.made == 0 and left.waiting == 1_000_000
    assert taken(left, 3) == ["1.png", "5.png", "9.png"] and left.waiting == 999_997
    others.say("13.png", "done")
    others.say("999999.png", "failed")
    left.look()
    assert sorted(others.heard) == [("13.png", "done"), ("999999.png", "failed")]
    assert left.waiting == 999_995 and taken(left) == ["17.png"]
    assert made.made < 30


def test_what_is_picked_is_confirmed_together(paths: RunPaths, me: Writer) -> None:
    others = Others()
    left = backlog_of(paths, me, others)
    picked = [left.pick(lambda _: 2, 1), left.pick(lambda _: 2, 1)]
    others.say("a.png", "done")
    others.say("c.png", "todo", attempts=1)
    others.say("d.png", "failed")
    assert [[(job.task.output, job.attempt) for job in jobs] for jobs in left.confirm(picked)] == [
        [("b.png", 1)], [("c.png", 2)]
    ]  # fmt: skip
    assert left.waiting == 2 and sorted(others.heard) == [("a.png", "done"), ("d.png", "failed")]
    assert {path.name for path in paths.claims.iterdir()} == {paths.claim(name).name for name in ("b.png", "c.png")}
    assert left.decision("b.png").task.output == "b.png"


def test_what_was_put_back_and_ended_by_others_is_not_begun_again(paths: RunPaths, me: Writer) -> None:
    others = Others()
    left = backlog_of(paths, me, others)
    left.put_back(left.batch(lambda _: 2, 1))
    others.say("a.png", "done")
    left.look()
    assert left.waiting == 5 and taken(left, 2) == ["b.png", "c.png"]
