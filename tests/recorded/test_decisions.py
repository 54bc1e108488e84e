"""Which tasks are to be rendered, and why."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_batch.paths import RunPaths
from nst_batch.recorded import decisions, gathering
from nst_batch.recorded.changes import what_changed
from nst_batch.recorded.decisions import Decision, decide, decide_now
from nst_batch.recorded.history import read
from nst_batch.recorded.lines import WholeLines
from nst_batch.records import Task, Weights
from tests import runs
from tests.lines import CONTENT, MASK, START, STYLE, TWO, WEIGHTS, decision, done, failed, put, task, write
from tests.scenarios import asked, happen


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


def test_done_needs_the_line_and_the_file(paths: RunPaths) -> None:
    assert (decision(paths, task()).state, decision(paths, task()).reason) == ("todo", "new")
    write(paths, (task(), done(task())))
    assert decision(paths, task()).reason == "output missing"
    put(paths, task(), b"other size")
    assert (decision(paths, task()).state, decision(paths, task()).reason) == ("done", "altered, kept")
    put(paths, task(), b"")
    assert (decision(paths, task()).state, decision(paths, task()).reason) == ("todo", "output missing")
    put(paths, task())
    assert decision(paths, task()).state == "done"
    put(paths, task(), b"PICTURE")
    assert decision(paths, task()).state == "done"
    assert (decision(paths, task(), verify=True).state, decision(paths, task(), verify=True).reason) == (
        "done",
        "altered, kept",
    )
    assert decision(paths, task(), force=True).reason == "forced"


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"style_weight": 5.0}, "settings changed", "style_weight: 1.0 -> 5.0"),
        ({"steps": 9, "size": 99}, "settings changed", "size: 512 -> 99, steps: 120 -> 9"),
        ({"content": dataclasses.replace(CONTENT, digest="9" * 64)}, "input changed", "content c.png"),
        ({"style": dataclasses.replace(STYLE, digest="9" * 64)}, "input changed", "style s.png"),
        ({"weights": Weights("random", "8" * 64)}, "weights changed", "now random"),
    ],
)
def test_what_has_changed_is_named(paths: RunPaths, changes: dict[str, Any], reason: str, detail: str) -> None:
    write(paths, (task(), done(task())))
    put(paths, task())
    found = decision(paths, task(**changes))
    assert (found.state, found.reason, found.detail) == ("todo", reason, detail)


def test_going_back_to_old_settings_renders_again(paths: RunPaths) -> None:
    """The old line is still there, and another picture, of the same size, stands under the name."""
    old, new = task(steps=1), task(steps=2)
    write(paths, (old, done(old, finished="T1")), (new, done(new, finished="T2")))
    put(paths, new)
    assert decision(paths, new).state == "done"
    assert decision(paths, old).reason == "settings changed"


def test_a_failure_that_cannot_pass_is_given_up_until_asked(paths: RunPaths) -> None:
    write(paths, (task(), failed(task())))
    found = decision(paths, task())
    assert (found.state, found.reason) == ("failed", "failed") and "ImageError happened" in found.detail
    assert decision(paths, task(), retry_failed=True).state == "todo"
    assert decision(paths, task(), force=True).reason == "forced"


def test_a_failure_that_may_pass_is_tried_as_often_as_told(paths: RunPaths) -> None:
    for count in (1, 2):
        write(paths, (task(), failed(task(), "OSError")))
        found = decision(paths, task(), retries=2)
        assert (found.state, found.attempts) == ("todo", count) and found.detail.startswith(f"{count} of 3")
    write(paths, (task(), failed(task(), "OSError")))
    assert decision(paths, task(), retries=2).state == "failed"


def test_two_dead_workers_are_a_quarantine(paths: RunPaths) -> None:
    write(paths, (task(), failed(task(), "WorkerDied")))
    assert decision(paths, task(), retries=9).state == "todo"
    write(paths, (task(), failed(task(), "WorkerDied")))
    found = decision(paths, task(), retries=9)
    assert (found.state, found.reason) == ("failed", "quarantined")


def test_failures_before_a_success_are_forgotten(paths: RunPaths) -> None:
    write(paths, (task(), failed(task(), "OSError", finished="T1")), (task(), done(task(), finished="T2")))
    assert decision(paths, task()).reason == "output missing"


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_failures_count_from_the_last_success_whatever_the_order_of_parts(
    paths: RunPaths, order: tuple[int, ...]
) -> None:
    results = [
        failed(task(), "OSError", finished="T1"),
        done(task(), finished="T2"),
        failed(task(), "OSError", finished="T3"),
        failed(task(), "ImageError", finished="T4"),
    ]
    for name, result in zip(order, results, strict=True):
        write(paths, (task(), result)).rename(paths.manifest / f"{name}.jsonl")
    found = decision(paths, task(), retries=5)
    assert (found.state, found.reason, found.attempts) == ("failed", "failed", 2)
    assert found.detail == "ImageError happened"


def test_a_quarantined_task_is_tried_when_asked(paths: RunPaths) -> None:
    write(paths, *[(task(), failed(task(), "WorkerDied"))] * 2)
    assert decision(paths, task()).detail.startswith("2 workers died with it")
    found = decision(paths, task(), retry_failed=True)
    assert (found.state, found.reason) == ("todo", "quarantined")


def test_retrying_failures_leaves_alone_what_is_done(paths: RunPaths) -> None:
    write(paths, (task(), done(task())))
    put(paths, task())
    assert decision(paths, task(), retry_failed=True).state == "done"
    assert decision(paths, task("b.png"), retry_failed=True).reason == "new"


def test_outputs_in_folders_are_found(paths: RunPaths) -> None:
    each = task("a/b/c.png")
    write(paths, (each, done(each)))
    put(paths, each)
    assert decision(paths, each).state == "done"
    paths.output("a/b/c.png").rename(paths.output("a/c.png"))
    assert decision(paths, each).reason == "output missing"


def test_a_folder_under_the_outputs_name_is_no_output(paths: RunPaths) -> None:
    write(paths, (task(), done(task())))
    paths.output("c__s.png").mkdir(parents=True)
    assert decision(paths, task()).reason == "output missing"


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"content": dataclasses.replace(CONTENT, mask=dataclasses.replace(MASK, digest="9" * 64))}, "mask of content"),
        ({"content": CONTENT}, "mask of content"),
        ({"styles": (TWO[0], dataclasses.replace(TWO[1], weight=5.0))}, "share of style 2"),
        ({"styles": (TWO[0], dataclasses.replace(TWO[1], region=""))}, "share of style 2"),
        ({"styles": (TWO[1], TWO[0])}, "style t.png"),
        ({"start": dataclasses.replace(START, digest="9" * 64)}, "start"),
        ({"start": None}, "start"),
    ],
)
def test_a_change_of_an_unusual_input_is_named(paths: RunPaths, changes: dict[str, Any], detail: str) -> None:
    content = dataclasses.replace(CONTENT, mask=MASK)
    usual: dict[str, Any] = {"content": content, "styles": TWO, "start": START, "init": "file"}
    before, now = task(**usual), task(**{**usual, **changes})
    put(paths, before)
    write(paths, (before, done(before)))
    found = decision(paths, now)
    assert (found.state, found.reason) == ("todo", "input changed") and detail in found.detail


def test_weights_fed_in_another_way_are_other_weights(paths: RunPaths) -> None:
    before, now = task(), task(weights=dataclasses.replace(WEIGHTS, format="caffe"))
    put(paths, before)
    write(paths, (before, done(before)))
    assert decision(paths, now).reason == "weights changed"


def _altered(data: bytes | None, record: dict[str, Any] | None, *, verify: bool) -> str:
    if not data or record is None:
        return ""
    if len(data) != record["bytes"]:
        return f"{len(data)} bytes, {record['bytes']} recorded"
    other = verify and hashlib.sha256(data).hexdigest() != record["sha256"]
    return "same size, other bytes" if other else ""


def one_by_one(paths: RunPaths, each: Task, retries: int = 2, **options: bool) -> Decision:
    """What is to be done with a task, by nothing but the lines that speak of it."""
    lines = runs.lines(paths.root)
    about = [line for line in lines if line["task"] == each.id]
    last_done = max((line["finished"] for line in about if line["status"] == "done"), default="")
    told = sorted((line for line in about if line["status"] == "failed"), key=lambda line: str(line["finished"]))
    tried = [line["error"] for line in told if line["finished"] > last_done]
    put_there = [line for line in lines if line["status"] == "done" and line["output"] == each.output]
    before = max(put_there, key=lambda line: line["finished"], default=None)
    file = paths.output(each.output)
    data = file.read_bytes() if file.is_file() else None
    why: tuple[str, str] | None = None
    altered = _altered(data, before, verify=options.get("verify", False))
    if before is None:
        why = "new", ""
    elif before["task"] != each.id:
        why = what_changed(each, before)
    elif data is None or len(data) != before["bytes"]:
        why = "output missing", each.output
    if options.get("force"):
        return Decision(each, "todo", "forced")
    if altered:
        return Decision(each, "done", "altered, kept", altered)
    if why is None:
        return Decision(each, "done")
    if not tried:
        return Decision(each, "todo", *why)
    error, deaths = tried[-1], sum(error["type"] == "WorkerDied" for error in tried)
    count = f"{len(tried)} of {retries + 1}: {error['message']}" if error["transient"] else error["message"]
    given_up = not error["transient"] or len(tried) > retries or deaths >= 2
    if deaths >= 2:
        count = f"{deaths} workers died with it: {error['message']}"
    state = "failed" if given_up and not options.get("retry_failed") else "todo"
    return Decision(each, state, "quarantined" if deaths >= 2 else "failed", count, len(tried), error["hint"])


OPTIONS: tuple[dict[str, bool], ...] = ({}, {"verify": True}, {"force": True}, {"retry_failed": True})


def test_all_at_once_and_one_by_one_the_same_is_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    met = Counter[str]()
    for seed in range(40):
        paths, numbers = RunPaths(tmp_path / str(seed)), random.Random(seed)
        monkeypatch.setattr(gathering, "_MOST_KINDS", 2 if seed % 2 else 4096)
        happen(paths, numbers)
        tasks = asked(numbers)
        for options in OPTIONS:
            found = decide(tasks, read(paths), paths, retries=2, **options)
            expected = [one_by_one(paths, each, **options) for each in found.tasks]
            assert list(found) == expected
            met.update(each.reason for each in expected)
            assert found.counts() == {
                state: sum(each.state == state for each in expected) for state in ("done", "failed", "todo")
            }
            todo = [each for each in expected if each.state == "todo"]
            assert list(found.only("todo")) == todo and list(found.but("todo")) == [
                e for e in expected if e.state != "todo"
            ]
            assert found.counts_of_reasons() == Counter(each.reason for each in todo)
            assert list(found.counts_of_reasons()) == list(dict.fromkeys(each.reason for each in todo))
            assert list(found[1:7:2]) == expected[1:7:2] and found[-1] == expected[-1]
        history = read(paths)
        now = [decide_now(each, history, paths, retries=2) for each in found.tasks]
        assert now == [one_by_one(paths, each) for each in found.tasks]
    assert set(met) == set(decisions.REASONS), set(decisions.REASONS) - set(met)


def test_many_details_are_read_from_files_that_are_opened_once(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [task(f"{number}.png", steps=number + 1) for number in range(30)]
    for some in (tasks[:10], tasks[10:]):
        write(paths, *((each, done(each)) for each in some))
    history, opened = read(paths), list[Path]()
    real: Any = Path.open

    def counted(path: Path, *how: str) -> Any:
        opened.append(path)
        return real(path, *how)

    monkeypatch.setattr(Path, "open", counted)
    found = decide([task(each.output, steps=99) for each in tasks], history, paths, retries=2)
    assert [each.detail for each in found] == [f"steps: {number + 1} -> 99" for number in range(30)]
    assert [each.detail for each in found.only("todo")[5:7]] == ["steps: 6 -> 99", "steps: 7 -> 99"]
    assert len(opened) == 2


def test_no_tasks_and_a_run_of_nothing(paths: RunPaths) -> None:
    for _ in range(2):
        found = decide([], read(paths), paths, retries=2, verify=True)
        assert (list(found), found.counts(), found.counts_of_reasons()) == ([], {"done": 0, "failed": 0, "todo": 0}, {})
        assert not found.only("todo") and not found[:5]
        write(paths, (task(), done(task())), (task(), failed(task())))


def test_ids_are_compared_where_hashes_of_names_are_equal(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another picture is never taken for one that is done: at worst it is rendered again."""
    monkeypatch.setattr("nst_batch.columns.Strings.hashes", lambda self: np.zeros(len(self), np.int64))
    one, other = task("a.png", steps=1), task("b.png", steps=2)
    write(paths, (one, done(one)))
    put(paths, one)
    assert decision(paths, other).state == "todo"


def test_what_was_merged_meanwhile_is_said_without_details(paths: RunPaths) -> None:
    part = write(paths, (task(), done(task())))
    history = read(paths)
    part.unlink()
    found = decide([task(steps=3)], history, paths, retries=2)[0]
    assert (found.state, found.reason, found.detail) == ("todo", "settings changed", "")
    assert decide_now(task(steps=3), history, paths, retries=2).state == "todo"
    with pytest.raises(OSError):
        WholeLines(paths.manifest).at(history.rendered["c__s.png"].place)
