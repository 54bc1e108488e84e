"""One run at a time in a folder, however the last one ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nst_batch.errors import ExitCode, RunLocked, UsageError
from nst_batch.lock import run_lock
from nst_batch.paths import RunPaths
from tests.runs import REPOSITORY


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


def test_a_second_holder_is_told_who_the_first_is(paths: RunPaths) -> None:
    with run_lock(paths), pytest.raises(RunLocked, match=f"process {os.getpid()} on ") as caught, run_lock(paths):
        pass
    assert caught.value.exit_code == ExitCode.BAD_INPUT and caught.value.hint


def test_two_folders_do_not_meet(tmp_path: Path) -> None:
    with run_lock(RunPaths(tmp_path / "a")), run_lock(RunPaths(tmp_path / "b")):
        assert (tmp_path / "a" / "state").is_dir()


def test_it_is_free_after_an_error(paths: RunPaths) -> None:
    with pytest.raises(ZeroDivisionError), run_lock(paths):
        raise ZeroDivisionError
    with run_lock(paths):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"pid": 1}', "x" * 500])
def test_a_lock_file_with_anything_in_it_still_locks(paths: RunPaths, text: str) -> None:
    paths.state.mkdir(parents=True)
    paths.lock.write_text(text)
    with run_lock(paths):
        with pytest.raises(RunLocked, match=f"process {os.getpid()} on "), run_lock(paths):
            pass
        paths.lock.write_text(text)
        with pytest.raises(RunLocked, match="process unknown"), run_lock(paths):
            pass


def test_a_killed_holder_frees_it_though_its_children_live(paths: RunPaths) -> None:
    program = f"""
import pathlib, subprocess, sys, time
from nst_batch.lock import run_lock
from nst_batch.paths import RunPaths
with run_lock(RunPaths(pathlib.Path({str(paths.root)!r}))):
    child = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(RunLocked, match=f"process {holder.pid} on "), run_lock(paths):
            pass
        holder.kill()
        holder.communicate()
        with run_lock(paths):
            pass
        os.kill(child, 0)  # it was alive all the while
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_folder_that_cannot_be_made_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"output\.dir.*cannot be written"), run_lock(RunPaths(tmp_path / "file")):
        pass
