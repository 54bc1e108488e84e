"""The scheduler with real worker processes, some of which are killed."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nst_batch.atomic import write_atomic
from nst_batch.errors import StorageError, UsageError
from nst_batch.pipeline import Choices, Pipeline, prepare
from nst_batch.recorded.decisions import Decision
from nst_batch.records import TaskResult
from nst_batch.running.messages import Progress, WorkerOptions
from nst_batch.running.observers import Observer
from nst_batch.running.recording import Outcome
from nst_batch.running.scheduler import Scheduler
from nst_batch.running.signals import StopSignals
from tests import runs


class Watcher(Observer):
    """An observer that notes what it is told, and kills (or stops) workers that start on a task that it hates."""

    def __init__(self, *hated: str, times: int = 99, sign: signal.Signals = signal.SIGKILL) -> None:
        self.sign = sign
        self.hated = dict.fromkeys(hated, times)
        self.starts: list[tuple[int, str]] = []
        self.batches: list[list[str]] = []
        self.results: list[tuple[TaskResult, bool]] = []
        self.steps: list[Progress] = []
        self.notes: list[str] = []

    def started(self, slot: int, device: str, decisions: Sequence[Decision]) -> None:
        outputs = [decision.task.output for decision in decisions]
        self.batches.append(outputs)
        self.starts += [(slot, output) for output in outputs]
        hated = [output for output in outputs if self.hated.get(output, 0) > 0]
        self.hated.update({output: self.hated[output] - 1 for output in hated})
        if hated:
            (worker,) = (p for p in multiprocessing.active_children() if p.name == f"nst-batch worker {slot} on cpu")
            assert worker.pid is not None
            os.kill(worker.pid, self.sign)

    def progressed(self, slot: int, progress: Progress) -> None:
        self.steps.append(progress)

    def finished(self, slot: int, result: TaskResult, final: bool) -> None:
        self.results.append((result, final))

    def elsewhere(self, decision: Decision) -> None:
        raise AssertionError("nobody else is here")

    def note(self, text: str) -> None:
        self.notes.append(text)

    def tick(self) -> None:
        pass


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.save_weights(tmp_path_factory.mktemp("weights") / "vgg.pth")


def ready(file: Path, **choices: Any) -> Pipeline:
    return prepare(file, {}, Choices(**choices), say=print)


CPUS = ("cpu", "cpu")


def run(
    pipeline: Pipeline,
    watcher: Watcher,
    devices: tuple[str, ...] = CPUS,
    batch: int | None = None,
    *,
    inline: bool = False,
) -> Outcome:
    options = WorkerOptions(pipeline.paths.root, pipeline.weights, threads=1, batch=batch)
    retries, timeout, news = pipeline.run.retries, pipeline.run.timeout, pipeline.news()
    with pipeline.entered(print) as writer:
        scheduler = Scheduler(
            pipeline.paths, options, devices, retries, timeout, writer, news, watcher, StopSignals()
        )  # fmt: skip
        return (scheduler.run_inline if inline else scheduler.run)(pipeline.todo(), pipeline.owned())


def test_tasks_are_dealt_to_all_workers_as_they_become_free(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=2, styles=3)
    pipeline = ready(runs.write_pipeline(tmp_path, weights, transfer__steps=10))
    watcher = Watcher()
    assert run(pipeline, watcher) == Outcome(rendered=6, failed=0, interrupted=False, evaluations=60)
    assert {slot for slot, _ in watcher.starts} == {0, 1}
    assert sorted(output for _, output in watcher.starts) == sorted(task.output for task in pipeline.tasks)
    last = [progress for progress in watcher.steps if progress.step == 10]
    assert len(last) == 6 and all(progress.steps == 10 and progress.rate > 0 for progress in last)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_task_that_kills_every_worker_is_quarantined_and_the_others_are_rendered(
    tmp_path: Path, weights: Path
) -> None:
    runs.make_pictures(tmp_path, contents=2, styles=2)
    file = runs.write_pipeline(tmp_path, weights)
    pipeline, watcher = ready(file), Watcher("c1__s0.png")
    assert run(pipeline, watcher) == Outcome(rendered=3, failed=1, interrupted=False, evaluations=15)
    # Another picture may have been on its way to its file when its worker died: it is tried again, too.
    failures = [(result, final) for result, final in watcher.results if result.status == "failed"]
    deaths = [(result, final) for result, final in failures if result.output == "c1__s0.png"]
    assert [(result.attempt, final) for result, final in deaths] == [(1, False), (2, True)]
    assert all(result.error is not None and "SIGKILL" in result.error.message for result, _ in deaths)
    again = ready(file)
    assert [(d.task.output, d.reason) for d in again.given_up()] == [("c1__s0.png", "quarantined")]
    assert not len(again.todo())
    retried = ready(file, retry_failed=True)
    assert run(retried, Watcher()) == Outcome(rendered=1, failed=0, interrupted=False, evaluations=5)
    assert ready(file).counts()["done"] == 4


def test_a_worker_that_died_once_is_replaced_on_its_device(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=2, styles=1)
    pipeline, watcher = ready(runs.write_pipeline(tmp_path, weights)), Watcher("c0__s0.png", times=1)
    assert run(pipeline, watcher, ("cpu",)) == Outcome(rendered=2, failed=0, interrupted=False, evaluations=10)
    assert any("worker 0 on cpu was killed by SIGKILL" in note for note in watcher.notes)
    done = {result.output: result.attempt for result, _ in watcher.results if result.status == "done"}
    assert done.keys() == {"c0__s0.png", "c1__s0.png"} and done["c0__s0.png"] == 2


@pytest.mark.slow
def test_a_worker_that_hangs_is_ended_and_its_task_tried_again(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=1, styles=2)
    pipeline = ready(runs.write_pipeline(tmp_path, weights, run__timeout=5, transfer__steps=10))
    watcher = Watcher("c0__s0.png", times=1, sign=signal.SIGSTOP)
    assert run(pipeline, watcher, ("cpu",)) == Outcome(rendered=2, failed=0, interrupted=False, evaluations=20)
    assert "worker 0 on cpu made no step for 5 s and was ended" in watcher.notes
    assert sorted(result.attempt for result, _ in watcher.results if result.status == "done") == [1, 2]


def test_a_passing_error_is_tried_again_as_often_as_told(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands where the output's folder should be: every attempt fails with an OSError, as on a full disk."""
    monkeypatch.setattr("nst_batch.running.backlog.BACKOFF_SECONDS", 0.01)
    runs.make_pictures(tmp_path, contents=1, styles=2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").write_text("a file where a folder should be")
    file = runs.write_pipeline(tmp_path, weights, run__retries=1, output__name="sub/{content}__{style}.png")
    pipeline, watcher = ready(file), Watcher()
    outcome = run(pipeline, watcher, inline=True)
    assert outcome == Outcome(rendered=0, failed=2, interrupted=False)
    assert sorted(result.attempt for result, _ in watcher.results) == [1, 1, 2, 2]
    assert [d.reason for d in ready(file).given_up()] == ["failed", "failed"]


class Disk:
    """The border to a disk: full, until asked so often whether it still is, for pictures or for lines."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, full_for: int, *, lines: bool) -> None:
        self.asked, self._full_for = 0, full_for
        name = "os.fdatasync" if lines else "nst_batch.running.finishing.write_atomic"
        self._real: Any = os.fdatasync if lines else write_atomic
        monkeypatch.setattr(name, self._write)
        monkeypatch.setattr("nst_batch.running.recording.takes", self._takes)
        monkeypatch.setattr("nst_batch.running.recording.WAKE_SECONDS", 0.01)

    def _write(self, *arguments: object) -> None:
        if self.asked < self._full_for:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._real(*arguments)

    def _takes(self, *_: object) -> bool:
        self.asked += 1
        return self.asked >= self._full_for


@pytest.mark.parametrize("full", ["for pictures", "for lines"])
def test_a_run_waits_for_room_and_nothing_counts_as_failed(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    runs.make_pictures(tmp_path, contents=1, styles=2)
    pipeline, watcher = ready(runs.write_pipeline(tmp_path, weights, run__retries=0)), Watcher()
    disk = Disk(monkeypatch, 3, lines=full == "for lines")
    assert run(pipeline, watcher, inline=True) == Outcome(rendered=2, failed=0, interrupted=False, evaluations=10)
    assert disk.asked == 3 and sum("waiting for room" in note for note in watcher.notes) == 1
    assert [line["attempt"] for line in runs.lines(tmp_path / "out") if line["status"] == "done"][-2:] == [1, 1]


def test_a_run_waits_for_room_no_longer_than_it_may(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.make_pictures(tmp_path, contents=1, styles=1)
    pipeline = ready(runs.write_pipeline(tmp_path, weights, run__timeout=0.1))
    Disk(monkeypatch, 10**6, lines=False)
    with pytest.raises(StorageError, match="No space left"):
        run(pipeline, Watcher(), inline=True)
    assert not (tmp_path / "out" / "manifest").exists()


def test_workers_that_cannot_load_their_weights_end_the_run(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=1, styles=1)
    broken = tmp_path / "broken.pth"
    broken.write_bytes(weights.read_bytes()[:1000])
    pipeline = ready(runs.write_pipeline(tmp_path, broken))
    with pytest.raises(UsageError, match=r"broken\.pth"):
        run(pipeline, Watcher(), ("cpu",))
    assert not multiprocessing.active_children()


def test_a_worker_takes_several_of_a_kind_and_no_more_than_its_share(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=2, styles=5)
    runs.save_picture(tmp_path / "content" / "small.png", seed=9, size=24)
    pipeline, watcher = ready(runs.write_pipeline(tmp_path, weights)), Watcher()
    assert run(pipeline, watcher, batch=4) == Outcome(rendered=15, failed=0, interrupted=False, evaluations=75)
    assert [len(batch) for batch in watcher.batches[:2]] == [4, 4]
    assert all(len({"small" in output for output in batch}) == 1 for batch in watcher.batches)
    together = {result.output: result.together for result, _ in watcher.results}
    assert together == {output: len(batch) for batch in watcher.batches for output in batch}
    assert max(together.values()) == 4
    small = [batch for batch in watcher.batches if "small" in batch[0]]
    assert max(map(len, small)) == 3  # of 5 that are left, for two workers; which begins first is chance


def test_what_shared_a_workers_death_is_tried_again_alone(tmp_path: Path, weights: Path) -> None:
    """The guilty one is quarantined, and takes nobody with it."""
    runs.make_pictures(tmp_path, contents=1, styles=6)
    pipeline, watcher = ready(runs.write_pipeline(tmp_path, weights)), Watcher("c0__s3.png")
    assert run(pipeline, watcher, ("cpu",), batch=6) == Outcome(rendered=5, failed=1, interrupted=False, evaluations=25)
    assert len(watcher.batches[0]) == 6 and all(len(batch) == 1 for batch in watcher.batches[1:])
    attempts = {result.output: result.attempt for result, _ in watcher.results if result.status == "done"}
    assert attempts == {f"c0__s{number}.png": 2 for number in (0, 1, 2, 4, 5)}


@pytest.mark.gpu
def test_two_workers_share_a_gpu(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=2, styles=6)
    pipeline, watcher = ready(runs.write_pipeline(tmp_path, weights)), Watcher()
    assert run(pipeline, watcher, ("cuda:0", "cuda:0")).rendered == 12
    assert {slot for slot, _ in watcher.starts} == {0, 1}
    assert all(result.device.startswith("cuda:0") for result, _ in watcher.results) and not watcher.notes
    assert max(len(batch) for batch in watcher.batches) == 6
