"""Folders that can be written, and those that cannot."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from nst_batch.doctor import storage
from nst_batch.doctor.storage import Behaviour, behaviour
from tests import runs


def levels(folder: Path, wanted: int = 0) -> dict[str, str]:
    return {each.name: each.level for each in storage.output(folder, wanted)}


def test_a_folder_of_this_machine_does_what_runs_need(tmp_path: Path) -> None:
    assert behaviour(tmp_path) == Behaviour()
    assert list(tmp_path.iterdir()) == [], "nothing is left there"
    assert levels(tmp_path) == {"output": "ok", "file system": "ok", "disk": "ok"}


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    first = next(iter(storage.output(tmp_path / "a" / "b")))
    assert first.level == "ok" and first.text.endswith("to be made")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (found,) = storage.output(tmp_path / "file" / "out")
    assert found.level == "problem" and "not a folder" in found.text and found.remedy


def test_a_disk_that_is_full_is_a_problem(tmp_path: Path) -> None:
    with runs.files_end_at(4):
        (found,) = storage.output(tmp_path)
    assert found.level == "problem" and str(tmp_path) in found.text and "large" in found.text
    assert list(tmp_path.iterdir()) == []


def test_a_system_folder_is_a_problem() -> None:
    (found,) = storage.output(Path("/proc/out"))
    assert found.level == "problem" and found.text.startswith("/proc: ")


def test_without_locks_it_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert behaviour(tmp_path) == Behaviour(locks=False)
    assert levels(tmp_path)["file system"] == "warning"


def test_locks_that_others_do_not_see_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems take a lock, and tell no other process of it."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    assert behaviour(tmp_path) == Behaviour(locks=False)


def test_where_two_can_make_the_same_file_it_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, flags, *rest: real(path, flags & ~os.O_EXCL, *rest))
    assert behaviour(tmp_path) == Behaviour(exclusive=False)
    assert levels(tmp_path)["file system"] == "warning"


@pytest.mark.parametrize(
    ("free", "wanted", "level"),
    [(10**7, 0, "problem"), (5 * 10**8, 0, "warning"), (5 * 10**9, 6 * 10**9, "warning"), (5 * 10**9, 10**9, "ok")],
)
def test_room(free: int, wanted: int, level: str) -> None:
    found = storage.room(free, wanted)
    assert found.level == level and bool(found.remedy) == (level != "ok")
    assert ("pictures and checkpoints take about" in found.text) == bool(wanted)


def test_the_cache_can_be_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert storage.cache().text == str(tmp_path / "cache" / "nst_batch")
    (tmp_path / "cache").write_text("a file")
    found = storage.cache()
    assert found.level == "warning" and "XDG_CACHE_HOME" in found.remedy
