"""What writers say of what they do: whole files, cheap, and never in a run's way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nst_batch.paths import RunPaths
from nst_batch.recorded.writers import entered
from nst_batch.running import live
from nst_batch.running.live import LiveFile, bury, read
from tests.watched import Clock, Foretold, decision, done, progress, tally


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


def test_a_writer_says_what_it_does_until_it_leaves(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "WRITE_SECONDS", 0.0)
    monkeypatch.setattr(live, "PATIENCE", 0.0)
    clock = Clock()
    state = tally(decision("a\udcff", 30), decision("b", 10), foretold=Foretold({"b": 3.0}), clock=clock, skipped=4)
    with LiveFile(paths, "w1", state) as file:
        (begun,) = read(paths)
        assert (begun.writer, begun.ended, begun.state.total, begun.state.skipped) == ("w1", False, 2, 4)
        state.started(0, "cpu", [decision("a\udcff", 30)])
        clock.now += 6
        state.progressed(0, progress("a\udcff", step=50))
        file.tick()
        (now,) = read(paths)
        assert now.state == state.state() and now.state.workers[0].outputs == ("a\udcff.png",)
        assert now.updated >= now.begun == begun.begun
        state.finished(0, done("a\udcff"), final=True)
    (last,) = read(paths)
    assert last.ended and last.state.rendered == 1


def test_it_is_written_now_and_then_and_less_often_where_that_takes_long(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, cost, written = [0.0], [0.0], []

    def write(*_: object, durable: bool) -> None:
        assert not durable, "nobody waits for a disk"
        written.append(now[0])
        now[0] += cost[0]

    monkeypatch.setattr(live, "write_atomic", write)
    monkeypatch.setattr("nst_batch.running.live.time.monotonic", lambda: now[0])
    with LiveFile(paths, "w1", tally(decision("a", 1))) as file:
        for _ in range(40):
            now[0] += 0.25
            file.tick()
        assert written == [0, 2, 4, 6, 8, 10]
        cost[0] = 1.0
        for _ in range(300):
            now[0] += 0.25
            file.tick()
    assert len(written) == 6 + 3, "two in 75 s, and one at the end"


def test_what_cannot_be_written_is_old_and_no_more(paths: RunPaths) -> None:
    paths.root.mkdir()
    paths.state.write_text("a file where a folder should be")
    with LiveFile(paths, "w1", tally(decision("a", 1))) as file:
        file.tick()
    assert read(paths) == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"state": {}}', '{"state": {"workers": [1]}}', "null", '{"state": null}']
)
def test_what_is_no_word_of_a_writer_is_passed_over(paths: RunPaths, text: str) -> None:
    with LiveFile(paths, "w1", tally(decision("a", 1))):
        paths.live("w0").write_text(text)
        assert [each.writer for each in read(paths)] == ["w1"]


def test_numbers_are_numbers_and_what_is_new_is_passed_over(paths: RunPaths) -> None:
    with LiveFile(paths, "w1", tally(decision("a", 1))):
        written = json.loads(paths.live("w1").read_bytes())
    written["state"]["invented"] = written["invented"] = "later"
    paths.live("w1").write_text(json.dumps(written))
    assert len(read(paths)) == 1
    written["state"]["seconds_left"] = "soon"
    paths.live("w1").write_text(json.dumps(written))
    assert read(paths) == []


def test_files_of_those_that_left_or_died_are_cleared_away(paths: RunPaths) -> None:
    with entered(paths) as writer:
        for name in (writer.name, "dead"):
            with LiveFile(paths, name, tally(decision("a", 1))):
                pass
        bury(paths, writer.is_alive)
        assert [each.writer for each in read(paths)] == [writer.name]
    bury(RunPaths(paths.root / "nowhere"), lambda _: False)
