"""What the page is told of a run."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from nst_batch.errors import UsageError
from nst_batch.paths import RunPaths
from nst_batch.planning.planned import write_plan
from nst_batch.planning.task_table import TaskTable
from nst_batch.records import Source, Style
from nst_batch.report.gallery import gallery, text
from tests.lines import done, failed, put, task, write
from tests.report.made import HOSTILE, SCRIPT, Made, make_run


def source(path: str) -> Source:
    return Source(path, hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest(), 1)


def plan(paths: RunPaths, *tasks: Any) -> None:
    paths.root.mkdir(parents=True, exist_ok=True)
    write_plan(paths, TaskTable.of(tasks))


def shown_names(tmp_path: Path, *styles: tuple[str, ...]) -> list[str]:
    paths = RunPaths(tmp_path / "run")
    each = [
        task(f"{place}.png", styles=tuple(Style(source(path)) for path in names)) for place, names in enumerate(styles)
    ]
    plan(paths, *each)
    return [style["name"] for style in gallery(paths).values["styles"]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_run(tmp_path_factory.mktemp("made"), contents=("a.png", *HOSTILE), styles=("s.png", "t.png"), side=32)


@pytest.fixture(scope="module")
def values(made: Made) -> dict[str, Any]:
    return gallery(made.paths).values


# --- names ------------------------------------------------------------------------------------------------------------


def test_names_are_as_short_as_tells_them_apart(tmp_path: Path) -> None:
    found = shown_names(
        tmp_path, ("/a/wave.jpg",), ("/a/wave.png",), ("/b/sea.jpg",), ("/c/sea.jpg",), ("/d/sky.v2.jpg",)
    )
    assert found == ["wave.jpg", "wave.png", "b/sea", "c/sea", "sky.v2"]


def test_twins_in_folders_of_one_name_have_their_whole_paths(tmp_path: Path) -> None:
    assert shown_names(tmp_path, ("/x/a/s.jpg",), ("/y/a/s.jpg",)) == ["/x/a/s.jpg", "/y/a/s.jpg"]


def test_several_styles_are_one_column_with_all_their_names(tmp_path: Path) -> None:
    found = shown_names(tmp_path, ("/a/s.jpg", "/a/t.jpg"), ("/a/s.jpg",), ("/a/s.jpg", "/a/t.jpg"))
    assert found == ["s + t", "s"]


def test_many_twins_are_told_apart(tmp_path: Path) -> None:
    found = shown_names(tmp_path, *((f"/{place}/s.jpg",) for place in range(300)))
    assert found[299] == "299/s"


@pytest.mark.parametrize(
    ("name", "as_shown"),
    [
        ("plain name.png", "plain name.png"),
        ("naïve 😀 👩‍👩‍👧 “quotes”\u202fAM", "naïve 😀 👩‍👩‍👧 “quotes”\u202fAM"),
        ("caf\udce9", r"caf\xe9"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("a\x1b[31mb\x07\u2028c", r"a\x1b[31mb\x07\u2028c"),
        ("\ud800", r"\ud800"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_text_holds_nothing_that_does_more_than_be_read(name: str, as_shown: str) -> None:
    assert text(name) == as_shown
    assert text(name).encode()


def test_hostile_names_are_told_apart_and_are_text(made: Made, values: dict[str, Any]) -> None:
    paths = {content["paths"][0] for content in values["contents"]}
    assert len(paths) == len(HOSTILE) + 1 and any(path.endswith(SCRIPT) for path in paths)
    assert json.dumps(values).encode().decode() and not any("\n" in path for path in paths)
    assert Counter(picture["output"] for picture in values["pictures"]).most_common(1)[0][1] == 1


# --- links ------------------------------------------------------------------------------------------------------------


def test_links_lead_from_the_page_to_the_very_files(made: Made, values: dict[str, Any]) -> None:
    for item in (*values["contents"], *values["styles"], *values["pictures"]):
        if "href" not in item:
            assert item["state"] != "done"
            continue
        assert item["href"].isascii() and not set("<>\"'#? \n:") & set(item["href"])
        file = made.paths.root / os.fsdecode(unquote_to_bytes(item["href"]))
        assert file.is_file(), item["href"]


def test_links_hold_where_the_folder_was_reached_by_another_name(made: Made, tmp_path: Path) -> None:
    (tmp_path / "short").symlink_to(made.paths.root)
    (content, *_) = gallery(RunPaths(tmp_path / "short")).values["contents"]
    assert content["href"] == "../in/a.png"


# --- settings, axes ---------------------------------------------------------------------------------------------------


def test_axes_are_the_settings_in_which_pictures_differ(values: dict[str, Any]) -> None:
    assert {axis["name"]: axis["values"] for axis in values["axes"]} == {
        "strength": [0.4, 0.7],
        "style_scale": [1.0, 0.5],
    }
    assert {json.dumps(picture["point"], sort_keys=True) for picture in values["pictures"]} == {
        json.dumps({"strength": strength, "style_scale": scale}) for strength in (0.4, 0.7) for scale in (1.0, 0.5)
    }


def test_a_run_without_a_sweep_has_no_axes(tmp_path: Path) -> None:
    found = gallery(make_run(tmp_path, ("a.png", "b.png"), ("s.png",), sweep={}, side=32).paths).values
    assert found["axes"] == [] and not any("point" in picture for picture in found["pictures"])


def test_what_all_have_in_common_is_said_once(values: dict[str, Any]) -> None:
    assert values["settings"]["steps"] == values["defaults"]["steps"]
    assert not {"strength", "style_scale"} & values["settings"].keys()
    for picture in values["pictures"]:
        if picture["state"] == "done":
            assert picture["settings"] == picture["point"]


def test_what_earlier_plans_left_in_the_manifest_is_not_shown(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    now, before = task("a.png", steps=5), task("a.png", steps=7)
    plan(paths, now)
    put(paths, now)
    write(paths, (before, done(before, finished="2025-01-01")), (now, done(now)))
    found = gallery(paths).values
    assert found["settings"]["steps"] == 5 and found["pictures"][0]["settings"] == {}


# --- states -----------------------------------------------------------------------------------------------------------


def test_every_task_is_there_in_its_state(made: Made, values: dict[str, Any]) -> None:
    states = [picture["state"] for picture in values["pictures"]]
    assert values["counts"] == Counter(states) == Counter(made.states.values())
    assert min(values["counts"].values()) > 0 and len(states) == len(made.tasks)


def test_failures_have_reason_hint_and_attempt(values: dict[str, Any]) -> None:
    errors = [picture["error"] for picture in values["pictures"] if picture["state"] == "failed"]
    assert {"ImageError", "TooLarge", "WorkerDied"} == {error["type"] for error in errors}
    assert any("<img src=x" in error["message"] and "\n" in error["message"] for error in errors)
    assert {picture["attempt"] for picture in values["pictures"] if picture["state"] == "failed"} == {3}


def test_done_pictures_have_what_their_lines_say(values: dict[str, Any]) -> None:
    picture = next(picture for picture in values["pictures"] if picture["state"] == "done")
    assert picture["losses"]["total"] == pytest.approx(picture["curve"][-1][1], rel=1e-3)
    assert len(picture["terms"]) == 14 and {len(losses) for losses in picture["terms"].values()} == {32}
    assert picture["terms"]["style/conv1_1/4"][0] is None and picture["terms"]["style/conv1_1/4"][-1] > 0
    assert picture["scales"][-1][:2] == [picture["width"], picture["height"]]
    assert (picture["balance"]["ratio"], picture["device"], picture["peak_memory_bytes"]) == (3.1, "cpu", 812_345_678)


def test_numbers_have_no_more_digits_than_a_page_shows(values: dict[str, Any]) -> None:
    for picture in values["pictures"]:
        for losses in picture.get("terms", {}).values():
            assert all(loss is None or float(f"{loss:.4g}") == loss for loss in losses)


def test_a_missing_picture_is_to_be_rendered_and_its_losses_are_not_shown(tmp_path: Path) -> None:
    paths, each = RunPaths(tmp_path), task("a.png")
    plan(paths, each)
    write(paths, (each, done(each)))
    (picture,) = gallery(paths).values["pictures"]
    assert picture["state"] == "todo" and "losses" not in picture and "href" not in picture


def test_broken_lines_are_counted(tmp_path: Path) -> None:
    paths, each = RunPaths(tmp_path), task("a.png")
    plan(paths, each)
    part = write(paths, (each, failed(each)))
    part.write_bytes(part.read_bytes() + b'{"v": 1, "task": "torn')
    found = gallery(paths).values
    assert found["skipped"] == 1 and found["pictures"][0]["state"] == "failed"


def test_a_plan_alone_is_shown(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    plan(paths, task("a.png"), task("b.png", steps=3))
    found = gallery(paths, live=True).values
    assert found["counts"] == {"done": 0, "failed": 0, "todo": 2} and found["live"] and found["weights"] == []
    assert found["settings"] == {} and found["defaults"]["steps"]


def test_a_folder_where_no_run_was_started_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run has been started here"):
        gallery(RunPaths(tmp_path))


# --- samples ----------------------------------------------------------------------------------------------------------


def test_a_sample_says_of_what_and_counts_all(made: Made, values: dict[str, Any]) -> None:
    found = gallery(made.paths, most=12).values
    assert values["sample"] is None
    assert found["sample"] == {"pictures": len(made.tasks), "contents": len(HOSTILE) + 1, "styles": 2}
    assert found["counts"] == values["counts"] and len(found["pictures"]) == 12
    assert len(found["contents"]) == len({picture["content"] for picture in found["pictures"]}) > 4
    every = {picture["output"]: picture for picture in values["pictures"]}
    for picture in found["pictures"]:
        whole = every[picture["output"]]
        assert {key: picture.get(key) for key in ("losses", "state", "task")} == {
            key: whole.get(key) for key in ("losses", "state", "task")
        }


def test_a_failure_of_a_sample_says_how_many_are_like_it(made: Made) -> None:
    found = gallery(made.paths, most=12).values
    failed = [picture["error"] for picture in found["pictures"] if picture["state"] == "failed"]
    assert failed and all(1 <= error["alike"] <= made.count("failed") for error in failed)
    assert not any("alike" in each.get("error", {}) for each in gallery(made.paths).values["pictures"])
