"""Who gets what, and what is not lost with whom: real schedulers, with workers that take no time."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from nst_batch.paths import RunPaths
from nst_batch.recorded.decisions import Decision
from nst_batch.recorded.history import ManifestReader
from nst_batch.recorded.writers import Writer, entered
from nst_batch.records import Task, TaskResult
from nst_batch.running import backlog
from nst_batch.running.backlog import News
from nst_batch.running.links import Worker
from nst_batch.running.messages import Job, Returned, WorkerOptions
from nst_batch.running.recording import Outcome
from nst_batch.running.scheduler import Scheduler
from nst_batch.running.signals import StopSignals
from tests import runs
from tests.lines import WEIGHTS, task
from tests.quick import Notes, Script, Thread

TASKS = 200


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "BACKOFF_SECONDS", 0)


@pytest.fixture
def me(paths: RunPaths) -> Iterator[Writer]:
    with entered(paths) as writer:
        yield writer


class Run:
    """A run of tasks ``000.png`` and so on, by workers that are threads."""

    def __init__(self, paths: RunPaths, writer: Writer, notes: Notes, script: Script, count: int = TASKS) -> None:
        self.workers: list[Worker] = []
        self._script = script
        self.signals = StopSignals()
        reader = ManifestReader(paths)
        reader.follow(writer.name, writer.is_alive)
        self._reader = reader
        tasks = [dataclasses.replace(task(name), id=f"{number:032x}") for number, name in enumerate(names(count))]
        self._todo = [Decision(each, "todo", "new") for each in tasks]
        self._scheduler = Scheduler(
            paths, WorkerOptions(paths.root, WEIGHTS, 1), ["cpu", "cpu"], 2, 60.0, writer,
            News(reader.more, self._decide), notes, self.signals, start=self._start,
        )  # fmt: skip

    def _start(self, slot: int, device: str, options: WorkerOptions) -> Worker:
        self.workers.append(Thread(slot, device, options, self._script))
        return self.workers[-1]

    def _decide(self, each: Task) -> Decision:
        """As if there were pictures."""
        return Decision(each, "done" if each.output in self._reader.history.rendered else "todo")

    def __call__(self) -> Outcome:
        return self._scheduler.run(self._todo, {})


def names(count: int = TASKS) -> list[str]:
    return [f"{number:03}.png" for number in range(count)]


def test_everything_is_rendered_once_and_its_line_is_on_disk_before_anybody_hears_of_it(
    paths: RunPaths, me: Writer
) -> None:
    def is_recorded(result: TaskResult) -> None:
        assert f'"{result.output}"'.encode() in paths.part(me.name).read_bytes()

    notes = Notes(is_recorded)
    assert Run(paths, me, notes, Script())().rendered == TASKS
    assert sorted(notes.done()) == names() == sorted(line["output"] for line in runs.lines(paths.root))
    assert not list(paths.claims.iterdir())


def test_one_flush_is_for_all_that_came_in_together(
    paths: RunPaths, me: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushes, writes, flush, write = list[int](), list[bytes](), os.fdatasync, os.write

    def flushed(file: int) -> None:
        flushes.append(file)
        flush(file)

    def written(file: int, data: bytes) -> int:
        writes.append(data)
        return write(file, data)

    monkeypatch.setattr(os, "fdatasync", flushed)
    monkeypatch.setattr(os, "write", written)
    assert Run(paths, me, Notes(), Script())().rendered == TASKS
    assert len(flushes) < TASKS / 2
    lines = [data for data in writes if data.startswith(b'{"v"')]
    assert len(lines) == TASKS and all(data.count(b"\n") == 1 for data in lines)


@pytest.mark.parametrize(("seconds", "ahead"), [(0.001, True), (30.0, False)], ids=["short", "long"])
def test_short_tasks_are_given_ahead_and_long_ones_are_not(
    paths: RunPaths, me: Writer, seconds: float, ahead: bool
) -> None:
    most = Counter[str]()

    def look(_: TaskResult) -> None:
        most["ahead"] = max(most["ahead"], *(len(each.ahead) for each in run.workers))

    script = Script(seconds)
    run = Run(paths, me, Notes(look), script)
    assert run().rendered == TASKS
    assert (most["ahead"] > 5) == ahead and (most["ahead"] > 0) == ahead
    assert set(script.read) <= set(names()) and script.read, "pictures of what comes next are read before"


def test_each_task_is_told_to_be_begun_once_when_it_is(
    paths: RunPaths, me: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or once more, if a worker gives it back after all, whose word comes when its turn was told."""
    notes, script, returned, take_back = Notes(), Script(), Counter[str](), Worker.take_back

    def noted(self: Worker, message: Returned) -> list[Job]:
        returned.update(message.outputs)
        return take_back(self, message)

    monkeypatch.setattr(Worker, "take_back", noted)
    assert Run(paths, me, notes, script)().rendered == TASKS
    told = Counter(output for batch in notes.batches for output in batch)
    assert sorted(told) == names() and all(many <= 1 + returned[output] for output, many in told.items())
    assert sorted(output for _, output in script.rendered) == names()


