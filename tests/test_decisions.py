"""Which tasks are to be rendered, and why."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest

from nst_batch.paths import RunPaths
from nst_batch.records import Weights
from tests.lines import CONTENT, MASK, START, STYLE, TWO, WEIGHTS, decision, done, failed, put, task, write


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


def test_done_needs_the_line_and_the_file(paths: RunPaths) -> None:
    assert (decision(paths, task()).state, decision(paths, task()).reason) == ("todo", "new")
    write(paths, (task(), done(task())))
    assert decision(paths, task()).reason == "output missing"
    put(paths, task(), b"other size")
    assert decision(paths, task()).reason == "output altered"
    put(paths, task())
    assert decision(paths, task()).state == "done"
    put(paths, task(), b"PICTURE")
    assert decision(paths, task()).state == "done"
    assert decision(paths, task(), verify=True).reason == "output altered"
    assert decision(paths, task(), force=True).reason == "forced"


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"style_weight": 5.0}, "settings changed", "style_weight: 3000000.0 -> 5.0"),
        ({"steps": 9, "size": 99}, "settings changed", "size: 512 -> 99, steps: 150 -> 9"),
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
