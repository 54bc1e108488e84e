"""In what a task differs from what was rendered under its name."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from nst_batch.paths import RunPaths
from nst_batch.planning.task_table import TaskTable
from nst_batch.recorded import changes, gathering
from nst_batch.recorded.changes import ALGORITHM, INPUT, SETTINGS_CHANGED, Changes, what_changed
from nst_batch.recorded.history import read
from nst_batch.recorded.lines import WholeLines
from nst_batch.recorded.manifest import line
from nst_batch.records import Style, Task, Weights
from nst_batch.settings import SETTINGS
from tests.lines import CONTENT, MASK, START, STYLE, TWO, WEIGHTS, done, task
from tests.planning.test_ids import other_value

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "another content": {"content": dataclasses.replace(CONTENT, digest="9" * 64)},
    "another style": {"style": dataclasses.replace(STYLE, digest="9" * 64)},
    "both exchanged": {"content": STYLE, "style": CONTENT},
    "a mask": {"content": dataclasses.replace(CONTENT, mask=MASK)},
    "a mask of the style": {"style": dataclasses.replace(STYLE, mask=MASK)},
    "masks that do not count": {"masks": False},
    "two styles": {"styles": TWO},
    "two styles the other way": {"styles": TWO[::-1]},
    "another share": {"styles": (Style(STYLE, 3.0), TWO[1])},
    "a region": {"styles": (Style(STYLE, 1.0, "#ff0000"),)},
    "a start": {"start": START, "init": "file"},
    "another start": {"start": dataclasses.replace(START, digest="9" * 64), "init": "file"},
    "other weights": {"weights": Weights("random", "8" * 64)},
    "weights fed otherwise": {"weights": dataclasses.replace(WEIGHTS, format="caffe")},
    "other settings": {"steps": 3},
    "a setting of later": {"history_precision": "bf16"},
    "other settings and weights": {"steps": 3, "weights": Weights("random", "8" * 64)},
}  # fmt: skip


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path)


def bulk(paths: RunPaths, now: Task, *records: dict[str, Any]) -> list[str]:
    """The reason why a task is another than each of these, without reading lines again."""
    paths.manifest.mkdir(exist_ok=True)
    named = [json.dumps({**record, "output": f"{number}.png"}) for number, record in enumerate(records)]
    (paths.manifest / "a.jsonl").write_text("".join(f"{text}\n" for text in named))
    history, table = read(paths), TaskTable.of([now])
    assert len(history.rendered) == len(records)
    found = Changes(table, history.rendered, WholeLines(paths.manifest))
    return [found.reason(0, row) for row in range(len(records))]


def record(each: Task) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line(each, done(each)))
    return found


@pytest.mark.parametrize("most", [4096, 1, 0])
@pytest.mark.parametrize("now", KINDS)
def test_the_reason_is_that_of_a_close_look(
    paths: RunPaths, now: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of however many settings."""
    monkeypatch.setattr(gathering, "_MOST_KINDS", most)
    records = [record(task(**more)) for more in KINDS.values()]
    each = task(**KINDS[now])
    expected = [what_changed(each, before)[0] for before in records]
    assert bulk(paths, each, *records) == expected
    assert expected[list(KINDS).index(now)] == ALGORITHM  # nothing differs
    if now == "plain":
        assert expected == [
            ALGORITHM,
            *[INPUT] * 5,
            SETTINGS_CHANGED,
            *[INPUT] * 6,
            *[changes.WEIGHTS] * 2,
            *[SETTINGS_CHANGED] * 2,
            changes.WEIGHTS,
        ]


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "init"])
def test_each_setting_is_named_with_what_it_was(paths: RunPaths, name: str) -> None:
    value = other_value(name, SETTINGS[name].default)
    before, now = record(task()), task(**{name: value})
    reason, detail = what_changed(now, before)
    assert reason == SETTINGS_CHANGED and detail.startswith(f"{name}: ") and " -> " in detail
    assert bulk(paths, now, before, record(now)) == [SETTINGS_CHANGED, ALGORITHM]


def test_settings_that_came_later_were_what_they_are_by_default(paths: RunPaths) -> None:
    later = [name for name, item in SETTINGS.items() if item.metadata.get("added")]
    before = record(task())
    for name in later:
        before["settings"].pop(name)
    assert later and what_changed(task(), before)[0] == ALGORITHM
    changed = task(history_precision="bf16")
    assert what_changed(changed, before) == (SETTINGS_CHANGED, "history_precision: fp32 -> bf16")
    assert bulk(paths, changed, before) == [SETTINGS_CHANGED] and bulk(paths, task(), before) == [ALGORITHM]


def test_settings_that_are_no_more_and_those_of_before_are_named(paths: RunPaths) -> None:
    before = record(task())
    before["settings"].pop("steps")
    before["settings"]["gone"] = [1]
    assert what_changed(task(), before) == (SETTINGS_CHANGED, "gone: [1] -> unset, steps: unset -> 120")
    assert bulk(paths, task(), before) == [SETTINGS_CHANGED]


def test_weights_without_a_format_are_those_of_torchvision(paths: RunPaths) -> None:
    before = record(task())
    before["weights"].pop("format")
    assert what_changed(task(), before)[0] == ALGORITHM and bulk(paths, task(), before) == [ALGORITHM]


def test_looking_changes_nothing_that_is_remembered(paths: RunPaths) -> None:
    before = record(task())
    paths.manifest.mkdir()
    (paths.manifest / "a.jsonl").write_text(json.dumps(before) + "\n")
    history = read(paths)
    kinds = list(history.rendered.weights_kinds.values)
    Changes(TaskTable.of([task(weights=Weights("x", "5" * 64))]), history.rendered, WholeLines(paths.manifest))
    assert history.rendered.weights_kinds.values == kinds


def test_of_a_line_that_has_gone_no_reason_is_told(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "_MOST_KINDS", 0)
    paths.manifest.mkdir()
    (paths.manifest / "a.jsonl").write_text(json.dumps(record(task())) + "\n")
    history = read(paths)
    for data in (b"{}\n", None):
        if data is None:
            (paths.manifest / "a.jsonl").unlink()
        else:
            (paths.manifest / "a.jsonl").write_bytes(data)
        assert (
            Changes(TaskTable.of([task(steps=3)]), history.rendered, WholeLines(paths.manifest)).reason(0, 0)
            == ALGORITHM
        )