@pytest.mark.parametrize("times", [1, 99], ids=["once", "always"])
def test_only_what_was_begun_is_blamed_for_a_death(paths: RunPaths, me: Writer, times: int) -> None:
    """Others waited at that worker; they are rendered as if nothing had been."""
    notes, script = Notes(), Script(deadly={"060.png": times, "061.png": times})
    outcome = Run(paths, me, notes, script)()
    deaths = 1 if times == 1 else 2
    assert (outcome.rendered, outcome.failed) == ((TASKS, 0) if times == 1 else (TASKS - 2, 2))
    failed = [(output, attempt) for output, attempt, status, _ in notes.results if status == "failed"]
    assert sorted(failed) == [(output, n) for output in ("060.png", "061.png") for n in range(1, deaths + 1)]
    attempts = {output: attempt for output, attempt, status, _ in notes.results if status == "done"}
    assert {attempts.pop(output, 2) for output in ("060.png", "061.png")} == {2}
    assert set(attempts.values()) == {1} and len(attempts) == TASKS - 2
    assert len(runs.lines(paths.root)) == len(notes.results)


def test_what_waits_at_a_worker_that_takes_long_goes_to_one_that_has_nothing_to_do(paths: RunPaths, me: Writer) -> None:
    script = Script(held={"050.png"})

    def see(_: TaskResult) -> None:
        if len(set(notes.done())) == TASKS - 1:
            script.release.set()

    notes = Notes(see)
    assert Run(paths, me, notes, script)().rendered == TASKS
    assert sorted(notes.results) == [(name, 1, "done", True) for name in names()], "all others were done before"


def test_what_was_not_begun_when_a_run_stops_is_nobodys_failure(paths: RunPaths, me: Writer) -> None:
    def stop(_: TaskResult) -> None:
        if len(notes.results) == 50:
            run.signals.stop("enough")

    notes = Notes(stop)
    run = Run(paths, me, notes, Script())
    outcome = run()
    assert outcome.interrupted and outcome.failed == 0 and 50 <= outcome.rendered < TASKS
    assert len(runs.lines(paths.root)) == outcome.rendered and not list(paths.claims.iterdir())


def test_two_runs_share_a_folder_and_nothing_is_rendered_twice(paths: RunPaths, me: Writer) -> None:
    with entered(paths) as other:
        notes, theirs = Notes(), Notes()
        outcomes: list[Outcome] = []
        second = threading.Thread(target=lambda: outcomes.append(Run(paths, other, theirs, Script())()))
        second.start()
        mine = Run(paths, me, notes, Script())()
        second.join()
    assert Counter([*notes.done(), *theirs.done()]) == Counter(names())
    assert mine.rendered + mine.elsewhere == TASKS and outcomes[0].rendered + outcomes[0].elsewhere == TASKS
