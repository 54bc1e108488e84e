"""The state of each task, and of a run while it goes on, from its folder alone."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from nst_batch.errors import UsageError
from nst_batch.paths import RunPaths
from nst_batch.pipeline import Choices, Pipeline, prepare
from nst_batch.planning.planned import read_plan
from nst_batch.recorded.history import read
from nst_batch.recorded.manifest import ManifestWriter
from nst_batch.recorded.status import STATES, states_of
from nst_batch.records import Failure, Task, TaskResult
from nst_batch.running.overview import Follower
from tests import runs


@pytest.fixture
def ready(tmp_path: Path) -> Pipeline:
    """Four tasks, planned, none of them done."""
    runs.make_pictures(tmp_path)
    file = runs.write_pipeline(tmp_path, tmp_path / "unused")
    found = prepare(file, {"weights": "random"}, Choices(), lambda _: None)
    with found.entered(print):
        return found


def counts(folder: Path) -> tuple[int, int, int, int]:
    """By looking as ``status`` does, and by what tables are made of; which agree."""
    paths = RunPaths(folder)
    states = Counter(STATES[number] for number in states_of(read_plan(paths), read(paths), paths)[0])
    seen = Follower(RunPaths(folder)).look()
    assert {state: states[state] for state in ("done", "failed", "todo")} == {
        "done": seen.done, "failed": seen.failed, "todo": seen.todo,
    }  # fmt: skip
    return seen.tasks, seen.done, seen.failed, seen.todo


def finish(ready: Pipeline, task: Task, *, error: str = "") -> None:
    """A picture in place and its line, or a line that says why not."""
    data = b"a picture"
    result = TaskResult(task.id, "done", task.output, bytes=len(data), finished="T1")
    if error:
        result = TaskResult(task.id, "failed", task.output, error=Failure("ImageError", error), finished="T1")
    else:
        ready.paths.output(task.output).write_bytes(data)
    writer = ManifestWriter(ready.paths)
    writer.append(task, result)
    writer.close()


def test_done_failed_and_left_are_counted(ready: Pipeline) -> None:
    root = ready.paths.root
    assert counts(root) == (4, 0, 0, 4)
    finish(ready, ready.tasks[0])
    finish(ready, ready.tasks[1], error="truncated")
    assert counts(root) == (4, 1, 1, 2)
    seen = Follower(RunPaths(root)).look()
    assert seen.failures == {ready.tasks[1].output: "truncated"} and seen.name == root.name


@pytest.mark.parametrize("damage", [b"", None], ids=["empty", "missing"])
def test_a_line_without_its_picture_is_not_done(ready: Pipeline, damage: bytes | None) -> None:
    finish(ready, ready.tasks[0])
    picture = ready.paths.output(ready.tasks[0].output)
    if damage is None:
        picture.unlink()
    else:
        picture.write_bytes(damage)
    assert counts(ready.paths.root) == (4, 0, 0, 4)


def test_what_other_settings_made_is_not_done(ready: Pipeline, tmp_path: Path) -> None:
    finish(ready, ready.tasks[0])
    changed = {"weights": "random", "transfer.steps": "6"}
    with prepare(tmp_path / "pipeline.yaml", changed, Choices(), print).entered(print):
        pass
    assert counts(ready.paths.root) == (4, 0, 0, 4)


def test_it_reads_beside_torn_lines_and_writes_nothing(ready: Pipeline) -> None:
    finish(ready, ready.tasks[0])
    (part,) = ready.paths.manifest.iterdir()
    part.write_bytes(part.read_bytes() + b'{"v":1,"ta')
    before = {path: path.read_bytes() for path in ready.paths.root.rglob("*") if path.is_file()}
    assert counts(ready.paths.root) == (4, 1, 0, 3)
    assert {path: path.read_bytes() for path in ready.paths.root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("plan", [None, "{", json.dumps({})[:1] + "\n"], ids=["none", "torn", "torn line"])
def test_a_folder_without_a_run_is_named(tmp_path: Path, plan: str | None) -> None:
    if plan is not None:
        (tmp_path / "plan.npz").write_text(plan)
    with pytest.raises(UsageError, match=str(tmp_path)):
        Follower(RunPaths(tmp_path))
