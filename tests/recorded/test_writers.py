"""Who writes into a folder, and who has died there."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nst_batch.errors import RunLocked, UsageError
from nst_batch.paths import RunPaths
from nst_batch.recorded import writers
from nst_batch.recorded.writers import STALE_SECONDS, Heartbeats, describe, entered, entrance
from tests.runs import REPOSITORY, wait_for


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


HOLDER = """
import pathlib, subprocess, sys, time
from nst_batch.paths import RunPaths
from nst_batch.recorded.writers import Heartbeats, entered
with entered(RunPaths(pathlib.Path(sys.argv[1]))) as writer:
    child = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL)
    print(writer.name, child.pid, flush=True)
    time.sleep(60)
"""


@contextmanager
def another(paths: RunPaths) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A process that writes here, and has a child that outlives it."""
    command = [sys.executable, "-c", HOLDER, str(paths.root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert process.stdout is not None
    name, child = process.stdout.readline().split()
    try:
        yield name, process
    finally:
        os.kill(int(child), signal.SIGKILL)
        process.kill()
        process.communicate()


def elsewhere(paths: RunPaths, name: str, seconds: float) -> Path:
    """The file of a writer on another machine, last touched so long ago."""
    path = paths.writer(name)
    path.write_text(json.dumps({"pid": 7, "host": "node7", "machine": "node7 0123"}))
    now = path.stat().st_mtime
    os.utime(path, (now - seconds, now - seconds))
    return path


def test_those_who_are_there_see_each_other(paths: RunPaths) -> None:
    with entered(paths) as one:
        assert one.others() == [] and one.is_alive(one.name)
        with entered(paths) as other:
            assert one.others() == [other.name] and other.others() == [one.name]
            assert describe(paths, other.name).startswith(f"process {os.getpid()} on ")
        assert one.others() == [] and not one.is_alive(other.name)


def test_a_killed_process_is_missed_at_once_though_its_children_live(paths: RunPaths) -> None:
    with entered(paths) as here, another(paths) as (name, process):
        assert here.others() == [name] and f"process {process.pid} on" in describe(paths, name)
        process.send_signal(signal.SIGSTOP)
        assert here.is_alive(name)
        process.kill()
        process.wait()
        assert not here.is_alive(name) and paths.writer(name).exists()
        here.bury_dead()
        assert not paths.writer(name).exists() and paths.writer(here.name).exists()


def test_on_another_machine_the_last_sign_of_life_counts(paths: RunPaths) -> None:
    with entered(paths) as here:
        elsewhere(paths, "young", STALE_SECONDS / 2)
        elsewhere(paths, "old", STALE_SECONDS * 2)
        assert here.others() == ["young"]
        here.bury_dead()
        assert not paths.writer("old").exists() and paths.writer("young").exists()


def test_a_writer_shows_that_it_is_alive(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "BEAT_SECONDS", 0.01)
    with entered(paths) as here:
        path = paths.writer(here.name)
        os.utime(path, (0, 0))
        wait_for(lambda: path.stat().st_mtime > 0, "a heartbeat")
    assert not path.exists()


def test_where_there_are_no_locks_the_time_tells(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)  # the border to a file system without locks
    with entered(paths) as one, entered(paths) as other, entrance(paths):
        assert one.others() == [other.name]
        os.utime(paths.writer(other.name), (0, 0))
        assert one.others() == []


def test_who_only_looks_sees_the_same(paths: RunPaths) -> None:
    with entered(paths) as here, another(paths) as (name, process):
        elsewhere(paths, "young", STALE_SECONDS / 2)
        elsewhere(paths, "old", STALE_SECONDS * 2)
        before = sorted(paths.root.rglob("*"))
        seen = Heartbeats(paths)
        names = (here.name, name, "young", "old", "gone")
        assert [seen.is_alive(each) for each in names] == [True, True, True, False, False]
        process.kill()
        process.wait()
        assert not seen.is_alive(name)
        assert sorted(paths.root.rglob("*")) == before


def test_who_only_looks_goes_by_the_clock_of_the_file_server(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    paths.writers.mkdir(parents=True)
    elsewhere(paths, "young", STALE_SECONDS / 2)
    real = time.time
    for wrong in (-3600, 3600):
        monkeypatch.setattr("nst_batch.recorded.writers.time.time", lambda wrong=wrong: real() + wrong)
        assert Heartbeats(paths).is_alive("young")
    elsewhere_now = Heartbeats(paths)
    monkeypatch.setattr(
        "nst_batch.recorded.writers.tempfile.TemporaryFile", _refuse
    )  # the border to a folder for reading only
    assert not elsewhere_now.is_alive("young"), "by this machine's, where nothing else can be had"


def _refuse(**_: object) -> None:
    raise PermissionError


def test_who_only_looks_goes_by_the_time_where_there_are_no_locks(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)  # the border to a file system without locks
    with entered(paths) as here:
        assert Heartbeats(paths).is_alive(here.name)
        os.utime(paths.writer(here.name), (0, 0))
        assert not Heartbeats(paths).is_alive(here.name)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"pid": 1}', "x" * 500])
def test_a_damaged_file_is_nobody_for_long(paths: RunPaths, text: str) -> None:
    with entered(paths) as here:
        path = paths.writer("odd")
        path.write_text(text)
        assert describe(paths, "odd") == "odd" and here.is_alive("odd")
        os.utime(path, (0, 0))
        assert not here.is_alive("odd")


def test_one_begins_after_another(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "ENTRANCE_SECONDS", 0.1)
    with entrance(paths), pytest.raises(RunLocked, match="beginning here for a minute"), entrance(paths):
        pass
    with entrance(paths):
        pass


def test_a_folder_that_cannot_be_made_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for enter in (entered, entrance):
        with pytest.raises(UsageError, match=r"output\.dir.*cannot be written"), enter(RunPaths(tmp_path / "file")):
            pass
