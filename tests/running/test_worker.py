"""The process around a renderer: what it says, and when it leaves."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from nst_batch.pipeline import Choices, prepare
from nst_batch.planning.task_table import TaskTable
from nst_batch.running.messages import Broken, Finished, Job, Jobs, Progress, Ready, Soon, Stop, WorkerOptions
from nst_batch.running.worker import main
from tests import runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("worker")
    runs.make_pictures(root, contents=2, styles=1)
    runs.write_pipeline(root, runs.save_weights(root / "vgg.pth"), transfer__steps=4)
    return root


@pytest.fixture
def tasks(folder: Path) -> TaskTable:
    return prepare(folder / "pipeline.yaml", {}, Choices(), print).tasks


@pytest.fixture
def worker(folder: Path, tasks: TaskTable) -> Iterator[tuple[Any, BaseProcess]]:
    here, process = started(WorkerOptions(folder / "out", tasks[0].weights, threads=1))
    yield here, process
    process.kill()
    process.join()


def started(options: WorkerOptions, room: int | None = None) -> tuple[Any, BaseProcess]:
    """A worker in a process of its own; ``room`` is the address space that it may have."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=run_main, args=(there, options, room))
    process.start()
    there.close()
    return here, process


def run_main(pipe: Any, options: WorkerOptions, room: int | None) -> None:
    """``main``, perhaps where not even the network's weights fit beside what is there already."""
    if room is not None:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + room, size + room))
    main(pipe, options, "cpu")


def heard(pipe: Any, kind: type) -> Any:
    """The next message of a kind; all before it may only be progress."""
    while pipe.poll(runs.PATIENCE_SECONDS):
        message = pipe.recv()
        if isinstance(message, kind):
            return message
        assert isinstance(message, Progress | Ready)
    raise AssertionError(f"waited in vain for {kind}")


def test_jobs_come_in_and_results_go_out(worker: tuple[Any, BaseProcess], folder: Path, tasks: TaskTable) -> None:
    pipe, process = worker
    assert heard(pipe, Ready) == Ready(0)
    pipe.send(Soon(tuple(tasks)))
    pipe.send(Jobs((tuple(Job(task) for task in tasks),)))
    assert heard(pipe, Progress).steps == 4
    finished = [heard(pipe, Finished) for _ in tasks]
    results = [each.result for each in finished]
    assert sorted((each.output, each.status) for each in results) == [(task.output, "done") for task in tasks]
    assert all((folder / "out" / each.output).stat().st_size == each.bytes for each in results)
    lines = [json.loads(each.line) for each in finished]
    assert [line["sha256"] for line in lines] == [each.sha256 for each in results]
    assert all(line["curve"] and line["terms"] for line in lines)
    pipe.close()
    process.join(runs.PATIENCE_SECONDS)
    assert process.exitcode == 0


def test_signals_are_not_its_business_and_stop_is(worker: tuple[Any, BaseProcess]) -> None:
    pipe, process = worker
    heard(pipe, Ready)
    assert process.pid is not None
    for sign in (signal.SIGINT, signal.SIGTERM):
        os.kill(process.pid, sign)
    pipe.send(Stop())
    process.join(runs.PATIENCE_SECONDS)
    assert process.exitcode == 0


def test_a_worker_without_room_for_its_network_says_so(folder: Path, tasks: TaskTable) -> None:
    pipe, process = started(WorkerOptions(folder / "out", tasks[0].weights, threads=1), room=40 << 20)
    broken = heard(pipe, Broken)
    process.join(runs.PATIENCE_SECONDS)
    assert "memory does not hold the network" in broken.message and broken.hint and process.exitcode == 0
