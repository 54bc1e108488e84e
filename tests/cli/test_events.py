"""A run as events for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nst_batch.cli import events
from nst_batch.cli.events import EventLog
from nst_batch.paths import RunPaths
from tests import runs
from tests.runs import here
from tests.watched import decision, done, failed, progress, tally


def told(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_is_events_from_its_first_word_to_its_last(tmp_path: Path) -> None:
    runs.make_pictures(tmp_path, contents=1, styles=1)
    (tmp_path / "content" / "letter.jpg").write_text("Dear diary")
    file = runs.write_pipeline(tmp_path, runs.save_weights(tmp_path / "vgg.pth"))
    ended = here("run", file, "--log-json", "--json")
    assert ended.code == 1 and ended.out.count("\n") == 1
    found = told(ended.err)
    assert all(set(each) >= {"event", "time"} for each in found)
    names = [each["event"] for each in found if each["event"] not in ("note", "progress")]
    assert sorted(names) == sorted(
        ["run_started", *2 * ["task_started"], "task_finished", "task_failed", "run_finished"]
    )
    by_name = {each["event"]: each for each in found}
    first, last = by_name["run_started"], by_name["run_finished"]
    assert (first["name"], first["rendering"], first["folder"]) == ("night", 2, str(tmp_path / "out"))
    assert {key: last[key] for key in ended.json} == ended.json and last["interrupted"] is False
    finished = by_name["task_finished"]
    assert Path(finished["file"]).stat().st_size == finished["bytes"] and finished["evaluations"] == 5
    assert finished["losses"]["total"] > 0 and finished["seconds"] > 0 and finished["output"] == "c0__s0.png"
    failure = by_name["task_failed"]
    assert failure["final"] and failure["error"]["type"] == "ImageError" and failure["error"]["hint"]
    again = told(here("run", file, "--log-json").err)
    assert [each["event"] for each in again] == ["run_finished"]


def test_errors_are_events_too(tmp_path: Path) -> None:
    ended = here("run", tmp_path / "gone.yaml", "--log-json")
    (error,) = told(ended.err)
    assert ended.code == 2 and error["event"] == "error" and "gone.yaml" in error["message"]
    (tmp_path / "bad.yaml").write_text("stile: x\n")
    (error,) = told(here("run", tmp_path / "bad.yaml", "--log-json").err)
    assert len(error["mistakes"]) > 1
    assert '"event"' not in here("run", tmp_path / "gone.yaml").err, "the next command speaks as it is told to"


def test_progress_is_told_at_an_interval(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("nst_batch.cli.events.time.monotonic", lambda: now[0])
    state = tally(decision("a", 1), decision("b", 1))
    log = EventLog(state, RunPaths(Path("out")))
    for each in (state, log):
        each.started(0, "cpu", [decision("a", 1)])
        each.progressed(0, progress("a", step=50))
    for _ in range(25):
        now[0] += 1
        log.tick()
    found = told(capsys.readouterr().err)
    assert [each["event"] for each in found] == ["task_started", "progress", "progress"]
    assert found[1]["workers"][0]["step"] == 50 and found[1]["fraction"] == 0.25 and found[1]["total"] == 2
    assert events.PROGRESS_SECONDS == 10


def test_what_others_do_and_what_is_tried_again_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    log = EventLog(tally(decision("a", 1)), RunPaths(Path("out")))
    log.finished(0, failed("a"), final=False)
    log.finished(0, done("a", attempt=2), final=True)
    log.elsewhere(decision("b", 1))
    log.note("a\nnote")
    first, second, third, fourth = told(capsys.readouterr().err)
    assert (first["final"], second["attempt"], second["file"]) == (False, 2, "out/a.png")
    assert (third["event"], third["output"], fourth["text"]) == ("task_elsewhere", "b.png", "a\nnote")
