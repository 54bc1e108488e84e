"""What elements say of themselves, and what Slurm says of them."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from nst_batch.cluster import elements as module
from nst_batch.cluster.elements import FRUITLESS, Diary, Element, elements, is_at_work
from nst_batch.cluster.slurm import Position
from nst_batch.cluster.submission import Submitted
from nst_batch.paths import RunPaths, SubmissionPaths
from nst_batch.planning.shares import Part
from nst_batch.recorded.compaction import compact
from nst_batch.recorded.manifest import line
from nst_batch.recorded.writers import STALE_SECONDS
from tests import lines
from tests.cluster.programs import Programs


def place(index: int = 0, restarts: int = 0, job: str = "12") -> Position:
    return Position(job, f"{job}_{index}", index, Part(index, 3), restarts, "node1")


@pytest.fixture
def paths(tmp_path: Path) -> SubmissionPaths:
    """Job 12, with three elements."""
    made = SubmissionPaths(tmp_path / "run" / "submissions" / "s")
    made.root.mkdir(parents=True)
    made.job.write_text(json.dumps(asdict(Submitted("12", 3, 1, 60, "2026-11-23T10:00:00"))))
    return made


def shown(paths: SubmissionPaths) -> list[Element]:
    ((_, found),) = elements(paths.run)
    return found


def lives(run: RunPaths, writer: str, *, since: float = 0.0) -> None:
    run.writers.mkdir(parents=True, exist_ok=True)
    run.writer(writer).touch()
    past = run.writer(writer).stat().st_mtime - since
    os.utime(run.writer(writer), (past, past))


def test_an_element_remembers_all_its_starts(paths: SubmissionPaths) -> None:
    first = Diary(paths, place())
    first.begin("w1")
    first.end("requeued", "SIGUSR1", moved=True)
    again = Diary(paths, place(restarts=1))
    again.begin("w2")
    paths.run.manifest.mkdir()
    paths.run.part("w1").write_text('{"status":"done"}\n{"status":"failed"}\n')
    paths.run.part("w1.2").write_text('{"status":"done"}\n')
    paths.run.part("w2").write_text('{"status":"done"}\n{"torn')
    again.end("done", "", moved=True)
    assert shown(paths)[0] == Element(0, "done", "node1", 1, 3, "")


def test_pictures_count_though_their_parts_were_merged(paths: SubmissionPaths) -> None:
    Diary(paths, place()).begin("w1")
    each = [lines.task(f"{n}.png", steps=n + 1) for n in range(3)]
    paths.run.manifest.mkdir()
    paths.run.part("w1").write_bytes(line(each[0], lines.done(each[0])) + line(each[1], lines.failed(each[1])))
    paths.run.part("w10").write_bytes(line(each[2], lines.done(each[2])))
    compact(paths.run)
    paths.run.part("w1.2").write_bytes(line(each[2], lines.done(each[2])))
    assert shown(paths)[0].pictures == 2 and not paths.run.part("w1").exists()


def test_another_job_over_the_same_folder_begins_anew(paths: SubmissionPaths) -> None:
    """Somebody submits the script by hand."""
    Diary(paths, place()).begin("w1")
    Diary(paths, place(job="99")).begin("w2")
    assert json.loads(paths.element(0).read_text())["writers"] == ["w2"]


def test_after_some_restarts_without_a_step_it_gives_up(paths: SubmissionPaths) -> None:
    for number in range(FRUITLESS):
        diary = Diary(paths, place(restarts=number))
        assert diary.may_go_on
        diary.begin(f"w{number}")
        diary.end("requeued", "SIGUSR1", moved=False)
    assert not diary.may_go_on
    diary.correct("left", "SIGUSR1; not requeued")
    assert not diary.may_go_on and shown(paths)[0].state == "left"
    diary.end("requeued", "SIGUSR1", moved=True)
    assert diary.may_go_on


def test_outside_a_job_nothing_is_noted(paths: SubmissionPaths) -> None:
    diary = Diary(paths, None)
    diary.begin("w1")
    diary.end("done", "", moved=True)
    assert not paths.elements.exists() and diary.may_go_on


def test_slurm_knows_best_of_what_it_has_in_hand(paths: SubmissionPaths, programs: Programs) -> None:
    Diary(paths, place()).end("requeued", "SIGUSR1", moved=True)
    programs.say("squeue", "12|0|PENDING||BeginTime|8:00\n12|1|RUNNING|node2|None|7:00")
    assert [(e.state, e.node, e.detail) for e in shown(paths)] == [
        ("pending", "node1", "BeginTime"), ("running", "node2", "7:00 left"), ("never began", "", ""),
    ]  # fmt: skip


def test_what_slurm_does_not_know(paths: SubmissionPaths, programs: Programs) -> None:
    for index, writer in enumerate(("alive", "silent", "gone")):
        Diary(paths, place(index)).begin(writer)
    lives(paths.run, "alive")
    lives(paths.run, "silent", since=STALE_SECONDS + 60)
    programs.say("squeue", "")
    found = [(e.state, e.detail) for e in shown(paths)]
    assert found[0] == ("running", "unknown to Slurm: an orphan, which does no harm")
    assert found[1] == found[2] == ("died", "without a word; what it had in hand is others'")
    programs.say("sacct", "12_1|NODE_FAIL|node1|0:0\n12_2|CANCELLED by 0|node1|0:0")
    Diary(paths, place(2)).end("left", "SIGTERM", moved=True)
    assert [(e.state, e.detail) for e in shown(paths)[1:]] == [
        ("node_fail", "exit 0:0"), ("left", "SIGTERM; cancelled by 0"),
    ]  # fmt: skip


@pytest.mark.parametrize("state", ["PENDING", "CONFIGURING", "COMPLETING", "SUSPENDED", "REQUEUED", "STAGE_OUT", "NEW"])
def test_every_state_that_is_no_end_is_at_work(paths: SubmissionPaths, programs: Programs, state: str) -> None:
    """A node that boots has begun nothing yet, and who took that for an end would submit twice."""
    programs.say("squeue", f"12|0|{state}|cloud1|None|8:00")
    assert [is_at_work(each.state) for each in shown(paths)] == [True, False, False]


def test_ends_are_not_at_work(paths: SubmissionPaths, programs: Programs) -> None:
    programs.say("squeue", "")
    programs.say("sacct", "12_0|CANCELLED by 0|node1|0:0\n12_1|TIMEOUT|node1|0:0\n12_2|OUT_OF_MEMORY|node1|0:125")
    assert not any(is_at_work(each.state) for each in shown(paths))


def test_who_failed_before_its_first_note_has_failed(paths: SubmissionPaths, programs: Programs) -> None:
    paths.logs.mkdir(parents=True)
    paths.log("12", 1).write_text("/opt/nst: error while loading shared libraries: libnone.so.1\n")
    programs.say("squeue", "12|1|RUNNING|node2|None|7:00")
    assert shown(paths)[1].state == "running", "it may yet say something"
    programs.say("squeue", "")
    assert [(e.state, e.detail) for e in shown(paths)[:2]] == [
        ("never began", ""), ("failed", f"before it could begin: see {paths.log('12', 1)}"),
    ]  # fmt: skip
    programs.say("sacct", "12_1|FAILED|node2|127:0")
    assert shown(paths)[1].detail == f"before it could begin: see {paths.log('12', 1)}; exit 127:0"


def test_without_slurm_the_folder_speaks(
    paths: SubmissionPaths, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.forget(monkeypatch)
    Diary(paths, place()).begin("alive")
    lives(paths.run, "alive")
    assert [(e.state, e.detail) for e in shown(paths)] == [
        ("running", ""), ("never began", "as far as the folder tells"), ("never began", "as far as the folder tells"),
    ]  # fmt: skip


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"index": 0, "unknown": 1}'])
def test_a_damaged_word_is_none(paths: SubmissionPaths, programs: Programs, damage: str) -> None:
    programs.say("squeue", "")
    paths.elements.mkdir()
    paths.element(0).write_text(damage)
    assert shown(paths)[0].state in ("never began", "died")
    Diary(paths, place()).begin("w1")
    assert json.loads(paths.element(0).read_text())["writers"] == ["w1"]


def test_a_full_disk_does_not_end_an_element(paths: SubmissionPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(module, "write_atomic", refuse)
    Diary(paths, place()).begin("w1")
