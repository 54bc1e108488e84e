"""A run while it goes on, from its folder alone; written by one process and read by another look after look."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from nst_batch.paths import RunPaths
from nst_batch.planning.disk import checkpoint_bytes, picture_bytes
from nst_batch.planning.planned import write_plan
from nst_batch.planning.task_table import TaskTable
from nst_batch.recorded.manifest import ManifestWriter
from nst_batch.recorded.writers import STALE_SECONDS, entered
from nst_batch.records import Source
from nst_batch.running.live import LiveFile
from nst_batch.running.overview import Follower, nothing_yet
from nst_batch.running.tally import Tally
from tests import lines
from tests.lines import put
from tests.watched import Clock, decision, progress, tally

TASKS = [lines.task(f"{name}.png", content=Source(name, name * 64, 1, 64, 64)) for name in "abcd"]


COST = float(TaskTable.of(TASKS).costs[0])


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    found = RunPaths(tmp_path / "run")
    write_plan(found, TaskTable.of(TASKS))
    return found


@contextmanager
def at_work(paths: RunPaths, state: Tally) -> Iterator[str]:
    """A writer that lives."""
    with entered(paths) as writer, LiveFile(paths, writer.name, state):
        yield writer.name


def rendering(seconds: float, share: float, seconds_left: float) -> Tally:
    """Somebody who has worked so long on ``a`` that so much is done; in all, its tasks last so long still."""
    clock, each = Clock(), [decision("a", COST), decision("more", COST * (seconds_left * share / seconds - 1 + share))]
    state = tally(*each, clock=clock)
    state.started(0, "cpu", each[:1])
    state.progressed(0, progress("a", step=0))
    clock.now += seconds
    state.progressed(0, progress("a", step=round(100 * share), loss=2.0, rate=3.0))
    return state


def test_what_a_writer_says_is_shown_while_it_lives(paths: RunPaths) -> None:
    follower = Follower(paths)
    before = follower.look()
    assert before.is_over and before.seconds_left is None and before.devices == [] and before.fraction == 0
    with at_work(paths, rendering(30, 0.5, 90)) as name:
        seen = follower.look()
        assert [each.writer for each in seen.writers] == [name] and not seen.is_over
        assert seen.seconds_left == pytest.approx(90, rel=0.05) and seen.evaluations_per_second == 3
        assert seen.fraction == pytest.approx(0.5 / 4)
        (device,) = seen.devices
        assert (device.device, device.busy) == ("cpu", 1.0)
    after = follower.look()
    assert after.is_over and after.writers == [] and after.seconds_left is None


def test_several_writers_are_one_run(paths: RunPaths) -> None:
    with ExitStack() as all_of_them:
        for seconds in (10, 30):
            all_of_them.enter_context(at_work(paths, rendering(seconds, 0.5, 100)))
        seen = Follower(paths).look()
    assert len(seen.writers) == 2 and seen.evaluations_per_second == 6 and len(seen.devices) == 2
    # a is in hand for 10 s and 30 s more; of three others, at some 40 s each, they take two and one
    assert seen.seconds_left is not None and 60 < seen.seconds_left < 110


def test_those_that_died_are_nobody(paths: RunPaths) -> None:
    with LiveFile(paths, "killed", rendering(30, 0.5, 90)):
        assert Follower(paths).look().is_over, "no heartbeat at all"
        paths.writers.mkdir(parents=True, exist_ok=True)
        paths.writer("killed").write_text(json.dumps({"machine": "another"}))
        assert not Follower(paths).look().is_over
        old = time.time() - 2 * STALE_SECONDS
        os.utime(paths.writer("killed"), (old, old))
        assert Follower(paths).look().is_over


def test_only_what_is_new_is_read(paths: RunPaths) -> None:
    follower = Follower(paths)
    with entered(paths) as writer:
        part = ManifestWriter(paths, writer.name)
        for count, each in enumerate(TASKS[:2], 1):
            put(paths, each)
            part.append(each, dataclasses.replace(lines.done(each), seconds=count, width=64, height=64))
            seen = follower.look()
            assert (seen.done, seen.todo, seen.fraction) == (count, 4 - count, count / 4)
            assert seen.last is not None and seen.last.output == each.output
        part.append(TASKS[2], lines.failed(TASKS[2]))
        seen = follower.look()
        assert (seen.done, seen.failed, seen.todo) == (2, 1, 1)
        assert seen.failures == {"c.png": "ImageError happened"} and seen.hints == {"c.png": "a hint"}
        put(paths, TASKS[2])
        part.append(TASKS[2], lines.done(TASKS[2], finished="2026-01-01T00:00:03"))
        part.close()
    seen = follower.look()
    assert (seen.done, seen.failed, seen.failures) == (3, 0, {})
    assert [(took.output, took.seconds) for took in seen.slowest[:2]] == [("b.png", 2.0), ("a.png", 1.0)]
    assert follower.look() == dataclasses.replace(seen, disk=follower.look().disk)


def test_what_a_writer_adds_as_it_leaves_is_read(paths: RunPaths) -> None:
    follower = Follower(paths)
    with entered(paths) as writer:
        part = ManifestWriter(paths, writer.name)
        for each in TASKS[:2]:
            put(paths, each)
            part.append(each, lines.done(each))
            if each is TASKS[0]:
                follower.look()
        part.close()
    assert follower.look().done == 2 and follower.look().done == 2


def test_another_plan_is_noticed(paths: RunPaths) -> None:
    follower = Follower(paths)
    put(paths, TASKS[0])
    lines.write(paths, (TASKS[0], lines.done(TASKS[0])))
    assert follower.look().tasks == 4
    write_plan(paths, TaskTable.of([*TASKS, lines.task("e.png")]))
    assert (follower.look().tasks, follower.look().done) == (5, 1)


def test_the_slowest_are_few_and_each_picture_counts_once(paths: RunPaths) -> None:
    many = [dataclasses.replace(lines.task(f"{n}.png", seed=n), cost=1.0) for n in range(80)]
    write_plan(paths, TaskTable.of(many))
    results = [(each, dataclasses.replace(lines.done(each), seconds=float(n))) for n, each in enumerate(many)]
    again = dataclasses.replace(lines.done(many[79], finished="2026-01-01T00:00:09"), seconds=1.0)
    lines.write(paths, *results, (many[79], again))
    slowest = Follower(paths).look().slowest
    assert [(took.output, took.seconds) for took in slowest] == [(f"{n}.png", float(n)) for n in (78, 77, 76, 75, 74)]


def test_room_is_for_what_is_left_by_what_was_written(paths: RunPaths) -> None:
    follower = Follower(paths)
    sizes = [picture_bytes(each) for each in TASKS]
    assert follower.look().disk.needed == sum(sizes)
    data = bytes(2 * sizes[0])
    put(paths, TASKS[0], data)
    lines.write(paths, (TASKS[0], lines.done(TASKS[0], data)))
    assert follower.look().disk.needed == pytest.approx(2 * 3 * sizes[0], abs=3)
    with at_work(paths, rendering(1, 0.5, 90)):
        kept = checkpoint_bytes(TASKS[0])
        assert follower.look().disk.needed == pytest.approx(2 * 3 * sizes[0] + 2 * kept, abs=3)


def test_counts_may_be_those_of_the_file(tmp_path: Path) -> None:
    empty = nothing_yet(RunPaths(tmp_path))
    counts = {"tasks": 4, "done": 1, "failed": 1, "todo": 2}
    seen = empty.with_counts("night", counts, {"a.png": ("broken", "mend it")})
    assert (seen.name, seen.tasks, seen.done, seen.failed, seen.todo) == ("night", 4, 1, 1, 2)
    assert seen.failures == {"a.png": "broken"} and seen.hints == {"a.png": "mend it"} and seen.groups[0].count == 1
    assert seen.fraction == 0.25


def test_of_many_failures_the_first_are_told_one_by_one(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nst_batch.running.overview.MOST_FAILURES", 2)
    lines.write(paths, *((each, lines.failed(each)) for each in TASKS[:3]), (TASKS[3], lines.failed(TASKS[3], "Odd")))
    follower = Follower(paths)
    seen = follower.look()
    assert (seen.failed, list(seen.failures), list(seen.hints)) == (4, ["a.png", "b.png"], ["a.png", "b.png"])
    assert [(each.count, each.message, each.outputs) for each in seen.groups] == [
        (3, "ImageError happened", ("a.png", "b.png", "c.png")), (1, "Odd happened", ("d.png",)),
    ]  # fmt: skip
    assert follower.look().groups is seen.groups, "they are not put together anew where nothing has changed"
    put(paths, TASKS[0])
    lines.write(paths, (TASKS[0], lines.done(TASKS[0])), (TASKS[1], lines.failed(TASKS[1], "Odd", "2026-01-02")))
    seen = follower.look()
    assert (seen.failed, seen.failures) == (3, {"b.png": "Odd happened", "c.png": "ImageError happened"})
    assert [(each.count, each.outputs) for each in seen.groups] == [(2, ("b.png", "d.png")), (1, ("c.png",))]


def test_of_many_failures_in_the_file_likewise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nst_batch.running.overview.MOST_FAILURES", 2)
    counts = {"tasks": 9, "done": 0, "failed": 9, "todo": 0}
    given_up = {f"{n}.png": ("broken", "mend it") for n in range(9)}
    seen = nothing_yet(RunPaths(tmp_path)).with_counts("night", counts, given_up)
    assert len(seen.failures) == len(seen.hints) == 2 and [each.count for each in seen.groups] == [9]
