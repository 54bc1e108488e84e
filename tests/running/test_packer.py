"""Archives are packed while a run goes on."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nst_batch.paths import RunPaths
from nst_batch.recorded.decisions import Decision
from nst_batch.running.packer import Packer
from tests import lines, tar_files
from tests.runs import wait_for

OUTPUTS = ("s.tar/a.png", "s.tar/b.png", "t.tar/c.png", "plain.png")


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    """With loose files of an earlier run, for an archive of which nothing is left to do, and some for one that is."""
    paths = RunPaths(tmp_path)
    tar_files.put_loose(paths, "old.tar", {"z.png": tar_files.png(9)})
    tar_files.put_loose(paths, "s.tar", {"a.png": tar_files.png(1)})
    return paths


@contextlib.contextmanager
def packer(paths: RunPaths, *, stopped: bool = False) -> Iterator[tuple[Packer, list[str]]]:
    said: list[str] = []
    with Packer(paths, ["old.tar", "s.tar", "t.tar"], OUTPUTS, said.append, lambda: stopped) as each:
        yield each, said


def end(each: Packer, output: str, *, final: bool = True) -> None:
    task = lines.task(output)
    each.finished(0, lines.done(task) if final else lines.failed(task), final)


def test_an_archive_is_packed_when_its_last_task_has_ended(paths: RunPaths) -> None:
    with packer(paths) as (each, said):
        wait_for((paths.root / "old.tar").exists, "what an earlier run has left")
        end(each, "s.tar/b.png", final=False)  # it will be tried again
        end(each, "s.tar/a.png")
        end(each, "plain.png")
        assert not (paths.root / "s.tar").exists()
        tar_files.put_loose(paths, "s.tar", {"b.png": tar_files.png(2)})
        each.elsewhere(Decision(lines.task("s.tar/b.png"), "done"))
        wait_for((paths.root / "s.tar").exists, "the archive")
    assert tar_files.contents(paths.root / "s.tar") == {"a.png": tar_files.png(1), "b.png": tar_files.png(2)}
    assert not (paths.root / "t.tar").exists() and said == []


def test_what_is_ready_is_packed_at_the_end_and_what_is_not_stays_loose(paths: RunPaths) -> None:
    tar_files.put_loose(paths, "t.tar", {"c.png": tar_files.png(3)})
    with packer(paths) as (each, _):
        end(each, "t.tar/c.png")
    assert sorted(path.name for path in paths.root.glob("*.tar*")) == ["old.tar", "s.tar.loose", "t.tar"]


def test_a_run_that_is_stopped_does_not_wait(paths: RunPaths) -> None:
    with packer(paths, stopped=True) as (each, said):
        end(each, "t.tar/c.png")
    assert sorted(path.name for path in paths.root.glob("*.tar*")) == ["old.tar.loose", "s.tar.loose"] and said == []


def test_nor_does_one_that_has_failed(paths: RunPaths) -> None:
    paths.packing("old.tar").parent.mkdir(parents=True)
    descriptor = os.open(paths.packing("old.tar"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # another packs it, for ever
    with pytest.raises(KeyboardInterrupt), packer(paths):
        raise KeyboardInterrupt
    os.close(descriptor)
    assert not (paths.root / "old.tar").exists()


def test_what_cannot_be_packed_is_told_once_in_the_runs_own_thread(paths: RunPaths) -> None:
    tar_files.save(paths.root / "old.tar", {"theirs.png": b""})
    paths.state.mkdir()
    (paths.state / "packing").write_text("a file where a folder should be")
    with packer(paths) as (each, said):
        wait_for(lambda: each._thread.is_alive() and each._problems.qsize() == 1, "a problem")
        assert said == []
        each.tick()
        assert len(said) == 1 and said[0].startswith("old.tar is not packed: ") and "packing" in said[0]
        each.tick()
        (paths.state / "packing").unlink()
        end(each, "t.tar/c.png")
        each._count("t.tar/c.png")
        each._ready.put("old.tar")
    assert len(said) == 2 and "nst_batch did not make all of it ('theirs.png')" in said[1]
    assert "stays in old.tar.loose; move the archive away" in said[1]
